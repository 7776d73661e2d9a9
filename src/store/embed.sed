# An SQL script as a C string: without comments, a line each.
s/ *--.*//
/^ *$/d
s/["\\]/\\&/g
s/.*/"&\\n"/

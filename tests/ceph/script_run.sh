#!/bin/bash
# `script/run --ceph` shows an image on a cluster of its own, and leaves nothing behind.
. "$(dirname "$0")/../system/lib.sh"

mkdir "$T/tmp"
TMPDIR="$T/tmp" "$SRC/script/run" --ceph >"$T/out" 2>"$T/err" || fail "exit status $?: $(tail -n 5 "$T/err")"
for seen in '^available$' '^deleted$' "^rbd image 'volume-[0-9a-f-]{36}':" 'size 10 GiB in 2560 objects' 'object-map' \
	'^That was volfs'; do
	grep -qE "$seen" "$T/out" || fail "script/run --ceph does not show /$seen/"
done
eq '' "$(ls -A "$T/tmp")" "left in the temporary folder"

#!/bin/bash
# `script/run` does what a newcomer is promised, and leaves nothing behind.
. "$(dirname "$0")/lib.sh"

mkdir "$T/tmp"
TMPDIR="$T/tmp" "$SRC/script/run" >"$T/out" 2>"$T/err" || fail "exit status $?: $(tail -n 5 "$T/err")"
for seen in '^available$' '^deleted$' "unknown key 'sise'" 'size:10G' "my first volume" \
	'volume.create.start uid 0 \(root\)' '^\{"time":' '^BACKEND ' '^That was volfs'; do
	grep -qE "$seen" "$T/out" || fail "script/run does not show /$seen/"
done
eq '' "$(ls -A "$T/tmp")" "left in the temporary folder"

#!/bin/bash
# The server is killed at any instant, hundreds of times, and no call notices: session, keep and supervisor around a
# filesystem of one directory, without anything else of volfs.
# timeout: 120 full: 900
# sanitize
# alone
. "$(dirname "$0")/lib.sh"

fs=$BUILD/tests/system/replace-fs
stress=$BUILD/tests/system/replace-stress
rounds=150
[ -z "${VOLFS_TEST_FULL:-}" ] || rounds=1000

mkdir -p "$MNT" "$STATE"
"$fs" "$STATE" "$MNT" 2>"$LOG" &
fs_pid=$!
at_exit "kill $fs_pid 2>/dev/null; wait $fs_pid; true"
wait_for 20 test -e "$MNT/text"

note "$rounds kills, 1 to 40 ms apart"
ok timeout 600 "$stress" plain "$MNT" "$fs_pid" "$rounds" 40
rm "$MNT/go"

note "$rounds kills, 1 to 8 ms apart: mostly before the server can answer"
ok timeout 600 "$stress" plain "$MNT" "$fs_pid" "$rounds" 8

note "the read-ahead of the mount is raised"
eq 4096 "$(cat "/sys/class/bdi/$(mountpoint -d "$MNT")/read_ahead_kb")"

note "a server that answers INIT otherwise: mounted anew, open files fail"
exec 3<"$MNT/text"
before=$(stat -c %d "$MNT")
touch "$STATE/other"
kill -HUP "$fs_pid"
# Between the two mounts the directory below is bare for a moment, and its device is another one as well.
anew()
{
	[ "$(stat -c %d "$MNT")" != "$before" ] && [ -e "$MNT/text" ]
}
wait_for 20 anew
eq "the same text for everybody" "$(cat "$MNT/text")"
not cat <&3
exec 3<&-
eq 1 "$(grep -c " $MNT " /proc/self/mountinfo)" "mounts"

note "SIGTERM: unmounted, exit status 0"
kill "$fs_pid"
wait "$fs_pid"
not is_mounted
check_log

#!/bin/bash
# How the daemon begins and ends: in front and behind, refused, stale mounts, signals, too many deaths, the kernel's
# switches.
# timeout: 240
# alone
. "$(dirname "$0")/lib.sh"

refused()
{
	local status=0
	said=$(timeout 60 "$VOLFS" "$@" 2>&1 </dev/null) || status=$?
	case $status in
	0 | 124) fail "volfs $*: exit status $status" ;;
	esac
	eq 1 "$(wc -l <<<"$said")" "lines that volfs $* says"
}

mkdir -p "$MNT" "$STATE"

note "what cannot be is refused with a sentence, and nothing is mounted"
refused --local "$STATE" "$T/nowhere"
match "nowhere.*make it first" "$said"
touch "$T/file"
refused --local "$STATE" "$T/file"
match "not a directory" "$said"
refused --local "$STATE" -o frobnicate "$MNT"
match "frobnicate" "$said"
printf 'database = "%s/x.db";\nworkers = "many";\n' "$STATE" >"$T/bad.conf"
refused -c "$T/bad.conf" "$MNT"
match "bad.conf:2: .*workers" "$said"
refused --check-config -c "$T/bad.conf"
match "bad.conf:2: .*workers" "$said"
refused -c "$T/no.conf" "$MNT"
match "no.conf" "$said"
not is_mounted

note "behind: returns when the mount answers; ends by SIGTERM"
start_volfs --daemon --local "$STATE"
sup=$(supervisor_pid)
eq / "$(readlink "/proc/$sup/cwd")"
eq /dev/null "$(readlink "/proc/$sup/fd/2")"
grep -qE "^volfs $MNT fuse.volfs rw,nosuid,nodev,.*default_permissions,allow_other" /proc/mounts
eq 4096 "$(cat "/sys/class/bdi/$(mountpoint -d "$MNT")/read_ahead_kb")"

note "a second one is refused: same mountpoint, same database"
refused --local "$STATE" "$MNT"
match "is a volfs already" "$said"
mkdir "$T/mnt2"
refused --local "$STATE" "$T/mnt2"
match "in use by another volfs, process $sup" "$said"
stop_volfs

note "as mount(8) calls it; SOURCE is the configuration"
printf 'database = "%s/volfs.db"; backends = ( { name = "disk"; driver = "local"; path = "%s/disk"; } );\n' \
	"$STATE" "$STATE" >"$T/volfs.conf"
timeout 60 "$VOLFS" "$T/volfs.conf" "$MNT" -o rw,dev,suid,noauto,_netdev,x-systemd.automount,noatime
answers
grep -qE "^$T/volfs.conf $MNT fuse.volfs rw,nosuid,nodev,noatime" /proc/mounts
stop_volfs
timeout 60 "$VOLFS" "$T/volfs.conf" "$MNT" -o ro
expect_errno EROFS mkdir "$MNT/x"
stop_volfs

note "umount from outside: ends in order"
start_volfs
umount "$MNT"
wait "$VOLFS_CHILD"
VOLFS_CHILD=
wait_for 10 no_volfs

note "SIGTERM while the mount is in use: its files fail afterwards, and it goes"
start_volfs
exec 5<"$MNT/.volfs/version"
(cd "$MNT" && exec sleep 30) &
user=$!
stop_volfs
exec 5<&-
kill "$user"

note "umount -f while the mount is in use: the connection is cut, volfs ends with one sentence"
served=$(grep -c ': serving' "$LOG")
start_volfs
# until the supervisor has seen it answer, too: a mount that is cut before that has not come up
wait_for 10 sh -c "[ \$(grep -c ': serving' '$LOG') -gt $served ]"
exec 9<"$MNT/.volfs/version"
umount -f "$MNT" 2>/dev/null || true
wait_for 20 gone "$VOLFS_CHILD"
wait "$VOLFS_CHILD"
VOLFS_CHILD=
exec 9<&-
not is_mounted
grep -q 'aborted (umount -f)' "$LOG"

note "kill -9 of the supervisor: the server ends too, and the next start clears the dead mount"
start_volfs
server=$(server_pid)
kill -9 "$VOLFS_CHILD"
wait "$VOLFS_CHILD" || true
VOLFS_CHILD=
wait_for 15 gone "$server"
is_mounted
expect_errno ENOTCONN@stat stat "$MNT/new"
start_volfs --daemon --local "$STATE"
eq 1 "$(grep -c " $MNT " /proc/self/mountinfo)" "mounts"
stop_volfs

note "kill -9 of everything, then a start at once"
start_volfs
kill_volfs
start_volfs
stop_volfs

note "a server that dies five times within a minute is given up"
start_volfs
for _ in 1 2 3 4 5; do
	wait_for 10 server_pid
	kill -9 "$(server_pid)"
	sleep 0.3
done
status=0
wait "$VOLFS_CHILD" || status=$?
VOLFS_CHILD=
eq 1 "$status" "exit status"
match "died 5 times within a minute, last by signal 9, Killed: giving up" "$(tail -n1 "$LOG")"
not is_mounted
wait_for 10 no_volfs

note "a newer configuration that is bad does not take the server away"
timeout 60 "$VOLFS" -f -c "$T/volfs.conf" "$MNT" 2>>"$LOG" &
VOLFS_CHILD=$!
wait_for 20 answers
sup=$(supervisor_pid)
server=$(server_pid)
cp "$T/volfs.conf" "$T/good.conf"
echo 'wrokers = 3;' >>"$T/volfs.conf"
kill -HUP "$sup"
told()
{
	tail -n1 "$LOG" | grep -q 'the server is not replaced: .*volfs.conf:2: .*wrokers'
}
wait_for 10 told
eq "$server" "$(server_pid)"
answers
cp "$T/good.conf" "$T/volfs.conf"

note "a server that somebody else tells to end is replaced"
for signal in HUP TERM; do
	server=$(server_pid)
	kill -"$signal" "$server"
	wait_for 10 test ! -e "/proc/$server"
	answers
	not test "$server" = "$(server_pid)"
done
server=$(server_pid)

note "a server that does not end is killed after its grace, and the mount goes all the same"
kill -STOP "$server"
kill -TERM "$sup"
wait_for 20 gone "$sup"
wait "$VOLFS_CHILD"
VOLFS_CHILD=
not is_mounted

note "a refused database: the sentence, exit status 1, nothing mounted"
printf 'this is no database, and long enough to be seen as none by whoever opens it %064d' 0 >"$T/junk.db"
printf 'database = "%s/junk.db"; backends = ( { name = "disk"; driver = "local"; path = "%s/disk"; } );\n' \
	"$T" "$STATE" >"$T/junk.conf"
refused -c "$T/junk.conf" "$MNT"
match "junk.db" "$said"
not is_mounted
wait_for 10 no_volfs

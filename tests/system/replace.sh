#!/bin/bash
# The server is killed under readers, waiters and writers of a real tree: no call fails, nothing is done twice, and
# sleepers in poll(2) stay asleep until there is something to see.
# timeout: 240 full: 1800
# sanitize
# alone
. "$(dirname "$0")/lib.sh"

stress=$BUILD/tests/system/replace-stress
rounds=5 drafts=25
[ -z "${VOLFS_TEST_FULL:-}" ] || { rounds=100 && drafts=800; }
gap=1500 # ms between two kills, at most
[ -z "${VOLFS_TEST_SANITIZED:-}" ] || gap=4000

start_volfs --restarts 0 -c "$(local_conf)"
echo max >"$MNT/.volfs/quotas/root/volumes.max"

note "$rounds kills, 1 to $gap ms apart"
ok timeout 1500 "$stress" volfs "$MNT" "$VOLFS_CHILD" "$rounds" "$gap"

note "drafts that are renamed and removed: $drafts kills, 1 to $((gap / 10)) ms apart"
echo available >"$MNT/home/reset"
rmdir "$MNT"/s?
rmdir "$MNT/home"
# each answer a millisecond late: so most kills come between a change and its answer
strace -f -qq -o /dev/null -e inject=writev:delay_enter=1000 -p "$VOLFS_CHILD" 2>/dev/null &
tracer=$!
ok timeout 1500 "$stress" drafts "$MNT" "$VOLFS_CHILD" "$drafts" $((gap / 10))
kill "$tracer"
wait "$tracer" || true
eq spec "$(ls -A "$MNT/new")" "drafts left"

note "what was deleted is purged, and nothing else is left in the backend"
purged()
{
	[ -z "$(ls "$MNT/.volfs/trash")" ]
}
wait_for 60 purged
eq "$(find "$MNT" -mindepth 1 -maxdepth 1 ! -name new ! -name .volfs | wc -l)" "$(find "$STATE" -name 'volume-*' | wc -l)" "images"

note "a kill before the first request of a mount, and ten in a row"
for _ in $(seq 10); do
	kill -9 "$(server_pid)" 2>/dev/null || true
	sleep 0.05
done
eq maintenance "$(timeout 30 cat "$MNT/home/status")"

note "an unfinished spec goes on after a kill"
exec 3<>"$MNT/new/spec"
printf 'size=1M ' >&3
kill -9 "$(server_pid)"
printf 'description=survivor\n' >&3
kill -9 "$(server_pid)" 2>/dev/null || true
read -r id <&3
exec 3>&-
eq survivor "$(cat "$MNT/$id/description")"

note "SIGHUP: another server, the same mount, open files go on"
exec 4<"$MNT/home/status"
before=$(server_pid)
kill -HUP "$VOLFS_CHILD"
replaced()
{
	local now
	now=$(server_pid) && [ "$now" != "$before" ]
}
wait_for 20 replaced
eq maintenance "$(timeout 20 cat <&4)"
exec 4<&-
stop_volfs

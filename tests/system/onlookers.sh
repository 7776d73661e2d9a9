#!/bin/bash
# Thousands that wait for volumes, by `wait` and by poll(2) on `status`: no thread of the server, gone on SIGINT at once, and a killed server
# costs none of them its answer.
# timeout: 120 full: 600
# alone
. "$(dirname "$0")/../system/lib.sh"
N=1000
[ -z "${VOLFS_TEST_FULL:-}" ] || N=10000
start_volfs -c "$(local_conf 'limits: { blocked = 4; };')"
cd "$MNT"
for k in $(seq $((N / 1000))); do
	"$BUILD/tests/system/crowd" new "v$k-" 1000 size=1M >"$T/made.$k"
	eq 1000 "$(grep -c ' OK ' "$T/made.$k")"
done
wait_for 60 sh -c 'test $(cat v*/status | sort | uniq -c | wc -l) = 1'

coproc CROWD { exec "$BUILD/tests/system/onlookers" "$MNT" $N $N; }
crowd=$CROWD_PID
# tell MS COMMAND…: it must be done within so many milliseconds.
tell()
{
	local bound=$1 took
	shift
	echo "$*" >&"${CROWD[1]}"
	read -t 100 -r took <&"${CROWD[0]}" || fail "$*"
	note "$N: $*: $took ms"
	[ "$took" -le "$bound" ] || fail "$*: $took ms, more than $bound"
}
of_server() { awk -v what="$1:" '$1 == what { print $2 }' "/proc/$(server_pid)/status"; }
# Workers that found nothing to do may have ended meanwhile.
no_more_threads() { [ "$(of_server Threads)" -le "$threads" ] || fail "$(of_server Threads) threads, and not $threads"; }

tell 60000 reset attaching
threads=$(of_server Threads) rss=$(of_server VmRSS)
tell 20000 begin
no_more_threads
tell $((1000 + N / 10)) interrupt
note "memory: $((($(of_server VmRSS) - rss) * 1024 / (2 * N))) bytes for each of $((2 * N))"
[ -n "${VOLFS_TEST_SANITIZED:-}" ] || [ $((($(of_server VmRSS) - rss) * 1024 / (2 * N))) -le 2048 ] || fail "more than 2 KiB for each"
tell 20000 kill
kill_server
# Woken are only those of the volume that settles.
tell 60000 reset available
tell 20000 settled
no_more_threads
tell 5000 one error
tell 5000 one available
eval "exec ${CROWD[1]}>&-"
wait "$crowd"

# A plain user has so many, each told at once; the others get on. Polls beyond are served as well, but by this server alone.
chmod 755 "$T"
name=v1-0
chown 1234 "$name" && echo attaching >"$name/reset"
for i in 1 2 3 4 5 6; do
	as 1234 sh -c "cat $name/wait; true" >"$T/plain.$i" 2>&1 &
	plain+=("$!")
done
refused() { [ "$(cat "$T"/plain.* | grep -c 'temporarily unavailable')" = 2 ]; }
wait_for 10 refused
cat "$name/wait" >"$T/root" &
plain+=("$!")
cat >"$T/polls.py" <<'END'
import os, select, sys
opens = [os.open(sys.argv[1], os.O_RDONLY) for _ in range(9)]
p = select.epoll()
for fd in opens:
    os.read(fd, 100)
    p.register(fd, select.EPOLLPRI)
print("polls", flush=True)
seen = set()
while len(seen) < len(opens):
    events = p.poll(20)
    assert events, len(seen)
    for fd, what in events:
        os.lseek(fd, 0, 0)
        os.read(fd, 100)
        seen.add(fd)
print("all", flush=True)
END
as 1234 /usr/bin/python3 "$T/polls.py" "$name/status" >"$T/polled" &
plain+=("$!")
wait_for 10 grep -q polls "$T/polled"
echo available >"$name/reset"
wait "${plain[@]}"
eq all "$(tail -n 1 "$T/polled")"
eq 5 "$(cat "$T"/plain.* "$T/root" | grep -cx available)"
cd /
stop_volfs

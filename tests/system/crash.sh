#!/bin/bash
# kill -9 of everything at any instant under 8 writers: what was answered is so, nothing is lost, nothing is left over.
# timeout: 180 full: 3000
# alone
. "$(dirname "$0")/lib.sh"

churn()
{
	/usr/bin/python3 -S "$SRC/tests/system/churn.py" "$@"
}

# check ROUND: the catalogue's volumes are the files of the backend, byte for byte of their sizes
check()
{
	wait_for 60 churn settled "$MNT"
	churn check "$MNT" "$T/round" "$STATE/volfs.db" >"$T/volumes" || fail "round $1: see above"
	diff <(awk '{ print "volume-" $1, $3 }' "$T/volumes" | sort) \
		<(find "$STATE/disk" -mindepth 1 -printf '%f %s\n' | sort) ||
		fail "round $1: the catalogue (<) and the backend (>) differ"
}

rounds=10
[ -z "${VOLFS_TEST_FULL:-}" ] || rounds=200
seed=${VOLFS_TEST_SEED:-$RANDOM}
RANDOM=$seed
note "$rounds rounds; again: VOLFS_TEST_SEED=$seed"
mkdir "$T/round"
start_volfs

for round in $(seq "$rounds"); do
	churn run "$MNT" "$T/round" 8 "$((seed * 1000 + round))" 2>"$T/churn.err" &
	writers=$!
	sleep "$((RANDOM % 2)).$(printf %03d $((RANDOM % 1000)))" # the instant is the test
	# one in four: the server first, so that the next one dies while it takes over
	if [ $((RANDOM % 4)) = 0 ]; then
		kill -9 "$(server_pid)" 2>/dev/null || true
		sleep "0.$(printf %03d $((RANDOM % 300)))"
	fi
	kill_volfs
	wait "$writers" || fail "round $round: $(cat "$T/churn.err")"
	[ $((RANDOM % 4)) != 0 ] || { # one in four: the next start dies as well
		"$VOLFS" -f -c "$T/local.conf" "$MNT" 2>>"$LOG" </dev/null &
		VOLFS_CHILD=$!
		sleep "0.$(printf %03d $((RANDOM % 400)))"
		kill_volfs
	}
	start_volfs
	check "$round"
	note "round $round: $(wc -l <"$T/volumes") volumes, $(cat "$T"/round/* | wc -l) lines told"
done
stop_volfs

#!/bin/bash
# Volumes made from volumes and snapshots, on the local driver: their bytes, on one backend and on another; who may; what is in the way;
# over the death of the server.
# timeout: 300 full: 2400
# sanitize
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh"
. "$SRC/tests/system/data-lib.sh"
. "$SRC/tests/system/snapshots-lib.sh"
. "$SRC/tests/system/clones-lib.sh"

rounds=4 races=20
[ -z "${VOLFS_TEST_SANITIZED:-}" ] || rounds=2 races=8
[ -z "${VOLFS_TEST_FULL:-}" ] || rounds=50 races=100

disk()
{
	echo "$T/$(cat "$1/backend")"
}
same()
{
	ok cmp "$1/data" "$(disk "$1")/volume-$(cat "$1/id")"
}
stored_snapshots()
{
	ls "$(disk "$1")/.volume-$(cat "$1/id").snapshots" 2>/dev/null | wc -l
}
needs() # no file needs another
{
	return 1
}
# Every write of the server comes so late that a copy takes seconds.
slow()
{
	strace -f -qq -o /dev/null -e trace=pwrite64,pwritev,pwritev2,copy_file_range \
		-e inject=pwrite64,pwritev,pwritev2,copy_file_range:delay_enter=100000 -p "$(server_pid)" &
	tracer=$!
	wait_for 10 grep -q 'TracerPid:.[1-9]' "/proc/$(server_pid)/status"
}
fast()
{
	kill "$tracer"
	wait "$tracer" || true
}

mkdir "$T/one" "$T/two"
cat >"$T/volfs.conf" <<-END
	database = "$T/volfs.db"; trash_delay = 0; stats_interval = 1; max_clone_depth = 2;
	quota = { volumes = -1; size = -1; };
	scheduler = { filters = [ "availability_zone", "capacity", "capabilities", "different_backend" ]; };
	backends = ( { name = "one"; driver = "local"; path = "$T/one"; max_over_subscription_ratio = 1000.0; },
		     { name = "two"; driver = "local"; path = "$T/two"; max_over_subscription_ratio = 1000.0; } );
END
start_volfs --restarts 0 -c "$T/volfs.conf"
cd "$MNT"
volume db size=64M

note "of a snapshot"
clones_of_a_snapshot db

note "of a volume"
clones_of_a_volume db

note "of clones"
clones_of_clones db

note "on another backend"
copies_to_another_backend db
[ -s "$T/progress" ] || fail "a copy of seconds had no progress"

note "for readers"
clones_are_for_readers db

note "while deletions race with them, $races times"
clones_race "$races"

note "while the server is killed, $rounds times"
clones_outlive_servers db "$rounds" kill_server

eq "volume-$(cat db/id)" "$(ls -A "$T/one" "$T/two" | grep -v '^$\|:$')"
rmdir db
cd /
stop_volfs

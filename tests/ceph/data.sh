#!/bin/bash
# The bytes of volumes on Ceph: `data` by ordinary tools, by system calls, by random operations, each time compared with what `rbd
# export` gives; under verified load over the death of the server, a stopped OSD, an extension; in a pool that is full.
# timeout: 600 full: 7000
# alone
# shellcheck disable=SC2046,SC2016
# shellcheck source=/dev/null
. "$(dirname "$0")/../system/lib.sh"
. "$SRC/tests/system/data-lib.sh"

rounds=2
[ -z "${VOLFS_TEST_FULL:-}" ] || rounds=50

CEPH=$T/ceph
at_exit '"$SRC/tests/ceph/ceph-dev" wipe "$CEPH"'
CONF=$("$SRC/tests/ceph/ceph-dev" start "$CEPH" --mon-interval 0.05 2>"$T/ceph.log") || fail "$(cat "$T/ceph.log")"
ceph_cmd()
{
	timeout 60 ceph -c "$CONF" "$@" 2>>"$T/ceph.log"
}
rbd_cmd()
{
	timeout 120 rbd -c "$CONF" "$@" 2>>"$T/ceph.log"
}
ceph_cmd osd pool create vols 8
rbd_cmd pool init vols

image() # NAME: as rbd names it
{
	echo "vols/volume-$(cat "$1/id")"
}
same()
{
	rbd_cmd export "$(image "$1")" - | cmp - "$1/data" || fail "$1/data and rbd export differ"
}

cat >"$T/volfs.conf" <<END
	database = "$STATE/volfs.db"; trash_delay = 0; quota = { volumes = -1; size = -1; }; stats_interval = 1;
	backends = ( { name = "ssd"; driver = "rbd"; ceph_conf = "$CONF"; pool = "vols"; timeout = 10; direct = "${DIRECT:-auto}"; } );
END
start()
{
	start_volfs --restarts 0 -c "$T/volfs.conf" # more deaths in a minute than it would bear
	wait_for 60 grep -qx up "$MNT/.volfs/backends/ssd/state"
	cd "$MNT"
}

# verified NAME SECONDS COMMAND…: COMMAND runs beside a load of four jobs at depth 32, whose every block is read back and compared
verified()
{
	local name=$1 seconds=$2 load status=0
	shift 2
	(cd "$T" && exec timeout 300 fio --name=load --filename="$MNT/$name/data" --ioengine=libaio --direct=1 --iodepth=32 --numjobs=4 --size=12M \
		--offset_increment=12M --rw=randrw --rwmixread=30 --bsrange=4k-64k --time_based --runtime="$seconds" --fsync=100 \
		--verify=crc32c --verify_fatal=1 --verify_backlog=256 --do_verify=1 --randrepeat=0 --fallocate=none \
		--group_reporting --output="$T/fio.out") &
	load=$!
	"$@" "$load"
	wait "$load" || status=$?
	[ "$status" = 0 ] || fail "fio: exit status $status: $(tail -n5 "$T/fio.out")"
	not grep -q 'err=[^ ]*[1-9]' "$T/fio.out"
	wait_for 30 grep -qx available "$name/status"
	same "$name"
}

make_files
start

note "a new volume"
volume db size=64M
data_is_new db

note "whatever copies onto it"
data_is_copied_onto db

note "blocks and holes"
data_has_blocks db

note "descriptors"
data_has_descriptors db

note "a filesystem through a loop device, over the death of the server"
data_holds_a_filesystem db kill_server

note "in use"
data_is_in_use db

note "whose it is"
data_is_its_owners db

note "read-only"
data_is_read_only db

note "extension"
data_grows db

note "random operations"
volume random size=16M
random_operations random $((24 << 20))

note "random operations, while the server is killed"
rmdir random
volume random size=16M
kill_some() # PID
{
	while ! gone "$1"; do
		sleep 0.5
		gone "$1" || kill_server
		killed=$((killed + 1))
		[ "$killed" -lt 3 ] || break
	done
}
killed=0
random_operations random $((24 << 20)) kill_some
rmdir random

note "verified load"
verified db 4 true

note "verified load over the death of the server, $rounds times"
kill_in_the_middle()
{
	sleep "1.$(printf %03d $((RANDOM % 1000)))" # the instant is the test
	kill_server
}
for round in $(seq "$rounds"); do
	verified db 5 kill_in_the_middle
	note "round $round: $(grep -m1 -E 'write: ' "$T/fio.out")"
done

note "what was synced is there after everything was killed, $rounds times"
for round in $(seq "$rounds"); do
	data_outlives_all db start
	same db
done

note "verified load while an OSD stands still"
osd=$(cat "$CEPH/run/osd.0.pid")
at_exit 'kill -CONT "$osd"'
stand_still()
{
	sleep 1
	kill -STOP "$osd"
	sleep 1
	# nothing else stands still
	ok timeout 5 ls -l db .volfs >"$T/out"
	eq in-use "$(timeout 5 cat db/status)"
	eq 96M "$(timeout 5 cat db/size)"
	ok timeout 5 stat db/data >"$T/out"
	sleep 3
	kill -CONT "$osd"
}
verified db 8 stand_still
wait_for 60 grep -qx up .volfs/backends/ssd/state

note "a program that waits for it can be killed"
killed() # COMMAND…
{
	"$@" 2>"$T/err" &
	local program=$!
	sleep 1
	not gone "$program"
	kill -9 "$program"
	wait_for 5 gone "$program"
}
kill -STOP "$osd"
for what in 'if=/dev/urandom of=db/data bs=1M oflag=direct conv=notrunc' 'if=/dev/urandom of=db/data bs=1M conv=notrunc' \
	'if=db/data of=/dev/null bs=1M iflag=direct'; do
	# shellcheck disable=SC2086
	killed dd $what count=10 status=none
done
killed python3 -c 'import os; os.lseek(os.open("db/data", os.O_RDONLY), 0, os.SEEK_HOLE)'
kill -CONT "$osd"
wait_for 60 grep -qx up .volfs/backends/ssd/state
wait_for 30 grep -qx available db/status
same db

note "who empties it, too, and what comes later waits until it is empty"
dirty db
kill -STOP "$osd"
killed bash -c ': >db/data'
dd if="$T/short" of=db/data bs=1M count=1 seek=9 oflag=direct conv=notrunc status=none &
later=$!
sleep 1
eq in-use "$(timeout 5 cat db/status)"
not gone "$later"
kill -CONT "$osd"
wait "$later"
wait_for 60 grep -qx up .volfs/backends/ssd/state
wait_for 30 grep -qx available db/status
ok cmp -n $((1 << 20)) -i $((9 << 20)):0 db/data "$T/short"
ok cmp <(tr -d '\0' <db/data) <(head -c 1M "$T/short" | tr -d '\0')
same db

note "extension under verified load"
extend_twice()
{
	sleep 1
	echo 112M >db/size
	wait_for 30 grep -qx 112M db/size
	sleep 1
	truncate -s 128M db/data
	wait_for 30 grep -qx 128M db/size
}
verified db 4 extend_twice
eq $((128 << 20)) "$(size_of db)"

note "room that was used before reads as zeroes"
dirty db
: >db/data
ok zeroes db/data
same db

note "a pool that is full: told, and what was acknowledged is there"
volume full size=256M
ok dd if="$T/short" of=full/data bs=1M conv=notrunc,fsync status=none
# The monitor sees it some time after: hence more than the quota is written. Or at once, if it still counts what db had.
ceph_cmd osd pool set-quota vols max_bytes $((16 << 20))
written=8 refused=
for try in $(seq 60); do
	if timeout 60 dd if="$T/short" of=full/data bs=1M seek=$((written % 128)) conv=notrunc,fsync status=none 2>"$T/err"; then
		written=$((written + 8))
		sleep 0.5
	else
		refused=1
		break
	fi
done
[ "$refused" ] || fail "$written MiB were written into a pool of 16 MiB"
match 'No space left on device|Disk quota exceeded' "$(cat "$T/err")" "after $written MiB"
note "refused after $written MiB"
ok cmp -n $((8 << 20)) "$T/short" full/data
not timeout 60 dd if="$T/short" of=full/data bs=4k count=4 seek=50000 oflag=direct conv=notrunc,fsync status=none 2>"$T/err"
match 'No space left on device|Disk quota exceeded' "$(cat "$T/err")"
ceph_cmd osd pool set-quota vols max_bytes 0
write_again()
{
	timeout 60 dd if="$T/short" of=full/data bs=1M seek=200 conv=notrunc,fsync status=none
}
wait_for 60 write_again
ok cmp -n $((8 << 20)) -i $((200 << 20)):0 full/data "$T/short"
same full

cd /
stop_volfs

#!/bin/bash
# The bytes of volumes on the local driver: `data` by ordinary tools, by system calls, by random operations; over the death of the
# server; on a disk that is full.
# timeout: 240 full: 3000
# sanitize
# shellcheck disable=SC2046,SC2016
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh"
. "$SRC/tests/system/data-lib.sh"

same()
{
	ok cmp "$1/data" "$STATE/disk/volume-$(cat "$1/id")"
}

make_files
start_volfs
cd "$MNT"

note "a new volume"
volume db size=64M
data_is_new db

note "whatever copies onto it"
data_is_copied_onto db

note "blocks and holes"
data_has_blocks db

note "descriptors"
data_has_descriptors db

note "a filesystem through a loop device"
data_holds_a_filesystem db

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

# every 0.3 s while process $1 lives
kill_servers()
{
	while ! gone "$1"; do
		kill -9 "$(server_pid)" 2>/dev/null || true
		killed=$((killed + 1))
		# five deaths within a minute are too many
		[ "$killed" -lt 4 ] || break
		sleep 0.3
		wait_for 30 server_pid
	done
}
note "random operations, while the server is killed"
killed=0
rmdir random
volume random size=16M
random_operations random $((24 << 20)) kill_servers
[ "$killed" -gt 0 ] || fail "no server was killed"
note "$killed servers killed"

note "what was synced is there after everything was killed"
data_outlives_all db start_volfs

note "room that was used before reads as zeroes"
dirty db
rmdir db random
if [ -n "$(ls .volfs/trash)" ]; then
	rmdir .volfs/trash/* 2>/dev/null || true
fi
emptied()
{
	[ -z "$(ls "$STATE/disk")" ]
}
wait_for 30 emptied
volume again size=64M
ok zeroes again/data
cd /
stop_volfs

note "a disk that is full: told, and nothing else is harmed"
mkdir "$T/small"
mount -t tmpfs -o size=24M none "$T/small"
cat >"$T/volfs.conf" <<END
	database = "$T/small.db"; trash_delay = 0;
	backends = ( { name = "small"; driver = "local"; path = "$T/small"; max_over_subscription_ratio = 20.0; } );
END
start_volfs -c "$T/volfs.conf"
cd "$MNT"
volume one size=64M
volume two size=64M
ok dd if="$T/short" of=two/data bs=1M conv=notrunc,fsync status=none
not dd if=/dev/urandom of=one/data bs=1M count=32 conv=notrunc,fsync status=none 2>"$T/err"
match 'No space left on device' "$(cat "$T/err")"
ok cmp -n $((8 << 20)) "$T/short" two/data
not dd if=/dev/urandom of=one/data bs=64K count=512 oflag=direct conv=notrunc,fsync status=none 2>"$T/err"
match 'No space left on device' "$(cat "$T/err")"
: >one/data
ok zeroes one/data
ok dd if="$T/short" of=one/data bs=1M conv=notrunc,fsync status=none
ok cmp -n $((8 << 20)) "$T/short" one/data

note "a write that failed behind its caller's back is told by the close, also if the server was killed meanwhile"
not dd if=/dev/zero of="$T/small/filler" bs=1M status=none
timeout 60 python3 - "$(server_pid)" <<-'END'
	import errno, os, signal, sys

	fd = os.open("one/data", os.O_RDWR)
	os.pread(fd, 4096, 0) # the image is open: writes are kept
	for at in range(32 << 20, 48 << 20, 4096):
	    try:
	        os.pwrite(fd, b"x" * 4096, at)
	    except OSError as e: # an earlier one has failed by now, and no more are kept
	        assert e.errno == errno.ENOSPC and at > 32 << 20, e
	        break
	os.kill(int(sys.argv[1]), signal.SIGKILL)
	try:
	    os.close(fd)
	    sys.exit("the close told nothing")
	except OSError as e:
	    assert e.errno == errno.ENOSPC, e
END
cd /
stop_volfs
umount "$T/small"

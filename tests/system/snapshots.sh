#!/bin/bash
# Snapshots on the local driver: taken, listed, named, counted, of a volume in use, interrupted, over the death of the server; their bytes.
# The storage is a filesystem of the test's own, which shares bytes between files, and can be frozen: then every change waits.
# timeout: 240 full: 1200
# sanitize
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh"
. "$SRC/tests/system/data-lib.sh"
. "$SRC/tests/system/snapshots-lib.sh"

rounds=8
[ -z "${VOLFS_TEST_FULL:-}" ] || rounds=100

snapshots_dir()
{
	echo "$STATE/disk/.volume-$(cat "$1/id").snapshots"
}
same()
{
	ok cmp "$1/data" "$STATE/disk/volume-$(cat "$1/id")"
}
same_snapshot()
{
	ok cmp "$1/snapshots/$2/data" "$(snapshots_dir "$1")/snapshot-$(cat "$1/snapshots/$2/id")"
}
stored_snapshots()
{
	ls "$(snapshots_dir "$1")" 2>/dev/null | wc -l
}
hang()
{
	fsfreeze -f "$STATE/disk"
}
go_on()
{
	fsfreeze -u "$STATE/disk"
}

make_files
mkdir -p "$STATE/disk"
truncate -s 1G "$T/disk.img"
mkfs.xfs -q "$T/disk.img"
ok mount -o loop "$T/disk.img" "$STATE/disk"
at_exit 'mountpoint -q "$STATE/disk" && { fsfreeze -u "$STATE/disk"; umount "$STATE/disk"; } 2>/dev/null'
allow_log 'backend local: '
start_volfs --restarts 0 -c "$(local_conf 'stats_interval = 1;')"
cd "$MNT"
volume db size=64M
volume other size=64M

note "taken"
snapshots_are_taken db

note "named"
snapshots_have_names db other

note "counted"
snapshots_count db

note "of a volume in use"
snapshots_while_in_use db

note "a filesystem"
snapshots_hold_a_filesystem db

note "read"
snapshots_are_read db kill_server

note "interrupted"
snapshots_are_interrupted db

note "while the server is killed, $rounds times"
snapshots_outlive_servers db "$rounds" kill_server

note "while the server is replaced"
snapshots_outlive_an_upgrade db

note "many of one volume"
ok mkdir db/snapshots/{1..100}
eq "$(seq 100 | paste -sd' ')" "$(snapshots_of db)"
gone_everywhere db
eq "$(printf '%s\n' "volume-$(cat db/id)" "volume-$(cat other/id)" | sort)" "$(ls -A "$STATE/disk" | sort)"
rmdir db other
cd /
stop_volfs
umount "$STATE/disk"

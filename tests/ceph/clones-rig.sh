#!/bin/bash
# A cluster with two pools, `one` and `two`, and a volfs on both; for snapshots.sh, clones.sh and adopt.sh, which say rounds and $OPTIONS of
# the configuration before. Sourced after lib.sh and the bodies in ../system, which say what the functions here must do.
# shellcheck source=/dev/null

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
for pool in one two; do
	ceph_cmd osd pool create $pool 8
	rbd_cmd pool init $pool
done

image() # NAME: as rbd names it
{
	echo "$(cat "$1/backend")/volume-$(cat "$1/id")"
}
same()
{
	rbd_cmd export "$(image "$1")" - | cmp - "$1/data" || fail "$1/data and rbd export differ"
}
same_snapshot()
{
	rbd_cmd export "$(image "$1")@snapshot-$(cat "$1/snapshots/$2/id")" - | cmp - "$1/snapshots/$2/data" ||
		fail "$1/snapshots/$2/data and rbd export differ"
}
stored_snapshots()
{
	rbd_cmd snap ls --all --format json "$(image "$1")" | jq length
}
needs()
{
	rbd_cmd info --format json "$(image "$1")" | jq -e .parent >/dev/null
}
hang()
{
	kill -STOP "$(cat "$CEPH/run/osd.0.pid")"
}
go_on()
{
	kill -CONT "$(cat "$CEPH/run/osd.0.pid")"
	wait_for 60 is_up
}
at_exit 'kill -CONT "$(cat "$CEPH/run/osd.0.pid")"'
slow()
{
	hang
}
fast()
{
	go_on
}
is_up()
{
	[ "$(cat "$MNT"/.volfs/backends/{one,two}/state | uniq)" = up ]
}
no_images()
{
	[ -z "$(rbd_cmd ls one; rbd_cmd ls two; rbd_cmd trash ls one; rbd_cmd trash ls two)" ]
}

backend() # POOL [OPTIONS]
{
	echo "{ name = \"$1\"; driver = \"rbd\"; ceph_conf = \"$CONF\"; pool = \"$1\"; timeout = 10; direct = \"${DIRECT:-auto}\"; ${2:-} }"
}
mkdir -p "$STATE"
cat >"$T/volfs.conf" <<END
	database = "$STATE/volfs.db"; trash_delay = 0; stats_interval = 1; max_clone_depth = 2; admin_group = "disk";
	quota = { volumes = -1; size = -1; snapshots = -1; }; ${OPTIONS:-}
	types = ( { name = "one"; extra_specs = [ "volume_backend_name=one" ]; } );
	scheduler = { filters = [ "availability_zone", "capacity", "capabilities", "different_backend" ]; };
	backends = ( $(backend one), $(backend two) );
END
chmod 755 "$T"
allow_log 'backend (one|two): '
start_volfs --restarts 0 -c "$T/volfs.conf"
wait_for 60 is_up
cd "$MNT"

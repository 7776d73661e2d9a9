#!/bin/bash
# Ceph in trouble: not there at the start, dying in the middle of creations, gone and back, without its pool, full, refusing the
# key, fencing us. Meanwhile nothing that only looks may hang, and afterwards nothing may be left over.
# timeout: 400
# alone
. "$(dirname "$0")/../system/lib.sh"

CEPH=$T/ceph
ceph_dev()
{
	"$SRC/tests/ceph/ceph-dev" "$@" >>"$T/ceph.log" 2>&1
}
ceph_cmd()
{
	timeout 30 ceph -c "$CEPH/ceph.conf" "$@" 2>>"$T/ceph.log"
}
at_exit 'ceph_dev wipe "$CEPH"'

pid_of()
{
	cat "$CEPH/run/$1.pid"
}

objects()
{
	rados -c "$CEPH/ceph.conf" -p vols ls --all | sed 's/.*\t//' | sort
}

make_pool()
{
	ceph_cmd osd pool create vols 8
	rbd -c "$CEPH/ceph.conf" pool init vols
	rbd -c "$CEPH/ceph.conf" create --size 1 vols/first
	rbd -c "$CEPH/ceph.conf" rm --no-progress vols/first
	objects >"$T/objects.empty"
}

# conf BACKEND…: with the rbd backend ssd and what is given
conf()
{
	local user=${USER_OF_CEPH:-admin}
	cat >"$T/volfs.conf" <<-END
		database = "$STATE/volfs.db"; trash_delay = 0; quota = { volumes = -1; size = -1; }; stats_interval = 1;
		backends = ( { name = "ssd"; driver = "rbd"; ceph_conf = "$CEPH/ceph.conf"; ceph_user = "$user"; pool = "vols"; timeout = 3; }
		$* );
	END
}
disk=", { name = \"disk\"; driver = \"local\"; path = \"$T/disk\"; zone = \"other\"; }"

state()
{
	cat "$MNT/.volfs/backends/ssd/state"
}
is()
{
	[ "$(state)" = "$1" ]
}
settled()
{
	! grep -qsE 'ing$' "$MNT"/*/status && [ -z "$(ls "$MNT/.volfs/trash")" ] &&
		[ -z "$(sqlite3 "file:$STATE/volfs.db?mode=ro" 'SELECT id FROM job')" ]
}

# Everything that only looks answers at once.
looks()
{
	timeout 5 sh -c 'ls -lR "$0" && stat "$0"/* && df "$0" "$0"/new && cat "$0"/.volfs/*/*/* "$0"/*/status' "$MNT" \
		>"$T/looked" 2>&1 || [ $? != 124 ] || fail "looking around hangs: $1"
}

# Nothing in the pool but what belongs to the volumes of the catalogue, and nothing in the catalogue that is not in the pool.
nothing_left()
{
	wait_for 60 settled
	sqlite3 "file:$STATE/volfs.db?mode=ro" "SELECT 'rbd_id.volume-' || v.uuid || char(10) || 'rbd_header.' || image_id ||
		char(10) || 'rbd_object_map.' || image_id FROM volume v JOIN backend b ON b.id = v.backend WHERE b.name = 'ssd'" \
		>"$T/objects.volumes"
	diff <(cat "$T/objects.empty" "$T/objects.volumes" | sort) <(objects) || fail "$1: objects wanted (<) and there (>)"
	eq "$(ls "$MNT" | sed /^new$/d | wc -l)" "$(cat "$MNT/.volfs/quotas/root/volumes.current")" "quota, $1"
}

remove_all()
{
	local v
	for v in "$MNT"/*; do
		[ "${v##*/}" = new ] || ok rmdir "$v"
	done
	wait_for 60 settled
}

mkdir -p "$STATE" "$T/disk"

note "Ceph is not there: volfs starts, says why, and the other backend serves"
conf "$disk"
start_volfs -c "$T/volfs.conf"
cd "$MNT"
wait_for 10 grep -qx ready .volfs/status
eq down "$(state)"
match '^down since [0-9:]+: .*ceph\.conf' "$(cat .volfs/backends/ssd/error)"
volume there zone=other size=1
eq disk "$(cat there/backend)"
echo size=1 >new/nowhere
eq error "$(timeout 20 cat nowhere/wait 2>/dev/null || true)"
match 'ssd: down since' "$(cat nowhere/error)"
looks "without Ceph"
ok rmdir nowhere

note "Ceph comes: without its pool it is down still, then it is up by itself"
ceph_dev start "$CEPH" --store bluestore --osd-gb 4 --mon-interval 0.05 # memstore forgets when it is killed
no_pool()
{
	grep -q "pool 'vols' does not exist" .volfs/backends/ssd/error
}
wait_for 20 no_pool
make_pool
wait_for 20 is up
eq '' "$(cat .volfs/backends/ssd/error)"
volume first
eq ssd "$(cat first/backend)"
nothing_left "after the start"
cd /
stop_volfs

# From here on the other backend is in the same zone, but smaller: it is the second choice.
mkdir "$T/small"
mount -t tmpfs -o size=64m volfs-test "$T/small"
conf ", { name = \"disk\"; driver = \"local\"; path = \"$T/small\"; }, { name = \"old\"; driver = \"local\"; path = \"$T/disk\"; zone = \"other\"; }"
start_volfs -c "$T/volfs.conf"
cd "$MNT"
wait_for 20 is up
wait_for 20 grep -qx ready .volfs/status
osd=$(pid_of osd.0)

note "the OSD stops in the middle of 50 creations: they go to the other backend"
wait_for 20 grep -qE '^[1-9]' .volfs/backends/ssd/free
volume onceph
eq ssd "$(cat onceph/backend)"
kill -STOP "$osd"
at_exit 'kill -CONT $osd 2>/dev/null'
for i in $(seq 50); do
	echo size=1M >"new/mid$i"
done
looks "with a stopped OSD"
timed()
{
	timeout 5 cat onceph/status onceph/size onceph/connection >/dev/null || fail "reading a volume hangs"
}
timed
wait_for 20 is down
match '^down since [0-9:]+: ' "$(cat .volfs/backends/ssd/error)"
looks "with a backend that is down"
all_available()
{
	[ "$(cat mid*/status | grep -cx available)" = 50 ]
}
wait_for 20 all_available
eq 50 "$(cat mid*/backend | grep -cx disk)" "on the other backend"
note "… it goes on: nothing of the attempts is left"
kill -CONT "$osd"
wait_for 30 is up
nothing_left "after a stopped OSD"
remove_all
nothing_left "after the removal"

note "the OSD is killed under creations, and starts again"
for i in $(seq 50); do
	echo size=1M >"new/kill$i"
	[ "$i" != 25 ] || kill -9 "$osd"
done
looks "with a dead OSD"
wait_for 20 is down
wait_for 30 sh -c "! cat $MNT/kill*/status | grep -q creating"
wait_for 30 gone "$osd"
ceph-osd -c "$CEPH/ceph.conf" -i 0 >>"$T/ceph.log" 2>&1
osd=$(pid_of osd.0)
wait_for 60 is up
nothing_left "after a killed OSD"
eq 50 "$(cat kill*/status | grep -cx available)"

note "SIGTERM with a stopped OSD ends in time; the next start takes the work up"
remove_all
volume last
kill -STOP "$osd"
for i in $(seq 8); do
	echo size=1M >"new/term$i"
done
id=$(cat last/id)
ok rmdir last
cd /
allow_log 'calls are still under way'
began=$SECONDS
stop_volfs
[ $((SECONDS - began)) -le 10 ] || fail "SIGTERM took $((SECONDS - began)) s"
kill -CONT "$osd"
start_volfs -c "$T/volfs.conf"
cd "$MNT"
wait_for 30 is up
eq deleted "$(timeout 30 cat ".volfs/trash/$id/wait")"
wait_for 30 settled
eq 8 "$(cat term*/status | grep -cx available)"
nothing_left "after SIGTERM"

note "fenced by somebody: the server ends, another serves"
volume before
fenced=$(server_pid)
uses=$(sqlite3 "file:$STATE/volfs.db?mode=ro" "SELECT address FROM client ORDER BY id DESC LIMIT 1")
address=$(grep -oE '127\.0\.0\.1:[0-9]+/[0-9]+' <<<"$uses" | head -n1)
ceph_cmd osd blocklist add "$address" 300
echo size=1M >new/fenced
replaced()
{
	[ "$(server_pid)" != "$fenced" ]
}
wait_for 30 replaced
eq available "$(timeout 30 cat fenced/wait)"
volume after
nothing_left "after a fence"

note "the pool has a quota that is used up: the sentence, nothing hangs, removal works"
remove_all
volume full
echo size=1M zone=other >new/aside
ceph_cmd osd pool set-quota vols max_objects 1
is_full()
{
	ceph_cmd osd pool ls detail | grep "'vols'" | grep -q full_quota
}
wait_for 30 is_full
for i in 1 2 3; do
	echo size=1M >"new/quota$i"
	eq available "$(timeout 30 cat "new/../quota$i/wait")"
done
looks "with a full pool"
ok rmdir full
eq 3 "$(cat quota?/status | grep -cx available)"
ceph_cmd osd pool set-quota vols max_objects 0
wait_for 60 settled
nothing_left "after a full pool"

note "the pool is deleted: the sentence; made again, it serves"
remove_all
volume lost
ceph_cmd osd pool delete vols vols --yes-i-really-really-mean-it
wait_for 20 is down
match "pool 'vols'" "$(cat .volfs/backends/ssd/error)"
looks "without a pool"
echo size=1M >new/elsewhere
eq available "$(timeout 30 cat elsewhere/wait)"
eq disk "$(cat elsewhere/backend)"
make_pool
wait_for 30 is up
ok rmdir lost
wait_for 30 settled
wait_for 20 grep -qE '^[1-9]' .volfs/backends/ssd/free # until then it is unknown, and the last choice
volume again
eq ssd "$(cat again/backend)"
remove_all
nothing_left "after a new pool"
cd /
stop_volfs

note "a client with the rights of the README is enough; a key that is gone: the sentence, and the other backend serves"
ceph_cmd auth get-or-create client.weak mon 'profile rbd' osd 'profile rbd pool=vols' mgr 'profile rbd pool=vols' \
	>"$T/weak.keyring"
cat "$T/weak.keyring" >>"$CEPH/keyring"
USER_OF_CEPH=weak conf "$disk"
rm -f "$STATE"/volfs.db*
start_volfs -c "$T/volfs.conf"
wait_for 20 is up
volume weak
eq ssd "$(cat "$MNT/weak/backend")"
ok rmdir "$MNT/weak"
wait_for 30 settled
stop_volfs
ceph_cmd auth rm client.weak
start_volfs -c "$T/volfs.conf"
wait_for 20 is down
refused()
{
	grep -q 'refused the key of client.weak' "$MNT/.volfs/backends/ssd/error"
}
wait_for 20 refused
volume aside size=1 zone=other
stop_volfs
objects >"$T/objects"
diff "$T/objects.empty" "$T/objects" || fail "objects before (<) and after (>)"

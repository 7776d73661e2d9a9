#!/bin/bash
# volfs --check and --repair on a pool: what rbd and rados changed behind the catalogue's back is named and mended, work in progress and what
# others have in the pool is none of it.
# timeout: 300 full: 1200
# shellcheck source=/dev/null
. "$(dirname "$0")/../system/lib.sh"

rounds=6
[ -z "${VOLFS_TEST_FULL:-}" ] || rounds=100
CEPH=$T/ceph
conf=$T/volfs.conf

ceph_dev()
{
	"$SRC/tests/ceph/ceph-dev" "$@" >>"$T/ceph.log" 2>&1
}
ceph_cmd()
{
	timeout 30 "$1" -c "$CEPH/ceph.conf" "${@:2}" 2>>"$T/ceph.log"
}
at_exit 'ceph_dev wipe "$CEPH"'
# checks STATUS ARGS…, says LINES…: as in ../system/check.sh
checks()
{
	local want=$1 status=0
	shift
	timeout 60 "$VOLFS" -c "$conf" "$@" >"$T/said" 2>"$T/err" || status=$?
	sort "$T/said" >"$T/out"
	[ "$status" = "$want" ] || fail "volfs $*: exit status $status, not $want: $(cat "$T/said" "$T/err")"
}
says()
{
	local line
	for line; do
		grep -qxF -- "$line" "$T/out" || fail "not said: $line; but: $(cat "$T/out")"
	done
	eq $# "$(wc -l <"$T/out")" "lines: $(cat "$T/out")"
}
image_id()
{
	ceph_cmd rbd info --format json "vols/$1" | jq -r .id
}

ceph_dev start "$CEPH" --mon-interval 0.05
ceph_cmd ceph osd pool create vols 8
ceph_cmd rbd pool init vols
cat >"$conf" <<-END
	database = "$STATE/volfs.db"; trash_delay = 0; stats_interval = 1;
	quota = { volumes = -1; size = -1; snapshots = -1; };
	backends = ( { name = "ssd"; driver = "rbd"; ceph_conf = "$CEPH/ceph.conf"; pool = "vols"; timeout = 5; } );
END

note "all agrees, beside the daemon"
start_volfs -c "$conf"
wait_for 30 grep -qx ready "$MNT/.volfs/status"
for name in db log gone broken; do
	volume "$name" size=8M
done
mkdir "$MNT/db/snapshots/monday" "$MNT/db/snapshots/tuesday"
volume clone snapshot=db@tuesday
ceph_cmd rbd create --size 1M vols/vm-disk
ceph_cmd rbd create --size 1M vols/vm-old
ceph_cmd rbd trash mv vols/vm-old
checks 0 --check
says "0 differences; 5 volumes and 2 snapshots were compared"

note "by hand"
id() { cat "$MNT/$1/id"; }
db=$(id db) log=$(id log) gone=$(id gone) broken=$(id broken) monday=$(id db/snapshots/monday)
stop_volfs
orphan=$(uuidgen) half=$(uuidgen) none=$(uuidgen) creation=$(uuidgen)
ceph_cmd rbd rm --no-progress "vols/volume-$gone"
ceph_cmd rbd resize --no-progress --size 4M --allow-shrink "vols/volume-$log"
ceph_cmd rados -p vols rm "rbd_header.$(image_id "volume-$broken")"
ceph_cmd rbd create --size 1M "vols/volume-$orphan"
ceph_cmd rbd create --size 1M "vols/volume-$half"
half_id=$(image_id "volume-$half")
ceph_cmd rados -p vols rm "rbd_header.$half_id"
ceph_cmd rados -p vols rmomapkey rbd_directory "name_volume-$half"
ceph_cmd rados -p vols rmomapkey rbd_directory "id_$half_id"
ceph_cmd rbd snap rm --no-progress "vols/volume-$db@snapshot-$monday"
for snap in "snapshot-$none" "volume-$creation.clone_snap" theirs; do
	ceph_cmd rbd snap create --no-progress "vols/volume-$db@$snap"
done
differences=(
	"ssd: volume 'gone' ($gone): its image is missing"
	"ssd: volume 'log' ($log): its image has 4194304 bytes, not 8388608"
	"ssd: image 'volume-$orphan' is no volume's: adopt it, or remove it by hand"
	"ssd: 'volume-$half' was left over by an interrupted change"
	"ssd: volume 'db' ($db): its snapshot 'monday' ($monday) is missing"
	"ssd: volume 'db' ($db): its image's snapshot 'snapshot-$none' is none of the volume's: remove it by hand"
	"ssd: volume 'db' ($db): its image's temporary snapshot 'volume-$creation.clone_snap' was left over"
)
checks 1 --check
grep -F "volume 'broken'" "$T/out" >"$T/broken" || fail "nothing of the broken image: $(cat "$T/out")"
match "^ssd: volume 'broken' \($broken\): its image is broken: " "$(cat "$T/broken")"
says "${differences[@]}" "$(cat "$T/broken")" "8 differences; 5 volumes and 2 snapshots were compared"

note "--repair"
checks 1 --repair
says "${differences[0]}: mended: the volume is in error now" \
	"${differences[1]}: mended: that is the volume's size now" \
	"${differences[2]}" \
	"${differences[3]}: mended: removed" \
	"${differences[4]}: mended: forgotten" \
	"${differences[5]}" \
	"${differences[6]}: mended: removed" \
	"$(cat "$T/broken")" \
	"8 differences, 5 mended; 5 volumes and 2 snapshots were compared"
eq '' "$(ceph_cmd rados -p vols ls | grep -e "$half" -e "$half_id" || true)" "objects of what was left over"
eq "snapshot-$none theirs" "$(ceph_cmd rbd snap ls --format json "vols/volume-$db" | jq -r '.[].name' |
	grep -v "snapshot-$(sqlite3 "$STATE/volfs.db" 'SELECT uuid FROM snapshot')" | sort | xargs)" "snapshots of db"
ceph_cmd rbd rm --no-progress "vols/volume-$orphan"
ceph_cmd rbd snap rm --no-progress "vols/volume-$db@snapshot-$none"
ceph_cmd rados -p vols rmomapkey rbd_directory "name_volume-$broken"
ceph_cmd rados -p vols rm "rbd_id.volume-$broken" # it is missing now
checks 0 --repair
checks 0 --check

note "beside a daemon at work"
start_volfs -c "$conf"
wait_for 30 grep -qx ready "$MNT/.volfs/status"
eq "4M error error" "$(cat "$MNT"/{log/size,gone/status,broken/status} | xargs)"
cd "$MNT"
work()
{
	local i=0
	while [ ! -e "$T/enough" ]; do
		mkdir "db/snapshots/s$1.$i" && echo "snapshot=db@s$1.$i" >"new/c$1.$i" && rmdir "db/snapshots/s$1.$i" || true
		echo size=1M >"new/v$1.$i"
		cat "c$1.$i/wait" "v$1.$i/wait" >/dev/null 2>&1 || true
		rmdir "c$1.$i" "v$1.$i" 2>/dev/null || true
		i=$((i + 1))
	done
}
workers=
for w in 1 2 3; do
	work "$w" >/dev/null 2>>"$T/work.err" &
	workers+=" $!"
done
for ((i = 0; i < rounds; i++)); do
	checks 0 --check
done
touch "$T/enough"
# shellcheck disable=SC2086
wait $workers
cd /
[ "$(sqlite3 "$STATE/volfs.db" "SELECT seq FROM sqlite_sequence WHERE name = 'volume'")" -gt 20 ] || fail "hardly any work: $(tail "$T/work.err")"
stop_volfs
checks 0 --check

note "the cluster is away"
ceph_dev stop "$CEPH"
checks 2 --check
match "^volfs: ssd: " "$(cat "$T/err")"

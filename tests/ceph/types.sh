#!/bin/bash
# Volume types on two pools and a local backend: a type for each, the limits that librbd keeps of its QoS specs whichever way the image
# is made, what a retry makes of a type, and what it leaves.
# timeout: 200
# shellcheck source=/dev/null
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
rbd_cmd()
{
	timeout 30 rbd -c "$CEPH/ceph.conf" "$@" 2>>"$T/ceph.log"
}
at_exit 'ceph_dev wipe "$CEPH"'

ceph_dev start "$CEPH" --mon-interval 0.05
for pool in one two; do
	ceph_cmd osd pool create "$pool" 8
	rbd_cmd pool init "$pool"
done
mkdir "$T/disk"
rbd_backend() # NAME POOL DIRECT
{
	echo "{ name = \"$1\"; driver = \"rbd\"; ceph_conf = \"$CEPH/ceph.conf\"; pool = \"$2\"; timeout = 5; direct = \"$3\";
		capabilities = { class = \"$2\"; }; }"
}
conf() # DIRECT
{
	cat >"$T/volfs.conf" <<-END
		database = "$STATE/volfs.db"; trash_delay = 0; quota = { volumes = -1; size = -1; }; stats_interval = 1;
		types = ( { name = "one"; extra_specs = [ "volume_backend_name=one" ]; },
			  { name = "two"; extra_specs = [ "volume_backend_name=two" ]; },
			  { name = "local"; extra_specs = [ "storage_protocol=local" ]; },
			  { name = "any-pool"; extra_specs = [ "storage_protocol=ceph" ]; } );
		backends = ( $(rbd_backend one one "$1"), $(rbd_backend two two "$1"),
			     { name = "disk"; driver = "local"; path = "$T/disk"; } );
	END
}
start()
{
	start_volfs -c "$T/volfs.conf"
	cd "$MNT"
	wait_for 30 grep -qx ready .volfs/status
}
goes() # BACKEND NAME WORDS…
{
	local want=$1 name=$2
	shift 2
	volume "$name" size=8M "$@"
	eq "$want" "$(cat "$name/backend")" "backend of $name ($*)"
}
image() # NAME: as rbd names it
{
	echo "$(cat "$1/backend")/volume-$(cat "$1/id")"
}
# limits NAME: the options that the image has of its own, as librbd understands them
limits()
{
	rbd_cmd config image list --format json "$(image "$1")" |
		jq -r '.[] | select(.source == "image") | "\(.name)=\(.value)"' | sort | tr '\n' ' '
}
metadata()
{
	rbd_cmd image-meta list --format json "$(image "$1")" | jq -r 'to_entries[] | "\(.key)=\(.value)"' | sort | tr '\n' ' '
}
images() # of both pools and the disk: how many
{
	echo $(($(rbd_cmd ls one | wc -l) + $(rbd_cmd ls two | wc -l) + $(find "$T/disk" -name 'volume-*' | wc -l)))
}
connection()
{
	grep '^qos\.' "$1/connection" | sort | tr '\n' ' ' || true
}

for direct in on off; do
	conf $direct
	start
	note "direct = $direct: a type for each"
	goes one "one-$direct" type=one
	goes two "two-$direct" type=two
	goes disk "local-$direct" type=local
	ok rbd_cmd info "$(image "two-$direct")" >"$T/out"

	note "direct = $direct: limits"
	qos=.volfs/types/one/qos
	printf '500\n' >$qos/total_iops_sec
	echo 1048576 >$qos/write_bytes_sec
	echo 2000 >$qos/total_iops_sec_max
	echo hello >$qos/unknown
	echo 30 >$qos/read_iops_sec_per_gb
	want='rbd_qos_iops_burst=2000 rbd_qos_iops_limit=500 rbd_qos_write_bps_limit=1048576 '
	wanted_meta='conf_rbd_qos_iops_burst=2000 conf_rbd_qos_iops_limit=500 conf_rbd_qos_write_bps_limit=1048576 '
	told='qos.read_iops_sec_per_gb=30 qos.total_iops_sec=500 qos.total_iops_sec_max=2000 qos.unknown=hello qos.write_bytes_sec=1048576 '
	for consumer in back-end both; do
		echo $consumer >$qos/consumer
		goes one "limited-$consumer-$direct" type=one
		eq "$want" "$(limits "limited-$consumer-$direct")"
		eq "$wanted_meta" "$(metadata "limited-$consumer-$direct")"
		eq "$([ $consumer = back-end ] || printf %s "$told")" "$(connection "limited-$consumer-$direct")"
	done
	echo front-end >$qos/consumer
	goes one "limited-front-end-$direct" type=one
	eq '' "$(limits "limited-front-end-$direct")$(metadata "limited-front-end-$direct")"
	eq "$told" "$(connection "limited-front-end-$direct")"
	eq '' "$(limits "one-$direct")" "what was made before keeps what it had"
	goes two "unlimited-$direct" type=two
	eq '' "$(limits "unlimited-$direct")"
	ok timeout 60 rbd -c "$CEPH/ceph.conf" bench --io-type write --io-size 4K --io-total 64K "$(image "limited-both-$direct")" >"$T/bench" 2>&1
	echo 16M >"limited-both-$direct/size"
	eq available "$(timeout 30 cat "limited-both-$direct/wait")"
	eq "$want" "$(limits "limited-both-$direct")" "extended"
	rm $qos/{unknown,total_iops_sec,write_bytes_sec,total_iops_sec_max,read_iops_sec_per_gb}
	echo back-end >$qos/consumer
	rmdir ./*-$direct
	trash_is_empty()
	{
		[ -z "$(ls .volfs/trash)" ]
	}
	wait_for 30 trash_is_empty
	eq 0 "$(images)" "images left"
	cd /
	stop_volfs
done

note "a disabled backend"
conf auto
start
echo disabled >.volfs/backends/one/state
goes two elsewhere type=any-pool
echo size=8M type=one >new/nowhere
eq error "$(timeout 30 cat nowhere/wait 2>/dev/null || true)"
match "one: disabled by an administrator; two: its capability 'volume_backend_name' is .two.*; disk: " "$(cat nowhere/error)"
echo enabled >.volfs/backends/one/state
wait_for 10 grep -qx up .volfs/backends/one/state
goes one again type=one
rmdir elsewhere nowhere again

note "a pool that is full: a type that may goes to the other, one that may not says so"
wait_for 30 trash_is_empty
ceph_cmd osd pool set-quota one max_bytes $((4 << 20))
full()
{
	[ "$(cat .volfs/backends/one/free)" -le $((4 << 20)) ]
}
echo '20' >.volfs/types/any-pool/qos/total_iops_sec
wait_for 30 full
goes two second-choice type=any-pool
eq 'rbd_qos_iops_limit=20 ' "$(limits second-choice)"
echo size=1G type=one >new/too-large
eq error "$(timeout 30 cat too-large/wait 2>/dev/null || true)"
match "one: .* wanted" "$(cat too-large/error)"
ceph_cmd osd pool set-quota one max_bytes 0
roomy()
{
	[ "$(cat .volfs/backends/one/free)" -gt $((1 << 30)) ]
}
wait_for 30 roomy
rmdir second-choice too-large

note "a pool that is deleted: the next attempt goes to another of the type, with its limits; nothing is left"
wait_for 30 trash_is_empty
cd /
stop_volfs
sed -i 's/stats_interval = 1;/stats_interval = 3600;/' "$T/volfs.conf"
start
mkdir .volfs/types/first-choice
echo '<or> one <or> two' >.volfs/types/first-choice/extra_specs/class
echo 30 >.volfs/types/first-choice/qos/read_iops_sec
ceph_cmd config set mon mon_allow_pool_delete true
ceph_cmd osd pool delete one one --yes-i-really-really-mean-it
echo 1 >.volfs/types/first-choice/default
for i in 1 2 3 4; do
	echo size=8M >"new/retry$i"
done
for i in 1 2 3 4; do
	eq available "$(timeout 60 cat "retry$i/wait")"
	eq two "$(cat "retry$i/backend")"
	eq first-choice "$(cat "retry$i/type")"
	eq 'rbd_qos_read_iops_limit=30 ' "$(limits "retry$i")"
done
match 'one: .*attempt 2 on two' "$(cat retry?/history)"
echo size=8M type=one >new/lost
eq error "$(timeout 60 cat lost/wait 2>/dev/null || true)"
match 'tried one: |one: ' "$(cat lost/error)"
eq 'one first-choice' "$(echo $(cat lost/type retry1/type))"
rmdir lost retry?
left()
{
	[ "$(rbd_cmd ls two | wc -l)" = 0 ] && [ "$(cat .volfs/quotas/root/type/first-choice/volumes.current)" = 0 ]
}
wait_for 30 left
eq 0 "$(find "$T/disk" -name 'volume-*' | wc -l)" "files"
echo 0 >.volfs/types/first-choice/default
released()
{
	rmdir .volfs/types/first-choice
}
wait_for 30 released
cd /
stop_volfs

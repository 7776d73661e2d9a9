#!/bin/bash
# Two pools and a local backend: what they report, hints and queries, a pool that is deleted and what a retry makes of hints.
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
at_exit 'ceph_dev wipe "$CEPH"'

ceph_dev start "$CEPH" --mon-interval 0.05
for pool in one two; do
	ceph_cmd osd pool create "$pool" 8
	rbd -c "$CEPH/ceph.conf" pool init "$pool"
done
mkdir "$T/disk"
rbd_backend()
{
	echo "{ name = \"$1\"; driver = \"rbd\"; ceph_conf = \"$CEPH/ceph.conf\"; pool = \"$1\"; timeout = 5; $2 }"
}
cat >"$T/volfs.conf" <<-END
	database = "$STATE/volfs.db"; trash_delay = 0; quota = { volumes = -1; size = -1; }; stats_interval = 3600;
	scheduler = { filters = [ "availability_zone", "capacity", "same_backend", "different_backend", "json", "driver" ];
	              weighers = ( { name = "goodness"; } ); };
	backends = ( $(rbd_backend one 'goodness_function = "50"; capabilities = { disk = "ssd"; };'),
	             $(rbd_backend two 'goodness_function = "40"; filter_function = "volume.size < 2";'),
	             { name = "disk"; driver = "local"; path = "$T/disk"; goodness_function = "30"; } );
END
start_volfs -c "$T/volfs.conf"
cd "$MNT"
wait_for 30 grep -qx ready .volfs/status

note "what they report"
fsid=$(ceph_cmd fsid)
eq "[\"one\",\"ceph\",\"Open Source\",true,true,false,\"ceph:$CEPH/ceph.conf:$fsid:admin:one\",\"ssd\"]" \
	"$(jq -c '[.volume_backend_name, .storage_protocol, .vendor_name, .thin_provisioning_support, .multiattach,
		.replication_enabled, .location_info, .disk]' .volfs/backends/one/capabilities)"
eq '["two",null,"volume.size < 2"]' "$(jq -c '[.volume_backend_name, .disk, .filter_function]' .volfs/backends/two/capabilities)"
eq '"local"' "$(jq -c .storage_protocol .volfs/backends/disk/capabilities)"

# goes BACKEND NAME WORDS…
goes()
{
	local want=$1 name=$2
	shift 2
	volume "$name" size=1M "$@"
	eq "$want" "$(cat "$name/backend")" "backend of $name ($*)"
}

note "hints, queries, functions"
goes one first
goes two second hint.different_backend=first
goes two third hint.same_backend=second
goes one ssd "hint.query='[\"=\", \"\$capabilities.disk\", \"ssd\"]'"
goes disk no-ceph "hint.query='[\"not\", [\"=\", \"\$storage_protocol\", \"ceph\"]]'"
ok sh -c 'echo size=2G hint.different_backend=first >new/large'
eq available "$(timeout 30 cat large/wait)"
eq disk "$(cat large/backend)"

note "disabled, then enabled"
echo disabled >.volfs/backends/one/state
goes two while-disabled
ok sh -c 'echo 2M >first/size'
eq available "$(timeout 30 cat first/wait)"
echo enabled >.volfs/backends/one/state
goes one enabled-again

note "the pool is deleted: the next attempt follows the hint"
ceph_cmd config set mon mon_allow_pool_delete true
ceph_cmd osd pool delete one one --yes-i-really-really-mean-it
goes disk not-two hint.different_backend=second
match 'one: .*attempt 2 on disk' "$(cat not-two/history)"
cd /
stop_volfs

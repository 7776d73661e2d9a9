#!/bin/bash
# Programs outside that have an image open: shown as watchers, in the way of a deletion, evicted; whichever way the image was made. What
# `connection` says is enough for qemu-img and rbd.
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
rbd_backend() # POOL DIRECT
{
	echo "{ name = \"$1\"; driver = \"rbd\"; ceph_conf = \"$CEPH/ceph.conf\"; pool = \"$1\"; timeout = 5; direct = \"$2\"; }"
}
cat >"$T/volfs.conf" <<-END
	database = "$STATE/volfs.db"; trash_delay = 0; stats_interval = 1;
	types = ( { name = "one"; extra_specs = [ "volume_backend_name=one" ]; },
		  { name = "two"; extra_specs = [ "volume_backend_name=two" ]; },
		  { name = "shared"; extra_specs = [ "multiattach=<is> True" ]; } );
	backends = ( $(rbd_backend one on), $(rbd_backend two off) );
END
mkdir -p "$STATE"
start_volfs -c "$T/volfs.conf"
cd "$MNT"
wait_for 30 grep -qx ready .volfs/status

value() # VOLUME KEY: of its connection
{
	sed -n "s/^$2=//p" "$1/connection"
}
watchers() # VOLUME
{
	find "$1/attachments" -mindepth 1 -name 'watcher:*' -printf '%f\n'
}
seen() # VOLUME
{
	[ -n "$(watchers "$1")" ]
}
unseen()
{
	! seen "$1"
}

# Opens the image for writing and keeps it open; its pid is OUTSIDE.
open_outside() # VOLUME
{
	rm -f "$T/in"
	mkfifo "$T/in"
	qemu-io -f raw "$(value "$1" uri)" <"$T/in" >"$T/qemu.log" 2>&1 &
	OUTSIDE=$!
	exec 9>"$T/in"
	echo 'write 0 4k' >&9
	wait_for 20 grep -q 'wrote 4096' "$T/qemu.log"
}
close_outside()
{
	exec 9>&-
	wait "$OUTSIDE" || true
}
at_exit 'exec 9>&-'

for type in one two; do
	note "an image in pool $type: what connection says is enough"
	volume db size=8M type=$type
	match 'virtual size: 8 MiB' "$(qemu-img info "$(value db uri)")"
	match 'size 8 MiB' "$(timeout 30 rbd --id "$(value db user)" -m "$(value db monitors)" \
		-k "$(sed -n 's/^[ \t]*keyring *= *//p' "$CEPH/ceph.conf" | head -n 1)" \
		info "$(value db pool)/$(value db image)" 2>>"$T/ceph.log")"
	eq "$(ceph_cmd fsid)" "$(value db fsid)"
	eq "" "$(watchers db)"

	note "who has it open is seen, and keeps it"
	open_outside db
	wait_for 20 seen db
	eq 1 "$(watchers db | wc -l)"
	match '^watcher:127\.0\.0\.1:0%2F[0-9]+$' "$(watchers db)"
	w=db/attachments/$(watchers db)
	match '^127\.0\.0\.1:0/[0-9]+$' "$(cat "$w/host")"
	eq "rw 0 available" "$(cat "$w/mode") $(stat -c %u "$w") $(cat db/status)"
	match watcher "$(jq -r '.attachments[0].name' db/json)"
	expect_errno EBUSY rmdir db
	match "open by a program outside" "$(tail -n 1 .volfs/errors)"
	number=$(stat -c %i "$w")
	sleep 1.2
	seen db
	sleep .3
	eq "$number" "$(stat -c %i "$w")"

	note "it goes when it closes"
	close_outside
	wait_for 20 unseen db
	eq available "$(cat db/status)"

	note "an administrator evicts it"
	open_outside db
	wait_for 20 seen db
	w=db/attachments/$(watchers db)
	host=$(cat "$w/host")
	rmdir "$w"
	eq "" "$(watchers db)"
	match "${host//./\\.}" "$(ceph_cmd osd blocklist ls)"
	echo 'write 0 4k' >&9
	wait_for 30 grep -qi 'failed\|error' "$T/qemu.log"
	kill -9 "$OUTSIDE"
	close_outside
	match 'evicted by uid 0' "$(cat "$LOG")"

	note "then it can be deleted"
	rmdir db
	wait_for 20 eval '! ls .volfs/trash | grep -q .'
	eq "" "$(rbd_cmd ls "$type")"
done

note "a multi-attached volume, and a clone of it, have no lock that one of its hosts could hold"
features() # VOLUME
{
	rbd_cmd info --format json "$(value "$1" pool)/$(value "$1" image)" | jq -r '.features - ["operations"] | sort | join(",")'
}
volume both size=64M type=shared
volume clone source=both type=shared
for name in both clone; do
	eq deep-flatten,layering "$(features $name)"
	eq deep-flatten,layering "$(value $name features)"
done
volume alone size=8M
match exclusive-lock "$(features alone)"
eq "$(features alone)" "$(value alone features)"
rmdir clone alone

note "two write to it, block by block beside each other: all of both is there"
mkdir both/attachments/here both/attachments/there
cat >"$T/blocks.py" <<'END'
import os, sys
def fill(i):
    return i % 251 + 1
if sys.argv[1] == "write":  # the even blocks, into a file
    fd = os.open(sys.argv[2], os.O_RDWR)
    for i in range(0, 600, 2):
        assert os.pwrite(fd, bytes([fill(i)]) * 4096, i * 4096) == 4096
    os.fsync(fd)
elif sys.argv[1] == "commands":  # the odd ones, for qemu-io
    for i in range(1, 600, 2):
        print(f"write -q -P {fill(i)} {i * 4096} 4096")
else:
    got = sys.stdin.buffer.read()
    sys.exit([i for i in range(600) if got[i * 4096 : (i + 1) * 4096] != bytes([fill(i)]) * 4096] or 0)
END
python3 -S "$T/blocks.py" commands >"$T/commands"
python3 -S "$T/blocks.py" write both/data &
writer=$!
ok timeout 60 qemu-io -f raw -t none "$(value both uri)" <"$T/commands" >"$T/qemu.log" 2>&1
ok wait "$writer"
rbd_cmd export "$(value both pool)/$(value both image)" - | python3 -S "$T/blocks.py" check
rmdir both/attachments/here both/attachments/there
cd /
stop_volfs

#!/bin/bash
# Images in a pool that no volume owns: as on the local driver; and those that a client has open or locked, which stay whose they are.
# timeout: 300
# shellcheck source=/dev/null
. "$(dirname "$0")/../system/lib.sh"
. "$SRC/tests/system/data-lib.sh"
. "$SRC/tests/system/snapshots-lib.sh"
. "$SRC/tests/system/adopt-lib.sh"
. "$SRC/tests/ceph/clones-rig.sh"

foreign()
{
	rbd_cmd import --no-progress "$2" "one/$1"
}
is_foreign()
{
	rbd_cmd export --no-progress "one/$1" - | cmp - "$2" || fail "image $1 is not what it should be"
}
no_foreign()
{
	! rbd_cmd info "one/$1" >/dev/null
}
truncate -s 8M "$T/image"
dd if=/dev/urandom of="$T/image" bs=1M count=2 seek=3 conv=notrunc status=none

note "what nobody owns is shown"
images_are_shown

note "mv adopts it, and lets it go again"
images_are_adopted

note "with snapshots"
images_bring_snapshots

note "what is refused"
IMPOSSIBLE=a@b images_are_refused

note "what a client has locked, or open, and what has no whole blocks"
error_is() # NAME REGEX
{
	ls "$UNMANAGED" >"$T/out"
	grep -qE "$2" "$UNMANAGED/$1/error"
}
no_error()
{
	ls "$UNMANAGED" >"$T/out"
	[ -z "$(cat "$UNMANAGED/$1/error")" ]
}
foreign img "$T/image"
wait_for 15 seen img
rbd_cmd lock add one/img mine
wait_for 15 error_is img 'lock'
refused EBUSY 'lock' rename "$UNMANAGED/img" db
rbd_cmd lock remove one/img mine "$(rbd_cmd lock ls --format json one/img | jq -r '.[0].locker')"
mkfifo "$T/in"
qemu-io -f raw "rbd:one/img:conf=$CONF" <"$T/in" >"$T/qemu.log" 2>&1 &
client=$!
exec 9>"$T/in"
at_exit 'exec 9>&-'
echo 'write 0 4k' >&9
wait_for 20 grep -q 'wrote 4096' "$T/qemu.log"
wait_for 15 error_is img 'open|watch'
refused EBUSY 'open|watch' rename "$UNMANAGED/img" db
exec 9>&-
wait "$client"
wait_for 15 no_error img

note "nor let go what a client has open"
open_outside() # NAME
{
	mkfifo "$T/in.$1"
	: >"$T/qemu.log"
	qemu-io -f raw "$(sed -n s/^uri=//p "$1/connection")" <"$T/in.$1" >"$T/qemu.log" 2>&1 &
	client=$!
	exec 9>"$T/in.$1"
	echo 'write 0 4k' >&9
	wait_for 20 grep -q 'wrote 4096' "$T/qemu.log"
}
volume lent size=8M type=one
open_outside lent
refused EBUSY 'open by a program outside' rename lent "$UNMANAGED/lent"
eq available "$(cat lent/status)"
exec 9>&-
wait "$client"
ok mv lent "$UNMANAGED/lent"
wait_for 15 is_gone lent
rbd_cmd rm --no-progress one/lent
wait_for 15 unseen lent

rbd_cmd create --size 1048577B one/odd
wait_for 15 error_is odd '512'
refused EBUSY '512' rename "$UNMANAGED/odd" odd
rbd_cmd rm --no-progress one/odd
wait_for 15 unseen odd
rbd_cmd rm --no-progress one/img
wait_for 15 unseen img

note "while the server is killed"
images_outlive_servers 4 kill_server

wait_for 60 no_images
cd /
stop_volfs

#!/bin/bash
# Images that no volume owns: shown, adopted by mv, let go by mv, with their snapshots and bytes; what is refused; over the death of the
# server.
# timeout: 180
# sanitize
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh"
. "$SRC/tests/system/data-lib.sh"
. "$SRC/tests/system/snapshots-lib.sh"
. "$SRC/tests/system/adopt-lib.sh"

foreign() # NAME FILE
{
	cp --sparse=always "$2" "$T/one/$1"
}
is_foreign() # NAME FILE: the storage has it, with these bytes
{
	ok cmp "$T/one/$1" "$2"
}
no_foreign()
{
	[ ! -e "$T/one/$1" ]
}

mkdir "$T/one" "$T/two"
cat >"$T/volfs.conf" <<-END
	database = "$T/volfs.db"; trash_delay = 0; stats_interval = 1; admin_group = "disk";
	types = ( { name = "one"; extra_specs = [ "volume_backend_name=one" ]; } );
	backends = ( { name = "one"; driver = "local"; path = "$T/one"; max_over_subscription_ratio = 1000.0; },
		     { name = "two"; driver = "local"; path = "$T/two"; max_over_subscription_ratio = 1000.0; } );
END
truncate -s 8M "$T/image"
dd if=/dev/urandom of="$T/image" bs=1M count=2 seek=3 conv=notrunc status=none
chmod 755 "$T"
start_volfs --restarts 0 -c "$T/volfs.conf"
cd "$MNT"

note "what nobody owns is shown"
images_are_shown

note "mv adopts it, and lets it go again"
images_are_adopted

note "with snapshots"
images_bring_snapshots

note "what is refused"
IMPOSSIBLE=.hidden images_are_refused
printf x >>"$T/one/odd"
match 'multiple of 512' "$(wait_for 10 seen odd && cat .volfs/unmanaged/one/odd/error)"
refused EBUSY "512" rename .volfs/unmanaged/one/odd odd
rm "$T/one/odd"
wait_for 10 unseen odd

note "while the server is killed"
images_outlive_servers 6 kill_server

eq "" "$(ls -A "$T/one" "$T/two" | grep -v '^$\|:$' || true)"
cd /
stop_volfs

#!/bin/bash
# `revert`: the bytes of the latest snapshot are back, and whoever had read others does not see them any more; what is refused.
# timeout: 120
# sanitize
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh"
. "$SRC/tests/system/data-lib.sh"
. "$SRC/tests/system/snapshots-lib.sh"
. "$SRC/tests/system/revert-lib.sh"

same()
{
	ok cmp "$1/data" "$STATE/disk/volume-$(cat "$1/id")"
}

start_volfs --restarts 0 -c "$(local_conf)"
cd "$MNT"
volume db size=64M

note "back to the latest snapshot"
reverts_to_the_latest db

note "what is refused"
reverts_not db

note "while the server is killed"
reverts_outlive_servers db 8 kill_server

ok rmdir db
cd /
stop_volfs

#!/bin/bash
# A change is visible to every reader when its commit is, whatever the kernel has cached.
# sanitize
. "$(dirname "$0")/lib.sh"

rounds=10
[ -z "${VOLFS_TEST_FULL:-}" ] || rounds=300

# `used` is measured once: whose text grows while it is compared is no failure
start_volfs -c "$(local_conf 'stats_interval = 3600;')"
volume v size=1 metadata.k=v description=old
volume made source=v
cat "$MNT"/v/{used,json} >"$T/looked"
ok timeout 600 python3 "$SRC/tests/system/visible.py" "$MNT" "$rounds"
stop_volfs

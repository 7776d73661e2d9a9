#!/bin/bash
# Volumes made from volumes and snapshots on Ceph: clones, flattened ones, copies to another pool; compared with what `rbd export` gives.
# timeout: 600 full: 2400
# shellcheck source=/dev/null
. "$(dirname "$0")/../system/lib.sh"
. "$SRC/tests/system/data-lib.sh"
. "$SRC/tests/system/snapshots-lib.sh"
. "$SRC/tests/system/clones-lib.sh"

rounds=2 races=10
[ -z "${VOLFS_TEST_FULL:-}" ] || rounds=30 races=100
. "$SRC/tests/ceph/clones-rig.sh"

volume db size=64M

note "of a snapshot"
clones_of_a_snapshot db

note "of a volume"
clones_of_a_volume db

note "of clones"
clones_of_clones db

note "in another pool"
copies_to_another_backend db

note "for readers"
clones_are_for_readers db

note "while deletions race with them, $races times"
clones_race "$races"

note "while the server is killed, $rounds times"
clones_outlive_servers db "$rounds" kill_server

rmdir db
wait_for 60 no_images
cd /
stop_volfs

#!/bin/bash
# Snapshots and revert on Ceph: as on the local driver, each time compared with what `rbd export` gives; and many at once on a cluster whose
# monitor takes its time.
# timeout: 600 full: 2400
# shellcheck source=/dev/null
. "$(dirname "$0")/../system/lib.sh"
. "$SRC/tests/system/data-lib.sh"
. "$SRC/tests/system/snapshots-lib.sh"
. "$SRC/tests/system/revert-lib.sh"

rounds=4
[ -z "${VOLFS_TEST_FULL:-}" ] || rounds=60
. "$SRC/tests/ceph/clones-rig.sh"

make_files
volume db size=64M type=one
volume other size=64M type=one

note "taken"
snapshots_are_taken db

note "named"
snapshots_have_names db other

note "counted"
snapshots_count db

note "of a volume in use"
snapshots_while_in_use db

note "a filesystem"
snapshots_hold_a_filesystem db

note "open"
snapshots_are_read db kill_server

note "interrupted"
snapshots_are_interrupted db

note "while the server is killed, $rounds times"
snapshots_outlive_servers db "$rounds" kill_server

note "while the server is replaced"
snapshots_outlive_an_upgrade db

note "back to the latest snapshot"
reverts_to_the_latest db

note "not back"
reverts_not db

note "back, while the server is killed, $rounds times"
reverts_outlive_servers db "$rounds" kill_server

note "a chain of 100"
ok mkdir db/snapshots/{1..100}
eq "$(seq 100 | paste -sd' ')" "$(snapshots_of db)"
gone_everywhere db
rmdir db other
wait_for 60 no_images
cd /
stop_volfs

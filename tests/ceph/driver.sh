#!/bin/bash
# The drivers' conformance tests on a cluster of their own; those of processes that die are driver_crash.sh's. VOLFS_TEST_FULL=1: every
# combination, many rounds.
# timeout: 600 full: 6000
# alone
#
#   BUILD=build tests/ceph/driver.sh [same|format|qos|clone|crash|clone-crash|snap|images|snap-crash|trouble …]
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
build=$(readlink -f "${BUILD:-$here/../../build}")
tests=$build/tests/ceph/driver_tests
[ -x "$tests" ] || { echo "driver.sh: '$tests' is not built" >&2; exit 1; }

dir=$(mktemp -d "${T:-${TMPDIR:-/tmp}}/driver.XXXXXX")
trap '"$here/ceph-dev" wipe "$dir/ceph"; rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
conf=$("$here/ceph-dev" start "$dir/ceph" --mon-interval 0.05 2>"$dir/start.log") || { cat "$dir/start.log"; exit 1; }

# Removed snapshots are trimmed at once, and not a few objects a second.
ceph -c "$conf" config set osd osd_snap_trim_sleep 0.001
for pool in vols data; do
	ceph -c "$conf" osd pool create $pool 8 2>/dev/null
	rbd -c "$conf" pool init $pool
	rbd -c "$conf" namespace create $pool/team
done
# What librbd makes in a pool once and for all (directory, trash) is there before anything is compared.
for at in vols vols/team data data/team; do
	rbd -c "$conf" create --size 1 $at/first
	rbd -c "$conf" rm --no-progress $at/first
done
[ $# -gt 0 ] || set -- same format qos clone snap images trouble
"$tests" "$conf" "$dir" "$@"

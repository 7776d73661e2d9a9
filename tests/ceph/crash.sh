#!/bin/bash
# kill -9 of everything at any instant under 8 writers, on Ceph: what was answered is so, and every object in the pool belongs
# to a volume of the catalogue.
# timeout: 240 full: 6000
. "$(dirname "$0")/../system/lib.sh"

churn()
{
	/usr/bin/python3 -S "$SRC/tests/system/churn.py" "$@"
}

# What the volumes in $T/volumes are made of; the first image of a pool leaves rbd_directory and the like.
objects_wanted()
{
	cat "$T/objects.empty"
	while read -r uuid image _; do
		printf '%s\n' "rbd_id.volume-$uuid" "rbd_header.$image" "rbd_object_map.$image"
	done <"$T/volumes"
}

keys_wanted()
{
	while read -r uuid image _; do
		printf '%s\n' "id_$image" "name_volume-$uuid"
	done <"$T/volumes"
}

objects()
{
	rados -c "$CONF" -p vols ls --all | sed 's/.*\t//'
}

sizes()
{
	while read -r uuid _ _; do
		echo "$uuid $(rbd -c "$CONF" info --format json "vols/volume-$uuid" | jq .size)"
	done <"$T/volumes"
}

# check ROUND
check()
{
	wait_for 60 churn settled "$MNT"
	churn check "$MNT" "$T/round" "$STATE/volfs.db" >"$T/volumes" || fail "round $1: see above"
	diff <(objects_wanted | sort) <(objects | sort) || fail "round $1: objects wanted (<) and there (>)"
	diff <(keys_wanted | sort) <(rados -c "$CONF" -p vols listomapkeys rbd_directory | sort) ||
		fail "round $1: entries of rbd_directory wanted (<) and there (>)"
}

rounds=5
[ -z "${VOLFS_TEST_FULL:-}" ] || rounds=200
seed=${VOLFS_TEST_SEED:-$RANDOM}
RANDOM=$seed
note "$rounds rounds; again: VOLFS_TEST_SEED=$seed"

CEPH=$T/ceph
at_exit '"$SRC/tests/ceph/ceph-dev" wipe "$CEPH"'
CONF=$("$SRC/tests/ceph/ceph-dev" start "$CEPH" --mon-interval 0.05 2>"$T/ceph.log") || fail "$(cat "$T/ceph.log")"
ceph -c "$CONF" osd pool create vols 8 2>>"$T/ceph.log"
rbd -c "$CONF" pool init vols
rbd -c "$CONF" create --size 1 vols/first
rbd -c "$CONF" rm --no-progress vols/first
objects >"$T/objects.empty"

mkdir "$T/round" "$STATE"
cat >"$T/volfs.conf" <<END
database = "$STATE/volfs.db"; trash_delay = 0;
quota = { volumes = -1; size = -1; };
backends = ( { name = "ssd"; driver = "rbd"; ceph_conf = "$CONF"; pool = "vols"; timeout = 10; direct = "${DIRECT:-auto}"; } );
END
start_volfs -c "$T/volfs.conf"
wait_for 20 grep -qx up "$MNT/.volfs/backends/ssd/state"

for round in $(seq "$rounds"); do
	churn run "$MNT" "$T/round" 8 "$((seed * 1000 + round))" 4 2>"$T/churn.err" &
	writers=$!
	sleep "$((RANDOM % 2)).$(printf %03d $((RANDOM % 1000)))" # the instant is the test
	if [ $((RANDOM % 4)) = 0 ]; then # the server first, so that the next one dies while it takes over
		kill -9 "$(server_pid)" 2>/dev/null || true
		sleep "0.$(printf %03d $((RANDOM % 400)))"
	fi
	kill_volfs
	wait "$writers" || fail "round $round: $(cat "$T/churn.err")"
	if [ $((RANDOM % 4)) = 0 ]; then # the next start dies as well, in its fencing or its recovery
		"$VOLFS" -f -c "$T/volfs.conf" "$MNT" 2>>"$LOG" </dev/null &
		VOLFS_CHILD=$!
		sleep "0.$(printf %03d $((RANDOM % 600)))"
		kill_volfs
	fi
	start_volfs -c "$T/volfs.conf"
	check "$round"
	note "round $round: $(wc -l <"$T/volumes") volumes, $(cat "$T"/round/* | wc -l) lines told"
done

note "librbd sees them with the catalogue's size"
shuf -n 16 "$T/volumes" >"$T/some"
mv "$T/some" "$T/volumes"
diff <(awk '{ print $1, $3 }' "$T/volumes" | sort) <(sizes | sort) || fail "sizes in the catalogue (<) and by librbd (>)"
stop_volfs

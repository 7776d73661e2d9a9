#!/bin/bash
# What volumes made from others must be, on both drivers. Sourced after lib.sh, data-lib.sh and snapshots-lib.sh, in $MNT, by
# ../ceph/clones.sh and clones.sh, which define
#
#	same NAME            as in data-lib.sh
#	needs NAME           whether its image needs another one
#
# and slow, fast: from here on the storage's writes take long, or all that is asked of it; no longer.
#
# There are two backends, `one` and `two`, and the filter different_backend; max_clone_depth is 2. Functions take the name of a volume of
# 64 MiB, whose contents they destroy, and leave nothing else.
# shellcheck source=/dev/null

# spread NAME: bytes here and there, and holes between
spread()
{
	: >"$1/data"
	ok dd if=/dev/urandom of="$1/data" bs=1M count=1 seek=1 conv=notrunc,fsync status=none
	ok dd if=/dev/urandom of="$1/data" bs=4K count=3 seek=9000 conv=notrunc,fsync status=none
	ok dd if=/dev/urandom of="$1/data" bs=1M count=1 seek=63 conv=notrunc,fsync status=none
}

delete() # NAME…: and waits until it is purged
{
	ok rmdir "$@"
	wait_for 60 trash_is_empty
}

clones_of_a_snapshot()
{
	local name=$1 was
	spread "$name"
	was=$(sum "$name/data")
	ok mkdir "$name/snapshots/s"
	dirty "$name"
	volume clone "snapshot=$name@s"
	eq "$was" "$(sum clone/data)"
	same clone
	eq "64M $(cat "$name/backend") available" "$(cat clone/{size,backend,status} | paste -sd' ')"
	eq "$(cat "$name/id")@$(cat "$name/snapshots/s/id")" "$(jq -r .origin clone/json)"

	note "each is written to by itself"
	scribble clone 5
	eq "$was" "$(sum "$name/snapshots/s/data")"
	volume second "snapshot=$name@s"
	eq "$was" "$(sum second/data)"

	note "by id, and larger: the rest reads as zeroes"
	volume larger "snapshot=$(cat "$name/id")@s size=80M"
	eq "80M $((80 << 20))" "$(cat larger/size) $(size_of larger)"
	eq "$was" "$(head -c 64M larger/data | sha256sum | cut -d' ' -f1)"
	ok cmp -i $((64 << 20)):0 -n $((16 << 20)) larger/data /dev/zero
	same larger

	note "what cannot be"
	refused EINVAL "" write new/x "snapshot=$name@s size=32M"
	refused ENOENT "" write new/x "snapshot=$name@none size=64M"
	refused ENOENT "" write new/x "snapshot=none@s"
	refused EINVAL "" write new/x "snapshot=$name"
	refused EINVAL "" write new/x "snapshot=$name@s source=$name"
	[ ! -e x ] || fail "refused, but there"

	note "the snapshot goes before its clones, and they stay what they are"
	ok rmdir "$name/snapshots/s"
	eq "" "$(ls "$name/snapshots")"
	eq "$was" "$(sum second/data)"
	eq "$was" "$(head -c 64M larger/data | sha256sum | cut -d' ' -f1)"
	delete clone second larger
	wait_for 60 none_stored "$name"
}

clones_of_a_volume()
{
	local name=$1 was id
	spread "$name"
	was=$(sum "$name/data")
	volume copy "source=$name"
	dirty "$name"
	eq "$was" "$(sum copy/data)"
	same copy
	eq "$(cat "$name/id")" "$(jq -r .origin copy/json)"
	eq "" "$(ls "$name/snapshots")"
	eq 0 "$(cat .volfs/quotas/root/snapshots.current)"
	spread "$name"
	was=$(sum "$name/data")
	volume again "source=$(cat "$name/id")" size=65M
	eq "$was" "$(head -c 64M again/data | sha256sum | cut -d' ' -f1)"
	refused ENOENT "" write new/x "source=none"
	refused EINVAL "" write new/x "source=$name size=1M"

	note "also while it is written to"
	held rw "$name" volume used "source=$name"
	eq "$was" "$(sum used/data)"

	note "a source is deleted before its clones, which stay what they are"
	volume source "source=$name"
	id=$(cat source/id)
	volume child "source=source"
	volume grandchild "source=child"
	ok rmdir source
	eq deleted "$(timeout 60 cat ".volfs/trash/$id/wait")"
	ok rmdir child
	wait_for 60 trash_is_empty
	eq "$was" "$(sum grandchild/data)"
	same grandchild
	scribble grandchild 3
	delete copy again used grandchild
	wait_for 60 none_stored "$name"
}

# Deeper than max_clone_depth they are flattened.
clones_of_clones()
{
	local name=$1 was last=$1 i
	spread "$name"
	was=$(sum "$name/data")
	for i in 1 2 3 4; do
		ok mkdir "$last/snapshots/s"
		volume "deep$i" "snapshot=$last@s"
		eq "$was" "$(sum "deep$i/data")" "deep$i"
		same "deep$i"
		last=deep$i
	done
	not needs deep3
	eq "" "$(cat deep3/progress)"
	for i in 4 3 2 1; do
		ok no_snapshots "deep$i"
	done
	ok no_snapshots "$name"
	delete deep{1,2,3,4}
	wait_for 60 none_stored "$name"
}

watch_progress() # NAME FILE: what its progress says, until it has settled
{
	while [ "$(cat "$1/status")" = creating ]; do
		cat "$1/progress" >>"$2"
		sleep 0.02
	done
}

# On another backend the whole of it is copied; meanwhile the source stays.
copies_to_another_backend()
{
	local name=$1 was watcher line
	spread "$name"
	ok dd if=/dev/urandom of="$name/data" bs=1M count=48 seek=8 conv=notrunc,fsync status=none
	was=$(sum "$name/data")
	: >"$T/progress"
	slow
	echo "source=$name hint.different_backend=$name" >new/far
	watch_progress far "$T/progress" &
	watcher=$!
	refused EBUSY "far" rmdir "$name"
	eq "creating available" "$(cat far/status "$name/status" | paste -sd' ')"
	sleep 1
	fast
	eq available "$(timeout 60 cat far/wait)"
	wait "$watcher"
	while read -r line; do
		match '^[0-9]+% [0-9]+ MiB of [0-9]+ MiB (snapshot|copy)$' "$line" "progress"
	done <"$T/progress"
	not grep -qx "$(cat "$name/backend")" far/backend
	eq 64M "$(cat far/size)"
	eq "" "$(cat far/progress)"
	eq "$was" "$(sum far/data)"
	same far
	not needs far

	note "the same of a snapshot, and larger"
	ok mkdir "$name/snapshots/s"
	dirty "$name"
	slow
	echo "snapshot=$name@s size=70M hint.different_backend=$name" >new/far2
	refused EBUSY "far2" rmdir "$name/snapshots/s"
	fast
	eq available "$(timeout 60 cat far2/wait)"
	eq "$was" "$(head -c 64M far2/data | sha256sum | cut -d' ' -f1)"
	ok cmp -i $((64 << 20)):0 -n $((6 << 20)) far2/data /dev/zero
	same far2
	delete far far2
	gone_everywhere "$name"
}

# Only who may read its bytes makes another of it.
clones_are_for_readers()
{
	local name=$1 by="as 1:1 /usr/bin/python3 -S $SRC/tests/system/sys.py"
	chmod 755 "$T"
	ok mkdir "$name/snapshots/s"
	eq EACCES@write "$($by write new/x "source=$name"$'\n')"
	eq EACCES@write "$($by write new/x "snapshot=$name@s"$'\n')"
	[ ! -e x ] || fail "refused, but there"
	chmod 644 "$name/data"
	eq OK "$($by write new/x "snapshot=$name@s")"
	eq available "$(timeout 60 cat x/wait)"
	eq 1:1 "$(stat -c %u:%g x/data)"
	chmod 600 "$name/data"
	eq EACCES@write "$($by write new/y "source=$name"$'\n')"
	# a supplementary group counts
	chgrp 2 "$name/data"
	chmod 640 "$name/data"
	eq EACCES@write "$($by write new/y "source=$name"$'\n')"
	eq OK "$(as 1:1,2 /usr/bin/python3 -S "$SRC/tests/system/sys.py" write new/y "source=$name")"
	eq available "$(timeout 60 cat y/wait)"
	chown 0:0 "$name"
	chmod 600 "$name/data"
	delete x y
	gone_everywhere "$name"
}

# A server that dies while many are made: each is what it should be, nothing is left over, and no source stays locked.
clones_outlive_servers() # NAME ROUNDS COMMAND…
{
	local name=$1 rounds=$2 round was i
	shift 2
	for round in $(seq "$rounds"); do
		spread "$name"
		was=$(sum "$name/data")
		ok mkdir "$name/snapshots/s"
		for i in 1 2 3; do
			echo "snapshot=$name@s" >"new/a$i"
			echo "source=$name" >"new/b$i"
			echo "source=$name hint.different_backend=$name" >"new/c$i"
		done
		sleep "0.0$(printf %02d $((RANDOM % 80)))" # the instant is the test
		"$@"
		for i in {a,b,c}{1,2,3}; do
			eq available "$(timeout 60 cat "$i/wait")" "round $round: $i"
			eq "$was" "$(sum "$i/data")" "round $round: $i"
		done
		ok rmdir {a,b,c}{1,2,3}
		gone_everywhere "$name"
		wait_for 60 trash_is_empty
	done
}

# Deletions and clones race on one source: each creation works or says why not, and what works has the bytes.
clones_race() # ROUNDS
{
	local round was maker
	for round in $(seq "$1"); do
		volume source size=4M
		ok dd if=/dev/urandom of=source/data bs=1M count=4 conv=notrunc,fsync status=none
		was=$(sum source/data)
		(
			for i in 1 2 3 4; do
				echo source=source >"new/r$i" || true
			done
		) 2>/dev/null &
		maker=$!
		sleep "0.00$((RANDOM % 10))"
		until rmdir source 2>/dev/null; do
			[ "$(cat source/status)" = available ] || fail "round $round: $(cat source/status)"
		done
		wait "$maker"
		for i in r1 r2 r3 r4; do
			[ -e $i ] || continue
			eq available "$(timeout 60 cat $i/wait)" "round $round: $i"
			eq "$was" "$(sum $i/data)" "round $round: $i"
			ok rmdir $i
		done
	done
	wait_for 60 trash_is_empty
}

#!/bin/bash
# What `revert` must do on both drivers. Sourced after lib.sh, data-lib.sh and snapshots-lib.sh, in $MNT, by ../ceph/snapshots.sh and
# revert.sh, which define same NAME as data-lib.sh says. Functions take the name of a volume of 64 MiB, which grows, and leave it without
# snapshots.
# shellcheck source=/dev/null

revert() # NAME SNAPSHOT
{
	echo "$2" >"$1/revert"
	eq available "$(timeout 60 cat "$1/wait")"
}

reverts_to_the_latest()
{
	local name=$1 was
	: >"$name/data"
	scribble "$name" 3
	was=$(sum "$name/data")
	ok mkdir "$name/snapshots/monday"
	dirty "$name"
	ok dd if="$name/data" of=/dev/null bs=1M status=none # into the page cache
	revert "$name" monday
	eq "$was" "$(sum "$name/data")"
	same "$name"
	eq "monday available" "$(ls "$name/snapshots") $(cat "$name/snapshots/monday/status")"
	match 'revert' "$(cat "$name/history")"

	note "again, and what was written between is gone again"
	scribble "$name" 9
	revert "$name" monday
	eq "$was" "$(sum "$name/data")"
	same "$name"
	scribble "$name" 3
	eq "" "$(cat "$name/revert")"
	ok rmdir "$name/snapshots/monday"
}

reverts_not()
{
	local name=$1 was
	ok mkdir "$name/snapshots/old"
	ok mkdir "$name/snapshots/new"
	dirty "$name"
	was=$(sum "$name/data")
	refused EINVAL "new" write "$name/revert" old
	refused ENOENT "" write "$name/revert" none
	mkdir "$name/attachments/vm"
	refused EBUSY "in-use|attached" write "$name/revert" new
	rmdir "$name/attachments/vm"
	held rw "$name" refused EBUSY "" write "$name/revert" new
	wait_for 10 grep -qx available "$name/status"
	held r "$name" refused EBUSY "" write "$name/revert" new
	wait_for 10 grep -qx available "$name/status"
	chmod 755 "$T"
	eq EACCES "$(as 1:1 /usr/bin/python3 -S "$SRC/tests/system/sys.py" write "$name/revert" new | sed 's/@.*//')"
	eq "$was" "$(sum "$name/data")"
	echo 65M >"$name/size"
	eq available "$(timeout 30 cat "$name/wait")"
	refused EINVAL "64M|65M" write "$name/revert" new
	eq "$was" "$(head -c 64M "$name/data" | sha256sum | cut -d' ' -f1)"
	ok no_snapshots "$name"
}

reverts_outlive_servers() # NAME ROUNDS COMMAND…
{
	local name=$1 rounds=$2 round was
	shift 2
	spread_some "$name"
	was=$(sum "$name/data")
	ok mkdir "$name/snapshots/s"
	for round in $(seq "$rounds"); do
		dirty "$name"
		echo s >"$name/revert"
		sleep "0.0$(printf %02d $((RANDOM % 50)))" # the instant is the test
		"$@"
		eq available "$(timeout 60 cat "$name/wait")" "round $round"
		eq "$was" "$(sum "$name/data")" "round $round"
		same "$name"
	done
	ok no_snapshots "$name"
}

spread_some()
{
	: >"$1/data"
	scribble "$1" 1
	scribble "$1" 30
}

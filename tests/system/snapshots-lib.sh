#!/bin/bash
# What snapshots of both drivers must do. Sourced after lib.sh and data-lib.sh, in $MNT, by ../ceph/snapshots.sh and snapshots.sh, which
# define
#
#	same_snapshot NAME SNAPSHOT   fails unless its `data` and what the storage has are the same
#	stored_snapshots NAME         how many snapshots the storage has of the volume
#	hang, go_on                   from here on the storage answers nothing; it does again
#
# Each function takes the name of a volume of 64 MiB, whose contents it destroys, and leaves it without snapshots.
# shellcheck source=/dev/null
# shellcheck disable=SC2012 # the order of a listing is the test

sum()
{
	sha256sum <"$1" | cut -d' ' -f1
}

scribble() # NAME MIB: one MiB of something new, there
{
	ok dd if=/dev/urandom of="$1/data" bs=1M count=1 seek="$2" conv=notrunc,fsync status=none
}

snapshots_of()
{
	ls -U "$1/snapshots" | paste -sd' '
}

no_snapshots()
{
	rmdir "$1"/snapshots/* 2>/dev/null || true
	[ -z "$(ls "$1/snapshots")" ]
}

none_stored()
{
	[ "$(stored_snapshots "$1")" = 0 ]
}

trash_is_empty()
{
	[ -z "$(ls .volfs/trash)" ]
}

# gone_everywhere NAME: its snapshots are removed here, and soon there
gone_everywhere()
{
	ok no_snapshots "$1"
	wait_for 60 none_stored "$1"
}

snapshots_are_taken()
{
	local name=$1 s=$1/snapshots/monday was
	: >"$name/data"
	scribble "$name" 8
	was=$(sum "$name/data")
	ok mkdir "$s"
	eq 1 "$(stored_snapshots "$name")"
	eq "available 64M" "$(cat "$s"/{status,size} | paste -sd' ')"
	eq "" "$(cat "$s"/{description,error})"
	match '^[0-9a-f-]{36}$' "$(cat "$s/id")"
	match '^20[0-9-]+T[0-9:]+Z$' "$(cat "$s/created")"
	eq "created data description error id size status" "$(ls "$s" | paste -sd' ')"
	eq "755 $(stat -c %u:%g "$name") $((64 << 20))" "$(stat -c '%a %u:%g %s' "$s")"
	eq $((64 << 20)) "$(stat -c %s "$s/data")"
	eq "$(stat -c %Y "$s")" "$(date -d "$(cat "$s/created")" +%s)"
	eq "$(df --output=size "$name" | tail -n1)" "$(df --output=size "$s" | tail -n1)"
	eq "available monday" "$(cat "$name/status") $(snapshots_of "$name")"
	eq "monday 67108864 available $(cat "$s/id")" "$(jq -r '.snapshots[] | "\(.name) \(.size) \(.status) \(.id)"' "$name/json")"
	wait_for 5 has_its_size "$name/json"
	match 'snapshot.create' "$(cat "$name/history")"

	note "what is written afterwards is not in it"
	eq "$was" "$(sum "$s/data")"
	dirty "$name"
	eq "$was" "$(sum "$s/data")"
	same_snapshot "$name" monday
	ok dd if="$s/data" of="$T/out" bs=1M iflag=direct status=none
	eq "$was" "$(sum "$T/out")"
	rm "$T/out"
	not sh -c "echo x >$s/data" 2>/dev/null
	not sh -c "echo x | dd of=$s/data conv=notrunc status=none" 2>/dev/null
	not truncate -s 65M "$s/data" 2>/dev/null
	eq "$was" "$(sum "$s/data")"

	note "the order of a listing is that of their taking"
	ok mkdir "$name"/snapshots/{zebra,ant}
	eq "monday zebra ant" "$(snapshots_of "$name")"
	eq "monday zebra ant" "$(jq -r '.snapshots[].name' "$name/json" | paste -sd' ')"
	same "$name"
	same_snapshot "$name" zebra
	ok rmdir "$name/snapshots/zebra"
	eq "monday ant" "$(snapshots_of "$name")"
	ok mkdir "$name/snapshots/zebra"
	eq "monday ant zebra" "$(snapshots_of "$name")"
	gone_everywhere "$name"
	eq "0 available" "$(jq '.snapshots | length' "$name/json") $(cat "$name/status")"
}

# refused ERRNO REGEX GESTURE…: by its errno, and by its sentence in `errors`
refused()
{
	expect_errno "$1" "${@:3}"
	match "$2" "$(tail -n 1 .volfs/errors)" "errors"
}

snapshots_have_names() # NAME OTHER
{
	local name=$1 s=$1/snapshots
	ok mkdir "$s/a" "$s/b" "$2/snapshots/a"
	refused EEXIST "" mkdir "$s/a"
	refused EINVAL "" mkdir "$s/two words"
	refused EINVAL "" mkdir "$s/x@y"
	refused EINVAL "" mkdir "$s/x,y"
	expect_errno ENAMETOOLONG mkdir "$s/$(printf 'x%.0s' {1..256})"
	refused EPERM "" mkdir "$s/a/more"
	refused EPERM "" write "$s/a/more" x
	refused EPERM "" write "$s/more" x
	expect_errno ENOENT rmdir "$s/none"

	note "renamed in place, and nowhere else"
	ok mv "$s/a" "$s/c"
	eq "c b" "$(snapshots_of "$name")"
	eq available "$(cat "$s/c/status")"
	refused EEXIST "" rename "$s/c" "$s/b"
	refused EEXIST "" noreplace "$s/c" "$s/b"
	refused EBADMSG "" rename "$s/c" "$s/x@y"
	refused EPERM "" rename "$s/c" "$2/snapshots/c"
	refused EPERM "" rename "$s/c" "$s/b/c"
	refused EPERM "" rename "$s/c" c
	refused EPERM "" rename "$2" "$s/d"
	eq "c b" "$(snapshots_of "$name")"

	note "described"
	echo "before the upgrade" >"$s/c/description"
	eq "before the upgrade" "$(cat "$s/c/description")"
	eq 19 "$(stat -c %s "$s/c/description")"
	echo again >>"$s/c/description"
	eq "before the upgrade again" "$(cat "$s/c/description")"
	: >"$s/c/description"
	eq "" "$(cat "$s/c/description")"
	refused EINVAL "" write "$s/c/description" "$(printf 'x%.0s' {1..300})"
	expect_errno EACCES write "$s/c/status" error

	note "a volume with snapshots stays"
	refused ENOTEMPTY "2 snapshots" rmdir "$name"
	eq "available" "$(cat "$name/status")"

	note "a tree walker harms none"
	local walker
	for walker in "rm -rf $name" "rm -rf $s" "find $name -delete" "python3 -c 'import shutil; shutil.rmtree(\"$name\", True)'"; do
		eval "timeout 60 $walker" >/dev/null 2>&1 || true
		eq "c b" "$(snapshots_of "$name")" "after $walker"
	done

	note "whose they are"
	chmod 755 "$T"
	eq EACCES "$(as 1:1 /usr/bin/python3 -S "$SRC/tests/system/sys.py" mkdir "$s/mine" | sed 's/@.*//')"
	eq EACCES "$(as 1:1 /usr/bin/python3 -S "$SRC/tests/system/sys.py" rmdir "$s/c" | sed 's/@.*//')"
	eq EACCES "$(as 1:1 /usr/bin/python3 -S "$SRC/tests/system/sys.py" read "$s/c/data" 2>/dev/null | sed 's/@.*//')"
	chown 1:1 "$name"
	eq "1:1 1:1 1:1" "$(stat -c %u:%g "$s" "$s/c" "$s/c/data" | paste -sd' ')"
	ok as 1:1 mkdir "$s/mine"
	ok as 1:1 head -c 1 "$s/mine/data" >"$T/out"
	ok as 1:1 rmdir "$s/mine"
	chown 0:0 "$name"
	eq 0:0 "$(stat -c %u:%g "$s/c/data")"
	gone_everywhere "$name"
	gone_everywhere "$2"
}

snapshots_count() # NAME: for the quota of root's project
{
	local name=$1 quota=.volfs/quotas/root size
	size=$(cat $quota/size.current)
	eq 0 "$(cat $quota/snapshots.current)"
	ok mkdir "$name/snapshots/a"
	eq "1 $((size + (64 << 20)))" "$(cat $quota/{snapshots,size}.current | paste -sd' ')"
	echo 2 >$quota/snapshots.max
	ok mkdir "$name/snapshots/b"
	refused EDQUOT "snapshots" mkdir "$name/snapshots/c"
	eq "a b" "$(snapshots_of "$name")"
	eq 2 "$(stored_snapshots "$name")"
	ok rmdir "$name/snapshots/a"
	eq 1 "$(cat $quota/snapshots.current)"
	echo max >$quota/snapshots.max
	echo "$((size + (100 << 20)))B" >$quota/size.max
	refused EDQUOT "" mkdir "$name/snapshots/c"
	echo max >$quota/size.max
	gone_everywhere "$name"
	eq "0 $size" "$(cat $quota/{snapshots,size}.current | paste -sd' ')"
}

# Block after block, each with its number, each acknowledged before the next: so a snapshot has the first ones and no other, and all that
# were acknowledged before it was asked for.
snapshots_while_in_use()
{
	local name=$1 writer how before n
	for how in DIRECT SYNC; do
		: >"$name/data"
		rm -f "$T/acknowledged"
		timeout 120 /usr/bin/python3 -S - "$name/data" "$T/acknowledged" "$how" <<-'END' &
			import mmap, os, struct, sys, time
			how = {"DIRECT": os.O_DIRECT | os.O_DSYNC, "SYNC": os.O_DSYNC}[sys.argv[3]]
			fd = os.open(sys.argv[1], os.O_WRONLY | how)
			told = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
			block = mmap.mmap(-1, 4096)
			for n in range(1, 16384):
			    block[:8] = struct.pack("<Q", n)
			    os.pwrite(fd, block, (n - 1) * 4096)
			    os.pwrite(told, b"%d\n" % n, 0)
			    time.sleep(0.001) # as many as there is room for last longer than the test
		END
		writer=$!
		wait_for 30 test -s "$T/acknowledged"
		for n in 1 2 3; do
			eq in-use "$(cat "$name/status")"
			before=$(cat "$T/acknowledged")
			ok timeout 60 mkdir "$name/snapshots/$how$n"
			echo "$before" >"$T/before.$how$n"
			eq in-use "$(cat "$name/status")"
		done
		kill "$writer"
		wait "$writer" || true
		for n in 1 2 3; do
			ok /usr/bin/python3 -S - "$name/snapshots/$how$n/data" "$(cat "$T/before.$how$n")" <<-'END'
				import struct, sys
				with open(sys.argv[1], "rb") as f:
				    data = f.read()
				last = 0
				while struct.unpack_from("<Q", data, last * 4096)[0] == last + 1:
				    last += 1
				assert not any(data[last * 4096:]), f"{last} blocks, and others after them"
				assert last >= int(sys.argv[2]), f"{last} blocks of {sys.argv[2]} acknowledged ones"
			END
			same_snapshot "$name" "$how$n"
		done
		wait_for 30 grep -qx available "$name/status"
		gone_everywhere "$name"
	done
}

# snapshots_are_read NAME COMMAND…: COMMAND kills the server. Who has one open keeps it.
snapshots_are_read()
{
	local name=$1 s=$1/snapshots/read was out
	shift
	scribble "$name" 3
	was=$(sum "$name/data")
	ok mkdir "$s"
	eq "400 $(stat -c %u:%g "$name/data")" "$(stat -c '%a %u:%g' "$s/data")"
	ok chmod 640 "$name/data"
	eq 440 "$(stat -c %a "$s/data")"
	ok chmod 600 "$name/data"
	refused EROFS "never changes" read "$s/data" RDWR
	refused EROFS "never changes" write "$s/data" x NOTRUNC
	refused EROFS "never changes" truncate "$s/data" 0
	refused EROFS "never changes" chmod "$s/data" 777
	ok touch -c "$s/data"
	exec 7<"$s/data"
	eq "available" "$(cat "$name/status")"
	eq "" "$(ls "$name/attachments")"
	refused EBUSY "is open" rmdir "$s"
	"$@"
	scribble "$name" 3
	refused EBUSY "is open" rmdir "$s"
	out=$(sha256sum <&7 | cut -d' ' -f1)
	eq "$was" "$out"
	exec 7<&-
	wait_for 10 rmdir "$s"
	wait_for 60 none_stored "$name"
}

# Who freezes, takes a snapshot and thaws must get out; and then none is taken.
snapshots_are_interrupted()
{
	local name=$1 how pid
	for how in TERM KILL handled; do
		hang
		if [ $how = handled ]; then
			timeout 60 /usr/bin/python3 -S - "$name/snapshots/late" >"$T/out" 2>&1 <<-'END' &
				import os, signal, sys
				signal.signal(signal.SIGALRM, lambda *_: None)
				signal.alarm(1)
				try:
				    os.mkdir(sys.argv[1])
				except InterruptedError:
				    print("interrupted")
			END
			pid=$!
			wait_for 10 gone "$pid"
			eq interrupted "$(cat "$T/out")"
		else
			mkdir "$name/snapshots/late" 2>"$T/err" &
			pid=$!
			sleep 0.5
			not gone "$pid"
			kill -$how "$pid"
			wait_for 5 gone "$pid"
		fi
		wait "$pid" 2>/dev/null || true
		eq "" "$(timeout 5 ls "$name/snapshots")" "after $how"
		go_on
		wait_for 60 none_stored "$name"
		eq "" "$(ls "$name/snapshots")"
		eq 0 "$(cat .volfs/quotas/root/snapshots.current)"
		ok timeout 60 mkdir "$name/snapshots/late"
		gone_everywhere "$name"
	done
}

# snapshots_outlive_servers NAME ROUNDS COMMAND…: COMMAND kills the server. No mkdir fails, and each has taken one.
snapshots_outlive_servers()
{
	local name=$1 rounds=$2 round pid status
	shift 2
	for round in $(seq "$rounds"); do
		mkdir "$name/snapshots/s$round" &
		pid=$!
		sleep "0.0$(printf %02d $((RANDOM % 60)))" # the instant is the test
		"$@"
		status=0
		wait "$pid" || status=$?
		eq 0 "$status" "mkdir, while the server was killed"
		eq available "$(cat "$name/snapshots/s$round/status")"
		eq "$round" "$(ls "$name/snapshots" | wc -l)"
	done
	eq "$rounds" "$(stored_snapshots "$name")"
	for round in $(seq "$rounds"); do
		rmdir "$name/snapshots/s$round" &
		pid=$!
		sleep "0.0$(printf %02d $((RANDOM % 30)))"
		[ $((round % 3)) != 0 ] || "$@"
		wait "$pid" || fail "rmdir, while the server was killed: exit status $?"
	done
	eq "" "$(ls "$name/snapshots")"
	wait_for 60 none_stored "$name"
}

# snapshots_outlive_an_upgrade NAME: as above, but the server is told to make place for another, whatever the storage does.
snapshots_outlive_an_upgrade()
{
	local name=$1 pid server status=0
	hang
	mkdir "$name/snapshots/upgrade" 2>"$T/err" &
	pid=$!
	wait_for 10 grep -q "snapshot.create.start.*snapshot upgrade" "$name/history" # snapshots/ is the waiting mkdir's
	server=$(server_pid)
	kill -HUP "$VOLFS_CHILD"
	wait_for 10 grep -q 'calls are still under way' "$LOG"
	go_on
	wait_for 30 new_server "$server"
	wait "$pid" || status=$?
	eq 0 "$status" "mkdir, while the server was replaced: $(cat "$T/err")"
	eq available "$(cat "$name/snapshots/upgrade/status")"
	eq 1 "$(stored_snapshots "$name")"
	gone_everywhere "$name"
}

# A filesystem, taken while it is quiet, is mounted from the snapshot.
snapshots_hold_a_filesystem()
{
	local name=$1 loop
	: >"$name/data"
	ok timeout 60 mkfs.ext4 -q "$name/data"
	mkdir -p "$T/fs"
	loop=$(losetup --find --show --direct-io=on "$name/data")
	at_exit "losetup -d $loop 2>/dev/null"
	ok timeout 60 mount "$loop" "$T/fs"
	cp "$T/short" "$T/fs/short"
	fsfreeze -f "$T/fs"
	ok timeout 60 mkdir "$name/snapshots/quiet"
	fsfreeze -u "$T/fs"
	rm "$T/fs/short"
	ok timeout 60 umount "$T/fs"
	losetup -d "$loop"
	loop=$(losetup --find --show --read-only "$name/snapshots/quiet/data")
	at_exit "losetup -d $loop 2>/dev/null"
	ok timeout 60 mount -o ro,noload "$loop" "$T/fs"
	ok cmp "$T/short" "$T/fs/short"
	ok timeout 60 umount "$T/fs"
	losetup -d "$loop"
	wait_for 10 grep -qx available "$name/status"
	gone_everywhere "$name"
}

#!/bin/bash
# What both drivers must do with a volume's `data`, by ordinary tools. Sourced after lib.sh, in $MNT, by ../ceph/data.sh and data.sh,
# which define
#
#	same NAME         fails unless `data` and what the storage has are the same, byte for byte
#
# Each function takes the name of a volume of 64 MiB, whose contents it destroys, unless it says otherwise.
# shellcheck source=/dev/null

CHECK=$BUILD/tests/lib/data-check

fd_test() # GESTURE FILE [ARG…]: data_fd.py
{
	timeout 120 /usr/bin/python3 -S "$SRC/tests/system/data_fd.py" "$@" || fail "data_fd.py $*: exit status $?"
}

size_of()
{
	stat -c %s "$1/data"
}

zeroes() # FILE: nothing else is in it
{
	cmp -n "$(stat -c %s "$1")" "$1" /dev/zero
}

# make_files: what is copied onto volumes; 64 MiB with holes, and 8 MiB without
make_files()
{
	truncate -s 64M "$T/holes"
	dd if=/dev/urandom of="$T/holes" bs=1M count=3 seek=5 conv=notrunc status=none
	dd if=/dev/urandom of="$T/holes" bs=4K count=2 seek=9000 conv=notrunc status=none
	dd if=/dev/urandom of="$T/short" bs=1M count=8 status=none
}

dirty() # NAME: no byte of it is zero
{
	head -c "$(size_of "$1")" /dev/zero | tr '\0' '\377' >"$T/dirt"
	ok dd if="$T/dirt" of="$1/data" bs=1M conv=notrunc,fsync status=none
	ok cmp "$T/dirt" "$1/data"
	rm "$T/dirt"
}

data_is_new()
{
	eq "600 $(id -un) $((64 << 20))" "$(stat -c '%a %U %s' "$1/data")"
	ok zeroes "$1/data"
	eq 0 "$(stat -c %b "$1/data")" "blocks of a new volume"
}

data_is_copied_onto()
{
	local how
	for how in 'cp --sparse=auto' 'cp --sparse=always' 'cp --sparse=never' cp 'cp --reflink=auto' 'rsync --inplace --sparse' 'install -m 600'; do
		case $how in
		rsync*) dd if=/dev/zero of="$1/data" bs=1M count=0 status=none ;; # it does not truncate
		install*) continue ;; # unlinks its target
		*) dirty "$1" ;;
		esac
		# shellcheck disable=SC2086
		ok timeout 60 $how "$T/holes" "$1/data"
		eq $((64 << 20)) "$(size_of "$1")" "size after $how"
		ok cmp "$T/holes" "$1/data"
		same "$1"
	done

	note "opening with O_TRUNC discards all, the size stays"
	for how in 'cat "$T/short" >"$1/data"' 'cp "$T/short" "$1/data"' 'dd if="$T/short" of="$1/data" bs=64K status=none' 'tee "$1/data" <"$T/short" >"$T/out"'; do
		dirty "$1"
		eval "ok $how"
		eq $((64 << 20)) "$(size_of "$1")" "size after $how"
		ok cmp -n $((8 << 20)) "$T/short" "$1/data"
		ok cmp -n $((56 << 20)) -i "$((8 << 20)):0" "$1/data" /dev/zero
		same "$1"
	done
	dirty "$1"
	: >"$1/data"
	ok zeroes "$1/data"
	same "$1"
	dd if="$T/short" of="$1/data" bs=1M conv=notrunc status=none
	python3 -c 'import os, sys; os.open(sys.argv[1], os.O_RDONLY | os.O_TRUNC)' "$1/data"
	ok zeroes "$1/data"
	same "$1"
	wait_for 10 few_blocks "$1" 0

	note "dd with and without conv=notrunc, past the cache, synced"
	dirty "$1"
	ok dd if="$T/short" of="$1/data" bs=1M seek=16 conv=notrunc,fdatasync status=none
	ok cmp -n $((8 << 20)) -i $((16 << 20)):0 "$1/data" "$T/short"
	ok dd if="$T/short" of="$1/data" bs=1M seek=32 oflag=direct,sync conv=notrunc status=none
	ok cmp -n $((8 << 20)) -i $((32 << 20)):0 "$1/data" "$T/short"
	ok cmp -n $((8 << 20)) -i $((24 << 20)):0 "$1/data" <(head -c 8M /dev/zero | tr '\0' '\377')
	ok dd if="$1/data" of="$T/out" bs=1M iflag=direct status=none
	ok cmp "$1/data" "$T/out"
	same "$1"
	# as onto a disk that is too small
	not dd if=/dev/zero of="$1/data" bs=1M conv=notrunc status=none 2>"$T/err"
	match 'No space left on device' "$(cat "$T/err")"
	eq $((64 << 20)) "$(size_of "$1")"
	ok zeroes "$1/data"
	cp --sparse=always "$1/data" "$T/back"
	ok cmp "$1/data" "$T/back"
	rm "$T/back"
}

few_blocks() # NAME BYTES: st_blocks says no more, some time after it changed
{
	[ "$(($(stat -c %b "$1/data") * 512))" -le "$2" ]
}

many_blocks()
{
	[ "$(($(stat -c %b "$1/data") * 512))" -ge "$2" ]
}

data_has_blocks()
{
	: >"$1/data"
	dd if="$T/short" of="$1/data" bs=1M seek=8 conv=notrunc,fsync status=none
	wait_for 30 many_blocks "$1" $((8 << 20))
	ok few_blocks "$1" $((16 << 20))
	ok fallocate -p -o $((8 << 20)) -l $((4 << 20)) "$1/data"
	wait_for 30 few_blocks "$1" $((8 << 20))
	ok fallocate -z -o $((12 << 20)) -l $((4 << 20)) "$1/data"
	ok zeroes "$1/data"
	same "$1"
	fd_test holes "$1/data"
	same "$1"
}

data_has_descriptors()
{
	local gesture
	for gesture in ends ways synced refused; do
		fd_test $gesture "$1/data"
		same "$1"
	done
}

# A filesystem of its own, with files, through a loop device; PROGRAM may do something to it meanwhile.
data_holds_a_filesystem() # NAME [PROGRAM…]
{
	local name=$1 loop
	shift
	: >"$name/data"
	ok timeout 60 mkfs.ext4 -q "$name/data"
	mkdir -p "$T/fs"
	loop=$(losetup --find --show --direct-io=on "$name/data")
	at_exit "losetup -d $loop 2>/dev/null"
	eq 1 "$(cat "/sys/block/${loop#/dev/}/loop/dio")" "$loop uses direct I/O"
	ok timeout 60 mount -o discard "$loop" "$T/fs"
	eq in-use "$(cat "$name/status")"
	expect_errno EBUSY rmdir "$name"
	cp "$T/short" "$T/fs/short"
	[ $# = 0 ] || "$@"
	cp -r "$SRC/src" "$SRC/tests" "$T/fs/"
	(cd "$T/fs" && find src tests -type f -exec sha256sum {} +) >"$T/sums"
	rm -r "$T/fs/tests"
	ok sync -f "$T/fs/short"
	ok fstrim "$T/fs"
	ok timeout 60 umount "$T/fs"
	ok timeout 60 mount "$loop" "$T/fs"
	ok cmp "$T/short" "$T/fs/short"
	(cd "$T/fs" && grep ' src/' "$T/sums" | sha256sum --quiet -c) || fail "files differ after mounting again"
	ok timeout 60 umount "$T/fs"
	losetup -d "$loop"
	wait_for 10 grep -qx available "$name/status"
	ok timeout 60 e2fsck -fn "$name/data" >"$T/out"
	same "$name"
}

# held MODE NAME COMMAND…: while somebody has its `data` open
held()
{
	local mode=$1 name=$2 until holder fifo
	shift 2
	fifo=$(mktemp -u "$T/hold.XXXXXX")
	mkfifo "$fifo"
	/usr/bin/python3 -S "$SRC/tests/system/data_fd.py" hold "$name/data" "$mode" <"$fifo" >"$fifo.out" &
	holder=$!
	exec {until}>"$fifo"
	wait_for 30 grep -q open "$fifo.out"
	"$@"
	exec {until}>&-
	wait "$holder" || fail "holding $name/data $mode: exit status $?"
}

says_status()
{
	eq "$2" "$(cat "$1/status")" "status of $1"
}

data_is_in_use()
{
	local mode
	for mode in w rw d; do
		says_status "$1" available
		held $mode "$1" says_status "$1" in-use
		wait_for 10 grep -qx available "$1/status"
		held $mode "$1" expect_errno EBUSY rmdir "$1"
	done
	wait_for 10 grep -qx available "$1/status"
	held r "$1" says_status "$1" available
	held r "$1" expect_errno EBUSY rmdir "$1"
	held r "$1" held rw "$1" says_status "$1" in-use
	# what has just been closed may go
	volume brief size=64M
	ok sh -c 'mkfs.ext4 -q brief/data && rmdir brief'
}

data_is_its_owners()
{
	local gesture
	chmod 755 "$T"
	for gesture in "read $1/data" "write $1/data x NOCREAT NOTRUNC" "truncate $1/data $((65 << 20))"; do
		# shellcheck disable=SC2086
		eq EACCES "$(as 1:1 /usr/bin/python3 -S "$SRC/tests/system/sys.py" $gesture | sed 's/@.*//')" "$gesture by a stranger"
	done
	chmod 644 "$1/data"
	ok as 1:1 head -c 1 "$1/data" >"$T/out"
	eq EACCES@open "$(as 1:1 /usr/bin/python3 -S "$SRC/tests/system/sys.py" write "$1/data" x NOCREAT NOTRUNC)"
	eq "644 755" "$(stat -c %a "$1/data") $(stat -c %a "$1")"
	chown 1:1 "$1/data"
	ok as 1:1 head -c 1 "$1/data" >"$T/out"
	ok as 1:1 sh -c "echo x | dd of=$1/data conv=notrunc status=none"
	chmod 600 "$1/data"
	chown 0:0 "$1/data"
	not as 1:1 head -c 1 "$1/data" 2>"$T/err"
}

data_is_read_only()
{
	dirty "$1"
	echo 1 >"$1/readonly"
	expect_errno EROFS@open write "$1/data" x NOCREAT NOTRUNC
	expect_errno EROFS@open write "$1/data" x NOCREAT
	ok head -c 1 "$1/data" >"$T/out"
	match "read-only|readonly" "$(tail -n1 .volfs/errors)"
	echo 0 >"$1/readonly"
	ok sh -c "echo x | dd of=$1/data conv=notrunc status=none"
	eq x "$(head -c 1 "$1/data")"
}

# Its size afterwards: 96 MiB.
data_grows()
{
	fd_test grows "$1/data" $((72 << 20))
	wait_for 10 grep -qx available "$1/status"
	eq 72M "$(cat "$1/size")"
	ok truncate -s 80M "$1/data"
	wait_for 30 grep -qx 80M "$1/size"
	eq $((80 << 20)) "$(size_of "$1")"
	held rw "$1" grow_to_96 "$1"
	eq $((96 << 20)) "$(size_of "$1")"
	expect_errno EINVAL truncate "$1/data" $((80 << 20))
	expect_errno EINVAL truncate "$1/data" 0
	expect_errno OK truncate "$1/data" $((96 << 20))
	eq 96M "$(cat "$1/size")"
	same "$1"
}

grow_to_96()
{
	echo 96M >"$1/size"
	wait_for 30 grep -qx 96M "$1/size"
	says_status "$1" in-use
}

# random_operations NAME MAXSIZE [COMMAND…]: the last runs beside them
random_operations()
{
	local name=$1 most=$2 n=5000 seed=${VOLFS_TEST_SEED:-$RANDOM} pid status=0
	shift 2
	[ -z "${VOLFS_TEST_FULL:-}" ] || n=100000
	note "$n random operations; again: VOLFS_TEST_SEED=$seed"
	"$CHECK" -n "$n" -s "$seed" -d -t 4 -g "$most" "$name/data" &
	pid=$!
	[ $# = 0 ] || "$@" "$pid"
	wait "$pid" || status=$?
	[ "$status" = 0 ] || fail "data-check -n $n -s $seed -d -t 4 -g $most: exit status $status"
	same "$name"
}

# data_outlives_all NAME COMMAND…: what was synced is there after everything was killed and COMMAND has started it again
data_outlives_all()
{
	local name=$1 writer last
	shift
	: >"$name/data"
	cd /
	/usr/bin/python3 -S "$SRC/tests/system/data_fd.py" promise "$MNT/$name/data" >"$T/promised" 2>"$T/err" &
	writer=$!
	sleep "1.$(printf %03d $((RANDOM % 1000)))"
	kill_volfs
	unmount # or the writer waits for a server that nobody starts
	wait "$writer" || true
	"$@"
	cd "$MNT"
	last=$(tail -n1 "$T/promised")
	note "$last blocks were synced"
	[ "$last" -gt 10 ] || fail "only ${last:-no} blocks were synced: $(cat "$T/err")"
	fd_test promised "$name/data" "$last"
	wait_for 30 grep -qx available "$name/status"
}

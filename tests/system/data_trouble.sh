#!/bin/bash
# `data` while its storage is not there: what is asked of it waits, and is answered when the storage comes back; who is killed meanwhile
# goes, and what that one asked for does no harm; a close and a deletion at once.
# timeout: 120
# sanitize
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh"

mkdir "$T/disk"
cat >"$T/volfs.conf" <<-END
	database = "$T/volfs.db"; trash_delay = 0; stats_interval = 1;
	backends = ( { name = "disk"; driver = "local"; path = "$T/disk"; } );
END
allow_log "backend disk: "

# seek FILE OUT: where its first data is
seek()
{
	timeout 60 python3 -c 'import os, sys
try:
	print(os.lseek(os.open(sys.argv[1], os.O_RDONLY), 0, os.SEEK_DATA))
except OSError as e:
	print(e.errno)' "$1" >"$2"
}

note "many who ask where data is, before the backend is there, do not keep its images from being opened"
start_volfs -c "$T/volfs.conf"
for i in {1..8}; do # the kernel asks one question of a file at a time
	volume "v$i" size=8M
	printf x | dd of="$MNT/v$i/data" bs=4k seek=1 conv=notrunc status=none
done
stop_volfs
mv "$T/disk" "$T/away"
start_volfs -c "$T/volfs.conf"
asks=()
for i in {1..8}; do
	seek "$MNT/v$i/data" "$T/seek.$i" &
	asks+=($!)
done
sleep 1
eq "" "$(cat "$T"/seek.*)" "answers without the storage"
mv "$T/away" "$T/disk"
wait "${asks[@]}"
eq "4096" "$(sort -u "$T"/seek.*)"

note "an open that a dead server did not answer is made anew by the next, and leaves nothing when its caller goes"
stop_volfs
mv "$T/disk" "$T/away"
start_volfs -c "$T/volfs.conf"
bash -c ': >"$1"' - "$MNT/v1/data" & # it waits for its image
opener=$!
opens() # N: so many, and the status that follows
{
	[ "$(ls "$MNT/v1/attachments" | wc -l)" = "$1" ] && [ "$(cat "$MNT/v1/status")" = "$2" ]
}
wait_for 10 opens 1 in-use
kill_server
wait_for 10 opens 1 in-use
kill -9 "$opener"
wait_for 10 opens 0 available
mv "$T/away" "$T/disk"
eq x "$(timeout 20 tr -d '\0' <"$MNT/v1/data")"

stop_volfs

note "who closes it and deletes at once finds nobody there"
start_volfs -c "$T/volfs.conf"
timeout 60 python3 - "$MNT" <<-'END'
	import os, sys, threading

	def churn(who):
	    for n in range(40):
	        name = f"{sys.argv[1]}/c{who}.{n}"
	        with open(f"{sys.argv[1]}/new/c{who}.{n}", "w") as f:
	            f.write("size=1M")
	        with open(f"{name}/wait") as f:
	            f.read()
	        for _ in range(3):
	            os.close(os.open(f"{name}/data", os.O_RDWR))
	        try:
	            os.rmdir(name)
	        except OSError as e: # its RELEASE took longer than a deletion waits
	            print(e)

	threads = [threading.Thread(target=churn, args=(i,)) for i in range(16)]
	for t in threads:
	    t.start()
	for t in threads:
	    t.join()
END
# shellcheck disable=SC2016
wait_for 20 eval '[ -z "$(ls -A "$MNT/.volfs/trash")" ]'
not grep -q "in use here" "$LOG"

stop_volfs

note "a writer is killed while the disk hangs: it goes at once, and what it was told to be written is there afterwards"
truncate -s 160M "$T/img"
mkfs.ext4 -q "$T/img"
mount -o loop "$T/img" "$T/disk" || { note "no loop devices here" && exit 0; }
# shellcheck disable=SC2016
at_exit 'fsfreeze -u "$T/disk" 2>/dev/null || true; umount -l "$T/disk"'
start_volfs -c "$T/volfs.conf"
volume db size=8M
exec 7<>"$MNT/db/data" # its image stays open
dd if=/dev/zero of="$MNT/db/data" bs=4k count=1 conv=notrunc,fsync status=none
fsfreeze -f "$T/disk"
python3 -c 'import os, sys, time
f = os.open(sys.argv[1], os.O_RDWR)
os.pwrite(f, b"x" * 4096, 0)
open(sys.argv[2], "w").close()
time.sleep(100)' "$MNT/db/data" "$T/written" &
writer=$!
wait_for 10 test -e "$T/written"
kill -9 "$writer"
wait_for 5 gone "$writer"
fsfreeze -u "$T/disk"
eq x "$(timeout 10 head -c 1 "$MNT/db/data")"

# killed COMMAND…: it hangs, is killed, and gone
killed()
{
	"$@" &
	local pid=$!
	sleep 0.3
	not gone "$pid"
	kill -9 "$pid"
	wait_for 5 gone "$pid"
}
fill() # two stretches of data, and holes
{
	dd if="$T/full" of="$MNT/db/data" bs=1M count=1 seek="$1" conv=notrunc,fsync status=none
}

note "who looks for holes, or empties it, is killed while the disk hangs"
head -c 1M /dev/zero | tr '\0' x >"$T/full"
fill 1
fill 5
dd if=/dev/zero of="$MNT/db/data" bs=1M count=1 conv=notrunc,fsync status=none
fsfreeze -f "$T/disk"
dd if="$T/full" of="$MNT/db/data" bs=4k count=1 conv=notrunc status=none 2>"$T/out" & # kept; its close waits
closer=$!
wait_for 10 test -e "$T/out"
sleep 0.2
killed python3 -c 'import os, sys
os.lseek(os.open(sys.argv[1], os.O_RDONLY), 0, os.SEEK_DATA)' "$MNT/db/data"
killed bash -c ': >"$1"' - "$MNT/db/data" # it has not begun: that write comes first
fsfreeze -u "$T/disk"
wait "$closer"
ok cmp -n 4096 "$T/full" "$MNT/db/data"
ok cmp -n $((1 << 20)) "$T/full" "$MNT/db/data" 0 $((5 << 20))

note "one that was begun is gone on with, and what comes later waits for it"
exec 7<&-
wait_for 10 grep -qx available "$MNT/db/status"
fsfreeze -f "$T/disk"
killed bash -c ': >"$1"' - "$MNT/db/data"
eq in-use "$(timeout 5 cat "$MNT/db/status")"
dd if="$T/full" of="$MNT/db/data" bs=1M count=1 seek=1 oflag=direct conv=notrunc status=none &
writer=$!
head -c 8M "$MNT/db/data" >"$T/read" &
reader=$!
sleep 0.5
not gone "$writer"
not gone "$reader"
fsfreeze -u "$T/disk"
wait "$writer" "$reader"
ok cmp -n $((1 << 20)) "$T/full" "$MNT/db/data" 0 $((1 << 20))
eq 1048576 "$(tr -d '\0' <"$MNT/db/data" | wc -c)"
not cmp -s -n $((1 << 20)) "$T/full" "$T/read" 0 $((5 << 20))
wait_for 10 grep -qx available "$MNT/db/status"

note "also by the next server"
fill 3
fill 5
wait_for 10 grep -qx available "$MNT/db/status"
fsfreeze -f "$T/disk"
killed bash -c ': >"$1"' - "$MNT/db/data"
dd if="$T/full" of="$MNT/db/data" bs=4k count=1 conv=notrunc status=none & # nobody may tell it that this is done
writer=$!
sleep 0.3
server=$(server_pid)
kill -9 "$server"
fsfreeze -u "$T/disk" # it cannot die before
wait_for 20 new_server "$server"
wait "$writer"
wait_for 20 grep -qx available "$MNT/db/status"
ok cmp -n 4096 "$T/full" "$MNT/db/data"
eq 4096 "$(timeout 20 cat "$MNT/db/data" | tr -d '\0' | wc -c)"

note "a write whose writer was killed does not land on a later one"
exec 7<>"$MNT/db/data"
for _ in 1 2 3; do
	fsfreeze -f "$T/disk"
	killed dd if="$T/full" of="$MNT/db/data" bs=1M count=1 oflag=direct conv=notrunc status=none
	dd if=/dev/zero of="$MNT/db/data" bs=1M count=1 oflag=direct conv=notrunc status=none &
	writer=$!
	sleep 0.2
	fsfreeze -u "$T/disk"
	wait "$writer"
	eq 0 "$(head -c 1M "$MNT/db/data" | tr -d '\0' | wc -c)"
done
exec 7<&-

stop_volfs

note "what many writes carry while the disk hangs is not held in memory, and who uses another disk does not wait"
mkdir "$T/other"
cat >"$T/volfs.conf" <<-END
	database = "$T/volfs.db"; trash_delay = 0; stats_interval = 1; io_memory = "4M";
	backends = ( { name = "disk"; driver = "local"; path = "$T/disk"; },
		{ name = "other"; driver = "local"; path = "$T/other"; zone = "other"; } );
END
allow_log "backend other: "
start_volfs -c "$T/volfs.conf"
volume big size=64M
volume beside size=8M zone=other
memory() # MiB
{
	awk '/^RssAnon/ { print int($2 / 1024) }' "/proc/$(server_pid)/status"
}
asked()
{
	awk '/^volfs_fuse_requests_total.*"write"/ { print $2 }' "$MNT/.volfs/metrics"
}
many_asked() # BEFORE
{
	[ "$(asked)" -ge $(($1 + 60)) ]
}
memory_is_small() # BEFORE
{
	[ "$(memory)" -lt $(($1 + 16)) ]
}
dd if=/dev/zero of="$MNT/big/data" bs=1M count=1 oflag=direct conv=notrunc status=none
before=$(memory) writes=$(asked)
fsfreeze -f "$T/disk"
(cd "$T" && exec timeout 60 fio --name=load --filename="$MNT/big/data" --ioengine=libaio --direct=1 --iodepth=64 --bsrange=512k-1M --size=60M \
	--rw=write --verify=crc32c --do_verify=1 --verify_fatal=1 --fallocate=none --output="$T/fio.out") &
load=$!
wait_for 20 many_asked "$writes"
wait_for 10 memory_is_small "$before" # of some 45 MiB that are under way
ok timeout 10 dd if="$T/full" of="$MNT/beside/data" bs=1M oflag=direct conv=notrunc,fsync status=none
ok timeout 10 cmp -n $((1 << 20)) "$T/full" "$MNT/beside/data"
fsfreeze -u "$T/disk"
wait "$load" || fail "$(cat "$T/fio.out")"
memory_is_small "$before"

stop_volfs

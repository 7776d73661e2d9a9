#!/bin/bash
# Bad luck: no room for the catalogue, a catalogue that is none, two daemons, a daemon that sleeps, crowds, writers that die,
# backends that fail, and everything that walks trees while volumes are being made.
# timeout: 240
# alone
# shellcheck disable=SC2015 # in the walkers both are meant
. "$(dirname "$0")/lib.sh"

good="backends = ( { name = \"disk\"; driver = \"local\"; path = \"$T/disk\"; } );"

# conf DATABASE [BACKENDS]
conf()
{
	cat >"$T/volfs.conf" <<-END
		database = "$1"; trash_delay = 0;
		quota = { volumes = -1; size = -1; };
		${2:-$good}
	END
}

# refused REGEX: volfs says so in one line, ends with a failure and mounts nothing
refused()
{
	local status=0 said
	said=$(timeout 60 "$VOLFS" -c "$T/volfs.conf" "$MNT" 2>&1 </dev/null) || status=$? # also: it lets go of the pipe
	[ "$status" -gt 0 ] && [ "$status" != 124 ] || fail "exit status $status, but /$1/ was wanted: $said"
	eq 1 "$(wc -l <<<"$said")" "lines of '$said'"
	match "$1" "$said"
	not is_mounted
	no_volfs
}

settled()
{
	! grep -qsE 'ing$' "$MNT"/*/status && [ -z "$(ls "$MNT/.volfs/trash")" ]
}

count()
{
	ls "$MNT" | sed '/^new$/d' | wc -l
}

mkdir -p "$MNT" "$T/disk" "$T/small"
chmod 755 "$T" # other users come too

# ---- the catalogue's disk is full

note "no room for the catalogue: each change says so, reads go on, and it works again when there is room"
mount -t tmpfs -o size=16m volfs-test "$T/small"
conf "$T/small/volfs.db"
start_volfs -c "$T/volfs.conf"
allow_log 'No space left|disk is full|no room'
cd "$MNT"
for name in a b c; do
	volume $name size=1 metadata.k=$name
done
id=$(cat a/id)
fill()
{
	dd if=/dev/zero of="$T/small/ballast" bs=4k 2>/dev/null || true
	# what is left of the -wal that is there already is room too
	local i=0
	while sys write a/description "$(printf 'x%.0s' {1..250})$i" | grep -q OK; do
		i=$((i + 1))
		[ "$i" -lt 5000 ] || fail "the disk is full, but 5,000 changes found room"
	done
}
fill
expect_errno ENOSPC@close write new/d $'size=1\n'
match 'ENOSPC new/d.*no room on the disk of the catalogue' "$(tail -n1 .volfs/errors)"
expect_errno ENOSPC rename a aa
lines=$(wc -l <"$LOG")
for _ in $(seq 100); do
	echo x >a/description 2>/dev/null && fail "the disk is full, but a change found room"
done
[ "$(wc -l <"$LOG")" -le $((lines + 10)) ] || fail "a hundred refusals are $(($(wc -l <"$LOG") - lines)) lines of log"
expect_errno ENOSPC rmdir b
expect_errno ENOSPC write a/size 2G
expect_errno ENOSPC create a/metadata/new
expect_errno ENOSPC chmod a 700
expect_errno ENOSPC write a/metadata/k other
eq 'available available available' "$(echo $(cat ?/status))"
eq a "$(cat a/metadata/k)"
eq "$id" "$(cat ".volfs/by/id/$id/id")"
eq 3 "$(count)"
eq 3 "$(find . -maxdepth 2 -name json -not -path './.volfs/*' -exec cat {} + | jq -s length)"
note "… the server dies meanwhile; the next one serves what there is"
server=$(server_pid)
kill -9 "$server"
eq available "$(timeout 20 cat a/status)"
expect_errno ENOSPC@close write new/d $'size=1\n'
rm "$T/small/ballast"
volume d
ok rmdir b
ok mv a aa
wait_for 20 settled
eq "$id" "$(cat aa/id)"
eq 'aa c d' "$(echo $(ls | grep -vx new))"
note "… and what was accepted when it filled up is settled when there is room again"
some()
{
	[ "$(cat "$T"/full.* | grep -c ^OK)" -ge 5 ]
}
for i in $(seq 40); do
	sys write "new/full$i" $'size=1\n' >"$T/full.$i" & # not by echo, which forgets a failed close
	[ "$i" != 20 ] || { wait_for 20 some && fill; }
done
wait_children()
{
	local pid
	for pid in $(jobs -p); do
		[ "$pid" = "$VOLFS_CHILD" ] || wait "$pid" || true
	done
}
wait_children
rm -f "$T/small/ballast"
wait_for 30 settled
eq "$(grep -l ^OK "$T"/full.* | sed 's/.*full\./full/' | sort)" "$(ls | grep ^full | sort)" "accepted, and there"
eq 40 "$(cat "$T"/full.* | grep -cE '^(OK|ENOSPC@close)$')" "answers"
eq '' "$(cat full*/status | sort -u | grep -vx available || true)" "not available"
cd /
stop_volfs
eq "$(sqlite3 "$T/small/volfs.db" 'SELECT uuid FROM volume' | sort)" \
	"$(find "$T/disk" -type f -printf '%f\n' | sed s/volume-// | sort)" "volumes and images"
note "a start without any room: refused with a sentence, or served; nothing is lost"
dd if=/dev/zero of="$T/small/ballast" bs=4k 2>/dev/null || true
if timeout 60 "$VOLFS" -c "$T/volfs.conf" "$MNT" 2>"$T/said" </dev/null; then
	eq "$id" "$(cat "$MNT/aa/id")"
	stop_volfs
else
	match 'full|room|space' "$(cat "$T/said")"
	wait_for 10 no_volfs # it has said so, and is about to end
fi
not is_mounted
rm "$T/small/ballast"
start_volfs -c "$T/volfs.conf"
eq "$id" "$(cat "$MNT/aa/id")"
stop_volfs
cp "$T/small/volfs.db" "$T/good.db"
umount "$T/small"

# ---- a catalogue that is none

# spoilt REGEX: $T/db/volfs.db is refused and stays as it was, and nothing appears beside it
spoilt()
{
	local before
	before=$(cd "$T/db" && sha256sum ./volfs.db)
	refused "$1"
	eq "$before" "$(cd "$T/db" && sha256sum ./volfs.db)" "after a refusal"
	eq "volfs.db" "$(ls "$T/db" | grep -v '\.lock$')"
}
note "a catalogue that is damaged, cut off, newer or none is refused and stays as it is"
mkdir "$T/db"
conf "$T/db/volfs.db"
db=$T/db/volfs.db
size=$(stat -c %s "$T/good.db")
head -c 20000 /dev/urandom >"$db"
spoilt 'volfs.db.*damaged or no catalogue'
echo "not a database" >"$db"
spoilt 'volfs.db.*damaged or no catalogue'
head -c $((size / 2)) "$T/good.db" >"$db"
spoilt 'volfs.db.*cut off'
head -c 50 "$T/good.db" >"$db"
spoilt 'volfs.db.*damaged'
cp "$T/good.db" "$db"
sqlite3 "$db" 'PRAGMA journal_mode=DELETE; PRAGMA user_version=1000' >/dev/null
spoilt 'newer version \(1000\)'
cp "$T/good.db" "$db"
dd if=/dev/urandom of="$db" bs=1 seek=104 count=3992 conv=notrunc status=none
spoilt 'volfs.db.*damaged'
cp "$T/good.db" "$db"
dd if=/dev/urandom of="$db" bs=4096 seek=1 count=$((size / 4096 - 1)) conv=notrunc status=none
spoilt 'volfs.db.*damaged'
rm "$db"
sqlite3 "$db" 'CREATE TABLE volume (id)'
spoilt 'not a catalogue of volfs'
rm -f "$db"
mkdir "$db"
refused 'volfs.db'
rmdir "$db"
conf "$T/nosuch/deep/volfs.db"
refused 'nosuch/deep'

note "a bad configuration is named by file and line"
bad()
{
	printf '%s\n' "$2" >"$T/volfs.conf"
	refused "volfs.conf:$1"
}
bad '1: .*wrokers.*workers' "wrokers = 3; $good"
bad '2: workers: must be 1 to' "$good"$'\nworkers = 0;'
bad '3: ' "$good"$'\n\nworkers = = 3;'
bad '1: .*backends.*missing' 'workers = 3;'
bad '2: driver: .*rbd, local' $'backends = (\n{ name = "a"; driver = "nfs"; } );'
bad "3: name: .*'a'" $'backends = ( { name = "a"; driver = "local"; path = "/x"; },\n{ driver = "local";\n name = "a"; } );'
bad '1: trash_delay' "trash_delay = \"5w\"; $good"
bad '2: size: .*1000G' "$good"$'\nquota = { size = 100; };'
printf 'workers = 3;\n' >"$T/part.conf"
bad '1: ' "@include \"$T/none.conf\""
echo 'workers = "x";' >"$T/part.conf"
printf '%s\n@include "%s"\n' "$good" "$T/part.conf" >"$T/volfs.conf"
refused 'part.conf:1: workers'

# ---- two daemons

note "a second daemon on the same catalogue is refused, by whatever path; the first one does not feel it"
conf "$T/db/volfs.db"
start_volfs -c "$T/volfs.conf"
volume one
first=$VOLFS_CHILD
mkdir "$T/mnt2"
ln -s db "$T/alias"
ln -s volfs.db "$T/db/other.db"
for path in db/volfs.db db/../db/volfs.db alias/volfs.db db/other.db; do
	cp "$T/volfs.conf" "$T/second.conf"
	sed -i "s|^database.*|database = \"$T/$path\";|" "$T/second.conf"
	status=0
	said=$(timeout 60 "$VOLFS" -c "$T/second.conf" "$T/mnt2" 2>&1 </dev/null) || status=$?
	[ "$status" != 0 ] || fail "two daemons serve '$path'"
	match "in use by another volfs, process $first" "$said" "$path"
	not is_mounted "$T/mnt2"
done
volume two
eq 2 "$(count)"
rm "$T/db/other.db"

# ---- a daemon that sleeps

# asleep PID…: each of their threads has stopped. kill(2) returns before: a thread that is just taking a request would take it
# along, and whoever waits for a request that is taken cannot be killed.
asleep()
{
	local pid
	for pid in "$@"; do
		[ -z "$(grep -L '^State:.T' "/proc/$pid"/task/*/status)" ] || return 1
	done
}

# leaves SECONDS COMMAND…: it is told to end after a second, and then ends, though the daemon sleeps
leaves()
{
	local bound=$1 pid
	shift
	timeout 1 "$@" >/dev/null 2>&1 &
	pid=$!
	wait_for "$bound" gone "$pid"
	wait "$pid" && fail "a stopped daemon answered: $*" || eq 124 $?
}

note "SIGSTOP: callers wait, and can leave; SIGCONT: nobody has noticed"
server=$(server_pid)
# also where this fails: what waits for the daemon would outlive the test
at_exit "kill -CONT $server $first 2>/dev/null"
kill -STOP "$server" "$first"
wait_for 10 asleep "$server" "$first"
leaves 20 cat "$MNT/two/json"
# before the others: who creates holds the directory's lock, and who waits for that cannot leave
leaves 20 sh -c 'echo size=2M >"$0"' "$MNT/new/left"
pids=
for i in $(seq 16); do
	sys write "$MNT/new/stopped$i" $'size=2M\n' >"$T/stopped.$i" &
	pids+=" $!"
done
kill -CONT "$server" "$first"
for pid in $pids; do
	wait_for 40 gone "$pid"
done
wait $pids
eq 16 "$(cat "$T"/stopped.* | grep -c '^OK')"
wait_for 20 settled
eq "$server" "$(server_pid)" "the server"
ls "$MNT" | grep -vxE 'new|left|one|two|stopped[0-9]+' && fail "unknown volumes" || true
eq 16 "$(cat "$MNT"/stopped*/status | grep -cx available)"

# ---- crowds

note "1,000 submissions at once by one user: all accepted, all available"
crowd()
{
	timeout 100 python3 -S - "$MNT" "$@" <<-'END'
		import collections, errno, os, sys
		mnt, prefix, writers, each, text = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
		users = [tuple(map(int, u.split(":"))) for u in sys.argv[6:]] or [(0, 0)]
		gate, go = os.pipe()
		told, tell = os.pipe()
		def one(name):
		    try:
		        fd = os.open(f"{mnt}/new/{name}", os.O_WRONLY | os.O_CREAT)
		        try:
		            os.write(fd, text.encode())
		        except OSError:
		            try:
		                os.close(fd)
		            except OSError:
		                pass
		            raise
		        os.close(fd)
		        return "OK"
		    except OSError as e:
		        return errno.errorcode[e.errno]
		children = []
		for i in range(writers):
		    pid = os.fork()
		    if pid == 0:
		        os.close(go)
		        os.setgroups([]); os.setgid(users[i % len(users)][1]); os.setuid(users[i % len(users)][0])
		        os.read(gate, 1)
		        for k in range(each):
		            os.write(tell, (one(f"{prefix}{i}-{k}") + "\n").encode())
		        os._exit(0)
		    children.append(pid)
		os.close(go)
		os.close(tell)
		answers = collections.Counter(open(told).read().split())
		for pid in children:
		    os.waitpid(pid, 0)
		print(*(f"{k}={v}" for k, v in sorted(answers.items())))
	END
}
eq OK=1000 "$(crowd many- 1000 1 $'size=1M\n' 1234:100)"
wait_for 60 settled
eq 1000 "$(cat "$MNT"/many-*/status | grep -cx available)"
eq 1000 "$(cat "$MNT/.volfs/quotas/users/volumes.current")"
eq 1000 "$(find "$T/disk" -name 'volume-*' -size 1024k | wc -l)"

note "a quota that 32 writers of two users reach: exactly so many"
echo 1040 >"$MNT/.volfs/quotas/users/volumes.max"
eq 'EDQUOT=152 OK=40' "$(crowd quota- 32 6 $'size=1M\n' 1234:100 1235:100)"
eq 1040 "$(cat "$MNT/.volfs/quotas/users/volumes.current")"
echo max >"$MNT/.volfs/quotas/users/volumes.max"
echo 1097M >"$MNT/.volfs/quotas/users/size.max"
eq 'EDQUOT=173 OK=19' "$(crowd size- 32 6 $'size=3M\n' 1234:100 1235:100)"
eq $((1097 << 20)) "$(cat "$MNT/.volfs/quotas/users/size.current")"
match 'uid=1235.*EDQUOT' "$(as 1235:100 cat "$MNT/.volfs/errors")"
wait_for 20 settled

note "writers that are killed in the middle submit nothing"
before=$(count)
for i in $(seq 10); do
	( # whose own report of the end nobody wants to see
		python3 -S - "$MNT/new/dead$i" <<-'END'
		import os, signal, sys
		fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
		os.write(fd, b"size=1\n")
		if os.fork() == 0:
		    os.kill(os.getpid(), signal.SIGKILL)
		os.wait()
		os.kill(os.getpid(), signal.SIGKILL)
		END
	) 2>/dev/null || true
done
volume after # by its answer the RELEASEs before it have been seen
eq $((before + 1)) "$(count)"
python3 -S -c 'import os, sys; [os.rmdir(e.path) for e in os.scandir(sys.argv[1]) if e.name[:5] in ("many-", "quota", "size-")]' "$MNT"
wait_for 60 settled
eq 0 "$(cat "$MNT/.volfs/quotas/users/volumes.current")"
eq 0 "$(cat "$MNT/.volfs/quotas/users/size.current")"

# ---- walkers

note "everything that walks trees, as root, over the whole mount, while volumes are being made and deleted"
cd "$MNT"
volume keep size=8M metadata.k=v
keep=$(cat keep/id)
(
	i=0
	while [ ! -e "$T/enough" ]; do
		i=$((i + 1))
		echo size=1M metadata.k=v >"new/made$i"
		# few stay, or the walkers' ways would grow and grow
		[ "$i" -le 12 ] || until rmdir "made$((i - 12))" 2>/dev/null; do
			[ -e "made$((i - 12))" ] || fail "made$((i - 12)) is gone"
		done
	done
	echo "$i" >"$T/made"
) &
maker=$!
walk()
{
	local status=0
	timeout 60 sh -c "$1" >"$T/walk.out" 2>&1 || status=$?
	[ "$status" != 124 ] || fail "hangs: $1"
	eq v "$(cat keep/metadata/k)" "after $1"
	eq "$keep" "$(cat keep/id)" "after $1"
}
mkdir "$T/empty"
for walker in 'find .' 'find . -type f -exec cat {} +' 'ls -lR' 'du -s .' 'grep -rs nosuchtext .' 'tar cf - . | cat' \
	"cp -a . $T/copy" "rsync -a . $T/rsync" "rsync -rn --delete $T/empty/ ." 'wc -c */*' 'find . -print0 | xargs -0 stat' \
	'rm -rf ./*' 'rm -rf .volfs' 'rm -rf keep' 'find . -delete' 'find . -depth -exec rm -d {} ;' 'rm -r -f -- * .volfs/*' \
	'python3 -S -c "import shutil; shutil.rmtree(\".\", True)"' 'python3 -S -c "import shutil; shutil.rmtree(\"keep\", True)"' \
	'chmod -R go-w .volfs' 'find . -newer keep -empty'; do
	walk "$walker"
done
touch "$T/enough"
wait "$maker"
[ "$(cat "$T/made")" -gt 12 ] || fail "only $(cat "$T/made") volumes were made"
eq 12 "$(ls | grep -c '^made')" "volumes made, and there"
eq 12 "$(cat made*/metadata/k | grep -cx v)"
wait_for 20 settled
cd /
stop_volfs

# ---- backends that fail

note "a backend that cannot create: the next one does; if none can, the sentence names each"
mkdir "$T/a" "$T/b"
mount -t tmpfs -o size=512m volfs-test "$T/a"
mount -t tmpfs -o size=256m volfs-test "$T/b"
rm -f "$T"/db/*
conf "$T/db/volfs.db" "stats_interval = 3600;
	backends = ( { name = \"a\"; driver = \"local\"; path = \"$T/a/disk\"; },
	             { name = \"b\"; driver = \"local\"; path = \"$T/b/disk\"; } );"
mkdir "$T/a/disk" "$T/b/disk"
start_volfs -c "$T/volfs.conf"
cd "$MNT"
wait_for 10 grep -qx ready .volfs/status
volume first
eq a "$(cat first/backend)" "the emptier one"
mount -o remount,ro "$T/a"
volume second
eq b "$(cat second/backend)" "a is read-only"
match 'a: .*[Rr]ead-only' "$(cat second/history)"
mount -o remount,rw "$T/a"
mv "$T/a/disk" "$T/a/away"
volume third
eq b "$(cat third/backend)" "a's directory is gone"
mv "$T/b/disk" "$T/b/away"
echo size=1 >new/fourth
eq error "$(timeout 30 cat fourth/wait 2>/dev/null || true)"
match 'a: .*No such file' "$(cat fourth/error)"
match 'b: .*No such file' "$(cat fourth/error)"
eq 4 "$(cat .volfs/quotas/root/volumes.current)"
mv "$T/a/away" "$T/a/disk"
mv "$T/b/away" "$T/b/disk"
ok rmdir fourth
cleaned()
{
	[ -z "$(sqlite3 "file:$T/db/volfs.db?mode=ro" 'SELECT id FROM job')" ]
}
wait_for 60 cleaned
eq 3 "$(find "$T/a/disk" "$T/b/disk" -type f | wc -l)" "images"
eq 3 "$(cat .volfs/quotas/root/volumes.current)"
cd /
stop_volfs

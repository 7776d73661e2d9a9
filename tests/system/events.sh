#!/bin/bash
# .volfs/events and .volfs/history, followed by ordinary tools: each sees every event once, whatever is restarted, slow or many.
# timeout: 120 full: 1500
# sanitize
. "$(dirname "$0")/../system/lib.sh"
chmod 755 "$T"
FULL=${VOLFS_TEST_FULL:-}
start_volfs --restarts 0 -c "$(local_conf)"
cd "$MNT"

follow()
{
	python3 "$SRC/tests/system/follow.py" "$1" "$MNT" "$T/$1.lines" "$2" >"$T/$1.told" &
	PIDS+=" $!"
	wait_for 20 grep -qs open "$T/$1.told"
}

# make PREFIX COUNT: volumes, one after the other, and the events that this must have made
make()
{
	local i
	for ((i = 0; i < $2; i++)); do
		echo size=1M >"new/$1$i"
	done
}

# Until nothing more is to happen to any volume.
settled()
{
	printf '%s\0' "$MNT"/*/wait | xargs -0 cat >"$T/waited" # there are more than one command takes
}

# each_once FILE PREFIX COUNT
each_once()
{
	jq -r 'select(.event == "volume.create.start") | .name' "$1" | grep "^$2" | sort >"$T/seen"
	seq 0 $(($3 - 1)) | sed "s/^/$2/" | sort | cmp - "$T/seen" || fail "$1 does not have each of $2* once"
}

note "cat, jq, select, O_NONBLOCK"
status=0
timeout 1 cat .volfs/events >"$T/cat" &
cat=$!
wait_for 5 grep -q . "/proc/$cat/comm"
not grep -q events <(ls .volfs)
eq 0 "$(stat -c %s .volfs/events)"
expect_errno EAGAIN read .volfs/events NONBLOCK
expect_errno EACCES write .volfs/events x
sleep 0.3 # cat has opened it
volume a size=1M
wait "$cat" || status=$?
eq 124 "$status" "timeout of cat"
eq '"volume.create.start" "volume.create.end"' "$(jq -c .event "$T/cat" | xargs -I{} printf '"%s" ' {} | sed 's/ $//')"
eq 2 "$(jq -c 'select(.name == "a" and .project == "root" and (.time | length) == 27 and .volume)' "$T/cat" | wc -l)"
python3 - <<'END'
import os, select, threading, time
fd = os.open(".volfs/events", os.O_RDONLY | os.O_NONBLOCK)
assert select.select([fd], [], [], 0.05) == ([], [], []), "ready too early"
def make():
    time.sleep(0.1)
    with open("new/b", "w") as f:
        f.write("size=1M\n")
t = threading.Thread(target=make)
t.start()
assert select.select([fd], [], [], 10)[0] == [fd], "not woken"
assert b'"b"' in os.read(fd, 65536)
t.join()
first = os.pread(fd, 50, 0) # an answer may be asked for again and again
assert first == os.pread(fd, 50, 0) == os.pread(fd, 50, 0)
END
eq available "$(cat b/wait)"
not timeout 10 dd if=.volfs/events iflag=direct count=1 status=none 2>"$T/err"
match 'Invalid argument' "$(cat "$T/err")"

note "a seek to a line's position begins with it; what comes before it was said before"
cat .volfs/history >"$T/all"
jq -s -e '. as $e | [range(1; length) | $e[.].position > $e[. - 1].position] | all' "$T/all" >"$T/out"
for at in $(jq .position "$T/all"); do
	want=$(jq -c "select(.position == $at)" "$T/all")
	for off in $at $((at + 7)); do
		[ "$off" -gt 1 ] || continue
		eq "$want" "$(timeout 5 dd if=.volfs/events bs=64k iflag=skip_bytes skip="$off" count=1 status=none | head -n1 | jq -c .)" "at $off"
	done
done
eq "$(cat "$T/all")" "$(timeout 5 dd if=.volfs/events bs=1M iflag=skip_bytes skip=1 count=1 status=none)" "from the oldest on"
while read -r line; do # a shell reads too much and seeks back
	echo "$line"
	[[ $line != *create.end*'"name":"c"'* ]] || break
done <.volfs/events >"$T/shell" &
shell=$!
sleep 0.2
volume c size=1M
wait "$shell"
eq "$(tail -n 2 .volfs/history)" "$(cat "$T/shell")" "while read"

note "history is a file like others"
size=$(stat -c %s .volfs/history)
eq "$size" "$(wc -c <.volfs/history)"
eq "$size" "$(cat .volfs/history | wc -c)"
eq "$(tail -c 300 .volfs/history)" "$(cat .volfs/history | tail -c 300)"
cmp .volfs/history <(dd if=.volfs/history bs=13 status=none)
cp .volfs/history "$T/copy"
cmp "$T/copy" .volfs/history
eq "$(tac "$T/copy")" "$(tac .volfs/history)"
eq 2 "$(grep -c '"name":"c"' .volfs/history)"
{ tail -n 1 -f .volfs/history || true; } | head -n 3 >"$T/tail" &
tail=$!
before=$(stat -c %y .volfs/history)
sleep 0.2
volume d size=1M
[[ $(stat -c %y .volfs/history) > $before ]] || fail "its time has not moved"
wait "$tail"
eq "$(tail -n 3 .volfs/history)" "$(cat "$T/tail")" "tail -f"

note "others see the lines of their projects"
as 4001:4001 timeout 30 cat .volfs/events >"$T/other" 2>"$T/err" &
other=$!
wait_for 5 grep -q . "/proc/$other/comm"
sleep 0.3
volume root-1 size=1M
as 4001:4001 sh -c 'echo size=1M >new/other-1'
wait_for 10 grep -q 'create.end.*other-1' "$T/other"
volume root-2 size=1M
as 4001:4001 sh -c 'echo size=1M >new/other-2'
wait_for 10 grep -q 'create.end.*other-2' "$T/other"
kill "$other"
grep -E '"name":"other-' .volfs/history >"$T/want"
cmp "$T/want" "$T/other"
cmp "$T/want" <(as 4001:4001 cat .volfs/history)
eq "$(wc -c <"$T/want")" "$(as 4001:4001 stat -c %s .volfs/history)"
eq "$(tail -n 1 "$T/want")" "$(as 4001:4001 tail -n 1 .volfs/history)"
eq "" "$(as 4002:4002 cat .volfs/history)"
eq 0 "$(as 4002:4002 stat -c %s .volfs/history)"
at=$(sed -n 3p "$T/want" | jq .position)
eq "$(tail -n +3 "$T/want")" "$(as 4001:4001 timeout 5 dd if=.volfs/events bs=64k iflag=skip_bytes skip="$at" count=1 status=none)"

# Who opened it counts, and after a restart nobody else takes that one's place.
python3 - <<'END' >"$T/passed" &
import os, socket, time
def opened_by(uid, name):
    here, there = socket.socketpair()
    if os.fork() == 0:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        socket.send_fds(there, [b"x"], [os.open(name, os.O_RDONLY)])
        os._exit(0)
    os.wait()
    return socket.recv_fds(here, 1, 1)[1][0]
def read(fd):
    return b"".join(iter(lambda: os.read(fd, 65536), b""))
own = open(os.environ["T"] + "/want", "rb").read()
fd = opened_by(4001, ".volfs/history")
assert read(fd) == own
assert b"root-1" not in read(opened_by(4001, ".volfs/json"))
print("read", flush=True)
while not os.path.exists(os.environ["T"] + "/killed"):
    time.sleep(0.02)
assert os.pread(fd, 65536, 0) == b""
END
passed=$!
wait_for 10 grep -q read "$T/passed"
kill_server
touch "$T/killed"
ok wait "$passed"

# What the kernel would keep of one reader's lines in its page cache is not there for another.
python3 - <<'END'
import os
fd = os.open(".volfs/history", os.O_RDONLY)
assert os.fstat(fd).st_size > 0
try:
    assert not os.splice(fd, os.pipe()[1], 4096, offset_src=0), "spliced"
except OSError:
    pass
assert os.pread(fd, 9, 0) == b'{"time":"'
END

note "each event once over kills of the server"
PIDS=
rounds=5 && [ -z "$FULL" ] || rounds=100
for how in hold poll resume tiny; do
	follow "$how" end
done
(
	i=0
	until [ -e "$T/stop" ]; do
		echo size=1M >"new/k$i"
		i=$((i + 1))
	done
	echo "$i" >"$T/made"
) &
maker=$!
for i in $(seq "$rounds"); do
	sleep 0.$((RANDOM % 3 + 1))
	kill_server
done
touch "$T/stop"
wait "$maker"
settled
volume end size=1M
for pid in $PIDS; do
	ok wait "$pid"
done
for how in hold poll resume tiny; do
	each_once "$T/$how.lines" k "$(cat "$T/made")"
	cmp "$T/hold.lines" "$T/$how.lines"
done
cmp "$T/hold.lines" <(tail -c "$(stat -c %s "$T/hold.lines")" .volfs/history)

note "a stopped follower is in nobody's way, and catches up"
cat .volfs/events >"$T/slow" &
slow=$!
sleep 0.3
kill -STOP "$slow"
seconds=2 && [ -z "$FULL" ] || seconds=60
until=$((SECONDS + seconds)) n=0
while [ "$SECONDS" -lt "$until" ]; do
	echo size=1M >"new/s$n"
	n=$((n + 1))
done
settled
kill -CONT "$slow"
volume caught-up size=1M
wait_for 60 grep -q 'create.end.*"caught-up"' "$T/slow"
kill "$slow"
each_once "$T/slow" s "$n"
cmp "$T/slow" <(tail -c "$(stat -c %s "$T/slow")" .volfs/history)

note "retention"
cd /
stop_volfs
start_volfs -c "$(local_conf "history_events = 1000;")"
cd "$MNT"
log_mark()
{
	sqlite3 -readonly "$STATE/volfs.db" "SELECT $1"
}
# The log moves on once a second, while something happens.
cut_short()
{
	echo "$RANDOM" >a/description
	[ "$(cat .volfs/history | wc -l)" -le 1001 ]
}
python3 - <<'END' >"$T/lost" &
import os, time
fd = os.open(".volfs/events", os.O_RDONLY)
print("open", flush=True)
while not os.path.exists(os.environ["T"] + "/go"):
    time.sleep(0.02)
os.write(1, os.read(fd, 65536))
END
reader=$!
wait_for 10 grep -q open "$T/lost"
seen=$(log_mark 'max(id) FROM event')
make r 600
settled
wait_for 20 cut_short
gone=$(log_mark 'log_start FROM counts')
touch "$T/go"
ok wait "$reader"
sed -i 1d "$T/lost"
head -n 1 "$T/lost" >"$T/told"
eq lost "$(jq -r .event "$T/told")"
# it may have moved once more since
match "^($((gone - seen))|$(($(log_mark 'log_start FROM counts') - seen)))\$" "$(jq .count "$T/told")" "events that are gone"
eq "$(sed -n 2p "$T/lost" | jq .position)" "$(($(jq .position "$T/told") + $(wc -c <"$T/told")))" "where what is kept begins"
eq "lost null" "$(timeout 5 dd if=.volfs/events bs=64k iflag=skip_bytes skip=2 count=1 status=none | head -n1 | jq -r '"\(.event) \(.count)"')"
match volume "$(timeout 5 dd if=.volfs/events bs=64k iflag=skip_bytes skip=1 count=1 status=none | head -n1 | jq -r .event)" "the oldest"
eq "" "$(dd if=.volfs/history bs=64k skip=100 iflag=skip_bytes count=1 status=none | tr -d '\n' | head -c 100)" "what is gone"

note "a thousand followers, and an unmount under them"
"$BUILD/tests/system/followers" .volfs/events 1000 last >"$T/followers" &
crowd=$!
wait_for 30 grep -q open "$T/followers"
make f 30
settled
volume last size=1M
ok wait "$crowd"
match 'failed=0' "$(cat "$T/followers")"
cat .volfs/events >"$T/last" &
last=$!
sleep 0.1
cd /
stop_volfs
wait_for 5 gone "$last"

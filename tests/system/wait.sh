#!/bin/bash
# `wait` and poll(2): blocks until the volume has settled, leaves on a signal at once, never hangs a walker.
. "$(dirname "$0")/../system/lib.sh"
start_volfs
cd "$MNT"
volume v
eq available "$(cat v/wait)"

# An admin puts a volume into an unsettled state by hand: so it stays until told otherwise.
echo attaching >v/reset
status=0
timeout 1 cat v/wait || status=$?
eq 124 "$status" "timeout 1 cat wait"
expect_errno EAGAIN read v/wait NONBLOCK
readers=
for i in $(seq 100); do
	cat v/wait >"$T/w.$i" &
	readers+=" $!"
done
python3 - v/wait >"$T/polled" <<-'END' &
	import os, select, sys
	fd = os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK)
	p = select.poll(); p.register(fd, select.POLLIN)
	assert p.poll(0) == [], "ready too early"
	print("polls", flush=True)
	print(p.poll(20000) == [(fd, select.POLLIN)], os.read(fd, 100).decode().strip())
END
poller=$!
python3 - v/status >"$T/polled2" <<-'END' &
	import os, select, sys
	fd = os.open(sys.argv[1], os.O_RDONLY)
	print(os.read(fd, 100).decode().strip(), flush=True)
	p = select.poll(); p.register(fd, select.POLLPRI)
	assert p.poll(20000), "no POLLPRI"
	os.lseek(fd, 0, 0)
	print(os.read(fd, 100).decode().strip())
END
poller2=$!
wait_for 20 test -s "$T/polled"
wait_for 20 test -s "$T/polled2"
echo available >v/reset
wait "$poller" "$poller2" $readers
eq 100 "$(cat "$T"/w.* | grep -cx available)"
eq "$(printf 'polls\nTrue available')" "$(cat "$T/polled")"
eq "$(printf 'attaching\navailable')" "$(cat "$T/polled2")"

echo error >v/reset
status=0
eq error "$(cat v/wait 2>"$T/err" || echo "failed" >"$T/failed")"
eq failed "$(cat "$T/failed")"
match 'Input/output error' "$(cat "$T/err")"
echo available >v/reset

# select, and epoll by its edges and once: asleep when the change comes
cat >"$T/edges.py" <<'END'
import os, select, sys, threading
words = ["attaching", "available"] * 20


def change(after=0.0):
    timer = threading.Timer(after, lambda: open(sys.argv[2], "w").write(words.pop()))
    timer.start()
    timer.join() if not after else None


def look(fd):
    return os.pread(fd, 100, 0).decode().strip()


fd = os.open(sys.argv[1], os.O_RDONLY)
assert select.select([], [], [fd], 0)[2] == [fd], "never read, but quiet"
assert look(fd) == "available"
assert select.select([], [], [fd], 0)[2] == []
words.pop()
change(0.1)
assert select.select([], [], [fd], 20)[2] == [fd]
assert look(fd) == "attaching"
for flags in select.EPOLLET, select.EPOLLONESHOT, 0:
    e = select.epoll()
    e.register(fd, select.EPOLLPRI | flags)
    assert e.poll(0) == []
    change(0.1)
    [(who, what)] = e.poll(20)
    assert who == fd and what & select.EPOLLPRI and what & select.EPOLLERR, what
    assert len(e.poll(0)) == (0 if flags else 1), "it was told before, and not read"
    look(fd)
    change()
    assert len(e.poll(0.3)) == (0 if flags == select.EPOLLONESHOT else 1), "the next change"
    e.modify(fd, select.EPOLLPRI | flags)
    assert len(e.poll(20)) == 1, "asked anew"
    look(fd)
    assert e.poll(0) == []
    e.close()
    # a poll that is not waited for any more is no harm
    e = select.epoll()
    e.register(fd, select.EPOLLPRI)
    e.poll(0)
    e.close()
    change()
    look(fd)
END
timeout 60 python3 "$T/edges.py" v/status v/reset
echo available >v/reset

# interrupts
echo attaching >v/reset
sh -c 'cat v/wait; true' &
pid=$!
wait_for 5 pgrep -P "$pid" cat
kill -TERM "$(pgrep -P "$pid" cat)"
wait_for 2 gone "$pid"
# a reader that waits is no obstacle to the volume's life
cat v/wait >"$T/last" &
reader=$!
echo available >v/reset
wait "$reader"
id=$(cat v/id)
rmdir v
eq deleted "$(timeout 20 cat ".volfs/trash/$id/wait")"
cd /
stop_volfs

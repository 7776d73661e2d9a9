#!/usr/bin/python3
"""Gestures on files of blocks that fio has none for. Each prints one line of key=value words.

    data.py reread FILE                        reads FILE twice on one descriptor, through the page cache: MiB/s
    data.py many DIR PREFIX COUNT PID          opens DIR/PREFIX-0/data … all at once; writes, syncs and reads 4 KiB of each;
                                               what process PID holds in memory before and while they are open: MiB
"""
import mmap
import os
import resource
import sys
import time


def reread(path):
    buf = bytearray(1 << 20)
    fd = os.open(path, os.O_RDONLY)
    speed = []
    for _ in range(2):
        os.lseek(fd, 0, os.SEEK_SET)
        begin, moved = time.monotonic(), 0
        while n := os.readv(fd, [buf]):
            moved += n
        speed.append(moved / (1 << 20) / (time.monotonic() - begin))
    print("first=%.1f second=%.1f" % tuple(speed))


def rss(pid):
    with open(f"/proc/{pid}/status") as f:
        return sum(int(line.split()[1]) for line in f if line.startswith(("RssAnon", "RssFile"))) / 1024


def block(text):
    """4 KiB that O_DIRECT can take."""
    at = mmap.mmap(-1, 4096)
    at.write(text.encode().ljust(4096, b"."))
    return at


def check(fd, text):
    back = mmap.mmap(-1, 4096)
    os.pwrite(fd, block(text), 1 << 20)
    os.fsync(fd)
    os.preadv(fd, [back], 1 << 20)
    if back[:] != block(text)[:]:
        raise OSError(f"{text}: other bytes came back")


def many(where, prefix, count, pid):
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, count + 100))
    before, begin, failures, fds = rss(pid), time.monotonic(), 0, []
    for i in range(count):
        path = f"{where}/{prefix}-{i}/data"
        try:
            fds.append(os.open(path, os.O_RDWR | os.O_DIRECT))
            check(fds[-1], path)
        except OSError as e:
            failures += 1
            if failures == 1:
                print(f"data.py: {path}: {e}", file=sys.stderr)
    took = time.monotonic() - begin
    for i, fd in enumerate(fds):  # and again, when all are open
        try:
            check(fd, f"again {i}")
        except OSError:
            failures += 1
    print(f"opened={len(fds)} failures={failures} ms_each={took / count * 1000:.2f} before={before:.1f} open={rss(pid):.1f}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["reread", path]:
            reread(path)
        case ["many", where, prefix, count, pid]:
            many(where, prefix, int(count), int(pid))
        case _:
            sys.exit(__doc__)

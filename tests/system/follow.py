"""Followers of .volfs/events, as programs are that must not miss an event.

    follow.py HOW MNT OUT LAST     copies what it is given to OUT until the volume LAST is available, and checks that every line is whole and
                                   begins where the one before has ended

HOW: hold    one descriptor, and a read(2) that blocks
     poll    O_NONBLOCK, and poll(2) where there is nothing
     resume  closes after every few reads, and goes on where it was in a new descriptor
     tiny    reads of 33 bytes, which split lines
"""
import json
import os
import select
import sys


def poll_read(fd, size):
    p = select.poll()
    p.register(fd, select.POLLIN)
    while True:
        try:
            return os.read(fd, size)
        except BlockingIOError:
            p.poll()


class Follower:
    def __init__(self, how, mnt, out, last):
        self.how, self.path, self.last = how, mnt + "/.volfs/events", last
        self.out = open(out, "wb")
        self.next, self.rest, self.reads = None, b"", 0

    def open(self):
        fd = os.open(self.path, os.O_RDONLY | (os.O_NONBLOCK if self.how == "poll" else 0))
        if self.next is not None:
            os.lseek(fd, self.next, os.SEEK_SET)
        return fd

    # False: that was the last one.
    def take(self, line):
        event = json.loads(line)
        if self.next is not None and event["position"] != self.next:
            sys.exit(f"{self.how}: after {self.next} comes {line}")
        self.next = event["position"] + len(line)
        self.out.write(line)
        return not (event["event"] == "volume.create.end" and event.get("name") == self.last)

    def lines(self, text):
        *lines, self.rest = (self.rest + text).splitlines(keepends=True) + [b""]
        if lines and not lines[-1].endswith(b"\n"):
            self.rest = lines.pop()
        if self.rest and self.how != "tiny":
            sys.exit(f"{self.how}: half a line: {self.rest}")
        return lines

    def run(self):
        fd = self.open()
        print("open", flush=True)
        while True:
            text = poll_read(fd, 65536) if self.how == "poll" else os.read(fd, 33 if self.how == "tiny" else 65536)
            if not text:
                sys.exit(f"{self.how}: end of file")
            if not all([self.take(line) for line in self.lines(text)]):
                break
            self.reads += 1
            if self.how == "resume" and self.reads % 5 == 0:
                os.close(fd)
                fd = self.open()
        self.out.close()
        os.close(fd)


Follower(*sys.argv[1:]).run()

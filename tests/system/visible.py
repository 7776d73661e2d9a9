"""What the kernel caches of a mounted volfs is never older than what is committed.

    visible.py MOUNT ROUNDS

One process looks all the time, so that everything is cached; another changes a volume of it and, as soon as its gesture returns, has
the first look once more. What is changed by the daemon itself is looked for until it shows, and may be late by 10 ms.
"""
import os
import statistics
import stat
import sys
import time

MNT, ROUNDS = sys.argv[1], int(sys.argv[2])
V, MADE = MNT + "/v", MNT + "/made/spec"
NO_TEXT = {"progress", "wait", "reset", "revert", "data"}


def write(path, text):
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def read(path):
    with open(path, "rb", buffering=0) as f:
        text = b""
        while part := f.read(1 << 16):
            text += part
        return text


def glance(path):
    """What of a file's attributes is cached."""
    st = os.stat(path)
    return stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid, st.st_size, st.st_mtime_ns


class Looker:
    """Another process, which answers what it sees: so its own requests cannot have told it."""

    def __init__(self):
        ask, self.ask = os.pipe()
        self.answer, answer = os.pipe()
        if os.fork() == 0:
            os.close(self.ask)
            self.serve(os.fdopen(ask), os.fdopen(answer, "w", buffering=1))
            os._exit(0)
        os.close(ask)
        os.close(answer)
        self.ask = os.fdopen(self.ask, "w", buffering=1)
        self.answer = os.fdopen(self.answer)

    @staticmethod
    def serve(ask, answer):
        for line in ask:
            what, path = line.rstrip("\n").split(" ", 1)
            try:
                if what == "glance":
                    seen = glance(path)
                elif what == "there":
                    seen = os.path.lexists(path)
                else:
                    seen = Looker.until(path, *map(int, what.split(":")))
            except OSError as e:
                seen = e.errno
            print(repr(seen), file=answer)

    @staticmethod
    def until(path, size, seconds):
        """When the file had that size, by the clock of mtime."""
        end = time.monotonic() + seconds
        while os.stat(path).st_size != size:
            if time.monotonic() > end:
                return 0
        return time.time_ns()

    def begin(self, what, path):
        print(what, path, file=self.ask)

    def end(self):
        return eval(self.answer.readline())

    def look(self, what, path):
        self.begin(what, path)
        return self.end()


def until(true):
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end, "not within 10 s"
        time.sleep(0.001)


def files(of):
    """Everything below a volume's directory that has attributes of its own."""
    for dir_, subdirs, names in os.walk(of):
        yield dir_
        for name in names:
            yield dir_ + "/" + name


def warm(looker, paths):
    for path in paths:
        looker.look("glance", path)


def agree(looker, paths, why):
    """What another process has cached is what is there: the true lengths of texts, the true owner. The paths are known before, for a
    listing would tell the kernel what it has not asked for."""
    own = glance(V)
    for path in paths:
        seen = looker.look("glance", path)
        name = os.path.basename(path)
        if name not in NO_TEXT and not os.path.isdir(path):
            size = len(read(path))
            assert seen[3] == size, f"{why}: {path} is {size} long, cached is {seen[3]}"
        if os.path.dirname(path) == V and name not in ("backend", "reset", "data"):
            assert seen[1:3] == own[1:3], f"{why}: {path} belongs to {seen[1:3]}, its volume to {own[1:3]}"
    warm(looker, paths)  # a read has dropped what was cached


def changes(i):
    """Gestures, each with a path and what must be seen there when it has returned."""
    text, odd = "x" * (1 + i % 50), i % 2
    gib = (i + 2) << 30
    yield "size", lambda: (write(V + "/size", f"{gib}B"), read(V + "/wait")), V, 3, gib
    yield "description", lambda: write(V + "/description", text), V + "/description", 3, len(text) + 1
    yield "metadata", lambda: write(V + "/metadata/k", text), V + "/metadata/k", 3, len(text) + 1
    yield "mode", lambda: os.chmod(V, 0o700 if odd else 0o755), V, 0, 0o700 if odd else 0o755
    yield "owner", lambda: os.chown(V, 1000 + i, -1), V, 1, 1000 + i
    yield "owner of a file", lambda: os.chown(V, 2000 + i, -1), V + "/status", 1, 2000 + i
    yield "owner of a key", lambda: os.chown(V, 3000 + i, -1), V + "/metadata/k", 1, 3000 + i
    yield "group", lambda: os.chown(V, -1, 100 + odd), V + "/size", 2, 100 + odd
    yield "status", lambda: write(V + "/reset", "error"), V + "/status", 3, len("error\n")
    yield "status again", lambda: write(V + "/reset", "available"), V + "/status", 3, len("available\n")
    yield "protected", lambda: write(V + "/protected", str(odd)), V + "/protected", 3, 2
    yield "a use", lambda: os.mkdir(V + "/attachments/vm"), V + "/status", 3, len("in-use\n")
    yield "its mode", lambda: write(V + "/attachments/vm/host", text), V + "/attachments/vm/host", 3, len(text) + 1
    yield "no use", lambda: os.rmdir(V + "/attachments/vm"), V + "/status", 3, len("available\n")


def by_gestures(looker):
    paths = list(files(V))
    for i in range(ROUNDS):
        for what, gesture, path, field, want in changes(i):
            warm(looker, paths)
            gesture()
            seen = looker.look("glance", path)
            assert isinstance(seen, tuple) and seen[field] == want, f"{what}, round {i}: {path} shows {seen}, not {want}"
            agree(looker, paths, what)
        os.mkdir(V + "/snapshots/s")
        agree(looker, paths, "mkdir of a snapshot")
        os.rmdir(V + "/snapshots/s")
        until(lambda: b"snapshot.delete.end" in read(V + "/history").splitlines()[-1])  # in the background
        agree(looker, paths, "rmdir of a snapshot")
        for old, new in (("v", "w"), ("w", "volume"), ("volume", "v")):
            looker.look("glance", MADE)
            os.rename(f"{MNT}/{old}", f"{MNT}/{new}")
            assert looker.look("there", f"{MNT}/{new}") and not looker.look("there", f"{MNT}/{old}"), "rename"
            seen = looker.look("glance", MADE)[3]
            assert seen == len(read(MADE)), "what names another volume"


def by_itself(looker):
    """A creation ends when the daemon says so: how long after that it is seen in a cached attribute."""
    late = []
    for i in range(20 + ROUNDS):
        name = f"{MNT}/new{i}"
        write_new(f"{MNT}/new/new{i}")
        seen = looker.look(f"{len('available') + 1}:10", name + "/status")
        late.append((seen - os.stat(name).st_mtime_ns) / 1e6)
        assert seen, f"{name} has not become available in the cache: {glance(name + '/status')}, {read(name + '/status')}, {glance(name + '/status')}"
        assert read(name + "/status") == b"available\n"
        os.rmdir(name)
    print(f"seen after {statistics.median(late):.1f} ms, at most {max(late):.1f} ms")
    assert statistics.median(late) <= 10, late


def write_new(path):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"size=1M\n")
    os.close(fd)


looker = Looker()
by_gestures(looker)
by_itself(looker)

"""What a shell cannot do with the descriptors of a volume's `data`. Its first bytes are overwritten; 16 MiB at least.

    data_fd.py ends FILE            the end: what does not fit, what is not there
    data_fd.py holes FILE           punched and zeroed ranges, SEEK_DATA and SEEK_HOLE
    data_fd.py ways FILE            buffered, direct and mapped: what one writes, all read; a second process too
    data_fd.py synced FILE          O_SYNC, O_DSYNC, fsync, fdatasync
    data_fd.py refused FILE         what a volume does not do
    data_fd.py grows FILE SIZE      an open descriptor while the volume gets SIZE bytes
    data_fd.py promise FILE         writes block after block, each with an fsync, and prints its number then, until an error or the end
    data_fd.py promised FILE N      blocks 0 to N are what `promise` wrote
    data_fd.py hold FILE MODE       opens (r, w, rw, d for direct), prints a line, closes at the end of its standard input
"""
import ctypes
import errno
import mmap
import os
import subprocess
import sys
import time

MIB = 1 << 20
FALLOC_KEEP, FALLOC_PUNCH, FALLOC_COLLAPSE, FALLOC_ZERO = 1, 2, 8, 16
libc = ctypes.CDLL(None, use_errno=True)


def check(truth, what):
    if not truth:
        sys.exit(f"data_fd.py: {what}")


def refuses(code, fn, *args):
    try:
        got = fn(*args)
    except OSError as e:
        check(e.errno == code, f"{fn.__name__}{args[1:]}: {errno.errorcode[e.errno]}, not {errno.errorcode[code]}")
    else:
        check(False, f"{fn.__name__}: {got!r}, not {errno.errorcode[code]}")


def fallocate(fd, mode, off, length):
    if libc.fallocate(fd, mode, ctypes.c_long(off), ctypes.c_long(length)) < 0:
        raise OSError(ctypes.get_errno(), "fallocate")


def open_it(path, flags=os.O_RDWR):
    return os.open(path, flags)


def aligned(data):
    """A buffer as O_DIRECT wants it."""
    m = mmap.mmap(-1, len(data))
    m[:] = data
    return m


def direct_read(fd, off, length):
    m = mmap.mmap(-1, length)
    check(os.preadv(fd, [m], off) == length, "short direct read")
    return m[:]


def ends(path):
    fd, direct = open_it(path), open_it(path, os.O_RDWR | os.O_DIRECT)
    size = os.fstat(fd).st_size
    check(os.lseek(fd, 0, os.SEEK_END) == size, "SEEK_END")
    check(os.pwrite(fd, b"x" * 100, size - 100) == 100, "the last bytes")
    check(os.pread(fd, 1000, size - 100) == b"x" * 100, "a read across the end is short")
    check(os.pread(fd, 10, size) == b"" and os.pread(fd, 10, size + 5 * MIB) == b"", "a read past the end is empty")
    check(os.preadv(direct, [mmap.mmap(-1, 8192)], size - 4096) == 4096, "a direct read across the end is short")
    for off in size, size + 1, size + MIB, 1 << 50:
        refuses(errno.ENOSPC, os.pwrite, fd, b"x", off)
    refuses(errno.ENOSPC, os.pwritev, direct, [aligned(b"y" * 4096)], size)
    check(os.pwrite(fd, b"y" * 300, size - 200) == 200, "a write across the end is short")
    check(os.pwritev(direct, [aligned(b"z" * 8192)], size - 4096) == 4096, "a direct write across the end is short")
    check(os.pread(fd, 9999, size - 4096) == b"z" * 4096, "what fitted was written")
    append = open_it(path, os.O_WRONLY | os.O_APPEND)
    refuses(errno.ENOSPC, os.write, append, b"x")
    check(os.fstat(fd).st_size == size == os.stat(path).st_size, "its size stays")


def holes(path):
    fd = open_it(path)
    size = os.fstat(fd).st_size
    fallocate(fd, FALLOC_PUNCH | FALLOC_KEEP, 0, size)
    refuses(errno.ENXIO, os.lseek, fd, 0, os.SEEK_DATA)
    check(os.lseek(fd, 0, os.SEEK_HOLE) == 0, "all is a hole")
    os.pwrite(fd, b"d" * 4 * MIB, 4 * MIB)
    os.fsync(fd)
    check(0 < os.lseek(fd, 0, os.SEEK_DATA) <= 4 * MIB, "the hole before the data")
    check(8 * MIB <= os.lseek(fd, 4 * MIB, os.SEEK_HOLE) < size, "the hole behind it")
    check(os.lseek(fd, 4 * MIB, os.SEEK_DATA) == 4 * MIB, "in the data")
    refuses(errno.ENXIO, os.lseek, fd, size, os.SEEK_DATA)
    fallocate(fd, FALLOC_PUNCH | FALLOC_KEEP, 5 * MIB + 100, MIB)
    fallocate(fd, FALLOC_ZERO, 7 * MIB - 7, 1000)
    want = bytearray(b"d" * 4 * MIB)
    want[MIB + 100:2 * MIB + 100] = bytes(MIB)
    want[3 * MIB - 7:3 * MIB + 993] = bytes(1000)
    check(os.pread(fd, 4 * MIB, 4 * MIB) == want, "what was punched and zeroed reads as zeroes, nothing else does")
    fallocate(fd, FALLOC_ZERO | FALLOC_KEEP, 0, size)
    check(os.pread(fd, 8 * MIB, 0) == bytes(8 * MIB), "all zeroed")
    fallocate(fd, FALLOC_PUNCH | FALLOC_KEEP, size - 10, 100)
    fallocate(fd, FALLOC_PUNCH | FALLOC_KEEP, size + 10, 100)
    check(os.fstat(fd).st_size == size, "its size stays")


def ways(path):
    fd, direct = open_it(path), open_it(path, os.O_RDWR | os.O_DIRECT)
    m = mmap.mmap(fd, 2 * MIB, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)

    def all_read(want, who):
        for off in range(0, len(want), 64 << 10):
            part = want[off:off + (64 << 10)]
            check(os.pread(fd, len(part), off) == part, f"buffered, after {who}")
            check(direct_read(direct, off, len(part)) == part, f"direct, after {who}")
            check(m[off:off + len(part)] == part, f"mapped, after {who}")
        other = subprocess.run(["head", "-c", str(len(want)), path], capture_output=True, check=True).stdout
        check(other == want, f"another process, after {who}")

    want = os.urandom(2 * MIB)
    check(os.pwrite(fd, want, 0) == len(want), "write")
    all_read(want, "a buffered write")
    want = want[:MIB] + os.urandom(64 << 10) + want[MIB + (64 << 10):]
    os.pwritev(direct, [aligned(want[MIB:MIB + (64 << 10)])], MIB)
    all_read(want, "a direct write")
    m[12345:12355] = b"0123456789"
    m.flush()
    want = want[:12345] + b"0123456789" + want[12355:]
    all_read(want, "a write through memory")
    with open(path, "r+b", buffering=0) as f:
        f.write(b"other")
    all_read(b"other" + want[5:], "another's write")


def synced(path):
    for flags in os.O_SYNC, os.O_DSYNC, os.O_SYNC | os.O_DIRECT:
        fd = open_it(path, os.O_RDWR | flags)
        check(os.pwritev(fd, [aligned(b"s" * 8192)], 8192) == 8192, "synchronous write")
        check(direct_read(fd, 8192, 8192) == b"s" * 8192, "read back")
        os.close(fd)
    fd = open_it(path)
    for sync in os.fsync, os.fdatasync:
        os.pwrite(fd, b"t", 5)
        sync(fd)
    read_only = open_it(path, os.O_RDONLY)
    os.fsync(read_only)


def refused(path):
    fd, read_only, write_only = open_it(path), open_it(path, os.O_RDONLY), open_it(path, os.O_WRONLY)
    size = os.fstat(fd).st_size
    refuses(errno.EINVAL, os.ftruncate, fd, size - 512)
    refuses(errno.EINVAL, os.ftruncate, fd, 0)
    refuses(errno.EINVAL, os.truncate, path, size - 1)
    os.ftruncate(fd, size)
    refuses(errno.EBADF, os.pwrite, read_only, b"x", 0)
    refuses(errno.EBADF, os.pread, write_only, 1, 0)
    refuses(errno.EBADF, fallocate, read_only, FALLOC_PUNCH | FALLOC_KEEP, 0, 4096)
    refuses(errno.ENOSPC, fallocate, fd, FALLOC_ZERO, size - 100, 4096)
    refuses(errno.EOPNOTSUPP, fallocate, fd, FALLOC_COLLAPSE, 0, 4096)
    check(os.fstat(fd).st_size == size, "its size stays")


def grows(path, want):
    want = int(want)
    fd, other = open_it(path), open_it(path, os.O_RDONLY)
    direct = open_it(path, os.O_RDWR | os.O_DIRECT)
    size = os.fstat(fd).st_size
    os.pwrite(fd, b"e" * 4096, size - 4096)
    refuses(errno.ENOSPC, os.pwrite, fd, b"x", size)
    os.ftruncate(fd, want)
    until = time.time() + 30
    while os.fstat(fd).st_size != want:
        check(time.time() < until, f"30 s after ftruncate to {want} the size is {os.fstat(fd).st_size}")
        time.sleep(0.01)
    check(os.fstat(other).st_size == want, "another descriptor sees the new size")
    check(os.lseek(other, 0, os.SEEK_END) == want, "SEEK_END is the new end")
    new = os.pread(other, want - size, size)
    check(new == bytes(want - size), "the new part reads as zeroes, and is there")
    check(os.pwrite(fd, b"n" * 100, want - 100) == 100, "the new end can be written")
    check(os.pwritev(direct, [aligned(b"n" * 4096)], size) == 4096, "the new part can be written past the cache")
    check(os.pread(other, 8192, size - 4096) == b"e" * 4096 + b"n" * 4096, "both sides of the old end")
    refuses(errno.ENOSPC, os.pwrite, fd, b"x", want)


def block(i):
    return i.to_bytes(8, "little") * 512


def promise(path):
    fd = open_it(path)
    for i in range(os.fstat(fd).st_size // 4096):
        try:
            os.pwrite(fd, block(i), i * 4096)
            os.fsync(fd)
        except OSError:
            os._exit(0)
        print(i, flush=True)


def promised(path, last):
    fd = open_it(path, os.O_RDONLY)
    for i in range(int(last) + 1):
        check(os.pread(fd, 4096, i * 4096) == block(i), f"block {i} of {last} was synced, and is lost")


def hold(path, mode):
    flags = {"r": os.O_RDONLY, "w": os.O_WRONLY, "rw": os.O_RDWR, "d": os.O_RDWR | os.O_DIRECT}[mode]
    fd = open_it(path, flags)
    print("open", flush=True)
    sys.stdin.read()
    os.close(fd)


GESTURES = {f.__name__: f for f in (ends, holes, ways, synced, refused, grows, promise, promised, hold)}
GESTURES[sys.argv[1]](*sys.argv[2:])

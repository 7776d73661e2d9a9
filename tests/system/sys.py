"""One gesture by plain system calls; prints OK or the name of the errno, and the call that gave it: EINVAL@write.

A shell hides which call failed (and forgets a failed close); this does not. Exit status 0 whenever there is an answer.

    sys.py write FILE TEXT [FLAG…]    as a shell's `>`: open(O_WRONLY|O_CREAT|O_TRUNC), write, close; TEXT "-": standard
                                      input; flags as EXCL, APPEND, RDWR, NONBLOCK, NOTRUNC, NOCREAT, DIRECT
    sys.py chunks FILE TEXT…          one write(2) for each TEXT
    sys.py read FILE [FLAG…]          what was read goes to standard error
    sys.py submit FILE TEXT           O_RDWR: write, then read on the same descriptor; the answer to standard error
    sys.py create FILE                open(O_CREAT|O_EXCL|O_WRONLY), close
    sys.py mkdir|rmdir|unlink|readdir|stat PATH     sys.py rename|noreplace|exchange|link|symlink FROM TO
    sys.py chmod PATH MODE            sys.py chown PATH UID GID        sys.py truncate PATH SIZE
    sys.py utimes PATH                sys.py mknod PATH                sys.py fallocate PATH OFFSET LENGTH
    sys.py setxattr PATH NAME VALUE   sys.py getxattr PATH NAME
"""
import ctypes
import errno
import os
import sys

AT_FDCWD = -100
RENAME = {"noreplace": 1, "exchange": 2}


class Refused(Exception):
    pass


def call(what, fn, *args, **kw):
    try:
        return fn(*args, **kw)
    except OSError as e:
        raise Refused(f"{errno.errorcode.get(e.errno, e.errno)}@{what}") from None


def flags_of(names, base):
    for name in names:
        if name in ("NOTRUNC", "NOCREAT"):
            base &= ~getattr(os, "O_" + name[2:])
        elif name == "RDWR":
            base = base & ~os.O_ACCMODE | os.O_RDWR
        else:
            base |= getattr(os, "O_" + name)
    return base


def text_of(arg):
    return sys.stdin.buffer.read() if arg == "-" else os.fsencode(arg)


def write(path, *texts, flags=()):
    fd = call("open", os.open, path, flags_of(flags, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 0o644)
    refused = None
    for text in texts:
        try:
            data = text_of(text)
            if call("write", os.write, fd, data) != len(data):
                refused = "SHORT@write"
        except Refused as e:
            refused = refused or str(e)
    call("close", os.close, fd) if not refused else quiet_close(fd)
    return refused


def quiet_close(fd):
    try:
        os.close(fd)
    except OSError:
        pass


def read(path, *flags):
    fd = call("open", os.open, path, flags_of(flags, os.O_RDONLY))
    while True:
        data = call("read", os.read, fd, 65536)
        if not data:
            break
        sys.stderr.buffer.write(data)
    call("close", os.close, fd)


def submit(path, text):
    fd = call("open", os.open, path, os.O_RDWR | os.O_CREAT, 0o644)
    refused = None
    try:
        call("write", os.write, fd, text_of(text))
    except Refused as e:
        refused = str(e)
    sys.stderr.buffer.write(call("read", os.read, fd, 65536))
    quiet_close(fd)
    return refused


def rename2(flag, old, new):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), RENAME[flag]) < 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def on_fd(path, fn, *args):
    fd = call("open", os.open, path, os.O_WRONLY)
    call(fn.__name__, fn, fd, *args)
    call("close", os.close, fd)


def listing(path):
    sys.stderr.write("".join(name + "\n" for name in os.listdir(path)))


GESTURES = {
    "write": lambda path, text, *flags: write(path, text, flags=flags),
    "chunks": lambda path, *texts: write(path, *texts),
    "read": read,
    "submit": submit,
    "create": lambda path: os.close(
        call("open", os.open, path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)),
    "mkdir": lambda path: call("mkdir", os.mkdir, path),
    "rmdir": lambda path: call("rmdir", os.rmdir, path),
    "unlink": lambda path: call("unlink", os.unlink, path),
    "readdir": lambda path: call("readdir", listing, path),
    "stat": lambda path: call("stat", os.lstat, path) and None,
    "rename": lambda old, new: call("rename", os.rename, old, new),
    "noreplace": lambda old, new: call("rename", rename2, "noreplace", old, new),
    "exchange": lambda old, new: call("rename", rename2, "exchange", old, new),
    "link": lambda old, new: call("link", os.link, old, new),
    "symlink": lambda old, new: call("symlink", os.symlink, old, new),
    "chmod": lambda path, mode: call("chmod", os.chmod, path, int(mode, 8)),
    "chown": lambda path, uid, gid: call("chown", os.chown, path, int(uid), int(gid)),
    "truncate": lambda path, size: call("truncate", os.truncate, path, int(size)),
    "utimes": lambda path: call("utimes", os.utime, path),
    "mknod": lambda path: call("mknod", os.mknod, path, 0o600),
    "fallocate": lambda path, at, n: on_fd(path, os.posix_fallocate, int(at), int(n)),
    "setxattr": lambda path, name, value: call("setxattr", os.setxattr, path, name, os.fsencode(value)),
    "getxattr": lambda path, name: call("getxattr", os.getxattr, path, name) and None,
}


def main():
    try:
        refused = GESTURES[sys.argv[1]](*sys.argv[2:])
    except Refused as e:
        refused = str(e)
    print(refused or "OK")


main()

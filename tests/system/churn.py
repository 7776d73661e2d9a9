"""Writers that create, delete, extend and rename until the mount dies under them; and the reckoning afterwards.

    churn.py run MNT DIR WRITERS SEED [LEVEL]   until the mount is gone; what was asked and answered goes to DIR/<writer>.
                                                Exit status 1: an answer that nobody should get
    churn.py settled MNT            0 if no volume is on its way anywhere and the trash is empty
    churn.py check MNT DIR DB       what was answered is so, what was in flight is done or not; the sums are right, the
                                    catalogue is sound and has no job. Prints "uuid image_id size" of each volume

A writer's file is one line for each call: what it was about to do, then the answer: OK, an errno's name, or LOST (the
mount died in it: it may have been done). Each writer has names of its own, so each file tells the whole story of them.
LEVEL: volumes that a writer keeps, default 8.
"""
import errno
import json
import os
import random
import sqlite3
import sys
import time

GONE = (errno.ENOTCONN, errno.ECONNABORTED)
UNSETTLED = {"creating", "deleting", "extending"}
MIB = 1 << 20


class Lost(Exception):
    """The mount is gone."""


class Writer:
    def __init__(self, mnt, path, prefix, seed, level):
        self.mnt, self.prefix, self.level = mnt, prefix, level
        self.random = random.Random(seed)
        self.log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        self.names = [n for n in os.listdir(mnt) if n.startswith(prefix)]
        self.serial = seed * 1000000

    def tell(self, *words):
        os.write(self.log, (json.dumps(words) + "\n").encode())

    def path(self, *parts):
        return os.path.join(self.mnt, *parts)

    def fresh(self):
        self.serial += 1
        return f"{self.prefix}{self.serial}"

    # The last call of a gesture is the one that does it; before it nothing has been asked for.
    def put(self, path, text, draft=False):
        fd = self.early(os.open, path, os.O_WRONLY | os.O_CREAT, 0o644)
        if text:
            self.early(os.write, fd, text.encode())
        self.early(os.close, fd) if draft else os.close(fd)

    @staticmethod
    def early(fn, *args):
        try:
            return fn(*args)
        except OSError as e:
            if e.errno in GONE:
                raise Lost from None
            raise

    def create(self):
        name, size = self.fresh(), self.random.randint(1, 64) * MIB
        spec = f"size={size // MIB}M\n"
        if self.random.random() < 0.7:
            self.ask(("create", name, size, "by close"), lambda: self.put(self.path("new", name), spec))
        else:
            def rename():
                draft = self.path("new", "." + name)
                self.put(draft, spec, draft=True)
                os.rename(draft, self.path("new", name))
            self.ask(("create", name, size, "by mv"), rename)
        self.names.append(name)

    def delete(self):
        name = self.random.choice(self.names)
        if self.ask(("delete", name), lambda: os.rmdir(self.path(name)), "EBUSY") == "OK":
            self.names.remove(name)

    def extend(self):
        name = self.random.choice(self.names)
        size = self.random.randint(64, 512) * MIB

        def write():
            fd = self.early(os.open, self.path(name, "size"), os.O_WRONLY | os.O_TRUNC)
            try:
                os.write(fd, f"{size // MIB}M\n".encode())
            finally:
                try:
                    os.close(fd)
                except OSError:
                    pass
        self.ask(("extend", name, size), write, "EBUSY", "EINVAL")  # EINVAL: it is larger already

    def rename(self):
        old = self.random.choice(self.names)
        new = self.fresh()
        if self.ask(("rename", old, new), lambda: os.rename(self.path(old), self.path(new)), "EBUSY") == "OK":
            self.names[self.names.index(old)] = new

    def look(self):
        name = self.random.choice(self.names)
        with open(self.path(name, "id")) as f:
            self.tell("id", name, f.read().strip())

    def ask(self, what, fn, *expected):
        self.tell(*what)
        try:
            fn()
            answer = "OK"
        except Lost:
            self.tell("NOT")  # it ended before the call that counts
            raise
        except OSError as e:
            if e.errno in GONE:
                self.tell("LOST")
                raise Lost from None
            answer = errno.errorcode.get(e.errno, str(e.errno))
            if answer not in expected:
                self.tell("WRONG", answer)
                print(f"{what}: {answer}", file=sys.stderr)
                sys.exit(1)
        self.tell(answer)
        return answer

    def step(self):
        if len(self.names) < 2 or (len(self.names) < 2 * self.level and self.random.random() < 0.5):
            return self.create()
        if len(self.names) > self.level and self.random.random() < 0.7:
            return self.delete()
        return self.random.choice((self.delete, self.extend, self.extend, self.rename, self.look))()

    def run(self, seconds=60):
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until:
                self.step()
        except Lost:
            return 0
        except OSError as e:  # of look()
            if e.errno in GONE:
                return 0
            raise
        print("the mount did not die", file=sys.stderr)
        return 1


def run(mnt, folder, writers, seed, level="8"):
    children = []
    for log in logs(folder):
        os.unlink(os.path.join(folder, log))
    for i in range(int(writers)):
        try:
            w = Writer(mnt, os.path.join(folder, f"w{i}"), f"w{i}-", int(seed) * 100 + i, int(level))
        except OSError as e:
            if e.errno in GONE:
                break
            raise
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                status = w.run()
            finally:
                os._exit(status)
        children.append(pid)
    return max([0] + [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children])


def logs(folder):
    return sorted(n for n in os.listdir(folder) if n[0] == "w")


def text(*parts):
    with open(os.path.join(*parts)) as f:
        return f.read().strip()


def volumes(mnt):
    return [n for n in os.listdir(mnt) if n not in ("new", ".volfs")]


def settled(mnt):
    if os.listdir(os.path.join(mnt, ".volfs/trash")):
        return 1
    return 1 if any(text(mnt, n, "status") in UNSETTLED for n in volumes(mnt)) else 0


def apply(state, what):
    """What is there after it has been done: name → (id or None, size)."""
    op, name = what[0], what[1]
    if op == "create":
        state[name] = (None, what[2])
    elif op == "delete":
        del state[name]
    elif op == "extend":
        state[name] = (state[name][0], what[2])
    elif op == "rename":
        state[what[2]] = state.pop(name)
    return state


def replay(path, before):
    """The states that are right at the end: with and without what was in flight."""
    state, asked, lost = dict(before), None, None
    if not os.path.exists(path):  # the mount died before this one began
        return [state]
    with open(path) as f:
        for line in map(json.loads, f):
            if line[0] == "id":
                if state[line[1]][0] not in (None, line[2]):
                    raise SystemExit(f"{line[1]}: id {line[2]}, but it was {state[line[1]][0]}")
                state[line[1]] = (line[2], state[line[1]][1])
            elif line[0] in ("create", "delete", "extend", "rename"):
                asked = line
            elif line[0] == "OK":
                apply(state, asked)
            elif line[0] == "LOST":
                lost = asked
    return [state] + ([apply(dict(state), lost)] if lost else [])


def fits(state, found):
    return state.keys() == found.keys() and all(
        size == found[n][1] and ident in (None, found[n][0]) for n, (ident, size) in state.items())


def check(mnt, folder, database):
    found = {}
    bad = []
    for name in volumes(mnt):
        with open(os.path.join(mnt, name, "json")) as f:
            v = json.load(f)
        found[name] = (v["id"], v["size"])
        if v["status"] != "available":
            bad.append(f"{name}: {v['status']}: {v.get('error', '')}")
        if os.path.realpath(os.path.join(mnt, ".volfs/by/id", v["id"])) != os.path.realpath(os.path.join(mnt, name)):
            bad.append(f"{name}: by/id/{v['id']} does not lead there")
    before_path = os.path.join(folder, "before")
    before = {}
    if os.path.exists(before_path):
        with open(before_path) as f:
            before = {n: tuple(v) for n, v in json.load(f).items()}
    owners = {n.partition("-")[0] for n in (*before, *found)}
    for log in sorted(owners.union(logs(folder))):
        def own(all_of):
            return {n: v for n, v in all_of.items() if n.startswith(log + "-")}
        states = replay(os.path.join(folder, log), own(before))
        if not any(fits(s, own(found)) for s in states):
            want = [sorted(set(s.items()) ^ set(own(found).items()), key=str) for s in states]
            bad.append(f"{log}: what was answered is not so; differences: {want}")
    bad += sums(mnt, found) + catalogue(database, found)
    if bad:
        print("\n".join(bad), file=sys.stderr)
        return 1
    with open(before_path + ".new", "w") as f:
        json.dump(found, f)
    os.rename(before_path + ".new", before_path)
    return 0


def sums(mnt, found):
    want = {"quotas/root/volumes.current": len(found), "quotas/root/size.current": sum(s for _, s in found.values())}
    per = {}
    for name in found:
        per.setdefault(text(mnt, name, "backend"), []).append(found[name][1])
    for backend in os.listdir(os.path.join(mnt, ".volfs/backends")):
        want[f"backends/{backend}/volumes"] = len(per.get(backend, []))
        want[f"backends/{backend}/allocated"] = sum(per.get(backend, []))
    bad = []
    for path, number in want.items():
        full = os.path.join(mnt, ".volfs", path)
        got = text(full) if os.path.exists(full) else "0"
        if got != str(number):
            bad.append(f"{path}: {got}, but it is {number}")
    return bad


def catalogue(database, found):
    db = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)
    bad = [f"catalogue: {row[0]}" for row in db.execute("PRAGMA integrity_check") if row[0] != "ok"]
    bad += [f"the job of kind {k} for {u} is left" for k, u in db.execute("SELECT kind, uuid FROM job")]
    rows = db.execute("SELECT uuid, image_id, size, reserved, name, trashed FROM volume").fetchall()
    bad += [f"{uuid}: {r} bytes reserved, trashed {t}" for uuid, _, _, r, _, t in rows if r or t]
    names = [name for *_, name, _ in rows]
    if len(set(names)) != len(names) or {uuid: size for uuid, _, size, *_ in rows} != dict(found.values()):
        bad.append("the catalogue's volumes are not those of the mount")
    for uuid, image, size, *_ in sorted(rows):
        print(uuid, image, size)
    return bad


if __name__ == "__main__":
    sys.exit({"run": run, "settled": settled, "check": check}[sys.argv[1]](*sys.argv[2:]))

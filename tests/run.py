"""Runs the tests: what script/test calls once everything is built. Usage: see script/test.

A test is an executable file that is found because it is there:

    lint      tests/lint/*
    unit      meson's tests of suite `unit` (tests/unit/meson.build and its neighbours)
    system    tests/system/*.sh and *.py: a mounted volfs on the local driver, driven from outside
    ceph      tests/ceph/*.sh and *.py: the same on a one-node cluster that the test starts
    sanitize  the unit tests and the system tests that say `# sanitize`, on a build with the address and undefined
              sanitizers (--full: all system tests)
    fuzz      20 s of every fuzzer in that build's tests/fuzz (--full: 600 s)

Each has a folder of its own (T, also its working directory), BUILD, and a bound: 120 s, or what it says in one of its
first 30 lines: `# timeout: 300`, `# timeout: 300 full: 3000`. Tests of the suites system and ceph run two at a time but for the ones
that say `# alone`, of the others one more than there are processors, since many wait for the clock. Everything that it started carries T in the
environment; what is still there when it ends is ended, and counted as a failure.
"""
import argparse
import concurrent.futures
import fnmatch
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SUITES = ["lint", "unit", "system", "ceph", "sanitize", "fuzz"]
MOUNTED = ["system", "ceph"]  # their tests are more than one process can keep busy
BOUND = {"ceph": 300}
SETTLE = 5  # seconds that what a test started may take to go away after it


class Test:
    def __init__(self, suite, name, cmd, build, bound, again=None, env=None):
        self.suite, self.name, self.cmd, self.build = suite, name, cmd, build
        self.bound, self.env = bound, env or {}
        self.id = f"{suite}/{name}"
        self.path = again or os.path.relpath(cmd[0], TOP)
        self.alone = False  # nothing else may run beside it
        self.seconds, self.why, self.log, self.dir = 0.0, None, None, None


# ---- finding


def bound_of(path, default, full):
    with open(path, errors="replace") as f:
        head = "".join(line for _, line in zip(range(30), f))
    found = re.search(r"# timeout: (\d+)(?: full: (\d+))?", head)
    if not found:
        return default * (10 if full else 1)
    return int(found[2] if full and found[2] else found[1])


def executables(folder, endings):
    folder = os.path.join(TOP, folder)
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK) and name.endswith(endings):
            yield path


def script_tests(suite, folder, endings, build, full, wanted=lambda path: True):
    for path in executables(folder, endings):
        if wanted(path):
            name = os.path.splitext(os.path.basename(path))[0]
            bound = bound_of(path, BOUND.get(suite, 120), full) * (2 if suite == "sanitize" else 1)
            test = Test(suite, name, [path], build, bound)
            test.alone = suite in MOUNTED and marked(path, "# alone")
            yield test


def unit_tests(suite, build, full):
    listed = subprocess.run(["meson", "introspect", "--tests", build], capture_output=True, check=True, cwd=TOP)
    for test in json.loads(listed.stdout):
        if any(s.split(":")[-1] == "unit" for s in test["suite"]):
            bound = max(int(test["timeout"]), 30) * (10 if full else 1) * (3 if suite == "sanitize" else 1)
            yield Test(suite, test["name"], test["cmd"], build, bound, env=test["env"])


def marked(path, mark):
    with open(path, errors="replace") as f:
        return any(line.strip() == mark for _, line in zip(range(30), f))


def fuzzers(build, full):
    seconds = 600 if full else 20
    for source in sorted(glob.glob(os.path.join(TOP, "tests/fuzz/fuzz_*.c"))):
        name = os.path.basename(source).removesuffix(".c")
        path = os.path.join(TOP, build, "tests/fuzz", name)
        corpus = os.path.join(TOP, "tests/fuzz/corpus", name.removeprefix("fuzz_"))
        # New inputs go to the first folder, which is the test's own; the corpus of the tree is only read.
        cmd = [path, f"-max_total_time={seconds}", "."] + ([corpus] if os.path.isdir(corpus) else [])
        yield Test("fuzz", name, cmd, build, seconds + 100)


def find(build, sanitized, full):
    tests = list(script_tests("lint", "tests/lint", "", build, full))
    tests += unit_tests("unit", build, full)
    tests += script_tests("system", "tests/system", (".sh", ".py"), build, full)
    tests += script_tests("ceph", "tests/ceph", (".sh", ".py"), build, full)
    is_built = os.path.exists(os.path.join(TOP, sanitized, "build.ninja"))  # not yet: then this is --list
    tests += unit_tests("sanitize", sanitized if is_built else build, full)
    tests += fuzzers(sanitized, full)
    tests += script_tests("sanitize", "tests/system", (".sh", ".py"), sanitized, full,
                          lambda path: full or marked(path, "# sanitize"))
    return sorted(tests, key=lambda t: SUITES.index(t.suite))


def choose(tests, wanted):
    if not wanted:
        return tests

    def fits(test, word):
        if word == test.suite or fnmatch.fnmatch(test.id, word):
            return True
        # The same test with sanitizers is meant only when it is named so.
        return test.suite != "sanitize" and (word == test.path or fnmatch.fnmatch(test.name, word))

    for word in wanted:
        if not any(fits(t, word) for t in tests) and word not in SUITES:
            sys.exit(f"script/test: no test '{word}'; script/test --list names them")
    return [t for t in tests if any(fits(t, word) for word in wanted)]


# ---- what a test leaves behind


def processes_of(folder):
    mark = f"T={folder}".encode()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as f:
                if mark not in f.read().split(b"\0"):
                    continue
            with open(f"/proc/{pid}/stat") as f:
                state, name = f.read().rsplit(")", 1)[1].split()[0], os.readlink(f"/proc/{pid}/exe")
            if state not in "ZX":
                yield int(pid), os.path.basename(name)
        except OSError:
            continue


def mounts_of(folder):
    with open("/proc/self/mountinfo") as f:
        points = [line.split()[4] for line in f]
    return sorted((p for p in points if p.startswith(folder + "/")), reverse=True)


def end_leftovers(folder, patient):
    """Ends what is left; returns its description, or None."""
    until = time.monotonic() + (SETTLE if patient else 0)
    while time.monotonic() < until and (mounts_of(folder) or list(processes_of(folder))):
        time.sleep(0.05)
    left = [f"{name} ({pid})" for pid, name in processes_of(folder)] + mounts_of(folder)
    for mount in mounts_of(folder):
        # -f first: it cuts the connection to a daemon that is gone or stuck.
        for how in ("-f", "-l"):
            subprocess.run(["umount", how, mount], stderr=subprocess.DEVNULL, check=False)
    for _ in range(3):
        for pid, _ in processes_of(folder):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.05 if left else 0)
    return ", ".join(left) or None


# ---- running


def run(test, top, logs, full, keep):
    test.dir = os.path.join(top, test.id.replace("/", "-"))
    test.log = os.path.join(logs, test.id.replace("/", "-") + ".log")
    os.makedirs(test.dir)
    env = dict(os.environ, T=test.dir, BUILD=os.path.join(TOP, test.build), SRC=TOP, TMPDIR=test.dir, **test.env)
    env.pop("VOLFS", None)
    if full:
        env["VOLFS_TEST_FULL"] = "1"
    if test.suite in ("sanitize", "fuzz"):
        env["VOLFS_TEST_SANITIZED"] = "1"
        env["ASAN_OPTIONS"] = "detect_leaks=1:detect_stack_use_after_return=0"
        env["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1"
        env["LSAN_OPTIONS"] = f"suppressions={TOP}/tests/system/lsan.supp:print_suppressions=0"
    began = time.monotonic()
    with open(test.log, "wb") as log:
        child = subprocess.Popen(test.cmd, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                 cwd=test.dir, env=env, start_new_session=True)
        test.why = wait(child, test.bound)
    test.seconds = time.monotonic() - began
    left = end_leftovers(test.dir, test.why is None)
    if left and not test.why:
        test.why = f"left behind: {left}"
    if not test.why and not keep and not mounts_of(test.dir):
        shutil.rmtree(test.dir, ignore_errors=True)


def wait(child, bound):
    try:
        status = child.wait(bound)
        return None if status == 0 else f"exit status {status}" if status > 0 else \
            f"ended by {signal.Signals(-status).name}"
    except subprocess.TimeoutExpired:
        child.terminate()  # lib.sh cleans up on it
    try:
        child.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    return f"not done after {bound} s"


tell_lock = threading.Lock()


def tell(test):
    with tell_lock:
        print(f"{'FAIL' if test.why else 'ok':<5}{test.id:<48}{test.seconds:7.1f} s", flush=True)
        if not test.why:
            return
        with open(test.log, errors="replace") as f:
            tail = f.readlines()[-25:]
        print(f"     {test.why}\n" + "".join(f"     | {line.rstrip()}\n" for line in tail)
              + f"     log: {test.log}\n     files: {test.dir}\n     again: script/test {test.id}", flush=True)


def run_suite(tests, jobs, *how):
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        def one(test):
            run(test, *how)
            tell(test)
        for done in [pool.submit(one, t) for t in tests]:
            done.result()


def main():
    p = argparse.ArgumentParser(prog="script/test")
    p.add_argument("--build", default="build", help=argparse.SUPPRESS)
    p.add_argument("--full", action="store_true")
    p.add_argument("--list", action="store_true")
    p.add_argument("--keep", action="store_true")
    p.add_argument("-j", type=int, default=0, metavar="N")
    p.add_argument("tests", nargs="*")
    args = p.parse_args()

    sanitized = "build-sanitize"
    needs = not args.list and (not args.tests or any(
        w.startswith(("sanitize", "fuzz")) for w in args.tests))
    if needs:
        built = subprocess.run([os.path.join(TOP, "script/build"), "--tests", "--cc", "clang", "--sanitize", "address,undefined",
                                sanitized], check=False)
        if built.returncode:
            print("the build with sanitizers failed\n0 passed, 1 failed")
            return 1
    tests = choose(find(args.build, sanitized, args.full), args.tests)
    if args.list:
        print("".join(f"{t.id}\n" for t in tests), end="")
        return 0

    began = time.monotonic()
    logs = os.path.join(TOP, args.build, "testlogs")
    shutil.rmtree(logs, ignore_errors=True)
    os.makedirs(logs)
    top = tempfile.mkdtemp(prefix="volfs-test.")
    os.chmod(top, 0o755)  # tests act as other users too
    for suite in SUITES:
        # What measures time runs alone, and of daemons and clusters there are two at most, unless -j says otherwise.
        for alone in (True, False):
            jobs = args.j or (1 if alone else min(2, os.cpu_count()) if suite in MOUNTED else os.cpu_count() + 1)
            run_suite([t for t in tests if (t.suite, t.alone) == (suite, alone)], jobs, top, logs, args.full, args.keep)

    failed = [t for t in tests if t.why]
    print(f"\n{time.monotonic() - began:.0f} s; the slowest:")
    for t in sorted(tests, key=lambda t: -t.seconds)[:5]:
        print(f"  {t.seconds:7.1f} s  {t.id}")
    if not failed and not args.keep and not mounts_of(top):
        shutil.rmtree(top, ignore_errors=True)
    for t in failed:
        print(f"failed: {t.id}: {t.why}; {t.log}")
    print(f"{len(tests) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed or not tests else 0


sys.exit(main())

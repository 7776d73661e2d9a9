#!/bin/bash
# `progress` of what copies on a backend that cannot share bytes, and of a purge; it is read all the time, and never waits.
. "$(dirname "$0")/../system/lib.sh"

mkdir "$T/disk"
mount -t tmpfs -o size=1536m volfs-test "$T/disk"
at_exit "umount -l '$T/disk'"
cat >"$T/conf" <<-END
	database = "$T/db";
	trash_delay = 3600;
	backends = ( { name = "disk"; driver = "local"; path = "$T/disk"; } );
END
start_volfs -c "$T/conf"
cd "$MNT"

cat >"$T/watch.py" <<'END'
import json, os, re, subprocess, sys, time
path, word, command = sys.argv[1], sys.argv[2], sys.argv[3:]
line = re.compile(r"(\d+)% (\d+) MiB of (\d+) MiB (\w+)\n")


def read():
    try:
        return open(path).read()
    except FileNotFoundError:
        return ""  # not made yet, or purged


def told():
    try:
        return json.load(open(os.path.join(os.path.dirname(path), "json")))["progress"]
    except FileNotFoundError:
        return None


assert read() == "", "before"
child = subprocess.Popen(command)
seen, slowest, said = [], 0.0, []
while child.poll() is None or read():
    began = time.monotonic()
    text = read()
    slowest = max(slowest, time.monotonic() - began)
    if text:
        percent, done, total, what = line.fullmatch(text).groups()
        assert what == word, text
        assert abs(int(percent) - 100 * int(done) / int(total)) <= 1, text
        seen.append((int(total), int(done)))
        said.append(told())
assert child.returncode == 0, child.returncode
print(f"{word}: {len(set(seen))} different of {len(seen)}, to {seen[-1:]}; the slowest read {1000 * slowest:.1f} ms")
assert seen == sorted(seen) and len({total for total, done in seen}) == 1, seen
assert len(set(seen)) >= 2, seen
assert slowest < 1, slowest
said = [p for p in said if p]
assert said and all(p["what"] == word and 0 <= p["done"] <= p["total"] for p in said), said
assert said[0]["total"] >> 20 == seen[0][0], (said[0], seen[0])
END

# counts FILE WORD COMMAND…: while the command runs the file counts with that word, forwards, at least two steps; then it is empty.
counts()
{
	python3 "$T/watch.py" "$@" || fail "progress of: $*"
}

volume db size=1
img=$T/disk/volume-$(cat db/id)
# Holes are not counted: of 1 GiB there are 256 MiB.
dd if=/dev/zero of="$img" bs=1M count=256 seek=512 conv=notrunc status=none
counts db/progress snapshot mkdir db/snapshots/monday
counts db/progress revert sh -c 'echo monday >db/revert && cat db/wait >/dev/null'
counts copy/progress copy sh -c 'echo snapshot=db@monday >new/copy && cat copy/wait >/dev/null'
eq "" "$(cat db/progress)" "of its source"
rmdir copy db/snapshots/monday
rmdir .volfs/trash/*
wait_for 10 test ! -e "$T/disk/.volume-$(cat db/id).snapshots"

fallocate -l 1G "$img"
id=$(cat db/id)
rmdir db
counts ".volfs/trash/$id/progress" purge sh -c "rmdir .volfs/trash/$id && cat .volfs/trash/$id/wait >/dev/null"
cd /
stop_volfs

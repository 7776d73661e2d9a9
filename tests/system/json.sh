#!/bin/bash
# .volfs/json: every volume on a line of its own, the same as its own `json`; for ordinary tools, other users, small reads; across kills
# of the server, and while volumes come and go.
# sanitize
. "$(dirname "$0")/lib.sh"

start_volfs --restarts 0 -c "$(local_conf)"
cd "$MNT"
all=.volfs/json

note "a volume's own line, and all of them"
volume odd size=1M 'description="a \"b\" \\ é"' 'metadata.k="v 1"' metadata.z=2
volume seen size=1M
mkdir seen/snapshots/monday seen/attachments/vm
echo host1 >seen/attachments/vm/host
for i in $(seq 100); do
	echo size=1M >"new/v$i"
done
cat v*/wait >"$T/out"
same() # `used` is measured anew when somebody looks
{
	cat ./*/json | sort >"$T/own"
	sort "$all" | cmp - "$T/own"
}
wait_for 20 same
eq 'a "b" \ é,v 1' "$(jq -r 'select(.name == "odd") | .description + "," + .metadata.k' $all)"
eq 'monday vm host1 rw in-use' "$(jq -r 'select(.name == "seen") | [.snapshots[0].name, .attachments[0].name, .attachments[0].host,
	.attachments[0].mode, .status] | join(" ")' $all)"

note "ordinary tools"
cat $all >"$T/all"
eq "$(ls | grep -vx new | sort)" "$(jq -r .name $all | sort)"
eq 102 "$(wc -l <$all)"
eq 1 "$(grep -c '"name":"v7"' $all)"
eq "$(head -n 1 "$T/all")" "$(head -n 1 $all)"
eq "$(tail -n 2 "$T/all")" "$(tail -n 2 $all)"
eq "$(sed -n 3p "$T/all")" "$( (head -n 2 >"$T/out" && head -n 1) <$all)"
cp $all "$T/copy"
cmp "$T/all" "$T/copy"
n=0
while read -r line; do # reads too much, and seeks back
	n=$((n + 1))
	eq "$(sed -n ${n}p "$T/all")" "${line//\\/\\}"
	[ $n -lt 40 ] || break
done <$all
dd if=$all bs=7 count=2000 iflag=fullblock status=none | cmp -n 14000 "$T/all" -
eq 0 "$(stat -c %s $all)"
not dd if=$all iflag=direct of="$T/out" bs=4096 status=none 2>"$T/err"
match 'Invalid argument' "$(cat "$T/err")"
python3 - "$all" "$T/all" <<'END'
import json, os, sys
fd, want = os.open(sys.argv[1], os.O_RDONLY), open(sys.argv[2], "rb").read()
assert os.pread(fd, 100, 0) + os.pread(fd, 1 << 20, 100) == want[:want.index(b"\n") + 1]
try:
    sys.exit("a leap gave %r" % os.pread(fd, 100, 12345))
except OSError as e:
    assert e.errno == 22, e
assert os.lseek(fd, 0, os.SEEK_SET) == 0 and os.read(fd, 1 << 20) == want and os.read(fd, 1) == b""
assert len([json.loads(line) for line in open(sys.argv[1])]) == 102
END

note "a line that is longer than a read"
for i in $(seq 60); do
	printf '%s' "$(printf 'x%.0s' {1..255})" >"odd/metadata/key$i"
done
cat $all >"$T/all"
dd if=$all bs=4096 status=none | cmp "$T/all" -
dd if=$all bs=100 status=none | cmp "$T/all" -

note "other users see what is their projects'"
as 1000:100 sh -c 'echo size=1M >new/mine'
as 1001:101 sh -c 'echo size=1M >new/theirs'
cat mine/wait theirs/wait >"$T/out"
eq mine "$(as 1000:100 jq -r .name $all)"
eq theirs "$(as 1001:101 jq -r .name $all)"
eq "mine theirs" "$(as 1002:100,101 jq -r .name $all | xargs)"
eq "" "$(as 1003:103 cat $all)"
eq 104 "$(wc -l <$all)"

# The reader takes a step for each line of its input; whoever is there all the time must be there once.
cat >"$T/reader.py" <<'END'
import json, os, sys
path, size = sys.argv[1], int(sys.argv[2])
fd, text = os.open(path, os.O_RDONLY), b""
for line in sys.stdin:
    for i in range(int(line)):
        got = os.read(fd, size)
        text += got
    print(len(text), "" if got else "end", flush=True)
    if not got:
        break
names = [json.loads(line)["name"] for line in text.splitlines()]
for name in sys.argv[3:]:
    assert names.count(name) == 1, (name, names.count(name))
END

# read_across SIZE STEP: until its end, with a kill after each step
read_across()
{
	local kills=0 answer
	coproc python3 "$T/reader.py" $all "$1" "${fixed[@]}"
	while echo "$2" >&"${COPROC[1]}" && read -r answer <&"${COPROC[0]}"; do
		[ "${answer% end}" = "$answer" ] || break
		kill_server
		kills=$((kills + 1))
	done
	ok wait "$COPROC_PID"
	note "$kills kills"
	[ "$kills" -ge 3 ] || fail "only $kills kills while somebody read"
}

note "kills of the server between reads, of parts of lines too"
mapfile -t fixed < <(jq -r .name $all)
read_across 50 250
read_across 2000 6

note "kills, while volumes come and go"
(
	trap 'exit 0' TERM
	for ((i = 0; ; i++)); do
		echo size=1M >"new/t$i" && cat "t$i/wait" >"$T/churn" && rmdir "t$i"
	done
) 2>"$T/churn.err" &
churn=$!
read_across 10000 1
kill "$churn"
wait "$churn"
eq "" "$(cat "$T/churn.err")"
cd /
stop_volfs

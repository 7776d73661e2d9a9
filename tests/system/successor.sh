#!/bin/bash
# What a killed server knew of its callers, the next one knows: no program notices the change.
# sanitize
. "$(dirname "$0")/lib.sh"

start_volfs --restarts 0 -c "$(local_conf)"
cd "$MNT"

# Runs Python; killed() ends the server, and the next call waits for another one.
python()
{
	timeout 60 /usr/bin/python3 -S - <<END
import errno, os, signal, subprocess, sys
def killed():
    os.kill(int(subprocess.check_output(["pgrep", "-P", "$VOLFS_CHILD"])), signal.SIGKILL)
def write(path, text, flags=0):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | flags)
    os.write(fd, text.encode())
    os.close(fd)
def refused(code, call, *args):
    try:
        call(*args)
    except OSError as e:
        assert e.errno == code, e
        return
    sys.exit(f"not refused: {call.__name__} {args}")
$(cat)
END
}

note "who removed an accepted spec may write it again"
volume twice size=1M
ok python <<'END'
os.unlink("new/twice")
killed()
assert not os.path.exists("new/twice")
killed()
write("new/twice", "size=1M\n", os.O_EXCL)
assert os.path.exists("new/twice")
END
eq "size=1M" "$(cat new/twice)"

note "who was refused to remove a volume's files may not remove the volume"
volume walked size=1M metadata.key=value
ok python <<'END'
for name in os.listdir("walked"):
    if not os.path.isdir("walked/" + name):
        refused(errno.EPERM, os.unlink, "walked/" + name)
killed()
refused(errno.EPERM, os.unlink, "walked/metadata/key")
killed()
refused(errno.EPERM, os.rmdir, "walked")
END
eq value "$(cat walked/metadata/key)"
ok rmdir walked
note "the reasons of refusals, each to whom they belong, the latest 64"
for i in $(seq 70); do
	expect_errno EINVAL write new/x "sise=$i"
done
chmod 755 "$T"
as 1234:100 "$BASH" -c 'echo size=none >new/theirs' 2>/dev/null || true
before=$(cat .volfs/errors)
eq 65 "$(wc -l <<<"$before")"
kill -9 "$(server_pid)"
eq "$before" "$(cat .volfs/errors)"
match 'EINVAL new/theirs: ' "$(as 1234:100 cat .volfs/errors)"
eq 1 "$(as 1234:100 cat .volfs/errors | wc -l)"
expect_errno EINVAL write new/x sise=71
match 'EINVAL new/x: .*sise' "$(tail -n1 .volfs/errors)"
eq "$(sed 1d <<<"$before")" "$(sed '$d' .volfs/errors)"
long=$(printf 'x%.0s' {1..250})
expect_errno EINVAL write "new/$long" "size=1 $long$long$long$long=1"

note "a server that is killed while it makes a draft leaves one of that name"
drafts()
{
	"$BUILD/tests/system/keep-look" "$VOLFS_CHILD" "$@"
}
no_draft()
{
	[ -z "$(drafts)" ]
}
wait_for 10 no_draft # a RELEASE has no answer to wait for
server=$(server_pid)
strace -f -qq -o /dev/null -e trace=getrandom -e inject=getrandom:signal=KILL:when=1 -p "$server" & # for its UUID
tracer=$!
wait_for 10 grep -q 'TracerPid:.[1-9]' "/proc/$server/status"
: >new/.half
wait "$tracer" || true
not test "$server" = "$(server_pid)"
eq .half "$(drafts | cut -d' ' -f3)"
rm new/.half
wait_for 10 no_draft

note "drafts die after an hour, also those whose OPEN was carried out twice"
echo size=1M >new/.old
closed()
{
	[ "$(drafts | cut -d' ' -f2-)" = "0 .old" ]
}
wait_for 10 closed
drafts 3000
killed()
{
	kill -9 "$(server_pid)" # a new one looks at once, else it is done every minute
	ls -A new >/dev/null
}
killed
eq "1 .old" "$(drafts 601 | cut -d' ' -f2-)"
killed
eq "" "$(drafts)"
eq spec "$(ls -A new)"

note "a changed configuration is seen by whoever has new/ open already"
conf()
{
	cat >"$T/volfs.conf" <<-END
		database = "$T/group.db"; trash_delay = 0;
		new_group = "$1";
		backends = ( { name = "disk"; driver = "local"; path = "$T/disk"; } );
	END
}
cd /
stop_volfs
mkdir "$T/disk"
conf ""
start_volfs -c "$T/volfs.conf"
exec 3<"$MNT/new"
eq 1777:root "$(stat -L -c %a:%G /dev/fd/3)"
conf daemon
server=$(server_pid)
kill -HUP "$VOLFS_CHILD"
replaced()
{
	local now
	now=$(server_pid) && [ "$now" != "$server" ] && answers
}
wait_for 20 replaced
eq 1770:daemon "$(stat -L -c %a:%G /dev/fd/3)"
exec 3<&-
cd /
stop_volfs

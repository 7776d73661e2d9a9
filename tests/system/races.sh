#!/bin/bash
# Two requests that pass each other in the server, lined up by holding its replies back.
# timeout: 120
# sanitize
. "$(dirname "$0")/lib.sh"

start_volfs --restarts 0 -c "$(local_conf)"
cd "$MNT"

fuse_threads()
{
	grep -lx 'fuse-[0-9]*' "/proc/$(server_pid)"/task/*/comm | cut -d/ -f5
}

all_traced()
{
	local tid
	for tid in $(fuse_threads); do
		grep -q 'TracerPid:.[1-9]' "/proc/$(server_pid)/task/$tid/status" || return 1
	done
}

# Every reply of the threads that read requests comes so many ms late; what the store's writer answers and notifies, does not.
hold_replies()
{
	strace -qq -o /dev/null -e trace=writev -e inject=writev:delay_enter=$(($1 * 1000)) $(fuse_threads | sed 's/^/-p /') &
	tracer=$!
	wait_for 10 all_traced
}

let_go()
{
	kill "$tracer"
	wait "$tracer" || true
}

# Python, with at(SECONDS, CALL, ARGS…): calls it then, in a thread
python()
{
	timeout 60 /usr/bin/python3 -I -S -c '
import os, sys, threading
def at(seconds, call, *args):
    t = threading.Timer(seconds, call, args)
    t.start()
    return t
'"$(cat)" "$@"
}

note "READDIRPLUS: what changes between its reading and its reply is notified again"
volume db size=1M
exec 3<db 4>db/description
hold_replies 1500
ok python <<'END'
import ctypes
getdents64 = {"x86_64": 217}.get(os.uname().machine, 61) # listdir() would ask for attributes first
page = ctypes.create_string_buffer(32768)
listing = at(0, ctypes.CDLL(None).syscall, getdents64, 3, page, len(page))
change = at(0.5, os.write, 4, b"another\n")
change.join()
assert listing.is_alive(), "the listing was answered before the change"
listing.join()
END
let_go
exec 3<&- 4>&-
# (wc alone would believe fstat(2))
eq "$(cat db/history | wc -c)" "$(stat -c %s db/history)" "size of history"
eq 8 "$(stat -c %s db/description)" "size of description"

note "a draft that is removed while its last descriptor is closed"
server=$(server_pid)
hold_replies 1000
# LOOKUP until 1.0, UNLINK until 2.0; FLUSH until 1.5, then RELEASE, which nobody waits for
ok python <<'END'
fd = os.open("new/.x", os.O_WRONLY | os.O_CREAT)
os.stat("new") # not asked again by unlink(2)
closed = at(0.5, os.close, fd)
os.unlink("new/.x")
closed.join()
END
let_go
eq spec "$(ls -A new)"
released()
{
	[ -z "$("$BUILD/tests/system/keep-look" "$VOLFS_CHILD")" ]
}
wait_for 10 released
eq "$server" "$(server_pid)" "the server lives"
cd /
stop_volfs

#!/bin/bash
# What one user can take: drafts (the next is told) and requests in flight (the next waits). Root is exempt, and many drafts
# make nobody slow.
# alone
. "$(dirname "$0")/lib.sh"
cat >"$T/volfs.conf" <<END
database = "$T/volfs.db"; trash_delay = 0;
limits = { drafts = 3; requests = 2; };
quota = { volumes = -1; size = -1; };
backends = ( { name = "disk"; driver = "local"; path = "$T/disk"; } );
END
mkdir "$T/disk"
chmod 755 "$T"
start_volfs -c "$T/volfs.conf"
cd "$MNT"

user()
{
	as 1234:100 "$@"
}
note "drafts: so many, also after the server's death; what is removed or renamed counts no more"
for i in 1 2 3; do
	user sh -c "echo size=1M >new/.d$i"
done
user "$BASH" -c ': >new/.d4' 2>"$T/err" && fail "a fourth draft"
match 'Resource temporarily unavailable' "$(cat "$T/err")"
match 'EAGAIN new/.d4: you have 3 drafts' "$(tail -n1 .volfs/errors)"
kill -9 "$(server_pid)"
not user "$BASH" -c ': >new/.d4' 2>"$T/err"
eq "$(printf '.d1\n.d2\n.d3\nspec')" "$(ls -A new | sort)"
user rm new/.d1
user mv new/.d2 new/.d1
user mv new/.d1 new/made
user sh -c ': >new/.d4; : >new/.d5'
not user "$BASH" -c ': >new/.d6' 2>"$T/err"
user rm new/.d3 new/.d4 new/.d5
ok user "$BASH" -c ': >new/.d6'

note "requests in flight: 24 writers of one user, two at a time; some are killed, and the server too"
user sh -c 'echo size=1M >new/mine'
eq available "$(cat mine/wait)"
writers=
for i in $(seq 24); do
	user sh -c "for k in 1 2 3 4 5; do echo x >mine/metadata/k$i-\$k && echo size=1M >new/v$i-\$k || exit 1; done" &
	writers+=" $!"
done
victims=
for i in $(seq 8); do
	user "$BASH" -c 'while :; do echo y >>mine/description; : >mine/description; done' 2>/dev/null &
	victims+=" $!"
done
sleep 0.1 # the instant does not matter
kill -9 "$(server_pid)"
kill -9 $victims
wait $victims 2>/dev/null || true
for pid in $writers; do
	ok wait "$pid"
done
eq 120 "$(ls mine/metadata | wc -l)" "keys"
eq 120 "$(ls | grep -c '^v')" "volumes"
ok user rmdir mine v*

note "8,000 drafts of root: the last ones come as fast as the first"
python3 -S - new >"$T/times" <<'END'
import os, sys, time
def fastest(first, last): # of hundreds
    best = 60.0
    for hundred in range(first, last, 100):
        began = time.monotonic()
        for i in range(hundred, hundred + 100):
            os.close(os.open(f"{sys.argv[1]}/.many{i}", os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        best = min(best, time.monotonic() - began)
    return best
few = fastest(0, 800)
fastest(800, 7200)
many = fastest(7200, 8000)
print(f"a hundred in {few * 1000:.1f} ms, {many * 1000:.1f} ms")
sys.exit(many > 3 * few)
END
note "$(cat "$T/times")"
eq 8002 "$(ls -A new | wc -l)"
python3 -S -c 'import os; [os.unlink(f"new/.many{i}") for i in range(8000)]'
eq "$(printf '.d6\nspec')" "$(ls -A new)"
cd /
stop_volfs

#!/bin/bash
# No over-commitment: a crowd that asks at the same moment for the last places of a quota, or of a backend, gets these and
# not one more; whatever happens to the server meanwhile. 100 ask for 10 places, with VOLFS_TEST_FULL 1,000.
# The plain run leaves out what differs little.
# timeout: 120 full: 900
# alone
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh"

n=100
full=${VOLFS_TEST_FULL:-}
[ -z "$full" ] || n=1000
half=$((n / 2))
places=10
chmod 755 "$T" # other users come too
mkdir "$T/db" "$T/ctl"
mount -t fusectl volfs-test "$T/ctl"
tracer=

# conf BACKENDS [SCHEDULER]
conf()
{
	cat >"$T/volfs.conf" <<-END
		database = "$T/db/volfs.db"; trash_delay = 0;
		stats_interval = 3600;
		quota = { volumes = -1; size = -1; };
		scheduler = { ${2:-} };
		backends = ( $1 );
	END
}

# disk NAME SIZE [OPTIONS [RATIO]]: a backend with exactly this total, and no over-subscription
disk()
{
	[ -d "$T/$1" ] || mkdir "$T/$1"
	! is_mounted "$T/$1" || umount "$T/$1"
	mount -t tmpfs -o "size=$2,nr_inodes=0" volfs-test "$T/$1"
	mkdir "$T/$1/disk"
	printf '{ name = "%s"; driver = "local"; path = "%s"; max_over_subscription_ratio = %s; %s }' "$1" "$T/$1/disk" "${4:-1.0}" "${3:-}"
}

# Servers may be killed as often as a test likes.
start()
{
	start_volfs --restarts 0 -c "$T/volfs.conf"
	wait_for 10 grep -qx ready "$MNT/.volfs/status"
}

again()
{
	stop_volfs
	start
}

# The next one begins with nothing.
anew()
{
	stop_volfs
	rm -f "$T"/db/*
}

# crowd PREFIX COUNT [-c] [-g FILE] [-u USER]… SPEC…: writers at once; their answers to $T/PREFIX
crowd()
{
	local prefix=$1 count=$2 how=()
	shift 2
	while :; do
		case $1 in
		-c) how+=("$1") && shift ;;
		-g | -u) how+=("$1" "$2") && shift 2 ;;
		*) break ;;
		esac
	done
	timeout 120 "$BUILD/tests/system/crowd" "${how[@]}" "$MNT/new" "$prefix" "$count" "$@" >"$T/$prefix"
}

# answers_of PREFIX: how many of each, as "EDQUOT=90 OK=10"
answers_of()
{
	cut -d' ' -f2 "$T/$1" | sed 's/@.*//' | sort | uniq -c | awk '{ print $2 "=" $1 }' | paste -sd ' '
}

# quota_answers PREFIX GOT COUNT: so many were accepted, and the others refused by EDQUOT
quota_answers()
{
	local want="EDQUOT=$(($3 - $2)) OK=$2"
	[ "$2" != 0 ] || want="EDQUOT=$3"
	eq "$want" "$(answers_of "$1")" "$1"
}

settled()
{
	! grep -qsE 'ing$' "$MNT"/*/status && [ -z "$(ls "$MNT/.volfs/trash")" ]
}

# volumes PREFIX [STATUS]: how many there are
volumes()
{
	find "$MNT" -mindepth 2 -maxdepth 2 -path "$MNT/$1*/status" -exec cat {} + | grep -c "^${2:-}" || true
}

# placed PREFIX WANT COUNT REGEX: all were accepted, so many are available, all others are in error, with this sentence
placed()
{
	local prefix=$1 want=$2 count=$3 regex=$4
	eq "OK=$count" "$(answers_of "$prefix")" "$prefix"
	wait_for 60 settled
	eq "$want" "$(volumes "$prefix" available)" "$prefix: available"
	eq $((count - want)) "$(volumes "$prefix" error)" "$prefix: error"
	find "$MNT" -mindepth 2 -maxdepth 2 -path "$MNT/$prefix*/error" -size +0 -exec cat {} + >"$T/said"
	eq $((count - want)) "$(grep -cE "$regex" "$T/said" || true)" \
		"sentences /$regex/, but $(grep -vEm1 "$regex" "$T/said" || true)"
}

# promised BACKEND MIB: so much is promised, and as many images of a MiB are there
promised()
{
	eq $(($2 << 20)) "$(cat "$MNT/.volfs/backends/$1/allocated")" "allocated of $1"
	eq "$2" "$(find "$T/$1/disk" -type f | wc -l)" "images of $1"
}

some()
{
	local i
	for ((i = 0; i < $1; i++)); do
		echo "size=${SIZE:-1M} ${2:-}" >"$MNT/new/some$i" || fail "refused: some$i"
	done
	wait_for 30 settled
	eq "$1" "$(volumes some available)" "to begin with"
}

# Nothing is left to do, also of attempts that failed.
cleaned()
{
	[ -z "$(sqlite3 "file:$T/db/volfs.db?mode=ro" 'SELECT id FROM job')" ]
}

# Faster than server_pid, which looks at every process. Fails between two servers.
server()
{
	tr -d ' ' <"/proc/$VOLFS_CHILD/task/$VOLFS_CHILD/children" | grep .
}

# Each answer a moment late, so that a kill meets most of them between the change and its answer.
slow_answers()
{
	strace -f -qq -o /dev/null -e inject=writev:delay_enter=1000 -p "$VOLFS_CHILD" -p "$(server)" 2>/dev/null &
	tracer=$!
}

normal_answers()
{
	kill "$tracer"
	wait "$tracer" || true
}

answered()
{
	[ "$(wc -l <"$T/$1")" -ge "$2" ]
}

# killed_crowd PREFIX COUNT …: all have written, and the server is killed when a tenth and a quarter have been answered
killed_crowd()
{
	local prefix=$1 count=$2 writers at
	shift 2
	slow_answers
	sleep 0.3 # strace has them all
	: >"$T/$prefix"
	crowd "$prefix" "$count" -c "$@" &
	writers=$!
	for at in $((count / 10)) $((count / 4)); do
		wait_for 60 answered "$prefix" "$at"
		not answered "$prefix" "$count"
		wait_for 20 server
		kill -9 "$(server)"
	done
	ok wait "$writers"
	normal_answers
	eq "$count" "$(wc -l <"$T/$prefix")" "answers"
}

# So many requests are at the server, says the kernel.
in_flight()
{
	local minor
	minor=$(awk -v m="$MNT" '$5 == m { sub(/.*:/, "", $3); print $3 }' /proc/self/mountinfo)
	[ "$(cat "$T/ctl/$minor/waiting")" -ge "$1" ]
}

asleep()
{
	[ -z "$(grep -L '^State:.T' "/proc/$1"/task/*/status)" ]
}

# waiting_crowd PREFIX COUNT …: all of them wait for a server that sleeps, and its successor has them all at once
waiting_crowd()
{
	local prefix=$1 count=$2 writers first
	shift 2
	rm -f "$T/gate.$prefix"*
	crowd "$prefix" "$count" -c -g "$T/gate.$prefix" "$@" &
	writers=$!
	wait_for 60 test -e "$T/gate.$prefix.met"
	first=$(server)
	kill -STOP "$first"
	wait_for 10 asleep "$first"
	: >"$T/gate.$prefix"
	wait_for 30 in_flight "$count"
	kill -9 "$first"
	ok wait "$writers"
	[ "$(server)" != "$first" ] || fail "the server was not replaced"
}

# ---- quotas

users=$MNT/.volfs/quotas/users
three=(-u 1234:100 -u 1235:100 -u 0:0)

# said UID REGEX COUNT: COUNT refusals of this user, as far as the ring goes, each with this sentence
said()
{
	local want=$3
	[ "$want" -le 64 ] || want=64
	grep " uid=$1 " "$MNT/.volfs/errors" | tail -n "$want" >"$T/lines"
	eq "$want" "$(grep -cE "EDQUOT new/[^ ]*: $2\$" "$T/lines" || true)" "lines /$2/, but $(grep -vEm1 "$2" "$T/lines" || true)"
}

# Which calls refuse depends on when: in write(2) who sees an exhausted quota, in close(2) who did not.
refusals_in_close()
{
	eq "$2" "$(grep -c ' EDQUOT@close ' "$T/$1" || true)" "$1: refused by close(2)"
}

conf "$(disk a 100m)"
start

note "a count: $n ask for the last $places of a project, one user; then all have written before the first is closed"
ok as 1234:100 sh -c "for i in 0 1 2 3 4 5 6 7 8 9; do echo size=1M >'$MNT/new/some'\$i || exit 1; done"
echo 20 >"$users/volumes.max"
crowd open "$n" -u 1234:100 size=1M
quota_answers open "$places" "$n"
eq 20 "$(cat "$users/volumes.current")"
said 1234 "quota of project 'users': 1 more wanted, 20 of 20 volumes in use" $((n - places))
echo 30 >"$users/volumes.max"
crowd close "$n" -c -u 1234:100 size=1M
quota_answers close "$places" "$n"
refusals_in_close close $((n - places))
eq 30 "$(cat "$users/volumes.current")"

note "… three users, one of them root"
echo 40 >"$users/volumes.max"
crowd mixed "$n" -c "${three[@]}" 'size=1M project=users'
quota_answers mixed "$places" "$n"
eq 40 "$(cat "$users/volumes.current")"
for uid in 1234 1235 0; do
	said "$uid" "quota of project 'users': 1 more wanted, 40 of 40 volumes in use" $((n / 3 - places))
done

note "… the server is killed in the middle, and while all of them wait for it"
echo 50 >"$users/volumes.max"
killed_crowd killed "$n" "${three[@]}" 'size=1M project=users'
quota_answers killed "$places" "$n"
eq 50 "$(cat "$users/volumes.current")"
echo 60 >"$users/volumes.max"
waiting_crowd waiting "$n" 'size=1M project=users' # root: none of them waits for its turn
quota_answers waiting "$places" "$n"
refusals_in_close waiting $((n - places))
eq 60 "$(cat "$users/volumes.current")"

note "… in two halves, and between them another daemon"
echo 70 >"$users/volumes.max"
crowd before "$half" "${three[@]}" 'size=1M project=users'
quota_answers before "$places" "$half"
again
crowd after "$half" "${three[@]}" 'size=1M project=users'
quota_answers after 0 "$half"
wait_for 30 settled
ok rmdir "$MNT"/some[0-3]
again
crowd later "$half" "${three[@]}" 'size=1M project=users'
quota_answers later 4 "$half"
eq 70 "$(cat "$users/volumes.current")"
wait_for 30 settled
promised a 70
anew

note "sizes: $n ask for the last 10G, each for another one, and the sum is never larger"
conf "$(disk a 100m 'thin = true;' 1000000.0)"
start
SIZE=10G some 1 project=users
echo 20G >"$users/size.max"
sizes=('size=7G project=users' 'size=2G project=users' 'size=1G project=users' 'size=3G project=users' 'size=4G project=users')

# sizes_taken PREFIX: as many as fit. Since some wanted 1G, and whoever was refused wanted more than was left, that is all.
sizes_taken()
{
	eq 10 "$(sed -n 's/^[^ ]* OK size=\([0-9]*\)G .*/\1/p' "$T/$1" | paste -sd+ | bc)" "accepted GiB"
	eq "$n" "$(grep -cE ' (OK|EDQUOT@(write|close)) ' "$T/$1")" "answers"
	eq $((20 << 30)) "$(cat "$users/size.current")"
}

while [ ! -e "$T/enough" ]; do
	cat "$users/size.current"
done >"$T/seen" &
sampler=$!
crowd sizes "$n" -c "${three[@]}" "${sizes[@]}"
touch "$T/enough"
wait "$sampler"
[ "$(sort -n "$T/seen" | tail -n1)" -le $((20 << 30)) ] || fail "more than the quota: $(sort -n "$T/seen" | tail -n1)"
sizes_taken sizes
for uid in 1234 1235 0; do
	said "$uid" "quota of project 'users': [12347]G wanted, (1[0-9]|20)G of 20G in use" $((n / 3 - places))
done
if [ "$full" ]; then
	wait_for 30 settled
	ok rmdir "$MNT"/sizes*
	killed_crowd killed-sizes "$n" "${three[@]}" "${sizes[@]}"
	sizes_taken killed-sizes
fi
anew
rm "$T/enough"

# ---- capacity

# The sentence: the backend's name and its numbers.
none='0 bytes free, 1 MiB wanted'

# capacity SIZE OPTIONS SENTENCE: a backend with room for 15, where there are 5
capacity()
{
	local said="^no backend fits: a: $3\$"
	note "… $1, ${2:-thin}"
	conf "$(disk a "$1" "$2")"
	start
	some 5
	crowd open "$n" size=1M
	placed open "$places" "$n" "$said"
	promised a 15
	again
	crowd again "$half" -c "${three[@]}" size=1M
	placed again 0 "$half" "$said"
	ok rmdir "$MNT"/some[0-3]
	wait_for 30 settled
	again
	crowd four "$half" -c "${three[@]}" size=1M
	placed four 4 "$half" "$said"
	promised a 15
	anew
}

note "capacity: $n ask for the last $places on a backend, and after a restart for what was given back"
sum='\(15 MiB of 15 MiB are promised\)'
capacity 15m '' "$none $sum"
[ -z "$full" ] || capacity 20m 'reserved_percentage = 25.0;' "$none $sum"
[ -z "$full" ] || capacity 15m 'thin = false;' "$none( $sum)?"

note "… the server is killed in the middle, and while all of them wait for it"
conf "$(disk a 15m)"
start
some 5
killed_crowd killed "$n" "${three[@]}" size=1M
placed killed "$places" "$n" "^no backend fits: a: $none $sum\$"
promised a 15
ok rmdir "$MNT"/killed*
wait_for 60 settled
waiting_crowd waiting "$n" size=1M
placed waiting "$places" "$n" "^no backend fits: a: $none $sum\$"
promised a 15
anew

# two WEIGHERS: two backends with 5 places each
two()
{
	local said='0 bytes free, 1 MiB wanted \(5 MiB of 5 MiB are promised\)'
	note "two backends with 5 places each, weighers $1"
	conf "$(disk a 5m), $(disk b 5m)" "weighers = ( $1 );"
	start
	crowd both "$n" "${three[@]}" size=1M
	placed both "$places" "$n" "^no backend fits: a: $said; b: $said\$"
	promised a 5
	promised b 5
	if [ "$full" ]; then
		ok rmdir "$MNT"/both*
		wait_for 60 settled
		killed_crowd killed "$n" "${three[@]}" size=1M
		placed killed "$places" "$n" "^no backend fits: a: $said; b: $said\$"
		promised a 5
		promised b 5
	fi
	anew
}

two '{ name = "volume_number"; }'
if [ "$full" ]; then
	two '{ name = "capacity"; }'
	two '{ name = "chance"; }'
fi

note "… one of them fails all: what it was promised goes to the other one, as far as there is room"
conf "$(disk a 5m), $(disk b 5m)" 'weighers = ( { name = "volume_number"; } );'
start
mount -o remount,ro "$T/a"
crowd one "$n" -c size=1M
placed one 5 "$n" '^no backend fits: a: .*; b: 0 bytes free, 1 MiB wanted \(5 MiB of 5 MiB are promised\)'
mount -o remount,rw "$T/a"
wait_for 60 cleaned
promised a 0
promised b 5
stop_volfs

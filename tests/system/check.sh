#!/bin/bash
# volfs --check and --repair on the local driver: differences made by hand are named and mended, work in progress is none, and what it says
# when it cannot look.
# timeout: 240 full: 900
# sanitize
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh"

rounds=12
[ -z "${VOLFS_TEST_FULL:-}" ] || rounds=200
conf=$(local_conf)
disk=$STATE/disk

# checks STATUS ARGS…: volfs ends with that status; what it prints is in $T/out, each difference a line, sorted.
checks()
{
	local want=$1 status=0
	shift
	timeout 60 "$VOLFS" -c "$conf" "$@" >"$T/said" 2>"$T/err" || status=$?
	sort "$T/said" >"$T/out"
	[ "$status" = "$want" ] || fail "volfs $*: exit status $status, not $want: $(cat "$T/said" "$T/err")"
	[ "$want" = 2 ] || eq '' "$(cat "$T/err")" "standard error"
}
says()
{
	local line
	for line; do
		grep -qxF -- "$line" "$T/out" || fail "not said: $line; but: $(cat "$T/out")"
	done
	eq $# "$(wc -l <"$T/out")" "lines: $(cat "$T/out")"
}
catalogue()
{
	sqlite3 -cmd '.timeout 5000' "$STATE/volfs.db" "$@"
}
files()
{
	(cd "$STATE" && find disk volfs.db -printf '%p %s %i\n' | sort)
}

note "what cannot be looked at"
checks 2 --check
match "cannot open the catalogue '$STATE/volfs.db': No such file" "$(cat "$T/err")"
[ ! -e "$STATE/volfs.db" ] || fail "--check made a catalogue"
checks 2 --repair
match "No such file" "$(cat "$T/err")"
[ ! -e "$STATE/volfs.db" ] || fail "--repair made a catalogue"
ok "$VOLFS" --check-config -c "$conf"

note "beside the daemon"
start_volfs -c "$conf"
volume db size=4M
volume log size=2M
volume gone size=1M
volume old size=3M
mkdir "$MNT/db/snapshots/monday" "$MNT/db/snapshots/tuesday"
touch "$disk/vm.img" # nobody's
checks 0 --check
says "0 differences; 4 volumes and 2 snapshots were compared"
before=$(files)
checks 2 --repair
match "is in use by another volfs, process [0-9]+" "$(cat "$T/err")"
eq "$before" "$(files)" "after a refused --repair"

id() { cat "$MNT/$1/id"; }
db=$(id db) log=$(id log) gone=$(id gone) monday=$(id db/snapshots/monday)
orphan=$(uuidgen) half=$(uuidgen) none=$(uuidgen) creation=$(uuidgen)
rm "$disk/volume-$gone"
truncate -s 1M "$disk/volume-$log"
truncate -s 1M "$disk/volume-$orphan"
truncate -s 1M "$disk/.volume-$half.new"
snaps=$disk/.volume-$db.snapshots
rm "$snaps/snapshot-$monday"
touch "$snaps/snapshot-$none" "$snaps/volume-$creation.clone_snap" "$snaps/theirs"
differences=(
	"local: volume 'gone' ($gone): its image is missing"
	"local: volume 'log' ($log): its image has 1048576 bytes, not 2097152"
	"local: image 'volume-$orphan' is no volume's: adopt it, or remove it by hand"
	"local: '.volume-$half.new' was left over by an interrupted change"
	"local: volume 'db' ($db): its snapshot 'monday' ($monday) is missing"
	"local: volume 'db' ($db): its image's snapshot 'snapshot-$none' is none of the volume's: remove it by hand"
	"local: volume 'db' ($db): its image's temporary snapshot 'volume-$creation.clone_snap' was left over"
)
before=$(files)
checks 1 --check
says "${differences[@]}" "7 differences; 4 volumes and 2 snapshots were compared"
eq "$before" "$(files)" "after --check"
stop_volfs

note "at start they are logged, and nothing waits for that"
: >"$LOG"
start_volfs -c "$conf"
wait_for 30 grep -q 'differ in 7 places' "$LOG"
for line in "${differences[@]}"; do
	grep -qF "backend $line" "$LOG" || fail "not logged: $line"
done
stop_volfs

note "--repair mends what is unambiguous"
checks 1 --check
says "${differences[@]}" "7 differences; 4 volumes and 2 snapshots were compared"
[ ! -s "$STATE/volfs.db-wal" ] || fail "--check without a daemon left something to be written"
checks 1 --repair
says "${differences[0]}: mended: the volume is in error now" \
	"${differences[1]}: mended: that is the volume's size now" \
	"${differences[2]}" \
	"${differences[3]}: mended: removed" \
	"${differences[4]}: mended: forgotten" \
	"${differences[5]}" \
	"${differences[6]}: mended: removed" \
	"7 differences, 5 mended; 4 volumes and 2 snapshots were compared"
checks 1 --check
says "${differences[2]}" "${differences[5]}" "2 differences; 3 volumes and 1 snapshots were compared"
[ -e "$disk/volume-$orphan" ] && [ -e "$snaps/snapshot-$none" ] || fail "what may be data was removed"
rm "$disk/volume-$orphan" "$snaps/snapshot-$none"
checks 0 --repair
says "0 differences, 0 mended; 3 volumes and 1 snapshots were compared"

note "sums"
catalogue "UPDATE project SET volumes = 77 WHERE volumes = 4"
checks 1 --check
match "^catalogue: project '.*' is counted 77 volumes and 1 snapshots of [0-9]+ bytes, and 0 bytes of trash, 0 of them waiting: there are 4 " "$(cat "$T/out")"
checks 0 --repair
match "^catalogue: its sums are counted anew: mended" "$(cat "$T/out")"
checks 0 --check

note "what was mended is what the mount shows"
start_volfs -c "$conf"
cd "$MNT"
eq error "$(cat gone/status)"
eq "its image is missing" "$(cat gone/error)"
eq available "$(cat log/status)"
eq 1M "$(cat log/size)"
eq tuesday "$(ls db/snapshots)"
match "volume.repair volfs: size 1048576" "$(cat log/history)"
rmdir gone
cd /
three_are_left()
{
	[ "$(catalogue 'SELECT count(*) FROM volume')" = 3 ]
}
wait_for 30 three_are_left
checks 0 --check

note "work in progress is no difference"
/usr/bin/python3 -S "$SRC/tests/system/churn.py" run "$MNT" "$T" 8 1 2>"$T/churn.err" &
churn=$!
for ((i = 0; i < rounds; i++)); do
	(cd "$MNT" && mkdir db/snapshots/x && rmdir db/snapshots/x) || fail "no snapshot"
	checks 0 --check
done
match "^0 differences; [0-9]+ volumes" "$(cat "$T/out")"
kill_volfs
unmount
wait "$churn" || fail "$(cat "$T/churn.err")"
checks 0 --check # what the killed server has not finished has jobs
rm -f "$T/said"
start_volfs -c "$conf"
nothing_is_to_be_done()
{
	[ "$(catalogue 'SELECT jobs FROM counts')" = 0 ]
}
wait_for 60 nothing_is_to_be_done

note "a supervisor of the version before asks --check about the configuration alone"
stop_volfs
rm "$disk/volume-$db"
checks 1 --check
exec 9>"$STATE/volfs.db.lock"
flock 9
echo $$ >&9
"$VOLFS" --check --config "$conf" >"$T/said" || fail "exit status $?"
eq '' "$(cat "$T/said")"
exec 9>&-
checks 1 --check

note "a backend that is away, or not configured any more"
mv "$disk" "$STATE/away"
checks 2 --check
match "^volfs: local: .*$disk" "$(cat "$T/err")"
sed -i 's/name = "local"; driver/name = "other"; driver/' "$conf"
mv "$STATE/away" "$disk"
checks 2 --check
match "^volfs: local: [0-9]+ volumes are there, and the configuration does not name it" "$(cat "$T/err")"

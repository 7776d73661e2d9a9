#!/bin/bash
# A volume's history, and what is kept of all: by count, with the latest of each volume that exists, over a killed server.
# timeout: 120
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh"

mkdir -p "$MNT" "$T/a" "$T/b"
chmod 755 "$T"
cat >"$T/volfs.conf" <<-END
	database = "$T/volfs.db"; trash_delay = 0; history_events = 1000; history_age = 0; stats_interval = 1;
	backends = ( { name = "a"; driver = "local"; path = "$T/a"; capabilities = { color = "red"; }; },
	             { name = "b"; driver = "local"; path = "$T/b"; } );
	types = ( { name = "red"; extra_specs = [ "color=red" ]; } );
END
start_volfs -c "$T/volfs.conf"
cd "$MNT"

note "who asked for what, and where it came to be"
volume quiet size=1M type=red
match 'volume.create.start uid 0 \(root\), pid [0-9]+: size 1M, type red, project root, on a in zone default, weight [0-9.]+; refused: b \(capabilities\): ' \
	"$(head -n1 quiet/history)"
match '^20[0-9-]+T[0-9:.]+Z volume.create.end volfs: on a$' "$(sed -n 2p quiet/history)"
mkdir quiet/snapshots/monday
match 'snapshot.create.start uid 0 \(root\), pid [0-9]+: snapshot monday, id ' "$(tail -n2 quiet/history)"
match 'snapshot.create.end volfs: snapshot monday$' "$(tail -n1 quiet/history)"
rmdir quiet/snapshots/monday
wait_for 10 grep -q 'snapshot.delete.end volfs: snapshot monday$' quiet/history
chmod 700 quiet
match "volume.update.end uid 0 \(root\), pid [0-9]+: mode 0700, was 0755$" "$(tail -n1 quiet/history)"
echo disabled >.volfs/backends/b/state
match '"event":"backend.disable","name":"b","user":"root","uid":0,' "$(tail -n1 .volfs/history)"
echo enabled >.volfs/backends/b/state

note "text that is written where there was none is one change, and there is no other without one"
updates()
{
	grep -c 'volume.update.end.*: description$' quiet/history
}
echo text >quiet/description
eq 1 "$(updates)"
: >quiet/description
eq 2 "$(updates)" "emptied"
: >quiet/description
truncate -s 0 quiet/description
eq 2 "$(updates)" "emptied once more"
echo a >>quiet/description
eq 3 "$(updates)" "appended"
echo key >quiet/metadata/k
: >quiet/metadata/k
eq "" "$(cat quiet/metadata/k)"

note "so many are kept, and a volume's latest beyond that"
volume busy size=1M
life=$(cat quiet/history)
/usr/bin/python3 -S -c '
import os
for i in range(1500):
    os.chmod("busy", 0o700 + i % 2)'
swept()
{
	chmod 700 busy # the writer looks with what it commits
	[ "$(sqlite3 -readonly "$T/volfs.db" 'SELECT log_start = log_swept AND log_start > 500 FROM counts')" = 1 ] &&
		[ "$(wc -l <.volfs/history)" -lt 1100 ]
}
wait_for 20 swept
eq "" "$(jq -r 'select(.name != "busy") | .event' .volfs/history)" "what is left of the log"
eq "$life" "$(cat quiet/history)"
eq 1000 "$(wc -l <busy/history)" "a volume's history shows its latest thousand"
eq "$(tail -n1 .volfs/history | jq .position)" "$(($(stat -c %s .volfs/history) - $(tail -n1 .volfs/history | wc -c)))" "the last position"

note "a killed server changes nothing of it"
before=$(tail -n 500 .volfs/history)
kill_server
eq "$before" "$(tail -n 500 .volfs/history)"
eq "$life" "$(cat quiet/history)"
chmod 711 busy
match '"name":"busy".*mode 0711' "$(tail -n1 .volfs/history)"
rmdir busy quiet
cd /
stop_volfs

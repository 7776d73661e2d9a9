#!/bin/bash
# What a dead daemon left for a backend that is not configured any more is settled at the start, before anybody asks for it: by the first
# server, which lives on.
# sanitize
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh"

n=50
mkdir "$T/a" "$T/b"
conf()
{
	cat >"$T/volfs.conf" <<-END
		database = "$T/volfs.db"; trash_delay = 0; stats_interval = 3600; quota = { volumes = -1; size = -1; };
		backends = ( $1 );
	END
}
conf "{ name = \"a\"; driver = \"local\"; path = \"$T/a\"; }"
start_volfs -c "$T/volfs.conf"
for i in $(seq "$n"); do
	echo size=1M >"$MNT/new/v$i"
done
wait_for 20 sh -c "[ \$(cat '$MNT'/v*/status | grep -cx available) = $n ]"
stop_volfs
sqlite3 "$T/volfs.db" <<-'END'
	UPDATE volume SET status = 0;
	INSERT INTO job (kind, volume, backend, project, uuid, image_id, size)
	  SELECT 1, id, backend, project, uuid, image_id, size FROM volume;
END

conf "{ name = \"b\"; driver = \"local\"; path = \"$T/b\"; }"
start_volfs -c "$T/volfs.conf"
for i in 1 "$n"; do
	not cat "$MNT/v$i/wait" >"$T/out" 2>&1
	eq error "$(cat "$MNT/v$i/status")"
	eq "backend 'a' is not configured any more" "$(cat "$MNT/v$i/error")"
done
eq "$n" "$(cat "$MNT"/v*/status | grep -cx error)"
not grep "server died" "$LOG"
stop_volfs

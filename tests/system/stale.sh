#!/bin/bash
# A server that died between a commit and its notification: the next one makes the kernel forget what was so before, by
# INC_EPOCH, and where the kernel has none (before 6.16) by notifying the latest changes again.
. "$(dirname "$0")/lib.sh"

# The dead server's last change: made by hand while there is none.
change()
{
	sqlite3 -bail "$STATE/volfs.db" "
		UPDATE volume SET description = 'changed by the dead', size = 2147483648 WHERE name = 'v';
		UPDATE meta SET value = 'changed as well';
		INSERT INTO event (volume, project, at_us, pos, project_pos, line)
			SELECT v.id, p.id, 0, c.log_end, p.log_end, '{}' || char(10) FROM volume v, project p, counts c
			WHERE v.name = 'v' AND p.id = v.project;
		UPDATE project SET log_end = log_end + 3 WHERE id = (SELECT project FROM volume WHERE name = 'v');
		UPDATE counts SET log_end = log_end + 3"
}

for without in '' 1; do
	note "a kernel ${without:+without }${without:-with }INC_EPOCH"
	[ -z "$without" ] || export VOLFS_TEST_NO_EPOCH=1
	start_volfs
	cd "$MNT"
	volume v size=1 description=before metadata.k=before
	eq "1073741824 7 7" "$(stat -c %s v v/description v/metadata/k | xargs)"
	kill -STOP "$VOLFS_CHILD"
	kill -9 "$(server_pid)"
	change
	kill -CONT "$VOLFS_CHILD"
	eq 2G "$(cat v/size)"
	eq "2147483648 20 16" "$(stat -c %s v v/description v/metadata/k | xargs)" "${without:+without INC_EPOCH}"
	eq "changed by the dead" "$(cat v/description)"

	before=$(stat -c %.Y .)
	echo size=1 >new/w
	kill -9 "$(server_pid)"
	wait_for 10 test -e .volfs/version
	not test "$before" = "$(stat -c %.Y .)"
	eq available "$(cat w/wait)"
	rmdir v w
	cd /
	stop_volfs
done

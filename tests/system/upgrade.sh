#!/bin/bash
# A catalogue that the version before types has left: it is brought over at the first start, its volumes and its unfinished work go on.
# tests/unit/schema-1.sql is that version's schema.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh"

db=$T/volfs.db
mkdir "$T/disk"
chmod 755 "$T"
cat >"$T/volfs.conf" <<-END
	database = "$db"; trash_delay = 0; stats_interval = 3600;
	backends = ( { name = "disk"; driver = "local"; path = "$T/disk"; } );
END
start_volfs -c "$T/volfs.conf"
cd "$MNT"
volume db size=10M metadata.app=web "description='two words'"
ok as 1234:100 sh -c 'echo size=20M >new/mine'
volume half size=30M
volume gone size=40M
echo 12 >.volfs/quotas/users/volumes.max
echo 50M >.volfs/quotas/users/per_volume_size.max
echo 7 >.volfs/quotas/default/volumes.max
ids=$(cat {db,mine,half,gone}/id)
history=$(sed -E 's/ (uid [0-9]+) \([^)]*\),/ \1,/' db/history) # as the version before had it: without names
cd /
stop_volfs

# as_version_1: the same volumes, as the version before wrote them down; `half` is still to be made, `gone` to be purged
as_version_1()
{
	sqlite3 "$T/1.db" >"$T/out" <<-END
		.bail on
		PRAGMA page_size = 2048;
		PRAGMA journal_mode = WAL;
		.read $SRC/tests/unit/schema-1.sql
		ATTACH '$db' AS now;
		BEGIN;
		DELETE FROM project;
		INSERT INTO project (id, name, volumes_max, size_max, per_volume_max)
		  SELECT id, name, volumes_max, size_max, per_volume_size_max FROM now.project;
		INSERT INTO backend (id, name, disabled, up, total, free) SELECT id, name, disabled, up, total, free FROM now.backend;
		INSERT INTO volume (id, uuid, name, status, size, generation, uid, gid, mode, created_us, updated_us, project, backend, used,
		    protected, image_id, zone, description, reason, file, spec)
		  SELECT id, uuid, name, status, size, generation, uid, gid, mode, created_us, updated_us, project, backend, used,
		    protected, image_id, zone, description, reason, iif(filed, coalesce(name, uuid), NULL), spec FROM now.volume;
		INSERT INTO meta SELECT id, volume, key, value, updated_us FROM now.meta;
		INSERT INTO event SELECT id, volume, at_us, line->>'event',
		    iif(line->>'uid' IS NULL, 'volfs', printf('uid %d, pid %d', line->>'uid', line->>'pid')), coalesce(line->>'detail', '')
		  FROM now.event WHERE volume <> 0;
		UPDATE volume SET status = 0 WHERE name = 'half';
		UPDATE volume SET trashed = 1 WHERE name = 'gone';
		INSERT INTO job (kind, volume, backend, project, uuid, image_id, size)
		  SELECT iif(name = 'half', 1, 2), id, backend, project, uuid, image_id, size FROM volume WHERE name IN ('half', 'gone');
		UPDATE counts SET server = (SELECT server FROM now.counts);
		COMMIT;
		PRAGMA application_id = 0x766f6c66;
		PRAGMA user_version = 1;
	END
	eq "1 4 7 12 60" "$(sqlite3 -separator ' ' "$T/1.db" "SELECT (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM volume),
		(SELECT volumes_max FROM project WHERE name = 'default'), (SELECT volumes_max FROM project WHERE name = 'users'),
		sum(size) / 1048576 FROM project")" "what was left"
	rm -f "$db" "$db"-*
	mv "$T/1.db" "$db"
	rm "$T/disk/volume-$(sed -n 3p <<<"$ids")"
}
as_version_1

note "the first start"
start_volfs -c "$T/volfs.conf"
cd "$MNT"
eq "available available available" "$(echo $(timeout 30 cat {db,mine,half}/wait))"
eq "10M 20M 30M" "$(echo $(cat {db,mine,half}/size))"
eq "$(sed -n 1,3p <<<"$ids")" "$(cat {db,mine,half}/id)"
gone=$(sed -n 4p <<<"$ids")
eq deleted "$(timeout 30 cat ".volfs/trash/$gone/wait")"
not test -e gone
eq "$(sed -n 1,3p <<<"$ids" | sort | sed 's/^/volume-/')" "$(ls "$T/disk" | grep volume- | sort)"
eq "two words,web,,default" "$(cat db/{description,metadata/app,type,zone} | paste -sd,)"
eq "$history" "$(cat db/history)"
eq "1234 users $((20 << 20))" "$(echo $(stat -c %u mine) $(cat mine/project) $(stat -c %s mine))"
eq "12 50M 1 $((20 << 20)) 0" "$(echo $(cat .volfs/quotas/users/{volumes.max,per_volume_size.max,volumes.current,size.current,trash_size.current}))"
eq "2 $((40 << 20)) 0 7" "$(echo $(cat .volfs/quotas/root/{volumes,size,trash_size}.current .volfs/quotas/daemon/volumes.max))"
eq "" "$(ls .volfs/types)"
eq 5 "$(sqlite3 -readonly "$db" 'PRAGMA user_version')"

note "they work, and types work beside them"
echo 60M >db/size
eq "available 60M" "$(echo $(timeout 30 cat db/{wait,size}))"
mkdir .volfs/types/fast
volume typed size=1M type=fast
eq "fast 1" "$(echo $(cat typed/type .volfs/quotas/root/type/fast/volumes.current))"
expect_errno EFBIG write mine/size 60M
rmdir mine db typed
purged()
{
	[ -z "$(ls .volfs/trash)" ]
}
wait_for 20 purged
rmdir .volfs/types/fast
eq 0 "$(cat .volfs/quotas/users/volumes.current)"
cd /
stop_volfs

note "after a crash, too; and a newer one is left alone"
start_volfs -c "$T/volfs.conf"
eq 30M "$(cat "$MNT/half/size")"
kill_volfs
unmount
start_volfs -c "$T/volfs.conf"
eq 30M "$(cat "$MNT/half/size")"
stop_volfs
sqlite3 "$db" 'PRAGMA user_version = 6' 'PRAGMA wal_checkpoint(TRUNCATE)' >"$T/out"
before=$(md5sum <"$db")
not "$VOLFS" -f -c "$T/volfs.conf" "$MNT" 2>"$T/refused"
match 'version 6|newer' "$(cat "$T/refused")"
eq "$before" "$(md5sum <"$db")"

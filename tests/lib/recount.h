/* Queries that find no row where every sum of the catalogue is what its rows say, in whatever way they came about. */
#ifndef TESTS_LIB_RECOUNT_H
#define TESTS_LIB_RECOUNT_H

static const char *const recount_sums[] = {
	"SELECT count(*) FROM project p WHERE (volumes, size) <> "
	"(SELECT count(*), coalesce(sum(size + reserved), 0) + "
	"(SELECT coalesce(sum(size), 0) FROM snapshot WHERE project = p.id AND name IS NOT NULL) "
	"FROM volume WHERE project = p.id AND trashed = 0)",
	"SELECT count(*) FROM project p WHERE snapshots <> "
	"(SELECT count(*) FROM snapshot WHERE project = p.id AND name IS NOT NULL)",
	"SELECT count(*) FROM project p WHERE trash_size <> "
	"(SELECT coalesce(sum(size + reserved), 0) FROM volume "
	"WHERE project = p.id AND trashed = 1)",
	"SELECT count(*) FROM project p WHERE trash_waiting <> "
	"(SELECT coalesce(sum(size + reserved), 0) FROM volume "
	"WHERE project = p.id AND expires_us IS NOT NULL)",
	"SELECT count(*) FROM type_quota q WHERE trash_waiting <> "
	"(SELECT coalesce(sum(size + reserved), 0) FROM volume "
	"WHERE project = q.project AND type = q.type AND expires_us IS NOT NULL)",
	"SELECT count(*) FROM backend b WHERE (trash_waiting, purging) <> "
	"((SELECT coalesce(sum(size + reserved), 0) FROM volume "
	"WHERE backend = b.id AND expires_us IS NOT NULL), "
	"(SELECT coalesce(sum(size), 0) FROM job WHERE backend = b.id AND kind = 2))",
	"SELECT count(*) FROM volume WHERE trashed = 0 AND expires_us IS NOT NULL",
	"SELECT count(*) FROM type_quota q WHERE (volumes, size) <> "
	"(SELECT count(*), coalesce(sum(size + reserved), 0) + "
	"(SELECT coalesce(sum(size), 0) FROM snapshot "
	"WHERE project = q.project AND type = q.type AND name IS NOT NULL) "
	"FROM volume WHERE project = q.project AND type = q.type AND trashed = 0)",
	"SELECT count(*) FROM type_quota q WHERE snapshots <> (SELECT count(*) FROM snapshot "
	"WHERE project = q.project AND type = q.type AND name IS NOT NULL)",
	"SELECT count(*) FROM snapshot s LEFT JOIN volume v ON v.id = s.volume "
	"WHERE s.project IS NOT v.project OR s.type IS NOT v.type",
	"SELECT count(*) FROM type_quota q WHERE (in_use, trash_size) <> "
	"(SELECT count(*), coalesce(sum(iif(trashed, size + reserved, 0)), 0) "
	"FROM volume WHERE project = q.project AND type = q.type)",
	"SELECT count(*) FROM volume v WHERE type IS NOT NULL AND NOT EXISTS "
	"(SELECT 1 FROM type_quota WHERE project = v.project AND type = v.type)",
	"SELECT count(*) FROM backend b WHERE (volumes, allocated) <> "
	"(SELECT count(*), coalesce(sum(size + reserved), 0) + "
	"(SELECT coalesce(sum(size), 0) FROM job WHERE backend = b.id AND kind = 4) "
	"FROM volume WHERE backend = b.id)",
	"SELECT count(*) FROM backend b WHERE pending <> "
	"(SELECT coalesce(sum(size), 0) FROM job WHERE backend = b.id AND kind = 1)",
	"SELECT count(*) FROM counts WHERE volumes <> "
	"(SELECT count(*) FROM volume WHERE trashed = 0) OR jobs <> (SELECT count(*) FROM job)",
	"SELECT count(*) FROM volume_count c WHERE (volumes, size) <> "
	"(SELECT count(*), coalesce(sum(size), 0) FROM volume "
	"WHERE coalesce(backend, 0) = c.backend AND trashed = c.trashed AND status = c.status)",
	"SELECT count(*) FROM volume v WHERE NOT EXISTS (SELECT 1 FROM volume_count "
	"WHERE backend = coalesce(v.backend, 0) AND trashed = v.trashed AND status = v.status)",
};
enum { RECOUNT_SUMS = sizeof recount_sums / sizeof recount_sums[0] };

#endif

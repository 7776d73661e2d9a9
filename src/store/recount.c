/*
 * The sums once more, from the rows that they count. Triggers keep them; here is what finds out, and puts right, if a row was ever
 * changed in another way. Each query walks its tables once, and sees one moment of them.
 */
#include "store/internal.h"

#define VOLUME_SUMS                                                                                \
	"sum(trashed = 0) AS volumes, sum(iif(trashed, 0, size + reserved)) AS size, "             \
	"0 AS snapshots, sum(iif(trashed, size + reserved, 0)) AS trash_size, "                    \
	"sum(iif(expires_us IS NULL, 0, size + reserved)) AS trash_waiting, "                      \
	"count(*) AS in_use FROM volume "
#define SNAPSHOT_SUMS "0, sum(size), count(*), 0, 0, 0 FROM snapshot WHERE name IS NOT NULL "
#define ALL_SUMS                                                                                   \
	"sum(volumes) AS volumes, sum(size) AS size, sum(snapshots) AS snapshots, "                \
	"sum(trash_size) AS trash_size, sum(trash_waiting) AS trash_waiting, sum(in_use) AS in_use "

/* There: what there is, by the owner of each sum; every owner has a row. */
#define OF_PROJECTS                                                                                \
	"WITH part AS (SELECT project, " VOLUME_SUMS "GROUP BY project "                           \
	"UNION ALL SELECT project, " SNAPSHOT_SUMS "GROUP BY project "                             \
	"UNION ALL SELECT id, 0, 0, 0, 0, 0, 0 FROM project), "                                    \
	"there AS (SELECT project, " ALL_SUMS "FROM part GROUP BY project) "
#define OF_TYPES                                                                                   \
	"WITH part AS (SELECT project, type, " VOLUME_SUMS "WHERE type IS NOT NULL "               \
	"GROUP BY project, type "                                                                  \
	"UNION ALL SELECT project, type, " SNAPSHOT_SUMS "AND type IS NOT NULL "                   \
	"GROUP BY project, type "                                                                  \
	"UNION ALL SELECT project, type, 0, 0, 0, 0, 0, 0 FROM type_quota), "                      \
	"there AS (SELECT project, type, " ALL_SUMS "FROM part GROUP BY project, type) "
#define OF_BACKENDS                                                                                \
	"WITH part AS (SELECT backend, count(*) AS volumes, sum(size + reserved) AS allocated, "   \
	"0 AS pending, sum(iif(expires_us IS NULL, 0, size + reserved)) AS trash_waiting, "        \
	"0 AS purging FROM volume WHERE backend IS NOT NULL GROUP BY backend "                     \
	"UNION ALL SELECT backend, 0, sum(iif(kind = 4, size, 0)), sum(iif(kind = 1, size, 0)), "  \
	"0, sum(iif(kind = 2, size, 0)) FROM job GROUP BY backend "                                \
	"UNION ALL SELECT id, 0, 0, 0, 0, 0 FROM backend), "                                       \
	"there AS (SELECT backend, sum(volumes) AS volumes, sum(allocated) AS allocated, "         \
	"sum(pending) AS pending, sum(trash_waiting) AS trash_waiting, "                           \
	"sum(purging) AS purging FROM part GROUP BY backend) "

/* Rows of volume_count without volumes are as good as none. */
#define OF_STATUSES                                                                                \
	"WITH there AS (SELECT coalesce(backend, 0) AS backend, trashed, status, "                 \
	"count(*) AS volumes, sum(size) AS size FROM volume GROUP BY 1, 2, 3) "

static const char *const differences[] = {
	OF_PROJECTS
	"SELECT printf('project ''%s'' is counted %d volumes and %d snapshots of %d bytes, and %d bytes "
	"of trash, %d of them waiting: there are %d and %d of %d, and %d, %d of them waiting', name, "
	"p.volumes, p.snapshots, p.size, p.trash_size, p.trash_waiting, "
	"t.volumes, t.snapshots, t.size, t.trash_size, t.trash_waiting) "
	"FROM project p JOIN there t ON t.project = p.id "
	"WHERE (p.volumes, p.size, p.snapshots, p.trash_size, p.trash_waiting) <> "
	"(t.volumes, t.size, t.snapshots, t.trash_size, t.trash_waiting)",
	OF_TYPES
	"SELECT printf('project ''%s'' is counted %d volumes and %d snapshots of %d bytes, and %d bytes "
	"of trash, %d of them waiting, of type ''%s'': there are %d and %d of %d, and %d, %d of them "
	"waiting', p.name, q.volumes, q.snapshots, q.size, q.trash_size, q.trash_waiting, y.name, "
	"t.volumes, t.snapshots, t.size, t.trash_size, t.trash_waiting) "
	"FROM type_quota q JOIN there t ON t.project = q.project AND t.type = q.type "
	"LEFT JOIN project p ON p.id = q.project LEFT JOIN type y ON y.id = q.type "
	"WHERE (q.volumes, q.size, q.snapshots, q.trash_size, q.trash_waiting, q.in_use) <> "
	"(t.volumes, t.size, t.snapshots, t.trash_size, t.trash_waiting, t.in_use)",
	OF_TYPES
	"SELECT printf('project %d is counted nothing of type %d: there are %d volumes', t.project, "
	"t.type, t.in_use) FROM there t LEFT JOIN type_quota q "
	"ON q.project = t.project AND q.type = t.type WHERE q.id IS NULL",
	OF_BACKENDS
	"SELECT printf('backend ''%s'' is counted %d volumes, %d bytes promised, %d of these being "
	"made, %d in the trash and %d being purged: there are %d, %d, %d, %d and %d', name, "
	"b.volumes, b.allocated, b.pending, b.trash_waiting, b.purging, "
	"t.volumes, t.allocated, t.pending, t.trash_waiting, t.purging) "
	"FROM backend b JOIN there t ON t.backend = b.id "
	"WHERE (b.volumes, b.allocated, b.pending, b.trash_waiting, b.purging) <> "
	"(t.volumes, t.allocated, t.pending, t.trash_waiting, t.purging)",
	"WITH there AS (SELECT (SELECT count(*) FROM volume WHERE trashed = 0) AS volumes, "
	"(SELECT count(*) FROM job) AS jobs) "
	"SELECT printf('%d volumes and %d jobs are counted: there are %d and %d', c.volumes, c.jobs, "
	"t.volumes, t.jobs) FROM counts c, there t WHERE (c.volumes, c.jobs) <> (t.volumes, t.jobs)",
	OF_STATUSES
	"SELECT printf('%d volumes of %d bytes are counted on backend ''%s'' in status %d%s: there are "
	"%d of %d', coalesce(c.volumes, 0), coalesce(c.size, 0), coalesce(b.name, ''), "
	"coalesce(c.status, t.status), iif(coalesce(c.trashed, t.trashed), ' of the trash', ''), "
	"coalesce(t.volumes, 0), coalesce(t.size, 0)) "
	"FROM volume_count c FULL JOIN there t "
	"ON t.backend = c.backend AND t.trashed = c.trashed AND t.status = c.status "
	"LEFT JOIN backend b ON b.id = coalesce(c.backend, t.backend) "
	"WHERE (coalesce(c.volumes, 0), coalesce(c.size, 0)) <> "
	"(coalesce(t.volumes, 0), coalesce(t.size, 0))",
	"SELECT printf('snapshot ''%s'' (%s) counts for another project or type than its volume', "
	"coalesce(s.name, ''), s.uuid) FROM snapshot s JOIN volume v ON v.id = s.volume "
	"WHERE s.project <> v.project OR s.type IS NOT v.type",
};

int view_recount(struct view *v, void (*each)(void *arg, const char *text), void *arg)
{
	int found = 0;

	for (size_t i = 0; i < sizeof differences / sizeof differences[0]; i++) {
		sqlite3_stmt *st;
		int r = conn_rows(&v->conn, &st, differences[i], "");

		if (r < 0)
			return view_result(v, r);
		while ((r = conn_next(&v->conn, st)) > 0) {
			each(arg, (const char *)sqlite3_column_text(st, 0));
			found++;
		}
		if (r < 0)
			return view_result(v, r);
	}
	return found;
}

int tx_recount(struct tx *tx)
{
	return conn_exec(tx->conn,
		"UPDATE snapshot SET (project, type) = (v.project, v.type) FROM volume v "
		"WHERE v.id = snapshot.volume "
		"AND (v.project <> snapshot.project OR v.type IS NOT snapshot.type);"
		"INSERT OR IGNORE INTO type_quota (project, type) "
		"SELECT DISTINCT project, type FROM volume WHERE type IS NOT NULL;" OF_PROJECTS
		"UPDATE project SET (volumes, size, snapshots, trash_size, trash_waiting) = "
		"(t.volumes, t.size, t.snapshots, t.trash_size, t.trash_waiting) "
		"FROM there t WHERE t.project = project.id;" OF_TYPES
		"UPDATE type_quota SET (volumes, size, snapshots, trash_size, trash_waiting, in_use) = "
		"(t.volumes, t.size, t.snapshots, t.trash_size, t.trash_waiting, t.in_use) "
		"FROM there t WHERE t.project = type_quota.project AND t.type = type_quota.type;" OF_BACKENDS
		"UPDATE backend SET (volumes, allocated, pending, trash_waiting, purging) = "
		"(t.volumes, t.allocated, t.pending, t.trash_waiting, t.purging) "
		"FROM there t WHERE t.backend = backend.id;"
		"UPDATE counts SET volumes = (SELECT count(*) FROM volume WHERE trashed = 0), "
		"jobs = (SELECT count(*) FROM job);"
		"DELETE FROM volume_count;" OF_STATUSES
		"INSERT INTO volume_count SELECT * FROM there");
}

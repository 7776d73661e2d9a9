-- Brings a catalogue of version 3 to version 4: snapshots, volumes made from others, the trash, images that nobody owns.
-- tests/unit/test_store_migrate.c holds the outcome against schema.sql.

ALTER TABLE volume ADD COLUMN expires_us INTEGER;
ALTER TABLE volume ADD COLUMN parent INTEGER;
ALTER TABLE volume ADD COLUMN origin TEXT;
CREATE INDEX volume_expires ON volume (expires_us) WHERE expires_us IS NOT NULL;
CREATE INDEX volume_expires_project ON volume (project, expires_us) WHERE expires_us IS NOT NULL;
CREATE INDEX volume_expires_backend ON volume (backend, expires_us) WHERE expires_us IS NOT NULL;
CREATE INDEX volume_parent ON volume (parent) WHERE parent IS NOT NULL;

-- Snapshots. One without a name is being removed: it counts for no quota any more. project and type: its volume's.
CREATE TABLE snapshot (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  volume INTEGER NOT NULL,
  name TEXT,
  status INTEGER NOT NULL,
  size INTEGER NOT NULL,
  project INTEGER NOT NULL,
  type INTEGER,
  description TEXT,
  reason TEXT,
  created_us INTEGER NOT NULL,
  updated_us INTEGER NOT NULL
);
CREATE UNIQUE INDEX snapshot_name ON snapshot (volume, name) WHERE name IS NOT NULL;
CREATE INDEX snapshot_list ON snapshot (volume, id);

-- Images that were seen on a backend and are no volume's.
CREATE TABLE unmanaged (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  backend INTEGER NOT NULL,
  name TEXT NOT NULL,
  size INTEGER NOT NULL,
  used INTEGER NOT NULL,
  snapshots INTEGER NOT NULL,
  reason TEXT,                      -- why it cannot be adopted
  seen_us INTEGER NOT NULL
);
CREATE UNIQUE INDEX unmanaged_name ON unmanaged (backend, name);
CREATE INDEX unmanaged_list ON unmanaged (backend, id);

ALTER TABLE job ADD COLUMN class INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN source INTEGER;
ALTER TABLE job ADD COLUMN snapshot INTEGER;
ALTER TABLE job ADD COLUMN parent INTEGER;
ALTER TABLE job ADD COLUMN flatten INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN image TEXT;
UPDATE job SET class = 1 WHERE kind = 1;
DROP INDEX job_backend;
DROP INDEX job_volume;
CREATE INDEX job_backend ON job (backend, class, id);
CREATE INDEX job_volume ON job (volume) WHERE class <> 1;
CREATE INDEX job_source ON job (source) WHERE source IS NOT NULL;
CREATE INDEX job_snapshot ON job (snapshot) WHERE snapshot IS NOT NULL;
CREATE INDEX job_parent ON job (parent) WHERE parent IS NOT NULL;
CREATE INDEX job_clean ON job (uuid) WHERE kind = 4;
CREATE INDEX job_image ON job (backend, image) WHERE kind IN (8, 9);

ALTER TABLE project ADD COLUMN trash_waiting INTEGER NOT NULL DEFAULT 0;
ALTER TABLE type_quota ADD COLUMN trash_waiting INTEGER NOT NULL DEFAULT 0;
ALTER TABLE backend ADD COLUMN trash_waiting INTEGER NOT NULL DEFAULT 0;
ALTER TABLE backend ADD COLUMN purging INTEGER NOT NULL DEFAULT 0;
UPDATE backend SET purging = j.bytes
  FROM (SELECT backend AS id, sum(size) AS bytes FROM job WHERE kind = 2 GROUP BY backend) AS j
  WHERE backend.id = j.id;

-- A snapshot counts 1 and its size, while it has a name, for its project and, if it has one, its type there.
CREATE TRIGGER snapshot_added AFTER INSERT ON snapshot WHEN NEW.name IS NOT NULL BEGIN
  UPDATE project SET snapshots = snapshots + 1, size = size + NEW.size WHERE id = NEW.project;
  UPDATE type_quota SET snapshots = snapshots + 1, size = size + NEW.size
    WHERE project = NEW.project AND type = NEW.type;
END;

CREATE TRIGGER snapshot_removed AFTER DELETE ON snapshot WHEN OLD.name IS NOT NULL BEGIN
  UPDATE project SET snapshots = snapshots - 1, size = size - OLD.size WHERE id = OLD.project;
  UPDATE type_quota SET snapshots = snapshots - 1, size = size - OLD.size
    WHERE project = OLD.project AND type = OLD.type;
END;

-- (The volume moves first: so the type's row of the new project is there.)
CREATE TRIGGER snapshot_moved AFTER UPDATE OF name, project, type ON snapshot BEGIN
  UPDATE project SET snapshots = snapshots - 1, size = size - OLD.size
    WHERE id = OLD.project AND OLD.name IS NOT NULL;
  UPDATE type_quota SET snapshots = snapshots - 1, size = size - OLD.size
    WHERE project = OLD.project AND type = OLD.type AND OLD.name IS NOT NULL;
  UPDATE project SET snapshots = snapshots + 1, size = size + NEW.size
    WHERE id = NEW.project AND NEW.name IS NOT NULL;
  UPDATE type_quota SET snapshots = snapshots + 1, size = size + NEW.size
    WHERE project = NEW.project AND type = NEW.type AND NEW.name IS NOT NULL;
END;

-- What lies in the trash and could be purged, of projects, types and backends; and what is being purged, of backends. (A type's row in
-- another project may be made here or by typed_moved, whichever comes first.)
CREATE TRIGGER trash_moved AFTER UPDATE OF expires_us, size, reserved, project, backend, type ON volume
    WHEN OLD.expires_us IS NOT NULL OR NEW.expires_us IS NOT NULL BEGIN
  UPDATE project SET trash_waiting = trash_waiting - OLD.size - OLD.reserved
    WHERE id = OLD.project AND OLD.expires_us IS NOT NULL;
  UPDATE project SET trash_waiting = trash_waiting + NEW.size + NEW.reserved
    WHERE id = NEW.project AND NEW.expires_us IS NOT NULL;
  UPDATE type_quota SET trash_waiting = trash_waiting - OLD.size - OLD.reserved
    WHERE project = OLD.project AND type = OLD.type AND OLD.expires_us IS NOT NULL;
  INSERT INTO type_quota (project, type, trash_waiting)
    SELECT NEW.project, NEW.type, NEW.size + NEW.reserved WHERE NEW.type IS NOT NULL AND NEW.expires_us IS NOT NULL
    ON CONFLICT (project, type) DO UPDATE SET trash_waiting = trash_waiting + excluded.trash_waiting;
  UPDATE backend SET trash_waiting = trash_waiting - OLD.size - OLD.reserved
    WHERE id = OLD.backend AND OLD.expires_us IS NOT NULL;
  UPDATE backend SET trash_waiting = trash_waiting + NEW.size + NEW.reserved
    WHERE id = NEW.backend AND NEW.expires_us IS NOT NULL;
END;

CREATE TRIGGER trash_removed AFTER DELETE ON volume WHEN OLD.expires_us IS NOT NULL BEGIN
  UPDATE project SET trash_waiting = trash_waiting - OLD.size - OLD.reserved WHERE id = OLD.project;
  UPDATE type_quota SET trash_waiting = trash_waiting - OLD.size - OLD.reserved
    WHERE project = OLD.project AND type = OLD.type;
  UPDATE backend SET trash_waiting = trash_waiting - OLD.size - OLD.reserved WHERE id = OLD.backend;
END;

CREATE TRIGGER purge_added AFTER INSERT ON job WHEN NEW.kind = 2 BEGIN
  UPDATE backend SET purging = purging + NEW.size WHERE id = NEW.backend;
END;

CREATE TRIGGER purge_removed AFTER DELETE ON job WHEN OLD.kind = 2 BEGIN
  UPDATE backend SET purging = purging - OLD.size WHERE id = OLD.backend;
END;

CREATE TRIGGER purge_turned AFTER UPDATE OF kind ON job WHEN OLD.kind = 2 AND NEW.kind <> 2 BEGIN
  UPDATE backend SET purging = purging - OLD.size WHERE id = OLD.backend;
END;

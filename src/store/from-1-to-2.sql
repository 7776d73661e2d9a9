-- Brings a catalogue of version 1 to version 2: volume types, their quotas, and the quotas of what comes later; two
-- indices less to keep for a creation. In version 1 no
-- volume had a type. tests/unit/test_store_migrate.c holds the outcome against schema.sql.

ALTER TABLE project RENAME COLUMN per_volume_max TO per_volume_size_max;
ALTER TABLE project ADD COLUMN snapshots_max INTEGER;
ALTER TABLE project ADD COLUMN backups_max INTEGER;
ALTER TABLE project ADD COLUMN backup_size_max INTEGER;
ALTER TABLE project ADD COLUMN groups_max INTEGER;
ALTER TABLE project ADD COLUMN trash_size_max INTEGER;
ALTER TABLE project ADD COLUMN snapshots INTEGER NOT NULL DEFAULT 0;
ALTER TABLE project ADD COLUMN backups INTEGER NOT NULL DEFAULT 0;
ALTER TABLE project ADD COLUMN backup_size INTEGER NOT NULL DEFAULT 0;
ALTER TABLE project ADD COLUMN groups INTEGER NOT NULL DEFAULT 0;
ALTER TABLE project ADD COLUMN trash_size INTEGER NOT NULL DEFAULT 0;
-- The trash is walked once, and not for every project: a start has a minute.
UPDATE project SET trash_size = t.bytes
  FROM (SELECT project AS id, sum(size + reserved) AS bytes FROM volume WHERE trashed = 1 GROUP BY project) AS t
  WHERE t.id = project.id;

ALTER TABLE volume DROP COLUMN type;
ALTER TABLE volume ADD COLUMN type INTEGER;
ALTER TABLE job ADD COLUMN qos TEXT;

DROP INDEX volume_file;
ALTER TABLE volume ADD COLUMN filed INTEGER NOT NULL DEFAULT 0;
UPDATE volume SET filed = 1 WHERE file = coalesce(name, uuid);
ALTER TABLE volume DROP COLUMN file;
DROP INDEX job_volume;
CREATE INDEX job_volume ON job (volume) WHERE kind <> 1;

CREATE TABLE type (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL UNIQUE,
  description TEXT,
  public INTEGER NOT NULL DEFAULT 1,
  is_default INTEGER NOT NULL DEFAULT 0,
  consumer INTEGER NOT NULL DEFAULT 0, -- of its QoS: enum qos_consumer
  created_us INTEGER NOT NULL,
  updated_us INTEGER NOT NULL
);
CREATE UNIQUE INDEX type_default ON type (is_default) WHERE is_default = 1;

-- Extra specs (1) and QoS specs (2); projects with access (3) and whose default it is (4).
CREATE TABLE type_entry (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  type INTEGER NOT NULL,
  list INTEGER NOT NULL,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  updated_us INTEGER NOT NULL
);
CREATE UNIQUE INDEX type_entry_key ON type_entry (type, list, key);
CREATE INDEX type_entry_list ON type_entry (type, list, id);
CREATE UNIQUE INDEX type_entry_default ON type_entry (key) WHERE list = 4;

-- The columns of project once more, for the volumes of one type. in_use: volumes, those in the trash included.
CREATE TABLE type_quota (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  project INTEGER NOT NULL,
  type INTEGER NOT NULL,
  volumes_max INTEGER,
  size_max INTEGER,
  per_volume_size_max INTEGER,
  snapshots_max INTEGER,
  backups_max INTEGER,
  backup_size_max INTEGER,
  groups_max INTEGER,
  trash_size_max INTEGER,
  volumes INTEGER NOT NULL DEFAULT 0,
  size INTEGER NOT NULL DEFAULT 0,
  snapshots INTEGER NOT NULL DEFAULT 0,
  backups INTEGER NOT NULL DEFAULT 0,
  backup_size INTEGER NOT NULL DEFAULT 0,
  groups INTEGER NOT NULL DEFAULT 0,
  trash_size INTEGER NOT NULL DEFAULT 0,
  in_use INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX type_quota_of ON type_quota (project, type);

DROP TRIGGER volume_removed;
DROP TRIGGER volume_moved;

CREATE TRIGGER volume_removed AFTER DELETE ON volume BEGIN
  UPDATE project SET volumes = volumes - (OLD.trashed = 0),
      size = size - iif(OLD.trashed, 0, OLD.size + OLD.reserved),
      trash_size = trash_size - iif(OLD.trashed, OLD.size + OLD.reserved, 0)
    WHERE id = OLD.project;
  UPDATE backend SET volumes = volumes - 1, allocated = allocated - OLD.size - OLD.reserved
    WHERE id = OLD.backend;
  UPDATE counts SET volumes = volumes - (OLD.trashed = 0);
END;

CREATE TRIGGER volume_moved AFTER UPDATE OF size, reserved, trashed, project, backend ON volume BEGIN
  UPDATE project SET volumes = volumes - (OLD.trashed = 0),
      size = size - iif(OLD.trashed, 0, OLD.size + OLD.reserved),
      trash_size = trash_size - iif(OLD.trashed, OLD.size + OLD.reserved, 0)
    WHERE id = OLD.project;
  UPDATE project SET volumes = volumes + (NEW.trashed = 0),
      size = size + iif(NEW.trashed, 0, NEW.size + NEW.reserved),
      trash_size = trash_size + iif(NEW.trashed, NEW.size + NEW.reserved, 0)
    WHERE id = NEW.project;
  UPDATE backend SET volumes = volumes - 1, allocated = allocated - OLD.size - OLD.reserved
    WHERE id = OLD.backend;
  UPDATE backend SET volumes = volumes + 1, allocated = allocated + NEW.size + NEW.reserved
    WHERE id = NEW.backend;
  UPDATE counts SET volumes = volumes + (NEW.trashed = 0) - (OLD.trashed = 0);
END;

-- The same for volumes that have a type, of that type. Whoever has none pays for none of it.
CREATE TRIGGER typed_added AFTER INSERT ON volume WHEN NEW.type IS NOT NULL BEGIN
  INSERT INTO type_quota (project, type, in_use, volumes, size, trash_size)
    VALUES (NEW.project, NEW.type, 1, NEW.trashed = 0, iif(NEW.trashed, 0, NEW.size + NEW.reserved),
      iif(NEW.trashed, NEW.size + NEW.reserved, 0))
    ON CONFLICT (project, type) DO UPDATE SET in_use = in_use + 1, volumes = volumes + excluded.volumes,
      size = size + excluded.size, trash_size = trash_size + excluded.trash_size;
END;

CREATE TRIGGER typed_removed AFTER DELETE ON volume WHEN OLD.type IS NOT NULL BEGIN
  UPDATE type_quota SET in_use = in_use - 1, volumes = volumes - (OLD.trashed = 0),
      size = size - iif(OLD.trashed, 0, OLD.size + OLD.reserved),
      trash_size = trash_size - iif(OLD.trashed, OLD.size + OLD.reserved, 0)
    WHERE project = OLD.project AND type = OLD.type;
END;

CREATE TRIGGER typed_moved AFTER UPDATE OF size, reserved, trashed, project, type ON volume
    WHEN OLD.type IS NOT NULL OR NEW.type IS NOT NULL BEGIN
  UPDATE type_quota SET in_use = in_use - 1, volumes = volumes - (OLD.trashed = 0),
      size = size - iif(OLD.trashed, 0, OLD.size + OLD.reserved),
      trash_size = trash_size - iif(OLD.trashed, OLD.size + OLD.reserved, 0)
    WHERE project = OLD.project AND type = OLD.type;
  INSERT INTO type_quota (project, type, in_use, volumes, size, trash_size)
    SELECT NEW.project, NEW.type, 1, NEW.trashed = 0, iif(NEW.trashed, 0, NEW.size + NEW.reserved),
      iif(NEW.trashed, NEW.size + NEW.reserved, 0) WHERE NEW.type IS NOT NULL
    ON CONFLICT (project, type) DO UPDATE SET in_use = in_use + 1, volumes = volumes + excluded.volumes,
      size = size + excluded.size, trash_size = trash_size + excluded.trash_size;
END;

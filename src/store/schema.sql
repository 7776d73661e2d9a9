-- The catalogue, version 5. Made in one transaction; migrate.c brings older versions here.
--
-- Sums (quota, backends, counts) are kept by the triggers below in the transaction of the rows they count, so they
-- cannot drift; nothing else writes them. A volume counts
--   for its project    1 and size + reserved; from the trash on, only its size, as trash_size
--   and for its type   the same once more, in type_quota
--   for its backend    while its row exists: 1 and size + reserved
-- A creation's job counts as `pending` of its backend; a given-up attempt (kind 4) counts as allocated there, for its
-- image may exist.

-- Limits (NULL: the default's; -1: none) and sums of a project. Sizes are bytes.
CREATE TABLE project (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
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
  trash_waiting INTEGER NOT NULL DEFAULT 0, -- of trash_size, what is not being purged yet
  log_end INTEGER NOT NULL DEFAULT 0 -- bytes of its lines in the log, also of those that it no longer holds
);
INSERT INTO project (name) VALUES ('default'); -- its limits are those of every project that has none

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
  in_use INTEGER NOT NULL DEFAULT 0,
  trash_waiting INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX type_quota_of ON type_quota (project, type);

CREATE TABLE backend (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  disabled INTEGER NOT NULL DEFAULT 0,
  volumes INTEGER NOT NULL DEFAULT 0,
  allocated INTEGER NOT NULL DEFAULT 0,
  pending INTEGER NOT NULL DEFAULT 0,
  up INTEGER NOT NULL DEFAULT 0,    -- as last reported
  total INTEGER NOT NULL DEFAULT 0, -- -1: unknown, -2: infinite
  free INTEGER NOT NULL DEFAULT 0,
  trash_waiting INTEGER NOT NULL DEFAULT 0, -- of allocated: in the trash
  purging INTEGER NOT NULL DEFAULT 0 -- of allocated: on its way out
);

-- Names of zones, each once, so that each has a number; triggers add those of volumes. None goes.
CREATE TABLE zone (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
);

CREATE TABLE volume (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL,
  name TEXT,                        -- NULL: its UUID
  status INTEGER NOT NULL,
  trashed INTEGER NOT NULL DEFAULT 0,
  size INTEGER NOT NULL,
  reserved INTEGER NOT NULL DEFAULT 0,
  generation INTEGER NOT NULL DEFAULT 0,
  uid INTEGER NOT NULL,
  gid INTEGER NOT NULL,
  mode INTEGER NOT NULL,
  created_us INTEGER NOT NULL,
  updated_us INTEGER NOT NULL,
  project INTEGER NOT NULL,
  backend INTEGER,
  used INTEGER NOT NULL DEFAULT 0,
  protected INTEGER NOT NULL DEFAULT 0,
  image_id TEXT NOT NULL,
  zone TEXT,
  type INTEGER,
  description TEXT,
  reason TEXT,
  filed INTEGER NOT NULL DEFAULT 0, -- it was accepted as new/<name>
  readonly INTEGER NOT NULL DEFAULT 0,
  bootable INTEGER NOT NULL DEFAULT 0,
  data_uid INTEGER,                 -- of `data`; NULL: the volume's
  data_gid INTEGER,                 -- the same
  data_mode INTEGER,                -- NULL: 0600
  expires_us INTEGER,               -- in the trash, and its purge has not begun: when that will be
  parent INTEGER,                   -- the volume, perhaps purged, whose image its own needs
  origin TEXT,                      -- what it was made from: UUID, or UUID@UUID of a snapshot
  spec TEXT NOT NULL                -- as submitted; last, because it can be long and is rarely read
);
CREATE UNIQUE INDEX volume_uuid ON volume (uuid);
CREATE UNIQUE INDEX volume_name ON volume (name) WHERE trashed = 0 AND name IS NOT NULL;
CREATE INDEX volume_trash ON volume (id) WHERE trashed = 1;
CREATE INDEX volume_expires ON volume (expires_us) WHERE expires_us IS NOT NULL;
CREATE INDEX volume_expires_project ON volume (project, expires_us) WHERE expires_us IS NOT NULL;
CREATE INDEX volume_expires_backend ON volume (backend, expires_us) WHERE expires_us IS NOT NULL;
CREATE INDEX volume_parent ON volume (parent) WHERE parent IS NOT NULL;
-- .volfs/by/…: of those alive.
CREATE INDEX volume_by_status ON volume (status) WHERE trashed = 0;
CREATE INDEX volume_by_type ON volume (type) WHERE trashed = 0 AND type IS NOT NULL;
CREATE INDEX volume_by_backend ON volume (backend) WHERE trashed = 0 AND backend IS NOT NULL;
CREATE INDEX volume_by_project ON volume (project) WHERE trashed = 0;
CREATE INDEX volume_by_zone ON volume (zone) WHERE trashed = 0 AND zone IS NOT NULL;

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

CREATE TABLE meta (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  volume INTEGER NOT NULL,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  updated_us INTEGER NOT NULL
);
CREATE UNIQUE INDEX meta_key ON meta (volume, key);
CREATE INDEX meta_list ON meta (volume, id);

-- Who uses a volume: attached (1), an open `data` (2), a watcher outside (3). handle: which open, 0 of the others.
CREATE TABLE attachment (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  volume INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  name TEXT NOT NULL,
  host TEXT NOT NULL,
  writes INTEGER NOT NULL,
  uid INTEGER NOT NULL,
  gid INTEGER NOT NULL,
  pid INTEGER NOT NULL,
  handle INTEGER NOT NULL,
  since_us INTEGER NOT NULL
);
CREATE UNIQUE INDEX attachment_name ON attachment (volume, name);
CREATE INDEX attachment_list ON attachment (volume, id);
CREATE INDEX attachment_handle ON attachment (handle) WHERE kind = 2;

CREATE TABLE job (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind INTEGER NOT NULL,
  class INTEGER NOT NULL DEFAULT 0, -- which of them wait for each other: enum job_class
  volume INTEGER NOT NULL,
  backend INTEGER NOT NULL,
  project INTEGER NOT NULL,
  uuid TEXT NOT NULL,
  image_id TEXT NOT NULL,
  size INTEGER NOT NULL,
  attempt INTEGER NOT NULL DEFAULT 1,
  qos TEXT,                         -- limits that the image is to keep: key=value, a line each
  source INTEGER,                   -- the volume that a creation is made from: it stays until then
  snapshot INTEGER,                 -- … or its snapshot; of a snapshot's own jobs: that
  parent INTEGER,                   -- as volume.parent, of an image that is to go
  flatten INTEGER NOT NULL DEFAULT 0,
  image TEXT,                       -- the name of an image that is adopted, or given up
  tried TEXT
);
CREATE INDEX job_backend ON job (backend, class, id);
CREATE INDEX job_volume ON job (volume) WHERE class <> 1; -- a plain creation's is found by its backend
CREATE INDEX job_source ON job (source) WHERE source IS NOT NULL;
CREATE INDEX job_snapshot ON job (snapshot) WHERE snapshot IS NOT NULL;
CREATE INDEX job_parent ON job (parent) WHERE parent IS NOT NULL;
CREATE INDEX job_clean ON job (uuid) WHERE kind = 4;
CREATE INDEX job_image ON job (backend, image) WHERE kind IN (8, 9);

-- What happened: the log, a line of JSON each, and the histories of volumes. ids count by one. Of the log are those above
-- counts.log_start; what is older stays as long as its volume needs it.
CREATE TABLE event (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  volume INTEGER NOT NULL,          -- 0: of none
  project INTEGER NOT NULL,         -- whose members may read it; 0: admins alone
  at_us INTEGER NOT NULL,
  pos INTEGER NOT NULL,             -- bytes of the log before it
  project_pos INTEGER NOT NULL,     -- the same, of its project's lines alone
  line TEXT NOT NULL                -- with its newline
);
CREATE INDEX event_volume ON event (volume, id);
CREATE INDEX event_project ON event (project, id);

-- Purged volumes, for an hour.
CREATE TABLE purged (
  id INTEGER PRIMARY KEY,           -- the volume's
  uuid TEXT NOT NULL UNIQUE,
  uid INTEGER NOT NULL,
  gid INTEGER NOT NULL,
  mode INTEGER NOT NULL,
  size INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  created_us INTEGER NOT NULL,
  at_us INTEGER NOT NULL
);
CREATE INDEX purged_at ON purged (at_us);

-- Addresses of connections that change things, of this server and of those not yet fenced.
CREATE TABLE client (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  backend INTEGER NOT NULL,
  address TEXT NOT NULL
);

-- What changing requests were answered. Looked up only for requests that the kernel sends again: no index.
CREATE TABLE answered (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  server INTEGER NOT NULL,
  mount INTEGER NOT NULL,
  uniq INTEGER NOT NULL,
  code INTEGER NOT NULL,
  row INTEGER NOT NULL,
  at_s INTEGER NOT NULL             -- monotonic, of that server
);

CREATE TABLE counts (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  volumes INTEGER NOT NULL,         -- alive
  jobs INTEGER NOT NULL,
  server INTEGER NOT NULL,          -- how many servers have had this catalogue
  log_start INTEGER NOT NULL DEFAULT 0, -- events up to here are no longer in the log
  log_swept INTEGER NOT NULL DEFAULT 0, -- of these, up to here it was decided which a volume still needs
  log_end INTEGER NOT NULL DEFAULT 0    -- bytes of the log, also of what it no longer holds
);
INSERT INTO counts (id, volumes, jobs, server) VALUES (1, 0, 0, 0);

CREATE TRIGGER volume_added AFTER INSERT ON volume BEGIN
  UPDATE project SET volumes = volumes + 1, size = size + NEW.size + NEW.reserved
    WHERE id = NEW.project AND NEW.trashed = 0;
  UPDATE backend SET volumes = volumes + 1, allocated = allocated + NEW.size + NEW.reserved
    WHERE id = NEW.backend;
  UPDATE counts SET volumes = volumes + (NEW.trashed = 0);
END;

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

CREATE TRIGGER job_added AFTER INSERT ON job BEGIN
  UPDATE backend SET pending = pending + NEW.size WHERE id = NEW.backend AND NEW.kind = 1;
  UPDATE backend SET allocated = allocated + NEW.size WHERE id = NEW.backend AND NEW.kind = 4;
  UPDATE counts SET jobs = jobs + 1;
END;

CREATE TRIGGER job_removed AFTER DELETE ON job BEGIN
  UPDATE backend SET pending = pending - OLD.size WHERE id = OLD.backend AND OLD.kind = 1;
  UPDATE backend SET allocated = allocated - OLD.size WHERE id = OLD.backend AND OLD.kind = 4;
  UPDATE counts SET jobs = jobs - 1;
END;

CREATE TRIGGER job_abandoned AFTER UPDATE OF kind ON job WHEN OLD.kind <> NEW.kind BEGIN
  UPDATE backend SET pending = pending - OLD.size WHERE id = OLD.backend AND OLD.kind = 1;
  UPDATE backend SET allocated = allocated + NEW.size WHERE id = NEW.backend AND NEW.kind = 4;
END;

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

-- How many volumes of a backend (0: of none), alive or in the trash, are in each status, and their sizes.
CREATE TABLE volume_count (
  backend INTEGER NOT NULL,
  trashed INTEGER NOT NULL,
  status INTEGER NOT NULL,
  volumes INTEGER NOT NULL DEFAULT 0,
  size INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (backend, trashed, status)
) WITHOUT ROWID;

CREATE TRIGGER count_added AFTER INSERT ON volume BEGIN
  INSERT INTO volume_count VALUES (coalesce(NEW.backend, 0), NEW.trashed, NEW.status, 1, NEW.size)
    ON CONFLICT DO UPDATE SET volumes = volumes + 1, size = size + excluded.size;
END;

CREATE TRIGGER count_removed AFTER DELETE ON volume BEGIN
  UPDATE volume_count SET volumes = volumes - 1, size = size - OLD.size
    WHERE backend = coalesce(OLD.backend, 0) AND trashed = OLD.trashed AND status = OLD.status;
END;

CREATE TRIGGER count_moved AFTER UPDATE OF backend, trashed, status, size ON volume BEGIN
  UPDATE volume_count SET volumes = volumes - 1, size = size - OLD.size
    WHERE backend = coalesce(OLD.backend, 0) AND trashed = OLD.trashed AND status = OLD.status;
  INSERT INTO volume_count VALUES (coalesce(NEW.backend, 0), NEW.trashed, NEW.status, 1, NEW.size)
    ON CONFLICT DO UPDATE SET volumes = volumes + 1, size = size + excluded.size;
END;

CREATE TRIGGER zone_added AFTER INSERT ON volume WHEN NEW.zone IS NOT NULL BEGIN
  INSERT OR IGNORE INTO zone (name) VALUES (NEW.zone);
END;

CREATE TRIGGER zone_moved AFTER UPDATE OF zone ON volume WHEN NEW.zone IS NOT NULL BEGIN
  INSERT OR IGNORE INTO zone (name) VALUES (NEW.zone);
END;

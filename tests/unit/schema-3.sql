-- The catalogue as version 3 made it, for test_store_migrate.c: it stays as it is.
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
  trash_size INTEGER NOT NULL DEFAULT 0
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
  in_use INTEGER NOT NULL DEFAULT 0
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
  free INTEGER NOT NULL DEFAULT 0
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
  spec TEXT NOT NULL                -- as submitted; last, because it can be long and is rarely read
);
CREATE UNIQUE INDEX volume_uuid ON volume (uuid);
CREATE UNIQUE INDEX volume_name ON volume (name) WHERE trashed = 0 AND name IS NOT NULL;
CREATE INDEX volume_trash ON volume (id) WHERE trashed = 1;

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
  volume INTEGER NOT NULL,
  backend INTEGER NOT NULL,
  project INTEGER NOT NULL,
  uuid TEXT NOT NULL,
  image_id TEXT NOT NULL,
  size INTEGER NOT NULL,
  attempt INTEGER NOT NULL DEFAULT 1,
  qos TEXT,                         -- limits that the image is to keep: key=value, a line each
  tried TEXT
);
CREATE INDEX job_backend ON job (backend, kind = 1, id); -- creations are listed apart
CREATE INDEX job_volume ON job (volume) WHERE kind <> 1; -- a creation's is found by its backend

CREATE TABLE event (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  volume INTEGER NOT NULL,
  at_us INTEGER NOT NULL,
  event TEXT NOT NULL,
  who TEXT NOT NULL,
  detail TEXT
);
CREATE INDEX event_volume ON event (volume, id);

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
  server INTEGER NOT NULL           -- how many servers have had this catalogue
);
INSERT INTO counts VALUES (1, 0, 0, 0);

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

-- The catalogue as version 1 made it, for test_store_migrate.c: it stays as it is.
--
-- Sums (quota, backends, counts) are kept by the triggers below in the transaction of the rows they count, so they
-- cannot drift; nothing else writes them. A volume counts
--   for its project    while it is not in the trash: 1 and size + reserved
--   for its backend    while its row exists:         1 and size + reserved
-- A creation's job counts as `pending` of its backend; a given-up attempt (kind 4) counts as allocated there, for its
-- image may exist.

CREATE TABLE project (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  volumes_max INTEGER,              -- NULL: the default's; -1: no limit
  size_max INTEGER,                 -- bytes
  per_volume_max INTEGER,
  volumes INTEGER NOT NULL DEFAULT 0,
  size INTEGER NOT NULL DEFAULT 0
);
INSERT INTO project (name) VALUES ('default'); -- its limits are those of every project that has none

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
  type TEXT,
  description TEXT,
  reason TEXT,
  file TEXT,                        -- its name in new/, without .spec
  spec TEXT NOT NULL                -- as submitted; last, because it can be long and is rarely read
);
CREATE UNIQUE INDEX volume_uuid ON volume (uuid);
CREATE UNIQUE INDEX volume_name ON volume (name) WHERE trashed = 0 AND name IS NOT NULL;
CREATE UNIQUE INDEX volume_file ON volume (file) WHERE trashed = 0 AND file IS NOT NULL;
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
  tried TEXT
);
CREATE INDEX job_backend ON job (backend, kind = 1, id); -- creations are listed apart
CREATE INDEX job_volume ON job (volume);

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
  UPDATE project SET volumes = volumes - 1, size = size - OLD.size - OLD.reserved
    WHERE id = OLD.project AND OLD.trashed = 0;
  UPDATE backend SET volumes = volumes - 1, allocated = allocated - OLD.size - OLD.reserved
    WHERE id = OLD.backend;
  UPDATE counts SET volumes = volumes - (OLD.trashed = 0);
END;

CREATE TRIGGER volume_moved AFTER UPDATE OF size, reserved, trashed, project, backend ON volume BEGIN
  UPDATE project SET volumes = volumes - 1, size = size - OLD.size - OLD.reserved
    WHERE id = OLD.project AND OLD.trashed = 0;
  UPDATE project SET volumes = volumes + 1, size = size + NEW.size + NEW.reserved
    WHERE id = NEW.project AND NEW.trashed = 0;
  UPDATE backend SET volumes = volumes - 1, allocated = allocated - OLD.size - OLD.reserved
    WHERE id = OLD.backend;
  UPDATE backend SET volumes = volumes + 1, allocated = allocated + NEW.size + NEW.reserved
    WHERE id = NEW.backend;
  UPDATE counts SET volumes = volumes + (NEW.trashed = 0) - (OLD.trashed = 0);
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

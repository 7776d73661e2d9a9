-- Brings a catalogue of version 2 to version 3: who uses a volume, and what `data` is like.
-- tests/unit/test_store_migrate.c holds the outcome against schema.sql.

ALTER TABLE volume ADD COLUMN readonly INTEGER NOT NULL DEFAULT 0;
ALTER TABLE volume ADD COLUMN bootable INTEGER NOT NULL DEFAULT 0;
ALTER TABLE volume ADD COLUMN data_uid INTEGER;
ALTER TABLE volume ADD COLUMN data_gid INTEGER;
ALTER TABLE volume ADD COLUMN data_mode INTEGER;

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

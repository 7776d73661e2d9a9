-- Brings a catalogue of version 4 to version 5: the log, the views in .volfs/by, how many volumes are in which status.
-- tests/unit/test_store_migrate.c holds the outcome against schema.sql.

ALTER TABLE project ADD COLUMN log_end INTEGER NOT NULL DEFAULT 0;
ALTER TABLE counts ADD COLUMN log_start INTEGER NOT NULL DEFAULT 0;
ALTER TABLE counts ADD COLUMN log_swept INTEGER NOT NULL DEFAULT 0;
ALTER TABLE counts ADD COLUMN log_end INTEGER NOT NULL DEFAULT 0;
CREATE INDEX volume_by_status ON volume (status) WHERE trashed = 0;
CREATE INDEX volume_by_type ON volume (type) WHERE trashed = 0 AND type IS NOT NULL;
CREATE INDEX volume_by_backend ON volume (backend) WHERE trashed = 0 AND backend IS NOT NULL;
CREATE INDEX volume_by_project ON volume (project) WHERE trashed = 0;
CREATE INDEX volume_by_zone ON volume (zone) WHERE trashed = 0 AND zone IS NOT NULL;

-- What happened before is no part of the log: it stays in the histories of its volumes.
ALTER TABLE event RENAME TO event_4;
DROP INDEX event_volume;
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

INSERT INTO event (id, volume, project, at_us, pos, project_pos, line)
  SELECT e.id, e.volume, coalesce(v.project, 0), e.at_us, 0, 0, json_object(
      'time', strftime('%Y-%m-%dT%H:%M:%S', e.at_us / 1000000, 'unixepoch') || printf('.%06dZ', e.at_us % 1000000),
      'event', e.event, 'volume', v.uuid, 'name', coalesce(v.name, v.uuid),
      'project', (SELECT name FROM project p WHERE p.id = v.project), 'who', e.who, 'detail', e.detail) || char(10)
    FROM event_4 e LEFT JOIN volume v ON v.id = e.volume ORDER BY e.id;
DELETE FROM sqlite_sequence WHERE name = 'event';
INSERT INTO sqlite_sequence (name, seq)
  SELECT 'event', seq FROM sqlite_sequence WHERE name = 'event_4';
DROP TABLE event_4;
UPDATE counts SET log_start = coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'event'), 0);
UPDATE counts SET log_swept = log_start;

CREATE TABLE volume_count (
  backend INTEGER NOT NULL,
  trashed INTEGER NOT NULL,
  status INTEGER NOT NULL,
  volumes INTEGER NOT NULL DEFAULT 0,
  size INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (backend, trashed, status)
) WITHOUT ROWID;

INSERT INTO volume_count
  SELECT coalesce(backend, 0), trashed, status, count(*), sum(size) FROM volume
    GROUP BY coalesce(backend, 0), trashed, status;

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

CREATE TABLE zone (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
);
INSERT INTO zone (name) SELECT DISTINCT zone FROM volume WHERE zone IS NOT NULL ORDER BY zone;

CREATE TRIGGER zone_added AFTER INSERT ON volume WHEN NEW.zone IS NOT NULL BEGIN
  INSERT OR IGNORE INTO zone (name) VALUES (NEW.zone);
END;

CREATE TRIGGER zone_moved AFTER UPDATE OF zone ON volume WHEN NEW.zone IS NOT NULL BEGIN
  INSERT OR IGNORE INTO zone (name) VALUES (NEW.zone);
END;

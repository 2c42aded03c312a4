-- Keys of callers. The secret itself is nowhere: only its SHA-256, and its first characters for people to tell keys apart.

CREATE TABLE keys (
  id TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  secret_hash BLOB NOT NULL,
  -- Such as sk-sb-AbCd.
  display TEXT NOT NULL,
  team TEXT,
  organisation TEXT,
  -- JSON arrays of strings; NULL models and endpoints: all of them.
  tags TEXT NOT NULL,
  models TEXT,
  endpoints TEXT,
  budgets TEXT NOT NULL,
  allow_unpriced INTEGER NOT NULL,
  -- Per minute, and at the same time. NULL: no limit.
  rpm INTEGER,
  tpm INTEGER,
  concurrency INTEGER,
  created_at_ms INTEGER NOT NULL,
  expires_at_ms INTEGER,
  revoked_at_ms INTEGER,
  -- After a rotation the secret before it is good until then.
  previous_hash BLOB,
  previous_until_ms INTEGER,
  -- The version of all keys that came with this row's last change: a router reads what is newer than what it knows.
  version INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE UNIQUE INDEX keys_living_name ON keys (name) WHERE revoked_at_ms IS NULL;
CREATE UNIQUE INDEX keys_secret_hash ON keys (secret_hash);
CREATE INDEX keys_version_order ON keys (version);
CREATE INDEX keys_revoked_at ON keys (revoked_at_ms) WHERE revoked_at_ms IS NOT NULL;

CREATE TABLE keys_version (
  one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
  version INTEGER NOT NULL,
  -- Rows that are gone cannot be read as news: this says that everything must be read again. Of revoked ones nobody needs
  -- to know: they are refused either way.
  deletions INTEGER NOT NULL
) STRICT;

INSERT INTO keys_version (one, version, deletions) VALUES (1, 0, 0);

-- Triggers, so that no writer can forget to tell.
CREATE TRIGGER keys_inserted AFTER INSERT ON keys BEGIN
  UPDATE keys_version SET version = version + 1;
  UPDATE keys SET version = (SELECT version FROM keys_version) WHERE id = NEW.id;
END;

CREATE TRIGGER keys_updated AFTER UPDATE ON keys WHEN NEW.version = OLD.version BEGIN
  UPDATE keys_version SET version = version + 1;
  UPDATE keys SET version = (SELECT version FROM keys_version) WHERE id = NEW.id;
END;

CREATE TRIGGER keys_deleted AFTER DELETE ON keys WHEN OLD.revoked_at_ms IS NULL BEGIN
  UPDATE keys_version SET version = version + 1, deletions = deletions + 1;
END;

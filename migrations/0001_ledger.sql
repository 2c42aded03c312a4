-- The ledger: what was sent to providers (attempts) and what callers asked for (requests).
-- Money is integer nanodollars. NULL tokens mean "the provider did not tell", which is not zero.

CREATE TABLE attempts (
  request_id TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  -- open: sent, no outcome yet. settled: outcome booked. unknown: the process died in between.
  state TEXT NOT NULL CHECK (state IN ('open', 'settled', 'unknown')),
  opened_at_ms INTEGER NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  catalog_version TEXT NOT NULL,
  ended_at_ms INTEGER,
  first_byte_ms INTEGER,
  input_tokens INTEGER,
  cache_read_tokens INTEGER,
  cache_write_tokens INTEGER,
  cache_write_1h_tokens INTEGER,
  output_tokens INTEGER,
  reasoning_tokens INTEGER,
  audio_input_tokens INTEGER,
  audio_output_tokens INTEGER,
  cost_nano_usd INTEGER,
  price_status TEXT,
  http_status INTEGER,
  error_kind TEXT,
  end_reason TEXT,
  upstream_request_id TEXT,
  finish_reason TEXT,
  PRIMARY KEY (request_id, attempt)
) STRICT, WITHOUT ROWID;

CREATE INDEX attempts_opened_at ON attempts (opened_at_ms);

-- Nearly empty at all times, so that recovery and reconciliation never scan the ledger.
CREATE INDEX attempts_unsettled ON attempts (state) WHERE state <> 'settled';

CREATE TABLE requests (
  request_id TEXT NOT NULL PRIMARY KEY,
  received_at_ms INTEGER NOT NULL,
  ended_at_ms INTEGER NOT NULL,
  caller_key TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  model_requested TEXT NOT NULL,
  stream INTEGER NOT NULL,
  status INTEGER NOT NULL,
  error_kind TEXT,
  attempts INTEGER NOT NULL,
  decision TEXT NOT NULL,
  snapshot_id TEXT NOT NULL,
  -- A JSON array of strings.
  warnings TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX requests_received_at ON requests (received_at_ms);

-- Smaller rows, and sums kept beside them. What repeats (who calls, where it went, why) is written once and referred to;
-- the views `attempts` and `requests` show the rows as they were. Sums by minute, hour and day are kept in the same
-- transaction as the rows, so that reports never scan the ledger and old rows can go.

CREATE TABLE texts (
  id INTEGER PRIMARY KEY,
  text TEXT NOT NULL UNIQUE
) STRICT;

-- Unit prices as an attempt was priced with; `key` is a hash of `json`.
CREATE TABLE rates (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  json TEXT NOT NULL
) STRICT;

-- What sums are kept by. '' where a part is absent; rule, provider and model are '' for what belongs to a request as a
-- whole. `tags` is a JSON array in order.
CREATE TABLE dimensions (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL,
  key_id TEXT NOT NULL,
  team TEXT NOT NULL,
  organisation TEXT NOT NULL,
  tags TEXT NOT NULL,
  rule TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  UNIQUE (key, key_id, team, organisation, tags, rule, provider, model)
) STRICT;

-- Request ids begin with the time, so the primary keys are in order of time and no index on it is needed.
CREATE TABLE attempt_rows (
  request_id TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  -- 0 open: sent, no outcome yet. 1 settled: outcome booked. 2 unknown: the process died in between.
  state INTEGER NOT NULL CHECK (state IN (0, 1, 2)),
  dimension INTEGER NOT NULL,
  opened_at_ms INTEGER NOT NULL,
  catalog INTEGER NOT NULL,
  total_ms INTEGER,
  first_byte_ms INTEGER,
  input_tokens INTEGER,
  cache_read_tokens INTEGER,
  cache_write_tokens INTEGER,
  cache_write_1h_tokens INTEGER,
  output_tokens INTEGER,
  reasoning_tokens INTEGER,
  audio_input_tokens INTEGER,
  audio_output_tokens INTEGER,
  -- What else was used (images, searches, service tier …), JSON.
  usage_more TEXT,
  cost_nano_usd INTEGER,
  -- What it will have cost at most, or about, where the cost cannot be known. Never part of cost_nano_usd.
  estimated_nano_usd INTEGER,
  -- What was set aside for it while it was open.
  reserved_nano_usd INTEGER,
  price_status INTEGER,
  rates INTEGER,
  http_status INTEGER,
  error_kind INTEGER,
  end_reason INTEGER,
  finish_reason INTEGER,
  upstream_request_id TEXT,
  PRIMARY KEY (request_id, attempt)
) STRICT, WITHOUT ROWID;

-- Nearly empty at all times, so that recovery and reconciliation never scan the ledger.
CREATE INDEX attempt_rows_unsettled ON attempt_rows (state) WHERE state <> 1;

CREATE TABLE request_rows (
  request_id TEXT NOT NULL PRIMARY KEY,
  received_at_ms INTEGER NOT NULL,
  total_ms INTEGER NOT NULL,
  dimension INTEGER NOT NULL,
  endpoint INTEGER NOT NULL,
  model_requested INTEGER NOT NULL,
  stream INTEGER NOT NULL,
  status INTEGER NOT NULL,
  error_kind INTEGER,
  attempts INTEGER NOT NULL,
  -- Decision and trace; the figures in them apart (src/store/story.ts), so that the text repeats.
  story INTEGER NOT NULL,
  figures TEXT NOT NULL,
  snapshot INTEGER NOT NULL,
  warnings INTEGER NOT NULL,
  queued_ms INTEGER,
  caller_user TEXT,
  app INTEGER,
  session TEXT,
  -- Eight bytes of a hash of the request, to find requests that were sent again word for word.
  body_hash BLOB
) STRICT, WITHOUT ROWID;

CREATE TABLE rollup_minutes (
  -- Minutes since 1970; rollup_hours counts hours, rollup_days days. All UTC.
  bucket INTEGER NOT NULL,
  dimension INTEGER NOT NULL,
  requests INTEGER NOT NULL,
  failed_requests INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  failed_attempts INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  cache_read_tokens INTEGER NOT NULL,
  cache_write_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  reasoning_tokens INTEGER NOT NULL,
  cost_nano_usd INTEGER NOT NULL,
  estimated_nano_usd INTEGER NOT NULL,
  unpriced_attempts INTEGER NOT NULL,
  unknown_attempts INTEGER NOT NULL,
  PRIMARY KEY (bucket, dimension)
) STRICT, WITHOUT ROWID;

CREATE TABLE rollup_hours (
  bucket INTEGER NOT NULL, dimension INTEGER NOT NULL, requests INTEGER NOT NULL, failed_requests INTEGER NOT NULL,
  attempts INTEGER NOT NULL, failed_attempts INTEGER NOT NULL, input_tokens INTEGER NOT NULL,
  cache_read_tokens INTEGER NOT NULL, cache_write_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
  reasoning_tokens INTEGER NOT NULL, cost_nano_usd INTEGER NOT NULL, estimated_nano_usd INTEGER NOT NULL,
  unpriced_attempts INTEGER NOT NULL, unknown_attempts INTEGER NOT NULL, PRIMARY KEY (bucket, dimension)
) STRICT, WITHOUT ROWID;

CREATE TABLE rollup_days (
  bucket INTEGER NOT NULL, dimension INTEGER NOT NULL, requests INTEGER NOT NULL, failed_requests INTEGER NOT NULL,
  attempts INTEGER NOT NULL, failed_attempts INTEGER NOT NULL, input_tokens INTEGER NOT NULL,
  cache_read_tokens INTEGER NOT NULL, cache_write_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
  reasoning_tokens INTEGER NOT NULL, cost_nano_usd INTEGER NOT NULL, estimated_nano_usd INTEGER NOT NULL,
  unpriced_attempts INTEGER NOT NULL, unknown_attempts INTEGER NOT NULL, PRIMARY KEY (bucket, dimension)
) STRICT, WITHOUT ROWID;

-- How far housekeeping got; the names are in src/store/notes.ts.
CREATE TABLE notes (
  name TEXT NOT NULL PRIMARY KEY,
  text TEXT NOT NULL
) STRICT;

-- story_text and story_figures are src/store/story.ts.
-- What earlier versions recorded. They did not know the key of an attempt whose request was never finished, nor rules.

INSERT OR IGNORE INTO texts (text)
  SELECT catalog_version FROM attempts UNION SELECT price_status FROM attempts WHERE price_status IS NOT NULL
  UNION SELECT error_kind FROM attempts WHERE error_kind IS NOT NULL
  UNION SELECT end_reason FROM attempts WHERE end_reason IS NOT NULL
  UNION SELECT finish_reason FROM attempts WHERE finish_reason IS NOT NULL
  UNION SELECT error_kind FROM requests WHERE error_kind IS NOT NULL UNION SELECT endpoint FROM requests
  UNION SELECT model_requested FROM requests UNION SELECT snapshot_id FROM requests UNION SELECT warnings FROM requests
  UNION SELECT story_text(decision, trace) FROM requests;

INSERT OR IGNORE INTO dimensions (key, key_id, team, organisation, tags, rule, provider, model)
  SELECT DISTINCT coalesce(r.caller_key, 'unknown'), '', '', '', '[]', '', a.provider, a.model
  FROM attempts a LEFT JOIN requests r USING (request_id)
  UNION SELECT DISTINCT caller_key, '', '', '', '[]', '', '', '' FROM requests
  UNION SELECT DISTINCT 'unknown', '', '', '', '[]', '', '', '' FROM attempts a
    WHERE NOT EXISTS (SELECT 1 FROM requests r WHERE r.request_id = a.request_id);

INSERT INTO attempt_rows
  SELECT a.request_id, a.attempt, CASE a.state WHEN 'open' THEN 0 WHEN 'settled' THEN 1 ELSE 2 END, d.id, a.opened_at_ms,
    (SELECT id FROM texts WHERE text = a.catalog_version), a.ended_at_ms - a.opened_at_ms, a.first_byte_ms,
    a.input_tokens, a.cache_read_tokens, a.cache_write_tokens, a.cache_write_1h_tokens, a.output_tokens,
    a.reasoning_tokens, a.audio_input_tokens, a.audio_output_tokens, NULL, a.cost_nano_usd, NULL, NULL,
    (SELECT id FROM texts WHERE text = a.price_status), NULL, a.http_status,
    (SELECT id FROM texts WHERE text = a.error_kind), (SELECT id FROM texts WHERE text = a.end_reason),
    (SELECT id FROM texts WHERE text = a.finish_reason), a.upstream_request_id
  -- CROSS JOIN: in this order, each dimension by its whole key.
  FROM attempts a LEFT JOIN requests r ON r.request_id = a.request_id
  CROSS JOIN dimensions d ON d.key = coalesce(r.caller_key, 'unknown') AND d.key_id = '' AND d.team = ''
    AND d.organisation = '' AND d.tags = '[]' AND d.rule = '' AND d.provider = a.provider AND d.model = a.model;

INSERT INTO request_rows
  SELECT r.request_id, r.received_at_ms, r.ended_at_ms - r.received_at_ms, d.id,
    (SELECT id FROM texts WHERE text = r.endpoint), (SELECT id FROM texts WHERE text = r.model_requested), r.stream,
    r.status, (SELECT id FROM texts WHERE text = r.error_kind), r.attempts,
    (SELECT id FROM texts WHERE text = story_text(r.decision, r.trace)), story_figures(r.decision, r.trace),
    (SELECT id FROM texts WHERE text = r.snapshot_id), (SELECT id FROM texts WHERE text = r.warnings),
    NULL, NULL, NULL, NULL, NULL
  FROM requests r CROSS JOIN dimensions d ON d.key = r.caller_key AND d.key_id = '' AND d.team = ''
    AND d.organisation = '' AND d.tags = '[]' AND d.rule = '' AND d.provider = '' AND d.model = '';

DROP TABLE attempts;
DROP TABLE requests;

INSERT INTO rollup_days
  SELECT bucket, dimension, sum(requests), sum(failed_requests), sum(attempts), sum(failed_attempts), sum(input_tokens),
    sum(cache_read_tokens), sum(cache_write_tokens), sum(output_tokens), sum(reasoning_tokens), sum(cost_nano_usd), 0,
    sum(unpriced_attempts), sum(unknown_attempts)
  FROM (
    SELECT a.opened_at_ms / 86400000 AS bucket, a.dimension, count(DISTINCT a.request_id) AS requests,
      0 AS failed_requests, count(*) AS attempts,
      sum(coalesce(e.text IN ('failed', 'truncated'), 0)) AS failed_attempts,
      sum(coalesce(a.input_tokens, 0)) AS input_tokens, sum(coalesce(a.cache_read_tokens, 0)) AS cache_read_tokens,
      sum(coalesce(a.cache_write_tokens, 0) + coalesce(a.cache_write_1h_tokens, 0)) AS cache_write_tokens,
      sum(coalesce(a.output_tokens, 0)) AS output_tokens, sum(coalesce(a.reasoning_tokens, 0)) AS reasoning_tokens,
      sum(coalesce(a.cost_nano_usd, 0)) AS cost_nano_usd,
      sum(a.state = 1 AND a.cost_nano_usd IS NULL AND coalesce(p.text, '') <> 'unmetered'
        AND (coalesce(e.text, '') <> 'failed' OR coalesce(a.input_tokens, a.output_tokens) IS NOT NULL))
        AS unpriced_attempts,
      sum(a.state <> 1) AS unknown_attempts
    FROM attempt_rows a LEFT JOIN texts e ON e.id = a.end_reason LEFT JOIN texts p ON p.id = a.price_status
    GROUP BY 1, 2
    UNION ALL
    SELECT received_at_ms / 86400000, dimension, count(*), sum(status >= 400), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
    FROM request_rows GROUP BY 1, 2
    UNION ALL
    -- A request that died with its process has no row of its own, and is a request all the same.
    SELECT min(opened_at_ms) / 86400000, (SELECT id FROM dimensions WHERE key = 'unknown' AND key_id = '' AND team = ''
        AND organisation = '' AND tags = '[]' AND rule = '' AND provider = '' AND model = ''),
      1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
    FROM attempt_rows a WHERE state <> 1
      AND NOT EXISTS (SELECT 1 FROM request_rows r WHERE r.request_id = a.request_id) GROUP BY request_id
  ) GROUP BY 1, 2;

INSERT INTO rollup_hours
  SELECT bucket, dimension, sum(requests), sum(failed_requests), sum(attempts), sum(failed_attempts), sum(input_tokens),
    sum(cache_read_tokens), sum(cache_write_tokens), sum(output_tokens), sum(reasoning_tokens), sum(cost_nano_usd), 0,
    sum(unpriced_attempts), sum(unknown_attempts)
  FROM (
    SELECT a.opened_at_ms / 3600000 AS bucket, a.dimension, count(DISTINCT a.request_id) AS requests,
      0 AS failed_requests, count(*) AS attempts,
      sum(coalesce(e.text IN ('failed', 'truncated'), 0)) AS failed_attempts,
      sum(coalesce(a.input_tokens, 0)) AS input_tokens, sum(coalesce(a.cache_read_tokens, 0)) AS cache_read_tokens,
      sum(coalesce(a.cache_write_tokens, 0) + coalesce(a.cache_write_1h_tokens, 0)) AS cache_write_tokens,
      sum(coalesce(a.output_tokens, 0)) AS output_tokens, sum(coalesce(a.reasoning_tokens, 0)) AS reasoning_tokens,
      sum(coalesce(a.cost_nano_usd, 0)) AS cost_nano_usd,
      sum(a.state = 1 AND a.cost_nano_usd IS NULL AND coalesce(p.text, '') <> 'unmetered'
        AND (coalesce(e.text, '') <> 'failed' OR coalesce(a.input_tokens, a.output_tokens) IS NOT NULL))
        AS unpriced_attempts,
      sum(a.state <> 1) AS unknown_attempts
    FROM attempt_rows a LEFT JOIN texts e ON e.id = a.end_reason LEFT JOIN texts p ON p.id = a.price_status
    GROUP BY 1, 2
    UNION ALL
    SELECT received_at_ms / 3600000, dimension, count(*), sum(status >= 400), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
    FROM request_rows GROUP BY 1, 2
    UNION ALL
    -- A request that died with its process has no row of its own, and is a request all the same.
    SELECT min(opened_at_ms) / 3600000, (SELECT id FROM dimensions WHERE key = 'unknown' AND key_id = '' AND team = ''
        AND organisation = '' AND tags = '[]' AND rule = '' AND provider = '' AND model = ''),
      1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
    FROM attempt_rows a WHERE state <> 1
      AND NOT EXISTS (SELECT 1 FROM request_rows r WHERE r.request_id = a.request_id) GROUP BY request_id
  ) GROUP BY 1, 2;

-- Open attempts of a process that was killed were counted above as what the next start makes of them.
UPDATE attempt_rows SET state = 2 WHERE state <> 1 AND state = 0;

CREATE VIEW attempts AS
  SELECT a.request_id, a.attempt, CASE a.state WHEN 0 THEN 'open' WHEN 1 THEN 'settled' ELSE 'unknown' END AS state,
    d.key, d.key_id, d.team, d.organisation, d.tags, d.rule, d.provider, d.model,
    a.opened_at_ms, c.text AS catalog_version, a.opened_at_ms + a.total_ms AS ended_at_ms, a.first_byte_ms,
    a.input_tokens, a.cache_read_tokens, a.cache_write_tokens, a.cache_write_1h_tokens, a.output_tokens,
    a.reasoning_tokens, a.audio_input_tokens, a.audio_output_tokens, a.usage_more, a.cost_nano_usd,
    a.estimated_nano_usd, a.reserved_nano_usd, p.text AS price_status, s.json AS rates, a.http_status,
    k.text AS error_kind, e.text AS end_reason, f.text AS finish_reason, a.upstream_request_id
  FROM attempt_rows a JOIN dimensions d ON d.id = a.dimension JOIN texts c ON c.id = a.catalog
    LEFT JOIN texts p ON p.id = a.price_status LEFT JOIN rates s ON s.id = a.rates
    LEFT JOIN texts k ON k.id = a.error_kind LEFT JOIN texts e ON e.id = a.end_reason
    LEFT JOIN texts f ON f.id = a.finish_reason;

CREATE VIEW requests AS
  SELECT r.request_id, r.received_at_ms, r.received_at_ms + r.total_ms AS ended_at_ms, d.key AS caller_key, d.key_id,
    d.team, d.organisation, d.tags, e.text AS endpoint, m.text AS model_requested, r.stream, r.status,
    k.text AS error_kind, r.attempts, s.text AS story, r.figures, v.text AS snapshot_id, w.text AS warnings, r.queued_ms,
    r.caller_user, p.text AS app, r.session, r.body_hash
  FROM request_rows r JOIN dimensions d ON d.id = r.dimension JOIN texts e ON e.id = r.endpoint
    JOIN texts m ON m.id = r.model_requested JOIN texts s ON s.id = r.story JOIN texts v ON v.id = r.snapshot
    JOIN texts w ON w.id = r.warnings LEFT JOIN texts k ON k.id = r.error_kind LEFT JOIN texts p ON p.id = r.app;

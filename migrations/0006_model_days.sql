-- Sums of whole days by model alone, for the reports that are asked for most: there are as many rows as models, however
-- many keys, tags and rules there are. Triggers keep them, whoever changes the sums by day. `provider` and `model` are ''
-- for what belongs to requests as a whole.

CREATE TABLE rollup_model_days (
  bucket INTEGER NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
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
  PRIMARY KEY (bucket, provider, model)
) STRICT, WITHOUT ROWID;

INSERT INTO rollup_model_days
  SELECT r.bucket, d.provider, d.model,
    sum(r.requests), sum(r.failed_requests), sum(r.attempts), sum(r.failed_attempts), sum(r.input_tokens),
    sum(r.cache_read_tokens), sum(r.cache_write_tokens), sum(r.output_tokens), sum(r.reasoning_tokens),
    sum(r.cost_nano_usd), sum(r.estimated_nano_usd), sum(r.unpriced_attempts), sum(r.unknown_attempts)
  FROM rollup_days r JOIN dimensions d ON d.id = r.dimension GROUP BY 1, 2, 3;

CREATE TRIGGER rollup_days_added AFTER INSERT ON rollup_days BEGIN
  INSERT INTO rollup_model_days
    SELECT new.bucket, provider, model,
    new.requests, new.failed_requests, new.attempts, new.failed_attempts, new.input_tokens, new.cache_read_tokens,
    new.cache_write_tokens, new.output_tokens, new.reasoning_tokens, new.cost_nano_usd, new.estimated_nano_usd,
    new.unpriced_attempts, new.unknown_attempts
    FROM dimensions WHERE id = new.dimension
  ON CONFLICT (bucket, provider, model) DO UPDATE SET
    requests = requests + excluded.requests, failed_requests = failed_requests + excluded.failed_requests,
    attempts = attempts + excluded.attempts, failed_attempts = failed_attempts + excluded.failed_attempts,
    input_tokens = input_tokens + excluded.input_tokens,
    cache_read_tokens = cache_read_tokens + excluded.cache_read_tokens,
    cache_write_tokens = cache_write_tokens + excluded.cache_write_tokens,
    output_tokens = output_tokens + excluded.output_tokens,
    reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,
    cost_nano_usd = cost_nano_usd + excluded.cost_nano_usd,
    estimated_nano_usd = estimated_nano_usd + excluded.estimated_nano_usd,
    unpriced_attempts = unpriced_attempts + excluded.unpriced_attempts,
    unknown_attempts = unknown_attempts + excluded.unknown_attempts;
END;

CREATE TRIGGER rollup_days_changed AFTER UPDATE ON rollup_days BEGIN
  INSERT INTO rollup_model_days
    SELECT new.bucket, provider, model,
    new.requests - old.requests, new.failed_requests - old.failed_requests, new.attempts - old.attempts,
    new.failed_attempts - old.failed_attempts, new.input_tokens - old.input_tokens,
    new.cache_read_tokens - old.cache_read_tokens, new.cache_write_tokens - old.cache_write_tokens,
    new.output_tokens - old.output_tokens, new.reasoning_tokens - old.reasoning_tokens,
    new.cost_nano_usd - old.cost_nano_usd, new.estimated_nano_usd - old.estimated_nano_usd,
    new.unpriced_attempts - old.unpriced_attempts, new.unknown_attempts - old.unknown_attempts
    FROM dimensions WHERE id = new.dimension
  ON CONFLICT (bucket, provider, model) DO UPDATE SET
    requests = requests + excluded.requests, failed_requests = failed_requests + excluded.failed_requests,
    attempts = attempts + excluded.attempts, failed_attempts = failed_attempts + excluded.failed_attempts,
    input_tokens = input_tokens + excluded.input_tokens,
    cache_read_tokens = cache_read_tokens + excluded.cache_read_tokens,
    cache_write_tokens = cache_write_tokens + excluded.cache_write_tokens,
    output_tokens = output_tokens + excluded.output_tokens,
    reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,
    cost_nano_usd = cost_nano_usd + excluded.cost_nano_usd,
    estimated_nano_usd = estimated_nano_usd + excluded.estimated_nano_usd,
    unpriced_attempts = unpriced_attempts + excluded.unpriced_attempts,
    unknown_attempts = unknown_attempts + excluded.unknown_attempts;
END;

CREATE TRIGGER rollup_days_removed AFTER DELETE ON rollup_days BEGIN
  INSERT INTO rollup_model_days
    SELECT old.bucket, provider, model,
    -old.requests, -old.failed_requests, -old.attempts, -old.failed_attempts, -old.input_tokens,
    -old.cache_read_tokens, -old.cache_write_tokens, -old.output_tokens, -old.reasoning_tokens, -old.cost_nano_usd,
    -old.estimated_nano_usd, -old.unpriced_attempts, -old.unknown_attempts
    FROM dimensions WHERE id = old.dimension
  ON CONFLICT (bucket, provider, model) DO UPDATE SET
    requests = requests + excluded.requests, failed_requests = failed_requests + excluded.failed_requests,
    attempts = attempts + excluded.attempts, failed_attempts = failed_attempts + excluded.failed_attempts,
    input_tokens = input_tokens + excluded.input_tokens,
    cache_read_tokens = cache_read_tokens + excluded.cache_read_tokens,
    cache_write_tokens = cache_write_tokens + excluded.cache_write_tokens,
    output_tokens = output_tokens + excluded.output_tokens,
    reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,
    cost_nano_usd = cost_nano_usd + excluded.cost_nano_usd,
    estimated_nano_usd = estimated_nano_usd + excluded.estimated_nano_usd,
    unpriced_attempts = unpriced_attempts + excluded.unpriced_attempts,
    unknown_attempts = unknown_attempts + excluded.unknown_attempts;
END;

-- Which of several keys of a provider a call was made with: a name such as claude#2, in texts. NULL where it has one.

ALTER TABLE attempt_rows ADD COLUMN account INTEGER;

DROP VIEW attempts;

CREATE VIEW attempts AS
  SELECT a.request_id, a.attempt, CASE a.state WHEN 0 THEN 'open' WHEN 1 THEN 'settled' ELSE 'unknown' END AS state,
    d.key, d.key_id, d.team, d.organisation, d.tags, d.rule, d.provider, d.model,
    a.opened_at_ms, c.text AS catalog_version, a.opened_at_ms + a.total_ms AS ended_at_ms, a.first_byte_ms,
    a.input_tokens, a.cache_read_tokens, a.cache_write_tokens, a.cache_write_1h_tokens, a.output_tokens,
    a.reasoning_tokens, a.audio_input_tokens, a.audio_output_tokens, a.usage_more, a.cost_nano_usd,
    a.estimated_nano_usd, a.reserved_nano_usd, p.text AS price_status, s.json AS rates, a.http_status,
    k.text AS error_kind, e.text AS end_reason, f.text AS finish_reason, a.upstream_request_id, n.text AS account
  FROM attempt_rows a JOIN dimensions d ON d.id = a.dimension JOIN texts c ON c.id = a.catalog
    LEFT JOIN texts p ON p.id = a.price_status LEFT JOIN rates s ON s.id = a.rates
    LEFT JOIN texts k ON k.id = a.error_kind LEFT JOIN texts e ON e.id = a.end_reason
    LEFT JOIN texts f ON f.id = a.finish_reason LEFT JOIN texts n ON n.id = a.account;

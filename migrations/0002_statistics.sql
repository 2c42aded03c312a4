-- What the router has learnt and would learn again: latencies, lengths of answers, homes of conversations.
-- One row for each part of it, overwritten every minute; losing it costs minutes of worse choices and no money.

CREATE TABLE statistics (
  name TEXT NOT NULL PRIMARY KEY,
  updated_at_ms INTEGER NOT NULL,
  json TEXT NOT NULL
) STRICT;

-- Why a request went where it went: what each target was expected to cost and take, and why others were out.
-- Compact JSON; NULL where there was nothing to choose.

ALTER TABLE requests ADD COLUMN trace TEXT;

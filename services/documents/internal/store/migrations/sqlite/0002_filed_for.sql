-- Of what the suite files: how new it is, and the off-boarding it goes with when that is aborted.
ALTER TABLE documents ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE documents ADD COLUMN offboarding TEXT NOT NULL DEFAULT '';

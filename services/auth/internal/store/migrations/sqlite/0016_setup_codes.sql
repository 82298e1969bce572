-- The codes of which each makes the operator: every replica prints one of its own. They go when one is used.
CREATE TABLE setup_codes (
  code_hash   BLOB PRIMARY KEY,
  expires_at  INTEGER NOT NULL
) STRICT;

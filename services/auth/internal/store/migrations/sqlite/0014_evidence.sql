-- What the ledger is searched by beside who, what and about what: when, and whether it worked. 1 says that it worked; 0 that
-- it did not, or that the entry was written before this was noted and has to be looked at.
ALTER TABLE ledger_entries ADD COLUMN succeeded INTEGER NOT NULL DEFAULT 0;
CREATE INDEX ledger_entries_time ON ledger_entries (chain, occurred_at, sequence);
CREATE INDEX ledger_entries_failed ON ledger_entries (chain, sequence) WHERE succeeded = 0;

-- The keys that sign copies of the ledger, and nothing else. A copy is checked years later, so none is ever deleted. The
-- private half is sealed.
CREATE TABLE ledger_keys (
  id          TEXT PRIMARY KEY,
  public_key  BLOB NOT NULL,
  sealed      BLOB NOT NULL,
  vault_key   TEXT NOT NULL,
  created_at  INTEGER NOT NULL
) STRICT;
CREATE TRIGGER ledger_keys_no_delete BEFORE DELETE ON ledger_keys
BEGIN SELECT RAISE(ABORT, 'copies of the ledger are checked by this key'); END;

-- What the ledger is searched by beside who, what and about what: when, and whether it worked. 1 says that it worked; 0 that
-- it did not, or that the entry was written before this was noted and has to be looked at.
ALTER TABLE ledger_entries ADD COLUMN succeeded BIGINT NOT NULL DEFAULT 0;
CREATE INDEX ledger_entries_time ON ledger_entries (chain, occurred_at, sequence);
CREATE INDEX ledger_entries_failed ON ledger_entries (chain, sequence) WHERE succeeded = 0;

-- The keys that sign copies of the ledger, and nothing else. A copy is checked years later, so none is ever deleted. The
-- private half is sealed.
CREATE TABLE ledger_keys (
  id          TEXT COLLATE "C" PRIMARY KEY,
  public_key  BYTEA NOT NULL,
  sealed      BYTEA NOT NULL,
  vault_key   TEXT COLLATE "C" NOT NULL,
  created_at  BIGINT NOT NULL
);
CREATE FUNCTION ledger_keys_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'copies of the ledger are checked by this key';
END
$$;
CREATE TRIGGER ledger_keys_no_delete BEFORE DELETE OR TRUNCATE ON ledger_keys
  FOR EACH STATEMENT EXECUTE FUNCTION ledger_keys_stay();

-- The audit ledger: one chain per firm and one, with an empty name, for what happens outside every firm.
CREATE TABLE ledger_heads (
  chain     TEXT COLLATE "C" PRIMARY KEY,
  sequence  BIGINT NOT NULL,
  hash      BYTEA NOT NULL
);

CREATE TABLE ledger_entries (
  chain        TEXT COLLATE "C" NOT NULL,
  sequence     BIGINT NOT NULL,
  entry_id     TEXT NOT NULL,
  occurred_at  BIGINT NOT NULL,
  actor        TEXT COLLATE "C" NOT NULL,
  action       TEXT COLLATE "C" NOT NULL,
  resource     TEXT COLLATE "C" NOT NULL,
  payload      BYTEA NOT NULL,
  hash         BYTEA NOT NULL,
  PRIMARY KEY (chain, sequence)
);
CREATE UNIQUE INDEX ledger_entries_id ON ledger_entries (entry_id);
CREATE INDEX ledger_entries_actor ON ledger_entries (chain, actor, sequence);
CREATE INDEX ledger_entries_action ON ledger_entries (chain, action, sequence);
CREATE INDEX ledger_entries_resource ON ledger_entries (chain, resource, sequence);

CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the ledger is append-only';
END
$$;
CREATE TRIGGER ledger_entries_no_change BEFORE UPDATE OR DELETE ON ledger_entries
  FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only();
CREATE TRIGGER ledger_entries_no_truncate BEFORE TRUNCATE ON ledger_entries
  FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();
CREATE TRIGGER ledger_heads_no_delete BEFORE DELETE ON ledger_heads
  FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only();
CREATE TRIGGER ledger_heads_no_truncate BEFORE TRUNCATE ON ledger_heads
  FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();
CREATE TRIGGER ledger_heads_forward BEFORE UPDATE ON ledger_heads
  FOR EACH ROW WHEN (NEW.sequence <= OLD.sequence OR NEW.chain <> OLD.chain)
  EXECUTE FUNCTION ledger_is_append_only();

-- The audit ledger: one chain per firm and one, with an empty name, for what happens outside every firm.
CREATE TABLE ledger_heads (
  chain     TEXT PRIMARY KEY,
  sequence  INTEGER NOT NULL,
  hash      BLOB NOT NULL
) STRICT;

CREATE TABLE ledger_entries (
  chain        TEXT NOT NULL,
  sequence     INTEGER NOT NULL,
  entry_id     TEXT NOT NULL,
  occurred_at  INTEGER NOT NULL,
  actor        TEXT NOT NULL,
  action       TEXT NOT NULL,
  resource     TEXT NOT NULL,
  payload      BLOB NOT NULL,
  hash         BLOB NOT NULL,
  PRIMARY KEY (chain, sequence)
) STRICT;
CREATE UNIQUE INDEX ledger_entries_id ON ledger_entries (entry_id);
CREATE INDEX ledger_entries_actor ON ledger_entries (chain, actor, sequence);
CREATE INDEX ledger_entries_action ON ledger_entries (chain, action, sequence);
CREATE INDEX ledger_entries_resource ON ledger_entries (chain, resource, sequence);

CREATE TRIGGER ledger_entries_no_update BEFORE UPDATE ON ledger_entries
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER ledger_entries_no_delete BEFORE DELETE ON ledger_entries
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER ledger_heads_no_delete BEFORE DELETE ON ledger_heads
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER ledger_heads_forward BEFORE UPDATE ON ledger_heads
WHEN NEW.sequence <= OLD.sequence OR NEW.chain <> OLD.chain
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;

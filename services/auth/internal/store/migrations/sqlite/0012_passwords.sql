-- Resets of passwords, and bounds on trying.

-- Requests for a reset, by whoever typed an address, until the service has looked whether anybody has it. The caller is
-- answered before that: known and unknown addresses cost the same.
CREATE TABLE reset_requests (
  id          TEXT PRIMARY KEY,
  email       TEXT NOT NULL,
  firm        TEXT NOT NULL,
  created_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX reset_requests_in_turn ON reset_requests (created_at, id);

-- The codes that were sent.
CREATE TABLE resets (
  code_hash   BLOB PRIMARY KEY,
  account     TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  created_at  INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL,
  closed_at   INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX resets_account ON resets (account, closed_at);
CREATE INDEX resets_old ON resets (expires_at);

-- Accounts whose password came by their mailbox: until they show something else, the mailbox is no second factor.
CREATE TABLE spent_mailboxes (
  account   TEXT PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
  spent_at  INTEGER NOT NULL
) STRICT;

-- What happened how often under a subject since a moment. Subjects are hashes, so that the table is no list of addresses.
CREATE TABLE counters (
  subject   BLOB PRIMARY KEY,
  began_at  INTEGER NOT NULL,
  count     INTEGER NOT NULL
) STRICT;
CREATE INDEX counters_old ON counters (began_at);

-- The secret that goes into every password hash beside the password. Sealed; the one that is not in a copy of the database.
CREATE TABLE peppers (
  id          TEXT PRIMARY KEY,
  sealed      BLOB NOT NULL,
  vault_key   TEXT NOT NULL,
  created_at  INTEGER NOT NULL
) STRICT;

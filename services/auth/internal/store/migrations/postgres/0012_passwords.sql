-- Resets of passwords, and bounds on trying.

-- Requests for a reset, by whoever typed an address, until the service has looked whether anybody has it. The caller is
-- answered before that: known and unknown addresses cost the same.
CREATE TABLE reset_requests (
  id          TEXT COLLATE "C" PRIMARY KEY,
  email       TEXT COLLATE "C" NOT NULL,
  firm        TEXT COLLATE "C" NOT NULL,
  created_at  BIGINT NOT NULL
);
CREATE INDEX reset_requests_in_turn ON reset_requests (created_at, id);

-- The codes that were sent.
CREATE TABLE resets (
  code_hash   BYTEA PRIMARY KEY,
  account     TEXT COLLATE "C" NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  created_at  BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL,
  closed_at   BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX resets_account ON resets (account, closed_at);
CREATE INDEX resets_old ON resets (expires_at);

-- Accounts whose password came by their mailbox: until they show something else, the mailbox is no second factor.
CREATE TABLE spent_mailboxes (
  account   TEXT COLLATE "C" PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
  spent_at  BIGINT NOT NULL
);

-- What happened how often under a subject since a moment. Subjects are hashes, so that the table is no list of addresses.
CREATE TABLE counters (
  subject   BYTEA PRIMARY KEY,
  began_at  BIGINT NOT NULL,
  count     BIGINT NOT NULL
);
CREATE INDEX counters_old ON counters (began_at);

-- The secret that goes into every password hash beside the password. Sealed; the one that is not in a copy of the database.
CREATE TABLE peppers (
  id          TEXT COLLATE "C" PRIMARY KEY,
  sealed      BYTEA NOT NULL,
  vault_key   TEXT NOT NULL,
  created_at  BIGINT NOT NULL
);

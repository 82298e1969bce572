-- Passkeys. Times are UTC microseconds; 0 means never.

-- What an account is called in its authenticators: random, and the same for all of its passkeys.
CREATE TABLE passkey_handles (
  account  TEXT PRIMARY KEY REFERENCES accounts (id),
  handle   BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX passkey_handles_handle ON passkey_handles (handle);

-- "site" is the host a passkey was made for. It is good for no other: when the suite moves to another host, it does not count.
CREATE TABLE passkeys (
  id             TEXT PRIMARY KEY,
  account        TEXT NOT NULL REFERENCES accounts (id),
  site           TEXT NOT NULL,
  credential_id  BLOB NOT NULL,
  public_key     BLOB NOT NULL,
  sign_count     INTEGER NOT NULL,
  transports     TEXT NOT NULL,
  synced         INTEGER NOT NULL,
  backed_up      INTEGER NOT NULL,
  display_name   TEXT NOT NULL,
  created_at     INTEGER NOT NULL,
  used_at        INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX passkeys_credential ON passkeys (credential_id);
CREATE INDEX passkeys_account ON passkeys (account, created_at, id);

-- What a browser was asked to sign, under the hash of the id of the sign-in or enrolment it was asked for. "verify" is
-- true when the authenticator must verify its holder.
CREATE TABLE passkey_challenges (
  id_hash     BLOB PRIMARY KEY,
  challenge   BLOB NOT NULL,
  verify      INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX passkey_challenges_old ON passkey_challenges (expires_at);

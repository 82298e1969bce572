-- Passkeys. Times are UTC microseconds; 0 means never.

-- What an account is called in its authenticators: random, and the same for all of its passkeys.
CREATE TABLE passkey_handles (
  account  TEXT COLLATE "C" PRIMARY KEY REFERENCES accounts (id),
  handle   BYTEA NOT NULL
);
CREATE UNIQUE INDEX passkey_handles_handle ON passkey_handles (handle);

-- "site" is the host a passkey was made for. It is good for no other: when the suite moves to another host, it does not count.
CREATE TABLE passkeys (
  id             TEXT COLLATE "C" PRIMARY KEY,
  account        TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
  site           TEXT NOT NULL,
  credential_id  BYTEA NOT NULL,
  public_key     BYTEA NOT NULL,
  sign_count     BIGINT NOT NULL,
  transports     TEXT NOT NULL,
  synced         BIGINT NOT NULL,
  backed_up      BIGINT NOT NULL,
  display_name   TEXT NOT NULL,
  created_at     BIGINT NOT NULL,
  used_at        BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX passkeys_credential ON passkeys (credential_id);
CREATE INDEX passkeys_account ON passkeys (account, created_at, id);

-- What a browser was asked to sign, under the hash of the id of the sign-in or enrolment it was asked for. "verify" is
-- true when the authenticator must verify its holder.
CREATE TABLE passkey_challenges (
  id_hash     BYTEA PRIMARY KEY,
  challenge   BYTEA NOT NULL,
  verify      BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL
);
CREATE INDEX passkey_challenges_old ON passkey_challenges (expires_at);

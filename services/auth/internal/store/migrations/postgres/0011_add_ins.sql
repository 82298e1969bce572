-- What a consent was for, beside the Add-In.
ALTER TABLE consents ADD COLUMN scope TEXT NOT NULL DEFAULT '';
ALTER TABLE consents ADD COLUMN nonce TEXT NOT NULL DEFAULT '';

-- The tokens of Add-Ins' sessions, by generation: one answer of the token endpoint each. Those before the newest are kept
-- until the session goes, since a refresh token that comes back from there says that two have it.
CREATE TABLE add_in_tokens (
  session           TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  generation        BIGINT NOT NULL CHECK (generation > 0),
  access_hash       BYTEA NOT NULL,
  refresh_hash      BYTEA,
  granted           TEXT NOT NULL,
  scope             TEXT NOT NULL,
  authenticated_at  BIGINT NOT NULL,
  issued_at         BIGINT NOT NULL,
  expires_at        BIGINT NOT NULL,
  used_at           BIGINT NOT NULL DEFAULT 0,
  rotated_at        BIGINT NOT NULL DEFAULT 0,
  salt              BYTEA NOT NULL,
  PRIMARY KEY (session, generation)
);
CREATE UNIQUE INDEX add_in_tokens_access ON add_in_tokens (access_hash);
CREATE UNIQUE INDEX add_in_tokens_refresh ON add_in_tokens (refresh_hash);

-- The keys that sign ID tokens, and nothing else. The private half is sealed.
CREATE TABLE id_token_keys (
  id          TEXT PRIMARY KEY,
  public_key  BYTEA NOT NULL,
  sealed      BYTEA NOT NULL,
  vault_key   TEXT NOT NULL,
  created_at  BIGINT NOT NULL,
  active_at   BIGINT NOT NULL,
  retires_at  BIGINT NOT NULL
);

-- What is sealed with a retired key is not written: package rotation counts the rows under a key before the key goes, and
-- this stops who sealed a value before and writes it after. The index finds the rows under a key.

CREATE INDEX grants_refresh_key_rows ON grants (refresh_key, id);
CREATE TRIGGER grants_refresh_key_insert BEFORE INSERT ON grants WHEN NEW.refresh_key IN (SELECT key_id FROM keys_retired)
BEGIN SELECT RAISE(ABORT, 'sealed with a key that is retired'); END;
CREATE TRIGGER grants_refresh_key_update BEFORE UPDATE OF refresh_key ON grants
WHEN NEW.refresh_key <> OLD.refresh_key AND NEW.refresh_key IN (SELECT key_id FROM keys_retired)
BEGIN SELECT RAISE(ABORT, 'sealed with a key that is retired'); END;

CREATE INDEX grants_access_key_rows ON grants (access_key, id);
CREATE TRIGGER grants_access_key_insert BEFORE INSERT ON grants WHEN NEW.access_key IN (SELECT key_id FROM keys_retired)
BEGIN SELECT RAISE(ABORT, 'sealed with a key that is retired'); END;
CREATE TRIGGER grants_access_key_update BEFORE UPDATE OF access_key ON grants
WHEN NEW.access_key <> OLD.access_key AND NEW.access_key IN (SELECT key_id FROM keys_retired)
BEGIN SELECT RAISE(ABORT, 'sealed with a key that is retired'); END;

CREATE INDEX grants_spare_key_rows ON grants (spare_key, id);
CREATE TRIGGER grants_spare_key_insert BEFORE INSERT ON grants WHEN NEW.spare_key IN (SELECT key_id FROM keys_retired)
BEGIN SELECT RAISE(ABORT, 'sealed with a key that is retired'); END;
CREATE TRIGGER grants_spare_key_update BEFORE UPDATE OF spare_key ON grants
WHEN NEW.spare_key <> OLD.spare_key AND NEW.spare_key IN (SELECT key_id FROM keys_retired)
BEGIN SELECT RAISE(ABORT, 'sealed with a key that is retired'); END;

CREATE INDEX attempts_secrets_key_rows ON attempts (secrets_key, id);
CREATE TRIGGER attempts_secrets_key_insert BEFORE INSERT ON attempts WHEN NEW.secrets_key IN (SELECT key_id FROM keys_retired)
BEGIN SELECT RAISE(ABORT, 'sealed with a key that is retired'); END;
CREATE TRIGGER attempts_secrets_key_update BEFORE UPDATE OF secrets_key ON attempts
WHEN NEW.secrets_key <> OLD.secrets_key AND NEW.secrets_key IN (SELECT key_id FROM keys_retired)
BEGIN SELECT RAISE(ABORT, 'sealed with a key that is retired'); END;

CREATE INDEX attempts_tokens_key_rows ON attempts (tokens_key, id);
CREATE TRIGGER attempts_tokens_key_insert BEFORE INSERT ON attempts WHEN NEW.tokens_key IN (SELECT key_id FROM keys_retired)
BEGIN SELECT RAISE(ABORT, 'sealed with a key that is retired'); END;
CREATE TRIGGER attempts_tokens_key_update BEFORE UPDATE OF tokens_key ON attempts
WHEN NEW.tokens_key <> OLD.tokens_key AND NEW.tokens_key IN (SELECT key_id FROM keys_retired)
BEGIN SELECT RAISE(ABORT, 'sealed with a key that is retired'); END;

CREATE INDEX chores_sealed_key_rows ON chores (sealed_key, id);
CREATE TRIGGER chores_sealed_key_insert BEFORE INSERT ON chores WHEN NEW.sealed_key IN (SELECT key_id FROM keys_retired)
BEGIN SELECT RAISE(ABORT, 'sealed with a key that is retired'); END;
CREATE TRIGGER chores_sealed_key_update BEFORE UPDATE OF sealed_key ON chores
WHEN NEW.sealed_key <> OLD.sealed_key AND NEW.sealed_key IN (SELECT key_id FROM keys_retired)
BEGIN SELECT RAISE(ABORT, 'sealed with a key that is retired'); END;

CREATE INDEX peppers_vault_key_rows ON peppers (vault_key, id);
CREATE TRIGGER peppers_vault_key_insert BEFORE INSERT ON peppers WHEN NEW.vault_key IN (SELECT key_id FROM keys_retired)
BEGIN SELECT RAISE(ABORT, 'sealed with a key that is retired'); END;
CREATE TRIGGER peppers_vault_key_update BEFORE UPDATE OF vault_key ON peppers
WHEN NEW.vault_key <> OLD.vault_key AND NEW.vault_key IN (SELECT key_id FROM keys_retired)
BEGIN SELECT RAISE(ABORT, 'sealed with a key that is retired'); END;

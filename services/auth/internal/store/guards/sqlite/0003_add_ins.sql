-- The keys of ID tokens, like the other keys: see 0001.

CREATE INDEX id_token_keys_vault_key_rows ON id_token_keys (vault_key, id);
CREATE TRIGGER id_token_keys_vault_key_insert BEFORE INSERT ON id_token_keys WHEN NEW.vault_key IN (SELECT key_id FROM keys_retired)
BEGIN SELECT RAISE(ABORT, 'sealed with a key that is retired'); END;
CREATE TRIGGER id_token_keys_vault_key_update BEFORE UPDATE OF vault_key ON id_token_keys
WHEN NEW.vault_key <> OLD.vault_key AND NEW.vault_key IN (SELECT key_id FROM keys_retired)
BEGIN SELECT RAISE(ABORT, 'sealed with a key that is retired'); END;

-- The keys of ID tokens, like the other keys: see 0001.

CREATE INDEX id_token_keys_vault_key_rows ON id_token_keys (vault_key, id);
CREATE TRIGGER id_token_keys_vault_key_insert BEFORE INSERT ON id_token_keys FOR EACH ROW WHEN (NEW.vault_key <> '')
	EXECUTE FUNCTION keys_admit('vault_key');
CREATE TRIGGER id_token_keys_vault_key_update BEFORE UPDATE OF vault_key ON id_token_keys FOR EACH ROW
	WHEN (NEW.vault_key <> OLD.vault_key AND NEW.vault_key <> '') EXECUTE FUNCTION keys_admit('vault_key');

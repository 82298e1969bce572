CREATE INDEX peppers_vault_key_rows ON peppers (vault_key, id);
CREATE TRIGGER peppers_vault_key_insert BEFORE INSERT ON peppers FOR EACH ROW WHEN (NEW.vault_key <> '')
	EXECUTE FUNCTION keys_admit('vault_key');
CREATE TRIGGER peppers_vault_key_update BEFORE UPDATE OF vault_key ON peppers FOR EACH ROW
	WHEN (NEW.vault_key <> OLD.vault_key AND NEW.vault_key <> '') EXECUTE FUNCTION keys_admit('vault_key');

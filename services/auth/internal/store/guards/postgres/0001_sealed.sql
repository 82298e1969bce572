-- What is sealed with a retired key is not written: package rotation counts the rows under a key before the key goes, and
-- this stops who sealed a value before and writes it after. The index finds the rows under a key.

CREATE INDEX signing_keys_vault_key_rows ON signing_keys (vault_key, id);
CREATE TRIGGER signing_keys_vault_key_insert BEFORE INSERT ON signing_keys FOR EACH ROW WHEN (NEW.vault_key <> '')
	EXECUTE FUNCTION keys_admit('vault_key');
CREATE TRIGGER signing_keys_vault_key_update BEFORE UPDATE OF vault_key ON signing_keys FOR EACH ROW
	WHEN (NEW.vault_key <> OLD.vault_key AND NEW.vault_key <> '') EXECUTE FUNCTION keys_admit('vault_key');

CREATE INDEX deliveries_vault_key_rows ON deliveries (vault_key, id);
CREATE TRIGGER deliveries_vault_key_insert BEFORE INSERT ON deliveries FOR EACH ROW WHEN (NEW.vault_key <> '')
	EXECUTE FUNCTION keys_admit('vault_key');
CREATE TRIGGER deliveries_vault_key_update BEFORE UPDATE OF vault_key ON deliveries FOR EACH ROW
	WHEN (NEW.vault_key <> OLD.vault_key AND NEW.vault_key <> '') EXECUTE FUNCTION keys_admit('vault_key');

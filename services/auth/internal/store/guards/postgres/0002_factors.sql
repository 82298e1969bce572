-- As 0001, for what second factors keep sealed.

CREATE INDEX totps_vault_key_rows ON totps (vault_key, account);
CREATE TRIGGER totps_vault_key_insert BEFORE INSERT ON totps FOR EACH ROW WHEN (NEW.vault_key <> '')
	EXECUTE FUNCTION keys_admit('vault_key');
CREATE TRIGGER totps_vault_key_update BEFORE UPDATE OF vault_key ON totps FOR EACH ROW
	WHEN (NEW.vault_key <> OLD.vault_key AND NEW.vault_key <> '') EXECUTE FUNCTION keys_admit('vault_key');

CREATE INDEX recovery_keys_vault_key_rows ON recovery_keys (vault_key, account);
CREATE TRIGGER recovery_keys_vault_key_insert BEFORE INSERT ON recovery_keys FOR EACH ROW WHEN (NEW.vault_key <> '')
	EXECUTE FUNCTION keys_admit('vault_key');
CREATE TRIGGER recovery_keys_vault_key_update BEFORE UPDATE OF vault_key ON recovery_keys FOR EACH ROW
	WHEN (NEW.vault_key <> OLD.vault_key AND NEW.vault_key <> '') EXECUTE FUNCTION keys_admit('vault_key');

CREATE INDEX enrolments_vault_key_rows ON enrolments (vault_key, id);
CREATE TRIGGER enrolments_vault_key_insert BEFORE INSERT ON enrolments FOR EACH ROW WHEN (NEW.vault_key <> '')
	EXECUTE FUNCTION keys_admit('vault_key');
CREATE TRIGGER enrolments_vault_key_update BEFORE UPDATE OF vault_key ON enrolments FOR EACH ROW
	WHEN (NEW.vault_key <> OLD.vault_key AND NEW.vault_key <> '') EXECUTE FUNCTION keys_admit('vault_key');

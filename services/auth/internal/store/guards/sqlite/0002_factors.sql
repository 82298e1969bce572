-- As 0001, for what second factors keep sealed.

CREATE INDEX totps_vault_key_rows ON totps (vault_key, account);
CREATE TRIGGER totps_vault_key_insert BEFORE INSERT ON totps WHEN NEW.vault_key IN (SELECT key_id FROM keys_retired)
BEGIN SELECT RAISE(ABORT, 'sealed with a key that is retired'); END;
CREATE TRIGGER totps_vault_key_update BEFORE UPDATE OF vault_key ON totps
WHEN NEW.vault_key <> OLD.vault_key AND NEW.vault_key IN (SELECT key_id FROM keys_retired)
BEGIN SELECT RAISE(ABORT, 'sealed with a key that is retired'); END;

CREATE INDEX recovery_keys_vault_key_rows ON recovery_keys (vault_key, account);
CREATE TRIGGER recovery_keys_vault_key_insert BEFORE INSERT ON recovery_keys WHEN NEW.vault_key IN (SELECT key_id FROM keys_retired)
BEGIN SELECT RAISE(ABORT, 'sealed with a key that is retired'); END;
CREATE TRIGGER recovery_keys_vault_key_update BEFORE UPDATE OF vault_key ON recovery_keys
WHEN NEW.vault_key <> OLD.vault_key AND NEW.vault_key IN (SELECT key_id FROM keys_retired)
BEGIN SELECT RAISE(ABORT, 'sealed with a key that is retired'); END;

CREATE INDEX enrolments_vault_key_rows ON enrolments (vault_key, id);
CREATE TRIGGER enrolments_vault_key_insert BEFORE INSERT ON enrolments WHEN NEW.vault_key IN (SELECT key_id FROM keys_retired)
BEGIN SELECT RAISE(ABORT, 'sealed with a key that is retired'); END;
CREATE TRIGGER enrolments_vault_key_update BEFORE UPDATE OF vault_key ON enrolments
WHEN NEW.vault_key <> OLD.vault_key AND NEW.vault_key IN (SELECT key_id FROM keys_retired)
BEGIN SELECT RAISE(ABORT, 'sealed with a key that is retired'); END;

CREATE INDEX ledger_keys_vault_key_rows ON ledger_keys (vault_key, id);
CREATE TRIGGER ledger_keys_vault_key_insert BEFORE INSERT ON ledger_keys WHEN NEW.vault_key IN (SELECT key_id FROM keys_retired)
BEGIN SELECT RAISE(ABORT, 'sealed with a key that is retired'); END;
CREATE TRIGGER ledger_keys_vault_key_update BEFORE UPDATE OF vault_key ON ledger_keys
WHEN NEW.vault_key <> OLD.vault_key AND NEW.vault_key IN (SELECT key_id FROM keys_retired)
BEGIN SELECT RAISE(ABORT, 'sealed with a key that is retired'); END;

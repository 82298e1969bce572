-- What is sealed with a retired key is not written: package rotation counts the rows under a key before the key goes, and
-- this stops who sealed a value before and writes it after. The index finds the rows under a key.

CREATE INDEX grants_refresh_key_rows ON grants (refresh_key, id);
CREATE TRIGGER grants_refresh_key_insert BEFORE INSERT ON grants FOR EACH ROW WHEN (NEW.refresh_key <> '')
	EXECUTE FUNCTION keys_admit('refresh_key');
CREATE TRIGGER grants_refresh_key_update BEFORE UPDATE OF refresh_key ON grants FOR EACH ROW
	WHEN (NEW.refresh_key <> OLD.refresh_key AND NEW.refresh_key <> '') EXECUTE FUNCTION keys_admit('refresh_key');

CREATE INDEX grants_access_key_rows ON grants (access_key, id);
CREATE TRIGGER grants_access_key_insert BEFORE INSERT ON grants FOR EACH ROW WHEN (NEW.access_key <> '')
	EXECUTE FUNCTION keys_admit('access_key');
CREATE TRIGGER grants_access_key_update BEFORE UPDATE OF access_key ON grants FOR EACH ROW
	WHEN (NEW.access_key <> OLD.access_key AND NEW.access_key <> '') EXECUTE FUNCTION keys_admit('access_key');

CREATE INDEX grants_spare_key_rows ON grants (spare_key, id);
CREATE TRIGGER grants_spare_key_insert BEFORE INSERT ON grants FOR EACH ROW WHEN (NEW.spare_key <> '')
	EXECUTE FUNCTION keys_admit('spare_key');
CREATE TRIGGER grants_spare_key_update BEFORE UPDATE OF spare_key ON grants FOR EACH ROW
	WHEN (NEW.spare_key <> OLD.spare_key AND NEW.spare_key <> '') EXECUTE FUNCTION keys_admit('spare_key');

CREATE INDEX attempts_secrets_key_rows ON attempts (secrets_key, id);
CREATE TRIGGER attempts_secrets_key_insert BEFORE INSERT ON attempts FOR EACH ROW WHEN (NEW.secrets_key <> '')
	EXECUTE FUNCTION keys_admit('secrets_key');
CREATE TRIGGER attempts_secrets_key_update BEFORE UPDATE OF secrets_key ON attempts FOR EACH ROW
	WHEN (NEW.secrets_key <> OLD.secrets_key AND NEW.secrets_key <> '') EXECUTE FUNCTION keys_admit('secrets_key');

CREATE INDEX attempts_tokens_key_rows ON attempts (tokens_key, id);
CREATE TRIGGER attempts_tokens_key_insert BEFORE INSERT ON attempts FOR EACH ROW WHEN (NEW.tokens_key <> '')
	EXECUTE FUNCTION keys_admit('tokens_key');
CREATE TRIGGER attempts_tokens_key_update BEFORE UPDATE OF tokens_key ON attempts FOR EACH ROW
	WHEN (NEW.tokens_key <> OLD.tokens_key AND NEW.tokens_key <> '') EXECUTE FUNCTION keys_admit('tokens_key');

CREATE INDEX chores_sealed_key_rows ON chores (sealed_key, id);
CREATE TRIGGER chores_sealed_key_insert BEFORE INSERT ON chores FOR EACH ROW WHEN (NEW.sealed_key <> '')
	EXECUTE FUNCTION keys_admit('sealed_key');
CREATE TRIGGER chores_sealed_key_update BEFORE UPDATE OF sealed_key ON chores FOR EACH ROW
	WHEN (NEW.sealed_key <> OLD.sealed_key AND NEW.sealed_key <> '') EXECUTE FUNCTION keys_admit('sealed_key');

-- What the processes of a service know about the keyring, told every few seconds. knows lists the ids of all keys that the
-- process has, with a space between; since is when it began to hash with the key it names after it had hashed with another
-- one, 0 when it never did; gone is 1 once it has ended.
CREATE TABLE keys_replicas (
	replica  TEXT   NOT NULL PRIMARY KEY,
	sealing  TEXT   NOT NULL,
	hashing  TEXT   NOT NULL,
	knows    TEXT   NOT NULL,
	since    BIGINT NOT NULL,
	seen     BIGINT NOT NULL,
	gone     INTEGER NOT NULL
);

-- Keys that nothing may be sealed with any more. A write that tries is refused by triggers beside the sealed columns.
CREATE TABLE keys_retired (
	key_id   TEXT   NOT NULL PRIMARY KEY,
	retired  BIGINT NOT NULL
);

-- Who retires a key waits here for those who are about to write one, and they for who retires. One row.
CREATE TABLE keys_fence (
	one    INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
	moved  BIGINT  NOT NULL
);
INSERT INTO keys_fence (one, moved) VALUES (1, 0);

-- Refuses a row whose key, in the column named by the argument, is retired. The share lock lasts until the transaction
-- ends: who retires the key meanwhile waits for it, and then sees the row. A transaction that began before a key was
-- retired and gets here afterwards is run again when it is serializable, and sees the key in the list when it is not.
CREATE FUNCTION keys_admit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	key TEXT;
BEGIN
	EXECUTE format('SELECT ($1).%I', TG_ARGV[0]) INTO key USING NEW;
	PERFORM 1 FROM keys_fence WHERE one = 1 FOR SHARE;
	IF EXISTS (SELECT 1 FROM keys_retired WHERE key_id = key) THEN
		RAISE EXCEPTION 'sealed with a key that is retired' USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME;
	END IF;
	RETURN NEW;
END $$;

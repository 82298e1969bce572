-- What the processes of a service know about the keyring, told every few seconds. knows lists the ids of all keys that the
-- process has, with a space between; since is when it began to hash with the key it names after it had hashed with another
-- one, 0 when it never did; gone is 1 once it has ended.
CREATE TABLE keys_replicas (
	replica  TEXT    NOT NULL PRIMARY KEY,
	sealing  TEXT    NOT NULL,
	hashing  TEXT    NOT NULL,
	knows    TEXT    NOT NULL,
	since    INTEGER NOT NULL,
	seen     INTEGER NOT NULL,
	gone     INTEGER NOT NULL
) STRICT;

-- Keys that nothing may be sealed with any more. A write that tries is refused by triggers beside the sealed columns.
CREATE TABLE keys_retired (
	key_id   TEXT    NOT NULL PRIMARY KEY,
	retired  INTEGER NOT NULL
) STRICT;

-- Who retires a key waits here for those who are about to write one, and they for who retires. One row.
CREATE TABLE keys_fence (
	one    INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
	moved  INTEGER NOT NULL
) STRICT;
INSERT INTO keys_fence (one, moved) VALUES (1, 0);

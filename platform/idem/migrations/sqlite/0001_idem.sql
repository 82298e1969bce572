CREATE TABLE idem_requests (
	firm       TEXT    NOT NULL,
	kind       INTEGER NOT NULL,
	caller     TEXT    NOT NULL,
	request    TEXT    NOT NULL,
	request_id TEXT    NOT NULL,
	payload    BLOB    NOT NULL,
	response   BLOB,
	owner      TEXT    NOT NULL,
	leased     INTEGER NOT NULL,
	expires    INTEGER NOT NULL,
	PRIMARY KEY (firm, kind, caller, request, request_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX idem_requests_expires ON idem_requests (expires);

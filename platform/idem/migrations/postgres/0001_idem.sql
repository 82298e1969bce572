CREATE TABLE idem_requests (
	firm       TEXT   COLLATE "C" NOT NULL,
	kind       BIGINT NOT NULL,
	caller     TEXT   COLLATE "C" NOT NULL,
	request    TEXT   COLLATE "C" NOT NULL,
	request_id TEXT   COLLATE "C" NOT NULL,
	payload    BYTEA  NOT NULL,
	response   BYTEA,
	owner      TEXT   COLLATE "C" NOT NULL,
	leased     BIGINT NOT NULL,
	expires    BIGINT NOT NULL,
	PRIMARY KEY (firm, kind, caller, request, request_id)
);

CREATE INDEX idem_requests_expires ON idem_requests (expires);

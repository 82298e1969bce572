-- What providers told by themselves: the inbox of webhooks. A row stays for some days after it was told on, to know what
-- comes again.
CREATE TABLE webhook_events (
	id       TEXT   COLLATE "C" NOT NULL PRIMARY KEY, -- a hash of what tells events apart
	provider TEXT   NOT NULL,
	tenant   TEXT   NOT NULL,
	record   TEXT   NOT NULL,
	at       BIGINT NOT NULL, -- by the provider's clock
	received BIGINT NOT NULL,
	settled  BIGINT NOT NULL, -- 0 while it waits
	outcome  TEXT   NOT NULL  -- TOLD, NOBODY; empty while it waits
);
CREATE INDEX webhook_events_waiting ON webhook_events (received, id) WHERE settled = 0;
CREATE INDEX webhook_events_settled ON webhook_events (settled) WHERE settled > 0;
CREATE INDEX connections_tenant ON connections (provider, lower(tenant_id));

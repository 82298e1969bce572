-- What happened here, in the transaction that made it happen. The outbox is the record; the bus carries copies.
CREATE TABLE events_outbox (
	position       BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	id             TEXT    NOT NULL,
	stream         TEXT    NOT NULL,
	subject        TEXT    NOT NULL,
	type           TEXT    NOT NULL,
	firm           TEXT    NOT NULL,
	entity         TEXT    NOT NULL,
	sequence       BIGINT  NOT NULL,
	traceparent    TEXT    NOT NULL,
	payload        BYTEA   NOT NULL,
	created_at     BIGINT  NOT NULL DEFAULT (CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)),
	published_seq  BIGINT, -- where the stream has it
	stream_created BIGINT  -- which stream of that name: its creation time in nanoseconds
);
CREATE INDEX events_outbox_unpublished ON events_outbox (position) WHERE published_seq IS NULL;
CREATE INDEX events_outbox_published ON events_outbox (stream, stream_created, published_seq) WHERE published_seq IS NOT NULL;

-- Which events took effect here, written in the transaction of the effect.
CREATE TABLE events_inbox (
	consumer    TEXT    COLLATE "C" NOT NULL,
	event_id    TEXT    COLLATE "C" NOT NULL,
	received_at BIGINT  NOT NULL DEFAULT (CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)),
	PRIMARY KEY (consumer, event_id)
);
CREATE INDEX events_inbox_received ON events_inbox (received_at);

-- Events that could not take effect: tried again by themselves (WAITING), not before somebody decides (PARKED), never
-- (DISCARDED).
CREATE TABLE events_parked (
	consumer       TEXT    COLLATE "C" NOT NULL,
	event_id       TEXT    COLLATE "C" NOT NULL,
	state          TEXT    NOT NULL,
	attempts       BIGINT  NOT NULL,
	reason         TEXT    NOT NULL,
	source         TEXT    NOT NULL,
	stream         TEXT    NOT NULL,
	subject        TEXT    NOT NULL,
	firm           TEXT    NOT NULL,
	entity         TEXT    NOT NULL,
	sequence       BIGINT  NOT NULL,
	event_time     BIGINT  NOT NULL,
	traceparent    TEXT    NOT NULL,
	payload        BYTEA   NOT NULL,
	due_at         BIGINT  NOT NULL, -- of the next attempt
	changed_at     BIGINT  NOT NULL DEFAULT (CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)),
	decided_by     TEXT    NOT NULL DEFAULT '',
	decided_reason TEXT    NOT NULL DEFAULT '',
	PRIMARY KEY (consumer, event_id)
);
CREATE INDEX events_parked_due ON events_parked (consumer, due_at) WHERE state = 'WAITING';
CREATE INDEX events_parked_firm ON events_parked (consumer, firm) WHERE state <> 'DISCARDED';

-- The newest sequence applied, per consumer and entity.
CREATE TABLE events_sequences (
	entity   TEXT    COLLATE "C" NOT NULL PRIMARY KEY,
	sequence BIGINT  NOT NULL
);

-- What happened here, in the transaction that made it happen. The outbox is the record; the bus carries copies.
CREATE TABLE events_outbox (
	position       INTEGER PRIMARY KEY,
	id             TEXT    NOT NULL,
	stream         TEXT    NOT NULL,
	subject        TEXT    NOT NULL,
	type           TEXT    NOT NULL,
	firm           TEXT    NOT NULL,
	entity         TEXT    NOT NULL,
	sequence       INTEGER NOT NULL,
	traceparent    TEXT    NOT NULL,
	payload        BLOB    NOT NULL,
	created_at     INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000000 AS INTEGER)),
	published_seq  INTEGER, -- where the stream has it
	stream_created INTEGER  -- which stream of that name: its creation time in nanoseconds
) STRICT;
CREATE INDEX events_outbox_unpublished ON events_outbox (position) WHERE published_seq IS NULL;
CREATE INDEX events_outbox_published ON events_outbox (stream, stream_created, published_seq) WHERE published_seq IS NOT NULL;

-- Which events took effect here, written in the transaction of the effect.
CREATE TABLE events_inbox (
	consumer    TEXT    NOT NULL,
	event_id    TEXT    NOT NULL,
	received_at INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000000 AS INTEGER)),
	PRIMARY KEY (consumer, event_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX events_inbox_received ON events_inbox (received_at);

-- Events that could not take effect: tried again by themselves (WAITING), not before somebody decides (PARKED), never
-- (DISCARDED).
CREATE TABLE events_parked (
	consumer       TEXT    NOT NULL,
	event_id       TEXT    NOT NULL,
	state          TEXT    NOT NULL,
	attempts       INTEGER NOT NULL,
	reason         TEXT    NOT NULL,
	source         TEXT    NOT NULL,
	stream         TEXT    NOT NULL,
	subject        TEXT    NOT NULL,
	firm           TEXT    NOT NULL,
	entity         TEXT    NOT NULL,
	sequence       INTEGER NOT NULL,
	event_time     INTEGER NOT NULL,
	traceparent    TEXT    NOT NULL,
	payload        BLOB    NOT NULL,
	due_at         INTEGER NOT NULL, -- of the next attempt
	changed_at     INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000000 AS INTEGER)),
	decided_by     TEXT    NOT NULL DEFAULT '',
	decided_reason TEXT    NOT NULL DEFAULT '',
	PRIMARY KEY (consumer, event_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX events_parked_due ON events_parked (consumer, due_at) WHERE state = 'WAITING';
CREATE INDEX events_parked_firm ON events_parked (consumer, firm) WHERE state <> 'DISCARDED';

-- The newest sequence applied, per consumer and entity.
CREATE TABLE events_sequences (
	entity   TEXT    NOT NULL PRIMARY KEY,
	sequence INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

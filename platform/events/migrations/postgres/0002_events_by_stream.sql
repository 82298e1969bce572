-- Each stream is published by itself, so that what one of them does not take is in nobody's way.
CREATE INDEX events_outbox_waiting ON events_outbox (stream, position) WHERE published_seq IS NULL;
DROP INDEX events_outbox_unpublished;

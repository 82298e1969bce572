-- Sync counts the sets of clients of a contact apart from its removals and releases: each is compared with its own kind
-- alone. The times are when sync recorded the last of each kind. What was known before came with one count for both, so
-- whatever is said next counts as newer.
ALTER TABLE contacts DROP COLUMN sequence;
ALTER TABLE contacts RENAME COLUMN removed TO gone;
ALTER TABLE contacts ADD COLUMN removal_sequence INTEGER NOT NULL DEFAULT 0;
ALTER TABLE contacts ADD COLUMN removal_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE contacts ADD COLUMN relations_sequence INTEGER NOT NULL DEFAULT 0;
ALTER TABLE contacts ADD COLUMN relations_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE contacts ADD COLUMN related INTEGER NOT NULL DEFAULT 0;

-- Sagas whose fence was lifted: a request to fence that comes after that is late, and fences nobody.
CREATE TABLE lifted_fences (
  firm       TEXT NOT NULL,
  saga       TEXT NOT NULL,
  lifted_at  INTEGER NOT NULL,
  PRIMARY KEY (firm, saga)
) STRICT;
CREATE INDEX lifted_fences_at ON lifted_fences (lifted_at);

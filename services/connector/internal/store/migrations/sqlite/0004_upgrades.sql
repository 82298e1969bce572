-- The legacy connection that an attempt is to upgrade, empty for an attempt to connect anew.
ALTER TABLE attempts ADD COLUMN upgrade TEXT NOT NULL DEFAULT '';

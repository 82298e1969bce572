-- Who consented, in words for people: the provider knows the person by another id than Concord does.
ALTER TABLE grants ADD COLUMN person TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN consented_by TEXT NOT NULL DEFAULT '';

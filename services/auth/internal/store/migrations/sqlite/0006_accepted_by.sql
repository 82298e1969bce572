-- The request that used an invitation up, by its request_id: it alone is answered again.
ALTER TABLE invitations ADD COLUMN accepted_by TEXT NOT NULL DEFAULT '';

-- Agents can be revoked, and are listed by name.
ALTER TABLE agents ADD COLUMN revoked_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX agents_by_name ON agents (firm, display_name, id);

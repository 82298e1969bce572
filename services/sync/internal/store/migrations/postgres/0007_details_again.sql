-- aged_at: when the details that were read longest ago are due again; 0 when none are. Works that are done learn it by
-- looking once more.
ALTER TABLE detail_work ADD COLUMN aged_at BIGINT NOT NULL DEFAULT 0;
UPDATE detail_work SET pending = TRUE;
CREATE INDEX client_details_age ON client_details (connection, tenant, read_at, record_id);

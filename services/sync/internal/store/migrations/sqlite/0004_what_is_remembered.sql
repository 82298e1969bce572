-- refuted_at: when reading the record showed it in use although the listing did not hold it; 0 when nothing is remembered.
-- gone_run: the connection's newest run when the record was said to be gone; later runs bring later news.
ALTER TABLE links ADD COLUMN refuted_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE links ADD COLUMN gone_run TEXT NOT NULL DEFAULT '';
CREATE INDEX links_refuted ON links (connection, tenant, refuted_at) WHERE refuted_at > 0;

-- Some events tell all of a connection, and some its state alone, so each part has the sequence that it was last told at.
-- event_seq is that of the rest. suspended_at: since when removals are suspended, by this service's clock.
ALTER TABLE connections ADD COLUMN state_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE connections ADD COLUMN suspended_at INTEGER NOT NULL DEFAULT 0;
UPDATE connections SET state_seq = event_seq;

-- Contacts that a sync left without a client: auth is asked, behind a fence, who of them has a login, before anything
-- becomes of them. settled: that is done, and only the fence is still to be lifted.
CREATE TABLE login_checks (
  id          TEXT PRIMARY KEY,
  firm        TEXT NOT NULL,
  settled     INTEGER NOT NULL DEFAULT 0,
  attempts    INTEGER NOT NULL DEFAULT 0,
  next_at     INTEGER NOT NULL,
  lease_owner TEXT NOT NULL DEFAULT '',
  lease_until INTEGER NOT NULL DEFAULT 0,
  epoch       INTEGER NOT NULL DEFAULT 0,
  created_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX login_checks_work ON login_checks (next_at);
CREATE TABLE login_check_contacts (
  login_check TEXT NOT NULL REFERENCES login_checks (id),
  contact     TEXT NOT NULL,
  PRIMARY KEY (login_check, contact)
) STRICT;
CREATE INDEX login_check_contacts_contact ON login_check_contacts (contact);

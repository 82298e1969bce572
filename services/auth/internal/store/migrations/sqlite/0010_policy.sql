-- What a firm allows, and how that came to be. A list of kinds is their names with spaces between.
ALTER TABLE firms ADD COLUMN forbidden TEXT NOT NULL DEFAULT '';
ALTER TABLE firms ADD COLUMN email_stands_in INTEGER NOT NULL DEFAULT 1;
ALTER TABLE firms ADD COLUMN contacts_exempt INTEGER NOT NULL DEFAULT 0;
ALTER TABLE firms ADD COLUMN passkey_alone_forbidden INTEGER NOT NULL DEFAULT 0;

-- One row for each state a firm's policy was in, with who brought it about and why. Nothing is changed or deleted here.
CREATE TABLE policy_history (
  firm                     TEXT NOT NULL REFERENCES firms (id),
  revision                 INTEGER NOT NULL,
  changed_at               INTEGER NOT NULL,
  cause                    TEXT NOT NULL CHECK (cause IN ('MADE', 'CHANGED', 'REQUIRED', 'RELEASED')),
  actor_kind               TEXT NOT NULL,
  actor                    TEXT NOT NULL,
  connection               TEXT NOT NULL DEFAULT '',
  enforced_at              INTEGER NOT NULL,
  email_pin                INTEGER NOT NULL,
  forbidden                TEXT NOT NULL,
  email_stands_in          INTEGER NOT NULL,
  contacts_exempt          INTEGER NOT NULL,
  passkey_alone_forbidden  INTEGER NOT NULL,
  PRIMARY KEY (firm, revision)
) STRICT;
-- Of firms that were there before, the history begins with what stands now.
INSERT INTO policy_history (firm, revision, changed_at, cause, actor_kind, actor, enforced_at, email_pin, forbidden,
    email_stands_in, contacts_exempt, passkey_alone_forbidden)
  SELECT id, revision, CASE WHEN enforced_at > created_at THEN enforced_at ELSE created_at END, 'MADE', '', '', enforced_at,
    email_pin, forbidden, email_stands_in, contacts_exempt, passkey_alone_forbidden FROM firms;

-- When each connection required a second factor last, and when it stopped to (0: it has not). What is told late about an
-- earlier time changes nothing.
ALTER TABLE two_factor_requirements ADD COLUMN required_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE two_factor_requirements ADD COLUMN released_at INTEGER NOT NULL DEFAULT 0;
UPDATE two_factor_requirements SET required_at = created_at;

-- must_enrol: the policy asks for a factor the person does not have. enrol_until: until when a factor may be enrolled by
-- a session that is not strong. unlock_failures: wrong passwords at the lock.
ALTER TABLE sessions ADD COLUMN must_enrol INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN enrol_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN unlock_failures INTEGER NOT NULL DEFAULT 0;

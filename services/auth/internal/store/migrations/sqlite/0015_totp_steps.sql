-- The half minutes whose codes were accepted in the last days. As long as clocks go on, the last one says it all; when one was
-- put back, only these know what was accepted before and after.
CREATE TABLE totp_steps (
  account  TEXT NOT NULL REFERENCES accounts (id),
  step     INTEGER NOT NULL,
  PRIMARY KEY (account, step)
) STRICT;
INSERT INTO totp_steps (account, step) SELECT account, last_step FROM totps;

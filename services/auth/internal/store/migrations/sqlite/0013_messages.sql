-- Who sends messages, and what became of them. Times are UTC microseconds; 0 means "not yet".

-- What a firm wants; a firm without a row has set nothing.
CREATE TABLE message_settings (
  firm              TEXT PRIMARY KEY REFERENCES firms (id),
  sms_sender        TEXT NOT NULL,
  sms_per_day       INTEGER NOT NULL,
  sms_countries     TEXT NOT NULL,
  mail_sender_name  TEXT NOT NULL,
  mail_reply_to     TEXT NOT NULL,
  mail_signature    TEXT NOT NULL,
  revision          INTEGER NOT NULL
) STRICT;

-- Text messages with PINs. "block" is the number without its last three digits. "answered" is 1 once a PIN came back, which
-- says more than a report that it arrived. "state" is that of package delivery.
CREATE TABLE text_messages (
  id          TEXT PRIMARY KEY,
  account     TEXT NOT NULL,
  firm        TEXT NOT NULL,
  challenge   BLOB NOT NULL,
  block       TEXT NOT NULL,
  provider    TEXT NOT NULL DEFAULT '',
  message     TEXT NOT NULL DEFAULT '',
  state       INTEGER NOT NULL DEFAULT 0,
  code        TEXT NOT NULL DEFAULT '',
  answered    INTEGER NOT NULL DEFAULT 0,
  created_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX text_messages_account ON text_messages (account, created_at);
CREATE INDEX text_messages_challenge ON text_messages (challenge, created_at);
CREATE INDEX text_messages_block ON text_messages (block, created_at);
CREATE INDEX text_messages_message ON text_messages (message, provider) WHERE message <> '';
CREATE INDEX text_messages_old ON text_messages (created_at);

-- Text messages by firm and day (days since 1970, UTC).
CREATE TABLE text_days (
  firm  TEXT NOT NULL,
  day   INTEGER NOT NULL,
  sent  INTEGER NOT NULL,
  PRIMARY KEY (firm, day)
) STRICT;

-- Blocks of numbers to which none go for a while: too many accounts had messages there that nobody answered.
CREATE TABLE text_stops (
  block       TEXT PRIMARY KEY,
  stopped_at  INTEGER NOT NULL,
  until_at    INTEGER NOT NULL
) STRICT;

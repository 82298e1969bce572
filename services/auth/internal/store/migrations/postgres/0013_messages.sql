-- Who sends messages, and what became of them. Times are UTC microseconds; 0 means "not yet".

-- What a firm wants; a firm without a row has set nothing.
CREATE TABLE message_settings (
  firm              TEXT COLLATE "C" PRIMARY KEY REFERENCES firms (id),
  sms_sender        TEXT COLLATE "C" NOT NULL,
  sms_per_day       BIGINT NOT NULL,
  sms_countries     TEXT COLLATE "C" NOT NULL,
  mail_sender_name  TEXT COLLATE "C" NOT NULL,
  mail_reply_to     TEXT COLLATE "C" NOT NULL,
  mail_signature    TEXT COLLATE "C" NOT NULL,
  revision          BIGINT NOT NULL
);

-- Text messages with PINs. "block" is the number without its last three digits. "answered" is 1 once a PIN came back, which
-- says more than a report that it arrived. "state" is that of package delivery.
CREATE TABLE text_messages (
  id          TEXT COLLATE "C" PRIMARY KEY,
  account     TEXT COLLATE "C" NOT NULL,
  firm        TEXT COLLATE "C" NOT NULL,
  challenge   BYTEA NOT NULL,
  block       TEXT COLLATE "C" NOT NULL,
  provider    TEXT COLLATE "C" NOT NULL DEFAULT '',
  message     TEXT COLLATE "C" NOT NULL DEFAULT '',
  state       BIGINT NOT NULL DEFAULT 0,
  code        TEXT COLLATE "C" NOT NULL DEFAULT '',
  answered    BIGINT NOT NULL DEFAULT 0,
  created_at  BIGINT NOT NULL
);
CREATE INDEX text_messages_account ON text_messages (account, created_at);
CREATE INDEX text_messages_challenge ON text_messages (challenge, created_at);
CREATE INDEX text_messages_block ON text_messages (block, created_at);
CREATE INDEX text_messages_message ON text_messages (message, provider) WHERE message <> '';
CREATE INDEX text_messages_old ON text_messages (created_at);

-- Text messages by firm and day (days since 1970, UTC).
CREATE TABLE text_days (
  firm  TEXT COLLATE "C" NOT NULL,
  day   BIGINT NOT NULL,
  sent  BIGINT NOT NULL,
  PRIMARY KEY (firm, day)
);

-- Blocks of numbers to which none go for a while: too many accounts had messages there that nobody answered.
CREATE TABLE text_stops (
  block       TEXT COLLATE "C" PRIMARY KEY,
  stopped_at  BIGINT NOT NULL,
  until_at    BIGINT NOT NULL
);

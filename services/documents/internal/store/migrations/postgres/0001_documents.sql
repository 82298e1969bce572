-- A moment that has not come is 0, an absent text is ''. Times are UTC microseconds since 1970.

CREATE TABLE firms (
  id               TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
  document_archive BOOLEAN NOT NULL DEFAULT FALSE,
  last_job_number  BIGINT  NOT NULL DEFAULT 0,
  records_folder   TEXT    NOT NULL DEFAULT ''
);

-- The row that everything about a client is serialized by.
CREATE TABLE clients (
  firm         TEXT    NOT NULL,
  id           TEXT COLLATE "C"    NOT NULL,
  display_name TEXT    NOT NULL DEFAULT '',
  code         TEXT    NOT NULL DEFAULT '',
  state        TEXT    NOT NULL DEFAULT 'LISTED' CHECK (state IN ('LISTED', 'DEPARTED')),
  named        BIGINT  NOT NULL DEFAULT 0,
  listing      BIGINT  NOT NULL DEFAULT 0,
  trail        BIGINT  NOT NULL DEFAULT 0,
  folder       TEXT    NOT NULL DEFAULT '',
  fence        TEXT    NOT NULL DEFAULT '',
  PRIMARY KEY (firm, id)
);

CREATE TABLE offboardings (
  firm    TEXT    NOT NULL,
  id      TEXT COLLATE "C"    NOT NULL,
  client  TEXT    NOT NULL,
  state   TEXT    NOT NULL CHECK (state IN ('FENCED', 'ABORTED', 'COMMITTED', 'REVERSED')),
  removed BOOLEAN NOT NULL DEFAULT FALSE,
  missing TEXT    NOT NULL DEFAULT '[]',
  changed BIGINT  NOT NULL,
  PRIMARY KEY (firm, id)
);
CREATE INDEX offboardings_by_client ON offboardings (firm, client);

CREATE TABLE folders (
  id           TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
  firm         TEXT    NOT NULL,
  kind         TEXT    NOT NULL CHECK (kind IN ('CLIENT', 'BUSINESS', 'ORPHANED_BUSINESS')),
  state        TEXT    NOT NULL CHECK (state IN ('ACTIVE', 'ARCHIVED', 'DELETED', 'REMOVED', 'PURGED')),
  client       TEXT    NOT NULL DEFAULT '',
  display_name TEXT    NOT NULL,
  name_key     TEXT COLLATE "C"    NOT NULL,
  documents    BIGINT  NOT NULL DEFAULT 0 CHECK (documents >= 0),
  system       BIGINT  NOT NULL DEFAULT 0 CHECK (system >= 0),
  created      BIGINT  NOT NULL,
  gone         BIGINT  NOT NULL DEFAULT 0,
  purge        BIGINT  NOT NULL DEFAULT 0,
  version      BIGINT  NOT NULL DEFAULT 1
);
CREATE INDEX folders_by_name ON folders (firm, state, name_key, id);
CREATE INDEX folders_by_client ON folders (firm, client) WHERE client <> '';
CREATE INDEX folders_to_purge ON folders (purge) WHERE state = 'DELETED';

-- The names of active folders. A folder that goes gives its name back.
CREATE TABLE folder_names (
  firm     TEXT NOT NULL,
  name_key TEXT COLLATE "C" NOT NULL,
  folder   TEXT NOT NULL,
  PRIMARY KEY (firm, name_key)
);
CREATE INDEX folder_names_by_folder ON folder_names (folder);

CREATE TABLE documents (
  id           TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
  firm         TEXT    NOT NULL,
  folder       TEXT    NOT NULL REFERENCES folders (id),
  display_name TEXT    NOT NULL,
  name_key     TEXT COLLATE "C"    NOT NULL,
  media_type   TEXT    NOT NULL,
  size         BIGINT  NOT NULL,
  sha256       TEXT    NOT NULL,
  published    BOOLEAN NOT NULL DEFAULT FALSE,
  filed_by     TEXT    NOT NULL,
  system_client TEXT   NOT NULL DEFAULT '',
  system_key   TEXT    NOT NULL DEFAULT '',
  created      BIGINT  NOT NULL
);
CREATE INDEX documents_by_folder ON documents (folder, name_key, id);
CREATE INDEX documents_by_name ON documents (firm, name_key, id);
CREATE INDEX documents_by_blob ON documents (firm, sha256);
CREATE UNIQUE INDEX documents_by_key ON documents (firm, system_client, system_key) WHERE system_key <> '';

-- The bytes in the store. DELETING: the file may go any moment, refer to the next generation instead. GONE: it went.
CREATE TABLE blobs (
  firm       TEXT    NOT NULL,
  sha256     TEXT    NOT NULL,
  generation BIGINT  NOT NULL,
  size       BIGINT  NOT NULL,
  state      TEXT    NOT NULL CHECK (state IN ('LIVE', 'DELETING', 'GONE')),
  touched    BIGINT  NOT NULL,
  PRIMARY KEY (firm, sha256)
);
CREATE INDEX blobs_by_touch ON blobs (touched);
CREATE INDEX blobs_deleting ON blobs (firm, sha256) WHERE state = 'DELETING';

CREATE TABLE uploads (
  id           TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
  firm         TEXT    NOT NULL,
  folder       TEXT    NOT NULL,
  display_name TEXT    NOT NULL,
  media_type   TEXT    NOT NULL,
  size         BIGINT  NOT NULL,
  sha256       TEXT    NOT NULL,
  caller       TEXT    NOT NULL,
  contact      TEXT    NOT NULL,
  kind         BIGINT  NOT NULL,
  principal    TEXT    NOT NULL,
  session      TEXT    NOT NULL,
  address      TEXT    NOT NULL,
  done         BOOLEAN NOT NULL DEFAULT FALSE,
  created      BIGINT  NOT NULL,
  expires      BIGINT  NOT NULL
);
CREATE INDEX uploads_by_expiry ON uploads (expires);
CREATE INDEX uploads_by_session ON uploads (session) WHERE session <> '';

CREATE TABLE downloads (
  id       TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
  firm     TEXT    NOT NULL,
  document TEXT    NOT NULL,
  caller   TEXT    NOT NULL,
  contact  TEXT    NOT NULL,
  session  TEXT    NOT NULL,
  expires  BIGINT  NOT NULL
);
CREATE INDEX downloads_by_expiry ON downloads (expires);
CREATE INDEX downloads_by_session ON downloads (session) WHERE session <> '';

-- What contacts relate to, as the client list last said.
CREATE TABLE contacts (
  firm     TEXT    NOT NULL,
  id       TEXT COLLATE "C"    NOT NULL,
  sequence BIGINT  NOT NULL,
  PRIMARY KEY (firm, id)
);
CREATE TABLE contact_clients (
  firm    TEXT NOT NULL,
  contact TEXT NOT NULL,
  client  TEXT NOT NULL,
  PRIMARY KEY (firm, contact, client)
);

CREATE TABLE email_jobs (
  id      TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
  firm    TEXT    NOT NULL,
  number  BIGINT  NOT NULL,
  client  TEXT    NOT NULL,
  subject TEXT    NOT NULL,
  message TEXT    NOT NULL,
  sent_by TEXT    NOT NULL,
  created BIGINT  NOT NULL
);
CREATE UNIQUE INDEX email_jobs_by_number ON email_jobs (firm, number);
CREATE INDEX email_jobs_by_client ON email_jobs (firm, client, number);

CREATE TABLE email_job_documents (
  job      TEXT    NOT NULL REFERENCES email_jobs (id),
  position BIGINT  NOT NULL,
  document TEXT    NOT NULL,
  PRIMARY KEY (job, position)
);

CREATE TABLE deliveries (
  id       TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
  firm     TEXT    NOT NULL,
  job      TEXT    NOT NULL REFERENCES email_jobs (id),
  position BIGINT  NOT NULL,
  contact  TEXT    NOT NULL,
  state    TEXT    NOT NULL CHECK (state IN ('PENDING', 'SENT', 'FAILED')),
  attempts BIGINT  NOT NULL DEFAULT 0,
  due      BIGINT  NOT NULL,
  closed   BIGINT  NOT NULL DEFAULT 0,
  problem  TEXT    NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX deliveries_by_job ON deliveries (job, position);
CREATE INDEX deliveries_due ON deliveries (due) WHERE state = 'PENDING';

CREATE TABLE signature_requests (
  id            TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
  firm          TEXT    NOT NULL,
  job           TEXT    NOT NULL REFERENCES email_jobs (id),
  client        TEXT    NOT NULL,
  document      TEXT    NOT NULL,
  document_name TEXT    NOT NULL,
  sha256        TEXT    NOT NULL,
  contact       TEXT    NOT NULL,
  state         TEXT    NOT NULL CHECK (state IN ('OPEN', 'SIGNED', 'DECLINED', 'WITHDRAWN')),
  created       BIGINT  NOT NULL,
  closed        BIGINT  NOT NULL DEFAULT 0,
  reason        TEXT    NOT NULL DEFAULT '',
  session       TEXT    NOT NULL DEFAULT '',
  address       TEXT    NOT NULL DEFAULT ''
);
CREATE INDEX signature_requests_by_age ON signature_requests (firm, created, id);
CREATE INDEX signature_requests_by_job ON signature_requests (job);
CREATE INDEX signature_requests_open ON signature_requests (firm, client) WHERE state = 'OPEN';
CREATE INDEX signature_requests_open_document ON signature_requests (document) WHERE state = 'OPEN';

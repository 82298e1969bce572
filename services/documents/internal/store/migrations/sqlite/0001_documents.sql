-- A moment that has not come is 0, an absent text is ''. Times are UTC microseconds since 1970.

CREATE TABLE firms (
  id               TEXT    NOT NULL PRIMARY KEY,
  document_archive INTEGER NOT NULL DEFAULT 0 CHECK (document_archive IN (0, 1)),
  last_job_number  INTEGER NOT NULL DEFAULT 0,
  records_folder   TEXT    NOT NULL DEFAULT ''
) STRICT;

-- The row that everything about a client is serialized by.
CREATE TABLE clients (
  firm         TEXT    NOT NULL,
  id           TEXT    NOT NULL,
  display_name TEXT    NOT NULL DEFAULT '',
  code         TEXT    NOT NULL DEFAULT '',
  state        TEXT    NOT NULL DEFAULT 'LISTED' CHECK (state IN ('LISTED', 'DEPARTED')),
  named        INTEGER NOT NULL DEFAULT 0,
  listing      INTEGER NOT NULL DEFAULT 0,
  trail        INTEGER NOT NULL DEFAULT 0,
  folder       TEXT    NOT NULL DEFAULT '',
  fence        TEXT    NOT NULL DEFAULT '',
  PRIMARY KEY (firm, id)
) STRICT;

CREATE TABLE offboardings (
  firm    TEXT    NOT NULL,
  id      TEXT    NOT NULL,
  client  TEXT    NOT NULL,
  state   TEXT    NOT NULL CHECK (state IN ('FENCED', 'ABORTED', 'COMMITTED', 'REVERSED')),
  removed INTEGER NOT NULL DEFAULT 0 CHECK (removed IN (0, 1)),
  missing TEXT    NOT NULL DEFAULT '[]',
  changed INTEGER NOT NULL,
  PRIMARY KEY (firm, id)
) STRICT;
CREATE INDEX offboardings_by_client ON offboardings (firm, client);

CREATE TABLE folders (
  id           TEXT    NOT NULL PRIMARY KEY,
  firm         TEXT    NOT NULL,
  kind         TEXT    NOT NULL CHECK (kind IN ('CLIENT', 'BUSINESS', 'ORPHANED_BUSINESS')),
  state        TEXT    NOT NULL CHECK (state IN ('ACTIVE', 'ARCHIVED', 'DELETED', 'REMOVED', 'PURGED')),
  client       TEXT    NOT NULL DEFAULT '',
  display_name TEXT    NOT NULL,
  name_key     TEXT    NOT NULL,
  documents    INTEGER NOT NULL DEFAULT 0 CHECK (documents >= 0),
  system       INTEGER NOT NULL DEFAULT 0 CHECK (system >= 0),
  created      INTEGER NOT NULL,
  gone         INTEGER NOT NULL DEFAULT 0,
  purge        INTEGER NOT NULL DEFAULT 0,
  version      INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE INDEX folders_by_name ON folders (firm, state, name_key, id);
CREATE INDEX folders_by_client ON folders (firm, client) WHERE client <> '';
CREATE INDEX folders_to_purge ON folders (purge) WHERE state = 'DELETED';

-- The names of active folders. A folder that goes gives its name back.
CREATE TABLE folder_names (
  firm     TEXT NOT NULL,
  name_key TEXT NOT NULL,
  folder   TEXT NOT NULL,
  PRIMARY KEY (firm, name_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX folder_names_by_folder ON folder_names (folder);

CREATE TABLE documents (
  id           TEXT    NOT NULL PRIMARY KEY,
  firm         TEXT    NOT NULL,
  folder       TEXT    NOT NULL REFERENCES folders (id),
  display_name TEXT    NOT NULL,
  name_key     TEXT    NOT NULL,
  media_type   TEXT    NOT NULL,
  size         INTEGER NOT NULL,
  sha256       TEXT    NOT NULL,
  published    INTEGER NOT NULL DEFAULT 0 CHECK (published IN (0, 1)),
  filed_by     TEXT    NOT NULL,
  system_client TEXT   NOT NULL DEFAULT '',
  system_key   TEXT    NOT NULL DEFAULT '',
  created      INTEGER NOT NULL
) STRICT;
CREATE INDEX documents_by_folder ON documents (folder, name_key, id);
CREATE INDEX documents_by_name ON documents (firm, name_key, id);
CREATE INDEX documents_by_blob ON documents (firm, sha256);
CREATE UNIQUE INDEX documents_by_key ON documents (firm, system_client, system_key) WHERE system_key <> '';

-- The bytes in the store. DELETING: the file may go any moment, refer to the next generation instead. GONE: it went.
CREATE TABLE blobs (
  firm       TEXT    NOT NULL,
  sha256     TEXT    NOT NULL,
  generation INTEGER NOT NULL,
  size       INTEGER NOT NULL,
  state      TEXT    NOT NULL CHECK (state IN ('LIVE', 'DELETING', 'GONE')),
  touched    INTEGER NOT NULL,
  PRIMARY KEY (firm, sha256)
) STRICT, WITHOUT ROWID;
CREATE INDEX blobs_by_touch ON blobs (touched);
CREATE INDEX blobs_deleting ON blobs (firm, sha256) WHERE state = 'DELETING';

CREATE TABLE uploads (
  id           TEXT    NOT NULL PRIMARY KEY,
  firm         TEXT    NOT NULL,
  folder       TEXT    NOT NULL,
  display_name TEXT    NOT NULL,
  media_type   TEXT    NOT NULL,
  size         INTEGER NOT NULL,
  sha256       TEXT    NOT NULL,
  caller       TEXT    NOT NULL,
  contact      TEXT    NOT NULL,
  kind         INTEGER NOT NULL,
  principal    TEXT    NOT NULL,
  session      TEXT    NOT NULL,
  address      TEXT    NOT NULL,
  done         INTEGER NOT NULL DEFAULT 0 CHECK (done IN (0, 1)),
  created      INTEGER NOT NULL,
  expires      INTEGER NOT NULL
) STRICT;
CREATE INDEX uploads_by_expiry ON uploads (expires);
CREATE INDEX uploads_by_session ON uploads (session) WHERE session <> '';

CREATE TABLE downloads (
  id       TEXT    NOT NULL PRIMARY KEY,
  firm     TEXT    NOT NULL,
  document TEXT    NOT NULL,
  caller   TEXT    NOT NULL,
  contact  TEXT    NOT NULL,
  session  TEXT    NOT NULL,
  expires  INTEGER NOT NULL
) STRICT;
CREATE INDEX downloads_by_expiry ON downloads (expires);
CREATE INDEX downloads_by_session ON downloads (session) WHERE session <> '';

-- What contacts relate to, as the client list last said.
CREATE TABLE contacts (
  firm     TEXT    NOT NULL,
  id       TEXT    NOT NULL,
  sequence INTEGER NOT NULL,
  PRIMARY KEY (firm, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE contact_clients (
  firm    TEXT NOT NULL,
  contact TEXT NOT NULL,
  client  TEXT NOT NULL,
  PRIMARY KEY (firm, contact, client)
) STRICT, WITHOUT ROWID;

CREATE TABLE email_jobs (
  id      TEXT    NOT NULL PRIMARY KEY,
  firm    TEXT    NOT NULL,
  number  INTEGER NOT NULL,
  client  TEXT    NOT NULL,
  subject TEXT    NOT NULL,
  message TEXT    NOT NULL,
  sent_by TEXT    NOT NULL,
  created INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX email_jobs_by_number ON email_jobs (firm, number);
CREATE INDEX email_jobs_by_client ON email_jobs (firm, client, number);

CREATE TABLE email_job_documents (
  job      TEXT    NOT NULL REFERENCES email_jobs (id),
  position INTEGER NOT NULL,
  document TEXT    NOT NULL,
  PRIMARY KEY (job, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE deliveries (
  id       TEXT    NOT NULL PRIMARY KEY,
  firm     TEXT    NOT NULL,
  job      TEXT    NOT NULL REFERENCES email_jobs (id),
  position INTEGER NOT NULL,
  contact  TEXT    NOT NULL,
  state    TEXT    NOT NULL CHECK (state IN ('PENDING', 'SENT', 'FAILED')),
  attempts INTEGER NOT NULL DEFAULT 0,
  due      INTEGER NOT NULL,
  closed   INTEGER NOT NULL DEFAULT 0,
  problem  TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX deliveries_by_job ON deliveries (job, position);
CREATE INDEX deliveries_due ON deliveries (due) WHERE state = 'PENDING';

CREATE TABLE signature_requests (
  id            TEXT    NOT NULL PRIMARY KEY,
  firm          TEXT    NOT NULL,
  job           TEXT    NOT NULL REFERENCES email_jobs (id),
  client        TEXT    NOT NULL,
  document      TEXT    NOT NULL,
  document_name TEXT    NOT NULL,
  sha256        TEXT    NOT NULL,
  contact       TEXT    NOT NULL,
  state         TEXT    NOT NULL CHECK (state IN ('OPEN', 'SIGNED', 'DECLINED', 'WITHDRAWN')),
  created       INTEGER NOT NULL,
  closed        INTEGER NOT NULL DEFAULT 0,
  reason        TEXT    NOT NULL DEFAULT '',
  session       TEXT    NOT NULL DEFAULT '',
  address       TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX signature_requests_by_age ON signature_requests (firm, created, id);
CREATE INDEX signature_requests_by_job ON signature_requests (job);
CREATE INDEX signature_requests_open ON signature_requests (firm, client) WHERE state = 'OPEN';
CREATE INDEX signature_requests_open_document ON signature_requests (document) WHERE state = 'OPEN';

-- What one person consented to at a provider: the token pair. Secrets are sealed to their row and column.
CREATE TABLE grants (
	id              TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
	firm            TEXT   NOT NULL,
	app             TEXT   NOT NULL, -- the registration at the provider
	subject         TEXT   NOT NULL, -- who consented, as the provider names the person
	scopes          TEXT   NOT NULL, -- with a space between
	status          TEXT   NOT NULL, -- ACTIVE, NEEDS_REAUTH, CLOSED
	reason          TEXT   NOT NULL,
	generation      BIGINT NOT NULL, -- grows with every refresh token; the fence of a refresh
	refresh_sealed  BYTEA,
	refresh_key     TEXT   NOT NULL,
	access_sealed   BYTEA,
	access_key      TEXT   NOT NULL,
	access_issued   BIGINT NOT NULL,
	access_expires  BIGINT NOT NULL,
	lease_owner     TEXT   NOT NULL, -- who refreshes now
	lease_until     BIGINT NOT NULL,
	attempt         TEXT   NOT NULL, -- a refresh that began and whose outcome is not known
	attempt_started BIGINT NOT NULL,
	committed       TEXT   NOT NULL, -- the refresh that gave the present tokens
	spare_sealed    BYTEA,           -- a refresh token from an answer that came too late to be the present one
	spare_key       TEXT   NOT NULL,
	spare_until     BIGINT NOT NULL,
	failures        BIGINT NOT NULL,
	retry_at        BIGINT NOT NULL,
	created         BIGINT NOT NULL,
	refreshed       BIGINT NOT NULL
);
CREATE INDEX grants_subject ON grants (app, subject);
CREATE INDEX grants_pending ON grants (lease_until) WHERE attempt <> '';
CREATE INDEX grants_refreshed ON grants (refreshed) WHERE status = 'ACTIVE';

-- A firm's use of one tenant. It is found again when the same tenant is connected again, and so never deleted.
CREATE TABLE connections (
	id                 TEXT    COLLATE "C" NOT NULL PRIMARY KEY,
	firm               TEXT    NOT NULL,
	provider           TEXT    NOT NULL,
	tenant_id          TEXT    NOT NULL,
	tenant_name        TEXT    NOT NULL,
	tenant_type        TEXT    NOT NULL,
	upstream_id        TEXT    NOT NULL, -- the provider's id of the connection
	grant_id           TEXT    NOT NULL, -- empty once disconnected
	state              TEXT    NOT NULL,
	reason             TEXT    NOT NULL,
	options            TEXT    NOT NULL, -- JSON
	created            BIGINT  NOT NULL,
	confirmed          BIGINT  NOT NULL, -- the last consent; the newest is "the last connection"
	connected_by       TEXT    NOT NULL,
	last_success       BIGINT  NOT NULL,
	version            BIGINT  NOT NULL,
	removals_suspended BOOLEAN NOT NULL,
	failures           BIGINT  NOT NULL,
	probe_at           BIGINT  NOT NULL, -- when a degraded connection is tried next
	sample             TEXT    NOT NULL, -- what the practice is recognised by
	UNIQUE (firm, provider, tenant_id)
);
CREATE INDEX connections_firm ON connections (firm, created, id);
CREATE INDEX connections_grant ON connections (grant_id) WHERE grant_id <> '';
CREATE INDEX connections_upstream ON connections (upstream_id);
CREATE INDEX connections_degraded ON connections (probe_at) WHERE state = 'DEGRADED';

-- One try to connect. The state parameter and the browser binding are kept as hashes, and sealed for a repeated request.
CREATE TABLE attempts (
	id              TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
	firm            TEXT   NOT NULL,
	person          TEXT   NOT NULL,
	provider        TEXT   NOT NULL,
	state           TEXT   NOT NULL,
	created         BIGINT NOT NULL,
	expires         BIGINT NOT NULL,
	state_hash      TEXT   NOT NULL,
	binding_hash    TEXT   NOT NULL,
	code_hash       TEXT   NOT NULL, -- of the provider's answer, to know it again
	secrets_sealed  BYTEA,           -- state, binding, verifier; the code while it is exchanged
	secrets_key     TEXT   NOT NULL,
	tokens_sealed   BYTEA,           -- until they become a grant's
	tokens_key      TEXT   NOT NULL,
	failure         TEXT   NOT NULL,
	error           TEXT   NOT NULL,
	subject         TEXT   NOT NULL,
	scopes          TEXT   NOT NULL,
	tenants         TEXT   NOT NULL, -- JSON
	preselected     TEXT   NOT NULL,
	choice          TEXT   NOT NULL, -- JSON
	claim_owner     TEXT   NOT NULL, -- who works on it now
	claim_until     BIGINT NOT NULL,
	UNIQUE (state_hash)
);
CREATE INDEX attempts_person ON attempts (firm, person, created);
CREATE INDEX attempts_open ON attempts (expires) WHERE state IN ('WAITING', 'EXCHANGING', 'LISTING', 'AUTHORISED', 'CONFIRMING');
CREATE INDEX attempts_ended ON attempts (created) WHERE state NOT IN ('WAITING', 'EXCHANGING', 'LISTING', 'AUTHORISED', 'CONFIRMING');

-- What is still to be told to the outside after a change that took effect here at once.
CREATE TABLE chores (
	id             TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
	firm           TEXT   NOT NULL,
	connection     TEXT   NOT NULL, -- empty for what belongs to none
	kind           TEXT   NOT NULL, -- REMOVE_TENANT, REVOKE, RELEASE_TWO_FACTOR
	provider       TEXT   NOT NULL,
	grant_id       TEXT   NOT NULL,
	upstream_id    TEXT   NOT NULL,
	subject        TEXT   NOT NULL,
	sealed         BYTEA,           -- a refresh token that no grant holds
	sealed_key     TEXT   NOT NULL,
	after          TEXT   NOT NULL, -- the chore to be done before
	due            BIGINT NOT NULL,
	tries          BIGINT NOT NULL,
	error          TEXT   NOT NULL,
	claim_owner    TEXT   NOT NULL,
	claim_until    BIGINT NOT NULL,
	created        BIGINT NOT NULL
);
CREATE INDEX chores_due ON chores (due);
CREATE INDEX chores_connection ON chores (connection) WHERE connection <> '';

-- Calls under way. One that is not ended by its time counts as ended then.
CREATE TABLE budget_calls (
	id      TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
	app     TEXT   NOT NULL,
	tenant  TEXT   NOT NULL,
	until   BIGINT NOT NULL
);
CREATE INDEX budget_calls_tenant ON budget_calls (app, tenant);

-- Calls that ended, counted by slots of a window. The tenant '' stands for all tenants of the app.
CREATE TABLE budget_usage (
	app     TEXT   NOT NULL,
	tenant  TEXT   NOT NULL,
	span    TEXT   NOT NULL, -- minute, day
	slot    BIGINT NOT NULL, -- when the slot ends
	used    BIGINT NOT NULL,
	PRIMARY KEY (app, tenant, span, slot)
);
CREATE INDEX budget_usage_slot ON budget_usage (span, slot);

-- What the provider itself said.
CREATE TABLE budget_told (
	app           TEXT   NOT NULL,
	tenant        TEXT   NOT NULL,
	blocked_until BIGINT NOT NULL,
	blocked_by    TEXT   NOT NULL,
	day_left      BIGINT NOT NULL,
	told          BIGINT NOT NULL,
	PRIMARY KEY (app, tenant)
);

-- Whose call it is, so that the app's minute can be shared fairly between firms.
ALTER TABLE budget_calls ADD COLUMN firm TEXT NOT NULL DEFAULT '';

-- Calls of a firm that ended, counted by slots of the minute that are longer than those of budget_usage: a share needs no
-- exact count.
CREATE TABLE budget_firms (
	app  TEXT NOT NULL,
	firm TEXT NOT NULL,
	slot INTEGER NOT NULL, -- when the slot ends
	used INTEGER NOT NULL,
	PRIMARY KEY (app, firm, slot)
) STRICT;
CREATE INDEX budget_firms_slot ON budget_firms (slot);

-- Calls that wait for their turn. One whose time is over waits no longer: its process died.
CREATE TABLE budget_waits (
	id         TEXT NOT NULL PRIMARY KEY,
	app        TEXT NOT NULL,
	tenant     TEXT NOT NULL,
	firm       TEXT NOT NULL,
	lane       INTEGER NOT NULL, -- 0 goes first
	limited_by TEXT NOT NULL, -- minute, appminute
	since      INTEGER NOT NULL,
	due        INTEGER NOT NULL, -- when it asks again
	until      INTEGER NOT NULL
) STRICT;
CREATE INDEX budget_waits_app ON budget_waits (app, limited_by, since);
CREATE INDEX budget_waits_until ON budget_waits (until);

-- When the next call of an app is due that goes by its pace.
CREATE TABLE budget_pace (
	app TEXT   NOT NULL PRIMARY KEY,
	due INTEGER NOT NULL
) STRICT;

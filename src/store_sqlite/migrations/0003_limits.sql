-- Limits, paused queues, schedules. What limits mean is in queue/limit.h.

ALTER TABLE job ADD COLUMN limit_key TEXT;

CREATE TABLE limit_rule (
  scope       INTEGER NOT NULL,      -- enum LimitScope
  name        TEXT NOT NULL,
  concurrency INTEGER,
  count       INTEGER,               -- null, as period and burst: no rate
  period      INTEGER,
  burst       INTEGER,
  PRIMARY KEY (scope, name)
) STRICT, WITHOUT ROWID;
-- One row. A handle knows the rules by heart until the number changes.
CREATE TABLE limit_version (version INTEGER NOT NULL) STRICT;
INSERT INTO limit_version VALUES (0);

-- A queue or key to which a rule applies, as long as anything is to be remembered of it.
CREATE TABLE gate (
  gate      INTEGER PRIMARY KEY,
  scope     INTEGER NOT NULL,
  name      TEXT NOT NULL,
  available INTEGER NOT NULL DEFAULT 0,  -- of its jobs, those in ready
  running   INTEGER NOT NULL DEFAULT 0,  -- those in running
  next      INTEGER NOT NULL DEFAULT 0,  -- of the rate's clock
  timer     INTEGER,                     -- when its rate lets one of those in that wait
  UNIQUE (scope, name)
) STRICT;
CREATE INDEX gate_timer ON gate (timer) WHERE timer IS NOT NULL;
CREATE INDEX gate_idle ON gate (next) WHERE available + running = 0;

-- Set while a job waits for a place of a limit: where, and its rank.
ALTER TABLE parked ADD COLUMN gate INTEGER;
ALTER TABLE parked ADD COLUMN rank INTEGER;
CREATE INDEX parked_gate ON parked (gate, rank, seq) WHERE gate IS NOT NULL;

CREATE TABLE paused_queue (queue TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

CREATE TABLE schedule (
  name   TEXT PRIMARY KEY,
  cron   TEXT NOT NULL,
  zone   TEXT NOT NULL,
  missed INTEGER NOT NULL,   -- enum Missed
  job    TEXT NOT NULL,      -- JSON: queue/new_job_json.h
  paused INTEGER NOT NULL,
  next   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Jobs. Times and durations are microseconds; states are the numbers of queue/state.h.
--
-- A job's row never changes. What changes is narrow and elsewhere: a live job has exactly one row in ready, parked
-- or running, an ended one a row in outcome that is not superseded.

-- What a claim looks for: a job is in the lane of its queue, slots and tags. Lanes are few and never removed.
CREATE TABLE lane (
  lane   INTEGER PRIMARY KEY,
  queue  TEXT NOT NULL,
  slots  INTEGER NOT NULL,
  tags   TEXT NOT NULL,             -- sorted, one a line
  UNIQUE (queue, slots, tags)
) STRICT;

CREATE TABLE job (
  seq            INTEGER PRIMARY KEY,   -- the order of insertion; names the job inside this file
  id             BLOB NOT NULL UNIQUE,
  parent         INTEGER,
  root           INTEGER,               -- null: itself
  kind           TEXT NOT NULL,
  name           TEXT NOT NULL,
  owner          TEXT NOT NULL,
  lane           INTEGER NOT NULL,
  priority       INTEGER NOT NULL,
  args           TEXT NOT NULL,         -- canonical JSON, kept as text
  labels         TEXT,                  -- null: {}
  most_attempts  INTEGER NOT NULL,
  timeout        INTEGER,
  deadline       INTEGER,               -- its own or that of a job above it, whichever is sooner
  deadline_asked INTEGER,               -- its own, as a duration
  unique_key     TEXT,
  weight         REAL NOT NULL,
  optional       INTEGER NOT NULL,
  held           INTEGER NOT NULL,      -- as asked for
  delay          INTEGER NOT NULL,
  created        INTEGER NOT NULL
) STRICT;
CREATE INDEX job_of_parent ON job (parent) WHERE parent IS NOT NULL;
CREATE INDEX job_of_root ON job (root) WHERE root IS NOT NULL;

-- What an attempt leaves to the next one. Most jobs live and end without a row here.
CREATE TABLE life (
  seq          INTEGER PRIMARY KEY,
  attempts     INTEGER NOT NULL DEFAULT 0,   -- charged, in this phase
  rescues      INTEGER NOT NULL DEFAULT 0,
  phase        TEXT NOT NULL DEFAULT '',
  has_children INTEGER NOT NULL DEFAULT 0,
  fail_fast    INTEGER NOT NULL DEFAULT 0,
  stop         INTEGER NOT NULL DEFAULT 0,   -- enum Stop: asked to end
  stop_reason  TEXT,
  ready        INTEGER,                      -- null: created + delay
  deadline     INTEGER,                      -- null: as in job; set when it was opened again
  progress     REAL NOT NULL DEFAULT 0,
  detail       TEXT,
  cpu          REAL NOT NULL DEFAULT 0,      -- of attempts that are over, but not in an outcome
  memory       INTEGER NOT NULL DEFAULT 0,
  bytes_read   INTEGER NOT NULL DEFAULT 0,
  bytes_written INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE checkpoint (seq INTEGER PRIMARY KEY, value TEXT NOT NULL) STRICT;

-- Available jobs; the key is the order of claims: rank = arrived - priority x 5 minutes (0005).
CREATE TABLE ready (
  lane INTEGER NOT NULL,
  rank INTEGER NOT NULL,
  seq  INTEGER NOT NULL,
  PRIMARY KEY (lane, rank, seq)
) STRICT, WITHOUT ROWID;

-- Created, waiting and scheduled jobs. open = open need edges + live children.
CREATE TABLE parked (
  seq   INTEGER PRIMARY KEY,
  state INTEGER NOT NULL,
  open  INTEGER NOT NULL,
  due   INTEGER NOT NULL
) STRICT;
CREATE INDEX parked_due ON parked (due) WHERE state = 2;

CREATE TABLE running (
  seq     INTEGER PRIMARY KEY,
  token   BLOB NOT NULL,
  session INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  claimed INTEGER NOT NULL
) STRICT;

-- The log of ends and re-openings. AUTOINCREMENT: a number is never given twice, also after a purge.
CREATE TABLE outcome (
  n          INTEGER PRIMARY KEY AUTOINCREMENT,
  seq        INTEGER NOT NULL,
  state      INTEGER NOT NULL,
  at         INTEGER NOT NULL,
  superseded INTEGER NOT NULL,     -- 1: the job was opened again, or this row says that it was
  cause      INTEGER NOT NULL,     -- enum Cause
  attempt    INTEGER NOT NULL,
  claimed    INTEGER,
  token      BLOB,                 -- of the attempt that succeeded
  result     TEXT,
  cpu        REAL,
  memory     INTEGER,
  bytes_read INTEGER,
  bytes_written INTEGER
) STRICT;
-- Unique: the file itself refuses to let a job end twice.
CREATE UNIQUE INDEX outcome_of_job ON outcome (seq) WHERE superseded = 0;

CREATE TABLE failure (
  n       INTEGER PRIMARY KEY,
  seq     INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  code    TEXT NOT NULL,
  message TEXT NOT NULL,
  native  INTEGER NOT NULL,
  worker  TEXT NOT NULL,
  began   INTEGER NOT NULL,
  ended   INTEGER NOT NULL,
  log     TEXT NOT NULL,
  cpu     REAL NOT NULL,
  memory  INTEGER NOT NULL,
  bytes_read INTEGER NOT NULL,
  bytes_written INTEGER NOT NULL
) STRICT;
CREATE INDEX failure_of_job ON failure (seq);

-- Edges between siblings. An edge is open as long as it counts in parked.open.
CREATE TABLE need (
  needed INTEGER NOT NULL,
  job    INTEGER NOT NULL,
  ignore_failure INTEGER NOT NULL,
  open   INTEGER NOT NULL,
  PRIMARY KEY (needed, job)
) STRICT, WITHOUT ROWID;
CREATE INDEX need_of_job ON need (job);

CREATE TABLE unique_key (
  owner TEXT NOT NULL,
  kind  TEXT NOT NULL,
  key   TEXT NOT NULL,
  seq   INTEGER NOT NULL,
  PRIMARY KEY (owner, kind, key)
) STRICT, WITHOUT ROWID;

-- Live jobs that asked for a deadline.
CREATE TABLE deadline (at INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (at, seq)) STRICT, WITHOUT ROWID;

-- Removed trees, until they are purged. top: the job that was named.
CREATE TABLE hidden (seq INTEGER PRIMARY KEY, top INTEGER NOT NULL) STRICT;

CREATE TABLE session (
  session INTEGER PRIMARY KEY AUTOINCREMENT,
  id      BLOB NOT NULL UNIQUE,
  host    TEXT NOT NULL,
  pid     INTEGER NOT NULL,
  version TEXT NOT NULL,
  slots   INTEGER NOT NULL,
  tags    TEXT NOT NULL,
  lease   INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  boot    TEXT NOT NULL            -- of the kernel it runs on: only there does its lock file speak of it
) STRICT;

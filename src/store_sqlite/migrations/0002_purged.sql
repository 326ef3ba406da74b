-- What a purged job leaves behind in the object store is known until it is removed too.

-- Empty but for what was opened again.
CREATE INDEX superseded_of_job ON outcome (seq) WHERE superseded = 1;

-- hidden holds removed and pruned trees. outputs: as in purged.
ALTER TABLE hidden ADD COLUMN outputs INTEGER NOT NULL DEFAULT 1;

-- Purged jobs, until their objects are removed too. outputs: 1: also what they published.
CREATE TABLE purged (
  id      BLOB PRIMARY KEY,
  root    BLOB NOT NULL,
  name    TEXT NOT NULL,
  outputs INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Workers that are asked to end (Store::drain).

ALTER TABLE session ADD COLUMN draining INTEGER NOT NULL DEFAULT 0;

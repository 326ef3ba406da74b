-- The place in line is that of the whole tree (docs/decisions/order_of_trees.md).

ALTER TABLE job ADD COLUMN arrived INTEGER;  -- when the job at its root was due; null: created + delay

ALTER TABLE life ADD COLUMN arrived INTEGER;  -- null: as in job; set when it was put off, or started

-- What is in line already.
UPDATE ready SET rank = j.created + j.delay - j.priority * 300000000 FROM job j WHERE j.seq = ready.seq;
UPDATE parked SET rank = j.created + j.delay - j.priority * 300000000 FROM job j WHERE j.seq = parked.seq AND parked.gate IS NOT NULL;

-- Workers that are asked to end (Store::drain).

ALTER TABLE spool.session ADD COLUMN draining boolean NOT NULL DEFAULT false;

-- What the session must stop: job and reason (1 cancelled, 2 past its deadline). A row of nulls: its lease is gone. Reason 3
-- asks the worker itself to drain, 4 tells that nobody has to look for anything before the next renewal; their job is one that
-- does not exist, which workers from before this migration pass over.
CREATE OR REPLACE FUNCTION spool.renew(shift bigint, of uuid) RETURNS TABLE (job uuid, why integer) LANGUAGE plpgsql AS $$
DECLARE
  now bigint := spool.clock(shift);
  mine spool.session;
BEGIN
  UPDATE spool.session s SET expires = s.lease + now WHERE s.id = of AND s.expires > now RETURNING s.* INTO mine;
  IF NOT found THEN
    RETURN QUERY SELECT NULL::uuid, NULL::integer;
    RETURN;
  END IF;
  IF mine.draining THEN RETURN QUERY SELECT '00000000-0000-0000-0000-000000000000'::uuid, 3; END IF;
  IF spool.nothing_to_rescue(now) AND NOT EXISTS (SELECT 1 FROM spool.purged)
     AND NOT EXISTS (SELECT 1 FROM spool.schedule s WHERE NOT s.paused AND s.next <= now + mine.lease / 2) THEN
    RETURN QUERY SELECT '00000000-0000-0000-0000-000000000000'::uuid, 4;
  END IF;
  RETURN QUERY SELECT j.id, CASE WHEN l.stop IN (0, 2) OR l.stop IS NULL THEN 2 ELSE 1 END
    FROM spool.running r JOIN spool.job j ON j.seq = r.seq LEFT JOIN spool.life l ON l.seq = r.seq
    WHERE r.session = mine.session AND (l.stop > 0 OR coalesce(l.deadline, j.deadline) <= now);
END $$;

-- What is new here is no more for everybody than the rest.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA spool FROM PUBLIC;

-- Places of limits: who waits for one, and who gets one. Only one transaction at a time gives places out, under a lock that
-- nobody takes as long as there is no limit. Whoever gives one back need not say so: places are counted when they are given.

-- When there is a place of one limit, beside those that are taken: GCRA on starts, as in queue/limit.h. Null: not before
-- somebody starts or ends.
CREATE FUNCTION spool.place_opens(of_scope integer, of_name text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  r spool.limit_rule := spool.limit_of(of_scope, of_name);
  available bigint;
  running bigint;
  next bigint;
BEGIN
  IF r.scope IS NULL THEN RETURN 0; END IF;
  -- ready_limited; running is as short as all workers have slots
  SELECT count(*) INTO available FROM spool.ready x JOIN spool.job j ON j.seq = x.seq JOIN spool.lane a ON a.lane = j.lane
    WHERE x.limited AND CASE of_scope WHEN 0 THEN a.queue ELSE j.limit_key END = of_name;
  IF r.concurrency IS NOT NULL THEN
    SELECT count(*) INTO running FROM spool.running x JOIN spool.job j ON j.seq = x.seq
        JOIN spool.lane a ON a.lane = j.lane
      WHERE x.limited AND CASE of_scope WHEN 0 THEN a.queue ELSE j.limit_key END = of_name;
    IF available + running >= r.concurrency THEN RETURN NULL; END IF;
  END IF;
  IF r.count IS NULL THEN RETURN 0; END IF;
  IF available >= r.burst THEN RETURN NULL; END IF;
  SELECT c.next INTO next FROM spool.limit_clock c WHERE c.scope = of_scope AND c.name = of_name;
  RETURN coalesce(next, 0) - (r.burst - 1 - available) * ((r.period + r.count - 1) / r.count);
END $$;

-- Gives out the places that there are, in the order of rank. Returns when the next one opens by itself; null: none does.
CREATE FUNCTION spool.admit(now bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  lines integer[];
  ranks bigint[];
  seqs bigint[];
  best integer;
  waits spool.limit_line;
  queue_opens bigint;
  key_opens bigint;
  head record;
  next_opening bigint;
BEGIN
  IF NOT EXISTS (SELECT 1 FROM spool.limit_rule) THEN RETURN NULL; END IF;
  PERFORM pg_advisory_xact_lock(1397771084, 1);
  SELECT array_agg(l.line ORDER BY l.line), array_agg(h.rank ORDER BY l.line), array_agg(h.seq ORDER BY l.line)
    INTO lines, ranks, seqs
    FROM spool.limit_line l CROSS JOIN LATERAL (
      SELECT p.rank, p.seq FROM spool.parked p WHERE p.line = l.line ORDER BY p.rank, p.seq LIMIT 1) h;
  LOOP
    SELECT h.at INTO best FROM unnest(ranks, seqs) WITH ORDINALITY h (rank, seq, at) WHERE h.rank IS NOT NULL
      ORDER BY h.rank, h.seq LIMIT 1;
    EXIT WHEN best IS NULL;
    SELECT * INTO waits FROM spool.limit_line l WHERE l.line = lines[best];
    queue_opens := spool.place_opens(0, waits.queue);
    key_opens := CASE waits.key WHEN '' THEN 0 ELSE spool.place_opens(1, waits.key) END;
    IF queue_opens IS NULL OR key_opens IS NULL OR greatest(queue_opens, key_opens) > now THEN
      IF queue_opens IS NOT NULL AND key_opens IS NOT NULL THEN
        next_opening := least(next_opening, greatest(queue_opens, key_opens));
      END IF;
      ranks[best] := NULL;  -- and nobody in this line before it opens
      CONTINUE;
    END IF;
    PERFORM 1 FROM spool.parked p WHERE p.seq = seqs[best] AND p.line = lines[best] FOR UPDATE SKIP LOCKED;
    IF found THEN  -- else somebody is at it, who gives out places too before it commits
      DELETE FROM spool.parked p WHERE p.seq = seqs[best];
      INSERT INTO spool.ready (lane, rank, seq, plain, limited)
        SELECT j.lane, ranks[best], j.seq, false, true FROM spool.job j WHERE j.seq = seqs[best];
      PERFORM spool.note_woken((SELECT j.lane FROM spool.job j WHERE j.seq = seqs[best]));
    END IF;
    SELECT p.rank, p.seq INTO head FROM spool.parked p
      WHERE p.line = lines[best] AND (p.rank, p.seq) > (ranks[best], seqs[best]) ORDER BY p.rank, p.seq LIMIT 1;
    ranks[best] := head.rank;
    seqs[best] := head.seq;
  END LOOP;
  RETURN next_opening;
END $$;

-- Moves the clocks of what was claimed. Under the lock of admit().
CREATE FUNCTION spool.started(of bigint[], now bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  job record;
  gate record;
  r spool.limit_rule;
BEGIN
  FOR job IN SELECT a.queue, j.limit_key FROM spool.job j JOIN spool.lane a ON a.lane = j.lane WHERE j.seq = ANY (of) LOOP
    FOR gate IN SELECT * FROM (VALUES (0, job.queue), (1, job.limit_key)) g (scope, name) WHERE g.name IS NOT NULL LOOP
      r := spool.limit_of(gate.scope, gate.name);
      CONTINUE WHEN r.count IS NULL;
      INSERT INTO spool.limit_clock AS c (scope, name, next)
        VALUES (gate.scope, gate.name, now + (r.period + r.count - 1) / r.count)
        ON CONFLICT (scope, name) DO UPDATE SET next = greatest(c.next, now) + (r.period + r.count - 1) / r.count;
    END LOOP;
  END LOOP;
END $$;

-- What is available without a place, and a limit applies to it, goes into its line.
CREATE FUNCTION spool.into_lines() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO spool.limit_line (queue, key)
    SELECT DISTINCT a.queue, coalesce(j.limit_key, '')
      FROM spool.ready r JOIN spool.job j ON j.seq = r.seq JOIN spool.lane a ON a.lane = j.lane
      WHERE NOT r.limited AND spool.has_limit(a.queue, j.limit_key)
        AND NOT EXISTS (SELECT 1 FROM spool.limit_line l WHERE l.queue = a.queue AND l.key = coalesce(j.limit_key, ''));
  WITH moved AS (
    DELETE FROM spool.ready r USING spool.job j, spool.lane a, spool.limit_line l
      WHERE NOT r.limited AND j.seq = r.seq AND a.lane = j.lane AND l.queue = a.queue
        AND l.key = coalesce(j.limit_key, '') AND spool.has_limit(a.queue, j.limit_key)
      RETURNING r.seq, r.rank, l.line, a.priority)
  INSERT INTO spool.parked (seq, state, open, due, line, rank)
    SELECT m.seq, 1, 0, m.rank + m.priority * 300000000::bigint, m.line, m.rank FROM moved m;
END $$;

-- When the limits have changed. All that is available and limited is read and written once; what runs keeps its place.
CREATE FUNCTION spool.limits_changed(now bigint) RETURNS integer[] LANGUAGE plpgsql AS $$
BEGIN
  WITH moved AS (DELETE FROM spool.parked p WHERE p.line IS NOT NULL RETURNING p.seq, p.rank)
  INSERT INTO spool.ready (lane, rank, seq, plain)
    SELECT j.lane, m.rank, m.seq, false FROM moved m JOIN spool.job j ON j.seq = m.seq;
  UPDATE spool.ready r SET limited = false WHERE r.limited;
  PERFORM spool.note_woken(l.lane) FROM spool.lane l;
  PERFORM spool.into_lines();
  UPDATE spool.running r SET limited = spool.has_limit(a.queue, j.limit_key), plain = false
    FROM spool.job j JOIN spool.lane a ON a.lane = j.lane WHERE j.seq = r.seq;
  DELETE FROM spool.limit_clock c WHERE (spool.limit_of(c.scope, c.name)).count IS NULL;
  PERFORM spool.admit(now);
  RETURN spool.woken();
END $$;

CREATE FUNCTION spool.set_limit(
  shift bigint, scope integer, name text, concurrency integer, count integer, period bigint, burst integer)
RETURNS integer[] LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(1397771084, 1);
  INSERT INTO spool.limit_rule VALUES (scope, name, concurrency, count, period, burst)
    ON CONFLICT ON CONSTRAINT limit_rule_pkey DO UPDATE SET concurrency = excluded.concurrency, count = excluded.count,
      period = excluded.period, burst = excluded.burst;
  RETURN spool.limits_changed(spool.clock(shift));
END $$;

CREATE FUNCTION spool.remove_limit(shift bigint, of_scope integer, of_name text) RETURNS integer[] LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(1397771084, 1);
  DELETE FROM spool.limit_rule r WHERE r.scope = of_scope AND r.name = of_name;
  IF NOT found THEN PERFORM spool.refuse('SP002', 'there is no limit for ' || of_name); END IF;
  RETURN spool.limits_changed(spool.clock(shift));
END $$;

-- How they stand, over all their queues or keys.
CREATE FUNCTION spool.limits_in_use() RETURNS TABLE (
  scope integer, name text, concurrency integer, count integer, period bigint, burst integer, taken bigint, waiting bigint)
LANGUAGE sql STABLE AS $$
  WITH held AS (
    SELECT a.queue, j.limit_key, x.waits FROM (
      SELECT r.seq, 0 AS waits FROM spool.ready r WHERE r.limited
      UNION ALL SELECT r.seq, 0 FROM spool.running r WHERE r.limited
      UNION ALL SELECT p.seq, 1 FROM spool.parked p WHERE p.line IS NOT NULL) x
    JOIN spool.job j ON j.seq = x.seq JOIN spool.lane a ON a.lane = j.lane
  ), by_rule AS (
    SELECT 0 AS scope, (spool.limit_of(0, h.queue)).name, h.waits, count(*) AS many FROM held h GROUP BY 2, 3
    UNION ALL
    SELECT 1, (spool.limit_of(1, h.limit_key)).name, h.waits, count(*) FROM held h WHERE h.limit_key IS NOT NULL GROUP BY 2, 3
  )
  SELECT r.scope, r.name, r.concurrency, r.count, r.period, r.burst,
    coalesce(sum(b.many) FILTER (WHERE b.waits = 0), 0)::bigint, coalesce(sum(b.many) FILTER (WHERE b.waits = 1), 0)::bigint
  FROM spool.limit_rule r LEFT JOIN by_rule b ON b.scope = r.scope AND b.name = r.name
  GROUP BY r.scope, r.name, r.concurrency, r.count, r.period, r.burst ORDER BY r.scope, r.name
$$;

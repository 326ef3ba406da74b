-- Places of limits: who waits for one, and who gets one. Only one transaction at a time gives places out, under a lock that
-- nobody takes as long as there is no limit. Whoever gives one back need not say so: places are counted when they are given.

-- The lines in which somebody waits: how many places more its queue and its key have (without a limit: more than there are jobs),
-- and when one of both opens by itself: GCRA on starts, as in queue/limit.h; null: not before somebody starts or ends. The gates
-- are numbers of the limits, from 1 to `gates`, the same for lines that share one; null: no limit.
CREATE FUNCTION spool.waiting_lines(now bigint) RETURNS TABLE (
  line integer, gates integer, queue_gate integer, key_gate integer, queue_room bigint, key_room bigint, opens bigint)
LANGUAGE plpgsql
SET enable_hashjoin = on SET enable_seqscan = off SET jit = off AS $$  -- for many keys; whatever the caller, or an empty table, has set
BEGIN
  RETURN QUERY WITH RECURSIVE waits AS (  -- parked_line, from line to line
    (SELECT p.line FROM spool.parked p WHERE p.line IS NOT NULL ORDER BY p.line LIMIT 1)
    UNION ALL
    SELECT (SELECT p.line FROM spool.parked p WHERE p.line > w.line ORDER BY p.line LIMIT 1) FROM waits w WHERE w.line IS NOT NULL
  ), lines AS MATERIALIZED (
    SELECT l.line, l.queue, nullif(l.key, '') AS key FROM waits w JOIN spool.limit_line l ON l.line = w.line
  ), held AS MATERIALIZED (  -- ready_limited; running is as short as all workers have slots
    SELECT a.queue, j.limit_key, x.starts FROM (
        SELECT r.seq, true AS starts FROM spool.ready r WHERE r.limited
        UNION ALL SELECT r.seq, false FROM spool.running r WHERE r.limited) x
      JOIN spool.job j ON j.seq = x.seq JOIN spool.lane a ON a.lane = j.lane
  ), taken AS (
    SELECT 0 AS scope, h.queue AS name, count(*) FILTER (WHERE h.starts) AS available, count(*) AS all_taken FROM held h GROUP BY h.queue
    UNION ALL
    SELECT 1, h.limit_key, count(*) FILTER (WHERE h.starts), count(*) FROM held h WHERE h.limit_key IS NOT NULL GROUP BY h.limit_key
  ), gate AS MATERIALIZED (
    SELECT row_number() OVER ()::integer AS number, n.scope, n.name, r.concurrency, r.burst, (r.period + r.count - 1) / r.count AS spacing,
        greatest(coalesce(c.next, 0) - now, 0) AS ahead, coalesce(t.available, 0) AS available, coalesce(t.all_taken, 0) AS all_taken
      FROM (SELECT 0 AS scope, l.queue AS name FROM lines l UNION SELECT 1, l.key FROM lines l WHERE l.key IS NOT NULL) n
        CROSS JOIN LATERAL spool.limit_of(n.scope, n.name) r
        LEFT JOIN taken t ON t.scope = n.scope AND t.name = n.name
        LEFT JOIN spool.limit_clock c ON c.scope = n.scope AND c.name = n.name
  ), gate_now AS MATERIALIZED (
    SELECT g.number, g.scope, g.name,
        greatest(least(g.concurrency - g.all_taken, g.burst - (g.ahead + g.spacing - 1) / g.spacing - g.available), 0) AS room,
        CASE WHEN g.all_taken >= g.concurrency OR g.available >= g.burst THEN NULL
          ELSE now + greatest(g.ahead - (g.burst - 1 - g.available) * g.spacing, 0) END AS opens
      FROM gate g
  )
  SELECT l.line, (SELECT count(*) FROM gate_now)::integer, q.number, k.number, coalesce(q.room, 9223372036854775807),
      coalesce(k.room, 9223372036854775807),
      CASE WHEN q.number IS NOT NULL AND q.opens IS NULL OR k.number IS NOT NULL AND k.opens IS NULL THEN NULL
        ELSE greatest(q.opens, k.opens) END
    FROM lines l LEFT JOIN gate_now q ON q.scope = 0 AND q.name = l.queue LEFT JOIN gate_now k ON k.scope = 1 AND k.name = l.key;
END $$;

-- Gives out the places that there are, in the order of rank. Returns when the next one opens by itself; null: none does.
CREATE FUNCTION spool.admit(now bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  waits record;
  given bigint[];           -- by the number of a gate
  admitted bigint[];
  lanes integer[];
  held bigint[] := '{}';    -- somebody else is at them, who gives out places too before it commits
  passed_by boolean;
BEGIN
  IF NOT EXISTS (SELECT 1 FROM spool.limit_rule) THEN RETURN NULL; END IF;
  PERFORM pg_advisory_xact_lock(1397771084, 1);
  LOOP
    given := NULL;
    admitted := '{}';
    passed_by := false;
    FOR waits IN SELECT w.gates, w.queue_gate, w.key_gate, w.queue_room, w.key_room, p.seq
                 FROM spool.waiting_lines(now) w CROSS JOIN LATERAL (
                     SELECT x.rank, x.seq FROM spool.parked x WHERE x.line = w.line AND NOT x.seq = ANY (held)
                       ORDER BY x.rank, x.seq LIMIT least(w.queue_room, w.key_room)) p
                 WHERE w.queue_room > 0 AND w.key_room > 0 ORDER BY p.rank, p.seq LOOP
      given := coalesce(given, array_fill(0::bigint, ARRAY[waits.gates]));
      CONTINUE WHEN given[waits.queue_gate] >= waits.queue_room OR given[waits.key_gate] >= waits.key_room;
      PERFORM 1 FROM spool.parked p WHERE p.seq = waits.seq FOR UPDATE SKIP LOCKED;
      IF NOT found THEN
        held := held || waits.seq;
        passed_by := true;
        CONTINUE;
      END IF;
      admitted := admitted || waits.seq;
      IF waits.queue_gate IS NOT NULL THEN given[waits.queue_gate] := given[waits.queue_gate] + 1; END IF;
      IF waits.key_gate IS NOT NULL THEN given[waits.key_gate] := given[waits.key_gate] + 1; END IF;
    END LOOP;
    WITH gone AS (
      DELETE FROM spool.parked p WHERE p.seq = ANY (admitted) RETURNING p.seq, p.rank
    ), line AS (
      INSERT INTO spool.ready (lane, rank, seq, plain, limited)
        SELECT j.lane, g.rank, g.seq, false, true FROM gone g JOIN spool.job j ON j.seq = g.seq RETURNING lane
    )
    SELECT array_agg(DISTINCT l.lane) INTO lanes FROM line l;
    PERFORM spool.note_woken(l.lane) FROM unnest(lanes) l (lane);
    EXIT WHEN NOT passed_by;
  END LOOP;
  IF NOT EXISTS (SELECT 1 FROM spool.limit_rule r WHERE r.count IS NOT NULL) THEN RETURN NULL; END IF;
  RETURN (SELECT min(w.opens) FROM spool.waiting_lines(now) w WHERE w.opens > now);
END $$;

-- Moves the clocks of what was claimed and has not been started before, in an earlier phase. Under the lock of admit().
CREATE FUNCTION spool.started(of bigint[], now bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  job record;
  gate record;
  r spool.limit_rule;
BEGIN
  FOR job IN SELECT a.queue, j.limit_key FROM spool.job j JOIN spool.lane a ON a.lane = j.lane LEFT JOIN spool.life l ON l.seq = j.seq
             WHERE j.seq = ANY (of) AND coalesce(l.phase, '') = '' LOOP
    FOR gate IN SELECT * FROM (VALUES (0, job.queue), (1, job.limit_key)) g (scope, name) WHERE g.name IS NOT NULL LOOP
      SELECT * INTO r FROM spool.limit_of(gate.scope, gate.name);
      CONTINUE WHEN r.count IS NULL;
      INSERT INTO spool.limit_clock AS c (scope, name, next)
        VALUES (gate.scope, gate.name, now + (r.period + r.count - 1) / r.count)
        ON CONFLICT (scope, name) DO UPDATE SET next = greatest(c.next, now) + (r.period + r.count - 1) / r.count;
    END LOOP;
  END LOOP;
END $$;

-- Of those rows of ready: what a limit applies to goes into its line.
CREATE FUNCTION spool.into_lines(lanes integer[], ranks bigint[], seqs bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  WITH names AS MATERIALIZED (
    SELECT DISTINCT a.queue, coalesce(j.limit_key, '') AS key
      FROM unnest(seqs) s (seq) JOIN spool.job j ON j.seq = s.seq JOIN spool.lane a ON a.lane = j.lane
  ), lines AS MATERIALIZED (
    SELECT n.queue, n.key, spool.line_for(n.queue, n.key) AS line FROM names n WHERE spool.has_limit(n.queue, nullif(n.key, ''))
  ), moved AS (
    DELETE FROM spool.ready r USING unnest(lanes, ranks, seqs) s (lane, rank, seq), spool.job j, spool.lane a, lines l
      WHERE r.lane = s.lane AND r.rank = s.rank AND r.seq = s.seq AND j.seq = s.seq AND a.lane = s.lane
        AND l.queue = a.queue AND l.key = coalesce(j.limit_key, '')
      RETURNING r.seq, r.rank, l.line, a.priority)
  INSERT INTO spool.parked (seq, state, open, due, line, rank)
    SELECT m.seq, 1, 0, m.rank + m.priority * 300000000::bigint, m.line, m.rank FROM moved m;
END $$;

-- When the limits have changed. All that is available and limited is read and written once; what runs keeps its place. The fleet
-- waits meanwhile: for what an application holds there is no waiting.
CREATE FUNCTION spool.limits_changed(now bigint) RETURNS integer[] LANGUAGE plpgsql AS $$
BEGIN
  WITH moved AS (DELETE FROM spool.parked p WHERE p.line IS NOT NULL RETURNING p.seq, p.rank)
  INSERT INTO spool.ready (lane, rank, seq, plain)
    SELECT j.lane, m.rank, m.seq, false FROM moved m JOIN spool.job j ON j.seq = m.seq;
  UPDATE spool.ready r SET limited = false WHERE r.limited;
  PERFORM spool.note_woken(l.lane) FROM spool.lane l;
  PERFORM spool.into_lines(array_agg(r.lane), array_agg(r.rank), array_agg(r.seq)) FROM spool.ready r;
  UPDATE spool.running r SET limited = spool.has_limit(a.queue, j.limit_key), plain = false
    FROM spool.job j JOIN spool.lane a ON a.lane = j.lane WHERE j.seq = r.seq;
  DELETE FROM spool.limit_clock c
    WHERE NOT EXISTS (SELECT 1 FROM spool.limit_of(c.scope, c.name) r WHERE r.count IS NOT NULL);
  PERFORM spool.admit(now);
  RETURN spool.woken();
EXCEPTION WHEN lock_not_available THEN
  RAISE EXCEPTION USING ERRCODE = 'lock_not_available', MESSAGE =
    'nothing was changed: a transaction that is open in another program holds a job that the limits are about; try again when it has ended';
END $$;

CREATE FUNCTION spool.set_limit(
  shift bigint, scope integer, name text, concurrency integer, count integer, period bigint, burst integer)
RETURNS integer[] LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(1397771084, 1);
  INSERT INTO spool.limit_rule VALUES (scope, name, concurrency, count, period, burst)
    ON CONFLICT ON CONSTRAINT limit_rule_pkey DO UPDATE SET concurrency = excluded.concurrency, count = excluded.count,
      period = excluded.period, burst = excluded.burst;
  RETURN spool.limits_changed(spool.clock(shift));
END $$;

CREATE FUNCTION spool.remove_limit(shift bigint, of_scope integer, of_name text) RETURNS integer[] LANGUAGE plpgsql
SET lock_timeout = '2s' AS $$
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
    SELECT r.scope, r.name, h.waits, count(*) AS many FROM held h CROSS JOIN LATERAL spool.limit_of(0, h.queue) r GROUP BY 1, 2, 3
    UNION ALL
    SELECT r.scope, r.name, h.waits, count(*) FROM held h CROSS JOIN LATERAL spool.limit_of(1, h.limit_key) r GROUP BY 1, 2, 3
  )
  SELECT r.scope, r.name, r.concurrency, r.count, r.period, r.burst,
    coalesce(sum(b.many) FILTER (WHERE b.waits = 0), 0)::bigint, coalesce(sum(b.many) FILTER (WHERE b.waits = 1), 0)::bigint
  FROM spool.limit_rule r LEFT JOIN by_rule b ON b.scope = r.scope AND b.name = r.name
  GROUP BY r.scope, r.name, r.concurrency, r.count, r.period, r.burst ORDER BY r.scope, r.name
$$;

-- Sessions, reports, and what people do to jobs.

CREATE FUNCTION spool.open_session(
  shift bigint, id uuid, host text, pid integer, version text, slots integer, tags text[], lease bigint)
RETURNS void LANGUAGE sql VOLATILE AS $$
  INSERT INTO spool.session (id, host, pid, version, slots, tags, lease, expires)
    VALUES (id, host, pid, version, slots, tags, lease, spool.clock(shift) + lease)
$$;

CREATE FUNCTION spool.close_session(shift bigint, of uuid) RETURNS integer[] LANGUAGE plpgsql AS $$
DECLARE
  now bigint := spool.clock(shift);
  closing spool.session;
BEGIN
  SELECT * INTO closing FROM spool.session s WHERE s.id = of FOR UPDATE;
  IF found THEN
    IF spool.take_from(closing.session, closing.expires <= now, true, 2147483647, now) > 0 THEN PERFORM spool.admit(now); END IF;
    PERFORM spool.end_session(closing.session);
  END IF;
  RETURN spool.woken();
END $$;

-- What the worker does not know of it got by an exchange whose answer was lost. Such an exchange has the row of its session, or
-- will not find it.
CREATE FUNCTION spool.hand_over(shift bigint, of uuid, heir uuid, attempts uuid[]) RETURNS integer[] LANGUAGE plpgsql
SET lock_timeout = '2s' AS $$
DECLARE
  now bigint := spool.clock(shift);
  closing spool.session;
  number bigint;
BEGIN
  SELECT * INTO closing FROM spool.session s WHERE s.id = of FOR UPDATE;
  UPDATE spool.session s SET draining = s.draining OR coalesce(closing.draining, false), expires = s.lease + now
    WHERE s.id = heir AND s.expires > now RETURNING s.session INTO number;
  IF number IS NULL OR closing.expires <= now OR closing.session IS NULL AND cardinality(attempts) > 0
      AND NOT EXISTS (SELECT 1 FROM spool.running r WHERE r.session = number) THEN
    PERFORM spool.refuse('SP005', 'the session''s lease is gone');
  END IF;
  IF closing.session IS NOT NULL THEN  -- else it was handed over before
    UPDATE spool.running r SET session = number WHERE r.session = closing.session AND r.token = ANY (attempts);
    IF spool.take_from(closing.session, false, true, 2147483647, now) > 0 THEN PERFORM spool.admit(now); END IF;
    PERFORM spool.end_session(closing.session);
  END IF;
  RETURN spool.woken();
END $$;

-- What the session must stop: job and reason (1 cancelled, 2 past its deadline). A row of nulls: its lease is gone.
CREATE FUNCTION spool.renew(shift bigint, of uuid) RETURNS TABLE (job uuid, why integer) LANGUAGE plpgsql AS $$
DECLARE
  now bigint := spool.clock(shift);
  number bigint;
BEGIN
  UPDATE spool.session s SET expires = s.lease + now WHERE s.id = of AND s.expires > now RETURNING s.session INTO number;
  IF NOT found THEN
    RETURN QUERY SELECT NULL::uuid, NULL::integer;
    RETURN;
  END IF;
  RETURN QUERY SELECT j.id, CASE WHEN l.stop IN (0, 2) OR l.stop IS NULL THEN 2 ELSE 1 END
    FROM spool.running r JOIN spool.job j ON j.seq = r.seq LEFT JOIN spool.life l ON l.seq = r.seq
    WHERE r.session = number AND (l.stop > 0 OR coalesce(l.deadline, j.deadline) <= now);
END $$;

-- One row a report: the error's code and message, or whether the attempt has been asked to stop. What another transaction
-- holds is not waited for: a worker that reports has a lease to renew.
CREATE FUNCTION spool.report(
  shift bigint, jobs uuid[], tokens uuid[], fractions double precision[], details text[], checkpoints text[])
RETURNS TABLE (code text, message text, stop boolean) LANGUAGE plpgsql AS $$
DECLARE
  now bigint := spool.clock(shift);
  held record;
  had text;
  moved_on boolean;
BEGIN
  FOR i IN 1 .. cardinality(jobs) LOOP
    SELECT r.seq, r.plain, coalesce(l.stop, 0) <> 0 OR coalesce(coalesce(l.deadline, j.deadline) <= now, false) AS stop,
        coalesce(l.progress, 0) AS progress
      INTO held FROM spool.job j JOIN spool.running r ON r.seq = j.seq LEFT JOIN spool.life l ON l.seq = j.seq
      WHERE j.id = jobs[i] AND r.token = tokens[i] FOR UPDATE OF r SKIP LOCKED;
    IF NOT found AND EXISTS (SELECT 1 FROM spool.job j JOIN spool.running r ON r.seq = j.seq
                             WHERE j.id = jobs[i] AND r.token = tokens[i]) THEN
      RETURN QUERY SELECT 'unavailable', 'job ' || jobs[i] || ': another transaction holds it', false;
      CONTINUE;
    ELSIF NOT found THEN
      RETURN QUERY SELECT 'lease_lost', 'job ' || jobs[i] || ': another attempt owns it, or none', false;
      CONTINUE;
    END IF;
    moved_on := false;
    IF fractions[i] > held.progress OR details[i] IS NOT NULL THEN
      moved_on := fractions[i] > held.progress;
      INSERT INTO spool.life AS l (seq, progress, detail)
        VALUES (held.seq, greatest(fractions[i], held.progress), details[i])
        ON CONFLICT (seq) DO UPDATE SET progress = greatest(l.progress, excluded.progress),
          detail = coalesce(excluded.detail, l.detail);
    END IF;
    IF checkpoints[i] IS NOT NULL THEN
      SELECT c.value INTO had FROM spool.checkpoint c WHERE c.seq = held.seq;
      IF had IS DISTINCT FROM checkpoints[i] THEN
        INSERT INTO spool.checkpoint (seq, value) VALUES (held.seq, checkpoints[i])
          ON CONFLICT (seq) DO UPDATE SET value = excluded.value;
        moved_on := true;
      END IF;
    END IF;
    IF moved_on THEN UPDATE spool.life l SET rescues = 0 WHERE l.seq = held.seq AND l.rescues > 0; END IF;
    IF held.plain AND (moved_on OR details[i] IS NOT NULL) THEN
      UPDATE spool.running r SET plain = false WHERE r.seq = held.seq;
    END IF;
    RETURN QUERY SELECT NULL, NULL, held.stop;
  END LOOP;
END $$;

-- The seq of a job, with its tree locked; there must be one.
CREATE FUNCTION spool.must_find(job uuid) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  of bigint := spool.find(job);
BEGIN
  IF of IS NULL THEN PERFORM spool.refuse('SP002', 'there is no job ' || job); END IF;
  RETURN of;
END $$;

CREATE FUNCTION spool.state_name(state integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT (ARRAY['created', 'waiting', 'scheduled', 'available', 'running', 'succeeded', 'failed', 'cancelled'])[state + 1]
$$;

CREATE FUNCTION spool.start(shift bigint, job uuid) RETURNS integer[] LANGUAGE plpgsql AS $$
DECLARE
  now bigint := spool.clock(shift);
  n spool.node := spool.load(spool.must_find(job));
  ends spool.ended[] := '{}';
  step record;
  anything boolean := false;
BEGIN
  IF n.state >= 5 THEN PERFORM spool.refuse('SP003', 'it has ' || spool.state_name(n.state) || ' already'); END IF;
  FOR step IN SELECT s.seq FROM spool.subtree(n.seq) s ORDER BY s.seq LOOP
    n := spool.load(step.seq);
    CONTINUE WHEN n.state <> 0 OR n.stop <> 0;
    anything := true;
    n := spool.go_behind(n, greatest(n.due, now));
    IF n.open > 0 THEN
      UPDATE spool.parked p SET state = 1 WHERE p.seq = n.seq;
    ELSE
      ends := ends || spool.resume(n, now);
    END IF;
  END LOOP;
  PERFORM spool.propagate(ends, now);
  IF anything THEN PERFORM spool.admit(now); END IF;
  RETURN spool.woken();
END $$;

-- Returns how many jobs ended at once.
CREATE FUNCTION spool.cancel_tree(job uuid, now bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  n spool.node := spool.load(spool.must_find(job));
BEGIN
  IF n.state >= 5 THEN RETURN 0; END IF;
  RETURN spool.propagate(spool.stop_tree(n.seq, 1, 'cancelled', now), now);
END $$;
CREATE FUNCTION spool.cancel_job(shift bigint, job uuid) RETURNS integer[] LANGUAGE plpgsql AS $$
DECLARE
  now bigint := spool.clock(shift);
BEGIN
  IF spool.cancel_tree(job, now) > 0 THEN PERFORM spool.admit(now); END IF;
  RETURN spool.woken();
END $$;

-- Top, and all that did not succeed below it, are opened again; what has succeeded keeps its own.
CREATE FUNCTION spool.retry(shift bigint, job uuid) RETURNS integer[] LANGUAGE plpgsql AS $$
DECLARE
  now bigint := spool.clock(shift);
  top spool.node := spool.load(spool.must_find(job));
  again bigint[];
  step record;
  edge record;
  n spool.node;
  above bigint;
  own bigint;
  open_needs bigint;
  deadlines jsonb := '{}';
BEGIN
  IF top.state NOT IN (6, 7) THEN
    PERFORM spool.refuse('SP003', 'only failed and cancelled jobs can be retried: it is ' || spool.state_name(top.state));
  END IF;
  -- What was removed is neither opened again nor waited for.
  WITH RECURSIVE below (seq, depth) AS (
    VALUES (top.seq, 0)
    UNION ALL
    SELECT j.seq, b.depth + 1 FROM below b JOIN spool.job j ON j.parent = b.seq
      JOIN spool.outcome o ON o.seq = j.seq AND NOT o.superseded AND o.state IN (6, 7)
      WHERE NOT EXISTS (SELECT 1 FROM spool.hidden h WHERE h.seq = j.seq))
  SELECT array_agg(b.seq ORDER BY b.depth, b.seq) INTO again FROM below b;

  IF top.parent IS NOT NULL THEN
    PERFORM spool.expect_children(top.parent, 1);
    deadlines := jsonb_build_object(top.parent, (spool.peek(top.parent)).deadline);
  END IF;
  FOR step IN SELECT a.seq FROM unnest(again) WITH ORDINALITY a (seq, at) ORDER BY a.at LOOP
    n := spool.peek(step.seq);
    SELECT count(*) INTO open_needs FROM spool.job j WHERE j.parent = n.seq AND j.seq = ANY (again);
    FOR edge IN SELECT w.needed, w.ignore_failure OR EXISTS (SELECT 1 FROM spool.hidden h WHERE h.seq = w.needed) AS ignore
                FROM spool.need w WHERE w.job = n.seq ORDER BY w.needed LOOP
      IF edge.needed = ANY (again) THEN
        UPDATE spool.need w SET open = true WHERE w.needed = edge.needed AND w.job = n.seq;
        open_needs := open_needs + 1;
      ELSE
        DECLARE
          needed spool.node;
        BEGIN
          PERFORM spool.lock_trees(ARRAY(SELECT coalesce(j.root, j.seq) FROM spool.job j WHERE j.seq = edge.needed));
          needed := spool.load(edge.needed);
          IF needed.state IN (6, 7) AND NOT edge.ignore THEN
            PERFORM spool.refuse('SP003', 'what it needs did not succeed: retry that, or their parent');
          END IF;
          UPDATE spool.need w SET open = needed.state < 5 WHERE w.needed = edge.needed AND w.job = n.seq;
          IF needed.state < 5 THEN
            PERFORM spool.not_plain(edge.needed);
            open_needs := open_needs + 1;
          END IF;
        END;
      END IF;
    END LOOP;
    IF n.has_key THEN
      INSERT INTO spool.unique_key (owner, kind, key, seq)
        SELECT j.owner, j.kind, j.unique_key, j.seq FROM spool.job j WHERE j.seq = n.seq ON CONFLICT DO NOTHING;
      IF NOT found THEN PERFORM spool.refuse('SP003', 'its unique key is held by another job now'); END IF;
    END IF;
    INSERT INTO spool.life AS l (seq, cpu, memory, bytes_read, bytes_written)
      SELECT o.seq, coalesce(o.cpu, 0), coalesce(o.memory, 0), coalesce(o.bytes_read, 0), coalesce(o.bytes_written, 0)
        FROM spool.outcome o WHERE o.seq = n.seq AND NOT o.superseded
      ON CONFLICT (seq) DO UPDATE SET cpu = l.cpu + excluded.cpu, memory = greatest(l.memory, excluded.memory),
        bytes_read = l.bytes_read + excluded.bytes_read, bytes_written = l.bytes_written + excluded.bytes_written;
    UPDATE spool.outcome o SET superseded = true WHERE o.seq = n.seq AND NOT o.superseded;
    above := (deadlines ->> n.parent::text)::bigint;
    IF n.deadline_asked IS NOT NULL THEN
      own := least(above, now + n.deadline_asked);
      INSERT INTO spool.deadline (at, seq) VALUES (own, n.seq) ON CONFLICT DO NOTHING;
      above := own;
    END IF;
    deadlines := deadlines || jsonb_build_object(n.seq, above);
    UPDATE spool.life l SET attempts = 0, rescues = 0, stop = 0, stop_reason = NULL,
        deadline = coalesce(above, l.deadline) WHERE l.seq = n.seq;
    INSERT INTO spool.outcome (n, seq, state, at, superseded, attempt)
      VALUES (spool.log_number(), n.seq, CASE WHEN open_needs > 0 THEN 1 ELSE 3 END, now, true, 0);
    IF open_needs > 0 THEN
      PERFORM spool.park(n.seq, 1, open_needs, now);
    ELSE
      PERFORM spool.make_ready(n, now, true);
    END IF;
  END LOOP;
  PERFORM spool.admit(now);
  RETURN spool.woken();
END $$;

CREATE FUNCTION spool.hide(top bigint, with_outputs boolean) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  many bigint;
BEGIN
  INSERT INTO spool.hidden (seq, top, outputs) SELECT s.seq, hide.top, with_outputs FROM spool.subtree(hide.top) s
    ON CONFLICT DO NOTHING;
  GET DIAGNOSTICS many = ROW_COUNT;
  RETURN many;
END $$;

CREATE FUNCTION spool.remove(shift bigint, job uuid) RETURNS integer[] LANGUAGE plpgsql AS $$
DECLARE
  now bigint := spool.clock(shift);
  of bigint := spool.find(job);
BEGIN
  IF of IS NULL THEN RETURN '{}'; END IF;
  -- Before its end: its parent does not count what was removed as failed.
  PERFORM spool.hide(of, true);
  IF spool.propagate(spool.stop_tree(of, 1, 'removed', now), now) > 0 THEN PERFORM spool.admit(now); END IF;
  RETURN spool.woken();
END $$;

-- Forgets at most so many jobs of hidden trees that have ended; children before their parents.
CREATE FUNCTION spool.purge(most integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  tree record;
  gone bigint[];
  many integer := 0;
BEGIN
  FOR tree IN  -- a top that has an outcome has ended, and its tree with it
    SELECT h.top FROM spool.hidden h JOIN spool.outcome o ON o.seq = h.top AND NOT o.superseded
      WHERE h.seq = h.top ORDER BY h.top LIMIT 100
  LOOP
    EXIT WHEN many >= most;
    PERFORM 1 FROM spool.hidden h WHERE h.seq = tree.top FOR UPDATE SKIP LOCKED;
    CONTINUE WHEN NOT found;  -- another worker is at it
    gone := ARRAY(SELECT s.seq FROM spool.subtree(tree.top) s ORDER BY s.seq DESC LIMIT most - many);
    INSERT INTO spool.purged (id, root, name, outputs)
      SELECT j.id, coalesce((SELECT r.id FROM spool.job r WHERE r.seq = j.root), j.id), j.name, h.outputs
        FROM spool.job j JOIN spool.hidden h ON h.seq = j.seq WHERE j.seq = ANY (gone);
    DELETE FROM spool.checkpoint x WHERE x.seq = ANY (gone);
    DELETE FROM spool.failure x WHERE x.seq = ANY (gone);
    DELETE FROM spool.need x WHERE x.needed = ANY (gone);
    DELETE FROM spool.need x WHERE x.job = ANY (gone);
    DELETE FROM spool.life x WHERE x.seq = ANY (gone);
    DELETE FROM spool.outcome x WHERE x.seq = ANY (gone) AND NOT x.superseded;
    DELETE FROM spool.outcome x WHERE x.seq = ANY (gone) AND x.superseded;
    DELETE FROM spool.job x WHERE x.seq = ANY (gone);
    DELETE FROM spool.hidden x WHERE x.seq = ANY (gone);
    many := many + cardinality(gone);
  END LOOP;
  RETURN many;
END $$;

-- The last end of a queue's roots that goes because `keep` came after it; 0: none does.
CREATE FUNCTION spool.last_over(of_queue text, keep bigint) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT coalesce((SELECT o.n FROM spool.outcome o JOIN spool.job j ON j.seq = o.seq JOIN spool.lane a ON a.lane = j.lane
    WHERE NOT o.superseded AND j.parent IS NULL AND a.queue = of_queue
      AND NOT EXISTS (SELECT 1 FROM spool.hidden h WHERE h.seq = o.seq)
    ORDER BY o.n DESC OFFSET keep LIMIT 1), 0)
$$;

-- Forgets ended trees: those that ended longer than `age` ago, and of each queue all but the last `keep`. of_queue: null is
-- each queue, for itself, but for those that are excepted.
CREATE FUNCTION spool.prune(shift bigint, of_queue text, excepted text[], age bigint, keep bigint, with_outputs boolean, most integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  before bigint := spool.clock(shift) - age;
  queues text[] := ARRAY(SELECT DISTINCT l.queue FROM spool.lane l
                         WHERE (of_queue IS NULL OR l.queue = of_queue) AND l.queue <> ALL (excepted));
  over bigint[];
  root record;
  many bigint := 0;
BEGIN
  over := ARRAY(SELECT CASE WHEN keep IS NULL THEN 0 ELSE spool.last_over(q.queue, keep) END
                FROM unnest(queues) WITH ORDINALITY q (queue, at) ORDER BY q.at);
  FOR root IN  -- in the order of their ends: read as far as they may go
    SELECT o.seq, o.at, o.n, j.parent, a.queue FROM spool.outcome o JOIN spool.job j ON j.seq = o.seq
      JOIN spool.lane a ON a.lane = j.lane
      WHERE NOT o.superseded AND NOT EXISTS (SELECT 1 FROM spool.hidden h WHERE h.seq = o.seq) ORDER BY o.n
  LOOP
    EXIT WHEN many >= most OR (coalesce(root.at >= before, true) AND root.n > (SELECT max(x) FROM unnest(over) x));
    CONTINUE WHEN root.parent IS NOT NULL OR NOT root.queue = ANY (queues)
      OR (coalesce(root.at >= before, true) AND root.n > over[array_position(queues, root.queue)]);
    PERFORM spool.lock_trees(ARRAY[root.seq]);
    CONTINUE WHEN NOT EXISTS (SELECT 1 FROM spool.outcome o WHERE o.seq = root.seq AND NOT o.superseded);
    many := many + spool.hide(root.seq, with_outputs);
  END LOOP;
  RETURN spool.purge(most);
END $$;

-- Cancels trees whose root is in that queue, and of which nothing has begun; at most so many, the oldest first.
CREATE FUNCTION spool.clear_queue(shift bigint, of_queue text, most integer, OUT cleared integer, OUT woken integer[])
LANGUAGE plpgsql AS $$
DECLARE
  now bigint := spool.clock(shift);
  root record;
BEGIN
  cleared := 0;
  FOR root IN
    SELECT j.seq FROM spool.job j JOIN spool.lane a ON a.lane = j.lane
      WHERE a.queue = of_queue AND j.parent IS NULL
        AND (j.seq IN (SELECT p.seq FROM spool.parked p)
             OR j.seq IN (SELECT r.seq FROM spool.ready r JOIN spool.lane l ON l.lane = r.lane WHERE l.queue = of_queue))
        AND NOT EXISTS (SELECT 1 FROM spool.hidden h WHERE h.seq = j.seq)
      ORDER BY j.seq
  LOOP
    EXIT WHEN cleared >= most;
    PERFORM spool.lock_trees(ARRAY[root.seq]);
    CONTINUE WHEN EXISTS (  -- it has begun: job_of_root, primary keys, outcome_of_job
      SELECT 1 FROM spool.subtree(root.seq) t LEFT JOIN spool.running r ON r.seq = t.seq LEFT JOIN spool.life l ON l.seq = t.seq
        LEFT JOIN spool.outcome o ON o.seq = t.seq AND NOT o.superseded
      WHERE r.seq IS NOT NULL OR l.attempts > 0 OR l.rescues > 0 OR l.phase <> '' OR o.attempt > 0);
    -- It may have ended with one that it needs.
    PERFORM spool.propagate(spool.stop_tree(root.seq, 1, 'its queue was cleared', now), now);
    cleared := cleared + 1;
  END LOOP;
  IF cleared > 0 THEN PERFORM spool.admit(now); END IF;
  woken := spool.woken();
END $$;

CREATE FUNCTION spool.resume_queue(of_queue text) RETURNS integer[] LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM spool.paused_queue q WHERE q.queue = of_queue;
  RETURN ARRAY(SELECT l.lane FROM spool.lane l WHERE l.queue = of_queue);
END $$;

-- Moves a schedule on and inserts the jobs of what passed; false: another one did, or it is gone or paused.
CREATE FUNCTION spool.tick(
  shift bigint, of_name text, expected bigint, next_tick bigint, jobs jsonb, OUT ticked boolean, OUT woken integer[])
LANGUAGE plpgsql AS $$
DECLARE
  added record;
BEGIN
  UPDATE spool.schedule s SET next = next_tick
    WHERE s.name = of_name AND s.next = expected AND (NOT s.paused OR jsonb_array_length(jobs) = 0);
  ticked := found;
  IF ticked THEN
    FOR added IN SELECT * FROM spool.insert(shift, jobs) LOOP
      IF added.code IS NOT NULL THEN
        PERFORM spool.refuse(CASE added.code WHEN 'not_found' THEN 'SP002' WHEN 'conflict' THEN 'SP003'
          WHEN 'limit_exceeded' THEN 'SP004' ELSE 'SP001' END, added.message);
      END IF;
    END LOOP;
  END IF;
  woken := spool.woken();
END $$;

-- Lines in which nobody waits. Looked at once more when they are locked: who puts a job into one shares its lock (line_for).
CREATE FUNCTION spool.drop_idle_lines() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  idle integer[] := ARRAY(
    SELECT l.line FROM spool.limit_line l WHERE NOT EXISTS (SELECT 1 FROM spool.parked p WHERE p.line = l.line) LIMIT 1000
      FOR UPDATE SKIP LOCKED);
BEGIN
  DELETE FROM spool.limit_line l
    WHERE l.line = ANY (idle) AND NOT EXISTS (SELECT 1 FROM spool.parked p WHERE p.line = l.line);
END $$;

-- Mostly so: one question for a fleet of idle workers.
CREATE FUNCTION spool.nothing_to_rescue(now bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  RETURN NOT (EXISTS (SELECT 1 FROM spool.session s WHERE s.expires <= now)
    OR EXISTS (SELECT 1 FROM spool.parked p WHERE p.state = 2 AND p.due <= now)
    OR EXISTS (SELECT 1 FROM spool.deadline d WHERE d.at <= now)
    OR EXISTS (SELECT 1 FROM spool.hidden) OR EXISTS (SELECT 1 FROM spool.parked p WHERE p.line IS NOT NULL)
    OR EXISTS (SELECT 1 FROM spool.limit_clock) OR EXISTS (SELECT 1 FROM spool.limit_line));
END $$;

-- Makes jobs of dead sessions available again, moves due jobs, ends what is late, purges. How many jobs it changed.
CREATE FUNCTION spool.rescue(shift bigint, most integer, OUT changed integer, OUT woken integer[]) LANGUAGE plpgsql
SET lock_timeout = '2s' AS $$
DECLARE
  now bigint := spool.clock(shift);
  dead record;
  taken integer;
BEGIN
  changed := 0;
  woken := '{}';
  IF spool.nothing_to_rescue(now) THEN RETURN; END IF;
  FOR dead IN SELECT s.session FROM spool.session s WHERE s.expires <= now ORDER BY s.session FOR UPDATE SKIP LOCKED LOOP
    EXIT WHEN changed >= most;
    taken := spool.take_from(dead.session, true, false, most - changed, now);
    changed := changed + taken;
    EXIT WHEN changed >= most;  -- it may have more
    PERFORM spool.end_session(dead.session);
  END LOOP;
  IF changed < most THEN changed := changed + spool.move_due(most - changed, now); END IF;
  IF changed < most THEN changed := changed + spool.stop_late(most - changed, now); END IF;
  IF changed < most THEN changed := changed + spool.purge(most - changed); END IF;
  PERFORM spool.admit(now);
  DELETE FROM spool.limit_clock c WHERE c.next <= now;
  PERFORM spool.drop_idle_lines();
  woken := spool.woken();
END $$;

-- How jobs move between their states, and whom an end wakes. Every change goes through these functions, so that the
-- counters of open needs and children stay true. Ends are collected as spool.ended[], and what they wake is worked
-- off by spool.propagate(): at the latest before the commit.
--
-- What reads tables is plpgsql, which plans a statement once in a session. A function in SQL that cannot be inlined is planned
-- again by every call: half a millisecond for spool.peek().

CREATE TYPE spool.node AS (
  seq bigint, id uuid, parent bigint, root bigint, lane integer, priority integer, optional boolean, has_key boolean,
  deadline_asked bigint, deadline bigint, state integer, open bigint, due bigint, ready bigint, arrived bigint, attempts integer,
  has_children boolean, fail_fast boolean, stop integer);
CREATE TYPE spool.ended AS (seq bigint, parent bigint, state integer, optional boolean);

-- The store's clock. `shift` moves it, for tests.
CREATE FUNCTION spool.clock(shift bigint) RETURNS bigint LANGUAGE sql VOLATILE AS
$$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + shift $$;

CREATE FUNCTION spool.rank_of(priority integer, arrived bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS
$$ SELECT arrived - priority * 300000000::bigint $$;

-- Numbers of the log ascend with the transactions that wrote them: what is below the oldest one that still runs is
-- whole, and a reader that stops there never misses a late commit. 2^20 rows of a transaction are in order.
CREATE SEQUENCE spool.log_row CYCLE MINVALUE 0 MAXVALUE 1048575 CACHE 1;
CREATE FUNCTION spool.log_number() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
  RETURN (((SELECT e.epoch FROM spool.log_epoch e) + pg_current_xact_id()::text::bigint) << 20) + nextval('spool.log_row');
END $$;
-- Where the whole part of the log ends: the oldest transaction of this database that still runs, or the next one. Asked for
-- before the log is read, by a snapshot of its own. Whoever may not see other roles' transactions takes the oldest one of the
-- whole server.
CREATE FUNCTION spool.log_end() RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT ((SELECT epoch FROM spool.log_epoch) + CASE
      WHEN EXISTS (SELECT 1 FROM pg_stat_activity a WHERE a.datname = current_database() AND a.query = '<insufficient privilege>')
      THEN pg_snapshot_xmin(s.now)::text::bigint
      ELSE pg_snapshot_xmax(s.now)::text::bigint - coalesce(greatest(
        (SELECT max(age(a.backend_xid)) FROM pg_stat_activity a WHERE a.datname = current_database()),
        (SELECT max(age(p.transaction)) FROM pg_prepared_xacts p WHERE p.database = current_database())), 0) END) << 20
  FROM (SELECT pg_current_snapshot() AS now) s
$$;
CREATE FUNCTION spool.outcomes_since(after bigint, most integer) RETURNS TABLE (n bigint, job uuid, root uuid, state integer, at bigint)
LANGUAGE plpgsql AS $$
DECLARE
  log_end bigint := spool.log_end();
BEGIN
  RETURN QUERY  -- the primary key is the order
    SELECT o.n, j.id, coalesce(top.id, j.id), o.state::integer, o.at
    FROM spool.outcome o JOIN spool.job j ON j.seq = o.seq LEFT JOIN spool.job top ON top.seq = j.root
    WHERE o.n > after AND o.n < log_end ORDER BY o.n LIMIT most;
END $$;

-- An error of the contract: 'SP001' invalid argument, 'SP002' not found, 'SP003' conflict, 'SP004' limit exceeded,
-- 'SP005' lease lost, 'SP006' internal.
CREATE FUNCTION spool.refuse(code text, message text) RETURNS void LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION USING ERRCODE = code, MESSAGE = message; END $$;

-- Lanes in which something became available, until the end of the transaction.
CREATE FUNCTION spool.note_woken(lane integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  had text := coalesce(current_setting('spool.woken', true), '');
BEGIN
  IF position(',' || lane || ',' IN had) = 0 THEN
    PERFORM set_config('spool.woken', CASE had WHEN '' THEN ',' ELSE had END || lane || ',', true);
  END IF;
END $$;
CREATE FUNCTION spool.woken() RETURNS integer[] LANGUAGE sql VOLATILE AS
$$ SELECT coalesce(string_to_array(trim(BOTH ',' FROM nullif(current_setting('spool.woken', true), '')), ',')::integer[], '{}') $$;

-- Tells workers that wait: each holds a shared lock (store_postgres/notify.cpp). A hint only: they look by themselves now
-- and then.
CREATE FUNCTION spool.hint(lanes integer[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF cardinality(lanes) = 0 THEN RETURN; END IF;
  IF pg_try_advisory_lock(1397771084, 2) THEN
    PERFORM pg_advisory_unlock(1397771084, 2);
  ELSE
    PERFORM pg_notify('spool', left(array_to_string(lanes, ','), 7000));
  END IF;
END $$;

-- The first lane of such jobs. Where there is none, one transaction makes it; who comes while that is open makes another one.
CREATE FUNCTION spool.lane_of(queue text, slots integer, tags text[], priority integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
  found_lane integer;
  is_maker boolean := false;
  sorted text[] := ARRAY(SELECT DISTINCT t FROM unnest(tags) t ORDER BY t);
BEGIN
  LOOP
    SELECT min(l.lane) INTO found_lane FROM spool.lane l
      WHERE l.queue = lane_of.queue AND l.slots = lane_of.slots AND l.tags = sorted AND l.priority = lane_of.priority;
    IF found_lane IS NOT NULL THEN RETURN found_lane; END IF;
    EXIT WHEN is_maker;  -- nor has anybody made it just before
    is_maker := pg_try_advisory_xact_lock(hashtextextended('spool.lane ' || (queue, slots, sorted, priority)::text, 0));
    EXIT WHEN NOT is_maker;
  END LOOP;
  INSERT INTO spool.lane AS l (queue, slots, tags, priority) VALUES (queue, slots, sorted, priority)
    RETURNING l.lane INTO found_lane;
  RETURN found_lane;
END $$;
CREATE FUNCTION spool.same_lane(one integer, other integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  RETURN one = other OR EXISTS (SELECT 1 FROM spool.lane a JOIN spool.lane b
    ON (b.queue, b.slots, b.tags, b.priority) = (a.queue, a.slots, a.tags, a.priority) WHERE a.lane = one AND b.lane = other);
END $$;

-- As it is; its place is not locked. Every join goes by primary key; outcome by outcome_of_job.
CREATE FUNCTION spool.peek(of bigint) RETURNS spool.node LANGUAGE plpgsql AS $$
DECLARE
  node spool.node;
BEGIN
  SELECT j.seq, j.id, j.parent, coalesce(j.root, j.seq), j.lane, a.priority, j.optional, j.unique_key IS NOT NULL,
    j.deadline_asked, coalesce(l.deadline, j.deadline),
    CASE WHEN r.seq IS NOT NULL THEN 4 WHEN p.seq IS NOT NULL THEN p.state WHEN o.n IS NOT NULL THEN o.state ELSE 3 END,
    p.open, p.due, coalesce(l.ready, j.created + j.delay), coalesce(l.arrived, j.arrived, j.created + j.delay), coalesce(r.attempt, l.attempts, 0),
    coalesce(l.has_children, false), coalesce(l.fail_fast, false), coalesce(l.stop, 0)::integer
  INTO node FROM spool.job j JOIN spool.lane a ON a.lane = j.lane LEFT JOIN spool.life l ON l.seq = j.seq
    LEFT JOIN spool.running r ON r.seq = j.seq LEFT JOIN spool.parked p ON p.seq = j.seq
    LEFT JOIN spool.outcome o ON o.seq = j.seq AND NOT o.superseded
  WHERE j.seq = of;
  RETURN node;
END $$;

-- With its place locked: nothing moves it before the transaction ends.
CREATE FUNCTION spool.load(of bigint) RETURNS spool.node LANGUAGE plpgsql AS $$
DECLARE
  n spool.node;
BEGIN
  LOOP
    n := spool.peek(of);
    IF n.seq IS NULL THEN PERFORM spool.refuse('SP006', 'database: job ' || of || ' is missing'); END IF;
    IF n.state >= 5 THEN RETURN n; END IF;
    IF n.state = 3 THEN
      PERFORM 1 FROM spool.ready r WHERE r.lane = n.lane AND r.rank = spool.rank_of(n.priority, n.arrived)
        AND r.seq = of FOR UPDATE;
    ELSIF n.state = 4 THEN
      PERFORM 1 FROM spool.running r WHERE r.seq = of FOR UPDATE;
    ELSE
      PERFORM 1 FROM spool.parked p WHERE p.seq = of FOR UPDATE;
    END IF;
    IF found THEN
      n := spool.peek(of);  -- as it is now that it stands still
      IF n.state < 5 THEN RETURN n; END IF;
    END IF;
  END LOOP;
END $$;

CREATE FUNCTION spool.lock_trees(roots bigint[]) RETURNS void LANGUAGE plpgsql AS
$$ BEGIN PERFORM 1 FROM spool.job j WHERE j.seq = ANY (roots) ORDER BY j.seq FOR NO KEY UPDATE; END $$;

-- The same for one tree and for those who must not wait for ever: an application's transaction may hold it for hours, after a
-- spool.cancel(). Whoever is patient waits a second, once.
CREATE FUNCTION spool.try_tree(root bigint, INOUT patient boolean, OUT got boolean) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM spool.job j WHERE j.seq = try_tree.root FOR NO KEY UPDATE SKIP LOCKED;
  got := found OR NOT EXISTS (SELECT 1 FROM spool.job j WHERE j.seq = try_tree.root);
  IF got OR NOT patient THEN RETURN; END IF;
  BEGIN
    PERFORM set_config('lock_timeout', '1s', true);
    PERFORM spool.lock_trees(ARRAY[try_tree.root]);
    got := true;
  EXCEPTION WHEN lock_not_available THEN
    patient := false;
  END;
END $$;

-- The seq of a job that is not hidden, with its tree locked; null: there is none.
CREATE FUNCTION spool.find(job uuid) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  found_seq bigint;
  found_root bigint;
BEGIN
  SELECT j.seq, coalesce(j.root, j.seq) INTO found_seq, found_root FROM spool.job j WHERE j.id = job;
  IF found_seq IS NULL THEN RETURN NULL; END IF;
  PERFORM spool.lock_trees(ARRAY[found_root]);
  IF EXISTS (SELECT 1 FROM spool.hidden h WHERE h.seq = found_seq) THEN RETURN NULL; END IF;
  IF NOT EXISTS (SELECT 1 FROM spool.job j WHERE j.seq = found_seq) THEN RETURN NULL; END IF;
  RETURN found_seq;
END $$;

-- The limit that applies to a queue or key: its own, or the one with the longest beginning.
CREATE FUNCTION spool.limit_of(of_scope integer, of_name text) RETURNS SETOF spool.limit_rule ROWS 1 LANGUAGE sql STABLE AS $$
  SELECT r.* FROM spool.limit_rule r
    WHERE r.scope = of_scope AND (r.name = of_name OR right(r.name, 1) = '*' AND starts_with(of_name, left(r.name, -1)))
    ORDER BY right(r.name, 1) = '*', length(r.name) DESC LIMIT 1
$$;
CREATE FUNCTION spool.has_limit(queue text, key text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN EXISTS (SELECT 1 FROM spool.limit_of(0, queue)) OR EXISTS (SELECT 1 FROM spool.limit_of(1, key));
END $$;

-- The line of a queue and key ('': none), made where there is none. It stays as long as this transaction may put jobs into it.
CREATE FUNCTION spool.line_for(v_queue text, v_key text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  found_line integer;
BEGIN
  SELECT l.line INTO found_line FROM spool.limit_line l WHERE l.queue = v_queue AND l.key = v_key ORDER BY l.line LIMIT 1
    FOR KEY SHARE;
  IF found_line IS NULL THEN
    INSERT INTO spool.limit_line AS l (queue, key) VALUES (v_queue, v_key) RETURNING l.line INTO found_line;
  END IF;
  RETURN found_line;
END $$;

-- Where a job waits for a place of its limits; null: none applies to it.
CREATE FUNCTION spool.line_of(of bigint) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  v_queue text;
  v_key text;
BEGIN
  IF NOT EXISTS (SELECT 1 FROM spool.limit_rule) THEN RETURN NULL; END IF;
  SELECT a.queue, coalesce(j.limit_key, '') INTO v_queue, v_key
    FROM spool.job j JOIN spool.lane a ON a.lane = j.lane WHERE j.seq = of;
  IF NOT spool.has_limit(v_queue, nullif(v_key, '')) THEN RETURN NULL; END IF;
  RETURN spool.line_for(v_queue, v_key);
END $$;

-- Available, or in the line of its limits, where spool.admit() finds it.
CREATE FUNCTION spool.make_ready(n spool.node, ready bigint, remember boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_line integer := spool.line_of(n.seq);
  v_rank bigint := spool.rank_of(n.priority, n.arrived);
BEGIN
  IF remember THEN
    INSERT INTO spool.life (seq, ready) VALUES (n.seq, make_ready.ready)
      ON CONFLICT (seq) DO UPDATE SET ready = excluded.ready;
  END IF;
  IF v_line IS NULL THEN
    INSERT INTO spool.ready (lane, rank, seq, plain) VALUES (n.lane, v_rank, n.seq, false);
  ELSE
    INSERT INTO spool.parked (seq, state, open, due, line, rank)
      VALUES (n.seq, 1, 0, make_ready.ready, v_line, v_rank);
  END IF;
  PERFORM spool.note_woken(n.lane);
END $$;

-- To the end of the line, as it will be then. It is in no line now.
CREATE FUNCTION spool.go_behind(n spool.node, due bigint) RETURNS spool.node LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO spool.life (seq, arrived) VALUES (n.seq, go_behind.due) ON CONFLICT (seq) DO UPDATE SET arrived = excluded.arrived;
  n.arrived := go_behind.due;
  RETURN n;
END $$;

CREATE FUNCTION spool.park(of bigint, state integer, open bigint, due bigint) RETURNS void LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO spool.parked (seq, state, open, due) VALUES (of, state, open, due); END $$;

CREATE FUNCTION spool.take_out(n spool.node) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF n.state = 3 THEN
    DELETE FROM spool.ready r WHERE r.lane = n.lane AND r.rank = spool.rank_of(n.priority, n.arrived) AND r.seq = n.seq;
  ELSIF n.state = 4 THEN
    DELETE FROM spool.running r WHERE r.seq = n.seq;
  ELSIF n.state < 3 THEN
    DELETE FROM spool.parked p WHERE p.seq = n.seq;
  END IF;
END $$;

CREATE FUNCTION spool.add_failure(
  of bigint, attempt integer, code text, message text, native integer, worker text, began bigint, ended bigint,
  log text DEFAULT '', cpu double precision DEFAULT 0, memory bigint DEFAULT 0, bytes_read bigint DEFAULT 0,
  bytes_written bigint DEFAULT 0) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO spool.failure (seq, attempt, code, message, native, worker, began, ended, log, cpu, memory, bytes_read,
                             bytes_written)
    VALUES (of, attempt, code, left(message, 4096), native, worker, began, ended, log, cpu, memory, bytes_read,
            bytes_written);
END $$;

-- Into an ended state. The caller has taken it out of its place, and hands the return value to propagate().
CREATE FUNCTION spool.end_job(
  n spool.node, state integer, cause integer, attempt integer, claimed bigint, now bigint, token uuid DEFAULT NULL,
  result text DEFAULT NULL, cpu double precision DEFAULT NULL, memory bigint DEFAULT NULL,
  bytes_read bigint DEFAULT NULL, bytes_written bigint DEFAULT NULL) RETURNS spool.ended LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO spool.outcome (n, seq, state, at, cause, attempt, claimed, token, result, cpu, memory, bytes_read,
                             bytes_written)
    VALUES (spool.log_number(), n.seq, state, now, cause, attempt, claimed, token, result, nullif(cpu, 0),
            nullif(memory, 0), nullif(bytes_read, 0), nullif(bytes_written, 0));
  IF n.has_key THEN DELETE FROM spool.unique_key k WHERE k.seq = n.seq; END IF;
  IF n.deadline_asked IS NOT NULL AND n.deadline IS NOT NULL THEN
    DELETE FROM spool.deadline d WHERE d.at = n.deadline AND d.seq = n.seq;
  END IF;
  RETURN (n.seq, n.parent, state, n.optional)::spool.ended;
END $$;

-- Ends as the stop asks for: cancelled, or failed with the reason.
CREATE FUNCTION spool.end_stopped(
  n spool.node, attempt integer, claimed bigint, now bigint, cpu double precision DEFAULT NULL,
  memory bigint DEFAULT NULL, bytes_read bigint DEFAULT NULL, bytes_written bigint DEFAULT NULL)
RETURNS spool.ended LANGUAGE plpgsql AS $$
DECLARE
  reason text;
BEGIN
  IF n.stop = 1 THEN
    RETURN spool.end_job(n, 7, 1, attempt, claimed, now, NULL, NULL, cpu, memory, bytes_read, bytes_written);
  END IF;
  SELECT l.stop_reason INTO reason FROM spool.life l WHERE l.seq = n.seq;
  PERFORM spool.add_failure(n.seq, attempt, CASE n.stop WHEN 2 THEN 'timeout' ELSE 'cancelled' END,
    coalesce(reason, ''), 0, '', coalesce(claimed, now), now);
  RETURN spool.end_job(n, 6, CASE n.stop WHEN 2 THEN 0 ELSE 1 END, attempt, claimed, now, NULL, NULL, cpu, memory,
    bytes_read, bytes_written);
END $$;

-- What its children's failures say; null: none failed. job_of_parent, outcome_of_job. Failures of their own come first:
-- what only waited for them says less.
CREATE FUNCTION spool.failed_children(of bigint, OUT code text, OUT message text) LANGUAGE sql VOLATILE AS $$
  WITH bad AS (
    SELECT row_number() OVER (ORDER BY o.cause, c.seq) AS at, count(*) OVER () AS many,
      CASE c.name WHEN '' THEN c.kind ELSE c.name END AS label, c.id, o.state, f.code, f.message
    FROM spool.job c JOIN spool.outcome o ON o.seq = c.seq AND NOT o.superseded
      LEFT JOIN LATERAL (SELECT f.code, f.message FROM spool.failure f WHERE f.seq = c.seq ORDER BY f.n DESC LIMIT 1) f
        ON true
    WHERE c.parent = of AND NOT c.optional AND o.state IN (6, 7)
      AND NOT EXISTS (SELECT 1 FROM spool.hidden h WHERE h.seq = c.seq)
  )
  SELECT (SELECT CASE b.state WHEN 6 THEN b.code ELSE 'cancelled' END FROM bad b WHERE b.at = 1),
    max(many) || ' of its parts did not succeed: '
      || string_agg(label || ' (' || id || '): ' || CASE state WHEN 6 THEN coalesce(bad.message, '') ELSE 'cancelled' END,
                    '; ' ORDER BY at) FILTER (WHERE at <= 5)
      || CASE WHEN max(many) > 5 THEN '; and ' || max(many) - 5 || ' more' ELSE '' END
  FROM bad
$$;

-- A live job that waits for nothing any more: failed if a child failed, else scheduled or available.
CREATE FUNCTION spool.resume(n spool.node, now bigint) RETURNS spool.ended[] LANGUAGE plpgsql AS $$
DECLARE
  bad record;
BEGIN
  PERFORM spool.take_out(n);
  IF n.has_children THEN
    SELECT * INTO bad FROM spool.failed_children(n.seq);
    IF bad.message IS NOT NULL THEN
      PERFORM spool.add_failure(n.seq, n.attempts, bad.code, bad.message, 0, '', now, now);
      RETURN ARRAY[spool.end_job(n, 6, 0, n.attempts, NULL, now)];
    END IF;
  END IF;
  IF n.due > now THEN
    PERFORM spool.park(n.seq, 2, 0, n.due);
  ELSE
    PERFORM spool.make_ready(n, now, true);
  END IF;
  RETURN '{}';
END $$;

CREATE FUNCTION spool.why_no_children(n spool.node) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN n.state >= 5 THEN 'its parent has ended'
    WHEN n.state = 4 THEN 'its parent runs: only the attempt itself can give it children, by a fan-out'
    WHEN n.stop <> 0 THEN 'its parent is being cancelled' END
$$;

-- So many more children end before `parent` goes on.
CREATE FUNCTION spool.expect_children(parent bigint, many bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  n spool.node := spool.load(parent);
  why text := spool.why_no_children(n);
BEGIN
  IF why IS NOT NULL THEN PERFORM spool.refuse('SP003', why); END IF;
  IF n.state = 3 THEN
    PERFORM spool.take_out(n);
    PERFORM spool.park(parent, 1, many, n.ready);
  ELSE
    UPDATE spool.parked p SET open = p.open + many, state = CASE p.state WHEN 2 THEN 1 ELSE p.state END, line = NULL,
        rank = NULL
      WHERE p.seq = parent;
  END IF;
  IF NOT n.has_children THEN
    INSERT INTO spool.life (seq, has_children) VALUES (parent, true)
      ON CONFLICT (seq) DO UPDATE SET has_children = true;
  END IF;
END $$;

-- Something else now hangs on this live job (its tree is locked or it is a root without one): it is plain no more.
CREATE FUNCTION spool.not_plain(of bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  n spool.node := spool.load(of);
BEGIN
  IF n.state = 3 THEN
    UPDATE spool.ready r SET plain = false
      WHERE r.lane = n.lane AND r.rank = spool.rank_of(n.priority, n.arrived) AND r.seq = of AND r.plain;
  ELSIF n.state = 4 THEN
    UPDATE spool.running r SET plain = false WHERE r.seq = of AND r.plain;
  END IF;
END $$;

-- A job and all below it: job_of_parent.
CREATE FUNCTION spool.subtree(top bigint) RETURNS TABLE (seq bigint, depth integer) LANGUAGE sql STABLE AS $$
  WITH RECURSIVE below (seq, depth) AS (
    VALUES (top, 0) UNION ALL SELECT j.seq, b.depth + 1 FROM below b JOIN spool.job j ON j.parent = b.seq)
  SELECT b.seq, b.depth FROM below b
$$;

-- Asks `top` to end for `why`, and all below it to be cancelled (below a deadline: by the deadline).
CREATE FUNCTION spool.stop_tree(top bigint, why integer, reason text, now bigint) RETURNS spool.ended[]
LANGUAGE plpgsql AS $$
DECLARE
  ends spool.ended[] := '{}';
  parents_alive bigint[] := '{}';
  n spool.node;
  step record;
BEGIN
  FOR step IN SELECT s.seq FROM spool.subtree(top) s ORDER BY s.depth DESC, s.seq LOOP
    n := spool.load(step.seq);
    CONTINUE WHEN n.state >= 5;
    IF n.stop = 0 THEN
      n.stop := CASE WHEN n.seq = top THEN why WHEN why = 2 THEN 2 ELSE 1 END;
      INSERT INTO spool.life (seq, stop, stop_reason) VALUES (n.seq, n.stop, reason)
        ON CONFLICT (seq) DO UPDATE SET stop = excluded.stop, stop_reason = excluded.stop_reason;
    END IF;
    IF n.state = 4 OR n.seq = ANY (parents_alive) THEN
      IF n.state = 4 THEN UPDATE spool.running r SET plain = false WHERE r.seq = n.seq AND r.plain; END IF;
      IF NOT n.parent = ANY (parents_alive) THEN parents_alive := parents_alive || n.parent; END IF;
      CONTINUE;  -- the parent ends last
    END IF;
    PERFORM spool.take_out(n);
    ends := ends || spool.end_stopped(n, n.attempts, NULL, now);
  END LOOP;
  RETURN ends;
END $$;

CREATE FUNCTION spool.wake_dependents(e spool.ended, now bigint) RETURNS spool.ended[] LANGUAGE plpgsql AS $$
DECLARE
  ends spool.ended[] := '{}';
  edge record;
  left_open bigint;
  parked_state integer;
BEGIN
  FOR edge IN SELECT w.job, w.ignore_failure FROM spool.need w WHERE w.needed = e.seq AND w.open ORDER BY w.job LOOP
    PERFORM spool.lock_trees(ARRAY(SELECT coalesce(j.root, j.seq) FROM spool.job j WHERE j.seq = edge.job));
    UPDATE spool.need w SET open = false WHERE w.needed = e.seq AND w.job = edge.job;
    UPDATE spool.parked p SET open = p.open - 1 WHERE p.seq = edge.job RETURNING p.open, p.state
      INTO left_open, parked_state;
    CONTINUE WHEN NOT found;  -- it has ended meanwhile
    IF e.state <> 5 AND NOT edge.ignore_failure THEN
      IF e.state = 7 THEN
        ends := ends || spool.stop_tree(edge.job, 1, 'what it needs was cancelled', now);
      ELSE
        ends := ends || spool.stop_tree(edge.job, 3, (
          SELECT 'was not run: it needs ' || CASE j.name WHEN '' THEN j.kind ELSE j.name END || ' (' || j.id
            || '), which failed' FROM spool.job j WHERE j.seq = e.seq), now);
      END IF;
    ELSIF left_open = 0 AND parked_state = 1 THEN
      ends := ends || spool.resume(spool.load(edge.job), now);
    END IF;
  END LOOP;
  RETURN ends;
END $$;

CREATE FUNCTION spool.has_live_children(of bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  RETURN EXISTS (SELECT 1 FROM spool.job c WHERE c.parent = of
    AND NOT EXISTS (SELECT 1 FROM spool.outcome o WHERE o.seq = c.seq AND NOT o.superseded));
END $$;

CREATE FUNCTION spool.wake_parent(parent bigint, children bigint, badly boolean, now bigint) RETURNS spool.ended[]
LANGUAGE plpgsql AS $$
DECLARE
  ends spool.ended[] := '{}';
  n spool.node;
  child record;
BEGIN
  UPDATE spool.parked p SET open = p.open - children WHERE p.seq = parent;
  IF NOT found THEN RETURN ends; END IF;  -- it ended with them
  n := spool.load(parent);
  IF n.stop <> 0 THEN
    -- It may have open needs still: what is asked to stop waits only for its children.
    IF n.open > 0 AND spool.has_live_children(parent) THEN RETURN ends; END IF;
    PERFORM spool.take_out(n);
    ends := ends || spool.end_stopped(n, n.attempts, NULL, now);
  ELSIF n.open = 0 AND n.state = 1 THEN
    ends := ends || spool.resume(n, now);
  ELSIF n.open > 0 AND badly AND n.fail_fast THEN
    FOR child IN SELECT j.seq FROM spool.job j WHERE j.parent = wake_parent.parent ORDER BY j.seq LOOP
      ends := ends || spool.stop_tree(child.seq, 1, 'a sibling failed', now);
    END LOOP;
  END IF;
  RETURN ends;
END $$;

-- Lets everything know that waited for what ended. Returns how many jobs ended in all.
CREATE FUNCTION spool.propagate(ends spool.ended[], now bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  batch spool.ended[];
  e spool.ended;
  parent record;
  many bigint := 0;
BEGIN
  WHILE cardinality(ends) > 0 LOOP
    batch := ends;
    ends := '{}';
    many := many + cardinality(batch);
    FOREACH e IN ARRAY batch LOOP
      IF EXISTS (SELECT 1 FROM spool.need w WHERE w.needed = e.seq) THEN
        ends := ends || spool.wake_dependents(e, now);
      END IF;
    END LOOP;
    FOR parent IN  -- in the order of their insertion, one step each
      SELECT b.parent AS seq, count(*) AS children, bool_or(b.state = 6 AND NOT b.optional) AS badly
      FROM unnest(batch) b WHERE b.parent IS NOT NULL GROUP BY 1 ORDER BY 1
    LOOP
      ends := ends || spool.wake_parent(parent.seq, parent.children, parent.badly, now);
    END LOOP;
  END LOOP;
  RETURN many;
END $$;

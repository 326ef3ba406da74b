-- Settle, wake what waited, and claim: one statement, one commit.

CREATE TYPE spool.settlement AS (
  what smallint,  -- 0 succeeded, 1 fan-out, 2 retry later, 3 snooze, 4 failed, 5 released
  token uuid, result text, after bigint, code text, message text, native integer, log text, cpu double precision,
  memory bigint, bytes_read bigint, bytes_written bigint, fan_out jsonb);

CREATE FUNCTION spool.worker_of(session bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RETURN coalesce((SELECT s.host || ':' || s.pid FROM spool.session s WHERE s.session = worker_of.session), '');
END $$;

CREATE FUNCTION spool.add_usage(of bigint, cpu double precision, memory bigint, bytes_read bigint, bytes_written bigint)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF coalesce(cpu, 0) = 0 AND coalesce(memory, 0) = 0 AND coalesce(bytes_read, 0) = 0 AND coalesce(bytes_written, 0) = 0
  THEN RETURN; END IF;
  INSERT INTO spool.life AS l (seq, cpu, memory, bytes_read, bytes_written)
    VALUES (of, coalesce(cpu, 0), coalesce(memory, 0), coalesce(bytes_read, 0), coalesce(bytes_written, 0))
    ON CONFLICT (seq) DO UPDATE SET cpu = l.cpu + excluded.cpu, memory = greatest(l.memory, excluded.memory),
      bytes_read = l.bytes_read + excluded.bytes_read, bytes_written = l.bytes_written + excluded.bytes_written;
END $$;

CREATE FUNCTION spool.fail_for_good(n spool.node, r spool.running, s spool.settlement, code text, message text, now bigint)
RETURNS spool.ended LANGUAGE plpgsql AS $$
BEGIN
  PERFORM spool.add_failure(n.seq, r.attempt, code, message, coalesce(s.native, 0), spool.worker_of(r.session), r.claimed,
    now, coalesce(s.log, ''), s.cpu, s.memory, s.bytes_read, s.bytes_written);
  DELETE FROM spool.running x WHERE x.seq = n.seq;
  RETURN spool.end_job(n, 6, 0, r.attempt, r.claimed, now, NULL, NULL, s.cpu, s.memory, s.bytes_read, s.bytes_written);
END $$;

-- Parks the parent and inserts the children; an error of the contract takes all of it back.
CREATE FUNCTION spool.fan_out(n spool.node, fan_out jsonb, now bigint) RETURNS spool.ended[] LANGUAGE plpgsql AS $$
DECLARE
  child jsonb;
  j spool.new_job;
  one record;
  ends spool.ended[] := '{}';
  waits boolean := false;
BEGIN
  DELETE FROM spool.running r WHERE r.seq = n.seq;
  INSERT INTO spool.life (seq, phase, fail_fast, has_children)
    VALUES (n.seq, fan_out ->> 'next_phase', (fan_out ->> 'fail_fast')::boolean, true)
    ON CONFLICT (seq) DO UPDATE SET phase = excluded.phase, fail_fast = excluded.fail_fast, has_children = true,
      attempts = 0, rescues = 0, progress = 0, detail = NULL;
  PERFORM spool.park(n.seq, 1, 0, now);
  FOR child IN SELECT jsonb_array_elements(fan_out -> 'children') LOOP
    j := jsonb_populate_record(NULL::spool.new_job, child);
    SELECT * INTO one FROM spool.insert_one(j, n.seq, now);
    IF (one.added).code IS NOT NULL THEN
      RAISE EXCEPTION USING ERRCODE = 'SP009', DETAIL = (one.added).code,
        MESSAGE = 'its fan-out was refused: ' || j.kind || ' ' || j.name || ': ' || (one.added).message;
    END IF;
    ends := ends || one.ends;
    waits := waits OR NOT (one.added).existed;
  END LOOP;
  IF NOT waits THEN ends := ends || spool.resume(spool.load(n.seq), now); END IF;
  RETURN ends;
END $$;

CREATE FUNCTION spool.back_off(attempt integer) RETURNS bigint LANGUAGE sql VOLATILE AS  -- as queue/retry.h
$$ SELECT (least(2000000 * 2.0 ^ least(attempt - 1, 40), 600000000) * (0.75 + random() / 2))::bigint $$;

CREATE FUNCTION spool.again(n spool.node, after bigint, now bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  after := least(greatest(after, 0), 3153600000000000);  -- 100 years
  IF after > 0 THEN PERFORM spool.park(n.seq, 2, 0, now + after);
  ELSE PERFORM spool.make_ready(n, now, true);
  END IF;
END $$;

-- What becomes of a running attempt that ended. Its tree is locked, and r is its row.
CREATE FUNCTION spool.settle_one(r spool.running, s spool.settlement, now bigint) RETURNS spool.ended[]
LANGUAGE plpgsql AS $$
DECLARE
  n spool.node := spool.load(r.seq);
  most integer;
  ends spool.ended[];
  refused_code text;
  refused text;
BEGIN
  IF n.stop <> 0 AND s.what <> 0 THEN
    -- It was asked to stop: whatever it says but success, that is how it ends.
    IF s.what = 4 THEN
      PERFORM spool.add_failure(n.seq, r.attempt, s.code, s.message, s.native, spool.worker_of(r.session), r.claimed,
        now, s.log, s.cpu, s.memory, s.bytes_read, s.bytes_written);
    END IF;
    DELETE FROM spool.running x WHERE x.seq = n.seq;
    RETURN ARRAY[spool.end_stopped(n, r.attempt, r.claimed, now, s.cpu, s.memory, s.bytes_read, s.bytes_written)];
  END IF;
  IF s.what = 0 AND s.code IS NULL THEN
    DELETE FROM spool.running x WHERE x.seq = n.seq;
    RETURN ARRAY[spool.end_job(n, 5, 0, r.attempt, r.claimed, now, s.token, s.result, s.cpu, s.memory, s.bytes_read,
      s.bytes_written)];
  ELSIF s.what = 1 AND s.code IS NULL THEN
    BEGIN
      ends := spool.fan_out(n, s.fan_out, now);
    EXCEPTION
      WHEN SQLSTATE 'SP009' THEN
        GET STACKED DIAGNOSTICS refused_code = PG_EXCEPTION_DETAIL, refused = MESSAGE_TEXT;
      WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded THEN
        refused_code := 'internal';
        refused := SQLERRM;
    END;
    IF refused IS NOT NULL THEN RETURN ARRAY[spool.fail_for_good(n, r, s, refused_code, refused, now)]; END IF;
    PERFORM spool.add_usage(n.seq, s.cpu, s.memory, s.bytes_read, s.bytes_written);
    RETURN ends;
  ELSIF s.what = 2 THEN
    SELECT j.most_attempts INTO most FROM spool.job j WHERE j.seq = n.seq;
    IF r.attempt < most THEN
      PERFORM spool.add_failure(n.seq, r.attempt, s.code, s.message, s.native, spool.worker_of(r.session), r.claimed,
        now, s.log, s.cpu, s.memory, s.bytes_read, s.bytes_written);
      PERFORM spool.add_usage(n.seq, s.cpu, s.memory, s.bytes_read, s.bytes_written);
      INSERT INTO spool.life (seq, attempts) VALUES (n.seq, r.attempt)
        ON CONFLICT (seq) DO UPDATE SET attempts = excluded.attempts;
      DELETE FROM spool.running x WHERE x.seq = n.seq;
      PERFORM spool.again(n, coalesce(s.after, spool.back_off(r.attempt)), now);
      RETURN '{}';
    END IF;
  ELSIF s.what = 3 THEN
    PERFORM spool.add_usage(n.seq, s.cpu, s.memory, s.bytes_read, s.bytes_written);
    DELETE FROM spool.running x WHERE x.seq = n.seq;
    PERFORM spool.again(spool.go_behind(n, now + least(greatest(s.after, 0), 3153600000000000)), s.after, now);
    RETURN '{}';
  ELSIF s.what = 5 THEN
    PERFORM spool.add_usage(n.seq, s.cpu, s.memory, s.bytes_read, s.bytes_written);
    DELETE FROM spool.running x WHERE x.seq = n.seq;
    PERFORM spool.make_ready(n, n.ready, false);  -- at its old place in the line
    RETURN '{}';
  END IF;
  RETURN ARRAY[spool.fail_for_good(n, r, s, s.code, s.message, now)];
END $$;

-- verdict null: it is settled, and `ends` is to be propagated. A stale token changes nothing.
CREATE FUNCTION spool.try_to_settle(of bigint, root bigint, s spool.settlement, INOUT patient boolean, now bigint,
  OUT verdict text, OUT ends spool.ended[]) LANGUAGE plpgsql AS $$
DECLARE
  got boolean;
  r spool.running;
BEGIN
  ends := '{}';
  SELECT t.patient, t.got INTO patient, got FROM spool.try_tree(root, patient) t;
  IF NOT got THEN
    verdict := 'unavailable';
    RETURN;
  END IF;
  SELECT * INTO r FROM spool.running x WHERE x.seq = of AND x.token = s.token FOR UPDATE;
  IF NOT found THEN
    verdict := 'lease_lost';
    RETURN;
  END IF;
  ends := spool.settle_one(r, s, now);
END $$;

-- The worker of a running attempt is gone: charges a rescue. Its tree is locked.
CREATE FUNCTION spool.rescue_one(r spool.running, worker text, now bigint) RETURNS spool.ended[] LANGUAGE plpgsql AS $$
DECLARE
  n spool.node := spool.load(r.seq);
  charged integer;
BEGIN
  DELETE FROM spool.running x WHERE x.seq = r.seq;
  PERFORM spool.add_failure(r.seq, r.attempt, 'crashed', 'its worker disappeared', 0, worker, r.claimed, now);
  IF n.stop <> 0 THEN RETURN ARRAY[spool.end_stopped(n, r.attempt, r.claimed, now)]; END IF;
  INSERT INTO spool.life AS l (seq, rescues) VALUES (r.seq, 1)
    ON CONFLICT (seq) DO UPDATE SET rescues = l.rescues + 1 RETURNING l.rescues INTO charged;
  IF charged >= 20 THEN  -- kRescueLimit
    PERFORM spool.add_failure(r.seq, r.attempt, 'crashed',
      'it lost its worker ' || charged || ' times without new progress', 0, worker, r.claimed, now);
    RETURN ARRAY[spool.end_job(n, 6, 0, r.attempt, r.claimed, now)];
  END IF;
  PERFORM spool.make_ready(n, n.ready, false);
  RETURN '{}';
END $$;

-- The worker gives it back: charges nothing.
CREATE FUNCTION spool.release_one(r spool.running, now bigint) RETURNS spool.ended[] LANGUAGE plpgsql AS $$
DECLARE
  n spool.node := spool.load(r.seq);
BEGIN
  DELETE FROM spool.running x WHERE x.seq = r.seq;
  IF n.stop <> 0 THEN RETURN ARRAY[spool.end_stopped(n, r.attempt, NULL, now)]; END IF;
  PERFORM spool.make_ready(n, n.ready, false);
  RETURN '{}';
END $$;

-- Takes what a session runs from it, at most so many: by a rescue each, or given back. Returns how many. What another
-- transaction holds is left to it: the session is not over before spool.end_session() says so.
CREATE FUNCTION spool.take_from(of bigint, rescued boolean, patient boolean, most integer, now bigint) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
  worker text := spool.worker_of(of);
  ends spool.ended[] := '{}';
  step record;
  r spool.running;
  got boolean;
  many integer := 0;
BEGIN
  FOR step IN SELECT x.seq, coalesce(j.root, j.seq) AS root FROM (
                SELECT y.seq FROM spool.running y WHERE y.session = of ORDER BY y.seq LIMIT most) x
              JOIN spool.job j ON j.seq = x.seq ORDER BY 2, 1 LOOP
    SELECT t.patient, t.got INTO patient, got FROM spool.try_tree(step.root, patient) t;
    CONTINUE WHEN NOT got;
    SELECT * INTO r FROM spool.running x WHERE x.seq = step.seq FOR UPDATE;
    CONTINUE WHEN NOT found OR r.session <> of;
    ends := ends || CASE WHEN rescued THEN spool.rescue_one(r, worker, now) ELSE spool.release_one(r, now) END;
    many := many + 1;
  END LOOP;
  PERFORM spool.propagate(ends, now);
  RETURN many;
END $$;

CREATE FUNCTION spool.end_session(of bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM spool.session s WHERE s.session = of AND NOT EXISTS (SELECT 1 FROM spool.running r WHERE r.session = of);
END $$;

-- Jobs whose time has come. parked_due.
CREATE FUNCTION spool.move_due(most integer, now bigint) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  due record;
  many integer := 0;
BEGIN
  FOR due IN
    WITH taken AS (
      DELETE FROM spool.parked p WHERE p.seq IN (
        SELECT x.seq FROM spool.parked x WHERE x.state = 2 AND x.due <= now ORDER BY x.due LIMIT greatest(most, 0)
          FOR UPDATE SKIP LOCKED)
        RETURNING p.seq, p.due)
    SELECT t.seq, t.due FROM taken t ORDER BY t.due, t.seq
  LOOP
    PERFORM spool.make_ready(spool.peek(due.seq), due.due, true);
    many := many + 1;
  END LOOP;
  RETURN many;
END $$;

-- Ends what is past its deadline: the primary key of deadline. Returns how many jobs ended. What another transaction holds
-- is late a little longer.
CREATE FUNCTION spool.stop_late(most integer, now bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  late record;
  many bigint := 0;
BEGIN
  FOR late IN SELECT d.at, d.seq, coalesce(j.root, j.seq) AS root
              FROM (SELECT * FROM spool.deadline x WHERE x.at <= now ORDER BY x.at, x.seq LIMIT greatest(most, 0)) d
                JOIN spool.job j ON j.seq = d.seq ORDER BY 3, 2 LOOP
    EXIT WHEN many >= most;
    CONTINUE WHEN NOT (SELECT t.got FROM spool.try_tree(late.root, false) t);
    DELETE FROM spool.deadline d WHERE d.at = late.at AND d.seq = late.seq;
    CONTINUE WHEN NOT found;
    many := many + spool.propagate(spool.stop_tree(late.seq, 2, 'its deadline passed', now), now) + 1;
  END LOOP;
  RETURN many;
END $$;

-- Claims in the order of (rank, seq) over all lanes that are open to the worker: from the line into running. A job at the head
-- that does not fit the free slots keeps them for itself: nothing behind it is taken. What another claim holds is passed by.
-- marks: the rank to begin with in a lane (what is before is known to be gone); last_lanes and last_ranks: how far it came. plain: all of
-- them are; limited: those that hold places.
CREATE FUNCTION spool.claim(
  session bigint, now bigint, slots integer, all_slots integer, most_jobs integer, queues text[], tags text[],
  mark_lanes integer[], marks bigint[],
  OUT seqs bigint[], OUT tokens uuid[], OUT widths integer[], OUT plain boolean, OUT limited bigint[],
  OUT last_lanes integer[], OUT last_ranks bigint[])
LANGUAGE plpgsql AS $$
DECLARE
  end_of_line CONSTANT bigint := 9223372036854775807;
  lanes integer[];
  lane_slots integer[];
  head_ranks bigint[];  -- where each lane goes on; null: it is empty
  head_seqs bigint[];
  turns integer[];      -- the lane whose turn it is, and the one that comes next
  best integer := 1;
  bound_rank bigint := end_of_line;
  bound_seq bigint := end_of_line;
  fit integer;
  free integer := slots;
  got record;
  head record;
BEGIN
  seqs := '{}'; tokens := '{}'; widths := '{}'; plain := true; limited := '{}'; last_lanes := '{}'; last_ranks := '{}';
  SELECT array_agg(l.lane), array_agg(l.slots), array_agg(coalesce(marks[array_position(mark_lanes, l.lane)], -end_of_line)),
         array_agg(0::bigint)
    INTO lanes, lane_slots, head_ranks, head_seqs
    FROM (SELECT x.lane, x.slots FROM spool.lane x
          WHERE x.slots <= greatest(all_slots, claim.slots) AND (cardinality(queues) = 0 OR x.queue = ANY (queues))
            AND x.tags <@ claim.tags AND NOT x.queue = ANY (ARRAY(SELECT q.queue FROM spool.paused_queue q))
          ORDER BY x.lane) l;
  IF lanes IS NULL THEN RETURN; END IF;
  IF cardinality(lanes) > 1 THEN
    SELECT array_agg(h.rank ORDER BY s.at), array_agg(h.seq ORDER BY s.at) INTO head_ranks, head_seqs
      FROM unnest(lanes, head_ranks) WITH ORDINALITY s (lane, start, at)
        LEFT JOIN LATERAL (SELECT r.rank, r.seq FROM spool.ready r WHERE r.lane = s.lane AND r.rank >= s.start
                           ORDER BY r.rank, r.seq LIMIT 1) h ON true;
  END IF;
  LOOP
    IF cardinality(lanes) > 1 THEN
      -- The lane with the earliest head, and how far it goes before another lane's turn.
      turns := ARRAY(SELECT h.at FROM unnest(head_ranks, head_seqs) WITH ORDINALITY h (rank, seq, at)
                     WHERE h.rank IS NOT NULL ORDER BY h.rank, h.seq LIMIT 2);
      EXIT WHEN cardinality(turns) = 0;
      best := turns[1];
      bound_rank := coalesce(head_ranks[turns[2]], end_of_line);
      bound_seq := coalesce(head_seqs[turns[2]], end_of_line);
    END IF;
    fit := least(free / lane_slots[best], most_jobs - cardinality(seqs));
    EXIT WHEN fit <= 0;
    WITH line AS MATERIALIZED (  -- the primary key is the order
      SELECT r.ctid, r.rank, r.seq, r.plain, r.limited FROM spool.ready r
        WHERE r.lane = lanes[best] AND (r.rank, r.seq) >= (head_ranks[best], head_seqs[best])
          AND (r.rank, r.seq) <= (bound_rank, bound_seq)
        ORDER BY r.rank, r.seq LIMIT fit FOR UPDATE SKIP LOCKED
    ), gone AS (
      DELETE FROM spool.ready r WHERE r.ctid = ANY (ARRAY(SELECT h.ctid FROM line h))
    ), taken AS MATERIALIZED (
      SELECT h.*, gen_random_uuid() AS token FROM line h
    ), run AS (
      INSERT INTO spool.running (seq, token, session, attempt, claimed, plain, limited)
        SELECT t.seq, t.token, claim.session, CASE WHEN t.plain THEN 1
            ELSE coalesce((SELECT l.attempts FROM spool.life l WHERE l.seq = t.seq), 0) + 1 END, claim.now, t.plain, t.limited
          FROM taken t
    )
    SELECT array_agg(t.seq) AS seqs, array_agg(t.token) AS tokens, bool_and(t.plain) AS plain,
        array_agg(t.seq) FILTER (WHERE t.limited) AS limited, max(t.rank) AS rank, count(*)::integer AS many
      INTO got FROM taken t;
    IF got.many > 0 THEN
      seqs := seqs || got.seqs;
      tokens := tokens || got.tokens;
      widths := widths || array_fill(lane_slots[best], ARRAY[got.many]);
      plain := plain AND got.plain;
      limited := limited || got.limited;
      last_lanes := last_lanes || lanes[best];
      last_ranks := last_ranks || got.rank;
      free := free - got.many * lane_slots[best];
    END IF;
    EXIT WHEN free <= 0 OR cardinality(seqs) >= most_jobs OR cardinality(lanes) = 1;
    -- It goes on behind what was taken, or behind the bound: up to there nothing is left for this claim.
    IF got.many = fit THEN
      bound_rank := got.rank;
      bound_seq := got.seqs[fit];
    END IF;
    SELECT r.rank, r.seq INTO head FROM spool.ready r
      WHERE r.lane = lanes[best] AND (r.rank, r.seq) > (bound_rank, bound_seq) ORDER BY r.rank, r.seq LIMIT 1;
    head_ranks[best] := head.rank;
    head_seqs[best] := head.seq;
  END LOOP;
END $$;

-- What one statement brings back: what = 0 a settlement (n its index, from 1; extra the error, phase its code), 1 a claim
-- (n its seq), 2 a child of the claim above it, 3 at the end: n when the next job is due, extra the lanes that woke,
-- attempt the microseconds of the claim; 4 how far the claim came in a lane (n the lane, timeout the rank); 9 the session's lease
-- is gone.
CREATE TYPE spool.exchanged AS (
  what integer, n bigint, job uuid, parent uuid, root uuid, token uuid, kind text, name text, owner text, phase text,
  args text, extra text, attempt integer, most_attempts integer, slots integer, timeout bigint, until_deadline bigint, unchecked boolean);

-- s_...: the settlements, a column each; from s_result on, a column is null when none of them has such a thing.
CREATE FUNCTION spool.exchange(
  shift bigint, session uuid, s_job uuid[], s_seq bigint[], s_token uuid[], s_what integer[], s_result text[],
  s_after bigint[], s_code text[], s_message text[], s_native integer[], s_log text[], s_cpu double precision[],
  s_memory bigint[], s_read bigint[], s_written bigint[], s_fan_out text[],
  slots integer, all_slots integer, most_jobs integer, queues text[], tags text[], mark_lanes integer[], marks bigint[])
RETURNS SETOF spool.exchanged LANGUAGE plpgsql
-- Every step is by a key. Without statistics (a new table, or a table that was empty a moment ago) the planner would read whole
-- tables for a few rows of them, and go on doing so. And with arrays of one it would plan anew each time, which costs as much as
-- the exchange itself.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan
-- An application may hold what is settled, or what that wakes, for as long as it likes: what needs it is later then, and the
-- worker lives on.
SET lock_timeout = '1s' AS $$
DECLARE
  now bigint := spool.clock(shift);
  v_session bigint;
  log_base bigint;
  plain_ones bigint[] := '{}';
  ends spool.ended[];
  its_ends spool.ended[];
  step record;
  settlement spool.settlement;
  verdict text;     -- null: settled
  verdicts text[];  -- by the place in s_job
  patient boolean := true;
  alone boolean := false;  -- each settlement and its wake-ups for itself
  claimed record;
  began timestamptz;
  claim_time integer := 0;
  next_due bigint;
  next_opening bigint;
  is_late boolean;
  has_limits boolean;
  takes_places boolean := false;
  settled_any boolean := false;
BEGIN
  -- Nobody ends the session while something is written for it. An idle exchange writes nothing, not even a lock.
  IF cardinality(s_job) > 0 THEN
    SELECT x.session, (e.epoch + pg_current_xact_id()::text::bigint) << 20 INTO v_session, log_base
      FROM spool.session x CROSS JOIN spool.log_epoch e WHERE x.id = exchange.session AND x.expires > now FOR KEY SHARE OF x;
  ELSE
    SELECT x.session INTO v_session FROM spool.session x WHERE x.id = exchange.session AND x.expires > now;
  END IF;
  IF v_session IS NULL THEN
    RETURN NEXT (9, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::spool.exchanged;
    RETURN;
  END IF;

  IF cardinality(s_job) > 0 THEN
    BEGIN
      WITH gone AS (
        DELETE FROM spool.running x
          USING generate_series(1, cardinality(s_job)) s (at)
          -- ANY: no order is of use, so that no plan reads all of the primary key.
          WHERE s_what[s.at] = 0 AND s_code[s.at] IS NULL AND x.seq = ANY (ARRAY[s_seq[s.at]]) AND x.token = s_token[s.at]
            AND x.plain
          RETURNING s.at, x.seq, x.attempt, x.claimed, x.token
      ), logged AS (
        INSERT INTO spool.outcome (n, seq, state, at, attempt, claimed, token, result, cpu, memory, bytes_read, bytes_written)
          SELECT log_base + nextval('spool.log_row'), g.seq, 5, now, g.attempt, g.claimed, g.token, s_result[g.at],
            nullif(s_cpu[g.at], 0), nullif(s_memory[g.at], 0), nullif(s_read[g.at], 0), nullif(s_written[g.at], 0) FROM gone g
      )
      SELECT coalesce(array_agg(g.at), '{}') INTO plain_ones FROM gone g;
    EXCEPTION WHEN lock_not_available THEN
      -- An application holds one of them: then one by one, passing by what is held.
      plain_ones := '{}';
      patient := false;
    END;
    settled_any := cardinality(plain_ones) > 0;
    IF cardinality(plain_ones) < cardinality(s_job) THEN
      LOOP
        verdicts := '{}';
        ends := '{}';
        BEGIN
          FOR step IN SELECT s.at, j.seq, coalesce(j.root, j.seq) AS root FROM unnest(s_job) WITH ORDINALITY s (job, at)
                        LEFT JOIN spool.job j ON j.id = s.job WHERE NOT s.at = ANY (plain_ones) ORDER BY 3, s.at LOOP
            settlement := (s_what[step.at], s_token[step.at], s_result[step.at], s_after[step.at], s_code[step.at],
              s_message[step.at], s_native[step.at], s_log[step.at], coalesce(s_cpu[step.at], 0), coalesce(s_memory[step.at], 0),
              coalesce(s_read[step.at], 0), coalesce(s_written[step.at], 0), s_fan_out[step.at]::jsonb)::spool.settlement;
            IF alone THEN
              BEGIN
                SELECT t.patient, t.verdict, t.ends INTO patient, verdict, its_ends
                  FROM spool.try_to_settle(step.seq, step.root, settlement, patient, now) t;
                PERFORM spool.propagate(its_ends, now);
              EXCEPTION WHEN lock_not_available THEN
                verdict := 'unavailable';
              END;
            ELSE
              SELECT t.patient, t.verdict, t.ends INTO patient, verdict, its_ends
                FROM spool.try_to_settle(step.seq, step.root, settlement, patient, now) t;
              ends := ends || its_ends;
            END IF;
            verdicts[step.at] := verdict;
          END LOOP;
          PERFORM spool.propagate(ends, now);
          EXIT;
        EXCEPTION WHEN lock_not_available THEN
          -- A wake-up leads into a tree that an application holds: once more, each for itself.
          alone := true;
          patient := false;
          PERFORM set_config('lock_timeout', '50ms', true);
        END;
      END LOOP;
      FOR at IN 1 .. cardinality(s_job) LOOP
        CONTINUE WHEN at = ANY (plain_ones);
        IF verdicts[at] IS NULL THEN settled_any := true; CONTINUE; END IF;
        RETURN NEXT (0, at, s_job[at], NULL, NULL, NULL, NULL, NULL, NULL, verdicts[at], NULL,
          'job ' || s_job[at] || CASE verdicts[at] WHEN 'unavailable' THEN ': another transaction holds its tree, or one that waits for it'
            ELSE ': another attempt owns it, or none' END, NULL, NULL, NULL, NULL, NULL, NULL)::spool.exchanged;
      END LOOP;
    END IF;
  END IF;

  SELECT min(p.due), EXISTS (SELECT 1 FROM spool.deadline d WHERE d.at <= now), EXISTS (SELECT 1 FROM spool.limit_rule)
    INTO next_due, is_late, has_limits FROM spool.parked p WHERE p.state = 2;
  IF slots > 0 AND most_jobs > 0 THEN
    IF next_due <= now THEN PERFORM spool.move_due(1000, now); END IF;
    IF is_late THEN PERFORM spool.stop_late(1000, now); END IF;
    IF next_due <= now OR is_late THEN SELECT min(p.due) INTO next_due FROM spool.parked p WHERE p.state = 2; END IF;
    IF has_limits THEN next_opening := spool.admit(now); END IF;
    began := clock_timestamp();
    claimed := spool.claim(v_session, now, slots, all_slots, most_jobs, queues, tags, mark_lanes, marks);
    claim_time := extract(epoch FROM clock_timestamp() - began) * 1000000;
    IF cardinality(claimed.seqs) > 0 THEN
      IF cardinality(s_job) = 0 THEN
        -- Not waited for: who ends it may wait for what is locked by now.
        PERFORM 1 FROM spool.session x WHERE x.session = v_session FOR KEY SHARE SKIP LOCKED;
        IF NOT found THEN PERFORM spool.refuse('SP005', 'the session''s lease is gone'); END IF;
      END IF;
      takes_places := cardinality(claimed.limited) > 0;
      IF takes_places THEN PERFORM spool.started(claimed.limited, now); END IF;
      IF claimed.plain THEN
        RETURN QUERY SELECT 1, j.seq, j.id, NULL::uuid, j.id, claimed.tokens[s.at], j.kind, j.name, j.owner, '', j.args, NULL, 1,
            j.most_attempts, claimed.widths[s.at], j.timeout, NULL::bigint, j.unchecked
          FROM generate_series(1, cardinality(claimed.seqs)) s (at) JOIN spool.job j ON j.seq = claimed.seqs[s.at];
      ELSE
        RETURN QUERY SELECT 1, j.seq, j.id, up.id, coalesce(top.id, j.id), claimed.tokens[s.at], j.kind, j.name, j.owner,
            coalesce(l.phase, ''), j.args, k.value, coalesce(l.attempts, 0) + 1, j.most_attempts, claimed.widths[s.at], j.timeout,
            CASE WHEN coalesce(l.deadline, j.deadline) IS NOT NULL THEN greatest(coalesce(l.deadline, j.deadline) - now, 0) END,
            j.unchecked
          FROM generate_series(1, cardinality(claimed.seqs)) s (at) JOIN spool.job j ON j.seq = claimed.seqs[s.at]
            LEFT JOIN spool.life l ON l.seq = j.seq LEFT JOIN spool.checkpoint k ON k.seq = j.seq
            LEFT JOIN spool.job up ON up.seq = j.parent LEFT JOIN spool.job top ON top.seq = j.root
          ORDER BY s.at;
        -- Children of those that had some, in the order of their insertion: job_of_parent, outcome_of_job.
        RETURN QUERY SELECT 2, l.seq, c.id, NULL::uuid, NULL::uuid, o.token, c.kind, c.name, NULL::text, NULL::text, c.args,
            o.result, o.state::integer, NULL::integer, NULL::integer, NULL::bigint, NULL::bigint, NULL::boolean
          FROM generate_series(1, cardinality(claimed.seqs)) s (at)
            JOIN spool.life l ON l.seq = claimed.seqs[s.at] AND l.has_children
            JOIN spool.job c ON c.parent = l.seq
            JOIN spool.outcome o ON o.seq = c.seq AND NOT o.superseded
          WHERE NOT EXISTS (SELECT 1 FROM spool.hidden h WHERE h.seq = c.seq)
          ORDER BY s.at, c.seq;
      END IF;
      FOR i IN 1 .. cardinality(claimed.last_lanes) LOOP
        RETURN NEXT (4, claimed.last_lanes[i], NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
          claimed.last_ranks[i], NULL, NULL)::spool.exchanged;
      END LOOP;
    END IF;
  END IF;
  IF has_limits AND (takes_places OR (settled_any AND (slots <= 0 OR most_jobs <= 0))) THEN next_opening := spool.admit(now); END IF;
  RETURN NEXT (3, least(next_due, next_opening) - now, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, array_to_string(spool.woken(), ','), claim_time, NULL, NULL, NULL, NULL, NULL)::spool.exchanged;
END $$;

-- Whether a claim might find or do anything, for a worker that asks now and then; and the microseconds until the next job is due.
-- A long line, or one that was long a moment ago, is not looked through for what is alive in it.
CREATE FUNCTION spool.poll(shift bigint, of uuid, OUT anything boolean, OUT next_due bigint) LANGUAGE plpgsql AS $$
DECLARE
  now bigint := spool.clock(shift);
BEGIN
  SELECT min(p.due) - now INTO next_due FROM spool.parked p WHERE p.state = 2;
  anything := next_due <= 0 IS TRUE OR pg_relation_size('spool.ready') > 1000000 OR EXISTS (SELECT 1 FROM spool.ready)
    OR EXISTS (SELECT 1 FROM spool.deadline d WHERE d.at <= now)
    OR EXISTS (SELECT 1 FROM spool.parked p WHERE p.line IS NOT NULL)
    OR NOT EXISTS (SELECT 1 FROM spool.session s WHERE s.id = of AND s.expires > now);
END $$;

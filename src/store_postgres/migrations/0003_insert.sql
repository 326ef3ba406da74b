-- Insertion. Jobs that nothing hangs on are stored by one statement (insert_plain), all others one by one.

CREATE TYPE spool.new_job AS (
  id uuid, parent uuid, kind text, name text, owner text, queue text, slots integer, tags text[], priority integer,
  args text, labels text, most_attempts integer, timeout bigint, deadline bigint, unique_key text, limit_key text,
  weight double precision, optional boolean, held boolean, delay bigint, needs jsonb,  -- [{"job", "ignore_failure"}]
  run_at bigint,                                                           -- where its delay is the time until then
  made_id uuid,                                                            -- where it has no id of its own
  unchecked boolean);
CREATE TYPE spool.inserted AS (id uuid, existed boolean, code text, message text);

-- Jobs with ids that nobody has, without parent, needs, unique key, deadline, delay, and not held. Returns the lanes that they
-- are in.
CREATE FUNCTION spool.insert_plain(
  shift bigint, ids uuid[], kinds text[], names text[], owners text[], lanes integer[], args text[], labels text[],
  most_attempts integer[], timeouts bigint[], weights double precision[], optionals boolean[], limit_keys text[],
  unchecked boolean)
RETURNS integer[] LANGUAGE plpgsql AS $$
DECLARE
  now bigint := spool.clock(shift);
  many bigint;
  woken integer[];
BEGIN
  WITH added AS (
    INSERT INTO spool.job (id, kind, name, owner, lane, args, labels, most_attempts, timeout, weight, optional, limit_key,
                           held, delay, created, unchecked)
      SELECT n.id, n.kind, n.name, n.owner, n.lane, n.args, n.labels, n.most_attempts, n.timeout, n.weight,
        n.optional, n.limit_key, false, 0, now, insert_plain.unchecked
      FROM unnest(ids, kinds, names, owners, lanes, args, labels, most_attempts, timeouts, weights, optionals, limit_keys)
        n (id, kind, name, owner, lane, args, labels, most_attempts, timeout, weight, optional, limit_key)
      RETURNING lane, seq
  ), line AS (
    INSERT INTO spool.ready (lane, rank, seq, plain)
      SELECT a.lane, spool.rank_of(l.priority, now), a.seq, true FROM added a JOIN spool.lane l ON l.lane = a.lane
      RETURNING lane
  )
  SELECT array_agg(DISTINCT line.lane), count(*) INTO woken, many FROM line;
  IF many < cardinality(ids) THEN  -- a standby that was promoted need not have all that was committed: the caller asks again
    RAISE EXCEPTION 'a lane is gone' USING ERRCODE = 'serialization_failure';
  END IF;
  IF EXISTS (SELECT 1 FROM spool.limit_rule) THEN
    PERFORM spool.into_lines(array_agg(j.lane), array_agg(spool.rank_of(a.priority, now)), array_agg(j.seq))
      FROM unnest(ids) n (id) JOIN spool.job j ON j.id = n.id JOIN spool.lane a ON a.lane = j.lane;
    PERFORM spool.admit(now);
  END IF;
  RETURN coalesce(woken, '{}');
END $$;

-- The keys of what another program wrote may stand in another order.
CREATE FUNCTION spool.same_json(one text, other text) RETURNS boolean LANGUAGE sql IMMUTABLE AS
$$ SELECT CASE WHEN one = other THEN true WHEN strpos(one || other, '\u0000') > 0 THEN false  -- no jsonb holds that
               ELSE coalesce(one::jsonb = other::jsonb, one IS NULL AND other IS NULL) END $$;

-- Whether the job of this id is the one that is asked for.
CREATE FUNCTION spool.same_job(of bigint, j spool.new_job, lane integer, owner text, parent bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  had spool.job;
BEGIN
  SELECT * INTO had FROM spool.job x WHERE x.seq = of;
  RETURN had.kind = j.kind AND had.name = j.name AND had.owner = same_job.owner
    AND spool.same_lane(had.lane, same_job.lane)
    AND had.most_attempts = j.most_attempts
    AND had.timeout IS NOT DISTINCT FROM j.timeout AND had.deadline_asked IS NOT DISTINCT FROM j.deadline
    AND had.unique_key IS NOT DISTINCT FROM j.unique_key
    AND had.limit_key IS NOT DISTINCT FROM j.limit_key AND had.weight = j.weight AND had.optional = j.optional
    AND had.held = j.held
    AND had.delay = CASE WHEN j.run_at IS NULL THEN j.delay ELSE greatest(j.run_at - had.created, 0) END
    AND had.parent IS NOT DISTINCT FROM same_job.parent
    AND spool.same_json(had.args, j.args) AND spool.same_json(had.labels, j.labels)
    AND NOT EXISTS (SELECT 1 FROM spool.hidden h WHERE h.seq = of)
    AND ARRAY(SELECT x.id || ' ' || n.ignore_failure FROM spool.need n JOIN spool.job x ON x.seq = n.needed
              WHERE n.job = of ORDER BY 1)
      = ARRAY(SELECT (n ->> 'job') || ' ' || (n ->> 'ignore_failure') FROM jsonb_array_elements(j.needs) n ORDER BY 1);
END $$;

-- One job. `under`: the parent by whose fan-out it comes; its owner, lane and limits are that parent's.
CREATE FUNCTION spool.insert_one(j spool.new_job, under bigint, now bigint, OUT added spool.inserted, OUT ends spool.ended[])
LANGUAGE plpgsql AS $$
DECLARE
  v_parent bigint := under;
  parent_node spool.node;
  parent_error text;
  v_owner text := j.owner;
  v_limit_key text := j.limit_key;
  v_lane integer;
  line spool.lane;
  had bigint;
  hidden_holder boolean;
  v_seq bigint;
  v_id uuid := coalesce(j.id, j.made_id);
  v_deadline bigint;
  edges bigint[] := '{}';
  edge record;
  open_edges bigint := 0;
  bad integer;
  needed spool.node;
BEGIN
  ends := '{}';
  IF under IS NULL AND j.parent IS NOT NULL THEN
    v_parent := spool.find(j.parent);
    IF v_parent IS NULL THEN
      added := (NULL, false, 'not_found', 'its parent ' || j.parent || ' does not exist')::spool.inserted;
      RETURN;
    END IF;
  END IF;
  IF v_parent IS NOT NULL THEN
    parent_node := spool.load(v_parent);
    IF under IS NULL THEN parent_error := spool.why_no_children(parent_node); END IF;
  END IF;
  IF under IS NULL THEN
    v_lane := spool.lane_of(j.queue, j.slots, j.tags, j.priority);
  ELSE
    SELECT x.owner, x.limit_key INTO v_owner, v_limit_key FROM spool.job x WHERE x.seq = under;
    j.limit_key := v_limit_key;
    SELECT * INTO line FROM spool.lane l WHERE l.lane = parent_node.lane;
    v_lane := CASE WHEN line.slots = j.slots THEN line.lane
                   ELSE spool.lane_of(line.queue, j.slots, line.tags, line.priority) END;
  END IF;

  LOOP
    IF j.id IS NOT NULL THEN
      SELECT x.seq INTO had FROM spool.job x WHERE x.id = j.id;
      IF found THEN
        added := CASE WHEN spool.same_job(had, j, v_lane, v_owner, v_parent)
          THEN (j.id, true, NULL, NULL)::spool.inserted
          ELSE (NULL, false, 'conflict', 'the id ' || j.id || ' is taken')::spool.inserted END;
        RETURN;
      END IF;
      IF EXISTS (SELECT 1 FROM spool.purged p WHERE p.id = j.id) THEN
        added := (NULL, false, 'conflict', 'the job ' || j.id || ' is being removed: try again')::spool.inserted;
        RETURN;
      END IF;
    END IF;
    IF parent_error IS NOT NULL THEN
      added := (NULL, false, 'conflict', parent_error)::spool.inserted;
      RETURN;
    END IF;
    IF j.unique_key IS NOT NULL THEN
      SELECT x.id, EXISTS (SELECT 1 FROM spool.hidden h WHERE h.seq = k.seq) INTO v_id, hidden_holder
        FROM spool.unique_key k JOIN spool.job x ON x.seq = k.seq
        WHERE spool.key_digest(k.owner, k.kind, k.key) = spool.key_digest(v_owner, j.kind, j.unique_key);
      IF found THEN
        added := CASE WHEN hidden_holder
          THEN (NULL, false, 'conflict', 'the job that holds its unique key is being removed: try again')::spool.inserted
          ELSE (v_id, true, NULL, NULL)::spool.inserted END;
        RETURN;
      END IF;
      v_id := coalesce(j.id, j.made_id);
    END IF;

    IF cardinality(edges) = 0 THEN
      FOR edge IN SELECT (n ->> 'job')::uuid AS job, (n ->> 'ignore_failure')::boolean AS ignore_failure
                  FROM jsonb_array_elements(j.needs) n LOOP
        had := spool.find(edge.job);
        IF had IS NULL THEN
          added := (NULL, false, 'not_found', 'it needs ' || edge.job || ', which does not exist')::spool.inserted;
          RETURN;
        END IF;
        IF (SELECT x.parent FROM spool.job x WHERE x.seq = had) IS DISTINCT FROM v_parent THEN
          added := (NULL, false, 'invalid_argument', 'it needs ' || edge.job
            || ', which is no sibling: only jobs of one parent can need each other')::spool.inserted;
          RETURN;
        END IF;
        IF had = ANY (edges) THEN
          added := (NULL, false, 'invalid_argument', 'it needs ' || edge.job || ' twice')::spool.inserted;
          RETURN;
        END IF;
        edges := edges || had;
      END LOOP;
    END IF;

    v_seq := nextval('spool.job_seq_seq');
    IF j.unique_key IS NOT NULL THEN
      INSERT INTO spool.unique_key (owner, kind, key, seq) VALUES (v_owner, j.kind, j.unique_key, v_seq)
        ON CONFLICT DO NOTHING;
      CONTINUE WHEN NOT found;  -- another transaction took it meanwhile
    END IF;
    v_deadline := parent_node.deadline;
    IF j.deadline IS NOT NULL THEN v_deadline := least(v_deadline, now + j.deadline); END IF;
    INSERT INTO spool.job (seq, id, parent, root, kind, name, owner, lane, args, labels, most_attempts, timeout, deadline,
                           deadline_asked, unique_key, limit_key, weight, optional, held, delay, created, arrived,
                           unchecked)
      VALUES (v_seq, v_id, v_parent, parent_node.root, j.kind, j.name, v_owner, v_lane, j.args, j.labels,
              j.most_attempts, j.timeout, v_deadline, j.deadline, j.unique_key, v_limit_key, j.weight, j.optional, j.held,
              j.delay, now, parent_node.arrived, coalesce(j.unchecked, false))
      ON CONFLICT (id) DO NOTHING;
    EXIT WHEN found;
    DELETE FROM spool.unique_key k WHERE k.seq = v_seq;  -- another transaction took the id meanwhile
  END LOOP;

  IF j.deadline IS NOT NULL THEN INSERT INTO spool.deadline (at, seq) VALUES (v_deadline, v_seq); END IF;
  FOR edge IN SELECT e.seq, (n ->> 'ignore_failure')::boolean AS ignore_failure
              FROM jsonb_array_elements(j.needs) WITH ORDINALITY n (n, at)
                JOIN unnest(edges) WITH ORDINALITY e (seq, at) USING (at) LOOP
    needed := spool.load(edge.seq);
    PERFORM spool.not_plain(edge.seq);
    INSERT INTO spool.need (needed, job, ignore_failure, open)
      VALUES (edge.seq, v_seq, edge.ignore_failure, needed.state < 5);
    open_edges := open_edges + (needed.state < 5)::integer;
    IF needed.state IN (6, 7) AND NOT edge.ignore_failure THEN bad := needed.state; END IF;
  END LOOP;
  IF j.held OR parent_node.state = 0 THEN
    PERFORM spool.park(v_seq, 0, open_edges, now + j.delay);
  ELSIF open_edges > 0 THEN
    PERFORM spool.park(v_seq, 1, open_edges, now + j.delay);
  ELSIF j.delay > 0 THEN
    PERFORM spool.park(v_seq, 2, 0, now + j.delay);
    -- Sooner than idle workers ask by themselves.
    IF j.delay < 5000000 THEN PERFORM spool.note_woken(v_lane); END IF;
  ELSE
    PERFORM spool.make_ready(spool.peek(v_seq), now, false);
  END IF;
  IF v_parent IS NOT NULL THEN PERFORM spool.expect_children(v_parent, 1); END IF;
  IF bad IS NOT NULL THEN
    ends := spool.stop_tree(v_seq, CASE bad WHEN 6 THEN 3 ELSE 1 END,
      'was not run: what it needs had not succeeded', now);
  END IF;
  added := (v_id, false, NULL, NULL)::spool.inserted;
END $$;

-- In order. One row for each job; the lanes in which something became available, or soon will be, are in spool.woken().
CREATE FUNCTION spool.insert(shift bigint, jobs jsonb) RETURNS SETOF spool.inserted LANGUAGE plpgsql AS $$
DECLARE
  now bigint := spool.clock(shift);
  ends spool.ended[] := '{}';
  one record;
  job jsonb;
  anything boolean := false;
BEGIN
  FOR job IN SELECT jsonb_array_elements(jobs) LOOP
    SELECT * INTO one FROM spool.insert_one(jsonb_populate_record(NULL::spool.new_job, job), NULL, now);
    ends := ends || one.ends;
    anything := anything OR ((one.added).code IS NULL AND NOT (one.added).existed);
    RETURN NEXT one.added;
  END LOOP;
  PERFORM spool.propagate(ends, now);
  IF anything THEN PERFORM spool.admit(now); END IF;
END $$;

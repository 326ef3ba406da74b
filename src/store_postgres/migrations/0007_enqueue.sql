-- For everybody's own transactions: spool.enqueue(), spool.cancel() and the view spool.job_status. A role that
-- spool.allow() was called for has rights to these alone. docs/enqueue_from_sql.md.

-- As is_word() of queue/draft.cpp. Null: null.
CREATE FUNCTION spool.is_word(word text, most integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS
$$ SELECT word <> '' AND octet_length(word) <= most AND word !~ '[\u0001-\u001f\u007f-\u009f]' $$;

-- A duration in an option: a number of seconds, or what PostgreSQL takes for an interval.
CREATE FUNCTION spool.option_duration(options jsonb, key text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  value jsonb := options -> key;
BEGIN
  IF jsonb_typeof(value) = 'number' THEN RETURN ((value #>> '{}')::numeric * 1000000)::bigint; END IF;
  RETURN (extract(epoch FROM (value #>> '{}')::interval) * 1000000)::bigint;
EXCEPTION WHEN data_exception OR feature_not_supported THEN
  PERFORM spool.refuse('SP001', key || ': ' || value || ' is no duration: give seconds, or an interval such as ''5 minutes''');
END $$;

-- The moment in `run_at`.
CREATE FUNCTION spool.option_run_at(options jsonb) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
  RETURN (extract(epoch FROM (options ->> 'run_at')::timestamptz) * 1000000)::bigint;
EXCEPTION WHEN data_exception OR feature_not_supported THEN  -- the latter: infinity
  PERFORM spool.refuse('SP001', 'run_at: ' || (options -> 'run_at')::text || ' is no moment: give one such as ''2027-01-31 18:00+01''');
END $$;

-- The id of a job. None is called by nothing but zeros: 0008_draining.sql.
CREATE FUNCTION spool.option_id(options jsonb, key text) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
  id uuid;
BEGIN
  id := (options ->> key)::uuid;
  IF id = '00000000-0000-0000-0000-000000000000' THEN
    PERFORM spool.refuse('SP001', key || ': ' || id || ' is no id of a job');
  END IF;
  RETURN id;
EXCEPTION WHEN invalid_text_representation THEN
  PERFORM spool.refuse('SP001', key || ': ' || (options -> key)::text || ' is no id of a job: give a UUID');
END $$;

-- [{"job", "ignore_failure"}] of the option's ids and {"job", "optional"}.
CREATE FUNCTION spool.option_needs(options jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  needs jsonb := '[]';
  need jsonb;
BEGIN
  FOR need IN SELECT jsonb_array_elements(options -> 'needs') LOOP
    IF jsonb_typeof(need) = 'string' THEN need := jsonb_build_object('job', need); END IF;
    IF jsonb_typeof(need) <> 'object' OR jsonb_typeof(need -> 'job') IS DISTINCT FROM 'string'
       OR jsonb_typeof(need -> 'optional') <> 'boolean' OR need - ARRAY['job', 'optional'] <> '{}' THEN
      PERFORM spool.refuse('SP001', 'needs: ' || need::text || ' is neither an id nor {"job": id, "optional": true}');
    END IF;
    needs := needs || jsonb_build_object('job', (need ->> 'job')::uuid, 'ignore_failure', coalesce(need -> 'optional', 'false'));
  END LOOP;
  RETURN needs;
EXCEPTION WHEN invalid_text_representation THEN
  PERFORM spool.refuse('SP001', 'needs: ' || (need -> 'job')::text || ' is no id of a job');
END $$;

CREATE FUNCTION spool.check_tags(tags jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  tag jsonb;
BEGIN
  IF jsonb_array_length(tags) > 10 THEN PERFORM spool.refuse('SP001', 'tags: more than 10'); END IF;
  FOR tag IN SELECT jsonb_array_elements(tags) LOOP
    IF jsonb_typeof(tag) <> 'string' OR NOT spool.is_word(tag #>> '{}', 200) THEN
      PERFORM spool.refuse('SP001', 'tags: each a text of 1 to 200 bytes without control characters');
    END IF;
  END LOOP;
END $$;

-- Workers read numbers as doubles.
CREATE FUNCTION spool.check_numbers(what text, document jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF jsonb_path_exists(document, 'strict $.** ? (@.type() == "number" && (@ > 1.797693e308 || @ < -1.797693e308))') THEN
    PERFORM spool.refuse('SP001', what || ': a number is too large: at most 1.797693e308');
  END IF;
END $$;

CREATE FUNCTION spool.check_options(kind text, args jsonb, options jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  types CONSTANT jsonb := '{"id": "string", "name": "string", "owner": "string", "queue": "string", "priority": "number",
    "slots": "number", "tags": "array", "delay": "number or string", "run_at": "string", "held": "boolean", "parent": "string",
    "needs": "array", "most_attempts": "number", "timeout": "number or string", "deadline": "number or string",
    "unique_key": "string", "limit_key": "string", "weight": "number", "optional": "boolean", "labels": "object"}';
  option record;
BEGIN
  IF spool.is_word(kind, 200) IS NOT TRUE THEN
    PERFORM spool.refuse('SP001', 'kind: 1 to 200 bytes, without control characters');
  END IF;
  IF args IS NULL OR jsonb_typeof(args) <> 'object' THEN PERFORM spool.refuse('SP001', 'args: not an object'); END IF;
  IF octet_length(args::text) > 1048576 THEN
    PERFORM spool.refuse('SP004', 'args of ' || octet_length(args::text) || ' bytes: the most is 1048576');
  END IF;
  PERFORM spool.check_numbers('args', args);
  IF options IS NULL OR jsonb_typeof(options) <> 'object' THEN
    PERFORM spool.refuse('SP001', 'options: not an object');
  END IF;
  PERFORM spool.check_numbers('options', options);
  FOR option IN SELECT o.key, o.value, jsonb_typeof(o.value) AS type FROM jsonb_each(options) o LOOP
    IF NOT types ? option.key THEN
      PERFORM spool.refuse('SP001', 'options: there is no ''' || option.key || '''; known are '
        || (SELECT string_agg(k, ', ' ORDER BY k) FROM jsonb_object_keys(types) k));
    END IF;
    IF option.type <> 'null' AND option.type <> ALL (string_to_array(types ->> option.key, ' or ')) THEN
      PERFORM spool.refuse('SP001', option.key || ': not of type ' || (types ->> option.key));
    END IF;
    IF option.key IN ('priority', 'slots', 'most_attempts') AND option.type = 'number'
       AND ((option.value::numeric) % 1 <> 0 OR abs(option.value::numeric) > 2147483647) THEN
      PERFORM spool.refuse('SP001', option.key || ': ' || option.value || ' is no whole number of 32 bits');
    END IF;
  END LOOP;
END $$;

-- What the types do not say, as complaint() of queue/draft.cpp has it. Null: there is none.
CREATE FUNCTION spool.check_new_job(j spool.new_job) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  longest CONSTANT bigint := 3153600000000000;
BEGIN
  IF NOT spool.is_word(j.queue, 200) THEN
    PERFORM spool.refuse('SP001', 'queue: 1 to 200 bytes, without control characters');
  END IF;
  IF NOT spool.is_word(j.limit_key, 200) THEN
    PERFORM spool.refuse('SP001', 'limit_key: at most 200 bytes, without control characters');
  END IF;
  IF octet_length(j.name) > 8192 OR octet_length(j.owner) > 8192 OR octet_length(j.unique_key) > 8192 THEN
    PERFORM spool.refuse('SP001', 'name, owner, unique_key: at most 8192 bytes');
  END IF;
  IF octet_length(j.labels) > 1048576 THEN
    PERFORM spool.refuse('SP004', 'labels of ' || octet_length(j.labels) || ' bytes: the most is 1048576');
  END IF;
  IF j.slots NOT BETWEEN 1 AND 4096 THEN PERFORM spool.refuse('SP001', 'slots: not within 1 and 4096'); END IF;
  IF j.priority NOT BETWEEN -1000 AND 1000 THEN PERFORM spool.refuse('SP001', 'priority: not within -1000 and 1000'); END IF;
  IF j.most_attempts < 1 THEN PERFORM spool.refuse('SP001', 'most_attempts: less than 1'); END IF;
  IF j.weight < 0 THEN PERFORM spool.refuse('SP001', 'weight: less than 0'); END IF;
  IF j.delay NOT BETWEEN 0 AND longest THEN
    PERFORM spool.refuse('SP001', CASE WHEN j.run_at IS NULL THEN 'delay: not within 0 and 100 years'
                                       ELSE 'run_at: more than 100 years from now' END);
  END IF;
  IF j.timeout NOT BETWEEN 1 AND longest THEN PERFORM spool.refuse('SP001', 'timeout: not within 1 us and 100 years'); END IF;
  IF j.deadline NOT BETWEEN 1 AND longest THEN PERFORM spool.refuse('SP001', 'deadline: not within 1 us and 100 years'); END IF;
END $$;

-- Makes a job in the caller's transaction; workers see it when that commits. The same id with the same job, and the
-- holder of a unique key, are returned as they are. Its arguments are checked by the first worker that sees it.
CREATE FUNCTION spool.enqueue(kind text, args jsonb DEFAULT '{}', options jsonb DEFAULT '{}') RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  now bigint := spool.clock(0);
  j spool.new_job;
  one record;
BEGIN
  PERFORM spool.check_options(kind, args, options);
  options := jsonb_strip_nulls(options);
  IF options ? 'tags' THEN PERFORM spool.check_tags(options -> 'tags'); END IF;
  IF options ?& ARRAY['run_at', 'delay'] THEN PERFORM spool.refuse('SP001', 'run_at and delay: give one of them'); END IF;
  BEGIN
    j := jsonb_populate_record(NULL::spool.new_job, jsonb_build_object(
        'name', '', 'owner', '', 'queue', 'default', 'slots', 1, 'tags', '[]'::jsonb, 'priority', 0, 'most_attempts', 3,
        'weight', 1, 'optional', false, 'held', false) || (options - ARRAY['id', 'parent', 'delay', 'timeout', 'deadline', 'labels', 'needs', 'run_at']));
  EXCEPTION WHEN data_exception THEN
    PERFORM spool.refuse('SP001', 'options: ' || SQLERRM);
  END;
  j.id := CASE WHEN options ? 'id' THEN spool.option_id(options, 'id') END;
  j.parent := CASE WHEN options ? 'parent' THEN spool.option_id(options, 'parent') END;
  j.kind := kind;
  j.args := args::text;
  j.labels := nullif(coalesce((options -> 'labels')::text, '{}'), '{}');
  j.needs := CASE WHEN options ? 'needs' THEN spool.option_needs(options) ELSE '[]' END;
  j.unique_key := nullif(j.unique_key, '');
  j.limit_key := nullif(j.limit_key, '');
  j.run_at := CASE WHEN options ? 'run_at' THEN spool.option_run_at(options) END;
  j.delay := CASE WHEN options ? 'run_at' THEN greatest(j.run_at - now, 0)
                  WHEN options ? 'delay' THEN spool.option_duration(options, 'delay') ELSE 0 END;
  j.timeout := CASE WHEN options ? 'timeout' THEN spool.option_duration(options, 'timeout') END;
  j.deadline := CASE WHEN options ? 'deadline' THEN spool.option_duration(options, 'deadline') END;
  j.made_id := gen_random_uuid();
  j.unchecked := true;
  PERFORM spool.check_new_job(j);

  -- Where there are limits, places are given by claims: who gives them holds a lock to the end of its transaction, and this may be
  -- a long one.
  IF j.id IS NULL AND j.parent IS NULL AND j.needs = '[]' AND j.unique_key IS NULL AND j.deadline IS NULL AND NOT j.held
     AND j.delay = 0 AND NOT EXISTS (SELECT 1 FROM spool.limit_rule) THEN
    PERFORM spool.hint(spool.insert_plain(0, ARRAY[j.made_id], ARRAY[j.kind], ARRAY[j.name], ARRAY[j.owner],
      ARRAY[spool.lane_of(j.queue, j.slots, j.tags, j.priority)], ARRAY[j.args], ARRAY[j.labels], ARRAY[j.most_attempts],
      ARRAY[j.timeout], ARRAY[j.weight], ARRAY[j.optional], ARRAY[j.limit_key], true));
    RETURN j.made_id;
  END IF;
  SELECT * INTO one FROM spool.insert_one(j, NULL, now);
  IF (one.added).code IS NOT NULL THEN
    PERFORM spool.refuse(CASE (one.added).code WHEN 'not_found' THEN 'SP002' WHEN 'conflict' THEN 'SP003' ELSE 'SP001' END,
      (one.added).message);
  END IF;
  PERFORM spool.propagate(one.ends, now);
  PERFORM spool.hint(spool.woken());
  RETURN (one.added).id;
END $$;

-- Cancels a job and all below it, in the caller's transaction; what runs is asked to stop. Idempotent.
CREATE FUNCTION spool.cancel(id uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF cancel.id IS NULL THEN PERFORM spool.refuse('SP001', 'the id of the job is null'); END IF;
  PERFORM spool.cancel_tree(cancel.id, spool.clock(0));
  PERFORM spool.hint(spool.woken());
END $$;

CREATE VIEW spool.job_status AS
  SELECT j.id, up.id AS parent, coalesce(top.id, j.id) AS root, j.kind, j.name, j.owner, a.queue,
    spool.state_name(CASE WHEN r.seq IS NOT NULL THEN 4 WHEN p.seq IS NOT NULL THEN p.state WHEN o.n IS NOT NULL THEN o.state
                     ELSE 3 END) AS state,
    coalesce(r.attempt, o.attempt, l.attempts, 0) AS attempts,
    CASE WHEN o.state = 5 THEN 1 ELSE coalesce(l.progress, 0) END AS progress,
    j.labels::json AS labels, o.result::json AS result,
    CASE WHEN o.state = 6 THEN (SELECT f.message FROM spool.failure f WHERE f.seq = j.seq ORDER BY f.n DESC LIMIT 1) END
      AS error,
    to_timestamp(j.created / 1000000.0) AS created, to_timestamp(coalesce(r.claimed, o.claimed) / 1000000.0) AS claimed,
    to_timestamp(o.at / 1000000.0) AS ended
  FROM spool.job j JOIN spool.lane a ON a.lane = j.lane LEFT JOIN spool.life l ON l.seq = j.seq
    LEFT JOIN spool.running r ON r.seq = j.seq LEFT JOIN spool.parked p ON p.seq = j.seq
    LEFT JOIN spool.outcome o ON o.seq = j.seq AND NOT o.superseded
    LEFT JOIN spool.job up ON up.seq = j.parent LEFT JOIN spool.job top ON top.seq = j.root
  WHERE NOT EXISTS (SELECT 1 FROM spool.hidden h WHERE h.seq = j.seq);

-- SELECT spool.allow('app'): gives a role what an application needs, and nothing else.
CREATE FUNCTION spool.allow(role name) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('GRANT USAGE ON SCHEMA spool TO %I', role);
  EXECUTE format('GRANT EXECUTE ON FUNCTION spool.enqueue(text, jsonb, jsonb), spool.cancel(uuid), spool.state_name(integer) TO %I', role);
  EXECUTE format('GRANT SELECT ON spool.job_status TO %I', role);
END $$;
-- SELECT spool.allow_worker('fleet'): gives a role what workers and the command line need, also of what later migrations
-- make; only the schema itself stays its owner's.
CREATE FUNCTION spool.allow_worker(role name) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  owner name := (SELECT pg_get_userbyid(n.nspowner) FROM pg_namespace n WHERE n.nspname = 'spool');  -- who migrates
BEGIN
  EXECUTE format('GRANT USAGE ON SCHEMA spool TO %I', role);
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA spool TO %I', role);
  EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA spool TO %I', role);
  EXECUTE format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA spool TO %I', role);
  EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA spool GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %I', owner, role);
  EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA spool GRANT USAGE ON SEQUENCES TO %I', owner, role);
  EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA spool GRANT EXECUTE ON FUNCTIONS TO %I', owner, role);
END $$;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA spool FROM PUBLIC;

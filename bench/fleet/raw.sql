-- One batch of the rival: claim 500 jobs and read them, then settle them, as plainly as the same tables allow.
WITH head AS MATERIALIZED (
  SELECT r.ctid, r.seq FROM spool.ready r WHERE r.lane = 1 ORDER BY r.rank, r.seq LIMIT 500 FOR UPDATE SKIP LOCKED
), gone AS (
  DELETE FROM spool.ready r WHERE r.ctid = ANY (ARRAY(SELECT h.ctid FROM head h))
), run AS (
  INSERT INTO spool.running (seq, token, session, attempt, claimed, plain, limited)
    SELECT h.seq, gen_random_uuid(), :client_id, 1, 0, true, false FROM head h
)
SELECT j.seq, j.id, j.kind, j.args FROM spool.job j WHERE j.seq = ANY (ARRAY(SELECT h.seq FROM head h));  -- a join would be hashed
WITH gone AS (
  DELETE FROM spool.running x WHERE x.session = :client_id RETURNING x.seq, x.attempt, x.claimed, x.token
)
INSERT INTO spool.outcome (n, seq, state, at, attempt, claimed, token)
  SELECT (pg_current_xact_id()::text::bigint << 20) + nextval('spool.log_row'), g.seq, 5, 0, g.attempt, g.claimed, g.token
    FROM gone g;

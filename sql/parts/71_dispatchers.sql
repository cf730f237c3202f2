-------------------------------------------------------------------------------
-- Dispatchers
-------------------------------------------------------------------------------

CREATE FUNCTION bm_webhook._dispatchers(OUT database oid, OUT shard integer, OUT state text, OUT reason text,
	OUT since timestamptz, OUT pid integer, OUT in_flight integer, OUT queued integer, OUT sent bigint,
	OUT resent bigint, OUT last_error text, OUT last_error_at timestamptz)
	RETURNS SETOF record LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'bm_webhook_dispatchers';
COMMENT ON FUNCTION bm_webhook._dispatchers() IS 'what shared memory says of the dispatchers; use status()';

CREATE FUNCTION bm_webhook.status(OUT database name, OUT shard integer, OUT state text, OUT reason text,
	OUT since timestamptz, OUT pid integer, OUT in_flight integer, OUT queued integer, OUT pending bigint,
	OUT sent bigint, OUT resent bigint, OUT last_error text, OUT last_error_at timestamptz)
	RETURNS SETOF record LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT d.datname, s.shard, s.state, s.reason, s.since, s.pid, s.in_flight, s.queued,
		CASE WHEN d.datname = current_database()
			THEN (SELECT count(*) FROM bm_webhook.delivery WHERE status = 'pending') END,
		s.sent, s.resent, s.last_error, s.last_error_at
	FROM bm_webhook._dispatchers() s JOIN pg_database d ON d.oid = s.database
	ORDER BY d.datname, s.shard
$$;
COMMENT ON FUNCTION bm_webhook.status() IS
	'the dispatchers of this cluster: running or why not and since when, requests in flight, deliveries queued in memory, deliveries pending in the table (of this database, all shards), requests sent since the start and sent again by libcurl itself, last error';

CREATE FUNCTION bm_webhook.wait_for_delivery(event uuid, timeout interval) RETURNS boolean
	LANGUAGE c STRICT VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_wait_for_delivery';
COMMENT ON FUNCTION bm_webhook.wait_for_delivery(uuid, interval) IS
	'waits until every delivery of a committed event has ended: true when all were delivered; false when one failed or was canceled, when no endpoint matches, or at the timeout; 42704 for an unknown event, 55000 for one of the same transaction';

CREATE FUNCTION bm_webhook._look() RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'bm_webhook_look';
COMMENT ON FUNCTION bm_webhook._look() IS 'tells the dispatcher that deliveries of this transaction are due';

CREATE FUNCTION bm_webhook.redeliver(event uuid, endpoint bigint = NULL) RETURNS integer
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	made_due integer;
BEGIN
	IF event IS NULL THEN
		RAISE EXCEPTION '"event" must not be null'
			USING ERRCODE = 'not_null_violation', HINT = 'Name the id of an event.';
	END IF;
	WITH again AS (
		UPDATE bm_webhook.delivery d SET status = 'pending', next_attempt_at = clock_timestamp()
		FROM (SELECT * FROM bm_webhook.delivery x
			WHERE x.event_id = redeliver.event AND (redeliver.endpoint IS NULL OR x.endpoint_id = redeliver.endpoint)
			FOR UPDATE) was
		WHERE d.event_id = redeliver.event AND d.endpoint_id = was.endpoint_id
			AND d.next_attempt_at IS DISTINCT FROM 'infinity'
			AND EXISTS (SELECT FROM bm_webhook.endpoint p WHERE p.id = d.endpoint_id)
		RETURNING was.*
	)
	INSERT INTO bm_webhook.redelivery (event_id, endpoint_id, status, attempts, last_attempt_at, http_status, duration)
		SELECT event_id, endpoint_id, status, attempts, last_attempt_at, http_status, duration FROM again;
	GET DIAGNOSTICS made_due = ROW_COUNT;
	IF made_due = 0 THEN
		RAISE EXCEPTION 'there is no delivery of this event to send again'
			USING ERRCODE = 'undefined_object',
				HINT = 'Deliveries are the rows of bm_webhook.delivery; their endpoint must still exist, and what waits for an earlier event of its message is not sent out of turn.';
	END IF;
	PERFORM bm_webhook._look();
	RETURN made_due;
END
$$;
COMMENT ON FUNCTION bm_webhook.redeliver(uuid, bigint) IS
	'sends an event again, with the same webhook-id, to one endpoint or to all that have a delivery of it, whatever became of it, and returns to how many; attempts go on counting, and a delivery whose schedule is used up gets one attempt; 23502, 42704';

CREATE FUNCTION bm_webhook._announce() RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'bm_webhook_announce';
COMMENT ON FUNCTION bm_webhook._announce() IS 'tells the launcher of this database; warns when the library is not preloaded';
SELECT bm_webhook._announce();


-------------------------------------------------------------------------------
-- Dispatchers
-------------------------------------------------------------------------------

CREATE FUNCTION bm_webhook_internal.dispatchers(OUT database oid, OUT shard integer, OUT state text, OUT reason text,
	OUT since timestamptz, OUT pid integer, OUT in_flight integer, OUT queued integer, OUT unrecorded integer,
	OUT sent bigint, OUT resent bigint, OUT last_error text, OUT last_error_at timestamptz, OUT capture_failures bigint,
	OUT last_capture_error text, OUT last_capture_error_at timestamptz)
	RETURNS SETOF record LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'bm_webhook_dispatchers';
COMMENT ON FUNCTION bm_webhook_internal.dispatchers() IS 'what shared memory says of the dispatchers; use status()';
CREATE FUNCTION bm_webhook_internal.keeper(OUT ended_at timestamptz, OUT seconds float8, OUT problem text)
	RETURNS SETOF record LANGUAGE c STRICT ROWS 1 AS 'MODULE_PATHNAME', 'bm_webhook_keeper';
COMMENT ON FUNCTION bm_webhook_internal.keeper() IS
	'what shared memory says of the last run of the keeper of this database; use stat_dispatcher';

CREATE FUNCTION bm_webhook_internal.secret_storage() RETURNS text
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_secret_storage';
COMMENT ON FUNCTION bm_webhook_internal.secret_storage() IS
	'how secrets are stored: in plain text, encrypted, or not at all';

CREATE FUNCTION bm_webhook.status(OUT database name, OUT shard integer, OUT state text, OUT reason text,
	OUT since timestamptz, OUT pid integer, OUT in_flight integer, OUT queued integer, OUT unrecorded integer,
	OUT pending bigint, OUT set_aside bigint, OUT sent bigint, OUT resent bigint, OUT last_error text,
	OUT last_error_at timestamptz, OUT capture_failures bigint, OUT last_capture_error text,
		OUT last_capture_error_at timestamptz, OUT secrets text)
	RETURNS SETOF record LANGUAGE sql SET search_path = pg_catalog, pg_temp SET jit = off AS $$
	SELECT d.datname, s.shard, s.state, s.reason, s.since, s.pid, s.in_flight, s.queued, s.unrecorded,
		CASE WHEN d.datname = current_database() AND has_table_privilege('bm_webhook.delivery', 'SELECT')
			THEN (SELECT coalesce(sum(pending), 0)::bigint FROM bm_webhook_internal.pending) END,
		CASE WHEN d.datname = current_database() THEN (SELECT count(*) FROM bm_webhook.set_aside a
			WHERE a.asked_by IS NULL) END,
		s.sent, s.resent, s.last_error, s.last_error_at, s.capture_failures, s.last_capture_error, s.last_capture_error_at,
		bm_webhook_internal.secret_storage()
	FROM bm_webhook_internal.dispatchers() s JOIN pg_database d ON d.oid = s.database
	ORDER BY d.datname, s.shard
$$;
COMMENT ON FUNCTION bm_webhook.status() IS
	'the dispatchers of this cluster: running or why not and since when, requests in flight, deliveries queued in '
	'memory, outcomes that are in memory alone, deliveries pending in the table and outcomes set aside (both of this '
	'database, all shards), requests sent since the start and sent again by libcurl itself, last error; rows of '
	'watched tables that could not be captured since the dispatcher was first started, in transactions that were '
	'rolled back too, and the last reason; how secrets are stored';

CREATE FUNCTION bm_webhook_internal.endpoint_paces(OUT endpoint_id bigint, OUT allowed_in_flight integer, OUT rate real,
	OUT held_until timestamptz, OUT reason text, OUT as_of timestamptz, OUT in_flight integer)
	RETURNS SETOF record LANGUAGE c STABLE STRICT ROWS 100 AS 'MODULE_PATHNAME', 'bm_webhook_endpoint_paces';
COMMENT ON FUNCTION bm_webhook_internal.endpoint_paces() IS
	'what shared memory says of the endpoints that the caller may see; use the view endpoint_pace';

CREATE VIEW bm_webhook.endpoint_pace WITH (security_invoker = true) AS
	SELECT endpoint_id, allowed_in_flight, rate, held_until, reason, as_of, in_flight
	FROM bm_webhook_internal.endpoint_paces();
COMMENT ON VIEW bm_webhook.endpoint_pace IS
	'how an endpoint is sent to now, as its dispatcher has found out; of endpoints to which something was sent since it '
	'has started, as far as there is room for them';
COMMENT ON COLUMN bm_webhook.endpoint_pace.allowed_in_flight IS
	'requests at the same time; endpoint.max_in_flight at most';
COMMENT ON COLUMN bm_webhook.endpoint_pace.rate IS 'requests a second, spread evenly; NULL: as fast as answers come';
COMMENT ON COLUMN bm_webhook.endpoint_pace.held_until IS 'nothing is sent before; NULL: it is not held';
COMMENT ON COLUMN bm_webhook.endpoint_pace.reason IS
	'why there are not more: answers late, refuses (503), limits its rate (429), nothing answers, as many requests go to '
	'its address as may, or its application has as many requests in flight as it may; NULL: nothing is wrong';
COMMENT ON COLUMN bm_webhook.endpoint_pace.as_of IS
	'when this was found; it is not written again until it changes, whatever in_flight does';
COMMENT ON COLUMN bm_webhook.endpoint_pace.in_flight IS 'requests without an answer yet, as of the last second';

CREATE FUNCTION bm_webhook.wait_for_delivery(event uuid, timeout interval) RETURNS boolean
	LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'bm_webhook_wait_for_delivery';
COMMENT ON FUNCTION bm_webhook.wait_for_delivery(uuid, interval) IS
	'waits until every delivery of a committed event has ended: true when all were delivered; false when one failed '
	'or was canceled, when no endpoint matches, or at the timeout; 42704 for an unknown event, 55000 for one of the '
	'same transaction';

CREATE FUNCTION bm_webhook_internal.look(endpoint bigint) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'bm_webhook_look';
COMMENT ON FUNCTION bm_webhook_internal.look(bigint) IS
	'tells the dispatcher that deliveries of this transaction to an endpoint are due';

CREATE FUNCTION bm_webhook.redeliver(event uuid, endpoint bigint = NULL) RETURNS integer
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	made_due integer;
BEGIN
	IF event IS NULL THEN
		PERFORM bm_webhook_internal.refuse('"event" must not be null',
			'Name the id of an event.', '23502');
	END IF;
	WITH again AS (
		UPDATE bm_webhook.delivery d SET status = 'pending', next_attempt_at = clock_timestamp()
		FROM (SELECT * FROM bm_webhook.delivery x
			WHERE x.event_id = redeliver.event AND (redeliver.endpoint IS NULL OR x.endpoint_id = redeliver.endpoint)
				AND NOT EXISTS (SELECT FROM bm_webhook.set_aside s WHERE s.event_id = x.event_id AND s.endpoint_id = x.endpoint_id)
			FOR UPDATE) was
		WHERE d.event_id = redeliver.event AND d.endpoint_id = was.endpoint_id
			AND d.next_attempt_at IS DISTINCT FROM 'infinity'
			AND EXISTS (SELECT FROM bm_webhook.endpoint p, bm_webhook.event e
				WHERE p.id = d.endpoint_id AND e.id = redeliver.event AND bm_webhook_internal.fits(p, e))
		RETURNING was.*
	), noted AS (
		INSERT INTO bm_webhook.redelivery (event_id, endpoint_id, status, attempts, last_attempt_at, http_status, duration)
			SELECT event_id, endpoint_id, status, attempts, last_attempt_at, http_status, duration FROM again
	), counted AS (
		INSERT INTO bm_webhook_internal.pending_change
			SELECT endpoint_id, 1, (attempts > 0)::integer FROM again WHERE status <> 'pending'
	)
	SELECT count(bm_webhook_internal.look(endpoint_id)) INTO made_due FROM again;
	IF made_due = 0 THEN
		PERFORM bm_webhook_internal.refuse('there is no delivery of this event to send again',
			'Deliveries are the rows of bm_webhook.delivery; their endpoint must still exist and be for the application of the '
				'event, and what waits for an earlier event of its message is not sent out of turn. What is in '
				'bm_webhook.set_aside is first put back, or recorded: put_back(), retry_set_aside().', '42704');
	END IF;
	RETURN made_due;
END
$$;
COMMENT ON FUNCTION bm_webhook.redeliver(uuid, bigint) IS
	'sends an event again, with the same webhook-id, to one endpoint or to all that have a delivery of it, whatever '
	'became of it, and returns to how many; attempts go on counting, and a delivery whose schedule is used up gets '
	'one attempt; 23502, 42704';

-- What has ended meanwhile is not begun again by an outcome that says "later". What crashed the dispatcher is due.
CREATE FUNCTION bm_webhook_internal.record(s bm_webhook.set_aside) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	DELETE FROM bm_webhook.set_aside a WHERE a.event_id = s.event_id AND a.endpoint_id = s.endpoint_id;
	IF s.error_class = 'crash' THEN
		UPDATE bm_webhook.delivery d SET status = 'pending', next_attempt_at = clock_timestamp(), error_class = NULL,
				error = NULL
			WHERE d.event_id = s.event_id AND d.endpoint_id = s.endpoint_id AND d.status = 'failed';
		RETURN;
	END IF;
	INSERT INTO bm_webhook.delivery AS d (event_id, endpoint_id, status, attempts, next_attempt_at, first_attempt_at,
			last_attempt_at, http_status, error_class, error, duration)
		VALUES (s.event_id, s.endpoint_id, s.status, s.attempts, s.next_attempt_at, s.first_attempt_at,
			s.last_attempt_at, s.http_status, s.error_class, s.error, s.duration)
		ON CONFLICT (event_id, endpoint_id) DO UPDATE SET status = excluded.status, attempts = excluded.attempts,
			next_attempt_at = excluded.next_attempt_at, first_attempt_at = excluded.first_attempt_at,
			last_attempt_at = coalesce(excluded.last_attempt_at, d.last_attempt_at), http_status = excluded.http_status,
			error_class = excluded.error_class, error = excluded.error, duration = excluded.duration, name_us = NULL,
			connect_us = NULL, tls_us = NULL, first_byte_us = NULL
		WHERE d.status = 'pending' OR excluded.status <> 'pending';
	IF s.is_failed_attempt THEN
		INSERT INTO bm_webhook.failed_attempt (event_id, endpoint_id, attempt, attempted_at, error_class, http_status, error,
				name_time, connect_time, tls_time, first_byte_time, total_time, response)
			VALUES (s.event_id, s.endpoint_id, s.attempts, s.last_attempt_at, s.error_class, s.http_status, s.error,
				s.name_time, s.connect_time, s.tls_time, s.first_byte_time, s.duration, s.response);
	END IF;
	IF s.is_exhausted THEN
		PERFORM bm_webhook.emit('delivery.exhausted', jsonb_build_object('event_id', e.id, 'event_type', e.type,
				'endpoint_id', s.endpoint_id, 'attempts', s.attempts, 'http_status', s.http_status,
				'error_class', s.error_class, 'error', s.error),
				(SELECT p.application FROM bm_webhook.endpoint p WHERE p.id = s.endpoint_id), e.channel, e.message_id)
			FROM bm_webhook.event e WHERE e.id = s.event_id;
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.record(bm_webhook.set_aside) IS
	'writes an outcome that was set aside into the log';

CREATE FUNCTION bm_webhook.retry_set_aside(event uuid = NULL, endpoint bigint = NULL) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s bm_webhook.set_aside;
	was bm_webhook.delivery;
	recorded bigint = 0;
	refused bigint = 0;
	last_cause text;
	last_state text;
BEGIN
	FOR s IN SELECT * FROM bm_webhook.set_aside a
		WHERE a.asked_by IS NULL AND (retry_set_aside.event IS NULL OR a.event_id = retry_set_aside.event)
			AND (retry_set_aside.endpoint IS NULL OR a.endpoint_id = retry_set_aside.endpoint)
		ORDER BY a.event_id, a.endpoint_id FOR UPDATE
	LOOP
		BEGIN
			SELECT * INTO was FROM bm_webhook.delivery d
				WHERE d.event_id = s.event_id AND d.endpoint_id = s.endpoint_id FOR UPDATE;
			PERFORM bm_webhook_internal.record(s), bm_webhook_internal.look(s.endpoint_id);
			INSERT INTO bm_webhook_internal.pending_change
				SELECT s.endpoint_id, p.now - p.before, p.now * (d.attempts > 0)::integer
					- p.before * (coalesce(was.attempts, 0) > 0)::integer
				FROM bm_webhook.delivery d, LATERAL (SELECT (d.status = 'pending')::integer AS now,
					coalesce(was.status = 'pending', false)::integer AS before) p
				WHERE d.event_id = s.event_id AND d.endpoint_id = s.endpoint_id;
			recorded = recorded + 1;
		EXCEPTION WHEN OTHERS THEN
			refused = refused + 1;
			GET STACKED DIAGNOSTICS last_cause = MESSAGE_TEXT, last_state = RETURNED_SQLSTATE;
			UPDATE bm_webhook.set_aside a SET cause = last_cause, sqlstate = last_state
				WHERE a.event_id = s.event_id AND a.endpoint_id = s.endpoint_id;
		END;
	END LOOP;
	IF recorded + refused = 0 AND (event IS NOT NULL OR endpoint IS NOT NULL) THEN
		PERFORM bm_webhook_internal.refuse('nothing of this event or endpoint is set aside',
			'What is set aside are the rows of bm_webhook.set_aside.', '42704');
	ELSIF refused > 0 THEN
		RAISE WARNING '% of % outcomes could still not be recorded, and stay set aside', refused, recorded + refused
			USING DETAIL = format('The last of them: %s', last_cause),
				HINT = 'The column "cause" of bm_webhook.set_aside says why for each.';
	END IF;
	RETURN recorded;
END
$$;
COMMENT ON FUNCTION bm_webhook.retry_set_aside(uuid, bigint) IS
	'writes outcomes that were set aside (of an event, of an endpoint, all) into the log, makes deliveries that '
	'crashed the dispatcher due, and returns how many; those that are refused again stay, with the new cause and a '
	'warning; 42704 when nothing of what was named is set aside';

CREATE FUNCTION bm_webhook_internal.announce() RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'bm_webhook_announce';
COMMENT ON FUNCTION bm_webhook_internal.announce() IS
	'tells the launcher of this database; warns when the library is not preloaded';
SELECT bm_webhook_internal.announce();


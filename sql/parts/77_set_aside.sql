-------------------------------------------------------------------------------
-- One delivery that somebody sets aside: not sent until it is put back, and nobody waits for it
-------------------------------------------------------------------------------

-- Called by C as the owner of the log, who has seen that the endpoint is the caller's.
CREATE FUNCTION bm_webhook_internal.begin_set_aside(endpoint bigint, event uuid, reason text, acting_as name,
		OUT operation bigint, OUT matched bigint)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	o bm_webhook.operation;
BEGIN
	o.endpoint_id = endpoint;
	o.event_id = event;
	o.until = clock_timestamp();
	matched = bm_webhook_internal.count_waiting(o);
	IF matched > 0 THEN
		INSERT INTO bm_webhook.operation (kind, endpoint_id, event_id, until, matched, reason, asked_by, acting_as,
			application)
			VALUES ('set_aside', endpoint, event, o.until, begin_set_aside.matched, reason, session_user,
				begin_set_aside.acting_as, (SELECT p.application FROM bm_webhook.endpoint p WHERE p.id = endpoint))
			RETURNING id INTO operation;
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.begin_set_aside(bigint, uuid, text, name) IS
	'writes down for the dispatcher that a delivery is to be set aside, if it waits';

-- What was only in memory the dispatcher has canceled. The row says what the delivery was; that its status is not
-- "pending" lets the later events of its message pass.
CREATE FUNCTION bm_webhook_internal.set_one_aside(o bm_webhook.operation) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	changed bigint;
BEGIN
	WITH was AS MATERIALIZED (
		SELECT d.* FROM bm_webhook.delivery d
			WHERE d.event_id = o.event_id AND d.endpoint_id = o.endpoint_id
				AND (d.status = 'pending' OR d.status = 'canceled' AND d.error = 'canceled by cancel()')
				AND NOT EXISTS (SELECT FROM bm_webhook.set_aside s
					WHERE s.event_id = d.event_id AND s.endpoint_id = d.endpoint_id)
			FOR NO KEY UPDATE
	), aside AS (
		INSERT INTO bm_webhook.set_aside (event_id, endpoint_id, cause, sqlstate, status, attempts, first_attempt_at,
			last_attempt_at, http_status, error_class, error, duration, is_failed_attempt, is_exhausted, asked_by)
			SELECT event_id, endpoint_id, coalesce(o.reason, ''), '00000', 'canceled', attempts, first_attempt_at,
				last_attempt_at, http_status, error_class, CASE status WHEN 'pending' THEN error END, duration, false, false,
				o.asked_by FROM was
	), counted AS (
		INSERT INTO bm_webhook_internal.pending_change
			SELECT endpoint_id, -1, -(attempts > 0)::integer FROM was WHERE status = 'pending'
	)
	UPDATE bm_webhook.delivery d SET status = 'canceled', next_attempt_at = NULL,
			error = concat_ws(': ', 'set aside by ' || o.asked_by, o.reason)
		FROM was WHERE d.event_id = o.event_id AND d.endpoint_id = was.endpoint_id;
	GET DIAGNOSTICS changed = ROW_COUNT;
	RETURN changed;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.set_one_aside(bm_webhook.operation) IS
	'sets the delivery of an operation aside, if its row waits; returns how many';

-- Called by C likewise.
CREATE FUNCTION bm_webhook_internal.put_back(endpoint bigint, event uuid, reason text, acting_as name) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	changed bigint;
BEGIN
	WITH aside AS (
		DELETE FROM bm_webhook.set_aside s
			WHERE s.event_id = event AND s.endpoint_id = endpoint AND s.asked_by IS NOT NULL RETURNING s.*
	), counted AS (
		INSERT INTO bm_webhook_internal.pending_change
			SELECT a.endpoint_id, 1, (a.attempts > 0)::integer FROM aside a JOIN bm_webhook.delivery d
				ON d.event_id = event AND d.endpoint_id = a.endpoint_id AND d.status = 'canceled'
	)
	UPDATE bm_webhook.delivery d SET status = 'pending', next_attempt_at = clock_timestamp(), error = a.error
		FROM aside a WHERE d.event_id = event AND d.endpoint_id = a.endpoint_id AND d.status = 'canceled';
	GET DIAGNOSTICS changed = ROW_COUNT;
	IF changed > 0 THEN
		PERFORM bm_webhook_internal.look(endpoint);
		INSERT INTO bm_webhook.operation (kind, endpoint_id, event_id, reason, matched, done, asked_by, acting_as, ended_at,
			application)
			VALUES ('put_back', endpoint, event, reason, changed, changed, session_user, acting_as, clock_timestamp(),
				(SELECT p.application FROM bm_webhook.endpoint p WHERE p.id = endpoint));
	END IF;
	RETURN changed;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.put_back(bigint, uuid, text, name) IS
	'makes a delivery due that somebody has set aside; returns how many';

-- Called by a dispatcher that starts. The row says what the delivery was; that its status is not "pending" lets the
-- later events of its message pass.
CREATE FUNCTION bm_webhook_internal.set_crashed_aside(event uuid, endpoint bigint, cause text,
		OUT is_set_aside boolean, OUT has_another boolean)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	was bm_webhook.delivery;
BEGIN
	SELECT * INTO was FROM bm_webhook.delivery d WHERE d.event_id = event AND d.endpoint_id = endpoint FOR NO KEY UPDATE;
	is_set_aside = coalesce(was.status, 'pending') = 'pending'
		AND EXISTS (SELECT FROM bm_webhook.event e, bm_webhook.endpoint p
			WHERE e.id = event AND p.id = endpoint AND p.deleted_at IS NULL)
		AND NOT EXISTS (SELECT FROM bm_webhook.set_aside s WHERE s.event_id = event AND s.endpoint_id = endpoint);
	has_another = is_set_aside AND EXISTS (SELECT FROM bm_webhook.set_aside s
		WHERE s.endpoint_id = endpoint AND s.error_class = 'crash');
	IF NOT is_set_aside THEN
		RETURN;
	END IF;
	INSERT INTO bm_webhook.delivery AS d (event_id, endpoint_id, status, attempts, error_class, error)
		VALUES (event, endpoint, 'failed', 0, 'crash', cause)
		ON CONFLICT (event_id, endpoint_id) DO UPDATE SET status = 'failed', next_attempt_at = NULL, http_status = NULL,
			error_class = 'crash', error = cause, duration = NULL;
	INSERT INTO bm_webhook.set_aside (event_id, endpoint_id, cause, sqlstate, status, attempts, first_attempt_at,
			last_attempt_at, error_class, is_failed_attempt, is_exhausted)
		VALUES (event, endpoint, cause, '57P02', 'failed', coalesce(was.attempts, 0), was.first_attempt_at,
			was.last_attempt_at, 'crash', false, false);
	IF was.status = 'pending' THEN
		INSERT INTO bm_webhook_internal.pending_change VALUES (endpoint, -1, -(was.attempts > 0)::integer);
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.set_crashed_aside(uuid, bigint, text) IS
	'ends a delivery that crashes the dispatcher as failed, and sets it aside until retry_set_aside(); has_another: as '
	'another of its endpoint was before';

CREATE FUNCTION bm_webhook.set_aside(event uuid, endpoint bigint, reason text = NULL, OUT operation bigint,
		OUT matched bigint)
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_set_aside';
COMMENT ON FUNCTION bm_webhook.set_aside(uuid, bigint, text) IS
	'takes the delivery of an event to an endpoint out of what waits: it is not sent until put_back(), and the later '
	'events of its message do not wait for it. matched: 1, or 0 when it does not wait or is set aside already; '
	'operation: the row of bm_webhook.operation by which the dispatcher does it; 22004, 42704 unknown endpoint, 54000';

CREATE FUNCTION bm_webhook.put_back(event uuid, endpoint bigint, reason text = NULL) RETURNS bigint
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_put_back';
COMMENT ON FUNCTION bm_webhook.put_back(uuid, bigint, text) IS
	'undoes set_aside(): the delivery is due, and its attempts go on counting. Returns 1, or 0 when nobody has set it '
	'aside; 22004, 42704 unknown endpoint, 54000';

-------------------------------------------------------------------------------
-- Operations: what touches many rows is asked for in one statement, and worked off by the dispatcher
-------------------------------------------------------------------------------

CREATE TABLE bm_webhook.operation (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	kind text NOT NULL CHECK (kind IN ('redeliver', 'recover', 'cancel', 'pause', 'resume', 'erase',
		'rotate_secret', 'show_secret', 'rekey', 'set_aside', 'put_back', 'drop_before', 'adopt', 'verify_endpoint',
		'mark_verified', 'create_endpoint', 'change_endpoint', 'delete_endpoint', 'create_application',
		'change_application', 'delete_application', 'create_secret', 'change_secret', 'delete_secret')),
	endpoint_id bigint,
	event_id uuid,
	since timestamptz,
	until timestamptz,
	status text[],
	error_class text[],
	max_rows bigint,
	matched bigint NOT NULL,
	done bigint NOT NULL DEFAULT 0,
	reached uuid,
	asked_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	asked_by name NOT NULL,
	acting_as name NOT NULL,
	ended_at timestamptz,
	error text,
	xid xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
	application text,
	reason text,
	reached_secret bigint,
	reached_endpoint bigint,
	changed_columns text[],
	events uuid[]
);
CREATE INDEX operation_open_idx ON bm_webhook.operation ((coalesce(application, '')), id) WHERE ended_at IS NULL;
CREATE INDEX operation_endpoint_id_idx ON bm_webhook.operation (endpoint_id, id);
ALTER TABLE bm_webhook.operation OWNER TO bm_webhook;
COMMENT ON TABLE bm_webhook.operation IS
	'what somebody has asked for: changes of many deliveries, and how far each has got; and, for the record, what was '
	'done at once';
COMMENT ON COLUMN bm_webhook.operation.event_id IS 'of this event alone';
COMMENT ON COLUMN bm_webhook.operation.since IS 'of events that were captured at this time or later, and before until';
COMMENT ON COLUMN bm_webhook.operation.matched IS
	'deliveries that it was for when it was asked for; or how many of what kind says were created, changed or deleted';
COMMENT ON COLUMN bm_webhook.operation.done IS 'deliveries that it has changed so far';
COMMENT ON COLUMN bm_webhook.operation.reached IS 'the last event that it has looked at';
COMMENT ON COLUMN bm_webhook.operation.asked_by IS 'the session_user';
COMMENT ON COLUMN bm_webhook.operation.acting_as IS 'the current_user';
COMMENT ON COLUMN bm_webhook.operation.ended_at IS 'NULL while the dispatcher works on it';
COMMENT ON COLUMN bm_webhook.operation.error IS 'why it ended before everything was done; NULL: it did all';
COMMENT ON COLUMN bm_webhook.operation.application IS 'of the endpoint; or that was paused, resumed or erased from';
COMMENT ON COLUMN bm_webhook.operation.reason IS 'as who asked for it has said';
COMMENT ON COLUMN bm_webhook.operation.reached_secret IS 'the last secret that rekey() has looked at';
COMMENT ON COLUMN bm_webhook.operation.reached_endpoint IS 'the last endpoint of which it has looked at the headers';
COMMENT ON COLUMN bm_webhook.operation.changed_columns IS 'the columns that a change_... has changed, by name';
COMMENT ON COLUMN bm_webhook.operation.events IS
	'of these events alone, in order: those that redeliver_each() or cancel_each() was called for';
COMMENT ON COLUMN bm_webhook.operation.xid IS 'the transaction that asked for it';
ALTER TABLE bm_webhook.operation ENABLE ROW LEVEL SECURITY;

-- For the dispatcher. From application to application by index: who has asked for very many costs no more than anybody.
CREATE FUNCTION bm_webhook_internal.open_operations(most bigint)
	RETURNS TABLE (id bigint, endpoint_id bigint, application text, rank bigint)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $$
	WITH RECURSIVE open (application) AS (
		(SELECT coalesce(o.application, '') FROM bm_webhook.operation o WHERE o.ended_at IS NULL
			ORDER BY coalesce(o.application, '') LIMIT 1)
		UNION ALL
		SELECT (SELECT coalesce(o.application, '') FROM bm_webhook.operation o
			WHERE o.ended_at IS NULL AND coalesce(o.application, '') > p.application
			ORDER BY coalesce(o.application, '') LIMIT 1)
		FROM open p WHERE p.application IS NOT NULL
	)
	SELECT x.id, x.endpoint_id, p.application, x.rank
	FROM open p CROSS JOIN LATERAL (
		SELECT o.id, o.endpoint_id, row_number() OVER (ORDER BY o.id) AS rank FROM bm_webhook.operation o
		WHERE o.ended_at IS NULL AND coalesce(o.application, '') = p.application AND o.kind <> 'drop_before'
		ORDER BY o.id LIMIT most) x
	ORDER BY x.rank, x.id
$$;
COMMENT ON FUNCTION bm_webhook_internal.open_operations(bigint) IS
	'operations that have not ended, at most so many of each application, the oldest of each first';

-- The events that an operation may be for, oldest first, at most so many: those that it names, or those of its period.
-- Where only what failed is meant, an index has nothing else.
CREATE FUNCTION bm_webhook_internal.walk(o bm_webhook.operation, most bigint) RETURNS SETOF uuid
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan
	SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
	first uuid = coalesce(o.reached, bm_webhook.uuid_floor(o.since));
	last uuid = bm_webhook.uuid_floor(o.until);
BEGIN
	IF o.events IS NOT NULL THEN
		RETURN QUERY SELECT e FROM unnest(o.events) e WHERE o.reached IS NULL OR e > o.reached ORDER BY e LIMIT most;
	ELSIF o.status = '{failed}' THEN
		RETURN QUERY SELECT d.event_id FROM bm_webhook.delivery d
			WHERE d.endpoint_id = o.endpoint_id AND d.status = 'failed' AND d.event_id > first AND d.event_id < last
			ORDER BY d.event_id LIMIT most;
	ELSE
		RETURN QUERY SELECT e.id FROM bm_webhook.event e WHERE e.id > first AND e.id < last ORDER BY e.id LIMIT most;
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.walk(bm_webhook.operation, bigint) IS
	'the next events that an operation may be for';

-- Planned with the values: of what failed alone, an index has nothing else.
CREATE FUNCTION bm_webhook_internal.count_redeliverable(o bm_webhook.operation) RETURNS bigint
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan
		SET jit = off AS $$
DECLARE
	first uuid = bm_webhook.uuid_floor(o.since);
	last uuid = bm_webhook.uuid_floor(o.until);
	matched bigint;
BEGIN
	SELECT count(*) INTO matched FROM bm_webhook.delivery d
		WHERE d.endpoint_id = o.endpoint_id AND d.event_id >= first AND d.event_id < last AND d.status = ANY (o.status)
			AND (o.error_class IS NULL OR d.error_class = ANY (o.error_class));
	RETURN least(matched, o.max_rows);
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.count_redeliverable(bm_webhook.operation) IS
	'how many deliveries an operation would send again';

-- Not what an attempt has been made for since it was asked for, what waits for an earlier event, or what is set
-- aside. An insert that meets each row: other partitions than those of these rows are not even opened.
CREATE FUNCTION bm_webhook_internal.redeliver_some(o bm_webhook.operation, events uuid[]) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	changed bigint;
BEGIN
	WITH was AS MATERIALIZED (
		SELECT d.* FROM bm_webhook.delivery d
			WHERE d.event_id = ANY (events) AND d.event_id >= events[1] AND d.event_id <= events[cardinality(events)]
				AND d.endpoint_id = o.endpoint_id AND d.status = ANY (o.status)
				AND (o.error_class IS NULL OR d.error_class = ANY (o.error_class))
				AND d.next_attempt_at IS DISTINCT FROM 'infinity' AND coalesce(d.last_attempt_at <= o.asked_at, true)
				AND NOT EXISTS (SELECT FROM bm_webhook.set_aside s
					WHERE s.event_id = d.event_id AND s.endpoint_id = d.endpoint_id)
			ORDER BY d.event_id LIMIT o.max_rows - o.done FOR NO KEY UPDATE
	), again AS (
		INSERT INTO bm_webhook.delivery AS d (event_id, endpoint_id, status, attempts, next_attempt_at)
			SELECT w.event_id, w.endpoint_id, 'pending', w.attempts, clock_timestamp() FROM was w
			ON CONFLICT (event_id, endpoint_id) DO UPDATE
				SET status = excluded.status, next_attempt_at = excluded.next_attempt_at
	), counted AS (
		INSERT INTO bm_webhook_internal.pending_change
			SELECT endpoint_id, count(*), count(*) FILTER (WHERE attempts > 0)
			FROM was WHERE status <> 'pending' GROUP BY endpoint_id
	)
	INSERT INTO bm_webhook.redelivery (event_id, endpoint_id, asked_by, status, attempts, last_attempt_at, http_status,
		duration)
		SELECT event_id, endpoint_id, o.asked_by, status, attempts, last_attempt_at, http_status, duration FROM was;
	GET DIAGNOSTICS changed = ROW_COUNT;
	RETURN changed;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.redeliver_some(bm_webhook.operation, uuid[]) IS
	'makes deliveries of these events due again; returns how many';

CREATE FUNCTION bm_webhook_internal.cancel_some(o bm_webhook.operation, most bigint) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	before uuid = coalesce(bm_webhook.uuid_floor(o.until), 'ffffffff-ffff-ffff-ffff-ffffffffffff');
	changed bigint;
BEGIN
	WITH waiting AS MATERIALIZED (
		SELECT d.event_id, d.attempts FROM bm_webhook.delivery d
			WHERE d.endpoint_id = o.endpoint_id AND d.status = 'pending' AND d.event_id < before
				AND (o.event_id IS NULL OR d.event_id = o.event_id)
				AND (o.events IS NULL OR d.event_id = ANY (o.events))
				AND NOT EXISTS (SELECT FROM bm_webhook.set_aside s
					WHERE s.event_id = d.event_id AND s.endpoint_id = d.endpoint_id)
			LIMIT most FOR NO KEY UPDATE
	), counted AS (
		INSERT INTO bm_webhook_internal.pending_change
			SELECT o.endpoint_id, -count(*), -count(*) FILTER (WHERE w.attempts > 0) FROM waiting w HAVING count(*) > 0
	)
	INSERT INTO bm_webhook.delivery AS d (event_id, endpoint_id, status, attempts, error)
		SELECT w.event_id, o.endpoint_id, 'canceled', 0,
			CASE o.kind WHEN 'adopt' THEN 'dropped by adopt()' ELSE 'canceled by cancel()' END FROM waiting w
		ON CONFLICT (event_id, endpoint_id) DO UPDATE
			SET status = excluded.status, next_attempt_at = NULL, error = excluded.error;
	GET DIAGNOSTICS changed = ROW_COUNT;
	RETURN changed;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.cancel_some(bm_webhook.operation, bigint) IS
	'cancels some of what waits in the table; returns how many';

-- What an endpoint gets, but for being enabled: what waits, waits until it is.
CREATE FUNCTION bm_webhook_internal.is_for(p bm_webhook.endpoint, e bm_webhook.event, muted text[]) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN (p.application IS NULL OR p.application = e.application) AND (p.channel IS NULL OR p.channel = e.channel)
		AND e.endpoint_id IS NULL
		AND bm_webhook_internal.route(p.id, '-infinity', p.application, p.channel, p.event_types,
			e.endpoint_id, e.created_at, e.type, e.application, e.channel, e.reply_to IS NOT NULL, muted)
		AND bm_webhook_internal.filter_says(p, e) IS NULL;
COMMENT ON FUNCTION bm_webhook_internal.is_for(bm_webhook.endpoint, bm_webhook.event, text[]) IS
	'would the endpoint get this event, had it been there?';

CREATE FUNCTION bm_webhook_internal.recover_some(o bm_webhook.operation, events uuid[], in_memory uuid[]) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	changed bigint;
BEGIN
	INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts, next_attempt_at)
		SELECT e.id, p.id, 'pending', 0, clock_timestamp()
		FROM bm_webhook.endpoint p, bm_webhook.event e
		WHERE p.id = o.endpoint_id AND p.deleted_at IS NULL
			AND e.id = ANY (events) AND e.id >= events[1] AND e.id <= events[cardinality(events)]
			AND bm_webhook_internal.is_for(p, e,
				(SELECT a.muted_event_types FROM bm_webhook.application a WHERE a.name = e.application))
			AND e.id <> ALL (in_memory)
			AND NOT EXISTS (SELECT FROM bm_webhook.set_aside s WHERE s.event_id = e.id AND s.endpoint_id = p.id)
		ON CONFLICT (event_id, endpoint_id) DO NOTHING;
	GET DIAGNOSTICS changed = ROW_COUNT;
	INSERT INTO bm_webhook_internal.pending_change SELECT o.endpoint_id, changed, 0 WHERE changed > 0;
	RETURN changed;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.recover_some(bm_webhook.operation, uuid[], uuid[]) IS
	'makes deliveries of those events that the endpoint never got; returns how many';

-- What a dispatcher has not passed it will give to the endpoint, if that came after the endpoint was last
-- changed: what came before may have been passed when the endpoint did not want it, as cursors are written
-- up to a second later.
CREATE FUNCTION bm_webhook_internal.count_recoverable(o bm_webhook.operation) RETURNS bigint
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan
		SET jit = off AS $$
DECLARE
	first uuid = bm_webhook.uuid_floor(o.since);
	last uuid = bm_webhook.uuid_floor(o.until);
BEGIN
	RETURN (SELECT count(*) FROM bm_webhook.endpoint p, bm_webhook.event e
		WHERE p.id = o.endpoint_id AND e.id >= first AND e.id < last
			AND bm_webhook_internal.is_for(p, e,
				(SELECT a.muted_event_types FROM bm_webhook.application a WHERE a.name = e.application))
			AND NOT EXISTS (SELECT FROM bm_webhook.delivery d WHERE d.event_id = e.id AND d.endpoint_id = p.id)
			AND NOT EXISTS (SELECT FROM bm_webhook.set_aside s WHERE s.event_id = e.id AND s.endpoint_id = p.id)
			AND NOT (e.xid >= (SELECT pg_snapshot_xmin(c.snapshot) AS xmin FROM bm_webhook.cursor c ORDER BY 1 LIMIT 1)
				AND e.created_at > p.updated_at AND bm_webhook_internal.wants(p, e,
					(SELECT a.muted_event_types FROM bm_webhook.application a WHERE a.name = e.application))));
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.count_recoverable(bm_webhook.operation) IS
	'how many events an operation would send to an endpoint that never got them';

-- For the dispatcher. Each step is a transaction of its own.
CREATE FUNCTION bm_webhook_internal.operation_step(operation bigint, most bigint, still_to_come boolean,
		in_memory uuid[], OUT has_ended boolean, OUT is_waiting boolean)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	o bm_webhook.operation;
	walked uuid[] = '{}';
	changed bigint = 0;
BEGIN
	SELECT * INTO o FROM bm_webhook.operation x WHERE x.id = operation_step.operation AND x.ended_at IS NULL FOR UPDATE;
	IF NOT FOUND THEN
		has_ended = true;
		RETURN;
	END IF;
	-- each evaluation of a filter has its 5 ms, in which nothing is sent
	IF EXISTS (SELECT FROM bm_webhook.endpoint p WHERE o.kind = 'recover' AND p.id = o.endpoint_id
		AND p.filter IS NOT NULL)
	THEN
		most = least(most, 20);
	END IF;
	IF o.kind = 'rekey' THEN
		has_ended = bm_webhook_internal.rekey_step(o, most);
		RETURN;
	ELSIF o.kind IN ('cancel', 'adopt') THEN
		changed = bm_webhook_internal.cancel_some(o, most);
		is_waiting = changed = 0;
		has_ended = changed = 0 AND NOT still_to_come;
	ELSIF o.kind = 'set_aside' THEN
		changed = bm_webhook_internal.set_one_aside(o);
		has_ended = changed > 0 OR NOT still_to_come;
		is_waiting = NOT has_ended;
	ELSIF still_to_come THEN
		is_waiting = true;
	ELSE
		walked = ARRAY(SELECT bm_webhook_internal.walk(o, most));
		IF cardinality(walked) > 0 THEN
			changed = CASE o.kind WHEN 'recover' THEN bm_webhook_internal.recover_some(o, walked, in_memory)
				ELSE bm_webhook_internal.redeliver_some(o, walked) END;
		END IF;
		has_ended = cardinality(walked) < most OR coalesce(o.done + changed >= o.max_rows, false);
	END IF;
	UPDATE bm_webhook.operation x SET done = o.done + changed,
			reached = coalesce(walked[cardinality(walked)], o.reached),
			ended_at = CASE WHEN has_ended THEN clock_timestamp() END
		WHERE x.id = o.id AND (changed > 0 OR cardinality(walked) > 0 OR has_ended);
	IF o.kind = 'adopt' AND has_ended THEN
		PERFORM bm_webhook_internal.end_drop(o);
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.operation_step(bigint, bigint, boolean, uuid[]) IS
	'the next step of an operation: at most so many rows; still_to_come: others that it is for will '
	'come; in_memory: the endpoint''s events that the dispatcher has';

-- What waits for the endpoint, whether a dispatcher has taken it or not.
CREATE FUNCTION bm_webhook_internal.count_waiting(o bm_webhook.operation) RETURNS bigint
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan
		SET jit = off AS $$
DECLARE
	before uuid = bm_webhook.uuid_floor(o.until);
BEGIN
	RETURN (SELECT count(*) FROM bm_webhook.delivery d
			WHERE d.endpoint_id = o.endpoint_id AND d.status = 'pending' AND d.event_id < before
				AND (o.event_id IS NULL OR d.event_id = o.event_id))
		+ (SELECT count(*) FROM bm_webhook.endpoint p, bm_webhook.event e
			WHERE p.id = o.endpoint_id AND e.id < before AND (o.event_id IS NULL OR e.id = o.event_id)
				AND e.xid >= (SELECT pg_snapshot_xmin(c.snapshot) AS xmin FROM bm_webhook.cursor c ORDER BY 1 LIMIT 1)
				AND e.xid < pg_snapshot_xmax(pg_current_snapshot())
				AND bm_webhook_internal.wants(p, e,
					(SELECT a.muted_event_types FROM bm_webhook.application a WHERE a.name = e.application))
				AND NOT EXISTS (SELECT FROM bm_webhook.delivery d WHERE d.event_id = e.id AND d.endpoint_id = p.id));
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.count_waiting(bm_webhook.operation) IS
	'how many deliveries an operation would cancel';

-- Called by C as the owner of the log, who has seen that the caller may ask for it.
CREATE FUNCTION bm_webhook_internal.begin_operation(kind text, endpoint bigint, event uuid, since timestamptz,
		until timestamptz, status text[], error_class text[], max_rows bigint, dry_run boolean, acting_as name,
		OUT operation bigint, OUT matched bigint)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	o bm_webhook.operation;
BEGIN
	o.kind = kind;
	o.endpoint_id = endpoint;
	o.event_id = event;
	o.since = greatest(since, '1970-01-01 UTC');
	o.asked_at = clock_timestamp();
	o.until = greatest(least(until, o.asked_at), o.since, '1970-01-01 UTC');
	o.status = ARRAY(SELECT DISTINCT s FROM unnest(status) s ORDER BY s);
	o.error_class = error_class;
	o.max_rows = max_rows;
	o.done = 0;
	matched = CASE WHEN kind IN ('cancel', 'adopt') THEN bm_webhook_internal.count_waiting(o)
		WHEN kind = 'recover' THEN bm_webhook_internal.count_recoverable(o)
		ELSE bm_webhook_internal.count_redeliverable(o) END;
	IF dry_run OR matched = 0 THEN
		RETURN;
	END IF;
	INSERT INTO bm_webhook.operation (kind, endpoint_id, event_id, since, until, status, error_class, max_rows, matched,
		asked_at, asked_by, acting_as, application)
		VALUES (o.kind, o.endpoint_id, o.event_id, o.since, o.until, o.status, o.error_class, o.max_rows,
			begin_operation.matched, o.asked_at, session_user, begin_operation.acting_as,
			(SELECT p.application FROM bm_webhook.endpoint p WHERE p.id = o.endpoint_id))
		RETURNING id INTO operation;
	IF kind = 'recover' THEN
		UPDATE bm_webhook.endpoint p SET events_since = o.since
			WHERE p.id = o.endpoint_id AND coalesce(p.events_since, p.created_at) > o.since;
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.begin_operation(text, bigint, uuid, timestamptz, timestamptz, text[], text[],
	bigint, boolean, name) IS
	'counts what an operation is for and, unless it is a dry run, writes it down for the dispatcher';

CREATE FUNCTION bm_webhook.redeliver(endpoint bigint, since timestamptz, until timestamptz = NULL,
	status text[] = '{failed}',
		error_class text[] = NULL, max_rows bigint = NULL, dry_run boolean = false, OUT operation bigint, OUT matched bigint)
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_redeliver';
COMMENT ON FUNCTION bm_webhook.redeliver(bigint, timestamptz, timestamptz, text[], text[], bigint, boolean) IS
	'sends again what was captured for an endpoint in a period and has one of these statuses; matched is how many '
	'deliveries that is. The dispatcher does it in the background: operation is the row of bm_webhook.operation that '
	'shows how far it has got, NULL in a dry run and when nothing matched; 22004, 22008, 22023, 42704 unknown endpoint';

CREATE FUNCTION bm_webhook.cancel(event uuid = NULL, endpoint bigint = NULL, before timestamptz = NULL,
		everything boolean = false, dry_run boolean = false)
	RETURNS TABLE (operation bigint, endpoint_id bigint, matched bigint)
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_cancel';
COMMENT ON FUNCTION bm_webhook.cancel(uuid, bigint, timestamptz, boolean, boolean) IS
	'cancels what waits: of an event, for an endpoint, what was captured before a time, or everything, as far as the '
	'endpoints are the caller''s. A row for each endpoint: matched is how many deliveries wait, operation the '
	'row of bm_webhook.operation by which the dispatcher cancels them (NULL in a dry run, and when nothing waits); '
	'22004, 42704 unknown endpoint';

CREATE FUNCTION bm_webhook.recover(endpoint bigint, since timestamptz, until timestamptz = NULL,
		dry_run boolean = false, OUT operation bigint, OUT matched bigint)
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_recover';
COMMENT ON FUNCTION bm_webhook.recover(bigint, timestamptz, timestamptz, boolean) IS
	'sends an endpoint the events of a period that match it and that it never got, because it was disabled, was '
	'registered later or subscribed to less; matched is how many, operation the row of bm_webhook.operation that shows '
	'how far the dispatcher has got; 22004, 22008, 22023, 42704 unknown endpoint';

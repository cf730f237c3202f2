-------------------------------------------------------------------------------
-- The console's questions: one function for each, from jsonb to jsonb, with the rights of who asks
-------------------------------------------------------------------------------

-- Lists have 50 rows and are continued by key; what reads the log is bounded by event ids, which name partitions, and
-- by a day unless a period is given; nothing counts the log.

CREATE FUNCTION bm_webhook_internal.console_since(a jsonb, standard interval) RETURNS uuid
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN bm_webhook.uuid_floor(greatest(coalesce((a ->> 'since')::timestamptz, clock_timestamp() - standard),
		'1970-01-01 UTC'));
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_since(jsonb, interval) IS
	'the first event id of the period that is asked about';
CREATE FUNCTION bm_webhook_internal.console_until(a jsonb) RETURNS uuid
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN CASE WHEN coalesce((a ->> 'until')::timestamptz, 'infinity') = 'infinity'
		THEN 'ffffffff-ffff-ffff-ffff-ffffffffffff' ELSE bm_webhook.uuid_floor((a ->> 'until')::timestamptz) END;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_until(jsonb) IS
	'the first event id after the period that is asked about';

-- What comes after it may be a credential.
CREATE FUNCTION bm_webhook_internal.console_url(url text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN pg_catalog.regexp_replace(url, '[?].*', '?…');
COMMENT ON FUNCTION bm_webhook_internal.console_url(text) IS 'a URL as lists show it: without its query';

CREATE FUNCTION bm_webhook_internal.console_is_unbound() RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT r.rolsuper OR r.rolbypassrls FROM pg_roles r WHERE r.rolname = current_user
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_is_unbound() IS 'is the caller somebody whom policies do not bind?';

CREATE FUNCTION bm_webhook_internal.console_may_change(application text) RETURNS boolean
	LANGUAGE sql STABLE
	RETURN coalesce(bm_webhook_internal.owns_application(application, true), false)
		OR bm_webhook_internal.console_is_unbound();
COMMENT ON FUNCTION bm_webhook_internal.console_may_change(text) IS
	'may the caller change the endpoints of this application?';

CREATE FUNCTION bm_webhook_internal.console_require(is_there boolean, what text) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF is_there IS NOT TRUE THEN
		PERFORM bm_webhook_internal.refuse(format('%s does not exist', what),
			'It may be another''s, or older than the log.', '42704');
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_require(boolean, text) IS
	'42704, in the same words for what is not there and for what is another''s';

CREATE FUNCTION bm_webhook.console_session(a jsonb) RETURNS jsonb
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
	SELECT jsonb_build_object('user', session_user, 'database', current_database(), 'now', clock_timestamp(),
		'version', (SELECT e.extversion FROM pg_extension e WHERE e.extname = 'bm_webhook'),
		'server', current_setting('server_version'),
		'sees_all', bm_webhook_internal.sees_all('bm_webhook.operation'),
		'is_unbound', u.is_unbound,
		'applications', (SELECT coalesce(jsonb_agg(x.name ORDER BY x.name), '[]') FROM (SELECT p.name
			FROM bm_webhook.application p
			WHERE p.deleted_at IS NULL AND (u.is_unbound OR bm_webhook_internal.owns_application(p.name, true))
			ORDER BY p.name LIMIT 200) x))
	FROM (SELECT bm_webhook_internal.console_is_unbound() AS is_unbound) u
$$;
COMMENT ON FUNCTION bm_webhook.console_session(jsonb) IS 'who is asking, and for which applications he may act';

-- What was sent in the last hour, by minute. Of all endpoints, who sees all has a row for each dispatcher; others go by
-- the newest rows of endpoint_minute before "until", so few that it stays quick, in whole minutes: before "next" there
-- are more. How long requests took goes by fewer still. They are read once: a smaller LIMIT of its own would have the
-- rows of all others searched for those of an owner of few endpoints; and that of a UNION would have all sorted.
CREATE FUNCTION bm_webhook_internal.console_minutes(endpoint bigint, until timestamptz) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
		SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	first timestamptz = date_trunc('minute', clock_timestamp()) - interval '60 min';
	most integer = 20000;
	of_all boolean = endpoint IS NULL AND bm_webhook_internal.sees_all('bm_webhook.dispatcher_minute');
BEGIN
	RETURN (WITH n AS MATERIALIZED (
		(SELECT x.minute, x.delivered, x.given_up, x.failed_attempts, x.histogram FROM bm_webhook.endpoint_minute x
			WHERE NOT of_all AND x.minute >= first AND x.minute < until AND (endpoint IS NULL OR x.endpoint_id = endpoint)
			ORDER BY x.minute DESC LIMIT most + 1)
		UNION ALL
		SELECT x.minute, x.delivered, x.given_up, x.failed_attempts, x.histogram FROM bm_webhook.dispatcher_minute x
			WHERE of_all AND x.minute >= first AND x.minute < until
	), t AS (
		SELECT NOT of_all AND count(*) > most AS has_more, min(n.minute) = max(n.minute) AS is_one, min(n.minute) AS oldest
		FROM n
	), m AS (
		SELECT n.minute, sum(n.delivered) AS delivered, sum(n.given_up) AS given_up,
			sum(n.failed_attempts) AS failed_attempts
		FROM n, t WHERE NOT t.has_more OR t.is_one OR n.minute > t.oldest GROUP BY n.minute
	), took AS (
		SELECT u.i, sum(sum(h.histogram[u.i])) OVER (ORDER BY u.i) AS so_far, sum(sum(h.histogram[u.i])) OVER () AS total
		FROM (SELECT n.histogram FROM n ORDER BY n.minute DESC LIMIT 1000) h,
			LATERAL generate_subscripts(h.histogram, 1) u (i)
		GROUP BY u.i
	)
	SELECT jsonb_build_object(
		'minutes', coalesce(jsonb_agg(jsonb_build_array(extract(epoch FROM m.minute)::bigint, m.delivered,
			m.failed_attempts, m.given_up) ORDER BY m.minute), '[]'),
		'delivered', coalesce(sum(m.delivered), 0), 'given_up', coalesce(sum(m.given_up), 0),
		'failed_attempts', coalesce(sum(m.failed_attempts), 0), 'is_partial', (SELECT t.has_more AND t.is_one FROM t),
		'next', CASE WHEN (SELECT t.has_more FROM t) THEN min(m.minute) END,
		'p95_ms', (SELECT round(power(1.1, min(k.i))::numeric) FROM took k
			WHERE k.so_far >= 0.95 * k.total AND k.so_far > 0))
	FROM m);
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_minutes(bigint, timestamptz) IS
	'what was sent in the last hour and before a time, by minute, to one endpoint or all';

CREATE FUNCTION bm_webhook_internal.console_dispatchers() RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT has_function_privilege('bm_webhook.status()', 'EXECUTE') THEN
		RETURN NULL;
	END IF;
	RETURN (SELECT coalesce(jsonb_agg(to_jsonb(s) - 'pending' - 'set_aside' ORDER BY s.shard), '[]')
		FROM bm_webhook.status() s WHERE s.database = current_database());
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_dispatchers() IS
	'the dispatchers of this database; NULL for who may not see them';

-- What needs somebody, worst first, and how many there are; what waits is that of endpoint_health, and what no
-- dispatcher has taken. All endpoints are looked at once, and words are made for the worst. Without parameters the
-- query is planned once in a session.
CREATE FUNCTION bm_webhook.console_overview(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
BEGIN
	RETURN (WITH worst AS (
		SELECT x.endpoint_id, x.application, x.url, x.state, x.since, x.reason, x.advice, x.pending,
			CASE WHEN x.state <> 'healthy'
				THEN array_position('{disabled,failing,unverified,full,behind,paused,held,slowed}', x.state) END AS rank,
			count(*) OVER () AS endpoints, count(*) FILTER (WHERE x.state <> 'healthy') OVER () AS unhealthy,
			sum(x.pending) OVER () AS waiting, max(x.lag_seconds) OVER () AS lag_seconds
		FROM bm_webhook.endpoint_health x ORDER BY rank, x.since LIMIT 20
	), not_taken AS (SELECT sum(n.events) AS events, min(n.oldest) AS oldest FROM bm_webhook_internal.not_taken() n)
	SELECT jsonb_build_object(
		'now', clock_timestamp(), 'endpoints', coalesce(max(w.endpoints), 0), 'unhealthy', coalesce(max(w.unhealthy), 0),
		'waiting', coalesce(max(w.waiting), 0) + coalesce((SELECT n.events FROM not_taken n), 0),
		'oldest', least(clock_timestamp() - make_interval(secs => nullif(max(w.lag_seconds), 0)),
			(SELECT n.oldest FROM not_taken n)),
		'attention', coalesce(jsonb_agg(jsonb_build_object('endpoint', w.endpoint_id, 'application', w.application,
				'url', w.url, 'state', w.state, 'since', w.since, 'reason', w.reason, 'advice', w.advice,
				'waiting', w.pending,
				'given_up', (SELECT coalesce(sum(m.given_up), 0) FROM bm_webhook.endpoint_minute m
					WHERE m.endpoint_id = w.endpoint_id AND m.minute >= now() - interval '1 hour'),
				'is_paused', (SELECT p.paused_at IS NOT NULL FROM bm_webhook.endpoint p WHERE p.id = w.endpoint_id),
				'may_change', bm_webhook_internal.console_may_change(w.application)) ORDER BY w.rank, w.since)
			FILTER (WHERE w.state <> 'healthy'), '[]'),
		'dispatchers', bm_webhook_internal.console_dispatchers())
	FROM worst w);
END
$$;
COMMENT ON FUNCTION bm_webhook.console_overview(jsonb) IS
	'what waits, which endpoints need somebody, and the dispatchers';

-- Apart from the overview: it changes once a minute, and is asked for less often.
-- a: until (the "next" of an answer, for the minutes before)
CREATE FUNCTION bm_webhook.console_hour(a jsonb) RETURNS jsonb
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT bm_webhook_internal.console_minutes(NULL, coalesce((a ->> 'until')::timestamptz, 'infinity'))
$$;
COMMENT ON FUNCTION bm_webhook.console_hour(jsonb) IS 'what was sent in the last hour, by minute';

-- a: q (part of the URL or description), application, state (of endpoint_health), after (the id of the last one)
CREATE FUNCTION bm_webhook.console_endpoints(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
		SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	first uuid = bm_webhook.uuid_floor(clock_timestamp() - interval '1 day');
BEGIN
	RETURN (WITH page AS (
		SELECT p.* FROM bm_webhook.endpoint p
		WHERE p.deleted_at IS NULL AND p.id > coalesce((a ->> 'after')::bigint, 0)
			AND (a ->> 'application' IS NULL OR p.application = a ->> 'application')
			AND (a ->> 'q' IS NULL OR strpos(lower(concat_ws(' ', p.id, bm_webhook_internal.console_url(p.url),
				p.description, p.application)), lower(a ->> 'q')) > 0)
			AND (a ->> 'state' IS NULL OR p.id IN (SELECT h.endpoint_id FROM bm_webhook.endpoint_health h
				WHERE h.state = a ->> 'state'))
		ORDER BY p.id LIMIT 51
	), health AS MATERIALIZED (
		SELECT h.endpoint_id, h.state, h.since, h.reason, h.pending FROM bm_webhook.endpoint_health h
		WHERE h.endpoint_id = ANY (ARRAY(SELECT g.id FROM page g))
	)
	SELECT jsonb_build_object('has_more', count(*) > 50, 'rows', coalesce(jsonb_agg(x.line ORDER BY x.id)
			FILTER (WHERE x.n <= 50), '[]'))
	FROM (SELECT p.id, row_number() OVER (ORDER BY p.id) AS n, jsonb_build_object('id', p.id,
			'application', p.application, 'url', bm_webhook_internal.console_url(p.url), 'description', p.description,
			'event_types', p.event_types, 'channel', p.channel, 'state', h.state, 'since', h.since, 'reason', h.reason,
			'waiting', coalesce(h.pending, 0),
			'failed_24h', (SELECT count(*) FROM (SELECT FROM bm_webhook.delivery d WHERE d.endpoint_id = p.id
				AND d.status = 'failed' AND d.event_id >= first LIMIT 1000) f)) AS line
		FROM page p LEFT JOIN health h ON h.endpoint_id = p.id) x);
END
$$;
COMMENT ON FUNCTION bm_webhook.console_endpoints(jsonb) IS 'the next 50 endpoints, and how each is';

CREATE FUNCTION bm_webhook.console_endpoint(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
		SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	answer jsonb;
BEGIN
	SELECT to_jsonb(p) - '{credentials,credentials_key_id}'::text[] || jsonb_build_object(
			'retry_delays', p.retry_delays::text[], 'timeout', p.timeout::text, 'ttl', p.ttl::text,
			'retry_span', (SELECT sum(d)::text FROM unnest(p.retry_delays) d),
			'may_change', p.deleted_at IS NULL AND bm_webhook_internal.console_may_change(p.application),
			'state', (SELECT to_jsonb(s) FROM bm_webhook.endpoint_state s WHERE s.endpoint_id = p.id),
			'health', (SELECT jsonb_build_object('state', h.state, 'since', h.since, 'reason', h.reason, 'advice', h.advice)
				FROM bm_webhook.endpoint_health h WHERE h.endpoint_id = p.id),
			'pace', (SELECT to_jsonb(s) FROM bm_webhook.endpoint_pace s WHERE s.endpoint_id = p.id),
			'waiting', (SELECT to_jsonb(w) FROM bm_webhook_internal.pending w WHERE w.endpoint_id = p.id),
			'application_paused_at', (SELECT x.paused_at FROM bm_webhook.application x WHERE x.name = p.application),
			'secrets', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', s.id, 'kind', s.kind,
				'created_at', s.created_at, 'expires_at', s.expires_at) ORDER BY s.id DESC), '[]')
				FROM bm_webhook.endpoint_secret s WHERE s.endpoint_id = p.id))
		INTO answer FROM bm_webhook.endpoint p WHERE p.id = (a ->> 'endpoint')::bigint;
	PERFORM bm_webhook_internal.console_require(answer IS NOT NULL, format('endpoint %s', a ->> 'endpoint'));
	RETURN answer || jsonb_build_object('hour', bm_webhook_internal.console_minutes((a ->> 'endpoint')::bigint,
		'infinity'));
END
$$;
COMMENT ON FUNCTION bm_webhook.console_endpoint(jsonb) IS 'one endpoint, its state and its hour; 42704';

-- a: endpoint, since. Of the newest that failed or wait for another attempt, which an index has.
CREATE FUNCTION bm_webhook.console_causes(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
		SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	first uuid = bm_webhook_internal.console_since(a, '1 day');
	endpoint bigint = (a ->> 'endpoint')::bigint;
BEGIN
	PERFORM bm_webhook_internal.console_require(
		EXISTS (SELECT FROM bm_webhook.endpoint p WHERE p.id = endpoint), format('endpoint %s', endpoint));
	RETURN (SELECT coalesce(jsonb_agg(to_jsonb(c) ORDER BY c.deliveries DESC), '[]') FROM (
		SELECT d.status, d.error_class, d.http_status, count(*) AS deliveries, max(d.last_attempt_at) AS last,
			(array_agg(d.event_id ORDER BY d.event_id DESC))[1] AS event,
			(array_agg(d.error ORDER BY d.event_id DESC))[1] AS error
		FROM ((SELECT * FROM bm_webhook.delivery f WHERE f.endpoint_id = endpoint AND f.status = 'failed'
				AND f.event_id >= first ORDER BY f.event_id DESC LIMIT 2000)
			UNION ALL
			(SELECT * FROM bm_webhook.delivery w WHERE w.endpoint_id = endpoint AND w.status = 'pending'
				AND w.event_id >= first AND w.attempts > 0 ORDER BY w.event_id DESC LIMIT 2000)) d
		GROUP BY d.status, d.error_class, d.http_status ORDER BY deliveries DESC LIMIT 50) c);
END
$$;
COMMENT ON FUNCTION bm_webhook.console_causes(jsonb) IS
	'why deliveries to an endpoint failed, of the newest 2000 and of the 2000 that wait for another attempt; 42704';

-- How far back so many rows go. As the definer, for whom all rows count: of those whose endpoints are rarely sent to,
-- there may be few among millions. It tells no more than EXPLAIN ANALYZE, which counts what policies have removed.
CREATE FUNCTION bm_webhook_internal.console_floor(first uuid, last uuid, most integer, with_events boolean) RETURNS uuid
	LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
		SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
BEGIN
	RETURN greatest(first,
		(SELECT d.event_id FROM bm_webhook.delivery d WHERE d.event_id >= first AND d.event_id <= last
			ORDER BY d.event_id DESC OFFSET least(most, 100000) LIMIT 1),
		CASE WHEN with_events THEN (SELECT e.id FROM bm_webhook.event e WHERE e.id >= first AND e.id <= last
			ORDER BY e.id DESC OFFSET least(most, 100000) LIMIT 1) END);
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_floor(uuid, uuid, integer, boolean) IS
	'the first of the newest so many events that have deliveries, in a range of the log; the first of the range if it has '
	'fewer';

-- An index has these, and nothing else.
CREATE FUNCTION bm_webhook_internal.console_asks_for_few(a jsonb) RETURNS boolean
	LANGUAGE sql IMMUTABLE
	RETURN coalesce(a ->> 'status' IN ('failed', 'pending'), false);
COMMENT ON FUNCTION bm_webhook_internal.console_asks_for_few(jsonb) IS
	'is it asked about what has failed or waits, of which there is little?';

CREATE FUNCTION bm_webhook_internal.console_deliveries_condition(a jsonb) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT format(' AND d.event_id < %L', bm_webhook_internal.console_until(a))
		|| coalesce(string_agg(w.condition, ''), '')
	FROM (VALUES
		(format(' AND (d.event_id, d.endpoint_id) < (%L, %L)', (a ->> 'before')::uuid, (a ->> 'before_endpoint')::bigint),
			a ->> 'before'),
		(format(' AND d.endpoint_id = %L', (a ->> 'endpoint')::bigint), a ->> 'endpoint'),
		(format(' AND d.status = %L', a ->> 'status'), a ->> 'status'),
		(format(' AND d.error_class = %L', a ->> 'error_class'), a ->> 'error_class'),
		(format(' AND d.http_status = %L', (a ->> 'http_status')::integer), a ->> 'http_status'),
		(' AND bm_webhook_internal.owns_endpoint(d.endpoint_id)', a ->> 'is_own')) w (condition, wanted)
	WHERE w.wanted IS NOT NULL
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_deliveries_condition(jsonb) IS
	'the condition for the deliveries that are asked about, apart from what their events must be';

CREATE FUNCTION bm_webhook_internal.console_events_condition(a jsonb) RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN a ->> 'type' LIKE '%*%'
			THEN format(' AND bm_webhook_internal.matches(%L, e.type)', ARRAY[a ->> 'type'])
			WHEN a ->> 'type' IS NOT NULL THEN format(' AND e.type = %L', a ->> 'type') ELSE '' END
		|| CASE WHEN a ->> 'application' IS NOT NULL THEN format(' AND e.application = %L', a ->> 'application')
			ELSE '' END
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_events_condition(jsonb) IS
	'what the events of the deliveries that are asked about must be; empty: anything';

-- Where to stop reading: after so many rows of the log, or, of what waits and what failed, of an index that has nothing
-- else. Of all endpoints that index is not in the order of time: then all of it is read, or it does not help.
CREATE FUNCTION bm_webhook_internal.console_deliveries_floor(a jsonb, first uuid, last uuid, most integer) RETURNS uuid
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off
		SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	wanted text = a ->> 'status';
	is_few boolean = bm_webhook_internal.console_asks_for_few(a);
	endpoint bigint = (a ->> 'endpoint')::bigint;
BEGIN
	IF is_few AND endpoint IS NOT NULL THEN
		RETURN greatest(first, (SELECT d.event_id FROM bm_webhook.delivery d
			WHERE d.event_id >= first AND d.event_id <= last AND d.status = wanted AND d.endpoint_id = endpoint
			ORDER BY d.event_id DESC OFFSET most LIMIT 1));
	ELSIF is_few AND most > (SELECT count(*) FROM (SELECT FROM bm_webhook.delivery d
			WHERE d.event_id >= first AND d.event_id <= last AND d.status = wanted
			ORDER BY d.endpoint_id, d.event_id LIMIT most) d) THEN
		RETURN first;
	END IF;
	RETURN bm_webhook_internal.console_floor(first, last, most, coalesce(a ->> 'type', a ->> 'application') IS NOT NULL);
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_deliveries_floor(jsonb, uuid, uuid, integer) IS
	'the first event id up to which the deliveries that are asked about can be looked for at once';

-- Few wait or have failed: all of them are read by an index that has nothing else, as those that are newest may be old,
-- and looked up among events. Of many rows of the log, their events are read once.
CREATE FUNCTION bm_webhook_internal.console_deliveries_sql(a jsonb, first uuid, last uuid, most integer) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT format('SELECT * FROM (SELECT d.* FROM bm_webhook.delivery d '
		'WHERE d.event_id >= %1$L AND d.event_id <= %2$L%3$s%4$s) d%5$s '
		'ORDER BY d.event_id DESC, d.endpoint_id DESC LIMIT %6$s', first, last,
		bm_webhook_internal.console_deliveries_condition(a),
		CASE WHEN f.is_few THEN ' OFFSET 0' WHEN e.condition <> ''
			THEN format(' AND d.event_id IN (SELECT e.id FROM bm_webhook.event e WHERE e.id >= %L AND e.id <= %L%s OFFSET 0)',
				first, last, e.condition) END,
		CASE WHEN f.is_few AND e.condition <> ''
			THEN format(' WHERE EXISTS (SELECT FROM bm_webhook.event e WHERE e.id = d.event_id AND e.id >= %L AND e.id <= %L%s '
				'OFFSET 0)', first, last, e.condition) END, most)
	FROM (SELECT bm_webhook_internal.console_events_condition(a) AS condition) e,
		(SELECT bm_webhook_internal.console_asks_for_few(a) AS is_few) f
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_deliveries_sql(jsonb, uuid, uuid, integer) IS
	'the query for the newest deliveries that are asked about, of events in a range, at most so many';

-- a: endpoint, status, type (a pattern), application, error_class, http_status, since, until, before and
-- before_endpoint (where to go on: "next" of the answer before). What is rare may be far back: no more of the log is
-- looked at than takes no time, and "looked_back_to" says how far that was.
CREATE FUNCTION bm_webhook.console_deliveries(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
	first uuid = bm_webhook_internal.console_since(a, '1 day');
	last uuid = least(bm_webhook_internal.console_until(a), (a ->> 'before')::uuid);
	floor uuid;
	lines jsonb;
	is_full boolean;
	most integer;
BEGIN
	FOREACH most IN ARRAY ARRAY[1000, CASE WHEN bm_webhook_internal.console_asks_for_few(a)
		AND coalesce(a ->> 'type', a ->> 'application') IS NOT NULL THEN 5000 ELSE 20000 END] LOOP
		floor = bm_webhook_internal.console_deliveries_floor(a, first, last, most);
		EXECUTE format($query$
			SELECT coalesce(jsonb_agg(jsonb_build_object(
					'event', d.event_id, 'endpoint', d.endpoint_id, 'at', bm_webhook.uuid_time(d.event_id), 'type', e.type,
					'message_id', e.message_id, 'application', e.application, 'channel', e.channel,
					'url', bm_webhook_internal.console_url(p.url), 'status', d.status, 'attempts', d.attempts,
					'may_change', coalesce(p.deleted_at IS NULL
						AND (%L OR bm_webhook_internal.owns_endpoint(p.id)), false),
					'http_status', d.http_status, 'error_class', d.error_class,
					'next_attempt_at', nullif(d.next_attempt_at, 'infinity'),
					'is_ordered', d.next_attempt_at = 'infinity',
					'ms', round(extract(epoch FROM d.duration) * 1000)) ORDER BY d.event_id DESC, d.endpoint_id DESC), '[]')
			FROM (%s) d LEFT JOIN bm_webhook.endpoint p ON p.id = d.endpoint_id
				LEFT JOIN LATERAL (SELECT * FROM bm_webhook.event v
					WHERE v.id = d.event_id AND v.id >= %L AND v.id <= %L OFFSET 0) e ON true
			$query$, bm_webhook_internal.console_is_unbound(),
			bm_webhook_internal.console_deliveries_sql(a, floor, last, 51), floor, last) INTO lines;
		is_full = jsonb_array_length(lines) > 50;
		EXIT WHEN is_full OR floor <= first;
	END LOOP;
	RETURN jsonb_build_object('rows', lines - 50, 'has_more', is_full OR floor > first,
		'since', bm_webhook.uuid_time(first),
		'looked_back_to', CASE WHEN floor > first AND NOT is_full THEN bm_webhook.uuid_time(floor) END,
		'next', CASE WHEN is_full
			THEN jsonb_build_object('before', lines #> '{49,event}', 'before_endpoint', lines #> '{49,endpoint}')
			WHEN floor > first THEN jsonb_build_object('before', floor, 'before_endpoint', 0) END);
END
$$;
COMMENT ON FUNCTION bm_webhook.console_deliveries(jsonb) IS
	'the next 50 deliveries, newest first; of a day unless a period is given';

-- What is asked about of what the caller may change: the newest 10001, if no more of the log has to be read for it than
-- 100000 rows. Of so many, none is compared with all others, whatever the planner takes them for.
CREATE FUNCTION bm_webhook_internal.console_matching(a jsonb, OUT events uuid[], OUT endpoints bigint[], OUT since uuid)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off AS $$
DECLARE
	filter jsonb = a - '{before,before_endpoint,is_own}'::text[]
		|| CASE WHEN bm_webhook_internal.console_is_unbound() THEN '{}' ELSE '{"is_own": true}'::jsonb END;
	last uuid = bm_webhook_internal.console_until(a);
	floor uuid;
BEGIN
	since = bm_webhook_internal.console_since(a, '1 day');
	floor = bm_webhook_internal.console_deliveries_floor(filter, since, last, 100000);
	EXECUTE format('SELECT coalesce(array_agg(x.event_id), %L), coalesce(array_agg(x.endpoint_id), %1$L) FROM (%s) x',
		'{}', bm_webhook_internal.console_deliveries_sql(filter, floor, last, 10001)) INTO events, endpoints;
	IF floor > since AND cardinality(events) <= 10000 THEN
		PERFORM bm_webhook_internal.refuse('more than 100000 deliveries would have to be read to find those that match',
			'Choose a shorter period; or an endpoint, and what has failed or waits.', '54000');
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_matching(jsonb) IS
	'the newest 10001 deliveries of the caller''s endpoints that are asked about; 54000';

-- a: as console_deliveries, without where to go on. A period that has not ended ends now, and the answer says so: it is
-- what can be asked for then.
CREATE FUNCTION bm_webhook.console_count_deliveries(a jsonb) RETURNS jsonb
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
	SELECT jsonb_build_object('matched', least(cardinality(m.events), 10000), 'is_more', cardinality(m.events) > 10000,
		'since', bm_webhook.uuid_time(m.since), 'until', u.until)
	FROM (SELECT least((a ->> 'until')::timestamptz, now()) AS until) u,
		bm_webhook_internal.console_matching(a || jsonb_build_object('until', u.until)) m
$$;
COMMENT ON FUNCTION bm_webhook.console_count_deliveries(jsonb) IS
	'how many deliveries match, of endpoints that the caller may change, up to 10,000; 54000';

CREATE FUNCTION bm_webhook_internal.console_event(event uuid) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
		SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	answer jsonb;
BEGIN
	SELECT jsonb_build_object('id', e.id, 'type', e.type, 'application', e.application, 'channel', e.channel,
			'message_id', e.message_id, 'reply_to', e.reply_to, 'endpoint', e.endpoint_id, 'occurred_at', e.occurred_at,
			'created_at', e.created_at, 'expires_at', e.expires_at)
		INTO answer FROM bm_webhook.event e WHERE e.id = event;
	PERFORM bm_webhook_internal.console_require(answer IS NOT NULL, format('event %s', event));
	IF has_column_privilege('bm_webhook.event', 'data', 'SELECT') THEN
		-- as text: jsonb would order its keys anew
		answer = answer || (SELECT jsonb_build_object('data', e.data::text) FROM bm_webhook.event e WHERE e.id = event);
	END IF;
	RETURN answer;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_event(uuid) IS 'one event; 42704';

-- a: event, endpoint
CREATE FUNCTION bm_webhook.console_delivery(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
		SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	event uuid = (a ->> 'event')::uuid;
	endpoint bigint = (a ->> 'endpoint')::bigint;
	e jsonb = bm_webhook_internal.console_event(event);
BEGIN
	PERFORM bm_webhook_internal.console_require(
		EXISTS (SELECT FROM bm_webhook.endpoint p WHERE p.id = endpoint), format('endpoint %s', endpoint));
	RETURN jsonb_build_object('event', e,
		'endpoint', (SELECT jsonb_build_object('id', p.id, 'url', bm_webhook_internal.console_url(p.url),
			'application', p.application, 'enabled', p.enabled, 'paused_at', p.paused_at, 'deleted_at', p.deleted_at,
			'may_change', p.deleted_at IS NULL AND bm_webhook_internal.console_may_change(p.application))
			FROM bm_webhook.endpoint p WHERE p.id = endpoint),
		'delivery', (SELECT to_jsonb(d) || jsonb_build_object('next_attempt_at', nullif(d.next_attempt_at, 'infinity'),
				'is_ordered', d.next_attempt_at = 'infinity', 'ms', extract(epoch FROM d.duration) * 1000)
			FROM bm_webhook.delivery d WHERE d.event_id = event AND d.endpoint_id = endpoint),
		'failed_attempts', (SELECT coalesce(jsonb_agg(jsonb_build_object('attempt', f.attempt, 'at', f.attempted_at,
				'error_class', f.error_class, 'http_status', f.http_status, 'error', f.error,
				'name_ms', extract(epoch FROM f.name_time) * 1000, 'connect_ms', extract(epoch FROM f.connect_time) * 1000,
				'tls_ms', extract(epoch FROM f.tls_time) * 1000,
				'first_byte_ms', extract(epoch FROM f.first_byte_time) * 1000,
				'total_ms', extract(epoch FROM f.total_time) * 1000, 'response', f.response) ORDER BY f.attempted_at), '[]')
			FROM (SELECT * FROM bm_webhook.failed_attempt x WHERE x.event_id = event
				AND x.endpoint_id = endpoint ORDER BY x.attempted_at DESC LIMIT 100) f),
		'redeliveries', (SELECT coalesce(jsonb_agg(jsonb_build_object('at', r.asked_at, 'by', r.asked_by, 'was', r.status,
				'http_status', r.http_status, 'attempts', r.attempts, 'last_attempt_at', r.last_attempt_at,
				'ms', extract(epoch FROM r.duration) * 1000) ORDER BY r.asked_at), '[]')
			FROM (SELECT * FROM bm_webhook.redelivery x WHERE x.event_id = event
				AND x.endpoint_id = endpoint ORDER BY x.asked_at DESC LIMIT 100) r),
		'set_aside', (SELECT jsonb_build_object('since', s.since, 'cause', s.cause, 'by', s.asked_by)
			FROM bm_webhook.set_aside s WHERE s.event_id = event AND s.endpoint_id = endpoint));
END
$$;
COMMENT ON FUNCTION bm_webhook.console_delivery(jsonb) IS 'one delivery, its event and its attempts; 42704';

-- a: event. Of many endpoints, those that get it or have it, and then the others, 200 at most.
CREATE FUNCTION bm_webhook.console_event(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
	event uuid = (a ->> 'event')::uuid;
BEGIN
	RETURN bm_webhook_internal.console_event(event) || jsonb_build_object('endpoints',
		(SELECT coalesce(jsonb_agg(jsonb_build_object('endpoint', w.endpoint_id,
				'url', bm_webhook_internal.console_url(p.url), 'application', p.application, 'channel', p.channel,
				'event_types', p.event_types, 'filter', p.filter, 'gets_it', w.gets_it, 'reason', w.reason,
				'status', w.status, 'has_it', w.has_it) ORDER BY w.has_it DESC, w.endpoint_id), '[]')
			FROM (SELECT x.*, x.gets_it OR x.status IS NOT NULL AS has_it FROM bm_webhook.explain_delivery(event) x
				WHERE x.reason IS DISTINCT FROM 'deleted' OR x.status IS NOT NULL
				ORDER BY has_it DESC, x.endpoint_id LIMIT 200) w
			LEFT JOIN bm_webhook.endpoint p ON p.id = w.endpoint_id));
END
$$;
COMMENT ON FUNCTION bm_webhook.console_event(jsonb) IS
	'one event, and for each endpoint whether it gets it, and if not, which filter decides; 42704';

-- a: message_id, application
CREATE FUNCTION bm_webhook.console_message(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
	history jsonb;
BEGIN
	SELECT jsonb_agg(to_jsonb(h) || jsonb_build_object('url', bm_webhook_internal.console_url(h.url),
			'at', nullif(h.at, 'infinity'), 'ms', round(extract(epoch FROM h.duration) * 1000)))
		INTO history FROM (SELECT * FROM bm_webhook.message_history(a ->> 'message_id', a ->> 'application') LIMIT 1000) h;
	PERFORM bm_webhook_internal.console_require(history IS NOT NULL, format('message "%s"', a ->> 'message_id'));
	RETURN jsonb_build_object('message_id', a ->> 'message_id', 'history', history, 'states',
		(SELECT coalesce(jsonb_agg(to_jsonb(s)), '[]') FROM bm_webhook.message_state s
			WHERE s.message_id = a ->> 'message_id'
				AND (a ->> 'application' IS NULL OR s.application = a ->> 'application')));
END
$$;
COMMENT ON FUNCTION bm_webhook.console_message(jsonb) IS 'the history of one message; 42704';

CREATE FUNCTION bm_webhook.console_event_types(a jsonb) RETURNS jsonb
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(jsonb_agg(jsonb_build_object('name', t.name, 'description', t.description, 'schema', t.schema,
		'example', t.example, 'shipped', t.shipped) ORDER BY t.shipped, t.name), '[]')
	FROM (SELECT * FROM bm_webhook.event_type x ORDER BY x.shipped, x.name LIMIT 500) t
$$;
COMMENT ON FUNCTION bm_webhook.console_event_types(jsonb) IS 'the documented event types, your own first';

-- a: endpoint, before (the id of the last one)
CREATE FUNCTION bm_webhook.console_operations(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
		SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	of_endpoint bigint = (a ->> 'endpoint')::bigint;
	last bigint = (a ->> 'before')::bigint;
BEGIN
	RETURN (SELECT jsonb_build_object('has_more', count(*) > 50, 'rows', coalesce(jsonb_agg(x.line ORDER BY x.id DESC)
			FILTER (WHERE x.n <= 50), '[]'))
		FROM (SELECT o.id, row_number() OVER (ORDER BY o.id DESC) AS n, jsonb_build_object('id', o.id, 'kind', o.kind,
				'endpoint', o.endpoint_id, 'event', o.event_id, 'application', o.application, 'since', o.since,
				'until', o.until, 'status', o.status, 'matched', o.matched, 'done', o.done, 'asked_at', o.asked_at,
				'asked_by', o.asked_by, 'acting_as', o.acting_as, 'ended_at', o.ended_at, 'error', o.error,
				'reason', o.reason, 'changed', o.changed_columns) AS line
			FROM (SELECT * FROM bm_webhook.operation r WHERE (of_endpoint IS NULL OR r.endpoint_id = of_endpoint)
				AND (last IS NULL OR r.id < last) ORDER BY r.id DESC LIMIT 51) o) x);
END
$$;
COMMENT ON FUNCTION bm_webhook.console_operations(jsonb) IS 'who has asked for what, the next 50, newest first';

-- a: event, endpoint
CREATE FUNCTION bm_webhook.console_preview(a jsonb) RETURNS jsonb
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT to_jsonb(p) FROM bm_webhook.preview((a ->> 'event')::uuid, (a ->> 'endpoint')::bigint) p
$$;
COMMENT ON FUNCTION bm_webhook.console_preview(jsonb) IS 'the request as it would be sent now, signed; 42704';

CREATE FUNCTION bm_webhook_internal.console_partitions() RETURNS jsonb
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.name DESC), '[]') FROM (
		SELECT p.relname AS of, c.relname AS name, greatest(c.reltuples, 0)::bigint AS rows,
			pg_total_relation_size(c.oid) AS bytes
		FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
		WHERE i.inhparent IN ('bm_webhook.event'::regclass, 'bm_webhook.delivery'::regclass,
			'bm_webhook.failed_attempt'::regclass)
		ORDER BY c.relname DESC LIMIT 200) x
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_partitions() IS 'the partitions of the log, as estimated';

-- For operators: others lack the rights to what is read here.
CREATE FUNCTION bm_webhook.console_system(a jsonb) RETURNS jsonb
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
	SELECT jsonb_build_object(
		'dispatchers', (SELECT jsonb_agg(to_jsonb(s)) FROM bm_webhook.status() s),
		'settings', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', g.name, 'value', current_setting(g.name),
				'default', g.boot_val, 'description', g.short_desc) ORDER BY g.name), '[]')
			FROM pg_settings g WHERE g.name LIKE 'bm\_webhook.%'),
		'watches', (SELECT coalesce(jsonb_agg(to_jsonb(w)), '[]') FROM (SELECT * FROM bm_webhook.watch_list LIMIT 200) w),
		'paused', (SELECT to_jsonb(p) FROM bm_webhook.paused p),
		'set_aside', (SELECT coalesce(jsonb_agg(to_jsonb(s) - 'response' ORDER BY s.since DESC), '[]')
			FROM (SELECT * FROM bm_webhook.set_aside x ORDER BY x.since DESC LIMIT 50) s),
		'oldest_event', (SELECT bm_webhook.uuid_time(e.id) FROM bm_webhook.event e ORDER BY e.id LIMIT 1),
		'cursors', (SELECT coalesce(jsonb_agg(to_jsonb(c) - 'snapshot' ORDER BY c.shard), '[]') FROM bm_webhook.cursor c),
		'partitions', bm_webhook_internal.console_partitions())
$$;
COMMENT ON FUNCTION bm_webhook.console_system(jsonb) IS
	'dispatchers, settings, watches and partitions; for operators, 42501';

CREATE FUNCTION bm_webhook_internal.console_period(a jsonb, OUT since timestamptz, OUT until timestamptz)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	until = coalesce((a ->> 'until')::timestamptz, clock_timestamp());
	since = coalesce((a ->> 'since')::timestamptz, until - interval '1 day');
	IF until - since > interval '31 days 1 hour' OR until <= since THEN
		PERFORM bm_webhook_internal.refuse('a report is for a period of at most 31 days',
			'Choose a later "since" or an earlier "until".');
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_period(jsonb) IS 'the period of a report; 22023';

CREATE FUNCTION bm_webhook_internal.console_counted(first date, last date) RETURNS jsonb
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object('as_of', min(c.counted_at) FILTER (WHERE c.day > last - 4),
		'days', count(*), 'is_counting', current_setting('bm_webhook.count_days', true)::boolean)
	FROM bm_webhook_internal.counted_day c WHERE c.day BETWEEN first AND last
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_counted(date, date) IS
	'how many of these days were counted, and when those were that change still';

-- a: since, until (days that lie in the period, in UTC, as they were last counted), key (of data.metadata). By another
-- key than the campaign nothing is counted: the rows are NULL, and an export counts.
CREATE FUNCTION bm_webhook.console_message_rates(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
		SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	p record = bm_webhook_internal.console_period(a);
	first date = (p.since AT TIME ZONE 'UTC')::date;
	last date = (p.until AT TIME ZONE 'UTC')::date;
	rows jsonb;
BEGIN
	IF coalesce(nullif(a ->> 'key', ''), 'campaign') = 'campaign' THEN
		SELECT coalesce(jsonb_agg(to_jsonb(m) || jsonb_build_object(
				'delivered_rate', round(m.delivered / nullif(m.messages, 0)::numeric, 4),
				'read_rate', round(m.read / nullif(m.delivered, 0)::numeric, 4)) ORDER BY m.day DESC, m.messages DESC), '[]')
			INTO rows FROM (SELECT * FROM bm_webhook.message_day d WHERE d.day BETWEEN first AND last
				ORDER BY d.day DESC, d.messages DESC LIMIT 1000) m;
	END IF;
	RETURN jsonb_build_object('rows', rows) || bm_webhook_internal.console_counted(first, last);
END
$$;
COMMENT ON FUNCTION bm_webhook.console_message_rates(jsonb) IS
	'what became of messages by application, channel, campaign and day, as last counted; 22023';
-- a: since, until
CREATE FUNCTION bm_webhook.console_delivery_rates(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
		SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	p record = bm_webhook_internal.console_period(a);
	first date = (p.since AT TIME ZONE 'UTC')::date;
	last date = (p.until AT TIME ZONE 'UTC')::date;
BEGIN
	RETURN bm_webhook_internal.console_counted(first, last) || jsonb_build_object('rows', (
		SELECT coalesce(jsonb_agg(to_jsonb(r) || jsonb_build_object('url', (SELECT bm_webhook_internal.console_url(e.url)
				FROM bm_webhook.endpoint e WHERE e.id = r.endpoint_id)) ORDER BY r.day DESC, r.events DESC), '[]')
		FROM (SELECT * FROM bm_webhook.delivery_day d WHERE d.day BETWEEN first AND last
			ORDER BY d.day DESC, d.events DESC LIMIT 1000) r));
END
$$;
COMMENT ON FUNCTION bm_webhook.console_delivery_rates(jsonb) IS
	'how events were delivered by endpoint and day, as last counted; 22023';

-- Spreadsheets compute what begins with one of = + - @.
CREATE FUNCTION bm_webhook_internal.console_csv(line json) RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT string_agg(coalesce('"' || replace(CASE WHEN c.value ~ E'^[=+@\t\r-]' AND c.value !~ '^-?[0-9.]+$'
		THEN '''' ELSE '' END || c.value, '"', '""') || '"', ''), ',' ORDER BY c.n)
	FROM json_each_text(line) WITH ORDINALITY AS c (key, value, n)
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_csv(json) IS 'one line of CSV';
CREATE FUNCTION bm_webhook_internal.console_csv_names(line json) RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT string_agg(format('"%s"', o.k), ',' ORDER BY o.n) || E'\n'
	FROM json_object_keys(line) WITH ORDINALITY AS o (k, n)
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_csv_names(json) IS 'the first line of CSV, with its end';

CREATE FUNCTION bm_webhook_internal.console_export_sql(a jsonb) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p record;
BEGIN
	SELECT * INTO p FROM bm_webhook_internal.console_period(a);
	IF a ->> 'what' = 'message_rates' THEN
		RETURN format('SELECT * FROM bm_webhook.message_rate(%L, %L, %L)', p.since, p.until,
			coalesce(nullif(a ->> 'key', ''), 'campaign'));
	ELSIF a ->> 'what' = 'delivery_rates' THEN
		RETURN format('SELECT * FROM bm_webhook.delivery_rate(%L, %L)', p.since, p.until);
	ELSIF a ->> 'what' = 'message' THEN
		RETURN format('SELECT * FROM bm_webhook.message_history(%L)', a ->> 'message_id');
	ELSIF a ->> 'what' = 'deliveries' THEN
		RETURN format($query$SELECT d.event_id, d.endpoint_id, bm_webhook.uuid_time(d.event_id) AS captured_at, e.type,
				e.application, e.channel, e.message_id, d.status, d.attempts, d.first_attempt_at, d.last_attempt_at,
				d.http_status, d.error_class, d.error, extract(epoch FROM d.duration) AS seconds
			FROM bm_webhook.delivery d LEFT JOIN bm_webhook.event e ON e.id = d.event_id AND e.id >= %1$L AND e.id < %2$L
			WHERE d.event_id >= %1$L AND d.event_id < %2$L%3$s ORDER BY d.event_id, d.endpoint_id$query$,
			bm_webhook.uuid_floor(p.since), bm_webhook.uuid_floor(p.until),
			bm_webhook_internal.console_deliveries_condition(a) || bm_webhook_internal.console_events_condition(a));
	END IF;
	PERFORM bm_webhook_internal.refuse('"what" must be deliveries, message, delivery_rates or message_rates',
		'It says what is exported.');
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_export_sql(jsonb) IS 'the query of an export; 22023';

-- A cursor, so that the first lines come at once and nobody holds all of them. The first of CSV has the names, too.
-- a: what, format (csv or jsonl), since, until, and what the others take
CREATE FUNCTION bm_webhook.console_export(a jsonb) RETURNS refcursor
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
	lines refcursor = 'console_export';
	line text = CASE coalesce(a ->> 'format', 'csv') WHEN 'csv'
		THEN 'CASE WHEN x.n = 1 THEN bm_webhook_internal.console_csv_names(x.line) ELSE '''' END '
			'|| bm_webhook_internal.console_csv(x.line)'
		ELSE 'x.line::text' END;
BEGIN
	OPEN lines FOR EXECUTE format('SELECT %s '
		'FROM (SELECT row_to_json(r) AS line, row_number() OVER () AS n FROM (%s) r) x',
		line, bm_webhook_internal.console_export_sql(a));
	RETURN lines;
END
$$;
COMMENT ON FUNCTION bm_webhook.console_export(jsonb) IS
	'opens the cursor console_export: the lines of a report as CSV or JSON Lines, of at most 31 days; 22023';

-- a: cursor (none: from now on). What the cursor's snapshot does not see and this one does: transactions that commit
-- late are not missed.
CREATE FUNCTION bm_webhook.console_tail(a jsonb, OUT cursor text, OUT data jsonb)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
		SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	seen pg_snapshot = split_part(a ->> 'cursor', ' ', 1)::pg_snapshot;
	since timestamptz = to_timestamp(split_part(a ->> 'cursor', ' ', 2)::float8);
	now pg_snapshot = pg_current_snapshot();
	lowest xid8 = pg_snapshot_xmin(seen);
	beyond xid8 = pg_snapshot_xmax(now);
	first uuid;
BEGIN
	cursor = concat(now, ' ', extract(epoch FROM clock_timestamp())::bigint);
	IF seen IS NULL OR seen::text = now::text THEN
		RETURN;
	END IF;
	first = bm_webhook.uuid_floor(greatest(since, '1970-01-03 UTC') - interval '1 day');
	SELECT jsonb_build_object('count', count(*), 'is_partial', count(*) >= 1000,
			'events', jsonb_agg(x.line ORDER BY x.id DESC) FILTER (WHERE x.n <= 20))
		INTO data
		FROM (SELECT e.id, row_number() OVER (ORDER BY e.id DESC) AS n, jsonb_build_object('event', e.id, 'type', e.type,
				'application', e.application, 'channel', e.channel, 'message_id', e.message_id,
				'at', e.created_at) AS line
			FROM (SELECT v.id, v.type, v.application, v.channel, v.message_id, v.created_at FROM bm_webhook.event v
				WHERE v.xid >= lowest AND v.xid < beyond AND v.id >= first AND NOT pg_visible_in_snapshot(v.xid, seen)
				LIMIT 1000) e) x
		HAVING count(*) > 0;
END
$$;
COMMENT ON FUNCTION bm_webhook.console_tail(jsonb) IS
	'the events that have been committed since the cursor, the newest 20 of them, and the next cursor';

-------------------------------------------------------------------------------
-- Views: with the rights of who reads them
-------------------------------------------------------------------------------

-- The rule itself is the dispatcher's (core/route.c). Bodies that are parsed here need no search_path, and become part
-- of the query that calls them.
CREATE FUNCTION bm_webhook_internal.route(endpoint bigint, since timestamptz, application text, channel text,
		event_types text[], event_endpoint bigint, created_at timestamptz, type text, event_application text,
		event_channel text, is_reply boolean, muted text[]) RETURNS boolean
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_route';
COMMENT ON FUNCTION bm_webhook_internal.route IS
	'does the endpoint get this event? muted: the patterns of types that the event''s application does not send';
CREATE FUNCTION bm_webhook_internal.route_reason(endpoint bigint, since timestamptz, application text, channel text,
		event_types text[], event_endpoint bigint, created_at timestamptz, type text, event_application text,
		event_channel text, is_reply boolean, muted text[]) RETURNS text
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_route_reason';
COMMENT ON FUNCTION bm_webhook_internal.route_reason IS
	'why the endpoint does not get this event; NULL: it does, as route() says';
CREATE FUNCTION bm_webhook_internal.route_fits(endpoint bigint, since timestamptz, application text,
		event_endpoint bigint, created_at timestamptz, event_application text) RETURNS boolean
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_route_fits';
COMMENT ON FUNCTION bm_webhook_internal.route_fits IS 'may the endpoint still get this event, which waited for it?';

CREATE FUNCTION bm_webhook_internal.fits(p bm_webhook.endpoint, e bm_webhook.event) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN p.deleted_at IS NULL
		AND bm_webhook_internal.route_fits(p.id, coalesce(p.events_since, p.created_at), p.application, e.endpoint_id,
			e.created_at, e.application);
COMMENT ON FUNCTION bm_webhook_internal.fits(bm_webhook.endpoint, bm_webhook.event) IS
	'was the endpoint there when this was captured, and is it for its application, or named by it?';

CREATE FUNCTION bm_webhook_internal.filter_reason(filter jsonpath, id uuid, type text, occurred_at timestamptz,
		application text, channel text, message_id text, data json) RETURNS text
	LANGUAGE c IMMUTABLE PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'bm_webhook_filter_reason';
COMMENT ON FUNCTION bm_webhook_internal.filter_reason IS
	'why an endpoint''s filter does not let this event through; NULL: it does';
CREATE FUNCTION bm_webhook_internal.filter_says(p bm_webhook.endpoint, e bm_webhook.event) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN p.filter IS NOT NULL AND e.endpoint_id IS NULL THEN bm_webhook_internal.filter_reason(p.filter, e.id,
		e.type, e.occurred_at, e.application, e.channel, e.message_id, e.data) END;
COMMENT ON FUNCTION bm_webhook_internal.filter_says(bm_webhook.endpoint, bm_webhook.event) IS
	'why the endpoint''s filter does not let this event through; NULL: it does, or is not asked';

CREATE FUNCTION bm_webhook_internal.wants(p bm_webhook.endpoint, e bm_webhook.event, muted text[]) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN p.enabled AND p.deleted_at IS NULL
		AND bm_webhook_internal.route(p.id, coalesce(p.events_since, p.created_at), p.application, p.channel, p.event_types,
			e.endpoint_id, e.created_at, e.type, e.application, e.channel, e.reply_to IS NOT NULL, muted)
		AND bm_webhook_internal.filter_says(p, e) IS NULL;
COMMENT ON FUNCTION bm_webhook_internal.wants(bm_webhook.endpoint, bm_webhook.event, text[]) IS
	'does the endpoint get this event? muted: the patterns of types that the event''s application does not send';

-- No index leads from an endpoint to all that the log has of it, or will have: what a dispatcher holds in
-- memory is written when it is canceled. So that deleting an endpoint never reads the whole log, there is
-- taken to be something as soon as much was logged since it was registered.
CREATE FUNCTION bm_webhook_internal.has_log(p bm_webhook.endpoint) RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH since AS MATERIALIZED (
		SELECT bm_webhook.uuid_floor(CASE WHEN p.created_at BETWEEN '1970-01-01 UTC' AND clock_timestamp()
			THEN p.created_at ELSE '1970-01-01 UTC' END) AS id
	)
	SELECT EXISTS (SELECT FROM bm_webhook.delivery d WHERE d.endpoint_id = p.id AND d.status = 'pending')
		OR EXISTS (SELECT FROM bm_webhook.set_aside s WHERE s.endpoint_id = p.id)
		OR EXISTS (SELECT FROM bm_webhook.event e WHERE e.id >= (SELECT id FROM since) OFFSET 1000)
		OR EXISTS (SELECT FROM bm_webhook.delivery d WHERE d.event_id >= (SELECT id FROM since) OFFSET 1000)
		OR EXISTS (SELECT FROM bm_webhook.redelivery r WHERE r.event_id >= (SELECT id FROM since) OFFSET 1000)
		OR EXISTS (SELECT FROM bm_webhook.redelivery r WHERE r.event_id >= (SELECT id FROM since) AND r.endpoint_id = p.id)
		OR EXISTS (SELECT FROM bm_webhook.delivery d WHERE d.event_id >= (SELECT id FROM since) AND d.endpoint_id = p.id)
		OR EXISTS (SELECT FROM bm_webhook.event e WHERE e.id >= (SELECT id FROM since)
			AND (e.endpoint_id IS NOT DISTINCT FROM p.id OR bm_webhook_internal.wants(p, e,
				(SELECT a.muted_event_types FROM bm_webhook.application a WHERE a.name = e.application))))
$$;
COMMENT ON FUNCTION bm_webhook_internal.has_log(bm_webhook.endpoint) IS 'may the log have something of this endpoint?';

CREATE VIEW bm_webhook.attempt WITH (security_invoker = true) AS
	SELECT event_id, endpoint_id, attempt, attempted_at, false AS succeeded, http_status, error_class, error,
		total_time AS duration, response
	FROM bm_webhook.failed_attempt
	UNION ALL
	SELECT event_id, endpoint_id, attempts, last_attempt_at, true, http_status, NULL, NULL, duration, NULL
	FROM bm_webhook.delivery WHERE status = 'delivered'
	UNION ALL
	SELECT event_id, endpoint_id, attempts, last_attempt_at, true, http_status, NULL, NULL, duration, NULL
	FROM bm_webhook.redelivery WHERE status = 'delivered';
COMMENT ON VIEW bm_webhook.attempt IS 'every attempt ever made';

CREATE FUNCTION bm_webhook_internal.first_pending(OUT endpoint_id bigint, OUT event_id uuid,
		OUT next_attempt_at timestamptz)
	RETURNS SETOF record LANGUAGE c STABLE STRICT ROWS 100 AS 'MODULE_PATHNAME', 'bm_webhook_first_pending';
COMMENT ON FUNCTION bm_webhook_internal.first_pending() IS
	'the oldest event that waits for each endpoint, and when the first of its pending deliveries is due; use the view '
	'backlog';

-- What no cursor has settled, found by the index on xid: a range with two
-- unknown ends is taken for a small part of the table, so the planner uses it.
-- A text with the floor of its ids in it: so only partitions that can have it are planned for and locked.
CREATE FUNCTION bm_webhook_internal.not_taken(OUT endpoint_id bigint, OUT events bigint, OUT oldest timestamptz)
	RETURNS SETOF record LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
	floor uuid;
BEGIN
	SELECT CASE WHEN min(c.since) <= clock_timestamp() AND min(c.since) > '1970-01-02 UTC'
		THEN bm_webhook.uuid_floor(min(c.since) - interval '1 day') ELSE bm_webhook.uuid_floor('1970-01-01 UTC') END
		INTO floor FROM bm_webhook.cursor c;
	RETURN QUERY EXECUTE format($query$
	WITH fresh AS MATERIALIZED (
		SELECT e, (SELECT a.muted_event_types FROM bm_webhook.application a WHERE a.name = e.application) AS muted
		FROM bm_webhook.event e
		WHERE e.xid >= (SELECT pg_snapshot_xmin(c.snapshot) AS xmin FROM bm_webhook.cursor c ORDER BY 1 LIMIT 1)
			AND e.xid < (SELECT pg_snapshot_xmax(pg_current_snapshot()))
			AND e.id >= %1$L
			AND EXISTS (SELECT FROM bm_webhook.cursor c WHERE NOT pg_visible_in_snapshot(e.xid, c.snapshot))
	), candidate AS (
		-- found by indexes, whoever asks: there may be a hundred thousand endpoints
		SELECT f.e, p.id FROM fresh f JOIN bm_webhook.endpoint p ON p.id = (f.e).endpoint_id
			WHERE bm_webhook_internal.wants(p, f.e, f.muted)
		UNION ALL
		SELECT f.e, p.id FROM fresh f JOIN bm_webhook.endpoint p ON p.application = (f.e).application
			WHERE (f.e).endpoint_id IS NULL AND bm_webhook_internal.wants(p, f.e, f.muted)
		UNION ALL
		SELECT f.e, p.id FROM fresh f JOIN bm_webhook.endpoint p ON p.application IS NULL
			WHERE (f.e).endpoint_id IS NULL AND bm_webhook_internal.wants(p, f.e, f.muted)
	)
	SELECT c.id, count(*), min((c.e).created_at) FROM candidate c
		WHERE NOT EXISTS (SELECT FROM bm_webhook.delivery x
			WHERE x.event_id = (c.e).id AND x.event_id >= %1$L AND x.endpoint_id = c.id)
		GROUP BY c.id$query$, floor);
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.not_taken() IS
	'how many events match an endpoint and have no delivery yet, and since when; use the view backlog';

CREATE VIEW bm_webhook.backlog WITH (security_invoker = true) AS
	SELECT p.id AS endpoint_id, p.application, p.channel, p.url, coalesce(w.pending, 0) AS pending,
		coalesce(w.retrying, 0) AS retrying, coalesce(n.events, 0) AS not_taken,
		LEAST(bm_webhook.uuid_time(f.event_id), n.oldest) AS oldest, f.next_attempt_at
	FROM bm_webhook.endpoint p
	LEFT JOIN bm_webhook_internal.pending w ON w.endpoint_id = p.id
	LEFT JOIN bm_webhook_internal.first_pending() f ON f.endpoint_id = p.id
	LEFT JOIN bm_webhook_internal.not_taken() n ON n.endpoint_id = p.id
	WHERE p.deleted_at IS NULL;
COMMENT ON VIEW bm_webhook.backlog IS
	'what waits, for each endpoint: pending deliveries (retrying: tried before), and events that no dispatcher has '
	'taken yet';
COMMENT ON COLUMN bm_webhook.backlog.not_taken IS 'events that match and have no delivery yet';
COMMENT ON COLUMN bm_webhook.backlog.oldest IS 'when the oldest of what waits was captured';


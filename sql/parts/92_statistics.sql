-------------------------------------------------------------------------------
-- Statistics: counted by the dispatchers in memory, and written once a minute
-------------------------------------------------------------------------------

CREATE TABLE bm_webhook.endpoint_minute (
	endpoint_id bigint NOT NULL,
	minute timestamptz NOT NULL,
	delivered bigint NOT NULL,
	failed_attempts bigint NOT NULL,
	given_up bigint NOT NULL,
	canceled bigint NOT NULL,
	duration_sum interval NOT NULL,
	histogram integer[] NOT NULL,
	PRIMARY KEY (endpoint_id, minute)
);
CREATE INDEX endpoint_minute_minute_idx ON bm_webhook.endpoint_minute (minute);
COMMENT ON TABLE bm_webhook.endpoint_minute IS
	'what was sent to an endpoint in a minute, by the time of the attempt; kept for 35 days';
COMMENT ON COLUMN bm_webhook.endpoint_minute.given_up IS 'deliveries that became failed';
COMMENT ON COLUMN bm_webhook.endpoint_minute.duration_sum IS 'of the attempts that succeeded';
COMMENT ON COLUMN bm_webhook.endpoint_minute.histogram IS
	'of the attempts that succeeded: element i counts those that took up to 1.1 ^ i ms and more than the element before; '
	'its lower bound is the first one that was needed';

CREATE TABLE bm_webhook.dispatcher_minute (
	minute timestamptz,
	shard integer,
	delivered bigint NOT NULL,
	failed_attempts bigint NOT NULL,
	given_up bigint NOT NULL,
	canceled bigint NOT NULL,
	duration_sum interval NOT NULL,
	histogram integer[] NOT NULL,
	PRIMARY KEY (minute, shard)
);
COMMENT ON TABLE bm_webhook.dispatcher_minute IS
	'what a dispatcher has sent in a minute, as endpoint_minute has it for each endpoint; kept for 35 days';
CREATE TABLE bm_webhook_internal.endpoint_total (
	endpoint_id bigint PRIMARY KEY,
	since timestamptz NOT NULL DEFAULT pg_catalog.now(),
	delivered bigint NOT NULL,
	failed_attempts bigint NOT NULL,
	retries bigint NOT NULL,
	given_up bigint NOT NULL,
	canceled bigint NOT NULL,
	last_success_at timestamptz,
	last_failure_at timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE bm_webhook_internal.endpoint_total IS 'what has become of attempts and deliveries; use stat_endpoint';
CREATE TABLE bm_webhook_internal.endpoint_failure (
	endpoint_id bigint,
	error_class text,
	attempts bigint NOT NULL,
	last_at timestamptz NOT NULL,
	PRIMARY KEY (endpoint_id, error_class)
) WITH (fillfactor = 50);
COMMENT ON TABLE bm_webhook_internal.endpoint_failure IS 'failed attempts by their cause; use stat_endpoint';
CREATE TABLE bm_webhook_internal.dispatcher_total (
	shard integer PRIMARY KEY,
	since timestamptz NOT NULL DEFAULT pg_catalog.now(),
	written_at timestamptz NOT NULL,
	events bigint NOT NULL,
	delivered bigint NOT NULL,
	failed_attempts bigint NOT NULL,
	given_up bigint NOT NULL,
	canceled bigint NOT NULL,
	flushes bigint NOT NULL,
	records bigint NOT NULL,
	largest_flush bigint NOT NULL,
	longest_flush_us bigint NOT NULL,
	failed_flushes bigint NOT NULL,
	intake_us bigint NOT NULL,
	fetch_us bigint NOT NULL,
	send_us bigint NOT NULL,
	record_us bigint NOT NULL,
	upkeep_us bigint NOT NULL,
	idle_us bigint NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE bm_webhook_internal.dispatcher_total IS 'what each dispatcher has done; use stat_dispatcher';
ALTER TABLE bm_webhook.endpoint_minute OWNER TO bm_webhook;
ALTER TABLE bm_webhook.dispatcher_minute OWNER TO bm_webhook;
ALTER TABLE bm_webhook_internal.endpoint_total OWNER TO bm_webhook;
ALTER TABLE bm_webhook_internal.endpoint_failure OWNER TO bm_webhook;
ALTER TABLE bm_webhook_internal.dispatcher_total OWNER TO bm_webhook;

ALTER TABLE bm_webhook.endpoint_minute ENABLE ROW LEVEL SECURITY;
CREATE POLICY member ON bm_webhook.endpoint_minute USING (bm_webhook_internal.sees_all('bm_webhook.endpoint_minute')
	OR bm_webhook_internal.owns_endpoint(endpoint_id));
ALTER TABLE bm_webhook.dispatcher_minute ENABLE ROW LEVEL SECURITY;
CREATE POLICY operator ON bm_webhook.dispatcher_minute
	USING (bm_webhook_internal.sees_all('bm_webhook.dispatcher_minute'));

CREATE FUNCTION bm_webhook_internal.add_histograms(a integer[], b integer[]) RETURNS integer[]
	LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce((SELECT format('[%s:%s]={%s}', min(i), max(i),
			string_agg((coalesce(a[i], 0) + coalesce(b[i], 0))::text, ',' ORDER BY i))
		FROM generate_series(least(array_lower(a, 1), array_lower(b, 1)), greatest(array_upper(a, 1), array_upper(b, 1))) i
		HAVING count(*) > 0), '{}')::integer[]
$$;
COMMENT ON FUNCTION bm_webhook_internal.add_histograms(integer[], integer[]) IS
	'the sum of two histograms of endpoint_minute';

CREATE FUNCTION bm_webhook.latency(endpoint bigint, since timestamptz, fraction float8 = 0.5) RETURNS interval
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT make_interval(secs => power(1.1, x.i) / 1000) FROM (
		SELECT u.i, sum(sum(m.histogram[u.i])) OVER (ORDER BY u.i) AS so_far, sum(sum(m.histogram[u.i])) OVER () AS total
		FROM bm_webhook.endpoint_minute m, LATERAL generate_subscripts(m.histogram, 1) u (i)
		WHERE m.endpoint_id = latency.endpoint AND m.minute >= latency.since GROUP BY u.i) x
	WHERE x.so_far >= ceil(fraction * x.total) AND x.so_far > 0 ORDER BY x.i LIMIT 1
$$;
COMMENT ON FUNCTION bm_webhook.latency(bigint, timestamptz, float8) IS
	'how long this fraction of the successful attempts since then has taken at most, up to a tenth too long';

CREATE FUNCTION bm_webhook_internal.sees_statistics() RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN bm_webhook_internal.sees_all('bm_webhook.operation') OR pg_catalog.pg_has_role('pg_monitor', 'USAGE');
COMMENT ON FUNCTION bm_webhook_internal.sees_statistics() IS 'does the current user see those of all endpoints?';

-- With the rights of their owner, so that pg_monitor needs no right to what was sent. What is read for each endpoint,
-- and the first cause that is true of it, found out once; nothing volatile, as that would be computed unasked.
CREATE VIEW bm_webhook_internal.endpoint_now WITH (security_barrier = true) AS
	SELECT p.id AS endpoint_id, p.application, p.paused_at, s.failing_since, s.disabled_at, s.disabled_reason,
		s.unverified_since, s.verification_error, f.since AS application_full_since,
		t.since, t.delivered, t.failed_attempts, t.retries, t.given_up, t.canceled, t.last_success_at, t.last_failure_at,
		a.in_flight, a.allowed_in_flight, a.held_until, a.reason AS pace, a.as_of, coalesce(q.pending, 0) AS pending,
		w.oldest,
		coalesce(pg_catalog.date_part('epoch', pg_catalog.statement_timestamp() - w.oldest), 0) AS lag_seconds,
		CASE WHEN NOT p.enabled THEN 'disabled' WHEN (SELECT d.reason FROM bm_webhook_internal.dispatchers() d
				JOIN pg_catalog.pg_database b ON b.oid = d.database
				WHERE b.datname = pg_catalog.current_database() AND d.state = 'not adopted' LIMIT 1) IS NOT NULL THEN 'not adopted'
			WHEN (SELECT e.everything FROM bm_webhook.paused e WHERE e.everything) THEN 'by all'
			WHEN p.application IN (SELECT y.name FROM bm_webhook.application y WHERE y.paused_at IS NOT NULL)
				THEN 'by application'
			WHEN p.paused_at IS NOT NULL THEN 'by endpoint'
			WHEN s.unverified_since IS NOT NULL AND bm_webhook_internal.verifies() THEN 'unverified'
			WHEN s.failing_since IS NOT NULL OR t.last_failure_at > coalesce(t.last_success_at, '-infinity') THEN 'failing'
			WHEN f.since IS NOT NULL THEN 'full'
			WHEN a.held_until > pg_catalog.statement_timestamp() THEN 'held' WHEN a.reason IS NOT NULL THEN 'slowed'
			WHEN w.oldest < pg_catalog.statement_timestamp() - interval '5 min' THEN 'behind' ELSE 'healthy' END AS cause
	FROM bm_webhook.endpoint p
	LEFT JOIN bm_webhook.endpoint_state s ON s.endpoint_id = p.id
	LEFT JOIN bm_webhook_internal.endpoint_total t ON t.endpoint_id = p.id
	LEFT JOIN bm_webhook_internal.endpoint_paces() a ON a.endpoint_id = p.id
	LEFT JOIN (SELECT o.endpoint_id, bm_webhook.uuid_time(o.event_id) AS oldest
		FROM bm_webhook_internal.first_pending() o) w ON w.endpoint_id = p.id
	LEFT JOIN bm_webhook_internal.full_application f ON f.application = p.application
	LEFT JOIN (SELECT c.endpoint_id, pg_catalog.sum(c.pending)::bigint AS pending FROM (SELECT y.endpoint_id, y.pending
			FROM bm_webhook_internal.pending_count y
			UNION ALL SELECT y.endpoint_id, y.pending FROM bm_webhook_internal.pending_change y) c
		GROUP BY c.endpoint_id) q ON q.endpoint_id = p.id
	WHERE p.deleted_at IS NULL AND ((SELECT bm_webhook_internal.sees_statistics())
		OR bm_webhook_internal.owns_endpoint(p.id));
COMMENT ON VIEW bm_webhook_internal.endpoint_now IS
	'what stat_endpoint and endpoint_health say of each endpoint; cause: why it is not healthy';

CREATE VIEW bm_webhook.stat_endpoint WITH (security_barrier = true) AS
	SELECT p.endpoint_id, p.application, p.since, coalesce(p.delivered + p.failed_attempts, 0) AS attempts,
		coalesce(p.delivered, 0) AS delivered, coalesce(p.failed_attempts, 0) AS failed_attempts,
		coalesce((SELECT pg_catalog.jsonb_object_agg(f.error_class, f.attempts) FROM bm_webhook_internal.endpoint_failure f
			WHERE f.endpoint_id = p.endpoint_id), '{}') AS failures,
		coalesce(p.retries, 0) AS retries, coalesce(p.given_up, 0) AS given_up, coalesce(p.canceled, 0) AS canceled,
		p.last_success_at, p.last_failure_at, p.failing_since, p.in_flight, p.allowed_in_flight, p.held_until, p.pending,
		p.lag_seconds, p.application_full_since
	FROM bm_webhook_internal.endpoint_now p;
COMMENT ON VIEW bm_webhook.stat_endpoint IS
	'what has become of attempts and deliveries of each endpoint since stat_reset(), up to the last minute that ended; '
	'and what waits for it now';
COMMENT ON COLUMN bm_webhook.stat_endpoint.failures IS 'failed attempts, by error_class';
COMMENT ON COLUMN bm_webhook.stat_endpoint.retries IS 'attempts that were not the first of their delivery';
COMMENT ON COLUMN bm_webhook.stat_endpoint.given_up IS 'deliveries that became failed';
COMMENT ON COLUMN bm_webhook.stat_endpoint.in_flight IS
	'requests without an answer yet, as of the last second; NULL: nothing was sent to it lately';
COMMENT ON COLUMN bm_webhook.stat_endpoint.allowed_in_flight IS
	'its window: requests at the same time, as its dispatcher has found out';
COMMENT ON COLUMN bm_webhook.stat_endpoint.pending IS 'deliveries that wait in the table';
COMMENT ON COLUMN bm_webhook.stat_endpoint.lag_seconds IS
	'how long ago the oldest event that waits in the table was captured; 0: nothing waits there';
COMMENT ON COLUMN bm_webhook.stat_endpoint.application_full_since IS
	'since when as much waits for its application as max_waiting allows, so that no more is accepted; NULL: less does';

CREATE VIEW bm_webhook.stat_dispatcher WITH (security_barrier = true) AS
	SELECT d.shard, d.state, d.reason, d.since AS state_since, d.in_flight, d.queued, d.unrecorded, d.sent, d.resent,
		t.since, t.written_at, coalesce(t.events, 0) AS events,
		coalesce(t.delivered, 0) AS delivered, coalesce(t.failed_attempts, 0) AS failed_attempts,
		coalesce(t.given_up, 0) AS given_up, coalesce(t.canceled, 0) AS canceled, coalesce(t.flushes, 0) AS flushes,
		coalesce(t.records, 0) AS records, coalesce(t.largest_flush, 0) AS largest_flush,
		coalesce(t.longest_flush_us, 0) / 1e6::float8 AS longest_flush_seconds,
		coalesce(t.failed_flushes, 0) AS failed_flushes, d.capture_failures,
		(SELECT pg_catalog.count(*) FROM bm_webhook.set_aside a WHERE a.asked_by IS NULL) AS set_aside,
		coalesce((SELECT pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - e.created_at)
			FROM bm_webhook.cursor c CROSS JOIN LATERAL (SELECT x.xid, x.created_at FROM bm_webhook.event x
				WHERE x.xid >= pg_catalog.pg_snapshot_xmin(c.snapshot)
					AND NOT pg_catalog.pg_visible_in_snapshot(x.xid, c.snapshot)
					AND x.id >= bm_webhook.uuid_floor(CASE WHEN c.since BETWEEN '1970-01-02 UTC' AND pg_catalog.now()
						THEN c.since - interval '1 day' ELSE '1970-01-01 UTC' END) ORDER BY x.xid, x.id LIMIT 1) e
			WHERE c.shard = coalesce(d.shard, c.shard) ORDER BY e.xid LIMIT 1), 0) AS lag_seconds,
		coalesce(t.intake_us, 0) / 1e6::float8 AS intake_seconds, coalesce(t.fetch_us, 0) / 1e6::float8 AS fetch_seconds,
		coalesce(t.send_us, 0) / 1e6::float8 AS send_seconds, coalesce(t.record_us, 0) / 1e6::float8 AS record_seconds,
		coalesce(t.upkeep_us, 0) / 1e6::float8 AS upkeep_seconds, coalesce(t.idle_us, 0) / 1e6::float8 AS idle_seconds,
		k.ended_at AS keeper_ended_at, k.seconds AS keeper_seconds, k.problem AS keeper_problem
	FROM bm_webhook_internal.dispatchers() d LEFT JOIN bm_webhook_internal.dispatcher_total t ON t.shard = d.shard
		LEFT JOIN bm_webhook_internal.keeper() k ON d.shard = 0
	WHERE d.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
		AND (SELECT bm_webhook_internal.sees_statistics());
COMMENT ON VIEW bm_webhook.stat_dispatcher IS
	'what each dispatcher of this database does now, and what it has done since stat_reset(), up to the last minute that '
	'ended';
COMMENT ON COLUMN bm_webhook.stat_dispatcher.intake_seconds IS
	'time in which it took events: read them, and found out for whom they are';
COMMENT ON COLUMN bm_webhook.stat_dispatcher.fetch_seconds IS 'in which it read from the table what is due';
COMMENT ON COLUMN bm_webhook.stat_dispatcher.send_seconds IS
	'in which it signed and sent, and read answers; not that in which it waited for them';
COMMENT ON COLUMN bm_webhook.stat_dispatcher.record_seconds IS 'in which it wrote outcomes';
COMMENT ON COLUMN bm_webhook.stat_dispatcher.upkeep_seconds IS
	'in which it did everything else: operations, counts, partitions';
COMMENT ON COLUMN bm_webhook.stat_dispatcher.idle_seconds IS
	'in which it had nothing to do but wait, for events, answers or the time of a retry';
COMMENT ON COLUMN bm_webhook.stat_dispatcher.sent IS 'requests since the dispatcher was started';
COMMENT ON COLUMN bm_webhook.stat_dispatcher.events IS
	'that it took; each dispatcher takes all, and sends to its own endpoints';
COMMENT ON COLUMN bm_webhook.stat_dispatcher.records IS 'outcomes that were written, in so many flushes';
COMMENT ON COLUMN bm_webhook.stat_dispatcher.failed_flushes IS 'those that could not be written, or only in parts';
COMMENT ON COLUMN bm_webhook.stat_dispatcher.keeper_ended_at IS
	'of the database, in the row of shard 0: when the keeper of the log was last done; NULL: it has not run since the '
	'server was started, as there was nothing to do';
COMMENT ON COLUMN bm_webhook.stat_dispatcher.keeper_seconds IS 'how long it took';
COMMENT ON COLUMN bm_webhook.stat_dispatcher.keeper_problem IS 'what it could not do then; NULL: it did everything';
COMMENT ON COLUMN bm_webhook.stat_dispatcher.lag_seconds IS
	'how long ago the oldest event was captured of which it has written nothing yet; 0: there is none';

CREATE FUNCTION bm_webhook.stat_reset(endpoint bigint = NULL) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	DELETE FROM bm_webhook_internal.endpoint_total t WHERE endpoint IS NULL OR t.endpoint_id = endpoint;
	DELETE FROM bm_webhook_internal.endpoint_failure f WHERE endpoint IS NULL OR f.endpoint_id = endpoint;
	DELETE FROM bm_webhook_internal.dispatcher_total WHERE endpoint IS NULL;
$$;
COMMENT ON FUNCTION bm_webhook.stat_reset(bigint) IS
	'begins the counters of stat_endpoint anew, of one endpoint or of all and of stat_dispatcher; endpoint_minute stays';

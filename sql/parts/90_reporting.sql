-------------------------------------------------------------------------------
-- Reporting and audit: with the rights of who reads
-------------------------------------------------------------------------------

-- By type alone, and not by data: the statuses are those of outbound messages,
-- an inbound message has message.received.
CREATE VIEW bm_webhook.message_state WITH (security_invoker = true) AS
	SELECT application, channel, message_id,
		bm_webhook_internal.message_state(rank) AS state,
		accepted_at, sent_at, delivered_at, read_at, failed_at, expired_at, canceled_at, error_code, events, first_event_at,
			last_event_at
	FROM (
		SELECT application, channel, message_id, max(bm_webhook_internal.message_rank(type)) AS rank,
			min(occurred_at) FILTER (WHERE type = 'message.accepted') AS accepted_at,
			min(occurred_at) FILTER (WHERE type = 'message.sent') AS sent_at,
			min(occurred_at) FILTER (WHERE type = 'message.delivered') AS delivered_at,
			min(occurred_at) FILTER (WHERE type = 'message.read') AS read_at,
			min(occurred_at) FILTER (WHERE type = 'message.failed') AS failed_at,
			min(occurred_at) FILTER (WHERE type = 'message.expired') AS expired_at,
			min(occurred_at) FILTER (WHERE type = 'message.canceled') AS canceled_at,
			-- the code of the latest; unlike an ordered aggregate, max() needs no sort
			(max(ARRAY[pg_catalog.to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), id::text,
				data #>> '{error,code}'] COLLATE "C")
				FILTER (WHERE type IN ('message.failed', 'message.expired')
					AND data #>> '{error,code}' IS NOT NULL))[3] AS error_code,
			count(*) AS events,
			min(bm_webhook.uuid_time(id)) AS first_event_at,
			max(bm_webhook.uuid_time(id)) AS last_event_at
		FROM bm_webhook.event
		WHERE message_id IS NOT NULL AND type = ANY (bm_webhook_internal.message_types())
			AND endpoint_id IS NULL -- no examples that ping() has sent
		GROUP BY application, channel, message_id
	) m;
COMMENT ON VIEW bm_webhook.message_state IS
	'the current state of each outbound message, whatever the order and number of its statuses; name a message_id to '
	'be answered at once';
COMMENT ON COLUMN bm_webhook.message_state.state IS
	'the highest status by rank: read, delivered, failed, expired, canceled, sent, accepted';
COMMENT ON COLUMN bm_webhook.message_state.accepted_at IS
	'here and in the next columns: when this status first occurred (occurred_at of the event); NULL when it never '
	'came';
COMMENT ON COLUMN bm_webhook.message_state.error_code IS
	'data.error.code of the latest failure, also when the message was delivered after all';
COMMENT ON COLUMN bm_webhook.message_state.events IS 'statuses captured, duplicates included';
COMMENT ON COLUMN bm_webhook.message_state.first_event_at IS 'when the first status was captured';
COMMENT ON COLUMN bm_webhook.message_state.last_event_at IS 'when the last status was captured';

-- The inner SELECT stays apart (OFFSET 0), so that what is grouped carries the
-- campaign and not the whole data. For a period, the messages that have a status
-- in it are looked up outside of it in the index on message_id alone, and only
-- what is found is fetched. By a hash join: estimates of distinct messages are too
-- small to be trusted with a loop.
CREATE FUNCTION bm_webhook.message_rate(since timestamptz = NULL, until timestamptz = NULL,
	metadata_key text = 'campaign')
	RETURNS TABLE (application text, channel text, campaign text, day date, messages bigint, sent bigint, delivered bigint,
		read bigint, failed bigint, canceled bigint, delivered_rate numeric, read_rate numeric,
		median_time_to_deliver interval, p95_time_to_deliver interval, median_time_to_read interval,
			p95_time_to_read interval)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
		SET enable_mergejoin = off AS $$
DECLARE
	is_whole boolean = coalesce(since, '-infinity') = '-infinity' AND coalesce(until, 'infinity') = 'infinity';
	first uuid = CASE WHEN coalesce(since, '-infinity') = '-infinity' THEN '00000000-0000-0000-0000-000000000000'
		ELSE bm_webhook.uuid_floor(since) END;
	beyond uuid = CASE WHEN coalesce(until, 'infinity') = 'infinity' THEN 'ffffffff-ffff-ffff-ffff-ffffffffffff'
		ELSE bm_webhook.uuid_floor(until) END;
	status_types text[] = bm_webhook_internal.message_types();
	columns text = 'e.application COLLATE "C" AS application, e.channel COLLATE "C" AS channel, e.message_id COLLATE "C" '
		'AS message_id,
		e.type, e.occurred_at, bm_webhook.uuid_time(e.id) AS captured_at,
			(e.data #>> ARRAY[''metadata'', $3]) COLLATE "C" AS campaign';
	source text = format(CASE WHEN is_whole THEN
		'SELECT %s FROM bm_webhook.event e WHERE e.type = ANY ($4) AND e.message_id IS NOT NULL
			AND e.endpoint_id IS NULL OFFSET 0'
	ELSE
		'SELECT %1$s FROM bm_webhook.event e WHERE e.id >= $1 AND e.id < $2 AND e.type = ANY ($4) AND e.message_id IS NOT NULL
			AND e.endpoint_id IS NULL
		UNION ALL
		SELECT s.* FROM elsewhere o CROSS JOIN LATERAL (SELECT %1$s FROM bm_webhook.event e WHERE e.id = o.id
			AND e.type = ANY ($4) AND e.endpoint_id IS NULL OFFSET 0) s' END, columns);
BEGIN
	RETURN QUERY EXECUTE format($query$
		WITH elsewhere AS MATERIALIZED (
			SELECT e.id FROM bm_webhook.event e
			WHERE (e.id < $1 OR e.id >= $2) AND e.message_id IN (
				SELECT p.message_id FROM bm_webhook.event p WHERE p.id >= $1 AND p.id < $2 AND p.type = ANY ($4))
		)
		SELECT application, channel, campaign, day, messages, sent, delivered, read, failed, canceled,
			round(delivered / messages::numeric, 4), round(read / nullif(delivered, 0)::numeric, 4),
			make_interval(secs => to_deliver[1]), make_interval(secs => to_deliver[2]),
			make_interval(secs => to_read[1]), make_interval(secs => to_read[2])
		FROM (
			SELECT application, channel, campaign, day, count(*) AS messages,
				count(*) FILTER (WHERE sent_at IS NOT NULL OR is_delivered) AS sent,
				count(*) FILTER (WHERE is_delivered) AS delivered,
				count(read_at) AS read,
				count(*) FILTER (WHERE is_failed AND NOT is_delivered) AS failed,
				count(*) FILTER (WHERE canceled_at IS NOT NULL AND NOT is_failed AND NOT is_delivered) AS canceled,
				percentile_cont('{0.5,0.95}'::float8[]) WITHIN GROUP (ORDER BY extract(epoch
				FROM delivered_at - started_at)::float8) AS to_deliver, percentile_cont('{0.5,0.95}'::float8[])
					WITHIN GROUP (ORDER BY extract(epoch FROM read_at - started_at)::float8) AS to_read
			FROM (
				SELECT application, channel, min(campaign) AS campaign, (min(captured_at) AT TIME ZONE 'UTC')::date AS day,
					min(occurred_at) FILTER (WHERE type = 'message.sent') AS sent_at,
					coalesce(min(occurred_at) FILTER (WHERE type = 'message.sent'), min(occurred_at)
						FILTER (WHERE type = 'message.accepted')) AS started_at,
					min(occurred_at) FILTER (WHERE type = 'message.delivered') AS delivered_at,
					min(occurred_at) FILTER (WHERE type = 'message.read') AS read_at,
					min(occurred_at) FILTER (WHERE type = 'message.canceled') AS canceled_at,
					count(*) FILTER (WHERE type IN ('message.delivered', 'message.read')) > 0 AS is_delivered,
					count(*) FILTER (WHERE type IN ('message.failed', 'message.expired')) > 0 AS is_failed
				FROM (%s) e
				GROUP BY application, channel, message_id
				HAVING $5 OR min(captured_at) >= bm_webhook.uuid_time($1) AND min(captured_at) < bm_webhook.uuid_time($2)
			) m
			GROUP BY application, channel, campaign, day
		) c
		ORDER BY application, channel, campaign, day
		$query$, source)
		USING first, beyond, metadata_key, status_types, is_whole;
END
$$;
COMMENT ON FUNCTION bm_webhook.message_rate(timestamptz, timestamptz, text) IS
	'what became of the outbound messages whose first status was captured in a period (from since to before until; '
	'NULL: no bound), for each application, channel, value of a key of data.metadata (NULL: not asked for, and '
	'faster) and day; columns as in the view message_rate; 22008 time out of range';

CREATE VIEW bm_webhook.message_rate WITH (security_invoker = true) AS
	SELECT application, channel, campaign, day, messages, sent, delivered, read, failed, canceled, delivered_rate,
		read_rate, median_time_to_deliver, p95_time_to_deliver, median_time_to_read, p95_time_to_read
	FROM bm_webhook.message_rate();
COMMENT ON VIEW bm_webhook.message_rate IS
	'what became of all outbound messages, for each application, channel, campaign and day; reads every event: for a '
	'period, use the function of this name';
COMMENT ON COLUMN bm_webhook.message_rate.campaign IS
	'data.metadata.campaign (or the key that was asked for); when the events of a message differ, the smallest; NULL '
	'when none has it';
COMMENT ON COLUMN bm_webhook.message_rate.day IS
	'UTC day when the first event of the message was captured: late or early statuses never move a message to '
	'another day';
COMMENT ON COLUMN bm_webhook.message_rate.messages IS
	'messages with at least one status: those delivered, failed and canceled, and those still on their way';
COMMENT ON COLUMN bm_webhook.message_rate.sent IS
	'messages that were sent, delivered or read at any time: delivered implies sent';
COMMENT ON COLUMN bm_webhook.message_rate.delivered IS
	'messages that were delivered or read at any time: read implies delivered, and a failure before or after does '
	'not undo it';
COMMENT ON COLUMN bm_webhook.message_rate.read IS
	'messages that were read at any time; few channels tell, and recipients can switch it off';
COMMENT ON COLUMN bm_webhook.message_rate.failed IS 'messages that failed or expired and were never delivered';
COMMENT ON COLUMN bm_webhook.message_rate.canceled IS 'messages that were canceled and neither failed nor delivered';
COMMENT ON COLUMN bm_webhook.message_rate.delivered_rate IS 'delivered / messages';
COMMENT ON COLUMN bm_webhook.message_rate.read_rate IS 'read / delivered; NULL when none was delivered';
COMMENT ON COLUMN bm_webhook.message_rate.median_time_to_deliver IS
	'from the first sent (or else accepted) to the first delivered, by occurred_at, of the messages that have both; '
	'interpolated between the two in the middle';
COMMENT ON COLUMN bm_webhook.message_rate.p95_time_to_deliver IS '95th percentile of the same';
COMMENT ON COLUMN bm_webhook.message_rate.median_time_to_read IS
	'from the first sent (or else accepted) to the first read, of the messages that have both';
COMMENT ON COLUMN bm_webhook.message_rate.p95_time_to_read IS '95th percentile of the same';

CREATE FUNCTION bm_webhook.delivery_rate(since timestamptz = NULL, until timestamptz = NULL)
	RETURNS TABLE (endpoint_id bigint, hour timestamptz, events bigint, delivered bigint, failed bigint, canceled bigint,
		pending bigint, retries bigint, median_latency interval, p95_latency interval, median_duration interval,
			p95_duration interval)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
		SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
	first uuid = CASE WHEN coalesce(since, '-infinity') = '-infinity' THEN '00000000-0000-0000-0000-000000000000'
		ELSE bm_webhook.uuid_floor(since) END;
	beyond uuid = CASE WHEN coalesce(until, 'infinity') = 'infinity' THEN 'ffffffff-ffff-ffff-ffff-ffffffffffff'
		ELSE bm_webhook.uuid_floor(until) END;
BEGIN
	RETURN QUERY
		SELECT endpoint_id, hour, events, delivered, failed, canceled, pending, retries,
			make_interval(secs => latency[1]), make_interval(secs => latency[2]), make_interval(secs => duration[1]),
				make_interval(secs => duration[2])
		FROM (
			SELECT endpoint_id, hour, count(*) AS events,
				count(*) FILTER (WHERE status = 'delivered') AS delivered, count(*) FILTER (WHERE status = 'failed') AS failed,
				count(*) FILTER (WHERE status = 'canceled') AS canceled, count(*) FILTER (WHERE status = 'pending') AS pending,
				sum(failed_attempts) AS retries,
				percentile_cont('{0.5,0.95}'::float8[]) WITHIN GROUP (ORDER BY latency)
					FILTER (WHERE status = 'delivered') AS latency,
				percentile_cont('{0.5,0.95}'::float8[]) WITHIN GROUP (ORDER BY duration)
					FILTER (WHERE status = 'delivered') AS duration
			FROM (
				SELECT d.endpoint_id, date_trunc('hour', bm_webhook.uuid_time(d.event_id), 'UTC') AS hour, d.status,
					CASE d.status WHEN 'delivered' THEN d.attempts - 1 ELSE d.attempts END AS failed_attempts,
					extract(epoch FROM d.last_attempt_at + d.duration - bm_webhook.uuid_time(d.event_id))::float8 AS latency,
					extract(epoch FROM d.duration)::float8 AS duration
				FROM bm_webhook.delivery d WHERE d.event_id >= first AND d.event_id < beyond
			) d
			GROUP BY endpoint_id, hour
		) h
		ORDER BY endpoint_id, hour;
END
$$;
COMMENT ON FUNCTION bm_webhook.delivery_rate(timestamptz, timestamptz) IS
	'how the events that were captured in a period (from since to before until; NULL: no bound) were delivered, for '
	'each endpoint and hour; columns as in the view delivery_rate; 22008 time out of range';

CREATE VIEW bm_webhook.delivery_rate WITH (security_invoker = true) AS
	SELECT endpoint_id, hour, events, delivered, failed, canceled, pending, retries, median_latency, p95_latency,
		median_duration, p95_duration
	FROM bm_webhook.delivery_rate();
COMMENT ON VIEW bm_webhook.delivery_rate IS
	'how all events were delivered, for each endpoint and hour; reads every delivery: for a period, use the function '
	'of this name';
COMMENT ON COLUMN bm_webhook.delivery_rate.hour IS 'hour (UTC) when the event was captured';
COMMENT ON COLUMN bm_webhook.delivery_rate.events IS
	'events that have a delivery to this endpoint; those still in a dispatcher''s memory have none yet (see backlog)';
COMMENT ON COLUMN bm_webhook.delivery_rate.failed IS 'given up';
COMMENT ON COLUMN bm_webhook.delivery_rate.retries IS
	'attempts that failed, those of deliveries that were given up or still wait included';
COMMENT ON COLUMN bm_webhook.delivery_rate.median_latency IS
	'from capture to the end of the attempt that succeeded, of what was delivered';
COMMENT ON COLUMN bm_webhook.delivery_rate.p95_latency IS '95th percentile of the same';
COMMENT ON COLUMN bm_webhook.delivery_rate.median_duration IS 'of the request that succeeded';
COMMENT ON COLUMN bm_webhook.delivery_rate.p95_duration IS '95th percentile of the same';

-- OFFSET 0 makes each look-up by event id one of its own, in one partition. Not
-- from the view attempt: no join condition gets into its two halves.
-- It is found in each day of the log; what belongs to it is read in its days alone.
CREATE FUNCTION bm_webhook.message_history(message_id text, application text = NULL)
	RETURNS TABLE (at timestamptz, what text, event_id uuid, type text, occurred_at timestamptz, endpoint_id bigint,
		url text, attempt integer, outcome text, http_status integer, error_class text, error text, duration interval,
			response text)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
		SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
	ids uuid[] = ARRAY(SELECT e.id FROM bm_webhook.event e WHERE e.message_id = message_history.message_id
		AND (message_history.application IS NULL OR e.application = message_history.application) ORDER BY e.id);
	first uuid = ids[1];
	last uuid = ids[cardinality(ids)];
BEGIN
	RETURN QUERY WITH message AS MATERIALIZED (
		SELECT e.id, e.type, e.occurred_at, e.created_at, e.endpoint_id FROM bm_webhook.event e
		WHERE e.id = ANY (ids) AND e.id BETWEEN first AND last
	), entry AS (
		SELECT e.created_at AS at, 1 AS rank, 'event' AS what, e.id AS event_id, e.type, e.occurred_at, e.endpoint_id,
			NULL::integer AS attempt,
			'captured' AS outcome, NULL::integer AS http_status, NULL AS error_class, NULL AS error, NULL::interval AS duration,
				NULL AS response
		FROM message e
		UNION ALL
		SELECT a.attempted_at, 2, 'attempt', e.id, e.type, e.occurred_at, a.endpoint_id, a.attempt,
			'failed', a.http_status, a.error_class, a.error, a.total_time, a.response
		FROM message e CROSS JOIN LATERAL (SELECT * FROM bm_webhook.failed_attempt x
			WHERE x.event_id = e.id AND x.event_id BETWEEN first AND last OFFSET 0) a
		UNION ALL
		SELECT d.last_attempt_at, 2, 'attempt', e.id, e.type, e.occurred_at, d.endpoint_id, d.attempts,
			'succeeded', d.http_status, NULL, NULL, d.duration, NULL
		FROM message e CROSS JOIN LATERAL (SELECT * FROM bm_webhook.delivery x
			WHERE x.event_id = e.id AND x.event_id BETWEEN first AND last OFFSET 0) d
		WHERE d.status = 'delivered'
		UNION ALL
		SELECT r.last_attempt_at, 2, 'attempt', e.id, e.type, e.occurred_at, r.endpoint_id, r.attempts,
			'succeeded', r.http_status, NULL, NULL, r.duration, NULL
		FROM message e JOIN bm_webhook.redelivery r ON r.event_id = e.id
		WHERE r.status = 'delivered'
		UNION ALL
		SELECT r.asked_at, 3, 'redelivery', e.id, e.type, e.occurred_at, r.endpoint_id, r.attempts,
			'asked by ' || r.asked_by, NULL, NULL, NULL, NULL, NULL
		FROM message e JOIN bm_webhook.redelivery r ON r.event_id = e.id
		UNION ALL
		SELECT CASE d.status WHEN 'pending' THEN d.next_attempt_at
				ELSE coalesce(d.last_attempt_at + coalesce(d.duration, '0'), e.created_at) END,
			3, 'delivery', e.id, e.type, e.occurred_at, d.endpoint_id, d.attempts, d.status, d.http_status, d.error_class,
				d.error, NULL, NULL
		FROM message e CROSS JOIN LATERAL (SELECT * FROM bm_webhook.delivery x
			WHERE x.event_id = e.id AND x.event_id BETWEEN first AND last OFFSET 0) d
	)
	SELECT n.at, n.what, n.event_id, n.type, n.occurred_at, n.endpoint_id, p.url, n.attempt, n.outcome, n.http_status,
		n.error_class, n.error, n.duration, n.response
	FROM entry n LEFT JOIN bm_webhook.endpoint p ON p.id = n.endpoint_id
	ORDER BY n.at, n.event_id, n.rank, n.endpoint_id, n.attempt;
END
$$;
COMMENT ON FUNCTION bm_webhook.message_history(text, text) IS
	'all that happened to a message (of one application, or of any), in time order. what: event (when it was '
	'captured), attempt (one request, when it began), redelivery (when redeliver() was called, and by whom), '
	'delivery (how an event ended at an endpoint and after how many attempts: delivered, failed, canceled; or '
	'pending, at the time when it is due). url: of the endpoint as it is now, NULL when it is gone';

UPDATE bm_webhook.event_type SET shipped = true;


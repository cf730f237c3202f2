-------------------------------------------------------------------------------
-- Days: what became of messages and deliveries, counted by the keeper, so that reports need not read the log
-------------------------------------------------------------------------------

CREATE TABLE bm_webhook.message_day (
	day date NOT NULL,
	application text,
	channel text,
	campaign text,
	messages bigint NOT NULL,
	sent bigint NOT NULL,
	delivered bigint NOT NULL,
	read bigint NOT NULL,
	failed bigint NOT NULL,
	canceled bigint NOT NULL,
	median_time_to_deliver interval,
	p95_time_to_deliver interval,
	median_time_to_read interval,
	p95_time_to_read interval
);
CREATE INDEX message_day_day_idx ON bm_webhook.message_day (day, messages);
CREATE INDEX message_day_application_idx ON bm_webhook.message_day (application, day);
COMMENT ON TABLE bm_webhook.message_day IS
	'message_rate() by campaign of each of the last 32 days (UTC), as it was last counted; kept as long as the log';

CREATE TABLE bm_webhook.delivery_day (
	endpoint_id bigint NOT NULL,
	day date NOT NULL,
	events bigint NOT NULL,
	delivered bigint NOT NULL,
	failed bigint NOT NULL,
	canceled bigint NOT NULL,
	pending bigint NOT NULL,
	retries bigint NOT NULL,
	worst_p95_latency interval,
	PRIMARY KEY (endpoint_id, day)
);
CREATE INDEX delivery_day_day_idx ON bm_webhook.delivery_day (day, events);
COMMENT ON TABLE bm_webhook.delivery_day IS
	'delivery_rate() of each endpoint and each of the last 32 days (UTC), as it was last counted; kept as long as the log';
COMMENT ON COLUMN bm_webhook.delivery_day.worst_p95_latency IS 'the 95th percentile of its worst hour';

CREATE TABLE bm_webhook_internal.counted_day (
	day date PRIMARY KEY,
	counted_at timestamptz NOT NULL,
	took interval NOT NULL
);
COMMENT ON TABLE bm_webhook_internal.counted_day IS
	'when message_day and delivery_day were last counted, and how long it took';
ALTER TABLE bm_webhook.message_day OWNER TO bm_webhook;
ALTER TABLE bm_webhook.delivery_day OWNER TO bm_webhook;
ALTER TABLE bm_webhook_internal.counted_day OWNER TO bm_webhook;

ALTER TABLE bm_webhook.message_day ENABLE ROW LEVEL SECURITY;
ALTER TABLE bm_webhook.delivery_day ENABLE ROW LEVEL SECURITY;
CREATE POLICY member ON bm_webhook.message_day USING (bm_webhook_internal.sees_all('bm_webhook.message_day')
	OR bm_webhook_internal.owns_application(application, false));
CREATE POLICY member ON bm_webhook.delivery_day USING (bm_webhook_internal.sees_all('bm_webhook.delivery_day')
	OR bm_webhook_internal.owns_endpoint(endpoint_id));

-- Statuses still come for some days: so the three days before are counted again each six hours. Where counting takes
-- longer than a second, it takes a hundredth of the time at most, and a tenth as long as there are days that never
-- were.
CREATE FUNCTION bm_webhook_internal.day_to_count() RETURNS date
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT d.day FROM (SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date - n AS day, n FROM generate_series(0, 31) n) d
		LEFT JOIN bm_webhook_internal.counted_day c ON c.day = d.day
	WHERE current_setting('bm_webhook.count_days', true)::boolean
		AND (c.day IS NULL OR d.n > 0 AND c.counted_at < (d.day + 1)::timestamp AT TIME ZONE 'UTC'
			OR c.counted_at < (d.day + 4)::timestamp AT TIME ZONE 'UTC'
				AND c.counted_at < clock_timestamp() - CASE d.n WHEN 0 THEN interval '5 min' ELSE interval '6 hours' END)
		AND NOT EXISTS (SELECT FROM bm_webhook_internal.counted_day l
			WHERE l.took > interval '1 s'
				AND l.counted_at + l.took > clock_timestamp() - CASE WHEN c.day IS NULL THEN 10 ELSE 100 END * l.took)
	ORDER BY c.counted_at NULLS FIRST, d.n LIMIT 1
$$;
COMMENT ON FUNCTION bm_webhook_internal.day_to_count() IS 'which day (UTC) is to be counted now; NULL: none';

-- Nothing is written before all is counted: a transaction that writes for long holds up those who follow what commits.
CREATE FUNCTION bm_webhook_internal.count_day() RETURNS boolean
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	began timestamptz = clock_timestamp();
	counted date = bm_webhook_internal.day_to_count();
	since timestamptz = counted::timestamp AT TIME ZONE 'UTC';
	until timestamptz = (counted + 1)::timestamp AT TIME ZONE 'UTC';
	log_begins date;
	messages bm_webhook.message_day[];
	deliveries bm_webhook.delivery_day[];
BEGIN
	IF counted IS NULL THEN
		RETURN false;
	END IF;
	log_begins = (coalesce(bm_webhook.uuid_time((SELECT e.id FROM bm_webhook.event e ORDER BY e.id LIMIT 1)), began)
		AT TIME ZONE 'UTC')::date;
	messages = ARRAY(SELECT (counted, r.application, r.channel, r.campaign, r.messages, r.sent, r.delivered, r.read,
			r.failed, r.canceled, r.median_time_to_deliver, r.p95_time_to_deliver, r.median_time_to_read,
			r.p95_time_to_read)::bm_webhook.message_day
		FROM bm_webhook.message_rate(since, until) r);
	deliveries = ARRAY(SELECT (r.endpoint_id, counted, sum(r.events), sum(r.delivered), sum(r.failed), sum(r.canceled),
			sum(r.pending), sum(r.retries), max(r.p95_latency))::bm_webhook.delivery_day
		FROM bm_webhook.delivery_rate(since, until) r GROUP BY r.endpoint_id);
	DELETE FROM bm_webhook.message_day m WHERE m.day = counted OR m.day < log_begins;
	DELETE FROM bm_webhook.delivery_day d WHERE d.day = counted OR d.day < log_begins;
	DELETE FROM bm_webhook_internal.counted_day c WHERE c.day = counted OR c.day < counted - 40;
	INSERT INTO bm_webhook.message_day SELECT * FROM unnest(messages);
	INSERT INTO bm_webhook.delivery_day SELECT * FROM unnest(deliveries);
	INSERT INTO bm_webhook_internal.counted_day VALUES (counted, began, clock_timestamp() - began);
	RETURN true;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.count_day() IS 'counts the day that is to be counted now; false: there is none';


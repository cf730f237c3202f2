-- Reporting and audit: states, rates and histories of made events with fixed ids and times.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS bm_webhook;
RESET client_min_messages;
TRUNCATE bm_webhook.event, bm_webhook.delivery, bm_webhook.failed_attempt;
SET timezone = 'UTC';
SET intervalstyle = 'postgres';
\pset null '-'
-- days of their own: what is in a default partition is moved away, and who reads meanwhile may miss it
SELECT count(bm_webhook_internal.create_partition(p, d)) FROM unnest('{event,delivery,failed_attempt}'::text[]) p, unnest('{2026-03-01,2026-03-03}'::date[]) d;
-- nothing yet
SELECT * FROM bm_webhook.message_state;
SELECT * FROM bm_webhook.message_rate;
SELECT * FROM bm_webhook.delivery_rate;
SELECT * FROM bm_webhook.message_history('m1');
-- Captured in the order of n, one second apart, each status at its own time: m1 out of order, m2 with duplicates,
-- m3 failed and delivered, m4 failed twice, m5 expired, m6 sent and canceled, m7 accepted, m8 read alone,
-- m9 on two days, the earlier status last; m1 of another application and of none is another message.
CREATE TABLE made (n int, day date, application text, channel text, message_id text, type text, occurred_at interval, campaign text, code text);
INSERT INTO made VALUES
	(1, '2026-03-01', 'a', 'sms', 'm1', 'message.read', '60 s', 'x', NULL),
	(2, '2026-03-01', 'a', 'sms', 'm1', 'message.delivered', '10 s', NULL, NULL),
	(3, '2026-03-01', 'a', 'sms', 'm1', 'message.sent', '5 s', 'x', NULL),
	(4, '2026-03-01', 'a', 'sms', 'm1', 'message.accepted', '1 s', 'x', NULL),
	(5, '2026-03-01', 'a', 'sms', 'm2', 'message.sent', '5 s', 'x', NULL),
	(6, '2026-03-01', 'a', 'sms', 'm2', 'message.sent', '4 s', 'x', NULL),
	(7, '2026-03-01', 'a', 'sms', 'm2', 'message.delivered', '11 s', 'x', NULL),
	(8, '2026-03-01', 'a', 'sms', 'm2', 'message.delivered', '8 s', 'x', NULL),
	(9, '2026-03-01', 'a', 'sms', 'm2', 'message.delivered', '8 s', 'x', NULL),
	(10, '2026-03-01', 'a', 'sms', 'm3', 'message.failed', '20 s', 'x', '1'),
	(11, '2026-03-01', 'a', 'sms', 'm3', 'message.accepted', '10 s', 'x', NULL),
	(12, '2026-03-01', 'a', 'sms', 'm3', 'message.delivered', '19 s', 'x', NULL),
	(13, '2026-03-01', 'a', 'sms', 'm4', 'message.failed', '40 s', 'x', 'late'),
	(14, '2026-03-01', 'a', 'sms', 'm4', 'message.failed', '30 s', 'x', 'early'),
	(15, '2026-03-01', 'a', 'sms', 'm4', 'message.sent', '29 s', 'x', NULL),
	(16, '2026-03-01', 'a', 'sms', 'm5', 'message.expired', '40 s', 'y', 'ttl'),
	(17, '2026-03-01', 'a', 'sms', 'm6', 'message.sent', '1 s', 'y', NULL),
	(18, '2026-03-01', 'a', 'sms', 'm6', 'message.canceled', '2 s', 'y', NULL),
	(19, '2026-03-01', 'a', 'sms', 'm7', 'message.accepted', '1 s', NULL, NULL),
	(20, '2026-03-01', 'a', 'whatsapp', 'm8', 'message.read', '1 s', 'x', NULL),
	(21, '2026-03-01', 'a', 'whatsapp', 'm9', 'message.delivered', '3 days', 'x', NULL),
	(1, '2026-03-03', 'a', 'whatsapp', 'm9', 'message.read', '4 days', 'w', NULL),
	(2, '2026-03-03', 'a', 'whatsapp', 'm9', 'message.sent', '2 days', 'x', NULL),
	(3, '2026-03-03', 'b', 'sms', 'm1', 'message.sent', '2 days', NULL, NULL),
	(4, '2026-03-03', NULL, NULL, 'm1', 'message.sent', '2 days', NULL, NULL),
	(5, '2026-03-03', 'a', 'sms', 'in1', 'message.received', '2 days', 'x', NULL),
	(6, '2026-03-03', 'a', 'sms', 'm1', 'message.clicked', '2 days', 'x', NULL),
	(7, '2026-03-03', 'a', 'sms', NULL, 'message.sent', '2 days', 'x', NULL),
	(8, '2026-03-03', 'a', 'sms', 'o1', 'order.paid', '2 days', 'x', NULL);
CREATE FUNCTION made_id(day date, n int) RETURNS uuid LANGUAGE sql AS
	$$ SELECT bm_webhook.uuid_floor(day::timestamptz + n * interval '1 s') $$;
INSERT INTO bm_webhook.event (id, xid, type, application, channel, message_id, occurred_at, created_at, data)
SELECT made_id(day, n), '3', type, application, channel, message_id, '2026-03-01 00:00+00'::timestamptz + occurred_at, day::timestamptz + n * interval '1 s',
	jsonb_strip_nulls(jsonb_build_object('direction', 'outbound', 'metadata', CASE WHEN campaign IS NOT NULL THEN jsonb_build_object('campaign', campaign, 'wave', '1') END,
		'error', CASE WHEN code IS NOT NULL THEN jsonb_build_object('code', code) END))
FROM made;
SELECT application, channel, message_id, state, accepted_at::time, sent_at, delivered_at, read_at, error_code, events
FROM bm_webhook.message_state ORDER BY message_id COLLATE "C", application COLLATE "C";
SELECT message_id, state, failed_at::time, expired_at::time, canceled_at::time, error_code, first_event_at, last_event_at
FROM bm_webhook.message_state WHERE message_id IN ('m3', 'm4', 'm5', 'm6') ORDER BY message_id COLLATE "C";
-- rates of everything, and the same as the days one by one
SELECT application, channel, campaign, day, messages, sent, delivered, read, failed, canceled, delivered_rate, read_rate FROM bm_webhook.message_rate;
SELECT channel, campaign, median_time_to_deliver, p95_time_to_deliver, median_time_to_read, p95_time_to_read
FROM bm_webhook.message_rate WHERE application = 'a';
CREATE VIEW one_by_one AS SELECT r.* FROM generate_series('2026-02-28'::timestamptz, '2026-03-05', '1 day') d, bm_webhook.message_rate(d, d + interval '1 day') r;
(TABLE one_by_one EXCEPT ALL TABLE bm_webhook.message_rate) UNION ALL (TABLE bm_webhook.message_rate EXCEPT ALL TABLE one_by_one);
-- periods: by the first event alone; open ends; another key; none
SELECT message_id FROM bm_webhook.message_state WHERE first_event_at >= '2026-03-03' ORDER BY application COLLATE "C";
SELECT application, channel, campaign, day, messages, delivered FROM bm_webhook.message_rate('2026-03-03');
SELECT application, channel, campaign, day, messages, delivered FROM bm_webhook.message_rate(until => '2026-03-01 00:00:06');
SELECT application, channel, campaign, day, messages, delivered FROM bm_webhook.message_rate('2026-03-01 00:00:20', '2026-03-01 00:00:21');
SELECT count(*) FROM bm_webhook.message_rate('2026-03-02', '2026-03-03');
SELECT count(*) FROM bm_webhook.message_rate('2026-03-02', '2026-03-01');
SELECT sum(messages) FROM bm_webhook.message_rate('-infinity', 'infinity');
SELECT application, channel, campaign, day, messages, delivered FROM bm_webhook.message_rate(metadata_key => 'wave') WHERE channel = 'sms';
SELECT application, channel, campaign, day, messages, delivered FROM bm_webhook.message_rate('2026-03-01', '2026-03-02', NULL);
SELECT sum(messages) FROM bm_webhook.message_rate(metadata_key => 'it''s "not" there');
\set VERBOSITY sqlstate
SELECT * FROM bm_webhook.message_rate('1960-01-01');
SELECT * FROM bm_webhook.delivery_rate('1960-01-01');
\set VERBOSITY default
-- deliveries and attempts: of m1's read (n = 1) one that succeeded at once, one given up, one deleted endpoint's
INSERT INTO bm_webhook.endpoint (url, enabled) VALUES ('https://example.com/one', false) RETURNING id AS one \gset
INSERT INTO bm_webhook.endpoint (url, enabled) VALUES ('https://example.com/two', false) RETURNING id AS two \gset
SELECT greatest(:one, :two) + 1 AS gone \gset
CREATE FUNCTION deliver(n int, endpoint_id bigint, status text, attempts int, last interval, due interval = NULL, duration interval = '20 ms',
	http_status int = NULL, error_class text = NULL, error text = NULL) RETURNS void LANGUAGE sql AS $$
	INSERT INTO bm_webhook.delivery
	SELECT made_id('2026-03-01', n), endpoint_id, status, attempts, t + due, t, t + last, http_status, error_class, error, duration
	FROM (SELECT '2026-03-01 00:00+00'::timestamptz + n * interval '1 s') x (t)
$$;
CREATE FUNCTION fail(n int, endpoint_id bigint, attempt int, at interval, response text = NULL) RETURNS void LANGUAGE sql AS $$
	INSERT INTO bm_webhook.failed_attempt
	VALUES (made_id('2026-03-01', n), endpoint_id, attempt, '2026-03-01 00:00+00'::timestamptz + n * interval '1 s' + at, 'status', 500, 'HTTP status 500',
		NULL, '1 ms', NULL, '5 ms', '6 ms', response)
$$;
SELECT deliver(1, :one, 'delivered', 1, '10 ms', http_status => 200);
SELECT deliver(1, :two, 'failed', 2, '5 s', duration => '6 ms', http_status => 500, error_class => 'status', error => 'HTTP status 500'),
	fail(1, :two, 1, '10 ms', 'oops'), fail(1, :two, 2, '5 s');
SELECT deliver(2, :one, 'delivered', 3, '90 s', http_status => 204), fail(2, :one, 1, '10 ms'), fail(2, :one, 2, '30 s', 'no');
SELECT deliver(2, :two, 'canceled', 0, NULL, duration => NULL, error => 'the endpoint was deleted');
SELECT deliver(3, :one, 'pending', 1, '10 ms', '1 h', duration => '6 ms', http_status => 500, error_class => 'status', error => 'HTTP status 500'), fail(3, :one, 1, '10 ms');
SELECT deliver(4, :gone, 'delivered', 1, '40 ms', http_status => 200);
SELECT deliver(5, :one, 'delivered', 1, '30 ms', http_status => 200);
SELECT at, what, type, CASE endpoint_id WHEN :one THEN 'one' WHEN :two THEN 'two' WHEN :gone THEN 'gone' END AS endpoint, url,
	attempt, outcome, http_status AS http, error_class AS class, error, duration, response FROM bm_webhook.message_history('m1', 'a');
SELECT count(*), count(DISTINCT event_id) AS events, bool_and(event_id IS NOT NULL AND occurred_at IS NOT NULL AND at IS NOT NULL) AS complete
FROM bm_webhook.message_history('m1');
SELECT what, type, outcome FROM bm_webhook.message_history('m1', 'b');
SELECT count(*) FROM bm_webhook.message_history('nothing');
SELECT CASE endpoint_id WHEN :one THEN 'one' WHEN :two THEN 'two' WHEN :gone THEN 'gone' END AS endpoint, hour, events, delivered, failed, canceled, pending, retries,
	median_latency AS latency, p95_latency AS latency_95, median_duration AS duration, p95_duration AS duration_95 FROM bm_webhook.delivery_rate;
SELECT count(*), sum(events) FROM bm_webhook.delivery_rate('2026-03-01 00:00:02', '2026-03-01 00:00:05');
SELECT count(*) FROM bm_webhook.delivery_rate('2026-03-02');
-- only who may read the tables: USAGE and EXECUTE are not enough
SET client_min_messages = warning;
CREATE ROLE bm_regress_reader;
RESET client_min_messages;
GRANT USAGE ON SCHEMA bm_webhook, bm_webhook_internal TO bm_regress_reader;
GRANT SELECT ON bm_webhook.message_state, bm_webhook.message_rate, bm_webhook.delivery_rate TO bm_regress_reader;
GRANT EXECUTE ON FUNCTION bm_webhook.message_rate, bm_webhook.delivery_rate, bm_webhook.message_history,
	bm_webhook.uuid_floor, bm_webhook.uuid_time TO bm_regress_reader;
SET ROLE bm_regress_reader;
\set VERBOSITY terse
SELECT count(*) FROM bm_webhook.message_state;
SELECT count(*) FROM bm_webhook.message_rate;
SELECT count(*) FROM bm_webhook.delivery_rate;
SELECT count(*) FROM bm_webhook.message_history('m1');
\set VERBOSITY default
RESET ROLE;
GRANT SELECT ON bm_webhook.event, bm_webhook.delivery, bm_webhook.failed_attempt, bm_webhook.redelivery TO bm_regress_reader;
GRANT SELECT (id, application, url) ON bm_webhook.endpoint TO bm_regress_reader;
GRANT SELECT (name, owner) ON bm_webhook.application TO bm_regress_reader;
SET ROLE bm_regress_reader;
SELECT (SELECT count(*) FROM bm_webhook.message_state) AS message_state, (SELECT count(*) FROM bm_webhook.message_rate) AS message_rate,
	(SELECT count(*) FROM bm_webhook.delivery_rate) AS delivery_rate;
SELECT count(*), count(url) AS urls_of_other_applications FROM bm_webhook.message_history('m1');
RESET ROLE;
DROP OWNED BY bm_regress_reader;
DROP ROLE bm_regress_reader;
DROP VIEW one_by_one;
DROP TABLE made;
DROP FUNCTION made_id, deliver, fail;
DELETE FROM bm_webhook.endpoint;
TRUNCATE bm_webhook.event, bm_webhook.delivery, bm_webhook.failed_attempt;

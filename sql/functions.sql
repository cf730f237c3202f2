-- Signatures (vector of the Standard Webhooks specification), schedules, patterns, ids.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS bm_webhook;
RESET client_min_messages;
\set secret '''whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'''
\set body '''{"test": 2432232314}'''
SELECT bm_webhook.sign(:secret, 'msg_p5jXN8AQM9LWM0D4loKWxJek', to_timestamp(1614265330), convert_to(:body, 'UTF8'));
-- parts of a second do not matter
SELECT bm_webhook.sign(:secret, 'msg_p5jXN8AQM9LWM0D4loKWxJek', to_timestamp(1614265330.9), convert_to(:body, 'UTF8'));
SELECT bm_webhook.sign('whsec_tooshort', 'a', now(), '');
SELECT bm_webhook.sign('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'a', now(), '');
SELECT bm_webhook.sign(:secret, 'a', 'infinity', '');
-- verify: of now, in any case; too old; tampered with; missing, doubled or malformed headers
CREATE FUNCTION headers(at timestamptz, body text, id_name text = 'webhook-id') RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object(id_name, 'msg_1', 'Webhook-Timestamp', extract(epoch FROM date_trunc('second', at))::bigint::text,
		'WEBHOOK-SIGNATURE', 'v1a,xx ' || bm_webhook.sign('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'msg_1', at, convert_to(body, 'UTF8')))
$$;
SELECT what, bm_webhook.verify(h, convert_to('{}', 'UTF8'), :secret) AS verified FROM (VALUES
	(1, 'of now', headers(now(), '{}')),
	(2, 'name in capitals', headers(now(), '{}', 'WebHook-ID')),
	(3, 'six minutes old', headers(now() - '6 min'::interval, '{}')),
	(4, 'six minutes ahead', headers(now() + '6 min'::interval, '{}')),
	(5, 'another body', headers(now(), '{ }')),
	(6, 'no id', headers(now(), '{}', 'x')),
	(7, 'id twice', headers(now(), '{}') || '{"Webhook-Id": "msg_1"}'),
	(8, 'id no text', headers(now(), '{}') || '{"webhook-id": 1}'),
	(9, 'bad timestamp', headers(now(), '{}') || '{"Webhook-Timestamp": "1e9"}'),
	(10, 'bad signature', headers(now(), '{}') || '{"WEBHOOK-SIGNATURE": "v1,"}'),
	(11, 'no object', '[]'),
	(12, 'empty', '{}')) AS t (n, what, h) ORDER BY n;
SELECT bm_webhook.verify(headers(now() - '6 min'::interval, '{}'), convert_to('{}', 'UTF8'), :secret, '10 min');
-- null is not verified, and not null either
SELECT bm_webhook.verify(h, b, s, t) AS bytes, bm_webhook.verify(h, convert_from(b, 'UTF8'), s, t) AS text FROM (VALUES
	(1, headers(now(), '{}'), '{}'::bytea, :secret, '5 min'::interval), (2, NULL, '{}', :secret, '5 min'), (3, headers(now(), '{}'), NULL, :secret, '5 min'),
	(4, headers(now(), '{}'), '{}', NULL, '5 min'), (5, headers(now(), '{}'), '{}', :secret, NULL), (6, NULL, NULL, NULL, NULL)) AS t (n, h, b, s, t) ORDER BY n;
-- the parts of what is signed cannot be shifted: an id has no period
SELECT bm_webhook.sign(:secret, 'a.1', now(), '');
SELECT bm_webhook.verify(jsonb_build_object('webhook-id', 'a.' || t, 'webhook-timestamp', t, 'webhook-signature',
	bm_webhook.sign(:secret, 'a', to_timestamp(t::bigint), convert_to(t || '.X', 'UTF8'))), 'X', :secret) AS shifted
FROM (SELECT extract(epoch FROM now())::bigint::text) AS t (t);
SELECT bm_webhook.verify('{}', '', 'whsec_', '10 min');
SELECT bm_webhook.verify('{}', '', :secret, '-1 s');
-- schedules
SELECT bm_webhook.exponential_backoff('1 s', 2, '10 s', 6);
SELECT bm_webhook.exponential_backoff('5 s', 10, '1 day', 5);
SELECT bm_webhook.exponential_backoff('5 s', 10, '1 day', 1);
SELECT bm_webhook.exponential_backoff('0 s', 2, '10 s', 6);
SELECT bm_webhook.exponential_backoff('1 s', 0.5, '10 s', 6);
SELECT bm_webhook.exponential_backoff('1 s', 'NaN', '10 s', 6);
SELECT bm_webhook.exponential_backoff('1 s', 2, '31 days', 6);
SELECT bm_webhook.exponential_backoff('1 s', 2, '10 s', 1000);
SELECT bm_webhook.exponential_backoff('-1 s', 2, '10 s', 3);
-- patterns
SELECT patterns, type, bm_webhook_internal.matches(patterns, type) FROM (VALUES
	('{*}'::text[], 'message.sent'), ('{message.*}', 'message.sent'), ('{message.*}', 'message.a.b'),
	('{message.*}', 'messages.sent'), ('{message.sent}', 'message.sent'), ('{message.sent}', 'message.sent.x'),
	('{a.b,message.*}', 'message.sent'), ('{}', 'message.sent'), ('{NULL}', 'message.sent'),
	('{mess*}', 'message.sent'), ('{*}', 'message')) AS t (patterns, type);
-- ids
SELECT bm_webhook.uuid_floor('2026-11-23 00:00:00+00'), bm_webhook.uuid_time(bm_webhook.uuid_floor('2026-11-23 00:00:00+00')) = '2026-11-23 00:00:00+00' AS same;
SELECT bm_webhook.uuid_floor('1969-12-31 23:59:59+00');
SELECT bm_webhook.uuid_floor('infinity');
DROP FUNCTION headers;

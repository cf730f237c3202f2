-- Endpoints: defaults, normal form, every bad input.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS bm_webhook;
RESET client_min_messages;
SET timezone = 'UTC';
CREATE FUNCTION attempt(statement text) RETURNS TABLE (state text, message text, detail text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN QUERY SELECT '00000', 'ok', '';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
	RETURN NEXT;
END
$$;
INSERT INTO bm_webhook.endpoint (url, enabled) VALUES ('HTTPS://Example.COM:443', false) RETURNING id AS plain \gset
\pset expanded on
SELECT application, channel, event_types, url, description, enabled, headers, timeout, max_in_flight, retry_delays, metadata,
	created_at = updated_at OR updated_at > created_at AS times, failing_since, disabled_at IS NOT NULL AS disabled, disabled_reason
FROM bm_webhook.endpoint JOIN bm_webhook.endpoint_state ON endpoint_id = id WHERE id = :plain;
\pset expanded off
-- it got a secret of 32 bytes
SELECT count(*), bool_and(secret ~ '^whsec_[A-Za-z0-9+/]{43}=$') FROM bm_webhook.endpoint_secret WHERE endpoint_id = :plain;
SELECT bm_webhook.secret(:plain) = secret AS newest FROM bm_webhook.endpoint_secret WHERE endpoint_id = :plain;
SELECT bm_webhook.secret(-1);
-- URLs
SELECT u AS url, a.* FROM unnest(ARRAY[
	NULL, '', 'example.com', 'ftp://example.com/', 'https://', 'https://user:pass@example.com/', 'https://example.com/#x',
	'https://example.com/a b', 'https://example.com\@evil.com/', 'https://localhost/', 'https://a.localhost/', 'https://intranet/',
	'https://10.0.0.1/', 'https://169.254.169.254/latest', 'https://[::1]/', 'https://[::ffff:10.0.0.1]/', 'https://[fe80::1%25eth0]/',
	'https://127.1/', 'https://0x7f000001/', 'https://0177.0.0.1/', 'https://2130706433/', 'https://1.2.3.4.5/', 'https:/example.com/', 'https:///example.com/',
	'https://example.com:22/', 'https://example.com:0/', 'https://example.com:65536/', 'https://exämple.com/', E'https://example.com/\r\nx',
	'http://127.0.0.1:8080/hook']) u,
	attempt(format('INSERT INTO bm_webhook.endpoint (url, enabled) VALUES (%L, false)', u)) a;
SELECT a.* FROM attempt(format('INSERT INTO bm_webhook.endpoint (url, enabled) VALUES (%L, false)', 'https://example.com/' || repeat('x', 2048))) a;
-- everything else; never a value in the message
SELECT c AS "column", v AS value, a.* FROM (VALUES
	('channel', 'SMS'), ('channel', ''), ('channel', repeat('x', 33)), ('channel', 'sms'),
	('application', 'nobody'),
	('event_types', '{}'), ('event_types', '{NULL}'), ('event_types', '{message.sent,"a b"}'), ('event_types', NULL), ('event_types', '{message.*}'),
	('headers', NULL), ('headers', '[]'), ('headers', '"x"'), ('headers', '{"x": 1}'), ('headers', '{"x": null}'), ('headers', '{"x": {}}'),
	('headers', '{"": "a"}'), ('headers', '{"a b": "c"}'), ('headers', '{"Host": "c"}'), ('headers', '{"Webhook-Id": "c"}'), ('headers', '{"User-Agent": "c"}'),
	('headers', '{"x": "a\r\nb: c"}'), ('headers', '{"x": " a"}'), ('headers', '{"X-A": "1", "x-a": "2"}'), ('headers', '{"authorization": "Bearer x"}'),
	('timeout', NULL), ('timeout', '0'), ('timeout', '-1 s'), ('timeout', '9 ms'), ('timeout', '5 min 1 us'), ('timeout', '1 mon'), ('timeout', 'abc'), ('timeout', '10 ms'),
	('timeout', '178000000 years'),
	('max_in_flight', NULL), ('max_in_flight', '0'), ('max_in_flight', '5001'), ('max_in_flight', '5000'),
	('rate_limit', '0'), ('rate_limit', '10001'), ('rate_limit', '10000'), ('rate_burst', '5'),
	('retry_delays', NULL), ('retry_delays', '{1 s,NULL}'), ('retry_delays', '{-1 s}'), ('retry_delays', '{31 days}'), ('retry_delays', '{{1 s},{2 s}}'),
	('retry_delays', '{}'), ('retry_delays', '{0 s,30 days}'),
	('ordering', NULL), ('ordering', 'x'), ('ordering', 'by_message'),
	('metadata', NULL), ('metadata', '1'), ('metadata', '[]')) AS t (c, v),
	attempt(format('INSERT INTO bm_webhook.endpoint (url, enabled, %I) VALUES (%L, %s, %L)', c, 'https://example.com/', 'false', v)) a;
SELECT a.* FROM attempt('INSERT INTO bm_webhook.endpoint (url, enabled) VALUES (''https://example.com/'', NULL)') a;
SELECT n AS headers, a.* FROM (VALUES (64), (65)) AS t (n), attempt(format(
	'INSERT INTO bm_webhook.endpoint (url, enabled, headers) SELECT ''https://example.com/'', false, jsonb_object_agg(''x-'' || g, ''v'') FROM generate_series(1, %s) g', n)) a;
SELECT n AS bytes, a.* FROM (VALUES (8100), (8200)) AS t (n), attempt(format(
	'INSERT INTO bm_webhook.endpoint (url, enabled, headers) SELECT ''https://example.com/'', false, jsonb_build_object(''x'', repeat(''v'', %s))', n)) a;
SELECT n AS delays, a.* FROM (VALUES (100), (101)) AS t (n), attempt(format(
	'INSERT INTO bm_webhook.endpoint (url, enabled, retry_delays) SELECT ''https://example.com/'', false, array_agg(interval ''1 s'') FROM generate_series(1, %s) g', n)) a;
SELECT n AS patterns, a.* FROM (VALUES (100), (101)) AS t (n), attempt(format(
	'INSERT INTO bm_webhook.endpoint (url, enabled, event_types) SELECT ''https://example.com/'', false, array_agg(''message.*''::text) FROM generate_series(1, %s) g', n)) a;
-- intervals have one exact form, whatever they were made of
INSERT INTO bm_webhook.endpoint (url, enabled, timeout, retry_delays) VALUES
	('https://example.com/', false, '1200 months -36000 days 1 s', '{1200 months -35999 days,1 month,1 day 1 s,1 day -1 s}')
	RETURNING timeout, retry_delays, extract(epoch FROM timeout) AS seconds;
-- headers of HTTP itself, of one connection, of proxies, of content
SELECT h AS header, a.state, a.message FROM unnest('{Host,TE,Trailer,Upgrade,Keep-Alive,Proxy-Connection,Proxy-Authorization,Accept-Encoding,Content-Encoding,Transfer-Encoding,HTTP2-Settings,Accept,Content}'::text[]) h,
	attempt(format('INSERT INTO bm_webhook.endpoint (url, enabled, headers) VALUES (%L, false, %L)', 'https://example.com/', jsonb_build_object(h, 'x'))) a;
-- id and created_at stay
SELECT a.* FROM attempt(format('UPDATE bm_webhook.endpoint SET id = DEFAULT WHERE id = %s', :plain)) a;
BEGIN;
UPDATE bm_webhook.endpoint SET created_at = 'infinity', description = 'x' WHERE id = :plain
	RETURNING isfinite(created_at) AS kept, updated_at > created_at AS updated;
COMMIT;
-- disabling and enabling
UPDATE bm_webhook.endpoint_state SET disabled_reason = 'gone', failing_since = now() WHERE endpoint_id = :plain RETURNING disabled_at IS NOT NULL AS disabled, disabled_reason;
UPDATE bm_webhook.endpoint SET enabled = true WHERE id = :plain;
SELECT enabled, disabled_at, disabled_reason, failing_since FROM bm_webhook.endpoint JOIN bm_webhook.endpoint_state ON endpoint_id = id WHERE id = :plain;
UPDATE bm_webhook.endpoint SET description = 'x' WHERE id = :plain;
UPDATE bm_webhook.endpoint SET enabled = false WHERE id = :plain;
SELECT enabled, disabled_at IS NOT NULL AS disabled, disabled_reason FROM bm_webhook.endpoint JOIN bm_webhook.endpoint_state ON endpoint_id = id WHERE id = :plain;
-- a URL that settings no longer allow can still be disabled, but not written again
ALTER SYSTEM SET bm_webhook.allowed_networks = '';
SELECT pg_reload_conf();
SELECT pg_sleep(0.3);
UPDATE bm_webhook.endpoint SET enabled = false WHERE url LIKE 'http://127%' RETURNING url;
UPDATE bm_webhook.endpoint SET url = url || '2' WHERE url LIKE 'http://127%';
ALTER SYSTEM RESET bm_webhook.allowed_networks;
SELECT pg_reload_conf();
-- secrets
SELECT s AS secret, a.* FROM unnest(ARRAY[NULL, '', 'secret', 'whsec_', 'whsec_####', 'whsec_' || encode(repeat('x', 23)::bytea, 'base64'),
	'whsec_' || encode(repeat('x', 24)::bytea, 'base64')]) s,
	attempt(format('INSERT INTO bm_webhook.endpoint_secret (endpoint_id, secret) VALUES (%s, %L)', :plain, s)) a;
SELECT a.* FROM attempt('INSERT INTO bm_webhook.endpoint_secret (endpoint_id, secret) VALUES (NULL, ''x'')') a;
SELECT a.* FROM attempt('UPDATE bm_webhook.endpoint_secret SET id = DEFAULT') a;
SELECT c AS "column", v AS value, a.* FROM (VALUES ('kind', NULL), ('kind', 'ed25519'), ('kind', 'rsa'), ('expires_at', 'infinity')) AS t (c, v),
	attempt(format('INSERT INTO bm_webhook.endpoint_secret (endpoint_id, secret, %I) VALUES (%s, bm_webhook_internal.random_secret(), %L)', c, :plain, v)) a;
SELECT bm_webhook.secret(:plain) = 'whsec_' || encode(repeat('x', 24)::bytea, 'base64') AS newest;
SELECT n AS secrets, a.* FROM (VALUES (15), (1)) AS t (n), attempt(format('INSERT INTO bm_webhook.endpoint_secret (endpoint_id, secret)
	SELECT %s, bm_webhook_internal.random_secret() FROM generate_series(1, %s)', (SELECT max(id) FROM bm_webhook.endpoint), n)) a;
-- deleting by function
SELECT a.* FROM unnest('{-1,NULL}'::text[]) v, unnest('{endpoint,secret}'::text[]) f, attempt(format('SELECT bm_webhook.delete_%s(%L)', f, v)) a;
SELECT bm_webhook.delete_secret(max(id)) FROM bm_webhook.endpoint_secret WHERE endpoint_id = :plain;
SELECT bm_webhook.secret(:plain) = 'whsec_' || encode(repeat('x', 24)::bytea, 'base64') AS newest;
SELECT bm_webhook.delete_endpoint(:plain);
SELECT count(*) FROM bm_webhook.endpoint_secret WHERE endpoint_id = :plain;
-- what the log has something of stays, marked and erased
INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('other');
INSERT INTO bm_webhook.endpoint (application, event_types, url, headers, description, created_at)
	SELECT 'shop', '{message.sent}', 'https://example.com/?key=1', '{"authorization": "Bearer x"}', what, '2020-01-01'
	FROM unnest('{nothing,ping,delivery,redelivery,set_aside}'::text[]) what;
SELECT count(bm_webhook.ping(id)) FROM bm_webhook.endpoint WHERE description = 'ping';
INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts)
	SELECT '01990f3c-5d1a-7c3e-8f00-0242ac120002', id, 'delivered', 1 FROM bm_webhook.endpoint WHERE description = 'delivery';
INSERT INTO bm_webhook.redelivery (event_id, endpoint_id, status, attempts)
	SELECT '01990f3c-5d1a-7c3e-8f00-0242ac120002', id, 'delivered', 1 FROM bm_webhook.endpoint WHERE description = 'redelivery';
INSERT INTO bm_webhook.set_aside (event_id, endpoint_id, cause, sqlstate, status, attempts, is_failed_attempt, is_exhausted)
	SELECT '01990f3c-5d1a-7c3e-8f00-0242ac120002', id, '', '23514', 'delivered', 1, false, false FROM bm_webhook.endpoint WHERE description = 'set_aside';
SELECT bm_webhook.delete_endpoint(id) FROM bm_webhook.endpoint WHERE application = 'shop';
SELECT description, url, headers, enabled, deleted_at IS NOT NULL AS deleted, created_at FROM bm_webhook.endpoint WHERE application = 'shop' ORDER BY id;
SELECT count(*) FROM bm_webhook.endpoint_secret s JOIN bm_webhook.endpoint e ON e.id = s.endpoint_id WHERE e.deleted_at IS NOT NULL;
SELECT count(*) FROM bm_webhook.backlog WHERE application = 'shop';
SELECT id AS gone FROM bm_webhook.endpoint WHERE description = 'delivery' \gset
SELECT state, replace(message, :'gone', 'n') AS message FROM unnest('{delete_endpoint,secret,ping}'::text[]) f, attempt(format('SELECT bm_webhook.%I(%s)', f, :gone));
-- who changes all his endpoints does not change it
WITH changed AS (UPDATE bm_webhook.endpoint SET enabled = true, url = 'https://example.com/', deleted_at = NULL WHERE application = 'shop' RETURNING 1) SELECT count(*) FROM changed;
SELECT count(*) FROM bm_webhook.endpoint WHERE application = 'shop' AND (enabled OR url IS NOT NULL);
SELECT a.* FROM attempt('INSERT INTO bm_webhook.endpoint (application) VALUES (''shop'')') a;
-- a dump brings it back as it was
INSERT INTO bm_webhook.endpoint (description, deleted_at) VALUES ('restored', '2025-01-01') RETURNING url, enabled, deleted_at;
SELECT count(*) FROM bm_webhook.endpoint_secret s JOIN bm_webhook.endpoint e ON e.id = s.endpoint_id WHERE description = 'restored';
-- applications
CREATE ROLE bm_regress_other;
SELECT a.* FROM unnest('{NULL,nobody,other,shop,shop}'::text[]) v, attempt(format('SELECT bm_webhook.delete_application(%L)', v)) a;
SELECT name, deleted_at IS NOT NULL AS deleted FROM bm_webhook.application ORDER BY name;
SELECT a.state, a.message FROM unnest('{"UPDATE bm_webhook.application SET owner = ''bm_regress_other''","UPDATE bm_webhook.application SET name = ''shop2''",
	"INSERT INTO bm_webhook.application (name) VALUES (''shop'')","DELETE FROM bm_webhook.application"}'::text[]) s, attempt(s) a;
DROP ROLE bm_regress_other;
-- who may DELETE, removes all the same
DELETE FROM bm_webhook.endpoint WHERE application = 'shop';
DELETE FROM bm_webhook.application;
TRUNCATE bm_webhook.event, bm_webhook.delivery, bm_webhook.redelivery, bm_webhook.set_aside;
-- trigger functions are for their triggers
SELECT a.* FROM unnest('{_internal.check_application,_internal.check_endpoint,_internal.check_endpoint_secret,_internal.endpoint_changed,_internal.make_endpoint_secret,.capture}'::text[]) f, attempt(format('SELECT bm_webhook%s()', f)) a;
DELETE FROM bm_webhook.endpoint;
SELECT count(*) FROM bm_webhook.endpoint_secret;
SELECT count(*) FROM bm_webhook.endpoint_state;
DROP FUNCTION attempt;

-- what an administrator can change is named
INSERT INTO bm_webhook.endpoint (url) VALUES ('https://localhost/');

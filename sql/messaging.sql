-- Messages: event types with schemas, message_status() and its sisters, status_map, patterns.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS bm_webhook;
RESET client_min_messages;
SET timezone = 'Asia/Kathmandu';
\set SHOW_CONTEXT never
CREATE FUNCTION attempt(statement text) RETURNS TABLE (state text, message text, hint text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN QUERY SELECT '00000', 'ok', '';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
	RETURN NEXT;
END
$$;
-- the types that are documented: each with a schema of the whole body, and an example
SELECT name, description, schema -> 'required' AS required, schema #> '{properties,data,required}' AS data_required,
	example ?& ARRAY(SELECT jsonb_array_elements_text(schema -> 'required'))
		AND example -> 'data' ?& ARRAY(SELECT jsonb_array_elements_text(schema #> '{properties,data,required}')) AS example_has_them,
	schema #>> '{properties,type,const}' = name AND example ->> 'type' = name AS named
FROM bm_webhook.event_type WHERE name ~ '^(message|webhook|endpoint|delivery)\.' ORDER BY name;
SELECT name, array_agg(field ORDER BY field) AS data_fields
FROM bm_webhook.event_type, jsonb_object_keys(schema #> '{properties,data,properties}') field
WHERE name ~ '^message\.' GROUP BY name ORDER BY name;
-- each status has a type of its own, in the order of the ranks; what has no rank is none
SELECT array_agg(bm_webhook_internal.message_state(rank) || '=' || rank ORDER BY rank) AS ranks, bool_and(e.name IS NOT NULL) AS documented
FROM unnest(bm_webhook_internal.message_types()) t (name) JOIN LATERAL bm_webhook_internal.message_rank(t.name) rank ON true LEFT JOIN bm_webhook.event_type e USING (name);
SELECT bm_webhook_internal.message_rank('message.received') AS received, bm_webhook_internal.message_rank('sent') AS no_type, bm_webhook_internal.message_state(0) AS none, bm_webhook_internal.message_state(8) AS beyond;
-- one schema in full
SELECT jsonb_pretty(schema) AS schema FROM bm_webhook.event_type WHERE name = 'message.received';
-- users add their own
INSERT INTO bm_webhook.event_type (name, description) VALUES ('order.paid', 'an order was paid');

-- status_map
SELECT provider, status, array_agg(provider_status ORDER BY provider_status) AS provider_status
FROM bm_webhook.status_map GROUP BY provider, status ORDER BY provider, status;
SELECT a.*, v AS statement FROM (VALUES
	(1, $$INSERT INTO bm_webhook.status_map VALUES ('acme', 'DLVRD', 'delivered')$$), (2, $$INSERT INTO bm_webhook.status_map VALUES ('acme', 'dlvrd', 'done')$$),
	(3, $$INSERT INTO bm_webhook.status_map VALUES ('Acme', 'dlvrd', 'delivered')$$), (4, $$INSERT INTO bm_webhook.status_map VALUES ('acme', NULL, 'delivered')$$),
	(5, $$INSERT INTO bm_webhook.status_map VALUES ('acme', 'dlvrd', 'delivered')$$), (6, $$INSERT INTO bm_webhook.status_map VALUES ('acme', 'dlvrd', 'sent')$$),
	(7, $$INSERT INTO bm_webhook.status_map VALUES ('acme', '', 'sent')$$)) AS t (n, v), attempt(v) a ORDER BY n;
-- what a user changes is the user's, and is dumped
INSERT INTO bm_webhook.status_map VALUES ('vonage', 'submitted', 'accepted');
UPDATE bm_webhook.status_map SET status = 'canceled' WHERE provider = 'rbm' AND provider_status = 'ttl_expiration_revoked';
SELECT * FROM bm_webhook.status_map WHERE NOT shipped ORDER BY 1, 2;
SELECT c.conf AS dumped FROM pg_extension e, unnest(e.extconfig, e.extcondition) AS c (rel, conf)
WHERE e.extname = 'bm_webhook' AND c.rel = 'bm_webhook.status_map'::regclass;

-- message_status(): all fields, and as few as possible
BEGIN;
SELECT bm_webhook.message_status('sent', 'shop', 'sms', 'm-1', '+33123456789', '+33698765432') AS few \gset
SELECT bm_webhook.message_status('undelivered', 'shop', 'whatsapp', 'm-1', sender => 'ACME & Co', recipient => '+33698765432',
	occurred_at => '2026-08-07 09:12:03.25+02', provider => 'Twilio', provider_message_id => 'SM1', client_ref => 'order-4411', conversation_id => 'c-1',
	content => '{"type": "image", "media": [{"url": "https://example.com/a.jpg", "mime_type": "image/jpeg", "size": 1000}], "text": "Ä"}', segments => 2,
	price => '{"amount": "-0.0075", "currency": "EUR", "billable": true}',
	error => '{"code": "undeliverable", "title": "Message undeliverable", "permanent": true, "provider_code": "30003"}',
	metadata => '{"campaign": "spring", "batch": "7"}', sender_name => 'Shop', recipient_name => 'Ana') AS full \gset
SELECT bm_webhook.message_received('{"type": "text", "text": "Merci !"}', 'shop', 'rcs', 'm-2', 'ana_agent@rbm.goog', '12345',
	occurred_at => '2026-08-07 09:15:39+00', context => '{"message_id": "m-1"}', metadata => '{}', sender_name => 'Ana') AS received \gset
SELECT bm_webhook.message_clicked('{"id": "yes", "text": "Yes"}', NULL, 'rcs', 'm-1', '+33698765432', 'ACME', occurred_at => '2026-08-07 09:15:39+00') AS clicked \gset
SELECT type, application, channel, message_id, occurred_at = created_at AS at_capture, data->>'direction' AS direction, data->>'status' AS status,
	data->'from' AS sender, data->'to' AS recipient,
	(data->>'occurred_at')::timestamptz = occurred_at AND data->>'occurred_at' ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$' AS same_time,
	(SELECT count(*) FROM json_object_keys(data)) AS fields
FROM bm_webhook.event WHERE id IN (:'few', :'full', :'received', :'clicked') ORDER BY id;
\pset format unaligned
SELECT jsonb_pretty(data::jsonb) AS data FROM bm_webhook.event WHERE id = :'full';
SELECT jsonb_pretty(data::jsonb) AS data FROM bm_webhook.event WHERE id = :'received';
SELECT jsonb_pretty(data::jsonb) AS data FROM bm_webhook.event WHERE id = :'clicked';
\pset format aligned
SELECT array_agg(DISTINCT reply_to) AS reply_to FROM bm_webhook.event WHERE id IN (:'few', :'full', :'received', :'clicked');
ROLLBACK;
-- until when it is worth sending
SELECT bm_webhook.message_status('sent', NULL, 'rcs', 'm-1', 'ACME', '+33698765432', expires_at => '2030-01-01 00:00:00 UTC') AS limited \gset
SELECT expires_at FROM bm_webhook.event WHERE id = :'limited';
SELECT bm_webhook.message_status('sent', NULL, 'rcs', 'm-1', 'ACME', '+33698765432', expires_at => '-infinity');
-- a call that is made again: the time of the call is no difference
BEGIN;
SELECT bm_webhook.message_clicked('{"id": "yes"}', 'shop', 'rcs', 'm-1', '+33698765432', 'ACME', idempotency_key => 'k') AS first \gset
SELECT bm_webhook.message_clicked('{"id": "yes"}', 'shop', 'rcs', 'm-1', '+33698765432', 'ACME', idempotency_key => 'k') = :'first' AS same;
SELECT bm_webhook.message_clicked('{"id": "no"}', 'shop', 'rcs', 'm-1', '+33698765432', 'ACME', idempotency_key => 'k') = :'first' AS same;
SELECT bm_webhook.message_status('sent', 'shop', 'rcs', 'm-1', 'ACME', '+33698765432', idempotency_key => 'k') = :'first' AS same;
SELECT bm_webhook.message_received('{"type": "text", "text": "hello"}', 'shop', 'rcs', 'm-1', 'ACME', '+33698765432', idempotency_key => 'k2') <> :'first' AS other;
SELECT count(*) FROM bm_webhook.event WHERE application = 'shop' AND message_id = 'm-1';
ROLLBACK;
-- every status, ours and the providers'
BEGIN;
SELECT count(bm_webhook.message_status(s, NULL, 'sms', 'm', '+33123456789', '+33698765432',
	error => CASE WHEN s IN ('failed', 'expired') THEN '{"code": "x", "title": "X", "permanent": false}'::jsonb END))
FROM unnest('{accepted,sent,delivered,read,failed,expired,canceled}'::text[]) s;
SELECT m.provider, upper(m.provider_status) AS provider_status, a.state, a.message FROM bm_webhook.status_map m,
	attempt(format('SELECT bm_webhook.message_status(%L, NULL, %L, %L, %L, %L, provider => %L, error => %L)', upper(provider_status), 'sms', 'm', '+33123456789', '+33698765432', provider,
		CASE WHEN status IN ('failed', 'expired') THEN '{"code": "x", "title": "X", "permanent": false}' END)) a
WHERE a.state <> '00000' ORDER BY 1, 2;
ROLLBACK;

-- what is refused, and what is just accepted
\pset format unaligned
CREATE TEMP TABLE base (function text, argument text, value text);
INSERT INTO base VALUES
	('status', 'application', $$'shop'$$), ('status', 'channel', $$'sms'$$), ('status', 'message_id', $$'m-1'$$), ('status', 'status', $$'sent'$$),
	('status', 'sender', $$'+33123456789'$$), ('status', 'recipient', $$'+33698765432'$$),
	('received', 'application', $$'shop'$$), ('received', 'channel', $$'sms'$$), ('received', 'message_id', $$'m-1'$$),
	('received', 'sender', $$'+33123456789'$$), ('received', 'content', $$'{"type": "text", "text": "Hi"}'$$), ('received', 'recipient', $$'+33698765432'$$),
	('clicked', 'application', $$'shop'$$), ('clicked', 'channel', $$'sms'$$), ('clicked', 'message_id', $$'m-1'$$),
	('clicked', 'sender', $$'+33123456789'$$), ('clicked', 'button', $$'{"id": "yes"}'$$), ('clicked', 'recipient', $$'+33698765432'$$);
CREATE FUNCTION call(function text, changes jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT format('SELECT bm_webhook.message_%s(%s)', function, string_agg(format('%s => %s', argument, value), ', ' ORDER BY argument))
	FROM (SELECT b.argument, coalesce(changes ->> b.argument, b.value) AS value FROM base b WHERE b.function = call.function
		UNION SELECT c.key, c.value FROM jsonb_each_text(changes) c) v
$$;
SELECT t.f AS function, a.*, left(t.argument || ' => ' || t.value, 150) AS with FROM (
	SELECT n, f, argument, value FROM (VALUES
	(1, 'status', 'application', $$NULL$$), (2, 'status', 'application', $$''$$), (3, 'status', 'application', $$repeat('x', 129)$$),
	(4, 'status', 'channel', $$NULL$$), (5, 'status', 'channel', $$'SMS'$$), (6, 'status', 'channel', $$'pigeon-post'$$),
	(7, 'status', 'message_id', $$NULL$$), (8, 'status', 'message_id', $$''$$), (9, 'status', 'message_id', $$repeat('x', 129)$$),
	(10, 'status', 'status', $$NULL$$), (11, 'status', 'status', $$''$$), (12, 'status', 'status', $$'Sent'$$), (13, 'status', 'status', $$'received'$$), (14, 'status', 'status', $$'clicked'$$),
	(15, 'status', 'status', $$'failed'$$), (16, 'status', 'status', $$'expired'$$),
	(17, 'status', 'provider', $$'twilio'$$), (18, 'status', 'provider', $$'nobody'$$), (19, 'status', 'provider', $$'sinch'$$),
	(20, 'status', 'sender', $$NULL$$), (21, 'status', 'recipient', $$NULL$$), (22, 'status', 'sender', $$''$$), (23, 'status', 'sender', $$'+0123456789'$$), (24, 'status', 'sender', $$'+33 1 23 45'$$),
	(25, 'status', 'recipient', $$'33123456789'$$), (26, 'status', 'recipient', $$'+1234567890123456'$$), (27, 'status', 'recipient', $$'whatsapp:+33123456789'$$), (33, 'status', 'recipient', $$'sms:+33123456789'$$), (34, 'status', 'sender', $$'sms:'$$), (35, 'received', 'sender', $$'sms:sms:+33123456789'$$), (28, 'status', 'recipient', $$repeat('x', 129)$$),
	(29, 'status', 'sender', $$'12345'$$), (30, 'status', 'sender', $$'3Mobile'$$), (31, 'status', 'sender', $$E'a\nb'$$), (32, 'status', 'sender', $$'x '$$),
	(40, 'status', 'occurred_at', $$'infinity'$$), (41, 'status', 'occurred_at', $$'0044-03-15 BC'$$), (42, 'status', 'occurred_at', $$'10000-01-01 00:00+00'$$), (43, 'status', 'occurred_at', $$'0001-01-01 00:00+00'$$),
	(50, 'status', 'client_ref', $$''$$), (51, 'status', 'client_ref', $$repeat('ä', 257)$$), (52, 'status', 'client_ref', $$repeat('ä', 256)$$), (53, 'status', 'provider_message_id', $$''$$), (54, 'status', 'conversation_id', $$E'\t'$$),
	(55, 'status', 'sender_name', $$''$$), (56, 'status', 'recipient_name', $$repeat('x', 257)$$),
	(60, 'status', 'segments', $$0$$), (61, 'status', 'segments', $$-1$$), (62, 'status', 'segments', $$1$$),
	(70, 'status', 'price', $$'1'$$), (71, 'status', 'price', $$'{"amount": 1, "currency": "EUR"}'$$), (72, 'status', 'price', $$'{"amount": "1,5", "currency": "EUR"}'$$), (73, 'status', 'price', $$'{"amount": "1"}'$$),
	(74, 'status', 'price', $$'{"amount": "1", "currency": "eur"}'$$), (75, 'status', 'price', $$'{"amount": "1", "currency": "EUR", "vat": "0"}'$$), (76, 'status', 'price', $$'{"amount": "1e3", "currency": "EUR"}'$$), (77, 'status', 'price', $$'null'$$),
	(80, 'status', 'error', $$'{"code": "x", "title": "X", "permanent": true}'$$), (81, 'status', 'error', $$'null'$$),
	(90, 'status', 'metadata', $$'[]'$$), (91, 'status', 'metadata', $$'{"a": 1}'$$), (92, 'status', 'metadata', $$'{"a": null}'$$), (93, 'status', 'metadata', $$'{"a": ["b"]}'$$), (94, 'status', 'metadata', $$'"a"'$$),
	(95, 'status', 'metadata', $$(SELECT jsonb_object_agg('k' || i, '') FROM generate_series(1, 17) i)$$), (96, 'status', 'metadata', $$(SELECT jsonb_object_agg('k' || i, '') FROM generate_series(1, 16) i)$$),
	(97, 'status', 'metadata', $$jsonb_build_object('a', repeat('x', 5000))$$),
	(100, 'received', 'content', $$NULL$$), (101, 'received', 'content', $$'null'$$), (102, 'received', 'content', $$'"Hi"'$$), (103, 'received', 'content', $$'{}'$$), (104, 'received', 'content', $$'{"type": 1}'$$),
	(105, 'received', 'content', $$'{"type": "song"}'$$), (106, 'received', 'content', $$'{"type": "text"}'$$), (107, 'received', 'content', $$'{"type": "text", "text": ""}'$$), (108, 'received', 'content', $$'{"type": "text", "body": "Hi"}'$$),
	(109, 'received', 'content', $$jsonb_build_object('type', 'text', 'text', repeat('x', 4097))$$), (110, 'received', 'content', $$jsonb_build_object('type', 'text', 'text', repeat('ä', 4096))$$),
	(111, 'received', 'content', $$jsonb_build_object('type', 'contact', 'contact', jsonb_build_object('x', repeat('x', 12288)))$$), (112, 'received', 'content', $$'{"type": "contact", "contact": {"name": "Ana"}}'$$),
	(113, 'received', 'content', $$'{"type": "image"}'$$), (114, 'received', 'content', $$'{"type": "image", "media": []}'$$), (115, 'received', 'content', $$'{"type": "image", "media": ["x"]}'$$), (116, 'received', 'content', $$'{"type": "image", "media": [{"url": "https://example.com/x"}]}'$$),
	(117, 'received', 'content', $$'{"type": "image", "media": [{"url": "file:///etc/passwd", "mime_type": "text/plain"}]}'$$), (118, 'received', 'content', $$'{"type": "image", "media": [{"url": "https://example.com/x", "mime_type": "jpeg"}]}'$$),
	(119, 'received', 'content', $$'{"type": "image", "media": [{"url": "https://example.com/x", "mime_type": "image/jpeg", "size": 1.5}]}'$$),
	(120, 'received', 'content', $$'{"type": "audio", "media": [{"url": "https://example.com/x", "mime_type": "audio/ogg; codecs=opus", "size": 3, "sha256": "00", "caption": "x"}]}'$$),
	(121, 'received', 'content', $$'{"type": "location", "location": {"latitude": 91, "longitude": 0}}'$$), (122, 'received', 'content', $$'{"type": "location", "location": {"latitude": -48.85, "longitude": 2.35, "name": "Paris"}}'$$), (123, 'received', 'content', $$'{"type": "location", "location": {"latitude": "1", "longitude": 2}}'$$),
	(124, 'received', 'content', $$'{"type": "button", "button": {"text": "Yes"}}'$$), (125, 'received', 'content', $$'{"type": "button", "button": {"id": "yes"}}'$$),
	(130, 'received', 'context', $$'{}'$$), (131, 'received', 'context', $$'{"message_id": 1}'$$), (132, 'received', 'context', $$jsonb_build_object('message_id', repeat('x', 129))$$), (133, 'received', 'context', $$'{"message_id": "m", "id": "x"}'$$), (134, 'received', 'context', $$'{"message_id": "m", "provider_message_id": "x"}'$$),
	(135, 'received', 'sender', $$NULL$$), (136, 'received', 'channel', $$NULL$$),
	(140, 'clicked', 'button', $$NULL$$), (141, 'clicked', 'button', $$'{}'$$), (142, 'clicked', 'button', $$'"x"'$$), (143, 'clicked', 'message_id', $$NULL$$)) AS v (n, f, argument, value)) t,
	attempt(call(f, jsonb_build_object(argument, value))) a ORDER BY n;
SELECT a.*, left(t.error, 120) AS error FROM (VALUES
	(1, $$'"x"'$$), (2, $$'{}'$$), (3, $$'{"code": "x", "title": "X"}'$$), (4, $$'{"code": 1, "title": "X", "permanent": true}'$$), (5, $$'{"code": "", "title": "X", "permanent": true}'$$),
	(6, $$'{"code": "x", "title": "X", "permanent": "no"}'$$), (7, $$'{"code": "x", "title": "X", "permanent": true, "message": "y"}'$$), (8, $$jsonb_build_object('code', 'x', 'title', repeat('x', 4097), 'permanent', true)$$),
	(9, $$'{"code": "x", "title": "X", "permanent": true, "detail": null}'$$), (10, $$'{"code": "x", "title": "X", "permanent": true, "detail": "y", "provider_code": "z"}'$$)) AS t (n, error),
	attempt(call('status', jsonb_build_object('status', '''failed''', 'error', error))) a ORDER BY n;
\pset format aligned

-- EXECUTE on the function is all that is needed
CREATE ROLE bm_regress_sender;
GRANT USAGE ON SCHEMA bm_webhook, bm_webhook_internal TO bm_regress_sender;
GRANT EXECUTE ON FUNCTION bm_webhook.message_status TO bm_regress_sender;
SET ROLE bm_regress_sender;
SELECT state, message FROM attempt($$SELECT bm_webhook.message_status('undelivered', 'shop', 'sms', 'm-1', '+33123456789', '+33698765432', provider => 'twilio', error => '{"code": "x", "title": "X", "permanent": true}')$$);
SELECT state, message FROM attempt($$SELECT bm_webhook.emit('message.sent', '{}')$$);
RESET ROLE;
REVOKE ALL ON SCHEMA bm_webhook, bm_webhook_internal FROM bm_regress_sender;
DROP OWNED BY bm_regress_sender;
DROP ROLE bm_regress_sender;

-- patterns: unknown ones of an endpoint are accepted with a notice
INSERT INTO bm_webhook.endpoint (url, event_types, enabled) VALUES
	('https://example.com/1', '{*}', false), ('https://example.com/2', '{message.*,message.replied,order.paid,endpoint.*}', false),
	('https://example.com/3', '{message.recieved,message.sent,order.*,orders.*}', false);
UPDATE bm_webhook.endpoint SET event_types = '{message.red}' WHERE url = 'https://example.com/2';
UPDATE bm_webhook.endpoint SET enabled = false;
-- invalid ones of an application are refused
SELECT a.state, a.message, t.patterns FROM (VALUES (1, '{}'), (2, '{*}'), (3, '{message.read,message.*,a.b.*}'), (4, '{message}'), (5, '{message.read,"a b"}'), (6, '{NULL}'), (7, '{Message.read}'), (8, '{.*}'), (9, '{""}'),
	(10, '{' || repeat('a', 127) || '.b}'), (11, NULL)) AS t (n, patterns),
	attempt(format('INSERT INTO bm_webhook.application (name, muted_event_types) VALUES (%L, %L)', 'app ' || n, patterns)) a ORDER BY n;
UPDATE bm_webhook.application SET muted_event_types = '{read}' WHERE name = 'app 1';
DELETE FROM bm_webhook.endpoint;
DELETE FROM bm_webhook.application;
DELETE FROM bm_webhook.event_type WHERE name = 'order.paid';
DELETE FROM bm_webhook.status_map WHERE NOT shipped;
INSERT INTO bm_webhook.status_map VALUES ('vonage', 'submitted', 'sent', true), ('rbm', 'ttl_expiration_revoked', 'expired', true);
TRUNCATE bm_webhook.event;
DROP FUNCTION call;
DROP FUNCTION attempt;

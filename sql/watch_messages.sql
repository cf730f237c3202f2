-- watch_messages() and watch_replies(): what they send, what they refuse, and what becomes of rows that are unusable.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS bm_webhook;
RESET client_min_messages;
SET timezone = 'Asia/Kolkata';
SET datestyle = 'SQL, DMY';
\set SHOW_CONTEXT never
CREATE SCHEMA app;
CREATE FUNCTION attempt(statement text) RETURNS TABLE (state text, message text, hint text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN QUERY SELECT '00000', 'ok', '';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
	RETURN NEXT;
END
$$;
CREATE VIEW sent AS SELECT id, type, application, channel, message_id, reply_to, occurred_at, data::jsonb - 'occurred_at' AS data,
	abs(extract(epoch FROM (data->>'occurred_at')::timestamptz - occurred_at)) < 1 AS same_time FROM bm_webhook.event;

-- a table whose columns have our names: one call without a mapping
CREATE TABLE app.message (id bigint PRIMARY KEY, application text, channel text, status text, sender text, recipient text, occurred_at timestamptz,
	provider_message_id text, client_ref varchar(50), conversation_id uuid, content text, segments smallint, price jsonb, error json, metadata jsonb NOT NULL DEFAULT '{}',
	sender_name text, recipient_name text, internal text);
SELECT bm_webhook.watch_messages('app.message');
INSERT INTO app.message (id, application, channel, status, sender, recipient) VALUES (1, 'shop', 'sms', 'accepted', '+33123456789', '+33698765432');
UPDATE app.message SET internal = 'x';
UPDATE app.message SET status = 'sent', occurred_at = '2026-08-07 09:12:03+00', client_ref = 'order-4411', segments = 2, price = '{"amount": "0.01", "currency": "EUR"}';
UPDATE app.message SET status = 'failed', error = '{"code": "x", "title": "X", "permanent": false}', metadata = '{"campaign": "spring"}', sender_name = 'Shop', client_ref = '';
-- an error that is left from before does no harm
UPDATE app.message SET status = 'delivered', content = 'Hello', conversation_id = '01990f3c-5d1a-7c3e-8f00-0242ac120002', recipient_name = 'Ana', provider_message_id = 'SM1';
\pset format unaligned
SELECT type, application, channel, message_id, same_time, data FROM sent ORDER BY id;
\pset format aligned
-- the same payload as by hand
SELECT bm_webhook.message_status('delivered', 'shop', 'sms', '1', '+33123456789', '+33698765432', '2026-08-07 09:12:03+00', provider_message_id => 'SM1',
	conversation_id => '01990f3c-5d1a-7c3e-8f00-0242ac120002', content => '{"type": "text", "text": "Hello"}', segments => 2, price => '{"amount": "0.01", "currency": "EUR"}',
	metadata => '{"campaign": "spring"}', sender_name => 'Shop', recipient_name => 'Ana') AS by_hand \gset
SELECT count(*) AS events, count(DISTINCT (type, application, channel, message_id, occurred_at, data::text)) AS different FROM bm_webhook.event WHERE type = 'message.delivered';
TRUNCATE bm_webhook.event;

-- rows that are unusable are reported, and fail nobody
INSERT INTO app.message (id, application, channel, status, sender, recipient) VALUES
	(10, 'shop', NULL, 'sent', '+33123456789', '+33698765432'), (11, 'shop', 'SMS', 'sent', '+33123456789', '+33698765432'), (12, 'shop', 'sms', NULL, '+33123456789', '+33698765432'),
	(13, 'shop', 'sms', 'lost', '+33123456789', '+33698765432'), (14, 'shop', 'sms', 'received', '+33123456789', '+33698765432'), (15, 'shop', 'sms', 'sent', '33123456789', '+33698765432'),
	(16, 'shop', 'sms', 'sent', '+33123456789', NULL), (17, 'shop', 'sms', 'failed', '+33123456789', '+33698765432'), (18, NULL, 'sms', 'sent', '+33123456789', '+33698765432');
INSERT INTO app.message (id, application, channel, status, sender, recipient, occurred_at, price, metadata) VALUES
	(20, 'shop', 'sms', 'sent', '+33123456789', '+33698765432', 'infinity', NULL, '{}'), (21, 'shop', 'sms', 'sent', '+33123456789', '+33698765432', NULL, '1', '{}'), (22, 'shop', 'sms', 'sent', '+33123456789', '+33698765432', NULL, NULL, '{"a": 1}');
SELECT data->>'message_id' AS message_id, data->>'type' AS type, data->>'error' AS error FROM sent WHERE type = 'webhook.capture_failed' ORDER BY id;
SELECT message_id, application FROM sent WHERE type <> 'webhook.capture_failed';
TRUNCATE bm_webhook.event;

-- a second call replaces the mapping: a one-time code stays at home, a constant sender and a template
SELECT bm_webhook.watch_messages('app.message', application => 'bank', message_id => 'otp-{id}', sender => 'ACME', omit => '{content,metadata}');
SELECT tgname, replace(encode(tgargs, 'escape'), '\000', ' ') AS arguments FROM pg_trigger WHERE tgrelid = 'app.message'::regclass ORDER BY tgname;
SELECT p.oid::regprocedure AS function_of_ours FROM pg_proc p WHERE pronamespace = 'app'::regnamespace;
UPDATE app.message SET status = 'read', content = 'code 123456' WHERE id = 1;
SELECT type, application, message_id, data FROM sent;
SELECT count(*) AS leaked FROM bm_webhook.event WHERE data::text ~ '123456[^7]';
-- nothing depends on a watched table
DROP TABLE app.message;
TRUNCATE bm_webhook.event;

-- other names and types, the statuses of providers, at both levels
CREATE TYPE app.state AS ENUM ('queued', 'undelivered', 'SUBMITTED', 'Read', 'odd');
-- casts of the type's owner are not called
CREATE FUNCTION app.evil(app.state) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil as %', current_user; END $$;
CREATE CAST (app.state AS text) WITH FUNCTION app.evil(app.state);
CREATE DOMAIN app.number AS text CHECK (value ~ '^\+');
CREATE TABLE app.outbox (a int, "the {key}" int, "Key" text PRIMARY KEY, state app.state, via char(10), from_number app.number, to_number app.number, at timestamp, failure jsonb);
SELECT bm_webhook.watch_messages('app.outbox', channel => 'sms', status => '{state}', provider => '{via}', sender => '{from_number}', recipient => '{to_number}', occurred_at => '{at}', error => '{failure}');
INSERT INTO app.outbox ("Key", state, via, from_number, to_number) VALUES ('k1', 'queued', 'twilio', '+33123456789', '+33698765432'), ('k2', 'SUBMITTED', 'Vonage', '+33123456789', '+33698765432'),
	('k3', 'odd', 'twilio', '+33123456789', '+33698765432'), ('k4', 'Read', 'acme', '+33123456789', '+33698765432'), ('k5', 'Read', 'meta', '+33123456789', '+33698765432');
UPDATE app.outbox SET state = 'undelivered', failure = '{"code": "x", "title": "X", "permanent": false}', at = '2026-08-07 14:42:03.5' WHERE "Key" = 'k1';
SELECT type, message_id, occurred_at = '2026-08-07 09:12:03.5+00' AS at_its_time, data FROM sent ORDER BY id;
TRUNCATE bm_webhook.event;
SELECT bm_webhook.watch_messages('app.outbox', channel => 'sms', status => '{state}', provider => 'TWILIO', sender => '{from_number}', recipient => '{to_number}', error => '{failure}',
	operations => '{update}', condition => 'NEW.via <> ''acme''', level => 'statement');
UPDATE app.outbox SET state = 'undelivered';
SELECT type, message_id, data->>'error' AS error FROM sent ORDER BY message_id, data->>'message_id';
SELECT bm_webhook.unwatch('app.outbox');
TRUNCATE bm_webhook.event;

-- replies
CREATE TABLE app.inbound (id uuid PRIMARY KEY, application text, channel text, sender text, recipient text, body text, answers bigint, context jsonb, received_at timestamptz);
SELECT bm_webhook.watch_replies('app.inbound', content => '{body}', context => '{answers}', occurred_at => '{received_at}');
INSERT INTO app.inbound VALUES
	('01990f3c-5d1a-7c3e-8f00-0242ac120001', 'shop', 'whatsapp', '+33698765432', '+33123456789', 'Merci !', 17, NULL, '2026-08-07 09:15:39+00'),
	('01990f3c-5d1a-7c3e-8f00-0242ac120002', 'shop', 'whatsapp', '+33698765432', '+33123456789', 'Hello', NULL, NULL, NULL),
	('01990f3c-5d1a-7c3e-8f00-0242ac120003', 'shop', 'whatsapp', '+33698765432', '+33123456789', '', NULL, NULL, NULL),
	('01990f3c-5d1a-7c3e-8f00-0242ac120004', 'shop', 'whatsapp', NULL, '+33123456789', 'Hello', NULL, NULL, NULL);
UPDATE app.inbound SET body = 'changed';
\pset format unaligned
SELECT type, application, channel, message_id, reply_to, data FROM sent ORDER BY id;
\pset format aligned
TRUNCATE bm_webhook.event;
-- both directions in one table
CREATE TABLE app.both_ways (id int PRIMARY KEY, is_inbound boolean, channel text, status text, sender text, recipient text, content jsonb, context jsonb);
SELECT bm_webhook.watch_messages('app.both_ways', condition => 'NOT NEW.is_inbound');
SELECT bm_webhook.watch_replies('app.both_ways', condition => 'NEW.is_inbound');
INSERT INTO app.both_ways VALUES (1, false, 'rcs', 'sent', 'agent@rbm.goog', '+33698765432', NULL, NULL), (2, true, 'rcs', NULL, '+33698765432', 'agent@rbm.goog', '{"type": "text", "text": "Hi"}', '{"message_id": "1"}');
SELECT type, message_id, reply_to, data->>'direction' AS direction FROM sent ORDER BY id;
SELECT bm_webhook.unwatch('app.both_ways', 'message.received');
SELECT trigger, event_type, direction FROM bm_webhook_internal.watches('app.both_ways');
TRUNCATE bm_webhook.event;

-- every refusal, with nothing left behind
CREATE TABLE app.plain (id int PRIMARY KEY, channel text, status text, sender text, recipient text, number numeric, bytes bytea, note text, body text, at time);
CREATE TABLE app.no_key (channel text, status text, sender text, recipient text);
CREATE TABLE app.two_keys (a int, b int, channel text, status text, sender text, recipient text, PRIMARY KEY (a, b));
CREATE TABLE app.misfit (id int PRIMARY KEY, channel text, status text, sender text, recipient text, price numeric);
CREATE VIEW app.view AS SELECT * FROM app.plain;
\pset format unaligned
SELECT f AS function, a.*, v AS arguments FROM (VALUES
	(1, 'messages', $$NULL$$), (2, 'messages', $$'app.view'$$), (3, 'messages', $$'pg_class'$$), (4, 'messages', $$'app.no_key'$$), (5, 'messages', $$'app.two_keys'$$), (6, 'messages', $$'app.two_keys', message_id => '{a}-{b}'$$),
	(7, 'messages', $$'app.misfit'$$), (8, 'messages', $$'app.misfit', omit => '{price}'$$), (9, 'messages', $$'app.inbound'$$),
	(10, 'messages', $$'app.plain', channel => '{nothing}'$$), (11, 'messages', $$'app.plain', channel => 'SMS'$$), (12, 'messages', $$'app.plain', application => '{nothing}'$$), (13, 'messages', $$'app.plain', application => ''$$),
	(14, 'messages', $$'app.plain', message_id => '{nothing}'$$), (15, 'messages', $$'app.plain', message_id => '{id'$$), (16, 'messages', $$'app.plain', message_id => '{ctid}'$$),
	(20, 'messages', $$'app.plain', status => '{nothing}'$$), (21, 'messages', $$'app.plain', status => 'sent'$$), (22, 'messages', $$'app.plain', status => '{bytes}'$$), (23, 'messages', $$'app.plain', status => 'x{status}'$$),
	(24, 'messages', $$'app.plain', provider => 'nobody'$$), (25, 'messages', $$'app.plain', provider => '{nothing}'$$), (26, 'messages', $$'app.plain', provider => '{number}'$$),
	(30, 'messages', $$'app.plain', sender => '{nothing}'$$), (31, 'messages', $$'app.plain', sender => '{number}'$$), (32, 'messages', $$'app.plain', recipient => '{bytes}'$$), (33, 'messages', $$'app.plain', occurred_at => '{at}'$$), (34, 'messages', $$'app.plain', occurred_at => '2026-01-01'$$),
	(35, 'messages', $$'app.plain', client_ref => '{nothing}'$$), (36, 'messages', $$'app.plain', client_ref => 'x'$$), (37, 'messages', $$'app.plain', segments => '{note}'$$), (38, 'messages', $$'app.plain', price => '{number}'$$),
	(39, 'messages', $$'app.plain', error => '{note}'$$), (40, 'messages', $$'app.plain', metadata => '{note}'$$), (41, 'messages', $$'app.plain', content => '{bytes}'$$), (42, 'messages', $$'app.plain', content => 'Hello'$$),
	(43, 'messages', $$'app.plain', sender_name => '{bytes}'$$), (44, 'messages', $$'app.plain', sender => '+33 1'$$), (45, 'messages', $$'app.plain', sender_name => ''$$),
	(50, 'messages', $$'app.plain', omit => '{nothing}'$$), (51, 'messages', $$'app.plain', content => '{body}', omit => '{body}'$$), (52, 'messages', $$'app.plain', omit => '{status}'$$), (53, 'messages', $$'app.plain', omit => NULL$$), (54, 'messages', $$'app.plain', omit => '{NULL}'$$),
	(60, 'messages', $$'app.plain', level => 'table'$$), (61, 'messages', $$'app.plain', condition => 'NEW.nothing'$$), (62, 'messages', $$'app.plain', operations => '{DELETE}'$$), (63, 'messages', $$'app.plain', operations => NULL$$),
	(70, 'replies', $$'app.plain'$$), (71, 'replies', $$'app.plain', content => '{body}'$$), (72, 'replies', $$'app.plain', content => '{number}'$$), (73, 'replies', $$'app.plain', content => '{body}', context => '{bytes}'$$),
	(74, 'replies', $$'app.plain', content => '{body}', context => 'm-1'$$), (75, 'replies', $$'app.no_key', content => '{status}'$$), (76, 'replies', $$'app.plain', content => '{body}', omit => '{body}'$$)) AS t (n, f, v),
	attempt('SELECT bm_webhook.watch_' || f || '(' || v || ')') a ORDER BY n;
-- what everybody may call takes what nobody would give it
SELECT a.state, a.message FROM (VALUES (1, '{NULL,x}'), (2, '{nothing,x}'), (3, '{status}'), (4, '{status,NULL,sender,ACME}'), (5, '{}')) AS t (n, v),
	attempt(format('SELECT bm_webhook_internal.message_arguments(%L, %L, %L, %L)', 'app.plain', 'outbound', '{}', v)) a ORDER BY n;
CREATE TRIGGER by_hand AFTER INSERT ON app.misfit FOR EACH ROW EXECUTE FUNCTION bm_webhook.capture('type=a.b', 'sender={channel}');
SELECT a.state, a.message FROM attempt('INSERT INTO app.misfit (id) VALUES (1)') a;
DROP TRIGGER by_hand ON app.misfit;
CREATE TRIGGER by_hand AFTER INSERT ON app.misfit FOR EACH ROW EXECUTE FUNCTION bm_webhook.capture('type=a.b', 'message=sideways', 'message_id={id}');
SELECT a.state, a.message FROM attempt('INSERT INTO app.misfit (id) VALUES (2)') a;
SELECT data - 'relation' AS data FROM sent;
DROP TRIGGER by_hand ON app.misfit;
TRUNCATE bm_webhook.event;
\pset format aligned
SELECT c.oid::regclass, bm_webhook.unwatch(c.oid::regclass) AS removed FROM pg_class c
WHERE relnamespace = 'app'::regnamespace AND EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid) ORDER BY c.relname;

-- partitions, and a column that is dropped later
CREATE TABLE app.parted (id int, channel text, status text, sender text, recipient text, note text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE app.parted_1 (note text, recipient text, sender text, status text, channel text, id int NOT NULL);
ALTER TABLE app.parted ATTACH PARTITION app.parted_1 FOR VALUES FROM (1) TO (10);
SELECT bm_webhook.watch_messages('app.parted', recipient_name => '{note}');
INSERT INTO app.parted VALUES (1, 'sms', 'sent', '+33123456789', '+33698765432', 'Ana');
ALTER TABLE app.parted DROP COLUMN note;
UPDATE app.parted SET status = 'delivered';
SELECT type, message_id, data->'to' AS recipient, data->>'error' AS error FROM sent ORDER BY id;
TRUNCATE bm_webhook.event;

-- a column that is renamed: reported at both levels, and nobody's write fails; watching anew mends it
CREATE TABLE app.renamed (id int PRIMARY KEY, channel text, status text, sender text, recipient text, error jsonb);
SELECT bm_webhook.watch_messages('app.renamed');
INSERT INTO app.renamed VALUES (1, 'sms', 'sent', '+33123456789', '+33698765432'), (2, 'sms', 'sent', '+33123456789', '+33698765432');
ALTER TABLE app.renamed RENAME COLUMN recipient TO addressee;
UPDATE app.renamed SET status = 'delivered' WHERE id = 1;
ALTER TABLE app.renamed RENAME COLUMN status TO state;
UPDATE app.renamed SET state = 'read' WHERE id = 1;
SELECT bm_webhook.watch_messages('app.renamed', status => '{state}', recipient => '{addressee}', level => 'statement');
UPDATE app.renamed SET state = 'delivered' WHERE id = 1;
ALTER TABLE app.renamed RENAME COLUMN addressee TO recipient;
UPDATE app.renamed SET state = 'sent' WHERE id = 2 OR state = 'sent';
-- the condition cannot be asked any more: one event for the statement
ALTER TABLE app.renamed RENAME COLUMN state TO status;
UPDATE app.renamed SET status = 'expired';
INSERT INTO app.renamed VALUES (3, 'sms', 'sent', '+33123456789', '+33698765432');
SELECT type, message_id, data->>'type' AS data_type, data->>'message_id' AS data_message_id, data->>'operation' AS operation, data->>'error' AS error FROM sent ORDER BY id;
DROP TABLE app.renamed;
TRUNCATE bm_webhook.event;

-- json that is no jsonb, and numbers that are larger than they look, fail nobody
CREATE TABLE app.odd (id int PRIMARY KEY, channel text, status text, sender text, recipient text, content json, error jsonb, metadata json);
SELECT bm_webhook.watch_messages('app.odd', level => 'statement');
INSERT INTO app.odd (id, channel, status, sender, recipient, content, metadata) VALUES (1, 'sms', 'sent', '+33123456789', '+33698765432', '{"type": "text", "text": "\u0000"}', NULL),
	(2, 'sms', 'sent', '+33123456789', '+33698765432', '{"type": "contact", "contact": {"a": [1e100000, 1e100000, 1e100000], "b": 1}}', NULL), (3, 'sms', 'sent', '+33123456789', '+33698765432', '{"type": "text", "text": "fine"}', NULL),
	(4, 'sms', 'sent', '+33123456789', '+33698765432', '{"type": "contact", "contact": {"a": null, "b": [null, {}, [], {"c": null, "d": [{"e": -1.50, "f": true}]}], "c": null}}', '{"a": "1", "a": "2"}');
SELECT type, message_id, data->'content' AS content, data->'metadata' AS metadata, data->>'message_id' AS data_message_id, data->>'error' AS error FROM sent ORDER BY id;
-- written as jsonb writes it
SELECT data::text = data::jsonb::text AS is_jsonb_text FROM bm_webhook.event WHERE type = 'message.sent' ORDER BY id;
DROP TABLE app.odd;
TRUNCATE bm_webhook.event;

-- string types of others, and escapes and exponents in json
SET client_min_messages = warning;	-- a newer server says more of shells
CREATE TYPE app.word;
CREATE FUNCTION app.word_in(cstring) RETURNS app.word LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION app.word_out(app.word) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE app.word (INPUT = app.word_in, OUTPUT = app.word_out, LIKE = text, CATEGORY = 'S');
CREATE TYPE app.hex;
CREATE FUNCTION app.hex_in(cstring) RETURNS app.hex LANGUAGE internal IMMUTABLE STRICT AS 'byteain';
CREATE FUNCTION app.hex_out(app.hex) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'byteaout';
CREATE TYPE app.hex (INPUT = app.hex_in, OUTPUT = app.hex_out, LIKE = bytea, CATEGORY = 'S');
RESET client_min_messages;
CREATE TABLE app.typed (id int PRIMARY KEY, channel varchar(10), status name, sender app.word, recipient app.word, client_ref app.hex, content json, error jsonb);
SELECT bm_webhook.watch_messages('app.typed');
INSERT INTO app.typed VALUES (1, 'sms', 'sent', '+33123456789', '+33698765432', '\x01ff', '{"type": "text", "text": "\"A\u00e9\" \\"}'),
	(2, 'sms', 'sent', '+33123456789', '+33698765432', NULL, '{"type": "location", "location": {"latitude": 4.8e1, "longitude": 2, "name": "48e1"}}');
SELECT type, message_id, data->'client_ref' AS client_ref, data->'content' AS content, data->'from' AS sender FROM sent ORDER BY id;
DROP TABLE app.typed;
TRUNCATE bm_webhook.event;

-- status_map is kept in memory, and yet each change counts at once, also one that is undone
CREATE TABLE app.mapped (id int PRIMARY KEY, channel text, status text, sender text, recipient text, provider text);
SELECT bm_webhook.watch_messages('app.mapped', omit => '{}');
INSERT INTO app.mapped VALUES (1, 'sms', 'on its way', '+33123456789', '+33698765432', 'acme');
INSERT INTO bm_webhook.status_map VALUES ('acme', 'on its way', 'sent');
INSERT INTO app.mapped VALUES (2, 'sms', 'On Its Way', '+33123456789', '+33698765432', 'ACME');
BEGIN;
UPDATE bm_webhook.status_map SET status = 'delivered' WHERE provider = 'acme';
INSERT INTO app.mapped VALUES (3, 'sms', 'on its way', '+33123456789', '+33698765432', 'acme');
SELECT type, message_id FROM sent WHERE message_id = '3';
ROLLBACK;
INSERT INTO app.mapped VALUES (4, 'sms', 'on its way', '+33123456789', '+33698765432', 'acme'), (5, 'sms', 'sent', '+33123456789', '+33698765432', NULL);
DELETE FROM bm_webhook.status_map WHERE provider = 'acme';
INSERT INTO app.mapped VALUES (6, 'sms', 'on its way', '+33123456789', '+33698765432', 'acme');
SELECT type, message_id, data->>'type' AS data_type, data->>'message_id' AS data_message_id, data->>'error' AS error FROM sent ORDER BY id;
DROP TABLE app.mapped;
TRUNCATE bm_webhook.event;

-- who writes into the table needs nothing of the extension, who watches it needs EXECUTE
CREATE ROLE bm_regress_owner;
CREATE ROLE bm_regress_writer;
GRANT USAGE ON SCHEMA bm_webhook, bm_webhook_internal, app TO bm_regress_owner;
GRANT CREATE ON SCHEMA app TO bm_regress_owner;
GRANT USAGE ON SCHEMA app TO bm_regress_writer;
GRANT EXECUTE ON FUNCTION bm_webhook.watch, bm_webhook.unwatch, bm_webhook.watch_messages, bm_webhook.capture TO bm_regress_owner;
SET ROLE bm_regress_owner;
CREATE TABLE app.owned (id int PRIMARY KEY, channel text, status text, sender text, recipient text, provider text);
SELECT bm_webhook.watch_messages('app.owned');
SELECT bm_webhook.watch_messages('app.owned', sender => 'ACME');
GRANT INSERT ON app.owned TO bm_regress_writer;
SET ROLE bm_regress_writer;
INSERT INTO app.owned VALUES (1, 'sms', 'undelivered', '+33123456789', '+33698765432', 'twilio'), (2, 'sms', 'queued', '+33123456789', '+33698765432', 'twilio');
RESET ROLE;
SELECT type, message_id, data FROM sent ORDER BY id;
SET ROLE bm_regress_owner;
SELECT bm_webhook.unwatch('app.owned');
DROP TABLE app.owned;
RESET ROLE;
TRUNCATE bm_webhook.event;
REVOKE ALL ON SCHEMA bm_webhook, bm_webhook_internal FROM bm_regress_owner;
DROP OWNED BY bm_regress_owner, bm_regress_writer;
DROP ROLE bm_regress_owner, bm_regress_writer;
DROP VIEW sent;
DROP FUNCTION attempt;
SET client_min_messages = warning;
DROP SCHEMA app CASCADE;

-- a message without status yet is no event, and no failure
CREATE TABLE drafted (id bigint PRIMARY KEY, channel text, sender text, recipient text, status text, error jsonb);
SELECT bm_webhook.watch_messages('drafted', message_id => 'draft-{id}');
ALTER TABLE drafted DISABLE TRIGGER USER;
SELECT * FROM bm_webhook.watch_list;
ALTER TABLE drafted ENABLE TRIGGER USER;
INSERT INTO drafted VALUES (1, 'sms', 'shop', '+33612345678', NULL, NULL);
UPDATE drafted SET status = 'sent';
SELECT type, message_id FROM bm_webhook.event WHERE message_id = 'draft-1' OR data->>'relation' = 'public.drafted';
DROP TABLE drafted;
TRUNCATE bm_webhook.event;

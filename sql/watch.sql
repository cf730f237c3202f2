-- watch() and unwatch(): what they make, and every refusal.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS bm_webhook;
RESET client_min_messages;
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
CREATE TABLE app.message (id bigint PRIMARY KEY, status text, sent_at timestamptz, "Weird, ""name" text);
CREATE TABLE app.two_keys (a int, b int, x json, PRIMARY KEY (a, b));
CREATE TABLE app.no_key (a int);
CREATE UNLOGGED TABLE app.unlogged (id int PRIMARY KEY);
CREATE TABLE app.parent (id int PRIMARY KEY);
CREATE TABLE app.child () INHERITS (app.parent);
CREATE TABLE app.parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE app.parted_1 PARTITION OF app.parted FOR VALUES FROM (1) TO (2);
CREATE VIEW app.view AS SELECT 1 AS id;
CREATE MATERIALIZED VIEW app.matview AS SELECT 1 AS id;
CREATE SEQUENCE app.seq;
CREATE TEMP TABLE temporary (id int PRIMARY KEY);
CREATE FUNCTION app.good(app.message) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
CREATE FUNCTION app.as_text(app.message) RETURNS text LANGUAGE sql AS $$ SELECT '' $$;
CREATE FUNCTION app.as_set(app.message) RETURNS SETOF jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
CREATE FUNCTION app.of_other(app.no_key) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
CREATE FUNCTION app.of_two(app.message, int) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
\pset format unaligned
SELECT a.*, v AS arguments FROM (VALUES
	(1, $$NULL, 'a.b'$$), (2, $$'app.message', NULL$$), (3, $$'app.message', 'a.b', operations => NULL$$), (4, $$'app.message', 'a.b', level => NULL$$),
	(10, $$'app.view', 'a.b'$$), (11, $$'app.matview', 'a.b'$$), (12, $$'app.seq', 'a.b'$$), (13, $$'temporary', 'a.b'$$), (14, $$'pg_class', 'a.b'$$),
	(15, $$'information_schema.sql_parts', 'a.b'$$), (16, $$'bm_webhook.endpoint', 'a.b'$$), (17, $$'bm_webhook.event', 'a.b'$$), (18, $$1::regclass, 'a.b'$$),
	(19, $$'app.parted', 'a.b', level => 'statement'$$), (20, $$'app.parted_1', 'a.b', level => 'statement'$$), (21, $$'app.nothing', 'a.b'$$),
	(30, $$'app.message', ''$$), (31, $$'app.message', 'message'$$), (32, $$'app.message', 'Message.sent'$$), (33, $$'app.message', 'message.{status'$$),
	(34, $$'app.message', 'message.{}'$$), (35, $$'app.message', 'message.{nothing}'$$), (36, $$'app.message', 'message.{ctid}'$$),
	(40, $$'app.message', 'a.b', application => '{nothing}'$$), (41, $$'app.message', 'a.b', channel => 'SMS'$$), (42, $$'app.message', 'a.b', channel => '{nothing}'$$),
	(43, $$'app.message', 'a.b', message_id => '{nothing}'$$), (44, $$'app.message', 'a.b', application => repeat('x', 129)$$), (45, $$'app.message', 'a.b', message_id => ''$$),
	(50, $$'app.message', 'a.b', occurred_at => '{nothing}'$$), (51, $$'app.message', 'a.b', occurred_at => '{status}'$$), (52, $$'app.message', 'a.b', occurred_at => '2026-01-01'$$),
	(53, $$'app.message', 'a.b', occurred_at => '{sent_at}{sent_at}'$$),
	(60, $$'app.message', 'a.b', operations => '{}'$$), (61, $$'app.message', 'a.b', operations => '{TRUNCATE}'$$), (62, $$'app.message', 'a.b', operations => '{INSERT,NULL}'$$),
	(63, $$'app.message', 'a.b', level => 'table'$$),
	(70, $$'app.message', 'a.b', changed => '{nothing}'$$), (71, $$'app.message', 'a.b', changed => '{status}', operations => '{INSERT}'$$), (72, $$'app.message', 'a.b', changed => '{}'$$),
	(73, $$'app.message', 'a.b', changed => '{NULL}'$$),
	(80, $$'app.message', 'a.b', condition => 'NEW.'$$), (81, $$'app.message', 'a.b', condition => 'NEW.nothing = 1'$$), (82, $$'app.message', 'a.b', condition => 'NEW.id'$$),
	(83, $$'app.message', 'a.b', condition => 'OLD.id = 1'$$), (84, $$'app.message', 'a.b', condition => '(SELECT true)'$$),
	(85, $$'app.message', 'a.b', condition => 'NEW.', level => 'statement'$$), (86, $$'app.message', 'a.b', condition => 'NEW.nothing = 1', level => 'statement'$$),
	(87, $$'app.message', 'a.b', condition => 'OLD.id = 1', level => 'statement'$$), (88, $$'app.message', 'a.b', condition => '(SELECT true)', level => 'statement'$$),
	(90, $$'app.message', 'a.b', columns => '{nothing}'$$), (91, $$'app.message', 'a.b', columns => '{}'$$), (92, $$'app.message', 'a.b', columns => '{id,id}'$$),
	(93, $$'app.message', 'a.b', columns => '{NULL}'$$), (94, $$'app.message', 'a.b', columns => '{id}', function => 'app.good(app.message)'$$),
	(100, $$'app.message', 'a.b', function => 'app.as_text(app.message)'$$), (101, $$'app.message', 'a.b', function => 'app.as_set(app.message)'$$), (102, $$'app.message', 'a.b', function => 'app.of_other(app.no_key)'$$),
	(103, $$'app.message', 'a.b', function => 'app.of_two(app.message,int)'$$), (104, $$'app.message', 'a.b', function => 'app.nothing(app.message)'$$),
	(110, $$'app.no_key', 'a.b'$$), (111, $$'app.two_keys', 'a.b'$$), (112, $$'app.no_key', 'a.b', message_id => '{a}', changed => '{a}', level => 'statement'$$),
	(113, $$'app.no_key', 'a.b', message_id => '{a}', condition => 'NEW.a > OLD.a', operations => '{UPDATE}', level => 'statement'$$)
	) AS t (n, v), attempt('SELECT bm_webhook.watch(' || v || ')') a ORDER BY n;
\pset format aligned
-- nothing was left behind by a refusal
SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE tgfoid = 'bm_webhook.capture'::regproc;
-- what is accepted
SELECT bm_webhook.watch('app.message', 'message.{status}', changed => '{status,"Weird, \"name"}', columns => '{id,"Weird, \"name"}',
	application => 'it''s {{x}}', occurred_at => '{sent_at}', operations => '{delete,insert,update,update}');
SELECT bm_webhook.watch('app.message', 'message.{status}');
SELECT bm_webhook.watch('app.message', 'message.other', function => 'app.good(app.message)', level => 'statement', changed => '{status}');
SELECT bm_webhook.watch('app.no_key', 'a.b', message_id => '{a}', changed => '{a}');
SELECT bm_webhook.watch('app.no_key', 'a.c', message_id => '{a}', condition => 'NEW.a > 1', level => 'statement');
SELECT bm_webhook.watch('app.two_keys', 'a.b', message_id => '{a}', changed => '{x}', level => 'statement');
SELECT bm_webhook.watch('app.unlogged', 'a.b');
SELECT bm_webhook.watch('app.parent', 'a.b');
SELECT bm_webhook.watch('app.parted', 'a.b');
SELECT pg_get_triggerdef(oid) FROM pg_trigger
WHERE tgfoid = 'bm_webhook.capture'::regproc AND tgparentid = 0 ORDER BY tgrelid::regclass::text, tgname;
-- the definitions, as pg_dump writes them, make the same triggers again
CREATE TEMP TABLE definitions AS SELECT tgrelid::regclass AS relation, tgname, pg_get_triggerdef(oid) AS definition FROM pg_trigger
	WHERE tgfoid = 'bm_webhook.capture'::regproc AND tgparentid = 0;
SELECT relation, bm_webhook.unwatch(relation) AS removed FROM (SELECT DISTINCT relation FROM definitions) d ORDER BY relation::text;
DO $$ DECLARE d record; BEGIN FOR d IN SELECT * FROM definitions LOOP EXECUTE d.definition; END LOOP; END $$;
SELECT count(*) AS same FROM definitions d JOIN pg_trigger t ON t.tgrelid = d.relation AND t.tgname = d.tgname AND pg_get_triggerdef(t.oid) = d.definition;
SELECT bm_webhook.unwatch('app.message', 'message.other');
SELECT bm_webhook.unwatch('app.message', 'message.other');
SELECT bm_webhook.unwatch('app.message');
SELECT bm_webhook.unwatch('app.message');
SELECT bm_webhook.unwatch(NULL);
DROP FUNCTION attempt;
SET client_min_messages = warning;
DROP SCHEMA app CASCADE;

RESET client_min_messages;
-- what no row can make valid is refused at once; what may be a slip of the pen is noticed
CREATE TABLE slip (id int PRIMARY KEY, channel text, status text);
SELECT bm_webhook.watch('slip', 'Message.{status}');
SELECT bm_webhook.watch('slip', 'message.{status}.');
SELECT bm_webhook.watch('slip', 'message {status}');
SELECT bm_webhook.watch('slip', 'message.{status}', channel => 'SMS');
SELECT bm_webhook.watch('slip', 'message.{status}', channel => 'channel');
SELECT bm_webhook.unwatch('slip');
SELECT bm_webhook.watch('slip', '{status}', channel => '{channel}');
SELECT bm_webhook.watch('slip', 'slip.deleted', operations => '{DELETE}', level => 'statement');
SELECT * FROM bm_webhook.watch_list ORDER BY event_type;
SELECT bm_webhook.unwatch('slip', 'slip.deleted');

-- a row without status yet is no event, and no failure
INSERT INTO slip VALUES (1, 'sms', NULL), (2, 'sms', 'slip.made');
UPDATE slip SET status = 'slip.changed' WHERE id = 1;
SELECT type, message_id FROM bm_webhook.event WHERE type LIKE 'slip.%' OR data->>'relation' = 'public.slip' ORDER BY id;
DROP TABLE slip;
TRUNCATE bm_webhook.event;
-- a slip of the pen in the name of a column
CREATE TABLE slip (id int PRIMARY KEY, status text);
DO $$
DECLARE
	hint text;
BEGIN
	PERFORM bm_webhook.watch('slip', 'slip.{stauts}');
EXCEPTION WHEN undefined_column THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RAISE NOTICE '%: %', sqlerrm, hint;
END
$$;
DROP TABLE slip;

-- errors say what is wrong, and nothing of our inside
CREATE TABLE plain (id int PRIMARY KEY, total int);
SELECT bm_webhook.watch('plain', 'plain.large', condition => 'total > 5');
SELECT bm_webhook.watch('plain', 'plain.large', condition => 'NEW.totl > 5', level => 'statement');
SELECT bm_webhook.watch('plain', 'plain.large', level => 'both');
SELECT bm_webhook.watch('plain', 'plain.{totl}');
SELECT bm_webhook.watch_messages('plain');
DROP TABLE plain;

-- Statement-level capture: the same events, gathered from transition tables.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS bm_webhook;
RESET client_min_messages;
CREATE SCHEMA app;
CREATE TABLE app.message (id bigint, part int DEFAULT 0, status text, body json, PRIMARY KEY (id, part));
CREATE VIEW events AS SELECT type, message_id, data FROM bm_webhook.event ORDER BY id;
-- without a condition: insert, update, delete, COPY, ON CONFLICT
SELECT bm_webhook.watch('app.message', 'message.{status}', message_id => '{id}-{part}', columns => '{id,status}',
	operations => '{INSERT,UPDATE,DELETE}', level => 'statement');
INSERT INTO app.message (id, status) VALUES (1, 'queued'), (2, 'queued');
UPDATE app.message SET status = 'sent';
DELETE FROM app.message WHERE id = 2;
INSERT INTO app.message (id, status) VALUES (1, 'again'), (3, 'queued') ON CONFLICT (id, part) DO UPDATE SET status = 'merged';
COPY app.message (id, status) FROM stdin;
4	copied
\.
UPDATE app.message SET status = 'x' WHERE false;
SELECT * FROM events;
TRUNCATE bm_webhook.event;
-- a bad row beside good ones
UPDATE app.message SET status = CASE id WHEN 1 THEN 'No' ELSE 'good' END;
SELECT * FROM events ORDER BY message_id;
TRUNCATE bm_webhook.event;
SELECT bm_webhook.unwatch('app.message');
-- changed and condition pair old and new by the key; both kinds of trigger on one table
SELECT bm_webhook.watch('app.message', 'message.{status}', message_id => '{id}', columns => '{id}', level => 'statement',
	changed => '{status}', condition => 'NEW.id <> 3');
SELECT bm_webhook.watch('app.message', 'message.body', message_id => '{id}', columns => '{body}', level => 'statement',
	operations => '{UPDATE}', changed => '{body}');
SELECT bm_webhook.watch('app.message', 'message.row', message_id => '{id}', columns => '{id}', operations => '{INSERT,DELETE}');
UPDATE app.message SET status = CASE id WHEN 1 THEN 'read' WHEN 3 THEN 'read' ELSE status END;
UPDATE app.message SET body = '{"a": 1}' WHERE id IN (1, 3);
UPDATE app.message SET body = '{"a": 1}' WHERE id IN (1, 4);
INSERT INTO app.message (id, status) VALUES (5, 'sent'), (3000, 'sent');
-- a key that changes counts as a change
UPDATE app.message SET id = 6 WHERE id = 5;
DELETE FROM app.message WHERE id = 6;
SELECT * FROM events;
TRUNCATE bm_webhook.event;
SELECT bm_webhook.unwatch('app.message');
-- conditions on deleted rows, and on what was before
SELECT bm_webhook.watch('app.message', 'message.gone', message_id => '{id}', operations => '{DELETE}', condition => 'OLD.id > 100', columns => '{id}', level => 'statement');
SELECT bm_webhook.watch('app.message', 'message.up', message_id => '{id}', operations => '{UPDATE}', condition => 'OLD.part < NEW.part -- grows', columns => '{id,part}', level => 'statement');
SELECT bm_webhook.watch('app.message', 'message.even', message_id => '{id}', operations => '{UPDATE}', condition => 'NEW.id % 2 = 0', columns => '{id,part}', level => 'statement');
UPDATE app.message SET status = 'x';
DELETE FROM app.message;
SELECT * FROM events;
TRUNCATE bm_webhook.event;
SELECT bm_webhook.unwatch('app.message');
-- many rows: several batches, and a plan that was made for one row
SELECT bm_webhook.watch('app.message', 'message.{status}', message_id => '{id}', columns => '{id}', level => 'statement', changed => '{status}');
INSERT INTO app.message (id, status) VALUES (0, 'queued');
UPDATE app.message SET status = 'sent';
INSERT INTO app.message (id, status) SELECT g, 'queued' FROM generate_series(1, 20000) g;
UPDATE app.message SET status = CASE WHEN id % 2 = 0 THEN 'sent' ELSE status END;
SELECT type, count(*), count(DISTINCT id) AS ids, count(DISTINCT message_id) AS messages, sum((data->>'id')::bigint) AS checksum FROM bm_webhook.event GROUP BY 1 ORDER BY 1;
TRUNCATE bm_webhook.event;
SELECT bm_webhook.unwatch('app.message');
-- a function, columns that were dropped, another search_path
TRUNCATE app.message;
ALTER TABLE app.message DROP COLUMN body, ADD COLUMN note text DEFAULT 'n';
CREATE FUNCTION app.data(m app.message) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('id', m.id, 'note', m.note) $$;
SELECT bm_webhook.watch('app.message', 'message.direct', message_id => '{id}', function => 'app.data(app.message)', level => 'statement');
SELECT bm_webhook.watch('app.message', 'message.query', message_id => '{id}', function => 'app.data(app.message)', condition => 'NEW.id > 1', level => 'statement');
SELECT bm_webhook.watch('app.message', 'message.columns', message_id => '{id}', condition => 'NEW.id > 1', level => 'statement');
CREATE FUNCTION app.gt(bigint, int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil'; END $$;
CREATE OPERATOR app.> (leftarg = bigint, rightarg = int, function = app.gt);
SET search_path = app, pg_catalog;
INSERT INTO app.message (id, status) VALUES (1, 'a'), (2, 'b');
RESET search_path;
SELECT * FROM events;
TRUNCATE bm_webhook.event;
-- rolled back with the statement
BEGIN;
SAVEPOINT s;
INSERT INTO app.message (id, status) VALUES (3, 'a');
ROLLBACK TO s;
COMMIT;
SELECT count(*) FROM bm_webhook.event;
DROP VIEW events;
SET client_min_messages = warning;
DROP SCHEMA app CASCADE;

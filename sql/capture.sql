-- Row-level capture: what an event is made of, and that a bad row fails nobody.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS bm_webhook;
RESET client_min_messages;
SET timezone = 'UTC';
CREATE SCHEMA app;
CREATE TABLE app.message (
	id bigint PRIMARY KEY, status text, channel char(10), customer text, body text, secret text DEFAULT 'hidden',
	"odd ""name" int DEFAULT 7, sent_at timestamptz, on_day date, local_at timestamp
);
CREATE VIEW events AS
	SELECT type, application, channel, message_id, occurred_at = created_at AS at_capture, data FROM bm_webhook.event ORDER BY id;

SELECT bm_webhook.watch('app.message', 'message.{status}', application => '{customer}', channel => '{channel}',
	message_id => 'm-{id}', occurred_at => '{sent_at}', columns => '{id,status,"odd \"name"}');
INSERT INTO app.message (id, status, channel, customer, sent_at) VALUES (1, 'sent', 'sms', 'shop', '2026-01-01 00:00:00+00');
UPDATE app.message SET status = 'delivered', sent_at = NULL;
DELETE FROM app.message;
SELECT * FROM events;
TRUNCATE bm_webhook.event;
-- rows that make no event become webhook.capture_failed
INSERT INTO app.message (id, status, channel, customer, sent_at) VALUES
	(1, NULL, NULL, NULL, NULL), (2, 'Not A Type', NULL, NULL, NULL), (3, 'sent', 'SMS', NULL, NULL),
	(4, 'sent', NULL, repeat('x', 129), NULL), (5, 'sent', NULL, E'a\nb', NULL), (6, 'sent', NULL, NULL, 'infinity'), (7, 'sent', NULL, '', NULL);
SELECT type, message_id, data FROM events;
TRUNCATE bm_webhook.event;
SELECT bm_webhook.unwatch('app.message', 'message.{status}');
-- data too large; all columns; the time of a date and of a timestamp
SELECT bm_webhook.watch('app.message', 'message.big', operations => '{UPDATE}', occurred_at => '{on_day}');
SELECT bm_webhook.watch('app.message', 'message.small', operations => '{UPDATE}', occurred_at => '{local_at}', columns => '{id}');
UPDATE app.message SET body = repeat('x', 300000), on_day = '2026-02-03', local_at = '2026-02-03 04:05:06' WHERE id = 1;
UPDATE app.message SET body = NULL WHERE id = 1;
UPDATE app.message SET on_day = 'infinity', local_at = '-infinity' WHERE id = 1;
SELECT e.type, e.occurred_at <> e.created_at AS has_time, CASE WHEN e.occurred_at <> e.created_at THEN e.occurred_at END AS occurred_at, e.data FROM bm_webhook.event e ORDER BY id;
TRUNCATE bm_webhook.event;
SELECT bm_webhook.unwatch('app.message');
-- changed and condition
SELECT bm_webhook.watch('app.message', 'message.{status}', changed => '{status,body}', condition => 'NEW.id < 3', columns => '{id}', operations => '{insert,update}');
UPDATE app.message SET customer = 'x';
UPDATE app.message SET status = 'read';
UPDATE app.message SET status = 'read';
INSERT INTO app.message (id, status) VALUES (0, 'sent'), (99, 'sent');
SELECT type, data FROM events ORDER BY type, data::text;
TRUNCATE bm_webhook.event;
SELECT bm_webhook.unwatch('app.message');
-- a function makes the data; when it fails, the row is not captured, the transaction goes on
CREATE FUNCTION app.data(m app.message) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF m.status = 'none' THEN RETURN NULL; END IF;
	IF m.status = 'scalar' THEN RETURN '1'; END IF;
	RETURN jsonb_build_object('n', 1 / m.id);
END
$$;
SELECT bm_webhook.watch('app.message', 'message.{status}', function => 'app.data(app.message)', operations => '{DELETE,UPDATE}');
UPDATE app.message SET status = 'ok' WHERE id IN (0, 1);
UPDATE app.message SET status = 'none' WHERE id = 1;
UPDATE app.message SET status = 'scalar' WHERE id = 1;
CREATE OR REPLACE FUNCTION app.data(m app.message) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('replaced', m.id) $$;
DELETE FROM app.message WHERE id = 1;
SELECT type, data FROM events ORDER BY type, data::text;
TRUNCATE bm_webhook.event;
SELECT bm_webhook.unwatch('app.message');
-- plans follow the table
SELECT bm_webhook.watch('app.message', 'message.seen', operations => '{INSERT}');
ALTER TABLE app.message DROP COLUMN on_day, DROP COLUMN local_at, DROP COLUMN sent_at, DROP COLUMN "odd ""name";
INSERT INTO app.message (id) VALUES (200);
ALTER TABLE app.message ADD COLUMN extra text DEFAULT 'e';
ALTER TABLE app.message RENAME COLUMN body TO content;
INSERT INTO app.message (id) VALUES (201);
ALTER TABLE app.message RENAME TO letter;
INSERT INTO app.letter (id) VALUES (202);
SELECT type, message_id, data FROM events;
-- a column that a template needs is gone: the next write is reported, and does not fail
TRUNCATE bm_webhook.event;
ALTER TABLE app.letter RENAME COLUMN id TO number;
INSERT INTO app.letter (number) VALUES (203);
SELECT type, message_id, data FROM events;
SELECT bm_webhook.unwatch('app.letter');
INSERT INTO app.letter (number) VALUES (204);
TRUNCATE bm_webhook.event;
-- partitions: with another column order, and attached later
CREATE TABLE app.parted (id int, day int, status text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE app.parted_1 PARTITION OF app.parted FOR VALUES FROM (1) TO (2);
CREATE TABLE app.parted_2 (status text, junk int, day int NOT NULL, id int NOT NULL);
ALTER TABLE app.parted_2 DROP COLUMN junk;
ALTER TABLE app.parted ATTACH PARTITION app.parted_2 FOR VALUES FROM (2) TO (3);
CREATE FUNCTION app.parted_data(r app.parted) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('id', r.id, 'day', r.day, 'status', r.status) $$;
SELECT bm_webhook.watch('app.parted', 'parted.{status}', message_id => '{id}-{day}', columns => '{status,id}', changed => '{status}');
SELECT bm_webhook.watch('app.parted', 'parted.f.{status}', message_id => '{id}', function => 'app.parted_data(app.parted)');
CREATE TABLE app.parted_3 (id int NOT NULL, status text, day int NOT NULL);
ALTER TABLE app.parted ATTACH PARTITION app.parted_3 FOR VALUES FROM (3) TO (4);
INSERT INTO app.parted VALUES (1, 1, 'one'), (2, 2, 'two'), (3, 3, 'three');
UPDATE app.parted SET status = 'done' WHERE id = 2;
SELECT type, message_id, data FROM events;
SELECT bm_webhook.unwatch('app.parted_1');
SELECT bm_webhook.unwatch('app.parted');
TRUNCATE bm_webhook.event;
-- misuse
CREATE FUNCTION misuse(definition text, arguments text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text;
	message text;
BEGIN
	EXECUTE format('CREATE TRIGGER t %s EXECUTE FUNCTION bm_webhook.capture(%s)', definition, arguments);
	EXECUTE 'INSERT INTO app.letter (number) VALUES (300)';
	EXECUTE 'TRUNCATE app.letter';
	SELECT data->>'error' INTO message FROM bm_webhook.event WHERE type = 'webhook.capture_failed';
	EXECUTE 'DROP TRIGGER t ON app.letter';
	TRUNCATE bm_webhook.event;
	RETURN 'reported: ' || message;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
	RETURN state || ' ' || message;
END
$$;
SELECT misuse(d, a) FROM (VALUES
	('BEFORE INSERT ON app.letter FOR EACH ROW', '''type=a.b'''),
	('AFTER INSERT ON app.letter FOR EACH STATEMENT', '''type=a.b'''),
	('AFTER TRUNCATE ON app.letter', '''type=a.b'''),
	('AFTER INSERT ON app.letter FOR EACH ROW', ''),
	('AFTER INSERT ON app.letter FOR EACH ROW', '''message'''),
	('AFTER INSERT ON app.letter FOR EACH ROW', '''type=a.b'', ''x=y'''),
	('AFTER INSERT ON app.letter FOR EACH ROW', '''type=a.b'', ''type=c.d'''),
	('AFTER INSERT ON app.letter FOR EACH ROW', '''type=a.b'', ''when=true'''),
	('AFTER INSERT ON app.letter FOR EACH ROW', '''type=a.{nothing}'''),
	('AFTER INSERT ON app.letter FOR EACH ROW', '''type=a.b'', ''columns={nothing}'''),
	('AFTER INSERT ON app.letter FOR EACH ROW', '''type=a.b'', ''columns={}'''),
	('AFTER INSERT ON app.letter FOR EACH ROW', '''type=a.b'', ''function=app.nothing'''),
	('AFTER INSERT ON app.letter FOR EACH ROW', '''type=a.{''')) AS t (d, a);
DROP FUNCTION misuse;
DROP VIEW events;
SET client_min_messages = warning;
DROP SCHEMA app CASCADE;

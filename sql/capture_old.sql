-- old => true: the row before the change beside that after it.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS bm_webhook;
RESET client_min_messages;
TRUNCATE bm_webhook.event;
CREATE SCHEMA app;
CREATE TABLE app.message (gone text, id bigint PRIMARY KEY, status text, secret text, note jsonb);
ALTER TABLE app.message DROP COLUMN gone;
CREATE VIEW events AS SELECT type, message_id, data FROM bm_webhook.event ORDER BY type, id;
-- each operation, at both levels; every column, or some: what must not leave is in neither row
SELECT bm_webhook.watch('app.message', 'row.all', operations => '{INSERT,UPDATE,DELETE}', old => true);
SELECT bm_webhook.watch('app.message', 'row.{status}', operations => '{INSERT,UPDATE,DELETE}', columns => '{id,status}', old => true);
SELECT bm_webhook.watch('app.message', 'statement.all', operations => '{INSERT,UPDATE,DELETE}', level => 'statement', old => true);
SELECT bm_webhook.watch('app.message', 'statement.{status}', operations => '{INSERT,UPDATE,DELETE}', columns => '{id,status}',
	level => 'statement', old => true);
SELECT event_type, level, operations, old FROM bm_webhook.watch_list WHERE relation = 'app.message'::regclass ORDER BY event_type;
INSERT INTO app.message VALUES (1, 'made', 's1', '{"a": 1}');
UPDATE app.message SET status = 'changed', secret = 's2';
DELETE FROM app.message;
SELECT * FROM events;
TRUNCATE bm_webhook.event;
-- many rows are paired by their key, in batches; a key that changes has no old row at statement level
INSERT INTO app.message SELECT g, 'made' FROM generate_series(1, 2500) g;
TRUNCATE bm_webhook.event;
UPDATE app.message SET status = 'n' || id;
SELECT type, count(*), count(*) FILTER (WHERE data->'record'->>'id' = data->'old_record'->>'id' AND data->'old_record'->>'status' = 'made'
	AND data->'record'->>'status' = 'n' || message_id) AS paired FROM bm_webhook.event WHERE type LIKE '%.all' GROUP BY type ORDER BY type;
TRUNCATE bm_webhook.event;
UPDATE app.message SET id = -id, status = 'moved' WHERE id = 7;
SELECT * FROM events;
TRUNCATE bm_webhook.event;
-- of an INSERT that became an UPDATE
INSERT INTO app.message (id, status) VALUES (8, 'made'), (5000, 'made') ON CONFLICT (id) DO UPDATE SET status = 'merged';
SELECT * FROM events WHERE type ~ 'made|merged';
TRUNCATE bm_webhook.event;
SELECT bm_webhook.unwatch('app.message');
DELETE FROM app.message;
-- with changed and a condition; without old, data is the row as ever
SELECT bm_webhook.watch('app.message', 'message.{status}', columns => '{status}', operations => '{UPDATE,DELETE}', changed => '{status}',
	condition => 'OLD.id < 3', old => true);
SELECT bm_webhook.watch('app.message', 'bulk.{status}', columns => '{status}', operations => '{UPDATE,DELETE}', changed => '{status}',
	condition => 'OLD.id < 3', level => 'statement', old => true);
SELECT bm_webhook.watch('app.message', 'new.{status}', columns => '{status}', operations => '{UPDATE,DELETE}', changed => '{status}',
	level => 'statement', old => false);
INSERT INTO app.message (id, status) VALUES (1, 'a'), (2, 'b'), (3, 'c');
UPDATE app.message SET status = 'b';
DELETE FROM app.message WHERE id <> 2;
SELECT * FROM events;
TRUNCATE bm_webhook.event;
SELECT bm_webhook.unwatch('app.message');
-- a function makes both; what a template takes of its result is that of the row that the event is about
CREATE FUNCTION app.data(m app.message) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN CASE m.status WHEN 'null' THEN NULL WHEN 'list' THEN '[]' WHEN 'error' THEN to_jsonb(1 / (m.id - m.id))
		ELSE jsonb_build_object('kind', m.status, 'id', m.id) END;
END
$$;
SELECT bm_webhook.watch('app.message', 'f.{data.kind}', function => 'app.data(app.message)', operations => '{UPDATE,DELETE}', old => true);
SELECT bm_webhook.watch('app.message', 'g.{data.kind}', function => 'app.data(app.message)', operations => '{UPDATE,DELETE}',
	level => 'statement', old => true);
UPDATE app.message SET status = 'other';
DELETE FROM app.message;
SELECT * FROM events;
TRUNCATE bm_webhook.event;
SELECT bm_webhook.unwatch('app.message', 'g.{data.kind}');
INSERT INTO app.message (id, status) VALUES (1, 'null'), (2, 'list'), (3, 'error'), (4, 'fine');
UPDATE app.message SET status = CASE id WHEN 4 THEN 'null' ELSE 'good' END;
SELECT type, data->>'error' AS error FROM bm_webhook.event ORDER BY id;
TRUNCATE bm_webhook.event;
SELECT bm_webhook.unwatch('app.message');
-- together they are as large as data may be
DELETE FROM app.message;
SELECT bm_webhook.watch('app.message', 'message.text', operations => '{UPDATE}', columns => '{status}', old => true);
SELECT bm_webhook.watch('app.message', 'message.json', operations => '{UPDATE}', columns => '{note}', level => 'statement', old => true);
INSERT INTO app.message (id, status, note) VALUES (1, repeat('x', 100000), '[]'), (2, repeat('x', 150000), '[]'), (3, 'x', '[1e130000, 1e10000]');
UPDATE app.message SET status = repeat('y', 150000), note = CASE WHEN id < 3 THEN note ELSE '[1e130000, 1e20000]' END;
SELECT type, length(data::text) > 240000 AS is_long, data->>'error' AS error FROM bm_webhook.event ORDER BY type, id;
TRUNCATE bm_webhook.event;
-- a column that goes
ALTER TABLE app.message DROP COLUMN note;
UPDATE app.message SET status = 'z';
SELECT type, count(*), min(data->>'error') AS error FROM bm_webhook.event GROUP BY type ORDER BY type;
TRUNCATE bm_webhook.event;
-- partitions whose columns have another order; a row that moves is deleted here and inserted there
CREATE TABLE app.parted (id int, day date, status text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE app.parted_1 PARTITION OF app.parted FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE app.parted_2 (status text, day date NOT NULL, x int, id int NOT NULL, PRIMARY KEY (id, day));
ALTER TABLE app.parted_2 DROP COLUMN x;
ALTER TABLE app.parted ATTACH PARTITION app.parted_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
SELECT bm_webhook.watch('app.parted', 'parted.changed', message_id => '{id}', operations => '{INSERT,UPDATE,DELETE}', old => true);
INSERT INTO app.parted VALUES (1, '2026-01-01', 'a'), (2, '2026-02-02', 'b');
UPDATE app.parted SET status = status || 'x';
UPDATE app.parted SET day = '2026-02-03' WHERE id = 1;
SELECT message_id, data FROM events;
TRUNCATE bm_webhook.event;
-- refusals
SELECT bm_webhook.watch('app.message', 'a.b', old => NULL);
SELECT bm_webhook.watch('app.message', 'a.b', operations => '{INSERT}', old => true);
CREATE TABLE app.no_key (id int);
SELECT bm_webhook.watch('app.no_key', 'a.b', message_id => '{id}', level => 'statement', old => true);
SELECT bm_webhook.watch('app.no_key', 'a.b', message_id => '{id}', level => 'statement', operations => '{INSERT,DELETE}', old => true);
SELECT bm_webhook.watch('app.no_key', 'a.c', message_id => '{id}', old => true);
CREATE TRIGGER no_pairs AFTER UPDATE ON app.no_key REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT
	EXECUTE FUNCTION bm_webhook.capture('type=a.b', 'old=true');
UPDATE app.no_key SET id = 1;
DROP TRIGGER no_pairs ON app.no_key;
SELECT bm_webhook.unwatch('app.no_key', 'a.c');
CREATE TRIGGER no_boolean AFTER INSERT ON app.no_key FOR EACH ROW EXECUTE FUNCTION bm_webhook.capture('type=a.b', 'old=1');
INSERT INTO app.no_key VALUES (1);
TRUNCATE bm_webhook.event;
SELECT bm_webhook.watch('app.message', E'a.{status}', application => E'\\000old=true\\000');
SELECT event_type, old FROM bm_webhook.watch_list WHERE relation = 'app.message'::regclass ORDER BY event_type;
DROP VIEW events;
SET client_min_messages = warning;
DROP SCHEMA app CASCADE;

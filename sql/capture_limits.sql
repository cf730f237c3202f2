-- A value whose text is huge, or whose type raises an error, never fails the statement that wrote it.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS bm_webhook;
RESET client_min_messages;
TRUNCATE bm_webhook.event;
\set many '''['' || repeat(''1e130000,'', 8399) || ''1e130000]'''
CREATE TYPE huge_pair AS (a numeric, b jsonb);
CREATE TABLE huge (id int PRIMARY KEY, j jsonb, n numeric, a numeric[], p huge_pair, t text, aj jsonb[]);
SELECT bm_webhook.watch('huge', 'huge.row');
SELECT bm_webhook.watch('huge', 'huge.bulk', level => 'statement');
SELECT bm_webhook.watch('huge', 'huge.part', columns => '{id,n}', operations => '{INSERT}');
SELECT bm_webhook.watch('huge', 'huge.named', columns => '{id}', message_id => '{j}', operations => '{INSERT}');

-- 2 kB on disk, a gigabyte of text
INSERT INTO huge (id, j) VALUES (1, (:many)::jsonb);
INSERT INTO huge (id, a) SELECT 2, array_agg('1e130000'::numeric) FROM generate_series(1, 8400);
INSERT INTO huge (id, p) VALUES (3, ROW (1, (:many)::jsonb));
INSERT INTO huge (id, aj) SELECT 4, array_agg('[1e130000]'::jsonb) FROM generate_series(1, 8400);
INSERT INTO huge (id, t) VALUES (5, repeat('x', 300000));
-- what fits
INSERT INTO huge (id, n, j, a, p, t) VALUES (6, '1e1000', '[1e1000, {"a": [null, true, "x"]}]', '{1,NULL}', (NULL, '{}'), 'x');
SELECT type, count(*), count(*) FILTER (WHERE length(data::text) > 262144) AS too_long FROM bm_webhook.event GROUP BY type ORDER BY type;
SELECT data->>'error' AS error, count(*) FROM bm_webhook.event WHERE type = 'webhook.capture_failed' GROUP BY 1 ORDER BY 1;

-- what a function makes
CREATE FUNCTION huge_data(h huge) RETURNS jsonb LANGUAGE sql AS $$SELECT ('{"x": [' || repeat('1e130000,', 8399) || '1]}')::jsonb$$;
SELECT bm_webhook.unwatch('huge');
SELECT bm_webhook.watch('huge', 'huge.made', function => 'huge_data(huge)');
TRUNCATE bm_webhook.event;
INSERT INTO huge (id) VALUES (7);
SELECT type, data->>'type' AS type_of, data->>'message_id' AS message_id, data->>'error' AS error FROM bm_webhook.event;

-- emit() is the caller's own statement, and says so
SELECT bm_webhook.emit('huge.emitted', ('{"x": ' || :many || '}')::jsonb);
\echo :SQLSTATE

-- a type that raises an error when it is read as json
CREATE TYPE touchy AS ENUM ('a');
CREATE FUNCTION touchy_json(touchy) RETURNS json LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'not today'; END$$;
CREATE CAST (touchy AS json) WITH FUNCTION touchy_json(touchy);
CREATE TABLE touched (id int PRIMARY KEY, t touchy);
SELECT bm_webhook.watch('touched', 'touched.row');
SELECT bm_webhook.watch('touched', 'touched.bulk', level => 'statement');
TRUNCATE bm_webhook.event;
INSERT INTO touched VALUES (1, 'a'), (2, NULL);
SELECT type, coalesce(message_id, data->>'message_id') AS message_id, data->>'error' AS error FROM bm_webhook.event ORDER BY id;
-- the names of a message, of a type whose output function may raise an error, or whose text is huge
CREATE TABLE sent (id jsonb, channel text, sender text, recipient text, status text);
SELECT bm_webhook.watch_messages('sent', message_id => '{id}');
TRUNCATE bm_webhook.event;
INSERT INTO sent VALUES ((:many)::jsonb, 'sms', 'shop', '+33612345678', 'sent');
SELECT type, data->>'error' AS error FROM bm_webhook.event;
TRUNCATE bm_webhook.event;
DROP TABLE huge, touched, sent CASCADE;
DROP FUNCTION touchy_json CASCADE;
DROP TYPE huge_pair, touchy;

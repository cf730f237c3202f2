-- emit() and ping(): what is accepted, what is refused, whose transaction it is.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS bm_webhook;
RESET client_min_messages;
SET timezone = 'UTC';
CREATE FUNCTION attempt(statement text) RETURNS TABLE (state text, message text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN QUERY SELECT '00000', 'ok';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
	RETURN NEXT;
END
$$;
INSERT INTO bm_webhook.endpoint (url, enabled) VALUES ('https://example.com/', false) RETURNING id AS endpoint \gset
BEGIN;
SELECT bm_webhook.emit('message.sent', '{"a": [1, "ä"]}') AS plain \gset
SELECT bm_webhook.emit('message.sent', '{}', 'shop', 'sms', 'm-1', '2026-01-02 03:04:05+00', :endpoint) AS full \gset
SELECT type, application, channel, message_id, endpoint_id = :endpoint AS endpoint, occurred_at = created_at AS at_capture, data,
	xid = pg_current_xact_id() AS own_xid, bm_webhook.uuid_time(id) - created_at BETWEEN '-1 ms' AND '1 ms' AS id_of_time
FROM bm_webhook.event WHERE id IN (:'plain', :'full') ORDER BY id;
SELECT occurred_at FROM bm_webhook.event WHERE id = :'full';
SELECT :'plain'::uuid < :'full'::uuid AS ascending, tableoid::regclass::text ~ '^bm_webhook_internal.event_\d{8}$' AS in_partition_of_today
FROM bm_webhook.event WHERE id = :'plain';
COMMIT;
-- all or nothing, savepoints included
BEGIN;
SELECT bm_webhook.emit('a.outer', '{}') IS NOT NULL AS emitted;
SAVEPOINT s;
SELECT bm_webhook.emit('a.rolled_back', '{}') IS NOT NULL AS emitted;
ROLLBACK TO s;
SAVEPOINT s;
SELECT bm_webhook.emit('a.released', '{}') IS NOT NULL AS emitted;
RELEASE s;
COMMIT;
BEGIN;
SELECT bm_webhook.emit('a.aborted', '{}') IS NOT NULL AS emitted;
ROLLBACK;
SELECT type, xid = max(xid) OVER () AS top_level_xid FROM bm_webhook.event WHERE type ~ '^a\.' ORDER BY id;
-- a wrong argument is the caller's error
SELECT a.*, v AS arguments FROM (VALUES
	(1, $$NULL, '{}'$$), (2, $$'a.b', NULL$$), (3, $$'', '{}'$$), (4, $$'message', '{}'$$), (5, $$'a b.c', '{}'$$), (6, $$'A.b', '{}'$$), (7, $$'a..b', '{}'$$),
	(8, $$'a.b', '[]'$$), (9, $$'a.b', '1'$$), (10, $$'a.b', 'null'$$),
	(11, $$'a.b', '{bad'$$), (12, $$'a.b', '{"a": "\u0000"}'$$), (13, $$'a.b', '{"a": "\ud800"}'$$),
	(14, $$'a.b', '{}', application => ''$$), (15, $$'a.b', '{}', application => E'a\nb'$$), (16, $$'a.b', '{}', application => repeat('x', 129)$$),
	(17, $$'a.b', '{}', channel => 'SMS'$$), (18, $$'a.b', '{}', channel => ''$$), (19, $$'a.b', '{}', channel => '1x'$$), (20, $$'a.b', '{}', channel => repeat('x', 33)$$),
	(21, $$'a.b', '{}', message_id => E'\x7f'$$), (22, $$'a.b', '{}', message_id => repeat('x', 129)$$), (23, $$'a.b', '{}', message_id => repeat('x', 128)$$),
	(24, $$'a.b', '{}', occurred_at => 'infinity'$$), (25, $$'a.b', '{}', occurred_at => '0044-03-15 BC'$$), (26, $$'a.b', '{}', occurred_at => '10000-01-01'$$),
	(27, $$'a.b', '{}', endpoint => -1$$), (28, $$'a.b', '{}', endpoint => 0$$),
	(29, $$repeat('a', 127) || '.b', '{}'$$),
	(30, $$'a.b', jsonb_build_object('x', repeat('y', 262135))$$), (31, $$'a.b', jsonb_build_object('x', repeat('y', 262136))$$)) AS t (n, v),
	attempt('SELECT bm_webhook.emit(' || v || ')') a ORDER BY n;
-- not in a read-only transaction
BEGIN READ ONLY;
SELECT bm_webhook.emit('a.b', '{}');
ROLLBACK;
-- a failed insert leaves the caller's role as it was, inside and outside of a block that catches it
ALTER TABLE bm_webhook.event ADD CONSTRAINT no_x CHECK (type <> 'no.x') NOT VALID;
DO $$
DECLARE
	before name = current_user;
BEGIN
	PERFORM bm_webhook.emit('no.x', '{}');
EXCEPTION WHEN check_violation THEN
	RAISE NOTICE 'caught; same role: %', current_user = before;
END
$$;
BEGIN;
SAVEPOINT s;
\set VERBOSITY sqlstate
SELECT bm_webhook.emit('no.x', '{}');
\set VERBOSITY default
ROLLBACK TO s;
SELECT current_user = session_user AS same_role;
COMMIT;
ALTER TABLE bm_webhook.event DROP CONSTRAINT no_x;
-- a hostile search_path changes nothing
CREATE SCHEMA evil;
CREATE FUNCTION evil.eq(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil as %', current_user; END $$;
CREATE OPERATOR evil.= (leftarg = bigint, rightarg = bigint, function = evil.eq);
CREATE FUNCTION evil.unnest(anyarray) RETURNS SETOF anyelement LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil as %', current_user; END $$;
CREATE TYPE evil.uuid AS (x int);
BEGIN;
SET LOCAL search_path = evil, pg_catalog;
SELECT bm_webhook.emit('evil.path', '{}', endpoint => :endpoint) IS NOT NULL AS emitted;
COMMIT;
SET client_min_messages = warning;
DROP SCHEMA evil CASCADE;
RESET client_min_messages;
-- ping
-- a disabled endpoint gets nothing, and who pings it is told
SELECT state, replace(message, :'endpoint', 'n') AS message FROM attempt(format('SELECT bm_webhook.ping(%s)', :endpoint));
BEGIN;
UPDATE bm_webhook.endpoint SET enabled = true WHERE id = :endpoint;
SELECT bm_webhook.ping(:endpoint) AS ping \gset
SELECT type, endpoint_id = :endpoint AS endpoint, data->>'endpoint_id' = :'endpoint' AS data FROM bm_webhook.event WHERE id = :'ping';
ROLLBACK;
SELECT bm_webhook.ping(-1);
SELECT bm_webhook.ping(NULL) IS NULL AS nothing;
BEGIN;
UPDATE bm_webhook.endpoint SET enabled = true;
SELECT bm_webhook.ping(:endpoint, 'message.read') AS ping \gset
SELECT type, channel, message_id, endpoint_id = :endpoint AS endpoint, data::jsonb = (SELECT t.example->'data' FROM bm_webhook.event_type t
	WHERE t.name = e.type) AS as_documented FROM bm_webhook.event e WHERE id = :'ping';
SELECT count(*) AS in_reports FROM bm_webhook.message_state;
SELECT count(bm_webhook.ping(:endpoint, name)) = count(*) AS every_type FROM bm_webhook.event_type;
ROLLBACK;
UPDATE bm_webhook.endpoint SET enabled = true;
SELECT bm_webhook.ping(:endpoint, 'no.such.type');
-- until when it is worth sending
SELECT bm_webhook.emit('time.limited', '{}', expires_at => '2030-01-01 00:00:00 UTC') AS limited \gset
SELECT bm_webhook.emit('time.limited', '{}', expires_at => 'infinity') AS unlimited \gset
SELECT id = :'limited' AS limited, expires_at FROM bm_webhook.event WHERE type = 'time.limited' ORDER BY id;
SELECT bm_webhook.emit('time.limited', '{}', expires_at => '-infinity');
SELECT bm_webhook.emit('time.kept', '{}', NULL, NULL, NULL, NULL, NULL, NULL, NULL) IS NOT NULL AS emitted;
-- an idempotency key: the first event's id, for the same application, as long as the key counts
SELECT bm_webhook.emit('key.used', '{"b": 1, "a": 2}', 'shop', idempotency_key => 'order-17') AS first \gset
SELECT bm_webhook.emit('key.used', '{"a": 2, "b": 1}', 'shop', idempotency_key => 'order-17') = :'first' AS same;
SELECT bm_webhook.emit('key.used', '{"a": 3, "b": 1}', 'shop', idempotency_key => 'order-17') = :'first' AS same;
SELECT bm_webhook.emit('key.used.otherwise', '{"a": 2, "b": 1}', 'shop', idempotency_key => 'order-17') = :'first' AS same;
SELECT bm_webhook.emit('key.used', '{"a": 2, "b": 1}', 'bank', idempotency_key => 'order-17') = :'first' AS same;
SELECT bm_webhook.emit('key.used', '{"a": 2, "b": 1}', idempotency_key => 'order-17') = :'first' AS same;
SELECT bm_webhook.emit('key.used', '{"a": 2, "b": 1}', 'shop', idempotency_key => 'order-18') = :'first' AS same;
SELECT count(*) FROM bm_webhook.event WHERE type LIKE 'key.used%';
BEGIN;
SELECT bm_webhook.emit('key.used', '{}', idempotency_key => 'undone') AS undone \gset
SAVEPOINT s;
SELECT bm_webhook.emit('key.used', '{}', idempotency_key => 'undone') = :'undone' AS same;
SELECT bm_webhook.emit('key.used', '{}', idempotency_key => 'undone, too') AS undone \gset
ROLLBACK TO s;
SELECT bm_webhook.emit('key.used', '{}', idempotency_key => 'undone, too') = :'undone' AS same;
ROLLBACK;
SELECT bm_webhook.emit('key.used', '{}', idempotency_key => 'undone') = :'undone' AS same;
BEGIN;
SET LOCAL bm_webhook.idempotency_window = '1 s';
SELECT bm_webhook.emit('key.used', '{}', idempotency_key => 'short') AS short \gset
SELECT pg_sleep(1.1);
SELECT bm_webhook.emit('key.used', '{}', idempotency_key => 'short') = :'short' AS same;
ROLLBACK;
SELECT bm_webhook.emit('key.used', '{}', idempotency_key => '');
SELECT bm_webhook.emit('key.used', '{}', idempotency_key => repeat('k', 256));
SELECT bm_webhook.emit('key.used', '{}', idempotency_key => repeat('k', 255)) IS NOT NULL AS emitted;
SELECT bm_webhook.emit('No type', '{}', idempotency_key => 'order-17');
DELETE FROM bm_webhook.endpoint;
TRUNCATE bm_webhook.event;
DROP FUNCTION attempt;

-- the first second of 2000 is a time like any other
SELECT bm_webhook.emit('time.kept', '{}', occurred_at => '2000-01-01 00:00:00+00') AS event \gset
SELECT occurred_at = '2000-01-01 00:00:00+00' AS kept FROM bm_webhook.event WHERE id = :'event';

-- retry_set_aside(): what it writes, what it refuses, and who may call it.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS bm_webhook;
RESET client_min_messages;
CREATE ROLE bm_regress_nobody;
GRANT USAGE ON SCHEMA bm_webhook, bm_webhook_internal TO bm_regress_nobody;
SET ROLE bm_regress_nobody;
SELECT bm_webhook.retry_set_aside();
SELECT * FROM bm_webhook.set_aside;
RESET ROLE;

SELECT bm_webhook.retry_set_aside();
SELECT bm_webhook.retry_set_aside(event => '00000000-0000-7000-8000-000000000001');
SELECT bm_webhook.retry_set_aside(endpoint => -1);

-- One that has no row yet; one whose row waits; one whose row has ended meanwhile.
CREATE TABLE given AS SELECT n, bm_webhook.emit('test.set_aside', '{}', endpoint => NULL, message_id => 'm' || n) AS id FROM generate_series(1, 4) n;
INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts, next_attempt_at, last_attempt_at)
	SELECT id, -1, CASE n WHEN 3 THEN 'delivered' ELSE 'pending' END, 1, 'infinity', '2026-01-01' FROM given WHERE n IN (2, 3);
INSERT INTO bm_webhook.set_aside (event_id, endpoint_id, cause, sqlstate, status, attempts, last_attempt_at, error_class, error, duration,
	is_failed_attempt, is_exhausted, response)
	SELECT id, -1, 'a trigger', 'P0001', CASE WHEN n = 3 THEN 'pending' ELSE 'failed' END, 2, '2026-01-02', 'http_status', 'HTTP status 500', '1 s', n <> 3, n = 2, 'sorry'
	FROM given;
ALTER TABLE bm_webhook.delivery ADD CONSTRAINT refuse CHECK (status <> 'failed') NOT VALID;
SELECT bm_webhook.retry_set_aside();
SELECT n, cause = 'a trigger' AS is_first_cause, sqlstate FROM bm_webhook.set_aside JOIN given ON id = event_id ORDER BY n;
ALTER TABLE bm_webhook.delivery DROP CONSTRAINT refuse;
SELECT bm_webhook.retry_set_aside(id) FROM given WHERE n = 1;
BEGIN;
SELECT bm_webhook.retry_set_aside(endpoint => -1);
ROLLBACK;
SELECT count(*) FROM bm_webhook.set_aside;
SELECT bm_webhook.retry_set_aside();
SELECT n, d.status, d.attempts, d.next_attempt_at, d.last_attempt_at AT TIME ZONE 'UTC' AS last_attempt_at, d.error, f.attempt, f.response
	FROM given JOIN bm_webhook.delivery d ON d.event_id = id LEFT JOIN bm_webhook.failed_attempt f ON f.event_id = id ORDER BY n;
SELECT message_id, data ->> 'endpoint_id' AS endpoint, data ->> 'attempts' AS attempts, data ->> 'error' AS error
	FROM bm_webhook.event WHERE type = 'delivery.exhausted' AND message_id ~ '^m[1-4]$';
SELECT count(*) FROM bm_webhook.set_aside;
DELETE FROM bm_webhook.delivery WHERE endpoint_id = -1;
DELETE FROM bm_webhook.failed_attempt WHERE endpoint_id = -1;
DROP TABLE given;
REVOKE USAGE ON SCHEMA bm_webhook, bm_webhook_internal FROM bm_regress_nobody;
DROP ROLE bm_regress_nobody;
TRUNCATE bm_webhook.event, bm_webhook.delivery, bm_webhook.failed_attempt;

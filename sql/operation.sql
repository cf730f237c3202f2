-- Operations: what may be asked for, by whom. What becomes of them is tested with a dispatcher.
SET client_min_messages = warning;
INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('bank');
INSERT INTO bm_webhook.endpoint (application, url) VALUES ('shop', 'https://shop.example.com/'), ('bank', 'https://bank.example.com/');
SELECT id AS shop FROM bm_webhook.endpoint WHERE application = 'shop' \gset
SELECT id AS bank FROM bm_webhook.endpoint WHERE application = 'bank' \gset
INSERT INTO bm_webhook.event (id, xid, type, application, occurred_at, created_at, data)
	SELECT bm_webhook.uuid_floor('2026-01-01'::timestamptz + n * interval '1 hour'), pg_current_xact_id(), 'order.paid', 'shop', now(), now(), '{}'
	FROM generate_series(0, 9) n;
INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts, last_attempt_at, error_class)
	SELECT e.id, p.id, 'failed', 1, '2026-01-02', CASE WHEN e.id < bm_webhook.uuid_floor('2026-01-01 05:00') THEN 'timeout' ELSE 'http_5xx' END
	FROM bm_webhook.event e, bm_webhook.endpoint p;

-- a dry run counts
SELECT * FROM bm_webhook.redeliver(:shop, '2026-01-01', dry_run => true);
SELECT * FROM bm_webhook.redeliver(:shop, '2026-01-01 02:00', '2026-01-01 04:00', dry_run => true);
SELECT * FROM bm_webhook.redeliver(:shop, '2026-01-01', error_class => '{timeout,connect}', dry_run => true);
SELECT * FROM bm_webhook.redeliver(:shop, '2026-01-01', max_rows => 3, dry_run => true);
SELECT * FROM bm_webhook.redeliver(:shop, '2026-01-01', status => '{canceled,delivered}', dry_run => true);
SELECT * FROM bm_webhook.redeliver(:shop, '-infinity', 'infinity', dry_run => true);
SELECT count(*) FROM bm_webhook.operation WHERE kind = 'redeliver';

SELECT operation, endpoint_id = :shop AS shop, matched FROM bm_webhook.cancel(endpoint => :shop);
SELECT count(*) FROM bm_webhook.cancel(everything => true);

-- what makes no sense
SELECT bm_webhook.cancel();
SELECT bm_webhook.cancel(everything => false, dry_run => true);
SELECT bm_webhook.cancel(endpoint => -1);
SELECT bm_webhook.redeliver(endpoint => NULL::bigint, since => '2026-01-01');
SELECT bm_webhook.redeliver(:shop, NULL::timestamptz);
SELECT bm_webhook.redeliver(:shop, '2026-01-01', '2026-01-01');
SELECT bm_webhook.redeliver(:shop, '2026-01-01', status => '{lost}');
SELECT bm_webhook.redeliver(:shop, '2026-01-01', status => '{failed,NULL}');
SELECT bm_webhook.redeliver(:shop, '2026-01-01', status => NULL);
SELECT bm_webhook.redeliver(:shop, '2026-01-01', max_rows => 0);
SELECT bm_webhook.redeliver(-1, '2026-01-01');

-- owners ask for their own endpoints, and see what they have asked for; those of others do not exist
CREATE ROLE bm_regress_shop;
CREATE ROLE bm_regress_bank;
UPDATE bm_webhook.application SET owner = ('bm_regress_' || name)::regrole;
GRANT USAGE ON SCHEMA bm_webhook TO bm_regress_shop, bm_regress_bank;
GRANT SELECT (id, application) ON bm_webhook.endpoint TO bm_regress_shop, bm_regress_bank;
GRANT SELECT (name, owner) ON bm_webhook.application TO bm_regress_shop, bm_regress_bank;
GRANT SELECT (id, kind, endpoint_id, since, until, status, error_class, max_rows, matched, done, acting_as, ended_at, error)
	ON bm_webhook.operation TO bm_regress_shop, bm_regress_bank;
GRANT EXECUTE ON FUNCTION bm_webhook.cancel, bm_webhook.redeliver(bigint, timestamptz, timestamptz, text[], text[], bigint, boolean) TO bm_regress_shop, bm_regress_bank;
SET ROLE bm_regress_bank;
SELECT bm_webhook.redeliver(:shop, '2026-01-01', dry_run => true);
SELECT bm_webhook.cancel(endpoint => :shop);
RESET ROLE;
BEGIN;
UPDATE bm_webhook.delivery SET status = 'pending', next_attempt_at = 'infinity';
SET LOCAL ROLE bm_regress_bank;
SELECT endpoint_id = :bank AS own, matched FROM bm_webhook.cancel(everything => true, dry_run => true);
ROLLBACK;
BEGIN;
SET LOCAL ROLE bm_regress_shop;
SELECT operation > 0 AS asked, matched FROM bm_webhook.redeliver(:shop, '2026-01-01', max_rows => 3);
SELECT kind, endpoint_id = :shop AS shop, since, until < now() + interval '1 min' AS until, status, error_class, max_rows, matched, done, acting_as, ended_at, error
	FROM bm_webhook.operation WHERE kind = 'redeliver';
SAVEPOINT before;
INSERT INTO bm_webhook.operation (kind, matched, asked_by, acting_as) VALUES ('redeliver', 1, 'me', 'me');
ROLLBACK TO before;
UPDATE bm_webhook.operation SET done = 0;
ROLLBACK TO before;
SET LOCAL ROLE bm_regress_bank;
SELECT count(*) FROM bm_webhook.operation WHERE kind = 'redeliver';
ROLLBACK;
RESET ROLE;

TRUNCATE bm_webhook.event, bm_webhook.delivery, bm_webhook.operation;
DELETE FROM bm_webhook.endpoint;
DELETE FROM bm_webhook.application;
DROP OWNED BY bm_regress_shop, bm_regress_bank;
DROP ROLE bm_regress_shop, bm_regress_bank;

-- Who may do what: a plain role writes into a watched table, and reaches nothing of the extension.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS bm_webhook;
RESET client_min_messages;
SET client_min_messages = warning;
CREATE ROLE bm_regress_writer;
CREATE ROLE bm_regress_owner;
CREATE ROLE bm_regress_other;
CREATE ROLE bm_regress_dropped;
RESET client_min_messages;
CREATE TABLE watched (id int PRIMARY KEY, status text);
GRANT SELECT, INSERT, UPDATE, DELETE ON watched TO bm_regress_writer;
SELECT bm_webhook.watch('watched', 'watched.{status}', operations => '{INSERT,UPDATE,DELETE}');
SELECT bm_webhook.watch('watched', 'bulk.{status}', operations => '{INSERT,UPDATE,DELETE}', changed => '{status}', level => 'statement');
INSERT INTO bm_webhook.application (name, owner) VALUES ('ours', 'bm_regress_owner'), ('theirs', 'bm_regress_other'), ('nobody', 'bm_regress_dropped');
DROP ROLE bm_regress_dropped;
INSERT INTO bm_webhook.endpoint (application, url, enabled) VALUES ('ours', 'https://example.com/ours', false), ('theirs', 'https://example.com/theirs', false),
	(NULL, 'https://example.com/all', false);
CREATE FUNCTION attempt(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text;
	message text;
BEGIN
	EXECUTE statement;
	RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
	RETURN state || ' ' || message;
END
$$;
SET ROLE bm_regress_writer;
INSERT INTO watched VALUES (1, 'sent'), (2, 'sent');
UPDATE watched SET status = 'read' WHERE id = 1;
DELETE FROM watched WHERE id = 2;
SELECT current_user;
SELECT s AS statement, attempt(s) FROM unnest(ARRAY[
	'SELECT bm_webhook.emit(''a.b'', ''{}'')',
	'SELECT bm_webhook.watch(''watched'', ''a.b'')',
	'SELECT bm_webhook.sign(''x'', ''y'', now(), '''')',
	'SELECT * FROM bm_webhook.endpoint_secret',
	'INSERT INTO bm_webhook.event (id) VALUES (gen_random_uuid())']) s;
RESET ROLE;
SELECT type, message_id FROM bm_webhook.event WHERE type ~ '^(bulk|watched)' ORDER BY type, message_id;
-- with USAGE on the schema it is still nothing but the harmless functions
GRANT USAGE ON SCHEMA bm_webhook, bm_webhook_internal TO bm_regress_writer;
SET ROLE bm_regress_writer;
SELECT s AS statement, attempt(s) FROM unnest(ARRAY[
	'SELECT bm_webhook.emit(''a.b'', ''{}'')',
	'SELECT bm_webhook.ping(1)',
	'SELECT bm_webhook.secret(1)',
	'SELECT bm_webhook_internal.create_partitions(1)',
	'SELECT bm_webhook_internal.random_secret()',
	'SELECT bm_webhook.watch(''watched'', ''a.b'')',
	'SELECT bm_webhook.unwatch(''watched'')',
	'SELECT bm_webhook.exponential_backoff(''1 s'', 2, ''1 min'', 3)',
	'CREATE TABLE bm_webhook.mine ()',
	'CREATE TRIGGER t AFTER INSERT ON watched FOR EACH ROW EXECUTE FUNCTION bm_webhook.capture()',
	'SELECT * FROM bm_webhook.application', 'SELECT * FROM bm_webhook.endpoint', 'SELECT * FROM bm_webhook.endpoint_secret',
	'SELECT * FROM bm_webhook.event', 'SELECT * FROM bm_webhook.delivery', 'SELECT * FROM bm_webhook.failed_attempt', 'SELECT * FROM bm_webhook.cursor',
	'SELECT * FROM bm_webhook.attempt', 'SELECT * FROM bm_webhook.backlog',
	'INSERT INTO bm_webhook.event (id) VALUES (gen_random_uuid())', 'DELETE FROM bm_webhook.event', 'TRUNCATE bm_webhook.event',
	'LOCK TABLE bm_webhook.event', 'INSERT INTO bm_webhook.endpoint (url) VALUES (''https://example.com/'')']) s;
RESET ROLE;
-- emit() needs EXECUTE alone, not rights on the tables
GRANT EXECUTE ON FUNCTION bm_webhook.emit, bm_webhook.ping TO bm_regress_writer;
SELECT id AS ours FROM bm_webhook.endpoint WHERE application = 'ours' \gset
SET ROLE bm_regress_writer;
SELECT attempt('SELECT bm_webhook.emit(''a.b'', ''{}'')'), attempt('SELECT bm_webhook.ping(-1)');
-- but an endpoint of somebody else's application is out of reach, also with emit()
SELECT replace(attempt(format('SELECT bm_webhook.ping(%s)', :ours)), 'endpoint ' || :'ours', 'endpoint n') AS ping,
	replace(attempt(format('SELECT bm_webhook.emit(''a.b'', ''{}'', endpoint => %s)', :ours)), 'endpoint ' || :'ours', 'endpoint n') AS emit;
RESET ROLE;
GRANT bm_regress_owner TO bm_regress_writer;
SET ROLE bm_regress_writer;
SELECT replace(attempt(format('SELECT bm_webhook.ping(%s)', :ours)), 'endpoint ' || :'ours', 'endpoint n') AS ping_of_member;
RESET ROLE;
REVOKE bm_regress_owner FROM bm_regress_writer;
SET ROLE bm_regress_writer;
RESET ROLE;
-- a table's owner watches it with USAGE on the schema and EXECUTE on the functions
GRANT USAGE ON SCHEMA bm_webhook, bm_webhook_internal TO bm_regress_owner;
GRANT SELECT (id, application, url, enabled), INSERT (application, url, enabled), UPDATE (url, enabled), DELETE ON bm_webhook.endpoint TO bm_regress_owner;
GRANT SELECT (name, owner, deleted_at) ON bm_webhook.application TO bm_regress_owner;
GRANT SELECT ON bm_webhook.endpoint_secret TO bm_regress_owner;
GRANT EXECUTE ON FUNCTION bm_webhook.secret(bigint) TO bm_regress_owner;
-- row-level security: only what is ours
SET ROLE bm_regress_owner;
SELECT name FROM bm_webhook.application;
SELECT application, url FROM bm_webhook.endpoint;
SELECT count(*) FROM bm_webhook.endpoint_secret;
SELECT bm_webhook.secret(:ours) ~ '^whsec_' AS readable, attempt(format('SELECT bm_webhook.secret(%s)', :ours + 1)) ~ '^42704' AS not_theirs;
INSERT INTO bm_webhook.endpoint (application, url, enabled) VALUES ('ours', 'https://example.com/second', false);
SELECT count(*) FROM bm_webhook.endpoint_secret;
SELECT attempt('INSERT INTO bm_webhook.endpoint (application, url, enabled) VALUES (''theirs'', ''https://example.com/x'', false)');
SELECT attempt('INSERT INTO bm_webhook.endpoint (url, enabled) VALUES (''https://example.com/x'', false)');
UPDATE bm_webhook.endpoint SET enabled = false;
SELECT attempt('UPDATE bm_webhook.endpoint SET application = ''theirs''');
RESET ROLE;
-- the dispatcher's role sees every endpoint, and may disable it, but not redirect it
SET ROLE bm_webhook;
SELECT count(*) FROM bm_webhook.endpoint;
SELECT count(*) FROM bm_webhook.endpoint_secret;
UPDATE bm_webhook.endpoint SET enabled = false WHERE application = 'ours';
UPDATE bm_webhook.endpoint_state SET failing_since = NULL, disabled_reason = 'gone';
SELECT attempt('UPDATE bm_webhook.endpoint SET url = ''https://example.org/''');
SELECT attempt('INSERT INTO bm_webhook.endpoint_secret (endpoint_id, secret) VALUES (1, ''x'')');
SELECT application, url, pending, retrying, not_taken FROM bm_webhook.backlog ORDER BY url;
RESET ROLE;
SELECT rolcanlogin, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolbypassrls FROM pg_roles WHERE rolname = 'bm_webhook';
-- texts of errors and other databases are for pg_monitor and for owners
BEGIN;
INSERT INTO watched VALUES (9, 'not a type');
ROLLBACK;
CREATE FUNCTION seen_of_dispatchers(OUT others bool, OUT pids bool, OUT texts bool, OUT failures bool) LANGUAGE sql AS $$
	SELECT bool_or(s.database <> d.oid), bool_or(s.pid IS NOT NULL), bool_or(s.last_capture_error IS NOT NULL), bool_or(s.capture_failures > 0)
	FROM bm_webhook_internal.dispatchers() s, pg_database d WHERE d.datname = current_database()
$$;
SELECT texts, failures FROM seen_of_dispatchers();
SET ROLE bm_regress_writer;
SELECT * FROM seen_of_dispatchers();
RESET ROLE;
GRANT pg_monitor TO bm_regress_writer;
SET ROLE bm_regress_writer;
SELECT texts, failures FROM seen_of_dispatchers();
RESET ROLE;
REVOKE pg_monitor FROM bm_regress_writer;
DROP FUNCTION seen_of_dispatchers;
DELETE FROM bm_webhook.application WHERE name = 'nobody';
DELETE FROM bm_webhook.endpoint;
DELETE FROM bm_webhook.application;
TRUNCATE bm_webhook.event;
DROP TABLE watched;
DROP FUNCTION attempt;
REVOKE ALL ON SCHEMA bm_webhook, bm_webhook_internal FROM bm_regress_writer, bm_regress_owner;
DROP OWNED BY bm_regress_writer, bm_regress_owner, bm_regress_other;
DROP ROLE bm_regress_writer, bm_regress_owner, bm_regress_other;

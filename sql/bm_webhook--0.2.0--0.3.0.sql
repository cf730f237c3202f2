-- bm_webhook: from version 0.2.0 to 0.3.0.
--
-- What users were granted must survive, so what can be is replaced or altered, not dropped and created anew.
-- Tables of the log are not rewritten, and not read but for an index of delivery. The order is that of the parts of the
-- whole script.

\echo Use "ALTER EXTENSION bm_webhook UPDATE" to load this file. \quit

SET LOCAL search_path = pg_catalog, pg_temp;

-- While the library of before is loaded, nothing of this version can work.
DO $$
BEGIN
	CREATE FUNCTION bm_webhook_internal.route_fits(endpoint bigint, since timestamptz, application text,
			event_endpoint bigint, created_at timestamptz, event_application text) RETURNS boolean
		LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_route_fits';
EXCEPTION WHEN undefined_function THEN
	RAISE EXCEPTION 'the server has still loaded the library of another version'
		USING ERRCODE = 'object_not_in_prerequisite_state',
			HINT = 'Restart the server, then run ALTER EXTENSION bm_webhook UPDATE again.';
END
$$;

-- All that is needed, at once and in the strongest mode: so nobody who uses them can deadlock with the update. And what
-- is written afterwards finds the tables in which dispatchers are told of it.
LOCK TABLE bm_webhook.application, bm_webhook.endpoint, bm_webhook.endpoint_state, bm_webhook.endpoint_secret,
	bm_webhook.event, bm_webhook.delivery, bm_webhook.failed_attempt, bm_webhook.redelivery, bm_webhook.set_aside
	IN ACCESS EXCLUSIVE MODE;

-- These get other arguments or columns, hence successors: they give their grants to them at the end, and go.
ALTER FUNCTION bm_webhook_internal.watches(regclass) RENAME TO watches_0_2;
ALTER FUNCTION bm_webhook_internal.watch(regclass, text, text, text, text, text, text[], text[], text, text[], regprocedure, text, text[]) RENAME TO watch_0_2;
ALTER FUNCTION bm_webhook.watch(regclass, text, text, text, text, text, text[], text[], text, text[], regprocedure, text) RENAME TO watch_0_2;
ALTER FUNCTION bm_webhook_internal.wants(bm_webhook.endpoint, bm_webhook.event) RENAME TO wants_0_2;
ALTER FUNCTION bm_webhook.status() RENAME TO status_0_2;

-- New columns at the end, without a default or with a constant: no row is written.
ALTER TABLE bm_webhook.application ADD COLUMN paused_at timestamptz, ADD COLUMN rate_limit integer,
	ADD COLUMN rate_burst integer;
ALTER TABLE bm_webhook.endpoint ADD COLUMN events_since timestamptz, ADD COLUMN paused_at timestamptz,
	ADD COLUMN ttl interval, ADD COLUMN rate_limit integer, ADD COLUMN rate_burst integer,
	ADD COLUMN filter jsonpath, ADD COLUMN payload text NOT NULL DEFAULT 'full' CHECK (payload IN ('full', 'thin')),
	ADD COLUMN signature_header text, ADD COLUMN signature_scheme text,
	ADD COLUMN credentials text, ADD COLUMN credentials_key_id text, ALTER COLUMN credentials SET STATISTICS 0,
	ADD COLUMN ca_certificates text,
	ALTER COLUMN max_in_flight SET DEFAULT 128;
ALTER TABLE bm_webhook.event ADD COLUMN expires_at timestamptz;
ALTER TABLE bm_webhook.set_aside ADD COLUMN asked_by name;

DROP FUNCTION bm_webhook_internal.look();
DROP FUNCTION bm_webhook_internal.random_secret();

-------------------------------------------------------------------------------
-- Registration
-------------------------------------------------------------------------------

COMMENT ON COLUMN bm_webhook.application.paused_at IS
	'when pause() was called for it: what is for its endpoints waits until resume()';
COMMENT ON COLUMN bm_webhook.application.rate_limit IS
	'requests a second to all its endpoints together; 1 to 10000; null: no limit';
COMMENT ON COLUMN bm_webhook.application.rate_burst IS
	'requests that may start at once after a pause, 1 to 10000; null: one';
CREATE INDEX endpoint_application_idx ON bm_webhook.endpoint (application);
COMMENT ON COLUMN bm_webhook.endpoint.signature_header IS
	'name of a further header with a signature, such as x-hub-signature-256; NULL: there is none';
COMMENT ON COLUMN bm_webhook.endpoint.signature_scheme IS
	'what is in signature_header: sha256 (sha256=..., as GitHub and Meta), hex, or stripe (t=...,v1=...); HMAC-SHA256 '
	'with the text of the newest shared secret as key';
COMMENT ON COLUMN bm_webhook.endpoint.credentials IS
	'the values of headers, encrypted; NULL: headers has them';
COMMENT ON COLUMN bm_webhook.endpoint.credentials_key_id IS
	'the key of bm_webhook.secret_key_file that credentials is encrypted with';
COMMENT ON COLUMN bm_webhook.endpoint.headers IS
	'further HTTP headers, an object of strings; where they are encrypted it shows ******** for each value';
COMMENT ON COLUMN bm_webhook.endpoint.ca_certificates IS
	'PEM of the authorities that its server''s certificate may be of, instead of the trusted ones; NULL: those';
COMMENT ON COLUMN bm_webhook.endpoint.max_in_flight IS 'requests at the same time; 1 to 5000';
COMMENT ON COLUMN bm_webhook.endpoint.ttl IS
	'an event that was captured longer ago is not sent any more, but canceled; NULL: however old';
COMMENT ON COLUMN bm_webhook.endpoint.rate_limit IS 'requests a second; 1 to 10000; null: no limit';
COMMENT ON COLUMN bm_webhook.endpoint.rate_burst IS
	'requests that may start at once after a pause, 1 to 10000; null: one';
COMMENT ON COLUMN bm_webhook.endpoint.filter IS
	'only events whose whole body this predicate is true of, as the operator @@ says; NULL: no filter';
COMMENT ON COLUMN bm_webhook.endpoint.payload IS
	'full, or thin: the body without data, for who fetches what he may see';
COMMENT ON COLUMN bm_webhook.endpoint.paused_at IS
	'when pause() was called: what is for it waits until resume(), and nothing is missed';
COMMENT ON COLUMN bm_webhook.endpoint.events_since IS
	'events captured before are not for it; NULL: those before created_at; set by recover()';

CREATE INDEX endpoint_secret_expires_at_idx ON bm_webhook.endpoint_secret (expires_at) WHERE expires_at IS NOT NULL;
COMMENT ON TABLE bm_webhook.endpoint_secret IS
	'signing secrets; every request is signed with all of its endpoint''s that have not expired';
COMMENT ON COLUMN bm_webhook.endpoint_secret.kind IS
	'hmac_sha256, a shared key whsec_... (v1); ed25519, a pair of keys, of which whsk_... is stored (v1a); '
	'client_certificate, PEM of a certificate and its key, which does not sign but is shown to the server';
ALTER TABLE bm_webhook.endpoint_secret DROP CONSTRAINT endpoint_secret_kind_check,
	ADD CONSTRAINT endpoint_secret_kind_check CHECK (kind IN ('hmac_sha256', 'ed25519', 'client_certificate'));
COMMENT ON COLUMN bm_webhook.endpoint_secret.key_id IS
	'the key of bm_webhook.secret_key_file that the secret is encrypted with; NULL: it is plain text';
COMMENT ON COLUMN bm_webhook.endpoint_secret.secret IS 'a new one is made of what is inserted without';
COMMENT ON COLUMN bm_webhook.endpoint_secret.expires_at IS 'from then on it signs no more, and is removed; NULL: never';

CREATE TABLE bm_webhook_internal.endpoint_change (
	xid xid8 NOT NULL,
	endpoint_id bigint,
	application text
);
CREATE INDEX endpoint_change_xid_idx ON bm_webhook_internal.endpoint_change (xid);
COMMENT ON TABLE bm_webhook_internal.endpoint_change IS
	'which endpoint or application a transaction has changed; neither: any of them';

CREATE TABLE bm_webhook.paused (
	everything boolean PRIMARY KEY DEFAULT true CHECK (everything),
	paused_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	paused_by name NOT NULL DEFAULT session_user,
	reason text
);
COMMENT ON TABLE bm_webhook.paused IS 'has a row while pause(everything => true) holds: nothing of this database is '
	'sent';

-------------------------------------------------------------------------------
-- Log
-------------------------------------------------------------------------------

COMMENT ON COLUMN bm_webhook.event.expires_at IS
	'from then on it is not sent any more, but canceled; NULL: never';
COMMENT ON TABLE bm_webhook.set_aside IS
	'outcomes that the log refused, by a constraint or a trigger of yours: these deliveries are neither sent nor '
	'changed until retry_set_aside() has recorded them; and deliveries that set_aside() was called for, which are not '
	'sent until put_back()';
COMMENT ON COLUMN bm_webhook.set_aside.asked_by IS
	'who has called set_aside(), and cause is why; the other columns are what the delivery was. NULL: the log refused '
	'the outcome';
CREATE INDEX delivery_pending_idx ON bm_webhook.delivery (endpoint_id, event_id) WHERE status = 'pending';

-------------------------------------------------------------------------------
-- Pending
-------------------------------------------------------------------------------

CREATE TABLE bm_webhook_internal.pending_count (
	endpoint_id bigint PRIMARY KEY,
	pending bigint NOT NULL,
	retrying bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE bm_webhook_internal.pending_change (
	endpoint_id bigint NOT NULL,
	pending bigint NOT NULL,
	retrying bigint NOT NULL
);
COMMENT ON TABLE bm_webhook_internal.pending_count IS
	'how many deliveries of an endpoint are pending, without what pending_change adds to it';
COMMENT ON TABLE bm_webhook_internal.pending_change IS 'by how much that has changed since';
ALTER TABLE bm_webhook_internal.pending_count OWNER TO bm_webhook;
ALTER TABLE bm_webhook_internal.pending_change OWNER TO bm_webhook;
ALTER TABLE bm_webhook_internal.pending_count ENABLE ROW LEVEL SECURITY;
ALTER TABLE bm_webhook_internal.pending_change ENABLE ROW LEVEL SECURITY;
CREATE POLICY writer ON bm_webhook_internal.pending_change FOR INSERT
	WITH CHECK (pg_catalog.has_table_privilege('bm_webhook.delivery', 'UPDATE'));

CREATE OR REPLACE VIEW bm_webhook_internal.pending WITH (security_invoker = true) AS
	SELECT endpoint_id, greatest(sum(pending), 0)::bigint AS pending, greatest(sum(retrying), 0)::bigint AS retrying
	FROM (SELECT * FROM bm_webhook_internal.pending_count UNION ALL SELECT * FROM bm_webhook_internal.pending_change) c
	GROUP BY endpoint_id;
COMMENT ON VIEW bm_webhook_internal.pending IS 'how many deliveries of an endpoint are pending, and tried before';

CREATE OR REPLACE FUNCTION bm_webhook_internal.delivery_deleted() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF TG_OP = 'TRUNCATE' THEN
		DELETE FROM bm_webhook_internal.pending_count;
		DELETE FROM bm_webhook_internal.pending_change;
	ELSE
		INSERT INTO bm_webhook_internal.pending_change
			SELECT o.endpoint_id, -count(*), -count(*) FILTER (WHERE o.attempts > 0)
			FROM deleted o WHERE o.status = 'pending' GROUP BY o.endpoint_id;
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.delivery_deleted() IS 'counts what somebody has deleted from the log';
CREATE TRIGGER delivery_deleted AFTER DELETE ON bm_webhook.delivery
	REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION bm_webhook_internal.delivery_deleted();
CREATE TRIGGER delivery_truncated AFTER TRUNCATE ON bm_webhook.delivery
	FOR EACH STATEMENT EXECUTE FUNCTION bm_webhook_internal.delivery_deleted();
COMMENT ON TRIGGER delivery_deleted ON bm_webhook.delivery IS 'counts what is pending no more';
COMMENT ON TRIGGER delivery_truncated ON bm_webhook.delivery IS 'nothing is pending any more';

-------------------------------------------------------------------------------
-- Registration rules
-------------------------------------------------------------------------------

COMMENT ON FUNCTION bm_webhook_internal.endpoint_changed() IS
	'notes what was changed, and tells the dispatcher to read that again';

DROP POLICY member ON bm_webhook.application;
DROP POLICY member ON bm_webhook.endpoint;
DROP POLICY member ON bm_webhook.endpoint_state;
DROP POLICY member ON bm_webhook.endpoint_secret;
-- By id. What belongs to a role that has gone belongs to nobody.
ALTER TABLE bm_webhook.application ALTER COLUMN owner DROP DEFAULT,
	ALTER COLUMN owner TYPE regrole USING coalesce(pg_catalog.to_regrole(pg_catalog.quote_ident(owner)), 0::regrole),
	ALTER COLUMN owner SET DEFAULT pg_catalog.quote_ident(current_user)::regrole;
COMMENT ON COLUMN bm_webhook.application.owner IS
	'the role that it belongs to, whatever it is called; -: nobody';
CREATE OR REPLACE FUNCTION bm_webhook_internal.own_applications(living boolean) RETURNS text[]
	LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_own_applications';
COMMENT ON FUNCTION bm_webhook_internal.own_applications(boolean) IS
	'the applications that the current user owns; living: without those that were deleted';
CREATE OR REPLACE FUNCTION bm_webhook_internal.own_endpoints() RETURNS bigint[]
	LANGUAGE c IMMUTABLE LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_own_endpoints';
COMMENT ON FUNCTION bm_webhook_internal.own_endpoints() IS
	'the endpoints of the applications that the current user owns, with those that were deleted';
CREATE POLICY member ON bm_webhook.application USING (pg_catalog.pg_has_role(owner, 'MEMBER'));
CREATE POLICY member ON bm_webhook.endpoint
	USING (application OPERATOR(pg_catalog.=) ANY (bm_webhook_internal.own_applications(false)))
	WITH CHECK (application OPERATOR(pg_catalog.=) ANY (bm_webhook_internal.own_applications(true)));
CREATE POLICY member ON bm_webhook.endpoint_state USING (EXISTS (
	SELECT FROM bm_webhook.endpoint e WHERE e.id OPERATOR(pg_catalog.=) endpoint_state.endpoint_id
		AND e.application OPERATOR(pg_catalog.=) ANY (bm_webhook_internal.own_applications(false))));
CREATE POLICY member ON bm_webhook.endpoint_secret USING (EXISTS (
	SELECT FROM bm_webhook.endpoint e WHERE e.id OPERATOR(pg_catalog.=) endpoint_secret.endpoint_id
		AND e.application OPERATOR(pg_catalog.=) ANY (bm_webhook_internal.own_applications(false))));

CREATE OR REPLACE FUNCTION bm_webhook_internal.keep_application() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM FROM bm_webhook.application a WHERE a.name = NEW.application AND a.deleted_at IS NULL FOR KEY SHARE;
	IF NOT FOUND THEN
		PERFORM bm_webhook_internal.refuse(format('application "%s" does not exist', NEW.application),
			'Applications are the rows of bm_webhook.application.', '42704');
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.keep_application() IS
	'refuses endpoints of an application that was deleted, or is just being deleted';

CREATE TRIGGER keep_application AFTER INSERT OR UPDATE OF application ON bm_webhook.endpoint
	FOR EACH ROW WHEN (NEW.application IS NOT NULL AND NEW.deleted_at IS NULL)
	EXECUTE FUNCTION bm_webhook_internal.keep_application();
COMMENT ON TRIGGER keep_application ON bm_webhook.endpoint IS 'keeps its application from being deleted meanwhile';

CREATE FUNCTION bm_webhook_internal.random_secret(kind text = 'hmac_sha256') RETURNS text
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'bm_webhook_random_secret';
COMMENT ON FUNCTION bm_webhook_internal.random_secret(text) IS
	'a new secret of 32 random bytes: whsec_ and their base64, or a pair of keys whsk_';

CREATE OR REPLACE FUNCTION bm_webhook.secret(endpoint bigint) RETURNS text
	LANGUAGE c VOLATILE STRICT SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'bm_webhook_secret';
COMMENT ON FUNCTION bm_webhook.secret(bigint) IS
	'the newest signing secret (whsec_...) of an endpoint of the caller''s; each call is recorded in '
	'bm_webhook.operation; 42704 unknown endpoint, 55000 when it cannot be decrypted';

COMMENT ON FUNCTION bm_webhook.sign(text, text, timestamptz, bytea) IS
	'the Standard Webhooks signature, v1,<base64> or, with a key whsk_..., v1a,<base64>, of a body sent with this '
	'webhook-id at this time (whole seconds); '
	'22023 malformed secret, id with a period';
COMMENT ON FUNCTION bm_webhook.verify(jsonb, bytea, text, interval) IS
	'was this request signed with the secret, not longer ago (or ahead) than tolerance? secret: whsec_..., or a public '
	'key whpk_...; headers: an object of '
	'strings, names in any case; false, never null, when an argument is null or a header is missing or malformed; '
	'22023 malformed secret';

CREATE OR REPLACE FUNCTION bm_webhook.delete_application(application text) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF application IS NULL THEN
		PERFORM bm_webhook_internal.refuse('"application" must not be null',
			'Name an application.', '22004');
	END IF;
	PERFORM FROM bm_webhook.application a WHERE a.name = delete_application.application
		AND a.deleted_at IS NULL FOR UPDATE;
	IF NOT FOUND THEN
		PERFORM bm_webhook_internal.refuse(format('application "%s" does not exist', application),
			'Applications are the rows of bm_webhook.application.', '42704');
	END IF;
	PERFORM bm_webhook.delete_endpoint(p.id) FROM bm_webhook.endpoint p
		WHERE p.application = delete_application.application AND p.deleted_at IS NULL;
	IF EXISTS (SELECT FROM bm_webhook.endpoint p WHERE p.application = delete_application.application)
		OR (SELECT count(*) > 10000 OR coalesce(bool_or(e.application = delete_application.application), false)
			FROM (SELECT x.application FROM bm_webhook.event x LIMIT 10001) e)
	THEN
		UPDATE bm_webhook.application a SET deleted_at = clock_timestamp() WHERE a.name = delete_application.application;
	ELSE
		DELETE FROM bm_webhook.application a WHERE a.name = delete_application.application;
	END IF;
END
$$;

-------------------------------------------------------------------------------
-- Capture
-------------------------------------------------------------------------------

COMMENT ON FUNCTION bm_webhook.emit(text, jsonb, text, text, text, timestamptz, bigint, text, timestamptz) IS
	'makes an event of this transaction and returns its id; data is an object; endpoint: for this one alone; '
	'idempotency_key: if an event of the application was emitted under it within bm_webhook.idempotency_window, there '
	'is no other, and its id is returned; expires_at: from then on it is not sent any more, but canceled; 22023, '
	'23502, 42704, 54000';
COMMENT ON FUNCTION bm_webhook.ping(bigint, text) IS
	'sends an event webhook.ping, or the example that event_type has of another type, to this endpoint alone and '
	'returns its id; 42704 unknown endpoint, type without example, 55000 disabled endpoint';

CREATE OR REPLACE FUNCTION bm_webhook_internal.watches(relation regclass)
	RETURNS TABLE (trigger name, event_type text, direction text, old boolean)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT t.tgname, convert_from(substr(t.tgargs, 6, position('\x00'::bytea IN t.tgargs) - 6), getdatabaseencoding()),
		substring(encode(t.tgargs, 'escape') FROM '\\000message=(outbound|inbound)\\000'),
		position('\x006f6c643d7472756500'::bytea IN t.tgargs) > 0 -- old=true
	FROM pg_trigger t
	WHERE t.tgrelid = relation AND t.tgparentid = 0 AND t.tgfoid = 'bm_webhook.capture()'::regprocedure
		AND starts_with(encode(t.tgargs, 'escape'), 'type=')
	ORDER BY t.tgname
$$;
COMMENT ON FUNCTION bm_webhook_internal.watches(regclass) IS
	'the capture triggers of a relation, with their event types, the direction of messages, and whether the old row is '
	'in the data';

CREATE OR REPLACE FUNCTION bm_webhook_internal.changed_condition(relation regclass, changed text[]) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	conditions text[] = '{}';
	name text;
	type regtype;
BEGIN
	FOREACH name IN ARRAY changed LOOP
		SELECT a.atttypid INTO type FROM pg_attribute a
			WHERE a.attrelid = relation AND a.attname = name AND a.attnum > 0 AND NOT a.attisdropped;
		IF NOT FOUND THEN
			PERFORM bm_webhook_internal.refuse(format('column "%s" of relation "%s" does not exist', coalesce(name, 'NULL'),
				relation),
				'List columns of the relation in "changed".', '42703');
		END IF;
		conditions := conditions || format(CASE WHEN bm_webhook_internal.has_equality(type)
				THEN 'OLD.%1$I IS DISTINCT FROM NEW.%1$I'
			WHEN type::oid < 16384 THEN 'OLD.%1$I::text IS DISTINCT FROM NEW.%1$I::text'
			ELSE '(OLD.%1$I IS NULL) <> (NEW.%1$I IS NULL) OR format(''%%s'', OLD.%1$I) <> format(''%%s'', NEW.%1$I)' END, name);
	END LOOP;
	RETURN array_to_string(conditions, ' OR ');
END
$$;

CREATE OR REPLACE FUNCTION bm_webhook_internal.watch(relation regclass, event_type text, application text, channel text,
		message_id text, occurred_at text, operations text[], changed text[], condition text, columns text[],
		function regprocedure, level text, message text[], old boolean) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	primary_key text[] = bm_webhook_internal.primary_key(relation);
	changed_condition text;
	arguments text[];
	own_arguments text[];
	own_condition text;
	operation text;
BEGIN
	IF relation IS NULL OR event_type IS NULL OR operations IS NULL OR level IS NULL OR old IS NULL THEN
		PERFORM bm_webhook_internal.refuse('"relation", "event_type", "operations", "level" and "old" must not be null',
			'Leave an argument out to get its default.', '23502');
	END IF;
	IF level NOT IN ('row', 'statement') THEN
		PERFORM bm_webhook_internal.refuse(format('invalid level "%s"', level),
			'Use row or statement.');
	END IF;
	PERFORM bm_webhook_internal.check_watched(relation, level);

	SELECT array_agg(DISTINCT upper(o)) INTO operations FROM unnest(operations) o;
	IF operations IS NULL OR NOT coalesce(operations <@ '{INSERT,UPDATE,DELETE}', false)
		OR array_position(operations, NULL) > 0 THEN
		PERFORM bm_webhook_internal.refuse('invalid "operations"',
			'Use INSERT, UPDATE and DELETE, at least one of them.');
	END IF;
	IF old AND NOT operations && '{UPDATE,DELETE}' THEN
		PERFORM bm_webhook_internal.refuse('"old" needs the operation UPDATE or DELETE',
			'Leave "old" out: a row that is inserted has no old one.');
	END IF;
	IF changed IS NOT NULL THEN
		IF NOT 'UPDATE' = ANY (operations) OR cardinality(changed) = 0 THEN
			PERFORM bm_webhook_internal.refuse('"changed" needs the operation UPDATE and at least one column',
				'Leave "changed" out: an insert or delete is always a change.');
		END IF;
		changed_condition := bm_webhook_internal.changed_condition(relation, changed);
	END IF;
	IF message_id IS NULL AND message IS NULL THEN
		IF primary_key IS NULL OR cardinality(primary_key) <> 1 THEN
			PERFORM bm_webhook_internal.refuse(format('relation "%s" has no primary key of one column', relation),
				'Say what identifies a row: message_id => ''{column}''.', '42P16');
		END IF;
		message_id := '{' || primary_key[1] || '}';
	END IF;

	arguments := array_remove(ARRAY['type=' || event_type, 'application=' || application, 'channel=' || channel,
		'message_id=' || message_id, 'occurred_at=' || occurred_at, 'columns=' || columns::text,
		'function=' || CASE WHEN function IS NOT NULL THEN bm_webhook_internal.check_function(relation, function) END,
		CASE WHEN old THEN 'old=true' END], NULL)
		|| message;
	PERFORM bm_webhook_internal.check_capture(relation, arguments);
	IF EXISTS (SELECT FROM bm_webhook_internal.watches(relation) w WHERE w.event_type = watch.event_type) THEN
		PERFORM bm_webhook_internal.refuse(format('relation "%s" is already watched for event type "%s"', relation,
			event_type),
			'Call bm_webhook.unwatch() first.', '42710');
	END IF;

	FOREACH operation IN ARRAY operations LOOP
		own_condition := CASE WHEN operation = 'UPDATE' AND changed IS NOT NULL AND condition IS NOT NULL
				THEN format(E'(%s) AND (%s\n)', changed_condition, condition)
			WHEN operation = 'UPDATE' AND changed IS NOT NULL THEN changed_condition
			ELSE condition END;
		own_arguments := arguments;
		IF level = 'statement' AND own_condition IS NOT NULL THEN
			own_arguments := own_arguments || ('when=' || own_condition);
			-- only a row trigger has its condition checked by PostgreSQL
			PERFORM bm_webhook_internal.create_watch_trigger(relation, event_type, operation, 'row', own_condition, arguments);
			IF EXISTS (SELECT FROM pg_trigger t, pg_depend d, pg_attribute a
					WHERE t.tgrelid = relation AND t.tgname = 'bm_webhook_' || lower(operation) || '_' || left(md5(event_type), 8)
						AND d.classid = 'pg_trigger'::regclass AND d.objid = t.oid AND d.refobjid = relation
						AND a.attrelid = relation AND a.attnum = d.refobjsubid AND a.attgenerated = 'v') THEN
				PERFORM bm_webhook_internal.refuse('a condition on a virtual generated column cannot be checked at statement level',
					'Use level => ''row'', or make the column STORED.', '0A000');
			END IF;
			EXECUTE format('DROP TRIGGER %I ON %s', 'bm_webhook_' || lower(operation) || '_' || left(md5(event_type), 8),
				relation);
		END IF;
		IF level = 'statement' AND operation = 'UPDATE' AND (old OR own_condition ~* '\mold\M') THEN
			IF primary_key IS NULL THEN
				PERFORM bm_webhook_internal.refuse(
					format('relation "%s" has no primary key to pair old and new rows with', relation),
					'Add a primary key, or use level => ''row''.', '42P16');
			END IF;
			own_arguments := own_arguments || ('key=' || primary_key::text);
		END IF;
		PERFORM bm_webhook_internal.create_watch_trigger(relation, event_type, operation, level, own_condition,
			own_arguments);
	END LOOP;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.watch(regclass, text, text, text, text, text, text[], text[], text, text[],
	regprocedure, text, text[], boolean) IS
	'watch(), and what it has in common with watch_messages(): message has the arguments that make messages of rows';

CREATE OR REPLACE FUNCTION bm_webhook.watch(relation regclass, event_type text, application text = NULL, channel text = NULL,
		message_id text = NULL, occurred_at text = NULL, operations text[] = '{INSERT,UPDATE}', changed text[] = NULL,
		condition text = NULL, columns text[] = NULL, function regprocedure = NULL, level text = 'row',
		old boolean = false) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT bm_webhook_internal.watch(relation, event_type, application, channel, message_id, occurred_at, operations,
		changed, condition, columns, function, level, NULL, old)
$$;
COMMENT ON FUNCTION bm_webhook.watch(regclass, text, text, text, text, text, text[], text[], text, text[],
	regprocedure, text, boolean) IS
	'makes events of the rows of a table that change. event_type, application, channel and message_id are templates: '
	'{column} stands for its value, and with function {data.key} for a member of what it returned. message_id: the '
	'primary key, if not given. occurred_at: {column}. operations: INSERT, UPDATE, DELETE. changed: an update counts '
	'only if one of these columns changed. condition: SQL on NEW and OLD; names outside pg_catalog must be '
	'qualified. columns, or function (row) -> jsonb: the data; default all columns. level: row or statement (cheaper '
	'for bulk changes; primary keys must not be updated). old: the data is {"record": the row, "old_record": the row '
	'before the update or delete}, each made as above, or null. Errors: 0A000, 22023, 23502, 42501, 42701, 42703, 42710, '
	'42804, 42809, 42883, 42P16';

CREATE OR REPLACE FUNCTION bm_webhook.unwatch(relation regclass, event_type text = NULL) RETURNS integer
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	removed text[] = '{}';
	w record;
BEGIN
	IF relation IS NULL THEN
		PERFORM bm_webhook_internal.refuse('"relation" must not be null',
			'Name the watched table.', '23502');
	END IF;
	FOR w IN SELECT * FROM bm_webhook_internal.watches(relation) AS t WHERE unwatch.event_type IS NULL
		OR t.event_type = unwatch.event_type LOOP
		EXECUTE format('DROP TRIGGER %I ON %s', w.trigger, relation);
		removed := removed || w.event_type;
	END LOOP;
	IF removed = '{}' THEN
		RAISE NOTICE 'relation "%" is not watched%', relation, coalesce(' for event type "' || event_type || '"', '');
	END IF;
	RETURN (SELECT count(DISTINCT r) FROM unnest(removed) r);
END
$$;

CREATE OR REPLACE VIEW bm_webhook.watch_list WITH (security_invoker = true) AS
	SELECT t.tgrelid::regclass AS relation, w.event_type, w.direction AS messages,
		CASE t.tgtype & 1 WHEN 1 THEN 'row' ELSE 'statement' END AS level,
		array_agg(CASE WHEN t.tgtype & 4 > 0 THEN 'INSERT' WHEN t.tgtype & 16 > 0 THEN 'UPDATE' ELSE 'DELETE' END
			ORDER BY t.tgname)
			AS operations,
		bool_and(t.tgenabled <> 'D') AS enabled, bool_or(w.old) AS old
	FROM (SELECT DISTINCT tgrelid FROM pg_trigger WHERE tgfoid = 'bm_webhook.capture()'::regprocedure) r
	CROSS JOIN LATERAL bm_webhook_internal.watches(r.tgrelid) w
	JOIN pg_trigger t ON t.tgrelid = r.tgrelid AND t.tgname = w.trigger
	GROUP BY 1, 2, 3, 4;
COMMENT ON COLUMN bm_webhook.watch_list.old IS 'does the data have the old row beside the new one?';

-------------------------------------------------------------------------------
-- Partitions
-------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION bm_webhook_internal.create_partitions(days integer, at_most integer = NULL) RETURNS integer
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	made integer = 0;
	parent text;
	day integer;
BEGIN
	FOR day, parent IN SELECT d, p FROM generate_series(1, days) d,
		unnest('{event,delivery,failed_attempt}'::text[]) p LOOP
		EXIT WHEN made >= at_most;
		made := made + bm_webhook_internal.create_partition(parent,
			(clock_timestamp() AT TIME ZONE 'UTC')::date + day)::integer;
	END LOOP;
	RETURN made;
END
$$;
ALTER TABLE bm_webhook_internal.endpoint_change OWNER TO bm_webhook;

-------------------------------------------------------------------------------
-- Views
-------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION bm_webhook_internal.route(endpoint bigint, since timestamptz, application text, channel text,
		event_types text[], event_endpoint bigint, created_at timestamptz, type text, event_application text,
		event_channel text, is_reply boolean, muted text[]) RETURNS boolean
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_route';
COMMENT ON FUNCTION bm_webhook_internal.route IS
	'does the endpoint get this event? muted: the patterns of types that the event''s application does not send';

CREATE OR REPLACE FUNCTION bm_webhook_internal.route_reason(endpoint bigint, since timestamptz, application text, channel text,
		event_types text[], event_endpoint bigint, created_at timestamptz, type text, event_application text,
		event_channel text, is_reply boolean, muted text[]) RETURNS text
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_route_reason';
COMMENT ON FUNCTION bm_webhook_internal.route_reason IS
	'why the endpoint does not get this event; NULL: it does, as route() says';

CREATE OR REPLACE FUNCTION bm_webhook_internal.route_fits(endpoint bigint, since timestamptz, application text,
		event_endpoint bigint, created_at timestamptz, event_application text) RETURNS boolean
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_route_fits';
COMMENT ON FUNCTION bm_webhook_internal.route_fits IS 'may the endpoint still get this event, which waited for it?';

CREATE OR REPLACE FUNCTION bm_webhook_internal.fits(p bm_webhook.endpoint, e bm_webhook.event) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN p.deleted_at IS NULL
		AND bm_webhook_internal.route_fits(p.id, coalesce(p.events_since, p.created_at), p.application, e.endpoint_id,
			e.created_at, e.application);

CREATE OR REPLACE FUNCTION bm_webhook_internal.filter_reason(filter jsonpath, id uuid, type text, occurred_at timestamptz,
		application text, channel text, message_id text, data json) RETURNS text
	LANGUAGE c IMMUTABLE PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'bm_webhook_filter_reason';
COMMENT ON FUNCTION bm_webhook_internal.filter_reason IS
	'why an endpoint''s filter does not let this event through; NULL: it does';
CREATE OR REPLACE FUNCTION bm_webhook_internal.filter_says(p bm_webhook.endpoint, e bm_webhook.event) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN p.filter IS NOT NULL AND e.endpoint_id IS NULL THEN bm_webhook_internal.filter_reason(p.filter, e.id,
		e.type, e.occurred_at, e.application, e.channel, e.message_id, e.data) END;
COMMENT ON FUNCTION bm_webhook_internal.filter_says(bm_webhook.endpoint, bm_webhook.event) IS
	'why the endpoint''s filter does not let this event through; NULL: it does, or is not asked';
CREATE OR REPLACE FUNCTION bm_webhook_internal.wants(p bm_webhook.endpoint, e bm_webhook.event, muted text[]) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN p.enabled AND p.deleted_at IS NULL
		AND bm_webhook_internal.route(p.id, coalesce(p.events_since, p.created_at), p.application, p.channel, p.event_types,
			e.endpoint_id, e.created_at, e.type, e.application, e.channel, e.reply_to IS NOT NULL, muted)
		AND bm_webhook_internal.filter_says(p, e) IS NULL;
COMMENT ON FUNCTION bm_webhook_internal.wants(bm_webhook.endpoint, bm_webhook.event, text[]) IS
	'does the endpoint get this event? muted: the patterns of types that the event''s application does not send';

CREATE OR REPLACE FUNCTION bm_webhook_internal.has_log(p bm_webhook.endpoint) RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH since AS MATERIALIZED (
		SELECT bm_webhook.uuid_floor(CASE WHEN p.created_at BETWEEN '1970-01-01 UTC' AND clock_timestamp()
			THEN p.created_at ELSE '1970-01-01 UTC' END) AS id
	)
	SELECT EXISTS (SELECT FROM bm_webhook.delivery d WHERE d.endpoint_id = p.id AND d.status = 'pending')
		OR EXISTS (SELECT FROM bm_webhook.set_aside s WHERE s.endpoint_id = p.id)
		OR EXISTS (SELECT FROM bm_webhook.event e WHERE e.id >= (SELECT id FROM since) OFFSET 1000)
		OR EXISTS (SELECT FROM bm_webhook.delivery d WHERE d.event_id >= (SELECT id FROM since) OFFSET 1000)
		OR EXISTS (SELECT FROM bm_webhook.redelivery r WHERE r.event_id >= (SELECT id FROM since) OFFSET 1000)
		OR EXISTS (SELECT FROM bm_webhook.redelivery r WHERE r.event_id >= (SELECT id FROM since) AND r.endpoint_id = p.id)
		OR EXISTS (SELECT FROM bm_webhook.delivery d WHERE d.event_id >= (SELECT id FROM since) AND d.endpoint_id = p.id)
		OR EXISTS (SELECT FROM bm_webhook.event e WHERE e.id >= (SELECT id FROM since)
			AND (e.endpoint_id IS NOT DISTINCT FROM p.id OR bm_webhook_internal.wants(p, e,
				(SELECT a.muted_event_types FROM bm_webhook.application a WHERE a.name = e.application))))
$$;

CREATE OR REPLACE FUNCTION bm_webhook_internal.first_pending(OUT endpoint_id bigint, OUT event_id uuid, OUT next_attempt_at timestamptz)
	RETURNS SETOF record LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'bm_webhook_first_pending';
COMMENT ON FUNCTION bm_webhook_internal.first_pending() IS
	'the oldest event that waits for each endpoint, and when the first of its pending deliveries is due; use the view '
	'backlog';

-- What no cursor has settled, found by the index on xid: a range with two
-- unknown ends is taken for a small part of the table, so the planner uses it.
-- A text with the floor of its ids in it: so only partitions that can have it are planned for and locked.
CREATE OR REPLACE FUNCTION bm_webhook_internal.not_taken(OUT endpoint_id bigint, OUT events bigint, OUT oldest timestamptz)
	RETURNS SETOF record LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
	floor uuid;
BEGIN
	SELECT CASE WHEN min(c.since) <= clock_timestamp() AND min(c.since) > '1970-01-02 UTC'
		THEN bm_webhook.uuid_floor(min(c.since) - interval '1 day') ELSE bm_webhook.uuid_floor('1970-01-01 UTC') END
		INTO floor FROM bm_webhook.cursor c;
	RETURN QUERY EXECUTE format($query$
	WITH fresh AS MATERIALIZED (
		SELECT e, (SELECT a.muted_event_types FROM bm_webhook.application a WHERE a.name = e.application) AS muted
		FROM bm_webhook.event e
		WHERE e.xid >= (SELECT pg_snapshot_xmin(c.snapshot) AS xmin FROM bm_webhook.cursor c ORDER BY 1 LIMIT 1)
			AND e.xid < (SELECT pg_snapshot_xmax(pg_current_snapshot()))
			AND e.id >= %1$L
			AND EXISTS (SELECT FROM bm_webhook.cursor c WHERE NOT pg_visible_in_snapshot(e.xid, c.snapshot))
	), candidate AS (
		-- found by indexes, whoever asks: there may be a hundred thousand endpoints
		SELECT f.e, p.id FROM fresh f JOIN bm_webhook.endpoint p ON p.id = (f.e).endpoint_id
			WHERE bm_webhook_internal.wants(p, f.e, f.muted)
		UNION ALL
		SELECT f.e, p.id FROM fresh f JOIN bm_webhook.endpoint p ON p.application = (f.e).application
			WHERE (f.e).endpoint_id IS NULL AND bm_webhook_internal.wants(p, f.e, f.muted)
		UNION ALL
		SELECT f.e, p.id FROM fresh f JOIN bm_webhook.endpoint p ON p.application IS NULL
			WHERE (f.e).endpoint_id IS NULL AND bm_webhook_internal.wants(p, f.e, f.muted)
	)
	SELECT c.id, count(*), min((c.e).created_at) FROM candidate c
		WHERE NOT EXISTS (SELECT FROM bm_webhook.delivery x
			WHERE x.event_id = (c.e).id AND x.event_id >= %1$L AND x.endpoint_id = c.id)
		GROUP BY c.id$query$, floor);
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.not_taken() IS
	'how many events match an endpoint and have no delivery yet, and since when; use the view backlog';

CREATE OR REPLACE VIEW bm_webhook.backlog WITH (security_invoker = true) AS
	SELECT p.id AS endpoint_id, p.application, p.channel, p.url, coalesce(w.pending, 0) AS pending,
		coalesce(w.retrying, 0) AS retrying, coalesce(n.events, 0) AS not_taken,
		LEAST(bm_webhook.uuid_time(f.event_id), n.oldest) AS oldest, f.next_attempt_at
	FROM bm_webhook.endpoint p
	LEFT JOIN bm_webhook_internal.pending w ON w.endpoint_id = p.id
	LEFT JOIN bm_webhook_internal.first_pending() f ON f.endpoint_id = p.id
	LEFT JOIN bm_webhook_internal.not_taken() n ON n.endpoint_id = p.id
	WHERE p.deleted_at IS NULL;

-------------------------------------------------------------------------------
-- Dispatchers
-------------------------------------------------------------------------------

CREATE FUNCTION bm_webhook_internal.secret_storage() RETURNS text
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_secret_storage';
COMMENT ON FUNCTION bm_webhook_internal.secret_storage() IS 'how secrets are stored: in plain text, encrypted, or not at all';

CREATE FUNCTION bm_webhook.status(OUT database name, OUT shard integer, OUT state text, OUT reason text,
	OUT since timestamptz, OUT pid integer, OUT in_flight integer, OUT queued integer, OUT unrecorded integer,
	OUT pending bigint, OUT set_aside bigint, OUT sent bigint, OUT resent bigint, OUT last_error text,
	OUT last_error_at timestamptz, OUT capture_failures bigint, OUT last_capture_error text,
		OUT last_capture_error_at timestamptz, OUT secrets text)
	RETURNS SETOF record LANGUAGE sql SET search_path = pg_catalog, pg_temp SET jit = off AS $$
	SELECT d.datname, s.shard, s.state, s.reason, s.since, s.pid, s.in_flight, s.queued, s.unrecorded,
		CASE WHEN d.datname = current_database() AND has_table_privilege('bm_webhook.delivery', 'SELECT')
			THEN (SELECT coalesce(sum(pending), 0)::bigint FROM bm_webhook_internal.pending) END,
		CASE WHEN d.datname = current_database() THEN (SELECT count(*) FROM bm_webhook.set_aside a
			WHERE a.asked_by IS NULL) END,
		s.sent, s.resent, s.last_error, s.last_error_at, s.capture_failures, s.last_capture_error, s.last_capture_error_at,
		bm_webhook_internal.secret_storage()
	FROM bm_webhook_internal.dispatchers() s JOIN pg_database d ON d.oid = s.database
	ORDER BY d.datname, s.shard
$$;
COMMENT ON FUNCTION bm_webhook.status() IS
	'the dispatchers of this cluster: running or why not and since when, requests in flight, deliveries queued in '
	'memory, outcomes that are in memory alone, deliveries pending in the table and outcomes set aside (both of this '
	'database, all shards), requests sent since the start and sent again by libcurl itself, last error; rows of '
	'watched tables that could not be captured since the dispatcher was first started, in transactions that were '
	'rolled back too, and the last reason; how secrets are stored';

CREATE FUNCTION bm_webhook_internal.endpoint_paces(OUT endpoint_id bigint, OUT allowed_in_flight integer, OUT rate real,
	OUT held_until timestamptz, OUT reason text, OUT as_of timestamptz)
	RETURNS SETOF record LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'bm_webhook_endpoint_paces';
COMMENT ON FUNCTION bm_webhook_internal.endpoint_paces() IS
	'what shared memory says of the endpoints that the caller may see; use the view endpoint_pace';

CREATE VIEW bm_webhook.endpoint_pace WITH (security_invoker = true) AS
	SELECT endpoint_id, allowed_in_flight, rate, held_until, reason, as_of FROM bm_webhook_internal.endpoint_paces();
COMMENT ON VIEW bm_webhook.endpoint_pace IS
	'how an endpoint is sent to now, as its dispatcher has found out; of endpoints to which something was sent since it '
	'has started, as far as there is room for them';
COMMENT ON COLUMN bm_webhook.endpoint_pace.allowed_in_flight IS 'requests at the same time; endpoint.max_in_flight at most';
COMMENT ON COLUMN bm_webhook.endpoint_pace.rate IS 'requests a second, spread evenly; NULL: as fast as answers come';
COMMENT ON COLUMN bm_webhook.endpoint_pace.held_until IS 'nothing is sent before; NULL: it is not held';
COMMENT ON COLUMN bm_webhook.endpoint_pace.reason IS
	'why there are not more: answers late, refuses (503), limits its rate (429), nothing answers; NULL: nothing is wrong';
COMMENT ON COLUMN bm_webhook.endpoint_pace.as_of IS 'when this was found; it is not written again until it changes';

CREATE OR REPLACE FUNCTION bm_webhook_internal.endpoint_paces(OUT endpoint_id bigint, OUT allowed_in_flight integer, OUT rate real,
	OUT held_until timestamptz, OUT reason text, OUT as_of timestamptz)
	RETURNS SETOF record LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'bm_webhook_endpoint_paces';
COMMENT ON FUNCTION bm_webhook_internal.endpoint_paces() IS
	'what shared memory says of the endpoints that the caller may see; use the view endpoint_pace';

CREATE OR REPLACE VIEW bm_webhook.endpoint_pace WITH (security_invoker = true) AS
	SELECT endpoint_id, allowed_in_flight, rate, held_until, reason, as_of FROM bm_webhook_internal.endpoint_paces();
COMMENT ON VIEW bm_webhook.endpoint_pace IS
	'how an endpoint is sent to now, as its dispatcher has found out; of endpoints to which something was sent since it '
	'has started, as far as there is room for them';
COMMENT ON COLUMN bm_webhook.endpoint_pace.allowed_in_flight IS
	'requests at the same time; endpoint.max_in_flight at most';
COMMENT ON COLUMN bm_webhook.endpoint_pace.rate IS 'requests a second, spread evenly; NULL: as fast as answers come';
COMMENT ON COLUMN bm_webhook.endpoint_pace.held_until IS 'nothing is sent before; NULL: it is not held';
COMMENT ON COLUMN bm_webhook.endpoint_pace.reason IS
	'why there are not more: answers late, refuses (503), limits its rate (429), nothing answers; NULL: nothing is wrong';
COMMENT ON COLUMN bm_webhook.endpoint_pace.as_of IS 'when this was found; it is not written again until it changes';

CREATE OR REPLACE FUNCTION bm_webhook_internal.look(endpoint bigint) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'bm_webhook_look';
COMMENT ON FUNCTION bm_webhook_internal.look(bigint) IS
	'tells the dispatcher that deliveries of this transaction to an endpoint are due';

CREATE OR REPLACE FUNCTION bm_webhook.redeliver(event uuid, endpoint bigint = NULL) RETURNS integer
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	made_due integer;
BEGIN
	IF event IS NULL THEN
		PERFORM bm_webhook_internal.refuse('"event" must not be null',
			'Name the id of an event.', '23502');
	END IF;
	WITH again AS (
		UPDATE bm_webhook.delivery d SET status = 'pending', next_attempt_at = clock_timestamp()
		FROM (SELECT * FROM bm_webhook.delivery x
			WHERE x.event_id = redeliver.event AND (redeliver.endpoint IS NULL OR x.endpoint_id = redeliver.endpoint)
				AND NOT EXISTS (SELECT FROM bm_webhook.set_aside s WHERE s.event_id = x.event_id AND s.endpoint_id = x.endpoint_id)
			FOR UPDATE) was
		WHERE d.event_id = redeliver.event AND d.endpoint_id = was.endpoint_id
			AND d.next_attempt_at IS DISTINCT FROM 'infinity'
			AND EXISTS (SELECT FROM bm_webhook.endpoint p, bm_webhook.event e
				WHERE p.id = d.endpoint_id AND e.id = redeliver.event AND bm_webhook_internal.fits(p, e))
		RETURNING was.*
	), noted AS (
		INSERT INTO bm_webhook.redelivery (event_id, endpoint_id, status, attempts, last_attempt_at, http_status, duration)
			SELECT event_id, endpoint_id, status, attempts, last_attempt_at, http_status, duration FROM again
	), counted AS (
		INSERT INTO bm_webhook_internal.pending_change
			SELECT endpoint_id, 1, (attempts > 0)::integer FROM again WHERE status <> 'pending'
	)
	SELECT count(bm_webhook_internal.look(endpoint_id)) INTO made_due FROM again;
	IF made_due = 0 THEN
		PERFORM bm_webhook_internal.refuse('there is no delivery of this event to send again',
			'Deliveries are the rows of bm_webhook.delivery; their endpoint must still exist and be for the application of the '
				'event, and what waits for an earlier event of its message is not sent out of turn. What is in '
				'bm_webhook.set_aside is first put back, or recorded: put_back(), retry_set_aside().', '42704');
	END IF;
	RETURN made_due;
END
$$;

CREATE OR REPLACE FUNCTION bm_webhook_internal.record(s bm_webhook.set_aside) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO bm_webhook.delivery AS d (event_id, endpoint_id, status, attempts, next_attempt_at, first_attempt_at,
			last_attempt_at, http_status, error_class, error, duration)
		VALUES (s.event_id, s.endpoint_id, s.status, s.attempts, s.next_attempt_at, s.first_attempt_at,
			s.last_attempt_at, s.http_status, s.error_class, s.error, s.duration)
		ON CONFLICT (event_id, endpoint_id) DO UPDATE SET status = excluded.status, attempts = excluded.attempts,
			next_attempt_at = excluded.next_attempt_at, first_attempt_at = excluded.first_attempt_at,
			last_attempt_at = coalesce(excluded.last_attempt_at, d.last_attempt_at), http_status = excluded.http_status,
			error_class = excluded.error_class, error = excluded.error, duration = excluded.duration
		WHERE d.status = 'pending' OR excluded.status <> 'pending';
	IF s.is_failed_attempt THEN
		INSERT INTO bm_webhook.failed_attempt (event_id, endpoint_id, attempt, attempted_at, error_class, http_status, error,
				name_time, connect_time, tls_time, first_byte_time, total_time, response)
			VALUES (s.event_id, s.endpoint_id, s.attempts, s.last_attempt_at, s.error_class, s.http_status, s.error,
				s.name_time, s.connect_time, s.tls_time, s.first_byte_time, s.duration, s.response);
	END IF;
	IF s.is_exhausted THEN
		PERFORM bm_webhook.emit('delivery.exhausted', jsonb_build_object('event_id', e.id, 'event_type', e.type,
				'endpoint_id', s.endpoint_id, 'attempts', s.attempts, 'http_status', s.http_status,
				'error_class', s.error_class, 'error', s.error),
				(SELECT p.application FROM bm_webhook.endpoint p WHERE p.id = s.endpoint_id), e.channel, e.message_id)
			FROM bm_webhook.event e WHERE e.id = s.event_id;
	END IF;
	DELETE FROM bm_webhook.set_aside a WHERE a.event_id = s.event_id AND a.endpoint_id = s.endpoint_id;
END
$$;

CREATE OR REPLACE FUNCTION bm_webhook.retry_set_aside(event uuid = NULL, endpoint bigint = NULL) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s bm_webhook.set_aside;
	was bm_webhook.delivery;
	recorded bigint = 0;
	refused bigint = 0;
	last_cause text;
	last_state text;
BEGIN
	FOR s IN SELECT * FROM bm_webhook.set_aside a
		WHERE a.asked_by IS NULL AND (retry_set_aside.event IS NULL OR a.event_id = retry_set_aside.event)
			AND (retry_set_aside.endpoint IS NULL OR a.endpoint_id = retry_set_aside.endpoint)
		ORDER BY a.event_id, a.endpoint_id FOR UPDATE
	LOOP
		BEGIN
			SELECT * INTO was FROM bm_webhook.delivery d
				WHERE d.event_id = s.event_id AND d.endpoint_id = s.endpoint_id FOR UPDATE;
			PERFORM bm_webhook_internal.record(s), bm_webhook_internal.look(s.endpoint_id);
			INSERT INTO bm_webhook_internal.pending_change
				SELECT s.endpoint_id, p.now - p.before, p.now * (d.attempts > 0)::integer
					- p.before * (coalesce(was.attempts, 0) > 0)::integer
				FROM bm_webhook.delivery d, LATERAL (SELECT (d.status = 'pending')::integer AS now,
					coalesce(was.status = 'pending', false)::integer AS before) p
				WHERE d.event_id = s.event_id AND d.endpoint_id = s.endpoint_id;
			recorded = recorded + 1;
		EXCEPTION WHEN OTHERS THEN
			refused = refused + 1;
			GET STACKED DIAGNOSTICS last_cause = MESSAGE_TEXT, last_state = RETURNED_SQLSTATE;
			UPDATE bm_webhook.set_aside a SET cause = last_cause, sqlstate = last_state
				WHERE a.event_id = s.event_id AND a.endpoint_id = s.endpoint_id;
		END;
	END LOOP;
	IF recorded + refused = 0 AND (event IS NOT NULL OR endpoint IS NOT NULL) THEN
		PERFORM bm_webhook_internal.refuse('nothing of this event or endpoint is set aside',
			'What is set aside are the rows of bm_webhook.set_aside.', '42704');
	ELSIF refused > 0 THEN
		RAISE WARNING '% of % outcomes could still not be recorded, and stay set aside', refused, recorded + refused
			USING DETAIL = format('The last of them: %s', last_cause),
				HINT = 'The column "cause" of bm_webhook.set_aside says why for each.';
	END IF;
	RETURN recorded;
END
$$;

-------------------------------------------------------------------------------
-- Operations
-------------------------------------------------------------------------------

CREATE TABLE bm_webhook.operation (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	kind text NOT NULL CHECK (kind IN ('redeliver', 'recover', 'cancel', 'pause', 'resume', 'erase',
		'rotate_secret', 'show_secret', 'rekey', 'set_aside', 'put_back')),
	endpoint_id bigint,
	event_id uuid,
	since timestamptz,
	until timestamptz,
	status text[],
	error_class text[],
	max_rows bigint,
	matched bigint NOT NULL,
	done bigint NOT NULL DEFAULT 0,
	reached uuid,
	asked_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	asked_by name NOT NULL,
	acting_as name NOT NULL,
	ended_at timestamptz,
	error text,
	xid xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
	application text,
	reason text,
	reached_secret bigint,
	reached_endpoint bigint
);
CREATE INDEX operation_open_idx ON bm_webhook.operation ((coalesce(application, '')), id) WHERE ended_at IS NULL;
CREATE INDEX operation_endpoint_id_idx ON bm_webhook.operation (endpoint_id, id);
ALTER TABLE bm_webhook.operation OWNER TO bm_webhook;
COMMENT ON TABLE bm_webhook.operation IS
	'what somebody has asked for: changes of many deliveries, and how far each has got; pauses';
COMMENT ON COLUMN bm_webhook.operation.event_id IS 'of this event alone';
COMMENT ON COLUMN bm_webhook.operation.since IS 'of events that were captured at this time or later, and before until';
COMMENT ON COLUMN bm_webhook.operation.matched IS 'deliveries that it was for when it was asked for';
COMMENT ON COLUMN bm_webhook.operation.done IS 'deliveries that it has changed so far';
COMMENT ON COLUMN bm_webhook.operation.reached IS 'the last event that it has looked at';
COMMENT ON COLUMN bm_webhook.operation.asked_by IS 'the session_user';
COMMENT ON COLUMN bm_webhook.operation.acting_as IS 'the current_user';
COMMENT ON COLUMN bm_webhook.operation.ended_at IS 'NULL while the dispatcher works on it';
COMMENT ON COLUMN bm_webhook.operation.error IS 'why it ended before everything was done; NULL: it did all';
COMMENT ON COLUMN bm_webhook.operation.application IS 'of the endpoint; or that was paused, resumed or erased from';
COMMENT ON COLUMN bm_webhook.operation.reason IS 'as who asked for it has said';
COMMENT ON COLUMN bm_webhook.operation.reached_secret IS 'the last secret that rekey() has looked at';
COMMENT ON COLUMN bm_webhook.operation.reached_endpoint IS 'the last endpoint of which it has looked at the headers';
COMMENT ON COLUMN bm_webhook.operation.xid IS 'the transaction that asked for it';
ALTER TABLE bm_webhook.operation ENABLE ROW LEVEL SECURITY;

CREATE OR REPLACE FUNCTION bm_webhook_internal.open_operations(most bigint)
	RETURNS TABLE (id bigint, endpoint_id bigint, application text, rank bigint)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $$
	WITH RECURSIVE open (application) AS (
		(SELECT coalesce(o.application, '') FROM bm_webhook.operation o WHERE o.ended_at IS NULL
			ORDER BY coalesce(o.application, '') LIMIT 1)
		UNION ALL
		SELECT (SELECT coalesce(o.application, '') FROM bm_webhook.operation o
			WHERE o.ended_at IS NULL AND coalesce(o.application, '') > p.application
			ORDER BY coalesce(o.application, '') LIMIT 1)
		FROM open p WHERE p.application IS NOT NULL
	)
	SELECT x.id, x.endpoint_id, p.application, x.rank
	FROM open p CROSS JOIN LATERAL (
		SELECT o.id, o.endpoint_id, row_number() OVER (ORDER BY o.id) AS rank FROM bm_webhook.operation o
		WHERE o.ended_at IS NULL AND coalesce(o.application, '') = p.application ORDER BY o.id LIMIT most) x
	ORDER BY x.rank, x.id
$$;
COMMENT ON FUNCTION bm_webhook_internal.open_operations(bigint) IS
	'operations that have not ended, at most so many of each application, the oldest of each first';

CREATE OR REPLACE FUNCTION bm_webhook_internal.walk(o bm_webhook.operation, most bigint) RETURNS SETOF uuid
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan
	SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
	first uuid = coalesce(o.reached, bm_webhook.uuid_floor(o.since));
	last uuid = bm_webhook.uuid_floor(o.until);
BEGIN
	IF o.status = '{failed}' THEN
		RETURN QUERY SELECT d.event_id FROM bm_webhook.delivery d
			WHERE d.endpoint_id = o.endpoint_id AND d.status = 'failed' AND d.event_id > first AND d.event_id < last
			ORDER BY d.event_id LIMIT most;
	ELSE
		RETURN QUERY SELECT e.id FROM bm_webhook.event e WHERE e.id > first AND e.id < last ORDER BY e.id LIMIT most;
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.walk(bm_webhook.operation, bigint) IS
	'the next events of the period of an operation';

CREATE OR REPLACE FUNCTION bm_webhook_internal.count_redeliverable(o bm_webhook.operation) RETURNS bigint
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan
		SET jit = off AS $$
DECLARE
	first uuid = bm_webhook.uuid_floor(o.since);
	last uuid = bm_webhook.uuid_floor(o.until);
	matched bigint;
BEGIN
	SELECT count(*) INTO matched FROM bm_webhook.delivery d
		WHERE d.endpoint_id = o.endpoint_id AND d.event_id >= first AND d.event_id < last AND d.status = ANY (o.status)
			AND (o.error_class IS NULL OR d.error_class = ANY (o.error_class));
	RETURN least(matched, o.max_rows);
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.count_redeliverable(bm_webhook.operation) IS
	'how many deliveries an operation would send again';

CREATE OR REPLACE FUNCTION bm_webhook_internal.redeliver_some(o bm_webhook.operation, events uuid[]) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	changed bigint;
BEGIN
	WITH was AS MATERIALIZED (
		SELECT d.* FROM bm_webhook.delivery d
			WHERE d.event_id = ANY (events) AND d.event_id >= events[1] AND d.event_id <= events[cardinality(events)]
				AND d.endpoint_id = o.endpoint_id AND d.status = ANY (o.status)
				AND (o.error_class IS NULL OR d.error_class = ANY (o.error_class))
				AND d.next_attempt_at IS DISTINCT FROM 'infinity' AND coalesce(d.last_attempt_at <= o.asked_at, true)
				AND NOT EXISTS (SELECT FROM bm_webhook.set_aside s
					WHERE s.event_id = d.event_id AND s.endpoint_id = d.endpoint_id)
			ORDER BY d.event_id LIMIT o.max_rows - o.done FOR NO KEY UPDATE
	), again AS (
		INSERT INTO bm_webhook.delivery AS d (event_id, endpoint_id, status, attempts, next_attempt_at)
			SELECT w.event_id, w.endpoint_id, 'pending', w.attempts, clock_timestamp() FROM was w
			ON CONFLICT (event_id, endpoint_id) DO UPDATE
				SET status = excluded.status, next_attempt_at = excluded.next_attempt_at
	), counted AS (
		INSERT INTO bm_webhook_internal.pending_change
			SELECT endpoint_id, count(*), count(*) FILTER (WHERE attempts > 0)
			FROM was WHERE status <> 'pending' GROUP BY endpoint_id
	)
	INSERT INTO bm_webhook.redelivery (event_id, endpoint_id, asked_by, status, attempts, last_attempt_at, http_status,
		duration)
		SELECT event_id, endpoint_id, o.asked_by, status, attempts, last_attempt_at, http_status, duration FROM was;
	GET DIAGNOSTICS changed = ROW_COUNT;
	RETURN changed;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.redeliver_some(bm_webhook.operation, uuid[]) IS
	'makes deliveries of these events due again; returns how many';

CREATE OR REPLACE FUNCTION bm_webhook_internal.cancel_some(o bm_webhook.operation, most bigint) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	before uuid = bm_webhook.uuid_floor(o.until);
	changed bigint;
BEGIN
	WITH waiting AS MATERIALIZED (
		SELECT d.event_id, d.attempts FROM bm_webhook.delivery d
			WHERE d.endpoint_id = o.endpoint_id AND d.status = 'pending' AND d.event_id < before
				AND (o.event_id IS NULL OR d.event_id = o.event_id)
				AND NOT EXISTS (SELECT FROM bm_webhook.set_aside s
					WHERE s.event_id = d.event_id AND s.endpoint_id = d.endpoint_id)
			LIMIT most FOR NO KEY UPDATE
	), counted AS (
		INSERT INTO bm_webhook_internal.pending_change
			SELECT o.endpoint_id, -count(*), -count(*) FILTER (WHERE w.attempts > 0) FROM waiting w HAVING count(*) > 0
	)
	INSERT INTO bm_webhook.delivery AS d (event_id, endpoint_id, status, attempts, error)
		SELECT w.event_id, o.endpoint_id, 'canceled', 0, 'canceled by cancel()' FROM waiting w
		ON CONFLICT (event_id, endpoint_id) DO UPDATE
			SET status = excluded.status, next_attempt_at = NULL, error = excluded.error;
	GET DIAGNOSTICS changed = ROW_COUNT;
	RETURN changed;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.cancel_some(bm_webhook.operation, bigint) IS
	'cancels some of what waits in the table; returns how many';

CREATE OR REPLACE FUNCTION bm_webhook_internal.is_for(p bm_webhook.endpoint, e bm_webhook.event, muted text[]) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN (p.application IS NULL OR p.application = e.application) AND (p.channel IS NULL OR p.channel = e.channel)
		AND e.endpoint_id IS NULL
		AND bm_webhook_internal.route(p.id, '-infinity', p.application, p.channel, p.event_types,
			e.endpoint_id, e.created_at, e.type, e.application, e.channel, e.reply_to IS NOT NULL, muted)
		AND bm_webhook_internal.filter_says(p, e) IS NULL;
COMMENT ON FUNCTION bm_webhook_internal.is_for(bm_webhook.endpoint, bm_webhook.event, text[]) IS
	'would the endpoint get this event, had it been there?';

CREATE OR REPLACE FUNCTION bm_webhook_internal.recover_some(o bm_webhook.operation, events uuid[], in_memory uuid[]) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	changed bigint;
BEGIN
	INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts, next_attempt_at)
		SELECT e.id, p.id, 'pending', 0, clock_timestamp()
		FROM bm_webhook.endpoint p, bm_webhook.event e
		WHERE p.id = o.endpoint_id AND p.deleted_at IS NULL
			AND e.id = ANY (events) AND e.id >= events[1] AND e.id <= events[cardinality(events)]
			AND bm_webhook_internal.is_for(p, e,
				(SELECT a.muted_event_types FROM bm_webhook.application a WHERE a.name = e.application))
			AND e.id <> ALL (in_memory)
			AND NOT EXISTS (SELECT FROM bm_webhook.set_aside s WHERE s.event_id = e.id AND s.endpoint_id = p.id)
		ON CONFLICT (event_id, endpoint_id) DO NOTHING;
	GET DIAGNOSTICS changed = ROW_COUNT;
	INSERT INTO bm_webhook_internal.pending_change SELECT o.endpoint_id, changed, 0 WHERE changed > 0;
	RETURN changed;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.recover_some(bm_webhook.operation, uuid[], uuid[]) IS
	'makes deliveries of those events that the endpoint never got; returns how many';

CREATE OR REPLACE FUNCTION bm_webhook_internal.count_recoverable(o bm_webhook.operation) RETURNS bigint
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan
		SET jit = off AS $$
DECLARE
	first uuid = bm_webhook.uuid_floor(o.since);
	last uuid = bm_webhook.uuid_floor(o.until);
BEGIN
	RETURN (SELECT count(*) FROM bm_webhook.endpoint p, bm_webhook.event e
		WHERE p.id = o.endpoint_id AND e.id >= first AND e.id < last
			AND bm_webhook_internal.is_for(p, e,
				(SELECT a.muted_event_types FROM bm_webhook.application a WHERE a.name = e.application))
			AND NOT EXISTS (SELECT FROM bm_webhook.delivery d WHERE d.event_id = e.id AND d.endpoint_id = p.id)
			AND NOT EXISTS (SELECT FROM bm_webhook.set_aside s WHERE s.event_id = e.id AND s.endpoint_id = p.id)
			AND NOT (e.xid >= (SELECT pg_snapshot_xmin(c.snapshot) AS xmin FROM bm_webhook.cursor c ORDER BY 1 LIMIT 1)
				AND e.created_at > p.updated_at AND bm_webhook_internal.wants(p, e,
					(SELECT a.muted_event_types FROM bm_webhook.application a WHERE a.name = e.application))));
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.count_recoverable(bm_webhook.operation) IS
	'how many events an operation would send to an endpoint that never got them';

CREATE OR REPLACE FUNCTION bm_webhook_internal.operation_step(operation bigint, most bigint, still_to_come boolean,
		in_memory uuid[], OUT has_ended boolean, OUT is_waiting boolean)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	o bm_webhook.operation;
	events uuid[] = '{}';
	changed bigint = 0;
BEGIN
	SELECT * INTO o FROM bm_webhook.operation x WHERE x.id = operation_step.operation AND x.ended_at IS NULL FOR UPDATE;
	IF NOT FOUND THEN
		has_ended = true;
		RETURN;
	END IF;
	-- each evaluation of a filter has its 5 ms, in which nothing is sent
	IF EXISTS (SELECT FROM bm_webhook.endpoint p WHERE o.kind = 'recover' AND p.id = o.endpoint_id
		AND p.filter IS NOT NULL)
	THEN
		most = least(most, 20);
	END IF;
	IF o.kind = 'rekey' THEN
		has_ended = bm_webhook_internal.rekey_step(o, most);
		RETURN;
	ELSIF o.kind = 'cancel' THEN
		changed = bm_webhook_internal.cancel_some(o, most);
		is_waiting = changed = 0;
		has_ended = changed = 0 AND NOT still_to_come;
	ELSIF o.kind = 'set_aside' THEN
		changed = bm_webhook_internal.set_one_aside(o);
		has_ended = changed > 0 OR NOT still_to_come;
		is_waiting = NOT has_ended;
	ELSIF still_to_come THEN
		is_waiting = true;
	ELSE
		events = ARRAY(SELECT bm_webhook_internal.walk(o, most));
		IF cardinality(events) > 0 THEN
			changed = CASE o.kind WHEN 'recover' THEN bm_webhook_internal.recover_some(o, events, in_memory)
				ELSE bm_webhook_internal.redeliver_some(o, events) END;
		END IF;
		has_ended = cardinality(events) < most OR coalesce(o.done + changed >= o.max_rows, false);
	END IF;
	UPDATE bm_webhook.operation x SET done = o.done + changed,
			reached = coalesce(events[cardinality(events)], o.reached),
			ended_at = CASE WHEN has_ended THEN clock_timestamp() END
		WHERE x.id = o.id AND (changed > 0 OR cardinality(events) > 0 OR has_ended);
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.operation_step(bigint, bigint, boolean, uuid[]) IS
	'the next step of an operation: at most so many rows; still_to_come: others that it is for will '
	'come; in_memory: the endpoint''s events that the dispatcher has';

CREATE OR REPLACE FUNCTION bm_webhook_internal.count_waiting(o bm_webhook.operation) RETURNS bigint
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan
		SET jit = off AS $$
DECLARE
	before uuid = bm_webhook.uuid_floor(o.until);
BEGIN
	RETURN (SELECT count(*) FROM bm_webhook.delivery d
			WHERE d.endpoint_id = o.endpoint_id AND d.status = 'pending' AND d.event_id < before
				AND (o.event_id IS NULL OR d.event_id = o.event_id))
		+ (SELECT count(*) FROM bm_webhook.endpoint p, bm_webhook.event e
			WHERE p.id = o.endpoint_id AND e.id < before AND (o.event_id IS NULL OR e.id = o.event_id)
				AND e.xid >= (SELECT pg_snapshot_xmin(c.snapshot) AS xmin FROM bm_webhook.cursor c ORDER BY 1 LIMIT 1)
				AND e.xid < pg_snapshot_xmax(pg_current_snapshot())
				AND bm_webhook_internal.wants(p, e,
					(SELECT a.muted_event_types FROM bm_webhook.application a WHERE a.name = e.application))
				AND NOT EXISTS (SELECT FROM bm_webhook.delivery d WHERE d.event_id = e.id AND d.endpoint_id = p.id));
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.count_waiting(bm_webhook.operation) IS
	'how many deliveries an operation would cancel';

CREATE OR REPLACE FUNCTION bm_webhook_internal.begin_operation(kind text, endpoint bigint, event uuid, since timestamptz,
		until timestamptz, status text[], error_class text[], max_rows bigint, dry_run boolean, acting_as name,
		OUT operation bigint, OUT matched bigint)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	o bm_webhook.operation;
BEGIN
	o.kind = kind;
	o.endpoint_id = endpoint;
	o.event_id = event;
	o.since = greatest(since, '1970-01-01 UTC');
	o.asked_at = clock_timestamp();
	o.until = greatest(least(until, o.asked_at), o.since, '1970-01-01 UTC');
	o.status = ARRAY(SELECT DISTINCT s FROM unnest(status) s ORDER BY s);
	o.error_class = error_class;
	o.max_rows = max_rows;
	o.done = 0;
	matched = CASE kind WHEN 'cancel' THEN bm_webhook_internal.count_waiting(o)
		WHEN 'recover' THEN bm_webhook_internal.count_recoverable(o)
		ELSE bm_webhook_internal.count_redeliverable(o) END;
	IF dry_run OR matched = 0 THEN
		RETURN;
	END IF;
	INSERT INTO bm_webhook.operation (kind, endpoint_id, event_id, since, until, status, error_class, max_rows, matched,
		asked_at, asked_by, acting_as, application)
		VALUES (o.kind, o.endpoint_id, o.event_id, o.since, o.until, o.status, o.error_class, o.max_rows,
			begin_operation.matched, o.asked_at, session_user, begin_operation.acting_as,
			(SELECT p.application FROM bm_webhook.endpoint p WHERE p.id = o.endpoint_id))
		RETURNING id INTO operation;
	IF kind = 'recover' THEN
		UPDATE bm_webhook.endpoint p SET events_since = o.since
			WHERE p.id = o.endpoint_id AND coalesce(p.events_since, p.created_at) > o.since;
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.begin_operation(text, bigint, uuid, timestamptz, timestamptz, text[], text[],
	bigint, boolean, name) IS
	'counts what an operation is for and, unless it is a dry run, writes it down for the dispatcher';

CREATE OR REPLACE FUNCTION bm_webhook.redeliver(endpoint bigint, since timestamptz, until timestamptz = NULL,
	status text[] = '{failed}',
		error_class text[] = NULL, max_rows bigint = NULL, dry_run boolean = false, OUT operation bigint, OUT matched bigint)
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_redeliver';
COMMENT ON FUNCTION bm_webhook.redeliver(bigint, timestamptz, timestamptz, text[], text[], bigint, boolean) IS
	'sends again what was captured for an endpoint in a period and has one of these statuses; matched is how many '
	'deliveries that is. The dispatcher does it in the background: operation is the row of bm_webhook.operation that '
	'shows how far it has got, NULL in a dry run and when nothing matched; 22004, 22008, 22023, 42704 unknown endpoint';

CREATE OR REPLACE FUNCTION bm_webhook.cancel(event uuid = NULL, endpoint bigint = NULL, before timestamptz = NULL,
		everything boolean = false, dry_run boolean = false)
	RETURNS TABLE (operation bigint, endpoint_id bigint, matched bigint)
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_cancel';
COMMENT ON FUNCTION bm_webhook.cancel(uuid, bigint, timestamptz, boolean, boolean) IS
	'cancels what waits: of an event, for an endpoint, what was captured before a time, or everything, as far as the '
	'endpoints are the caller''s. A row for each endpoint: matched is how many deliveries wait, operation the '
	'row of bm_webhook.operation by which the dispatcher cancels them (NULL in a dry run, and when nothing waits); '
	'22004, 42704 unknown endpoint';

CREATE OR REPLACE FUNCTION bm_webhook.recover(endpoint bigint, since timestamptz, until timestamptz = NULL,
		dry_run boolean = false, OUT operation bigint, OUT matched bigint)
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_recover';
COMMENT ON FUNCTION bm_webhook.recover(bigint, timestamptz, timestamptz, boolean) IS
	'sends an endpoint the events of a period that match it and that it never got, because it was disabled, was '
	'registered later or subscribed to less; matched is how many, operation the row of bm_webhook.operation that shows '
	'how far the dispatcher has got; 22004, 22008, 22023, 42704 unknown endpoint';

-------------------------------------------------------------------------------
-- Answers
-------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION bm_webhook.preview(event uuid, endpoint bigint, OUT method text, OUT url text, OUT headers jsonb,
		OUT body text)
	LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'bm_webhook_preview';
COMMENT ON FUNCTION bm_webhook.preview(uuid, bigint) IS
	'the request of the next attempt to send an event to an endpoint of an application that the caller owns, signed '
	'as of now, which is not sent; 22004, 42704 unknown endpoint or event, 55000 endpoint without a usable secret';

CREATE OR REPLACE FUNCTION bm_webhook_internal.reason(p bm_webhook.endpoint, e bm_webhook.event, muted text[]) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN p.deleted_at IS NOT NULL THEN 'deleted'
		ELSE coalesce(bm_webhook_internal.route_reason(p.id, coalesce(p.events_since, p.created_at), p.application,
			p.channel, p.event_types, e.endpoint_id, e.created_at, e.type, e.application, e.channel,
			e.reply_to IS NOT NULL, muted),
			bm_webhook_internal.filter_says(p, e),
			CASE WHEN NOT p.enabled THEN 'disabled' END) END;
COMMENT ON FUNCTION bm_webhook_internal.reason(bm_webhook.endpoint, bm_webhook.event, text[]) IS
	'why the endpoint does not get this event; NULL: it does, as wants() says';

CREATE OR REPLACE FUNCTION bm_webhook.explain_delivery(event uuid)
	RETURNS TABLE (endpoint_id bigint, gets_it boolean, reason text, status text)
	LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'bm_webhook_explain_delivery';
COMMENT ON FUNCTION bm_webhook.explain_delivery(uuid) IS
	'for each of the caller''s endpoints: does it get this event, as it is registered now, and which filter decides? '
	'reason: deleted, for another endpoint, other application, other channel, captured earlier (than the endpoint gets '
	'events), other event type, muted, filter, filter failed (and why), disabled; or "paused" or "no secret" if it gets '
	'it and it waits. status: of '
	'the delivery, or "set aside"; NULL when there is none (yet). 22004, 42704 unknown event';

-------------------------------------------------------------------------------
-- Pause
-------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION bm_webhook_internal.set_paused(is_paused boolean, endpoint bigint, application text, reason text,
		acting_as name) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	since timestamptz = CASE WHEN is_paused THEN clock_timestamp() END;
	changed bigint;
BEGIN
	IF endpoint IS NOT NULL THEN
		UPDATE bm_webhook.endpoint p SET paused_at = since
			WHERE p.id = endpoint AND (p.paused_at IS NULL) = is_paused;
	ELSIF application IS NOT NULL THEN
		UPDATE bm_webhook.application a SET paused_at = since
			WHERE a.name = application AND (a.paused_at IS NULL) = is_paused;
	ELSIF is_paused THEN
		INSERT INTO bm_webhook.paused (reason) VALUES (set_paused.reason) ON CONFLICT DO NOTHING;
	ELSE
		DELETE FROM bm_webhook.paused;
	END IF;
	GET DIAGNOSTICS changed = ROW_COUNT;
	IF changed > 0 THEN
		INSERT INTO bm_webhook.operation (kind, endpoint_id, application, reason, matched, done, asked_by, acting_as,
			ended_at)
			VALUES (CASE WHEN is_paused THEN 'pause' ELSE 'resume' END, endpoint, application, reason, changed, changed,
				session_user, acting_as, clock_timestamp());
	END IF;
	RETURN changed;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.set_paused(boolean, bigint, text, text, name) IS
	'pauses or resumes an endpoint, an application, or everything; returns how many it changed';

CREATE OR REPLACE FUNCTION bm_webhook.pause(endpoint bigint = NULL, application text = NULL, everything boolean = false,
		reason text = NULL) RETURNS bigint
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_pause';
COMMENT ON FUNCTION bm_webhook.pause(bigint, text, boolean, text) IS
	'stops sending to an endpoint, to those of an application, or everything; events are taken and wait, and nothing is '
	'missed. Returns 1, or 0 when it was paused already; 22004, 22023, 42501, 42704';

CREATE OR REPLACE FUNCTION bm_webhook.resume(endpoint bigint = NULL, application text = NULL, everything boolean = false,
		reason text = NULL) RETURNS bigint
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_resume';
COMMENT ON FUNCTION bm_webhook.resume(bigint, text, boolean, text) IS
	'undoes the pause() of the same arguments: what waits is sent, as its schedule says. Returns 1, or 0 when it was not '
	'paused; 22004, 22023, 42501, 42704';

CREATE OR REPLACE FUNCTION bm_webhook_internal.paused_changed() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'bm_webhook_paused_changed';
COMMENT ON FUNCTION bm_webhook_internal.paused_changed() IS 'tells the dispatcher that everything is paused, or not';
CREATE TRIGGER paused_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON bm_webhook.paused
	FOR EACH STATEMENT EXECUTE FUNCTION bm_webhook_internal.paused_changed();
ALTER TABLE bm_webhook.paused ENABLE ALWAYS TRIGGER paused_changed;
COMMENT ON TRIGGER paused_changed ON bm_webhook.paused IS 'tells the dispatcher';

-------------------------------------------------------------------------------
-- Idempotency
-------------------------------------------------------------------------------

CREATE TABLE bm_webhook_internal.idempotency_key (
	application text COLLATE "C" NOT NULL,
	key text COLLATE "C" NOT NULL,
	event_id uuid NOT NULL,
	fingerprint bigint NOT NULL,
	expires_at timestamptz NOT NULL,
	PRIMARY KEY (application, key)
);
CREATE INDEX idempotency_key_expires_at_idx ON bm_webhook_internal.idempotency_key (expires_at);
ALTER TABLE bm_webhook_internal.idempotency_key OWNER TO bm_webhook;
COMMENT ON TABLE bm_webhook_internal.idempotency_key IS
	'the idempotency keys of events that were emitted with one, as long as they count';
COMMENT ON COLUMN bm_webhook_internal.idempotency_key.application IS 'empty for events without one';
COMMENT ON COLUMN bm_webhook_internal.idempotency_key.fingerprint IS 'a hash of what the event says';

CREATE OR REPLACE FUNCTION bm_webhook_internal.forget_keys(most integer) RETURNS integer
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	forgotten integer;
BEGIN
	DELETE FROM bm_webhook_internal.idempotency_key k WHERE k.ctid = ANY (ARRAY(
		SELECT x.ctid FROM bm_webhook_internal.idempotency_key x WHERE x.expires_at < clock_timestamp()
			ORDER BY x.expires_at LIMIT most FOR UPDATE SKIP LOCKED));
	GET DIAGNOSTICS forgotten = ROW_COUNT;
	RETURN forgotten;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.forget_keys(integer) IS
	'removes so many expired idempotency keys; returns how many there were';

-------------------------------------------------------------------------------
-- Erasure
-------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION bm_webhook_internal.redacted(type text, data jsonb) RETURNS json
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_strip_nulls(jsonb_build_object('erased', true) || CASE WHEN starts_with(type, 'message.')
		THEN jsonb_build_object('status', data->'status', 'direction', data->'direction',
			'occurred_at', data->'occurred_at', 'provider_message_id', data->'provider_message_id',
			'segments', data->'segments', 'price', data->'price',
			'error', CASE WHEN data ? 'error' THEN jsonb_build_object('code', data #> '{error,code}',
				'permanent', data #> '{error,permanent}') END,
			'metadata', CASE WHEN data->'metadata' ? 'campaign'
				THEN jsonb_build_object('campaign', data #> '{metadata,campaign}') END)
		ELSE '{}' END)::json
$$;
COMMENT ON FUNCTION bm_webhook_internal.redacted(text, jsonb) IS 'what is left of the data of an event that is erased';

CREATE OR REPLACE FUNCTION bm_webhook_internal.erase(message_id text, recipient text, application text, acting oid,
		sees_all boolean, acting_as name, OUT operation bigint, OUT events bigint, OUT responses bigint,
		OUT set_aside bigint, OUT is_complete boolean)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_variable
DECLARE
	most constant integer = 10000;
	own text[] = ARRAY(SELECT a.name FROM bm_webhook.application a WHERE pg_has_role(acting, a.owner, 'MEMBER'));
	found uuid[];
BEGIN
	IF application IS NOT NULL AND NOT (application = ANY (own) OR sees_all
		AND EXISTS (SELECT FROM bm_webhook.application a WHERE a.name = application)) THEN
		PERFORM bm_webhook_internal.refuse(format('application "%s" does not exist', application),
			'Applications are the rows of bm_webhook.application.', '42704');
	END IF;
	found = ARRAY(SELECT e.id FROM bm_webhook.event e
		WHERE (erase.message_id IS NULL OR e.message_id = erase.message_id)
			AND (recipient IS NULL OR recipient IN (e.data #>> '{to,address}', e.data #>> '{from,address}'))
			AND (erase.application IS NULL OR e.application = erase.application)
			AND (sees_all OR e.application = ANY (own))
			AND (e.data->>'erased' IS DISTINCT FROM 'true'
				OR e.data::jsonb <> bm_webhook_internal.redacted(e.type, e.data::jsonb)::jsonb)
		LIMIT most + 1);
	is_complete = cardinality(found) <= most;
	found = found[1:most];
	WITH redacted AS (
		UPDATE bm_webhook.event e SET data = bm_webhook_internal.redacted(e.type, e.data::jsonb) WHERE e.id = ANY (found)
			RETURNING e.application AS of_application
	), noted AS (
		INSERT INTO bm_webhook.operation (kind, application, matched, done, asked_by, acting_as, ended_at)
			SELECT 'erase', of_application, count(*), count(*), session_user, acting_as, clock_timestamp()
			FROM redacted GROUP BY of_application RETURNING id, done
	)
	SELECT min(n.id), coalesce(sum(n.done), 0) INTO operation, events FROM noted n;
	UPDATE bm_webhook.failed_attempt f SET response = NULL WHERE f.event_id = ANY (found) AND f.response IS NOT NULL;
	GET DIAGNOSTICS responses = ROW_COUNT;
	UPDATE bm_webhook.set_aside s SET response = NULL WHERE s.event_id = ANY (found) AND s.response IS NOT NULL;
	GET DIAGNOSTICS set_aside = ROW_COUNT;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.erase(text, text, text, oid, boolean, name) IS
	'redacts the events of a message or person, and the responses to them';

CREATE OR REPLACE FUNCTION bm_webhook.erase(message_id text = NULL, recipient text = NULL, application text = NULL,
		OUT operation bigint, OUT events bigint, OUT responses bigint, OUT set_aside bigint, OUT is_complete boolean)
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_erase';
COMMENT ON FUNCTION bm_webhook.erase(text, text, text) IS
	'erases a person''s data from the log: of a message, or of all messages to or from an address; of one application, or '
	'of all that are the caller''s. Ids, times, statuses and what reports count stay. Returns how many events, responses '
	'of receivers and outcomes set aside it has changed, at most 10,000 events: call it again until is_complete. '
	'operation: its record in bm_webhook.operation, of several applications the first of theirs. 22004, 42704 unknown '
	'application';

-------------------------------------------------------------------------------
-- Secrets
-------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION bm_webhook_internal.public_part(secret text) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_public_part';
COMMENT ON FUNCTION bm_webhook_internal.public_part(text) IS
	'what a receiver needs to verify: of a pair of keys the public one, of a shared key that itself';

-- Called by C as the owner of the log, who has seen that the caller may ask for it.
CREATE OR REPLACE FUNCTION bm_webhook_internal.rotate_secret(endpoint bigint, overlap interval, kind text, acting_as name)
	RETURNS text
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	made text = bm_webhook_internal.random_secret(kind);
	expiring bigint;
BEGIN
	-- one after the other: the second one sees what the first one has made
	PERFORM FROM bm_webhook.endpoint e WHERE e.id = endpoint FOR NO KEY UPDATE;
	DELETE FROM bm_webhook.endpoint_secret s WHERE s.endpoint_id = endpoint AND s.expires_at <= clock_timestamp();
	UPDATE bm_webhook.endpoint_secret s SET expires_at = clock_timestamp() + overlap
		WHERE s.endpoint_id = endpoint AND s.kind = rotate_secret.kind
			AND coalesce(s.expires_at > clock_timestamp() + overlap, true);
	GET DIAGNOSTICS expiring = ROW_COUNT;
	IF (SELECT count(*) >= 16 FROM bm_webhook.endpoint_secret s WHERE s.endpoint_id = endpoint) THEN
		PERFORM bm_webhook_internal.refuse('the endpoint has too many secrets',
			'At most 16 are allowed: delete old ones by bm_webhook.delete_secret().', '54000');
	END IF;
	INSERT INTO bm_webhook.endpoint_secret (endpoint_id, secret, kind) VALUES (endpoint, made, rotate_secret.kind);
	INSERT INTO bm_webhook.operation (kind, endpoint_id, application, matched, done, asked_by, acting_as, ended_at)
		SELECT 'rotate_secret', e.id, e.application, expiring, expiring, session_user, rotate_secret.acting_as,
			clock_timestamp() FROM bm_webhook.endpoint e WHERE e.id = endpoint;
	RETURN bm_webhook_internal.public_part(made);
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.rotate_secret(bigint, interval, text, name) IS
	'gives an endpoint another secret, lets those before expire after overlap, and notes who wanted it';

CREATE OR REPLACE FUNCTION bm_webhook.rotate_secret(endpoint bigint, overlap interval = '24 h', kind text = 'hmac_sha256')
	RETURNS text
	LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'bm_webhook_rotate_secret';
COMMENT ON FUNCTION bm_webhook.rotate_secret(bigint, interval, text) IS
	'makes the next secret of an endpoint, and returns what its receiver needs: the secret, or for kind => ''ed25519'' '
	'the public key. Until overlap has passed, requests are signed with those of its kind before as well; then these '
	'expire. It is recorded in bm_webhook.operation; 22004, 22023, 42704 unknown endpoint, 54000 too many secrets';

CREATE OR REPLACE FUNCTION bm_webhook.public_key(endpoint bigint) RETURNS text
	LANGUAGE c STABLE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'bm_webhook_public_key';
COMMENT ON FUNCTION bm_webhook.public_key(bigint) IS
	'the public key (whpk_...) by which the receiver of an endpoint verifies signatures v1a: that of its newest secret of '
	'kind ed25519; 22004, 42704 unknown endpoint, no such secret';
CREATE OR REPLACE FUNCTION bm_webhook.jwks(endpoint bigint) RETURNS jsonb
	LANGUAGE c STABLE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'bm_webhook_jwks';
COMMENT ON FUNCTION bm_webhook.jwks(bigint) IS
	'all public keys of an endpoint that have not expired, as a JSON Web Key Set (RFC 7517, RFC 8037); 22004, 42704 '
	'unknown endpoint';

CREATE OR REPLACE FUNCTION bm_webhook_internal.secret_key() RETURNS text
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_secret_key';
COMMENT ON FUNCTION bm_webhook_internal.secret_key() IS
	'the id of the key that secrets are encrypted with, NULL: they are not; 55000 unusable bm_webhook.secret_key_file';

CREATE OR REPLACE FUNCTION bm_webhook_internal.opens(endpoint bigint, id bigint, kind text, secret text, key_id text)
	RETURNS boolean
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_opens';
COMMENT ON FUNCTION bm_webhook_internal.opens(bigint, bigint, text, text, text) IS
	'can this row of endpoint_secret be decrypted?';

CREATE OR REPLACE FUNCTION bm_webhook_internal.opens_headers(endpoint bigint, credentials text, key_id text) RETURNS boolean
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'bm_webhook_opens_headers';
COMMENT ON FUNCTION bm_webhook_internal.opens_headers(bigint, text, text) IS
	'can the headers of this endpoint be decrypted?';

-- Called by C as the owner of the log, for an administrator.
CREATE OR REPLACE FUNCTION bm_webhook_internal.begin_rekey(key text, dry_run boolean, acting_as name, OUT operation bigint,
		OUT matched bigint)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	matched = (SELECT count(*) FROM bm_webhook.endpoint_secret s WHERE s.key_id IS DISTINCT FROM key)
		+ (SELECT count(*) FROM bm_webhook.endpoint e WHERE e.headers <> '{}' AND e.credentials_key_id IS DISTINCT FROM key);
	IF dry_run OR matched = 0 THEN
		RETURN;
	END IF;
	INSERT INTO bm_webhook.operation (kind, until, matched, asked_by, acting_as)
		VALUES ('rekey', clock_timestamp(), begin_rekey.matched, session_user, begin_rekey.acting_as)
		RETURNING id INTO operation;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.begin_rekey(text, boolean, name) IS
	'counts what is not encrypted with this key and, unless it is a dry run, asks the dispatcher to encrypt it';

-- For the dispatcher. First secrets, then headers; what cannot be decrypted is left as it is.
CREATE OR REPLACE FUNCTION bm_webhook_internal.rekey_step(o bm_webhook.operation, most bigint) RETURNS boolean
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	key text = bm_webhook_internal.secret_key();
	last_secret bigint = coalesce(o.reached_secret, 0);
	last_endpoint bigint = coalesce(o.reached_endpoint, 0);
	looked_at bigint = 0;
	changed bigint = 0;
	left_over bigint;
	found bigint;
BEGIN
	IF key IS NULL THEN
		PERFORM bm_webhook_internal.refuse('there is no key to encrypt secrets with',
			'Set bm_webhook.secret_key_file.', '55000');
	END IF;
	FOR found IN SELECT s.id FROM bm_webhook.endpoint_secret s WHERE s.id > last_secret AND s.key_id IS DISTINCT FROM key
		ORDER BY s.id LIMIT most FOR NO KEY UPDATE
	LOOP
		BEGIN
			UPDATE bm_webhook.endpoint_secret s SET key_id = key WHERE s.id = found;
			changed = changed + 1;
		EXCEPTION WHEN object_not_in_prerequisite_state THEN
			NULL;
		END;
		last_secret = found;
		looked_at = looked_at + 1;
	END LOOP;
	FOR found IN SELECT e.id FROM bm_webhook.endpoint e WHERE e.id > last_endpoint AND e.headers <> '{}'
		AND e.credentials_key_id IS DISTINCT FROM key ORDER BY e.id LIMIT most - looked_at FOR NO KEY UPDATE
	LOOP
		BEGIN
			UPDATE bm_webhook.endpoint e SET credentials_key_id = key WHERE e.id = found;
			changed = changed + 1;
		EXCEPTION WHEN object_not_in_prerequisite_state THEN
			NULL;
		END;
		last_endpoint = found;
		looked_at = looked_at + 1;
	END LOOP;
	IF looked_at < most THEN
		left_over = (SELECT count(*) FROM bm_webhook.endpoint_secret s
				WHERE s.key_id IS DISTINCT FROM key AND s.id <= last_secret)
			+ (SELECT count(*) FROM bm_webhook.endpoint e
				WHERE e.headers <> '{}' AND e.credentials_key_id IS DISTINCT FROM key AND e.id <= last_endpoint);
	END IF;
	UPDATE bm_webhook.operation x SET done = o.done + changed, reached_secret = last_secret,
			reached_endpoint = last_endpoint, ended_at = CASE WHEN looked_at < most THEN clock_timestamp() END,
			error = CASE WHEN left_over > 0 THEN format('%s secrets or headers cannot be decrypted', left_over) END
		WHERE x.id = o.id;
	RETURN looked_at < most;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.rekey_step(bm_webhook.operation, bigint) IS
	'encrypts the next secrets and headers with the first key; true: that was all';

CREATE OR REPLACE FUNCTION bm_webhook.rekey(dry_run boolean = false, OUT operation bigint, OUT matched bigint)
	LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'bm_webhook_rekey';
COMMENT ON FUNCTION bm_webhook.rekey(boolean) IS
	'has all secrets, and values of headers, encrypted with the first key of bm_webhook.secret_key_file: those in plain '
	'text, and those of other keys. matched is how many that is, operation the row of bm_webhook.operation that shows how '
	'far the dispatcher has got; for administrators; 22004, 42501, 55000 no key file, or an unusable one';

-------------------------------------------------------------------------------
-- Set aside
-------------------------------------------------------------------------------

-- Called by C as the owner of the log, who has seen that the endpoint is the caller's.
CREATE OR REPLACE FUNCTION bm_webhook_internal.begin_set_aside(endpoint bigint, event uuid, reason text, acting_as name,
		OUT operation bigint, OUT matched bigint)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	o bm_webhook.operation;
BEGIN
	o.endpoint_id = endpoint;
	o.event_id = event;
	o.until = clock_timestamp();
	matched = bm_webhook_internal.count_waiting(o);
	IF matched > 0 THEN
		INSERT INTO bm_webhook.operation (kind, endpoint_id, event_id, until, matched, reason, asked_by, acting_as,
			application)
			VALUES ('set_aside', endpoint, event, o.until, begin_set_aside.matched, reason, session_user,
				begin_set_aside.acting_as, (SELECT p.application FROM bm_webhook.endpoint p WHERE p.id = endpoint))
			RETURNING id INTO operation;
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.begin_set_aside(bigint, uuid, text, name) IS
	'writes down for the dispatcher that a delivery is to be set aside, if it waits';

-- What was only in memory the dispatcher has canceled. The row says what the delivery was; that its status is not
-- "pending" lets the later events of its message pass.
CREATE OR REPLACE FUNCTION bm_webhook_internal.set_one_aside(o bm_webhook.operation) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	changed bigint;
BEGIN
	WITH was AS MATERIALIZED (
		SELECT d.* FROM bm_webhook.delivery d
			WHERE d.event_id = o.event_id AND d.endpoint_id = o.endpoint_id
				AND (d.status = 'pending' OR d.status = 'canceled' AND d.error = 'canceled by cancel()')
				AND NOT EXISTS (SELECT FROM bm_webhook.set_aside s
					WHERE s.event_id = d.event_id AND s.endpoint_id = d.endpoint_id)
			FOR NO KEY UPDATE
	), aside AS (
		INSERT INTO bm_webhook.set_aside (event_id, endpoint_id, cause, sqlstate, status, attempts, first_attempt_at,
			last_attempt_at, http_status, error_class, error, duration, is_failed_attempt, is_exhausted, asked_by)
			SELECT event_id, endpoint_id, coalesce(o.reason, ''), '00000', 'canceled', attempts, first_attempt_at,
				last_attempt_at, http_status, error_class, CASE status WHEN 'pending' THEN error END, duration, false, false,
				o.asked_by FROM was
	), counted AS (
		INSERT INTO bm_webhook_internal.pending_change
			SELECT endpoint_id, -1, -(attempts > 0)::integer FROM was WHERE status = 'pending'
	)
	UPDATE bm_webhook.delivery d SET status = 'canceled', next_attempt_at = NULL,
			error = concat_ws(': ', 'set aside by ' || o.asked_by, o.reason)
		FROM was WHERE d.event_id = o.event_id AND d.endpoint_id = was.endpoint_id;
	GET DIAGNOSTICS changed = ROW_COUNT;
	RETURN changed;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.set_one_aside(bm_webhook.operation) IS
	'sets the delivery of an operation aside, if its row waits; returns how many';

-- Called by C likewise.
CREATE OR REPLACE FUNCTION bm_webhook_internal.put_back(endpoint bigint, event uuid, reason text, acting_as name) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	changed bigint;
BEGIN
	WITH aside AS (
		DELETE FROM bm_webhook.set_aside s
			WHERE s.event_id = event AND s.endpoint_id = endpoint AND s.asked_by IS NOT NULL RETURNING s.*
	), counted AS (
		INSERT INTO bm_webhook_internal.pending_change
			SELECT a.endpoint_id, 1, (a.attempts > 0)::integer FROM aside a JOIN bm_webhook.delivery d
				ON d.event_id = event AND d.endpoint_id = a.endpoint_id AND d.status = 'canceled'
	)
	UPDATE bm_webhook.delivery d SET status = 'pending', next_attempt_at = clock_timestamp(), error = a.error
		FROM aside a WHERE d.event_id = event AND d.endpoint_id = a.endpoint_id AND d.status = 'canceled';
	GET DIAGNOSTICS changed = ROW_COUNT;
	IF changed > 0 THEN
		PERFORM bm_webhook_internal.look(endpoint);
		INSERT INTO bm_webhook.operation (kind, endpoint_id, event_id, reason, matched, done, asked_by, acting_as, ended_at,
			application)
			VALUES ('put_back', endpoint, event, reason, changed, changed, session_user, acting_as, clock_timestamp(),
				(SELECT p.application FROM bm_webhook.endpoint p WHERE p.id = endpoint));
	END IF;
	RETURN changed;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.put_back(bigint, uuid, text, name) IS
	'makes a delivery due that somebody has set aside; returns how many';

CREATE OR REPLACE FUNCTION bm_webhook.set_aside(event uuid, endpoint bigint, reason text = NULL, OUT operation bigint,
		OUT matched bigint)
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_set_aside';
COMMENT ON FUNCTION bm_webhook.set_aside(uuid, bigint, text) IS
	'takes the delivery of an event to an endpoint out of what waits: it is not sent until put_back(), and the later '
	'events of its message do not wait for it. matched: 1, or 0 when it does not wait or is set aside already; '
	'operation: the row of bm_webhook.operation by which the dispatcher does it; 22004, 42704 unknown endpoint';

CREATE OR REPLACE FUNCTION bm_webhook.put_back(event uuid, endpoint bigint, reason text = NULL) RETURNS bigint
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_put_back';
COMMENT ON FUNCTION bm_webhook.put_back(uuid, bigint, text) IS
	'undoes set_aside(): the delivery is due, and its attempts go on counting. Returns 1, or 0 when nobody has set it '
	'aside; 22004, 42704 unknown endpoint';

-------------------------------------------------------------------------------
-- Message
-------------------------------------------------------------------------------

COMMENT ON FUNCTION bm_webhook.message_status(text, text, text, text, text, text, timestamptz, text, text, text, text,
	jsonb, integer, jsonb, jsonb, jsonb, text, text, text, timestamptz) IS
	'makes an event message.<status> of a message that was sent, and returns its id. status: accepted, sent, '
	'delivered, read, failed, expired, canceled; or that of a provider in status_map. occurred_at: the provider''s '
	'time. error: required for failed and expired. idempotency_key, expires_at: as for '
	'emit(). Errors: 22023, 23502, 54000';
COMMENT ON FUNCTION bm_webhook.message_received(jsonb, text, text, text, text, text, timestamptz, text, text, text,
	jsonb, jsonb, text, text, text, timestamptz) IS
	'makes an event message.received of an inbound message, and returns its id. context: {"message_id": ...} of the '
	'message that it answers. idempotency_key, expires_at: as for '
	'emit(). Errors: 22023, 23502, 54000';
COMMENT ON FUNCTION bm_webhook.message_clicked(jsonb, text, text, text, text, text, timestamptz, text, text, text,
	jsonb, text, text, text, timestamptz) IS
	'makes an event message.clicked, and returns its id. message_id: the message that has the button. sender: who '
	'clicked. button: {"id": ..., "text": ...}. idempotency_key, expires_at: as for '
	'emit(). Errors: 22023, 23502, 54000';

-------------------------------------------------------------------------------
-- Watch messages
-------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION bm_webhook_internal.watch_messages(relation regclass, direction text, mapping text[], omit text[],
		operations text[], condition text, level text) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	arguments text[];
	status text;
	event_type text;
	trigger name;
BEGIN
	IF relation IS NULL OR level IS NULL THEN
		PERFORM bm_webhook_internal.refuse('"relation" and "level" must not be null',
			'Name the table; leave "level" out to get its default.', '23502');
	END IF;
	PERFORM bm_webhook_internal.check_watched(relation, level);
	arguments := bm_webhook_internal.message_arguments(relation, direction, coalesce(omit, '{}'), mapping);
	status := (SELECT substr(a, length('status=') + 1) FROM unnest(arguments) a WHERE starts_with(a, 'status='));
	event_type := 'message.' || CASE direction WHEN 'inbound' THEN 'received' ELSE status END;
	PERFORM bm_webhook_internal.check_capture(relation, array_prepend('type=' || event_type, arguments));
	FOR trigger IN SELECT t.trigger FROM bm_webhook_internal.watches(relation) t
		WHERE t.direction = watch_messages.direction LOOP
		EXECUTE format('DROP TRIGGER %I ON %s', trigger, relation);
	END LOOP;
	PERFORM bm_webhook_internal.watch(relation, event_type, NULL, NULL, NULL, NULL, operations,
		CASE WHEN direction = 'outbound' AND 'UPDATE' = ANY (upper(operations::text)::text[])
			THEN ARRAY[btrim(status, '{}')] END,
		condition, NULL, NULL, level, arguments, false);
END
$$;

CREATE OR REPLACE FUNCTION bm_webhook.watch_messages(relation regclass, status text = NULL, application text = NULL,
		channel text = NULL, message_id text = NULL, sender text = NULL, recipient text = NULL, occurred_at text = NULL,
		provider text = NULL, provider_message_id text = NULL, client_ref text = NULL, conversation_id text = NULL,
		content text = NULL, segments text = NULL, price text = NULL, error text = NULL, metadata text = NULL,
		sender_name text = NULL, recipient_name text = NULL, omit text[] = '{}', operations text[] = '{INSERT,UPDATE}',
		condition text = NULL, level text = 'row') RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT upper(operations::text)::text[] <@ '{INSERT,UPDATE}' THEN
		PERFORM bm_webhook_internal.refuse('invalid "operations"',
			'Use INSERT, UPDATE or both: a message that is deleted has no status.');
	END IF;
	PERFORM bm_webhook_internal.watch_messages(relation, 'outbound', ARRAY['status', status, 'application', application,
		'channel', channel,
		'message_id', message_id, 'sender', sender, 'recipient', recipient, 'occurred_at', occurred_at, 'provider', provider,
		'provider_message_id', provider_message_id, 'client_ref', client_ref, 'conversation_id', conversation_id,
		'content', content, 'segments', segments, 'price', price, 'error', error, 'metadata', metadata,
		'sender_name', sender_name, 'recipient_name', recipient_name], omit, operations, condition, level);
	IF error IS NULL AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = relation AND attname = 'error'
		AND NOT attisdropped
			AND NOT coalesce('error' = ANY (omit), false)) THEN
		RAISE WARNING '"error" is not mapped: messages of relation "%" that failed or expired become events of type '
			'webhook.capture_failed', relation
			USING HINT = 'Map a column of type jsonb; it may be generated: jsonb_object(ARRAY[''code'', ..., ''title'', ...]) '
				'|| ''{"permanent": true}''.';
	END IF;
END
$$;

CREATE OR REPLACE FUNCTION bm_webhook.watch_replies(relation regclass, content text = NULL, application text = NULL,
		channel text = NULL, message_id text = NULL, sender text = NULL, recipient text = NULL, occurred_at text = NULL,
		provider_message_id text = NULL, client_ref text = NULL, conversation_id text = NULL, context text = NULL,
		metadata text = NULL, sender_name text = NULL, recipient_name text = NULL, omit text[] = '{}', condition text = NULL,
			level text = 'row') RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT bm_webhook_internal.watch_messages(relation, 'inbound', ARRAY['content', content, 'application', application,
		'channel', channel,
		'message_id', message_id, 'sender', sender, 'recipient', recipient, 'occurred_at', occurred_at,
		'provider_message_id', provider_message_id, 'client_ref', client_ref, 'conversation_id', conversation_id,
		'context', context, 'metadata', metadata, 'sender_name', sender_name, 'recipient_name', recipient_name],
		omit, '{INSERT}', condition, level)
$$;

-------------------------------------------------------------------------------
-- Patterns
-------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION bm_webhook_internal.notice_unknown_types() RETURNS trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	unknown text;
BEGIN
	IF NOT has_column_privilege('bm_webhook.event_type', 'name', 'SELECT') THEN
		RETURN NULL;
	END IF;
	SELECT string_agg(format('"%s"', p), ', ') INTO unknown FROM unnest(NEW.event_types) p
		WHERE NOT bm_webhook_internal.matches(ARRAY[p], 'message.replied')
			AND NOT EXISTS (SELECT FROM bm_webhook.event_type t WHERE bm_webhook_internal.matches(ARRAY[p], t.name));
	IF unknown IS NOT NULL THEN
		RAISE NOTICE 'no known event type matches %', unknown
			USING HINT = 'Known types are message.replied and the rows of bm_webhook.event_type; events of other types are '
				'delivered too.';
	END IF;
	RETURN NULL;
END
$$;

-------------------------------------------------------------------------------
-- Event types
-------------------------------------------------------------------------------

-- The schema of a whole body is as that of another one.
INSERT INTO bm_webhook.event_type (name, description, schema, example, shipped)
	SELECT n.name, n.description, o.schema || jsonb_build_object('title', n.name, 'description', n.description,
			'properties', o.schema -> 'properties' || jsonb_build_object('type', jsonb_build_object('const', n.name),
				'data', jsonb_build_object('type', 'object', 'required', to_jsonb(n.required), 'properties', n.properties))),
		jsonb_build_object('id', '01990f3c-5d1a-7c3e-8f00-0242ac120002', 'type', n.name,
			'timestamp', '2026-08-07T09:12:03.412Z', 'data', n.example), true
	FROM (VALUES
		('webhook.filter_failed', 'the filter of an endpoint could not be evaluated, and what it was for was not sent to it',
			'{endpoint_id,event_id,error,failures}'::text[],
			'{"endpoint_id": {"type": "integer"}, "event_id": {"type": "string", "format": "uuid"},
				"event_type": {"type": ["string", "null"]}, "error": {"type": "string"},
				"failures": {"type": "integer", "minimum": 1}}'::jsonb,
			'{"endpoint_id": 1, "event_id": "01990f3c-5d1a-7c3e-8f00-0242ac120001", "event_type": "message.delivered", '
				'"error": "it takes longer than 5 ms", "failures": 1}'::jsonb)
		) AS n (name, description, required, properties, example)
	JOIN bm_webhook.event_type o ON o.name = 'webhook.ping'
	ON CONFLICT (name) DO UPDATE
		SET description = excluded.description, schema = excluded.schema, example = excluded.example, shipped = true;

-- The body of an endpoint with payload = 'thin' is in $defs.
UPDATE bm_webhook.event_type t SET schema = t.schema || jsonb_build_object('$defs', coalesce(t.schema -> '$defs', '{}')
		|| jsonb_build_object('thin', jsonb_build_object('type', 'object',
			'description', 'the body for an endpoint with payload = ''thin'': without data',
			'required', (t.schema -> 'required') - 'data',
			'properties', t.schema -> 'properties' || '{"data": false}')))
	WHERE t.shipped;

-------------------------------------------------------------------------------
-- Reporting
-------------------------------------------------------------------------------

CREATE OR REPLACE VIEW bm_webhook.message_state WITH (security_invoker = true) AS
	SELECT application, channel, message_id,
		bm_webhook_internal.message_state(rank) AS state,
		accepted_at, sent_at, delivered_at, read_at, failed_at, expired_at, canceled_at, error_code, events, first_event_at,
			last_event_at
	FROM (
		SELECT application, channel, message_id, max(bm_webhook_internal.message_rank(type)) AS rank,
			min(occurred_at) FILTER (WHERE type = 'message.accepted') AS accepted_at,
			min(occurred_at) FILTER (WHERE type = 'message.sent') AS sent_at,
			min(occurred_at) FILTER (WHERE type = 'message.delivered') AS delivered_at,
			min(occurred_at) FILTER (WHERE type = 'message.read') AS read_at,
			min(occurred_at) FILTER (WHERE type = 'message.failed') AS failed_at,
			min(occurred_at) FILTER (WHERE type = 'message.expired') AS expired_at,
			min(occurred_at) FILTER (WHERE type = 'message.canceled') AS canceled_at,
			-- the code of the latest; unlike an ordered aggregate, max() needs no sort
			(max(ARRAY[pg_catalog.to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), id::text,
				data #>> '{error,code}'] COLLATE "C")
				FILTER (WHERE type IN ('message.failed', 'message.expired')
					AND data #>> '{error,code}' IS NOT NULL))[3] AS error_code,
			count(*) AS events,
			min(bm_webhook.uuid_time(id)) AS first_event_at,
			max(bm_webhook.uuid_time(id)) AS last_event_at
		FROM bm_webhook.event
		WHERE message_id IS NOT NULL AND type = ANY (bm_webhook_internal.message_types())
			AND endpoint_id IS NULL -- no examples that ping() has sent
		GROUP BY application, channel, message_id
	) m;

CREATE OR REPLACE FUNCTION bm_webhook.message_rate(since timestamptz = NULL, until timestamptz = NULL,
	metadata_key text = 'campaign')
	RETURNS TABLE (application text, channel text, campaign text, day date, messages bigint, sent bigint, delivered bigint,
		read bigint, failed bigint, canceled bigint, delivered_rate numeric, read_rate numeric,
		median_time_to_deliver interval, p95_time_to_deliver interval, median_time_to_read interval,
			p95_time_to_read interval)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
		SET enable_mergejoin = off AS $$
DECLARE
	is_whole boolean = coalesce(since, '-infinity') = '-infinity' AND coalesce(until, 'infinity') = 'infinity';
	first uuid = CASE WHEN coalesce(since, '-infinity') = '-infinity' THEN '00000000-0000-0000-0000-000000000000'
		ELSE bm_webhook.uuid_floor(since) END;
	beyond uuid = CASE WHEN coalesce(until, 'infinity') = 'infinity' THEN 'ffffffff-ffff-ffff-ffff-ffffffffffff'
		ELSE bm_webhook.uuid_floor(until) END;
	status_types text[] = bm_webhook_internal.message_types();
	columns text = 'e.application COLLATE "C" AS application, e.channel COLLATE "C" AS channel, e.message_id COLLATE "C" '
		'AS message_id,
		e.type, e.occurred_at, bm_webhook.uuid_time(e.id) AS captured_at,
			(e.data #>> ARRAY[''metadata'', $3]) COLLATE "C" AS campaign';
	source text = format(CASE WHEN is_whole THEN
		'SELECT %s FROM bm_webhook.event e WHERE e.type = ANY ($4) AND e.message_id IS NOT NULL
			AND e.endpoint_id IS NULL OFFSET 0'
	ELSE
		'SELECT %1$s FROM bm_webhook.event e WHERE e.id >= $1 AND e.id < $2 AND e.type = ANY ($4) AND e.message_id IS NOT NULL
			AND e.endpoint_id IS NULL
		UNION ALL
		SELECT s.* FROM elsewhere o CROSS JOIN LATERAL (SELECT %1$s FROM bm_webhook.event e WHERE e.id = o.id
			AND e.type = ANY ($4) AND e.endpoint_id IS NULL OFFSET 0) s' END, columns);
BEGIN
	RETURN QUERY EXECUTE format($query$
		WITH elsewhere AS MATERIALIZED (
			SELECT e.id FROM bm_webhook.event e
			WHERE (e.id < $1 OR e.id >= $2) AND e.message_id IN (
				SELECT p.message_id FROM bm_webhook.event p WHERE p.id >= $1 AND p.id < $2 AND p.type = ANY ($4))
		)
		SELECT application, channel, campaign, day, messages, sent, delivered, read, failed, canceled,
			round(delivered / messages::numeric, 4), round(read / nullif(delivered, 0)::numeric, 4),
			make_interval(secs => to_deliver[1]), make_interval(secs => to_deliver[2]),
			make_interval(secs => to_read[1]), make_interval(secs => to_read[2])
		FROM (
			SELECT application, channel, campaign, day, count(*) AS messages,
				count(*) FILTER (WHERE sent_at IS NOT NULL OR is_delivered) AS sent,
				count(*) FILTER (WHERE is_delivered) AS delivered,
				count(read_at) AS read,
				count(*) FILTER (WHERE is_failed AND NOT is_delivered) AS failed,
				count(*) FILTER (WHERE canceled_at IS NOT NULL AND NOT is_failed AND NOT is_delivered) AS canceled,
				percentile_cont('{0.5,0.95}'::float8[]) WITHIN GROUP (ORDER BY extract(epoch
				FROM delivered_at - started_at)::float8) AS to_deliver, percentile_cont('{0.5,0.95}'::float8[])
					WITHIN GROUP (ORDER BY extract(epoch FROM read_at - started_at)::float8) AS to_read
			FROM (
				SELECT application, channel, min(campaign) AS campaign, (min(captured_at) AT TIME ZONE 'UTC')::date AS day,
					min(occurred_at) FILTER (WHERE type = 'message.sent') AS sent_at,
					coalesce(min(occurred_at) FILTER (WHERE type = 'message.sent'), min(occurred_at)
						FILTER (WHERE type = 'message.accepted')) AS started_at,
					min(occurred_at) FILTER (WHERE type = 'message.delivered') AS delivered_at,
					min(occurred_at) FILTER (WHERE type = 'message.read') AS read_at,
					min(occurred_at) FILTER (WHERE type = 'message.canceled') AS canceled_at,
					count(*) FILTER (WHERE type IN ('message.delivered', 'message.read')) > 0 AS is_delivered,
					count(*) FILTER (WHERE type IN ('message.failed', 'message.expired')) > 0 AS is_failed
				FROM (%s) e
				GROUP BY application, channel, message_id
				HAVING $5 OR min(captured_at) >= bm_webhook.uuid_time($1) AND min(captured_at) < bm_webhook.uuid_time($2)
			) m
			GROUP BY application, channel, campaign, day
		) c
		ORDER BY application, channel, campaign, day
		$query$, source)
		USING first, beyond, metadata_key, status_types, is_whole;
END
$$;

CREATE OR REPLACE FUNCTION bm_webhook.delivery_rate(since timestamptz = NULL, until timestamptz = NULL)
	RETURNS TABLE (endpoint_id bigint, hour timestamptz, events bigint, delivered bigint, failed bigint, canceled bigint,
		pending bigint, retries bigint, median_latency interval, p95_latency interval, median_duration interval,
			p95_duration interval)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
		SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
	first uuid = CASE WHEN coalesce(since, '-infinity') = '-infinity' THEN '00000000-0000-0000-0000-000000000000'
		ELSE bm_webhook.uuid_floor(since) END;
	beyond uuid = CASE WHEN coalesce(until, 'infinity') = 'infinity' THEN 'ffffffff-ffff-ffff-ffff-ffffffffffff'
		ELSE bm_webhook.uuid_floor(until) END;
BEGIN
	RETURN QUERY
		SELECT endpoint_id, hour, events, delivered, failed, canceled, pending, retries,
			make_interval(secs => latency[1]), make_interval(secs => latency[2]), make_interval(secs => duration[1]),
				make_interval(secs => duration[2])
		FROM (
			SELECT endpoint_id, hour, count(*) AS events,
				count(*) FILTER (WHERE status = 'delivered') AS delivered, count(*) FILTER (WHERE status = 'failed') AS failed,
				count(*) FILTER (WHERE status = 'canceled') AS canceled, count(*) FILTER (WHERE status = 'pending') AS pending,
				sum(failed_attempts) AS retries,
				percentile_cont('{0.5,0.95}'::float8[]) WITHIN GROUP (ORDER BY latency)
					FILTER (WHERE status = 'delivered') AS latency,
				percentile_cont('{0.5,0.95}'::float8[]) WITHIN GROUP (ORDER BY duration)
					FILTER (WHERE status = 'delivered') AS duration
			FROM (
				SELECT d.endpoint_id, date_trunc('hour', bm_webhook.uuid_time(d.event_id), 'UTC') AS hour, d.status,
					CASE d.status WHEN 'delivered' THEN d.attempts - 1 ELSE d.attempts END AS failed_attempts,
					extract(epoch FROM d.last_attempt_at + d.duration - bm_webhook.uuid_time(d.event_id))::float8 AS latency,
					extract(epoch FROM d.duration)::float8 AS duration
				FROM bm_webhook.delivery d WHERE d.event_id >= first AND d.event_id < beyond
			) d
			GROUP BY endpoint_id, hour
		) h
		ORDER BY endpoint_id, hour;
END
$$;

CREATE OR REPLACE FUNCTION bm_webhook.message_history(message_id text, application text = NULL)
	RETURNS TABLE (at timestamptz, what text, event_id uuid, type text, occurred_at timestamptz, endpoint_id bigint,
		url text, attempt integer, outcome text, http_status integer, error_class text, error text, duration interval,
			response text)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
	WITH message AS MATERIALIZED (
		SELECT e.id, e.type, e.occurred_at, e.created_at, e.endpoint_id FROM bm_webhook.event e
		WHERE e.message_id = message_history.message_id
			AND (message_history.application IS NULL OR e.application = message_history.application)
	), entry AS (
		SELECT e.created_at AS at, 1 AS rank, 'event' AS what, e.id AS event_id, e.type, e.occurred_at, e.endpoint_id,
			NULL::integer AS attempt,
			'captured' AS outcome, NULL::integer AS http_status, NULL AS error_class, NULL AS error, NULL::interval AS duration,
				NULL AS response
		FROM message e
		UNION ALL
		SELECT a.attempted_at, 2, 'attempt', e.id, e.type, e.occurred_at, a.endpoint_id, a.attempt,
			'failed', a.http_status, a.error_class, a.error, a.total_time, a.response
		FROM message e CROSS JOIN LATERAL (SELECT * FROM bm_webhook.failed_attempt x WHERE x.event_id = e.id OFFSET 0) a
		UNION ALL
		SELECT d.last_attempt_at, 2, 'attempt', e.id, e.type, e.occurred_at, d.endpoint_id, d.attempts,
			'succeeded', d.http_status, NULL, NULL, d.duration, NULL
		FROM message e CROSS JOIN LATERAL (SELECT * FROM bm_webhook.delivery x WHERE x.event_id = e.id OFFSET 0) d
		WHERE d.status = 'delivered'
		UNION ALL
		SELECT r.last_attempt_at, 2, 'attempt', e.id, e.type, e.occurred_at, r.endpoint_id, r.attempts,
			'succeeded', r.http_status, NULL, NULL, r.duration, NULL
		FROM message e JOIN bm_webhook.redelivery r ON r.event_id = e.id
		WHERE r.status = 'delivered'
		UNION ALL
		SELECT r.asked_at, 3, 'redelivery', e.id, e.type, e.occurred_at, r.endpoint_id, r.attempts,
			'asked by ' || r.asked_by, NULL, NULL, NULL, NULL, NULL
		FROM message e JOIN bm_webhook.redelivery r ON r.event_id = e.id
		UNION ALL
		SELECT CASE d.status WHEN 'pending' THEN d.next_attempt_at
				ELSE coalesce(d.last_attempt_at + coalesce(d.duration, '0'), e.created_at) END,
			3, 'delivery', e.id, e.type, e.occurred_at, d.endpoint_id, d.attempts, d.status, d.http_status, d.error_class,
				d.error, NULL, NULL
		FROM message e CROSS JOIN LATERAL (SELECT * FROM bm_webhook.delivery x WHERE x.event_id = e.id OFFSET 0) d
	)
	SELECT n.at, n.what, n.event_id, n.type, n.occurred_at, n.endpoint_id, p.url, n.attempt, n.outcome, n.http_status,
		n.error_class, n.error, n.duration, n.response
	FROM entry n LEFT JOIN bm_webhook.endpoint p ON p.id = n.endpoint_id
	ORDER BY n.at, n.event_id, n.rank, n.endpoint_id, n.attempt
$$;

-------------------------------------------------------------------------------
-- Row security
-------------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION bm_webhook_internal.sees_all(relation regclass) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_sees_all';
COMMENT ON FUNCTION bm_webhook_internal.sees_all(regclass) IS
	'may the current user read the whole table, and not only some columns?';

ALTER TABLE bm_webhook.event ENABLE ROW LEVEL SECURITY;
ALTER TABLE bm_webhook.delivery ENABLE ROW LEVEL SECURITY;
ALTER TABLE bm_webhook.failed_attempt ENABLE ROW LEVEL SECURITY;
ALTER TABLE bm_webhook.redelivery ENABLE ROW LEVEL SECURITY;
ALTER TABLE bm_webhook.set_aside ENABLE ROW LEVEL SECURITY;
CREATE POLICY member ON bm_webhook.event USING (bm_webhook_internal.sees_all('bm_webhook.event')
	OR application OPERATOR(pg_catalog.=) ANY (bm_webhook_internal.own_applications(false))
	OR endpoint_id OPERATOR(pg_catalog.=) ANY (bm_webhook_internal.own_endpoints()));
CREATE POLICY member ON bm_webhook.delivery USING (bm_webhook_internal.sees_all('bm_webhook.delivery')
	OR endpoint_id OPERATOR(pg_catalog.=) ANY (bm_webhook_internal.own_endpoints()));
CREATE POLICY member ON bm_webhook.failed_attempt USING (bm_webhook_internal.sees_all('bm_webhook.failed_attempt')
	OR endpoint_id OPERATOR(pg_catalog.=) ANY (bm_webhook_internal.own_endpoints()));
CREATE POLICY member ON bm_webhook.redelivery USING (bm_webhook_internal.sees_all('bm_webhook.redelivery')
	OR endpoint_id OPERATOR(pg_catalog.=) ANY (bm_webhook_internal.own_endpoints()));
CREATE POLICY member ON bm_webhook.set_aside USING (bm_webhook_internal.sees_all('bm_webhook.set_aside')
	OR endpoint_id OPERATOR(pg_catalog.=) ANY (bm_webhook_internal.own_endpoints()));
CREATE POLICY dispatcher ON bm_webhook.redelivery TO bm_webhook USING (true);
CREATE POLICY member ON bm_webhook.operation USING (
	application OPERATOR(pg_catalog.=) ANY (bm_webhook_internal.own_applications(false))
	OR endpoint_id OPERATOR(pg_catalog.=) ANY (bm_webhook_internal.own_endpoints()));
CREATE POLICY reader ON bm_webhook_internal.pending_count FOR SELECT USING (
	bm_webhook_internal.sees_all('bm_webhook.delivery')
	OR endpoint_id OPERATOR(pg_catalog.=) ANY (bm_webhook_internal.own_endpoints()));
CREATE POLICY reader ON bm_webhook_internal.pending_change FOR SELECT USING (
	bm_webhook_internal.sees_all('bm_webhook.delivery')
	OR endpoint_id OPERATOR(pg_catalog.=) ANY (bm_webhook_internal.own_endpoints()));

CREATE POLICY operator ON bm_webhook.operation FOR SELECT USING (bm_webhook_internal.sees_all('bm_webhook.operation'));
CREATE POLICY operator ON bm_webhook.application FOR SELECT
	USING (bm_webhook_internal.sees_all('bm_webhook.operation'));
CREATE POLICY operator ON bm_webhook.endpoint FOR SELECT USING (bm_webhook_internal.sees_all('bm_webhook.operation'));
CREATE POLICY operator ON bm_webhook.endpoint_state FOR SELECT
	USING (bm_webhook_internal.sees_all('bm_webhook.operation'));
CREATE POLICY operator ON bm_webhook.endpoint_secret FOR SELECT
	USING (bm_webhook_internal.sees_all('bm_webhook.operation')
		AND NOT pg_catalog.has_column_privilege('bm_webhook.endpoint_secret'::regclass, 'secret'::text, 'SELECT'::text));

-------------------------------------------------------------------------------
-- Roles
-------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION bm_webhook_internal.privileges_of(kind text) RETURNS SETOF text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH seen (relation, without) AS (VALUES
		('application', '{}'::text[]), ('endpoint', '{}'), ('endpoint_state', '{}'),
		('endpoint_secret', '{secret}'), ('event', '{}'),
		('delivery', '{}'), ('failed_attempt', '{}'), ('redelivery', '{}'), ('set_aside', '{}'), ('operation', '{}'),
		('cursor', '{}'), ('event_type', '{}')
	), written (relation, command, without) AS (VALUES
		('endpoint', 'INSERT',
			'{id,created_at,updated_at,deleted_at,events_since,paused_at,credentials,credentials_key_id}'::text[]),
		('endpoint', 'UPDATE',
			'{id,application,created_at,updated_at,deleted_at,events_since,paused_at,credentials,credentials_key_id}'),
		('endpoint_secret', 'INSERT', '{id,key_id,created_at}')
	), columns AS (
		SELECT relation, 'SELECT' AS command, without FROM seen WHERE kind = 'owner' OR kind = 'operator' AND without <> '{}'
		UNION ALL
		SELECT relation, command, without FROM written WHERE kind = 'owner'
	), called (name, kinds) AS (VALUES
		('emit', '{writer}'::text[]), ('message_status', '{writer}'), ('message_received', '{writer}'),
		('message_clicked', '{writer}'),
		('watch', '{watcher}'), ('unwatch', '{watcher}'), ('capture', '{watcher}'), ('watch_messages', '{watcher}'),
		('watch_replies', '{watcher}'),
		('secret', '{owner}'), ('rotate_secret', '{owner}'), ('delete_endpoint', '{owner}'), ('delete_secret', '{owner}'),
		('ping', '{owner}'), ('preview', '{owner}'), ('erase', '{owner}'), ('pause', '{owner}'), ('resume', '{owner}'),
		('cancel', '{owner}'), ('recover', '{owner}'), ('redeliver', '{owner}'), ('put_back', '{owner}'),
		('set_aside', '{owner}'), ('public_key', '{owner,operator}'), ('jwks', '{owner,operator}'),
		('explain_delivery', '{owner,operator}'), ('message_history', '{owner,operator}'),
		('message_rate', '{owner,operator}'), ('delivery_rate', '{owner,operator}'), ('status', '{operator}')
	)
	SELECT 'USAGE ON SCHEMA bm_webhook' || CASE WHEN kind = 'writer' THEN '' ELSE ', bm_webhook_internal' END
	UNION ALL
	SELECT format('%s (%s) ON bm_webhook.%I', c.command, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum),
			c.relation)
		FROM columns c JOIN pg_attribute a ON a.attrelid = format('bm_webhook.%I', c.relation)::regclass
			AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> ALL (c.without)
		GROUP BY c.relation, c.command
	UNION ALL
	SELECT format('SELECT ON bm_webhook.%I', relation) FROM seen WHERE kind = 'operator' AND without = '{}'
	UNION ALL
	SELECT format('SELECT ON bm_webhook.%I', c.relname) FROM pg_class c
		WHERE c.relnamespace = 'bm_webhook'::regnamespace AND (kind IN ('owner', 'operator') AND c.relkind = 'v'
			AND c.relname <> 'watch_list' OR kind = 'operator' AND c.relname IN ('watch_list', 'paused', 'status_map')
			OR kind = 'watcher' AND c.relname = 'watch_list')
	UNION ALL
	-- redeliver(event) is for who may change deliveries
	SELECT format('EXECUTE ON FUNCTION %s', p.oid::regprocedure) FROM called c
		JOIN pg_proc p ON p.proname = c.name AND p.pronamespace = 'bm_webhook'::regnamespace
		WHERE kind = ANY (c.kinds) AND NOT (p.proname = 'redeliver' AND p.proargtypes[0] = 'uuid'::regtype)
$$;
COMMENT ON FUNCTION bm_webhook_internal.privileges_of(text) IS
	'the privileges of an owner, an operator, a writer or a watcher, as they are written in GRANT';

CREATE OR REPLACE FUNCTION bm_webhook_internal.is_granted(kind text, role regrole) RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE kind WHEN 'operator' THEN EXISTS (SELECT FROM pg_class c, aclexplode(c.relacl) x
			WHERE c.oid = 'bm_webhook.operation'::regclass AND x.grantee = role)
		WHEN 'owner' THEN EXISTS (SELECT FROM bm_webhook.application a WHERE a.owner = role)
		ELSE EXISTS (SELECT FROM pg_proc p, aclexplode(p.proacl) x WHERE x.grantee = role
			AND p.pronamespace = 'bm_webhook'::regnamespace AND p.proname = CASE kind WHEN 'writer' THEN 'emit' ELSE 'watch' END)
		END
$$;
COMMENT ON FUNCTION bm_webhook_internal.is_granted(text, regrole) IS
	'has the role been granted what an owner, an operator, a writer or a watcher may?';

CREATE OR REPLACE FUNCTION bm_webhook_internal.check_grant(role regrole) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_extension e JOIN pg_roles r ON r.rolname = current_user
			WHERE e.extname = 'bm_webhook' AND (r.rolsuper OR r.oid = e.extowner)) THEN
		PERFORM bm_webhook_internal.refuse('only a superuser, or the owner of the extension, can grant and revoke this',
			'Ask an administrator.', '42501');
	ELSIF role IS NULL THEN
		PERFORM bm_webhook_internal.refuse('"role" must not be null', 'Name a role.', '22004');
	ELSIF NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = role) THEN
		PERFORM bm_webhook_internal.refuse('there is no such role', 'Roles are the rows of pg_roles.', '42704');
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.check_grant(regrole) IS 'may the current user grant this? 22004, 42501, 42704';

CREATE OR REPLACE FUNCTION bm_webhook_internal.grant_privileges(kind text, role regrole) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	privilege text;
BEGIN
	PERFORM bm_webhook_internal.check_grant(role);
	FOR privilege IN SELECT bm_webhook_internal.privileges_of(kind) LOOP
		EXECUTE format('GRANT %s TO %s', privilege, role);
	END LOOP;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.grant_privileges(text, regrole) IS
	'grants a role what an owner, an operator, a writer or a watcher may, if the caller can; 22004, 42501, 42704';

CREATE OR REPLACE FUNCTION bm_webhook_internal.revoke_privileges(kind text, role regrole) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	others text[];
	privilege text;
BEGIN
	PERFORM bm_webhook_internal.check_grant(role);
	others = ARRAY(SELECT k FROM unnest('{owner,operator,writer,watcher}'::text[]) k
		WHERE k <> kind AND bm_webhook_internal.is_granted(k, role));
	FOR privilege IN SELECT bm_webhook_internal.privileges_of(kind) LOOP
		EXECUTE format('REVOKE %s FROM %s', privilege, role);
	END LOOP;
	PERFORM bm_webhook_internal.grant_privileges(k, role) FROM unnest(others) k;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.revoke_privileges(text, regrole) IS
	'revokes what was granted to an owner, an operator, a writer or a watcher; 22004, 42501, 42704';

CREATE OR REPLACE FUNCTION bm_webhook.grant_owner(application text, role regrole) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM bm_webhook_internal.grant_privileges('owner', role);
	UPDATE bm_webhook.application a SET owner = role WHERE a.name = grant_owner.application AND a.deleted_at IS NULL;
	IF NOT FOUND THEN
		PERFORM bm_webhook_internal.refuse(format('application "%s" does not exist', application),
			'Applications are the rows of bm_webhook.application.', '42704');
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook.grant_owner(text, regrole) IS
	'gives an application to a role, which manages its endpoints and secrets and sees its log, and nothing of others; '
	'22004, 42501, 42704';

CREATE OR REPLACE FUNCTION bm_webhook.revoke_owner(application text) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	role regrole;
BEGIN
	PERFORM bm_webhook_internal.check_grant(quote_ident(current_user)::regrole);
	SELECT a.owner INTO role FROM bm_webhook.application a WHERE a.name = revoke_owner.application
		AND a.deleted_at IS NULL FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		PERFORM bm_webhook_internal.refuse(format('application "%s" does not exist', application),
			'Applications are the rows of bm_webhook.application.', '42704');
	END IF;
	UPDATE bm_webhook.application a SET owner = 0::regrole WHERE a.name = revoke_owner.application;
	IF EXISTS (SELECT FROM pg_roles r WHERE r.oid = role AND NOT r.rolsuper)
		AND NOT bm_webhook_internal.is_granted('owner', role) THEN
		PERFORM bm_webhook_internal.revoke_privileges('owner', role);
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook.revoke_owner(text) IS
	'an application belongs to nobody any more, and who owned it may do no more than before, if it was the last; 42501, '
	'42704';

CREATE OR REPLACE FUNCTION bm_webhook.grant_operator(role regrole) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT bm_webhook_internal.grant_privileges('operator', role)
$$;
COMMENT ON FUNCTION bm_webhook.grant_operator(regrole) IS
	'lets a role see everything, but no secret, and change nothing; 22004, 42501, 42704';
CREATE OR REPLACE FUNCTION bm_webhook.revoke_operator(role regrole) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT bm_webhook_internal.revoke_privileges('operator', role)
$$;
COMMENT ON FUNCTION bm_webhook.revoke_operator(regrole) IS 'undoes grant_operator(); 22004, 42501, 42704';

CREATE OR REPLACE FUNCTION bm_webhook.grant_writer(role regrole) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT bm_webhook_internal.grant_privileges('writer', role)
$$;
COMMENT ON FUNCTION bm_webhook.grant_writer(regrole) IS
	'lets a role make events of any application by emit() and the message_*() functions, and nothing else; 22004, 42501, '
	'42704';
CREATE OR REPLACE FUNCTION bm_webhook.revoke_writer(role regrole) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT bm_webhook_internal.revoke_privileges('writer', role)
$$;
COMMENT ON FUNCTION bm_webhook.revoke_writer(regrole) IS 'undoes grant_writer(); 22004, 42501, 42704';

CREATE OR REPLACE FUNCTION bm_webhook.grant_watcher(role regrole) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT bm_webhook_internal.grant_privileges('watcher', role)
$$;
COMMENT ON FUNCTION bm_webhook.grant_watcher(regrole) IS
	'lets a role watch tables that it owns, or has the privilege TRIGGER on; 22004, 42501, 42704';
CREATE OR REPLACE FUNCTION bm_webhook.revoke_watcher(role regrole) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT bm_webhook_internal.revoke_privileges('watcher', role)
$$;
COMMENT ON FUNCTION bm_webhook.revoke_watcher(regrole) IS 'undoes grant_watcher(); 22004, 42501, 42704';

-- What is counted from now on: an index has nothing but what is pending.
SET LOCAL enable_seqscan = off;
INSERT INTO bm_webhook_internal.pending_count (endpoint_id, pending, retrying)
	SELECT endpoint_id, count(*), count(*) FILTER (WHERE attempts > 0)
	FROM bm_webhook.delivery WHERE status = 'pending' GROUP BY endpoint_id;

-- Partitions have the comments of their table.
DO $$
DECLARE
	partition regclass;
BEGIN
	FOR partition IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'bm_webhook.event'::regclass
		AND inhrelid <> 'bm_webhook_internal.event_default'::regclass
	LOOP
		EXECUTE format('COMMENT ON COLUMN %s.expires_at IS %L', partition, (SELECT col_description(attrelid, attnum)
			FROM pg_attribute WHERE attrelid = 'bm_webhook.event'::regclass AND attname = 'expires_at'));
	END LOOP;
END
$$;

-------------------------------------------------------------------------------
-- Privileges
-------------------------------------------------------------------------------

-- New functions are those without a list.
DO $$
DECLARE
	new_function regprocedure;
BEGIN
	FOR new_function IN SELECT p.oid FROM pg_proc p
		JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
			AND d.refclassid = 'pg_extension'::regclass
		JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'bm_webhook'
		WHERE p.proacl IS NULL
	LOOP
		EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', new_function);
	END LOOP;
END
$$;

-- Successors get the grants of those that they replace, and what counts as granted by the extension itself.
DO $$
DECLARE
	pair record;
	item record;
BEGIN
	FOR pair IN SELECT was::regprocedure, now::regprocedure, p.proowner AS owner, p.proacl AS acl, i.initprivs
		FROM (VALUES
			('bm_webhook_internal.watches_0_2(regclass)',
				'bm_webhook_internal.watches(regclass)'),
			('bm_webhook_internal.watch_0_2(regclass, text, text, text, text, text, text[], text[], text, text[], regprocedure, text, text[])',
				'bm_webhook_internal.watch(regclass, text, text, text, text, text, text[], text[], text, text[], regprocedure, text, text[], boolean)'),
			('bm_webhook.watch_0_2(regclass, text, text, text, text, text, text[], text[], text, text[], regprocedure, text)',
				'bm_webhook.watch(regclass, text, text, text, text, text, text[], text[], text, text[], regprocedure, text, boolean)'),
			('bm_webhook.status_0_2()', 'bm_webhook.status()'),
			('bm_webhook_internal.wants_0_2(bm_webhook.endpoint, bm_webhook.event)',
				'bm_webhook_internal.wants(bm_webhook.endpoint, bm_webhook.event, text[])')
		) AS v (was, now)
		JOIN pg_proc p ON p.oid = was::regprocedure
		LEFT JOIN pg_init_privs i ON i.objoid = p.oid AND i.classoid = 'pg_proc'::regclass
	LOOP
		EXECUTE format('ALTER FUNCTION %s OWNER TO %s', pair.now, pair.owner::regrole);
		FOR item IN SELECT a.grantee, bool_or(a.is_grantable) AS is_grantable FROM aclexplode(pair.acl) a
			WHERE a.grantee <> pair.owner GROUP BY a.grantee
		LOOP
			EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', pair.now,
				CASE item.grantee WHEN 0 THEN 'PUBLIC' ELSE item.grantee::regrole::text END
				|| CASE WHEN item.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
		END LOOP;
		UPDATE pg_init_privs i SET initprivs = pair.initprivs
			WHERE i.objoid = pair.now AND i.classoid = 'pg_proc'::regclass;
		EXECUTE format('DROP FUNCTION %s', pair.was);
	END LOOP;
END
$$;

REVOKE ALL ON bm_webhook_internal.endpoint_change, bm_webhook.paused, bm_webhook_internal.pending_count,
	bm_webhook_internal.pending_change, bm_webhook_internal.pending, bm_webhook.operation, bm_webhook.endpoint_pace,
	bm_webhook_internal.idempotency_key FROM PUBLIC;
REVOKE ALL ON SEQUENCE bm_webhook.operation_id_seq FROM PUBLIC;
GRANT SELECT ON bm_webhook.endpoint_pace TO bm_webhook;
GRANT INSERT ON bm_webhook.redelivery TO bm_webhook;
GRANT UPDATE (events_since, paused_at) ON bm_webhook.endpoint TO bm_webhook;
GRANT UPDATE (paused_at) ON bm_webhook.application TO bm_webhook;
GRANT INSERT (endpoint_id, secret, kind), UPDATE (expires_at, key_id) ON bm_webhook.endpoint_secret TO bm_webhook;
GRANT UPDATE (credentials_key_id) ON bm_webhook.endpoint TO bm_webhook;
GRANT SELECT, INSERT, DELETE ON bm_webhook.paused TO bm_webhook;
GRANT SELECT ON bm_webhook_internal.pending TO PUBLIC;
GRANT SELECT (endpoint_id, pending, retrying) ON bm_webhook_internal.pending_count, bm_webhook_internal.pending_change
	TO PUBLIC;
GRANT INSERT (endpoint_id, pending, retrying) ON bm_webhook_internal.pending_change TO PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA bm_webhook_internal TO bm_webhook;
GRANT EXECUTE ON FUNCTION bm_webhook_internal.secret_storage(), bm_webhook_internal.route, bm_webhook_internal.route_fits,
	bm_webhook_internal.filter_reason, bm_webhook_internal.filter_says, bm_webhook_internal.endpoint_paces(),
	bm_webhook_internal.first_pending(), bm_webhook_internal.not_taken(),
	bm_webhook_internal.look(bigint), bm_webhook_internal.sees_all, bm_webhook_internal.own_applications,
	bm_webhook_internal.own_endpoints TO PUBLIC;

-- What a script of an extension grants counts as shipped with it, so that pg_dump leaves it out. With it goes, as it is
-- one list, what users have granted on the same: this is taken out of what counts as shipped.
UPDATE pg_init_privs i SET initprivs = ARRAY(SELECT a FROM unnest(i.initprivs) a
		WHERE EXISTS (SELECT FROM aclexplode(ARRAY[a]) x WHERE x.grantee IN (c.relowner, 'bm_webhook'::regrole)
			OR x.grantee = 0 AND c.relnamespace = 'bm_webhook_internal'::regnamespace))
	FROM pg_class c
	WHERE i.classoid = 'pg_class'::regclass AND i.objoid = c.oid
		AND c.relnamespace IN ('bm_webhook'::regnamespace, 'bm_webhook_internal'::regnamespace);
UPDATE pg_init_privs i SET initprivs = ARRAY(SELECT a FROM unnest(i.initprivs) a
		WHERE EXISTS (SELECT FROM aclexplode(ARRAY[a]) x WHERE x.grantee IN (0, p.proowner, 'bm_webhook'::regrole)))
	FROM pg_proc p
	WHERE i.classoid = 'pg_proc'::regclass AND i.objoid = p.oid AND p.pronamespace = 'bm_webhook_internal'::regnamespace;
-- These lists, too, depend on the roles that they name, from PostgreSQL 17 on.
DELETE FROM pg_shdepend d USING pg_init_privs i
	WHERE d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND d.deptype = 'i'
		AND d.refclassid = 'pg_authid'::regclass AND d.classid = i.classoid AND d.objid = i.objoid AND d.objsubid = i.objsubid
		AND i.objoid IN (SELECT m.objid FROM pg_depend m JOIN pg_extension e ON e.oid = m.refobjid
			WHERE m.classid = i.classoid AND m.refclassid = 'pg_extension'::regclass AND m.deptype = 'e'
				AND e.extname = 'bm_webhook')
		AND d.refobjid NOT IN (SELECT x.grantee FROM aclexplode(i.initprivs) x);

SELECT bm_webhook_internal.announce();

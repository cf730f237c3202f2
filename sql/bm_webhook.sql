-- bm_webhook: committed changes become signed webhooks.
--
-- The one script of the current version. Everything lives in schema
-- bm_webhook, which this script creates itself, so that nobody else can own it.
-- What the dispatcher and capture write belongs to the role bm_webhook, which
-- cannot log in and has no rights but these tables.

\echo Use "CREATE EXTENSION bm_webhook" to load this file. \quit

DO $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'bm_webhook') THEN
		CREATE ROLE bm_webhook NOLOGIN NOSUPERUSER NOINHERIT NOCREATEDB NOCREATEROLE;
	ELSIF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'bm_webhook'
				  AND (rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb)) THEN
		RAISE EXCEPTION 'role "bm_webhook" already exists and is not the extension''s'
			USING ERRCODE = 'duplicate_object',
				  HINT = 'The extension needs a role of this name that cannot log in and has no attributes: rename yours.';
	END IF;
END
$$;

CREATE SCHEMA bm_webhook;
COMMENT ON SCHEMA bm_webhook IS 'signed webhooks for committed changes';
GRANT USAGE, CREATE ON SCHEMA bm_webhook TO bm_webhook;

-------------------------------------------------------------------------------
-- Registration: written by users
-------------------------------------------------------------------------------

CREATE TABLE bm_webhook.application (
	name text PRIMARY KEY CHECK (name ~ '^[^[:cntrl:]]{1,128}$'),
	owner name NOT NULL DEFAULT current_user,
	description text,
	muted_event_types text[] NOT NULL DEFAULT '{}',
	created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
COMMENT ON TABLE bm_webhook.application IS 'a customer or product that owns endpoints';
COMMENT ON COLUMN bm_webhook.application.muted_event_types IS 'patterns of types that none of its events is sent for, such as {message.read}; they are recorded all the same';
COMMENT ON COLUMN bm_webhook.application.owner IS 'the database role that it belongs to';

CREATE TABLE bm_webhook.endpoint (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	application text REFERENCES bm_webhook.application (name) ON UPDATE CASCADE,
	channel text CHECK (channel ~ '^[a-z][a-z0-9_-]{0,31}$'),
	event_types text[] NOT NULL DEFAULT '{*}',
	url text NOT NULL,
	description text,
	enabled boolean NOT NULL DEFAULT true,
	headers jsonb NOT NULL DEFAULT '{}',
	timeout interval NOT NULL DEFAULT '15 s',
	max_in_flight integer NOT NULL DEFAULT 32,
	ordering text NOT NULL DEFAULT 'none' CHECK (ordering IN ('none', 'by_message')),
	retry_delays interval[] NOT NULL DEFAULT '{5 s,5 min,30 min,2 h,5 h,10 h,14 h,20 h,24 h}',
	metadata jsonb NOT NULL DEFAULT '{}',
	created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	updated_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	failing_since timestamptz,
	disabled_at timestamptz,
	disabled_reason text
);
COMMENT ON TABLE bm_webhook.endpoint IS 'a registered URL, with its filters and retry policy; only url is required';
COMMENT ON COLUMN bm_webhook.endpoint.application IS 'only events of this application; NULL for all';
COMMENT ON COLUMN bm_webhook.endpoint.channel IS 'only events of this channel; NULL for all';
COMMENT ON COLUMN bm_webhook.endpoint.event_types IS 'patterns: a type, a prefix followed by .*, or * for all but the operational webhook.*, endpoint.*, delivery.*';
COMMENT ON COLUMN bm_webhook.endpoint.url IS 'where to POST; stored in normal form';
COMMENT ON COLUMN bm_webhook.endpoint.enabled IS 'off: gets no new events, and what waits stays pending';
COMMENT ON COLUMN bm_webhook.endpoint.headers IS 'further HTTP headers, an object of strings';
COMMENT ON COLUMN bm_webhook.endpoint.timeout IS 'for one attempt, connecting included; up to 5 minutes';
COMMENT ON COLUMN bm_webhook.endpoint.max_in_flight IS 'requests at the same time; 1 to 1000';
COMMENT ON COLUMN bm_webhook.endpoint.ordering IS 'by_message: an event is sent when the earlier ones of its message have been delivered or given up';
COMMENT ON COLUMN bm_webhook.endpoint.retry_delays IS 'delay before each further attempt, each with a jitter of 20 %; empty for no retry';
COMMENT ON COLUMN bm_webhook.endpoint.metadata IS 'yours; not sent';
COMMENT ON COLUMN bm_webhook.endpoint.failing_since IS 'since when every attempt has failed; NULL when the last one succeeded';
COMMENT ON COLUMN bm_webhook.endpoint.disabled_at IS 'when enabled became false';
COMMENT ON COLUMN bm_webhook.endpoint.disabled_reason IS 'why the dispatcher disabled it; NULL when a user did';

CREATE TABLE bm_webhook.endpoint_secret (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	endpoint_id bigint NOT NULL REFERENCES bm_webhook.endpoint (id) ON DELETE CASCADE,
	secret text NOT NULL,
	created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
ALTER TABLE bm_webhook.endpoint_secret ALTER COLUMN secret SET STATISTICS 0;
CREATE INDEX endpoint_secret_endpoint_id_idx ON bm_webhook.endpoint_secret (endpoint_id);
COMMENT ON TABLE bm_webhook.endpoint_secret IS 'signing secrets (whsec_...); every request is signed with all of its endpoint''s';

CREATE TABLE bm_webhook.event_type (
	name text PRIMARY KEY,
	description text NOT NULL,
	schema jsonb,
	example jsonb
);
COMMENT ON TABLE bm_webhook.event_type IS 'documented event types; events of other types are delivered as well';
COMMENT ON COLUMN bm_webhook.event_type.schema IS 'JSON Schema (draft 2020-12) of the whole body';

-------------------------------------------------------------------------------
-- The log: written by capture and by the dispatcher, never by users
-------------------------------------------------------------------------------

CREATE TABLE bm_webhook.event (
	id uuid NOT NULL,
	xid xid8 NOT NULL,
	type text NOT NULL,
	application text,
	channel text,
	message_id text,
	reply_to text,
	endpoint_id bigint,
	occurred_at timestamptz NOT NULL,
	created_at timestamptz NOT NULL,
	data json NOT NULL,
	PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX event_xid_id_idx ON bm_webhook.event (xid, id);
CREATE INDEX event_message_id_idx ON bm_webhook.event (message_id, id) WHERE message_id IS NOT NULL;
COMMENT ON TABLE bm_webhook.event IS 'what happened, written in the transaction that caused it';
COMMENT ON COLUMN bm_webhook.event.id IS 'UUID version 7; the webhook-id of every request for this event';
COMMENT ON COLUMN bm_webhook.event.xid IS 'the transaction that captured it';
COMMENT ON COLUMN bm_webhook.event.reply_to IS 'the message that a message.received answers (data.context.message_id); endpoints that subscribe to message.replied get it';
COMMENT ON COLUMN bm_webhook.event.endpoint_id IS 'set when the event is for one endpoint alone (ping)';
COMMENT ON COLUMN bm_webhook.event.occurred_at IS 'when it happened; the timestamp in the body';
COMMENT ON COLUMN bm_webhook.event.created_at IS 'when it was captured';

CREATE TABLE bm_webhook.delivery (
	event_id uuid NOT NULL,
	endpoint_id bigint NOT NULL,
	status text NOT NULL CHECK (status IN ('pending', 'delivered', 'failed', 'canceled')),
	attempts integer NOT NULL,
	next_attempt_at timestamptz,
	first_attempt_at timestamptz,
	last_attempt_at timestamptz,
	http_status integer,
	error_class text,
	error text,
	duration interval,
	PRIMARY KEY (event_id, endpoint_id)
) PARTITION BY RANGE (event_id);
CREATE INDEX delivery_due_idx ON bm_webhook.delivery (endpoint_id, next_attempt_at) WHERE status = 'pending';
COMMENT ON TABLE bm_webhook.delivery IS 'one event on its way to one endpoint, with the facts of its last attempt';
COMMENT ON COLUMN bm_webhook.delivery.status IS 'pending, delivered, failed (given up) or canceled';
COMMENT ON COLUMN bm_webhook.delivery.next_attempt_at IS 'when it is due; infinity: it waits for an earlier event of its message';
COMMENT ON COLUMN bm_webhook.delivery.duration IS 'of the last attempt';

CREATE TABLE bm_webhook.failed_attempt (
	event_id uuid NOT NULL,
	endpoint_id bigint NOT NULL,
	attempt integer NOT NULL,
	attempted_at timestamptz NOT NULL,
	error_class text NOT NULL,
	http_status integer,
	error text,
	name_time interval,
	connect_time interval,
	tls_time interval,
	first_byte_time interval,
	total_time interval,
	response text
) PARTITION BY RANGE (event_id);
CREATE INDEX failed_attempt_event_id_idx ON bm_webhook.failed_attempt (event_id, endpoint_id);
COMMENT ON TABLE bm_webhook.failed_attempt IS 'an attempt that failed; the times count from its start';
COMMENT ON COLUMN bm_webhook.failed_attempt.response IS 'the first 2 KB of the response, if it is text';

CREATE TABLE bm_webhook.cursor (
	shard integer PRIMARY KEY,
	shards integer NOT NULL,
	snapshot pg_snapshot NOT NULL,
	since timestamptz NOT NULL,
	updated_at timestamptz NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE bm_webhook.cursor IS 'how far intake is settled: one row for each dispatcher';
COMMENT ON COLUMN bm_webhook.cursor.snapshot IS 'every event that this snapshot sees has a row in delivery for each of its endpoints';
COMMENT ON COLUMN bm_webhook.cursor.since IS 'events that the snapshot does not see were captured after this time';

INSERT INTO bm_webhook.cursor
	VALUES (0, 1, pg_catalog.pg_current_snapshot(), pg_catalog.clock_timestamp(), pg_catalog.clock_timestamp());

-------------------------------------------------------------------------------
-- Registration: what is checked, and who sees what
-------------------------------------------------------------------------------

CREATE FUNCTION bm_webhook._check_endpoint() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'bm_webhook_check_endpoint';
COMMENT ON FUNCTION bm_webhook._check_endpoint() IS 'checks and normalizes an endpoint; 22023, 23502, 42501, 54000';
CREATE FUNCTION bm_webhook._check_endpoint_secret() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'bm_webhook_check_endpoint_secret';
COMMENT ON FUNCTION bm_webhook._check_endpoint_secret() IS 'checks a signing secret; 22023, 23502, 42501';
CREATE FUNCTION bm_webhook._endpoint_changed() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'bm_webhook_endpoint_changed';
COMMENT ON FUNCTION bm_webhook._endpoint_changed() IS 'tells the dispatcher to read the endpoints again';
CREATE FUNCTION bm_webhook._random_secret() RETURNS text
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_random_secret';
COMMENT ON FUNCTION bm_webhook._random_secret() IS 'a new secret: whsec_ and the base64 of 32 random bytes';

-- As the definer: who registers an endpoint need not be able to write secrets.
CREATE FUNCTION bm_webhook._make_endpoint_secret() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO bm_webhook.endpoint_secret (endpoint_id, secret) VALUES (NEW.id, bm_webhook._random_secret());
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION bm_webhook._make_endpoint_secret() IS 'gives a new endpoint its first secret';

CREATE TRIGGER check_endpoint BEFORE INSERT OR UPDATE ON bm_webhook.endpoint
	FOR EACH ROW EXECUTE FUNCTION bm_webhook._check_endpoint();
CREATE TRIGGER make_secret AFTER INSERT ON bm_webhook.endpoint
	FOR EACH ROW EXECUTE FUNCTION bm_webhook._make_endpoint_secret();
CREATE TRIGGER endpoint_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON bm_webhook.endpoint
	FOR EACH STATEMENT EXECUTE FUNCTION bm_webhook._endpoint_changed();
CREATE TRIGGER endpoint_changed AFTER UPDATE OR DELETE OR TRUNCATE ON bm_webhook.application
	FOR EACH STATEMENT EXECUTE FUNCTION bm_webhook._endpoint_changed();
CREATE TRIGGER check_secret BEFORE INSERT OR UPDATE ON bm_webhook.endpoint_secret
	FOR EACH ROW EXECUTE FUNCTION bm_webhook._check_endpoint_secret();
CREATE TRIGGER endpoint_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON bm_webhook.endpoint_secret
	FOR EACH STATEMENT EXECUTE FUNCTION bm_webhook._endpoint_changed();
COMMENT ON TRIGGER check_endpoint ON bm_webhook.endpoint IS 'checks and normalizes';
COMMENT ON TRIGGER make_secret ON bm_webhook.endpoint IS 'gives it its first secret';
COMMENT ON TRIGGER endpoint_changed ON bm_webhook.endpoint IS 'tells the dispatcher';
COMMENT ON TRIGGER endpoint_changed ON bm_webhook.application IS 'tells the dispatcher';
COMMENT ON TRIGGER check_secret ON bm_webhook.endpoint_secret IS 'checks';
COMMENT ON TRIGGER endpoint_changed ON bm_webhook.endpoint_secret IS 'tells the dispatcher';

-- An application's owner, and its members, see it with its endpoints and secrets.
ALTER TABLE bm_webhook.application ENABLE ROW LEVEL SECURITY;
ALTER TABLE bm_webhook.endpoint ENABLE ROW LEVEL SECURITY;
ALTER TABLE bm_webhook.endpoint_secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY member ON bm_webhook.application USING (EXISTS (
	SELECT FROM pg_catalog.pg_roles r
	WHERE r.rolname OPERATOR(pg_catalog.=) owner AND pg_catalog.pg_has_role(r.oid, 'MEMBER')));
CREATE POLICY member ON bm_webhook.endpoint USING (EXISTS (
	SELECT FROM bm_webhook.application a WHERE a.name OPERATOR(pg_catalog.=) endpoint.application));
CREATE POLICY member ON bm_webhook.endpoint_secret USING (EXISTS (
	SELECT FROM bm_webhook.endpoint e WHERE e.id OPERATOR(pg_catalog.=) endpoint_secret.endpoint_id));
CREATE POLICY dispatcher ON bm_webhook.application TO bm_webhook USING (true);
CREATE POLICY dispatcher ON bm_webhook.endpoint TO bm_webhook USING (true);
CREATE POLICY dispatcher ON bm_webhook.endpoint_secret TO bm_webhook USING (true);

CREATE FUNCTION bm_webhook.secret(endpoint bigint) RETURNS text
	LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	newest text;
BEGIN
	SELECT s.secret INTO newest FROM bm_webhook.endpoint_secret s
		WHERE s.endpoint_id = secret.endpoint ORDER BY s.id DESC LIMIT 1;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'endpoint % has no secret, or does not exist', endpoint
			USING ERRCODE = 'undefined_object', HINT = 'Endpoints are the rows of bm_webhook.endpoint.';
	END IF;
	RETURN newest;
END
$$;
COMMENT ON FUNCTION bm_webhook.secret(bigint) IS 'the newest signing secret of an endpoint, for those who may read endpoint_secret; 42704 unknown endpoint';

INSERT INTO bm_webhook.event_type (name, description, example) VALUES
	('webhook.ping', 'sent by ping() to try an endpoint',
	 '{"type": "webhook.ping", "data": {"endpoint_id": 1}}'),
	('webhook.capture_failed', 'a row changed that could not become an event',
	 '{"type": "webhook.capture_failed", "data": {"relation": "public.message", "operation": "UPDATE", "type": "message.", "message_id": "42", "error": "invalid event type"}}'),
	('endpoint.disabled', 'an endpoint was disabled because it is gone or has failed for too long',
	 '{"type": "endpoint.disabled", "data": {"endpoint_id": 1, "reason": "gone"}}');

-------------------------------------------------------------------------------
-- Functions over the core
-------------------------------------------------------------------------------

CREATE FUNCTION bm_webhook.sign(secret text, id text, at timestamptz, body bytea) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_sign';
COMMENT ON FUNCTION bm_webhook.sign(text, text, timestamptz, bytea) IS
	'the Standard Webhooks signature, v1,<base64>, of a body sent with this webhook-id at this time (whole seconds); 22023 malformed secret';

CREATE FUNCTION bm_webhook.verify(headers jsonb, body bytea, secret text, tolerance interval = '5 min') RETURNS boolean
	LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_verify';
COMMENT ON FUNCTION bm_webhook.verify(jsonb, bytea, text, interval) IS
	'was this request signed with the secret, not longer ago (or ahead) than tolerance? headers: an object of strings, names in any case; a missing or malformed header is false; 22023 malformed secret';

CREATE FUNCTION bm_webhook.exponential_backoff(base interval, factor float8, max interval, attempts integer) RETURNS interval[]
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_exponential_backoff';
COMMENT ON FUNCTION bm_webhook.exponential_backoff(interval, float8, interval, integer) IS
	'a value for endpoint.retry_delays: base, base * factor, base * factor^2 ..., each at most max, for this many attempts (one delay less); 22023 out of range';

CREATE FUNCTION bm_webhook._matches(patterns text[], type text) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_matches';
COMMENT ON FUNCTION bm_webhook._matches(text[], text) IS 'does one of the patterns match the event type?';

CREATE FUNCTION bm_webhook._uuid_floor(at timestamptz) RETURNS uuid
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_uuid_floor';
COMMENT ON FUNCTION bm_webhook._uuid_floor(timestamptz) IS 'the smallest event id of this instant; 22008 out of range';

CREATE FUNCTION bm_webhook._uuid_time(id uuid) RETURNS timestamptz
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_uuid_time';
COMMENT ON FUNCTION bm_webhook._uuid_time(uuid) IS 'the instant in an event id';

-------------------------------------------------------------------------------
-- Capture
-------------------------------------------------------------------------------

CREATE FUNCTION bm_webhook.emit(type text, data jsonb, application text = NULL, channel text = NULL,
								message_id text = NULL, occurred_at timestamptz = NULL, endpoint bigint = NULL) RETURNS uuid
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_emit';
COMMENT ON FUNCTION bm_webhook.emit(text, jsonb, text, text, text, timestamptz, bigint) IS
	'makes an event of this transaction and returns its id; data is an object; endpoint: for this one alone; 22023, 23502, 42704, 54000';

CREATE FUNCTION bm_webhook.ping(endpoint bigint) RETURNS uuid
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'bm_webhook_ping';
COMMENT ON FUNCTION bm_webhook.ping(bigint) IS 'sends an event webhook.ping to this endpoint alone and returns its id; 42704 unknown endpoint';

CREATE FUNCTION bm_webhook.capture() RETURNS trigger
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_capture';
COMMENT ON FUNCTION bm_webhook.capture() IS
	'trigger function that makes an event of each changed row; its triggers are created by watch(); 39P01 misuse, 42703 unknown column';

CREATE FUNCTION bm_webhook._check_capture(relation regclass, arguments text[]) RETURNS void
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'bm_webhook_check_capture';
COMMENT ON FUNCTION bm_webhook._check_capture(regclass, text[]) IS 'raises what a trigger with these arguments would raise';

CREATE FUNCTION bm_webhook._watches(relation regclass)
	RETURNS TABLE (trigger name, event_type text)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT t.tgname, convert_from(substr(t.tgargs, 6, position('\x00'::bytea IN t.tgargs) - 6), getdatabaseencoding())
	FROM pg_trigger t
	WHERE t.tgrelid = relation AND t.tgparentid = 0 AND t.tgfoid = 'bm_webhook.capture()'::regprocedure
		AND starts_with(encode(t.tgargs, 'escape'), 'type=')
	ORDER BY t.tgname
$$;
COMMENT ON FUNCTION bm_webhook._watches(regclass) IS 'the capture triggers of a relation, with their event types';

CREATE FUNCTION bm_webhook._check_watched(relation regclass, level text) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r pg_class;
BEGIN
	SELECT * INTO r FROM pg_class WHERE oid = relation;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'relation with OID % does not exist', relation::oid
			USING ERRCODE = 'undefined_table', HINT = 'Name an existing table.';
	ELSIF r.relkind NOT IN ('r', 'p') OR r.relpersistence = 't' THEN
		RAISE EXCEPTION 'relation "%" cannot be watched', r.relname
			USING ERRCODE = 'wrong_object_type', HINT = 'Only permanent and unlogged tables can: watch the tables under a view.';
	ELSIF r.oid < 16384 OR r.relnamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) THEN
		RAISE EXCEPTION 'system catalog "%" cannot be watched', r.relname
			USING ERRCODE = 'wrong_object_type', HINT = 'Watch a table of your own.';
	ELSIF r.relnamespace = 'bm_webhook'::regnamespace THEN
		RAISE EXCEPTION 'table "%" belongs to the extension and cannot be watched', r.relname
			USING ERRCODE = 'wrong_object_type', HINT = 'Watch a table of your own.';
	ELSIF level = 'statement' AND (r.relkind = 'p' OR r.relispartition) THEN
		RAISE EXCEPTION 'partitioned table "%" cannot be watched at statement level', r.relname
			USING ERRCODE = 'feature_not_supported', HINT = 'Use level => ''row'', on the partitioned table.';
	ELSIF r.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits WHERE inhparent = r.oid) THEN
		RAISE WARNING 'rows of tables that inherit from "%" are not captured', r.relname
			USING HINT = 'Watch these tables as well.';
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook._check_watched(regclass, text) IS 'refuses relations that cannot be watched; 0A000, 42809, 42P01';

-- Types without an equality in pg_catalog (json, xml, ...) are compared as text.
CREATE FUNCTION bm_webhook._changed_condition(relation regclass, changed text[]) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	conditions text[] = '{}';
	name text;
	type text;
BEGIN
	FOREACH name IN ARRAY changed LOOP
		SELECT format_type(a.atttypid, NULL) INTO type FROM pg_attribute a
			WHERE a.attrelid = relation AND a.attname = name AND a.attnum > 0 AND NOT a.attisdropped;
		IF NOT FOUND THEN
			RAISE EXCEPTION 'column "%" of relation "%" does not exist', name, relation
				USING ERRCODE = 'undefined_column', HINT = 'List columns of the relation in "changed".';
		END IF;
		BEGIN
			EXECUTE format('SELECT NULL::%1$s IS DISTINCT FROM NULL::%1$s', type);
			conditions := conditions || format('OLD.%1$I IS DISTINCT FROM NEW.%1$I', name);
		EXCEPTION WHEN undefined_function THEN
			conditions := conditions || format('OLD.%1$I::text IS DISTINCT FROM NEW.%1$I::text', name);
		END;
	END LOOP;
	RETURN array_to_string(conditions, ' OR ');
END
$$;
COMMENT ON FUNCTION bm_webhook._changed_condition(regclass, text[]) IS 'SQL text: did one of these columns change? 42703 unknown column';

CREATE FUNCTION bm_webhook._primary_key(relation regclass) RETURNS text[]
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT array_agg(a.attname::text ORDER BY k.position)
	FROM pg_index i, unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, position), pg_attribute a
	WHERE i.indrelid = relation AND i.indisprimary AND a.attrelid = relation AND a.attnum = k.attnum
$$;
COMMENT ON FUNCTION bm_webhook._primary_key(regclass) IS 'the columns of the primary key; NULL when there is none';

CREATE FUNCTION bm_webhook._check_function(relation regclass, function regprocedure) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p pg_proc;
BEGIN
	SELECT * INTO p FROM pg_proc WHERE oid = function;
	IF NOT FOUND OR p.pronargs <> 1 OR p.proargtypes[0] <> (SELECT reltype FROM pg_class WHERE oid = relation) THEN
		RAISE EXCEPTION 'function % does not take a row of "%"', function, relation
			USING ERRCODE = 'undefined_function', HINT = format('It must have one argument of type %s and return jsonb.', relation);
	ELSIF NOT has_function_privilege(function, 'EXECUTE') THEN
		RAISE EXCEPTION 'permission denied for function %', function
			USING ERRCODE = 'insufficient_privilege', HINT = 'You need EXECUTE on the function.';
	END IF;
	RETURN format('%I.%I', p.pronamespace::regnamespace::name, p.proname);
END
$$;
COMMENT ON FUNCTION bm_webhook._check_function(regclass, regprocedure) IS 'the qualified name of a function that takes a row of the relation; 42501, 42883';

CREATE FUNCTION bm_webhook._create_watch_trigger(relation regclass, event_type text, operation text, level text,
												 condition text, arguments text[]) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	EXECUTE format('CREATE TRIGGER %I AFTER %s ON %s %s FOR EACH %s %s EXECUTE FUNCTION bm_webhook.capture(%s)',
		'bm_webhook_' || lower(operation) || '_' || left(md5(event_type), 8), operation, relation,
		CASE WHEN level = 'row' THEN ''
			WHEN operation = 'INSERT' THEN 'REFERENCING NEW TABLE AS new_rows'
			WHEN operation = 'DELETE' THEN 'REFERENCING OLD TABLE AS old_rows'
			ELSE 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows' END,
		level,
		CASE WHEN condition IS NOT NULL AND level = 'row' THEN format(E'WHEN (%s\n)', condition) ELSE '' END,
		(SELECT string_agg(quote_literal(a), ', ' ORDER BY n) FROM unnest(arguments) WITH ORDINALITY AS u (a, n)));
END
$$;
COMMENT ON FUNCTION bm_webhook._create_watch_trigger(regclass, text, text, text, text, text[]) IS 'creates one capture trigger';

CREATE FUNCTION bm_webhook.watch(relation regclass, event_type text, application text = NULL, channel text = NULL,
		message_id text = NULL, occurred_at text = NULL, operations text[] = '{INSERT,UPDATE}', changed text[] = NULL,
		condition text = NULL, columns text[] = NULL, function regprocedure = NULL, level text = 'row') RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	primary_key text[] = bm_webhook._primary_key(relation);
	changed_condition text;
	arguments text[];
	own_arguments text[];
	own_condition text;
	operation text;
BEGIN
	IF relation IS NULL OR event_type IS NULL OR operations IS NULL OR level IS NULL THEN
		RAISE EXCEPTION '"relation", "event_type", "operations" and "level" must not be null'
			USING ERRCODE = 'not_null_violation', HINT = 'Leave an argument out to get its default.';
	END IF;
	IF level NOT IN ('row', 'statement') THEN
		RAISE EXCEPTION 'invalid level "%"', level
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Use row or statement.';
	END IF;
	PERFORM bm_webhook._check_watched(relation, level);

	SELECT array_agg(DISTINCT upper(o)) INTO operations FROM unnest(operations) o;
	IF operations IS NULL OR NOT coalesce(operations <@ '{INSERT,UPDATE,DELETE}', false) OR array_position(operations, NULL) > 0 THEN
		RAISE EXCEPTION 'invalid "operations"'
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Use INSERT, UPDATE and DELETE, at least one of them.';
	END IF;
	IF changed IS NOT NULL THEN
		IF NOT 'UPDATE' = ANY (operations) OR cardinality(changed) = 0 THEN
			RAISE EXCEPTION '"changed" needs the operation UPDATE and at least one column'
				USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave "changed" out: an insert or delete is always a change.';
		END IF;
		changed_condition := bm_webhook._changed_condition(relation, changed);
	END IF;
	IF message_id IS NULL THEN
		IF primary_key IS NULL OR cardinality(primary_key) <> 1 THEN
			RAISE EXCEPTION 'relation "%" has no primary key of one column', relation
				USING ERRCODE = 'invalid_table_definition', HINT = 'Say what identifies a row: message_id => ''{column}''.';
		END IF;
		message_id := '{' || primary_key[1] || '}';
	END IF;

	arguments := array_remove(ARRAY['type=' || event_type, 'application=' || application, 'channel=' || channel,
		'message_id=' || message_id, 'occurred_at=' || occurred_at, 'columns=' || columns::text,
		'function=' || CASE WHEN function IS NOT NULL THEN bm_webhook._check_function(relation, function) END], NULL);
	PERFORM bm_webhook._check_capture(relation, arguments);
	IF EXISTS (SELECT FROM bm_webhook._watches(relation) w WHERE w.event_type = watch.event_type) THEN
		RAISE EXCEPTION 'relation "%" is already watched for event type "%"', relation, event_type
			USING ERRCODE = 'duplicate_object', HINT = 'Call bm_webhook.unwatch() first.';
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
			PERFORM bm_webhook._create_watch_trigger(relation, event_type, operation, 'row', own_condition, arguments);
			EXECUTE format('DROP TRIGGER %I ON %s', 'bm_webhook_' || lower(operation) || '_' || left(md5(event_type), 8), relation);
			IF operation = 'UPDATE' AND own_condition ~* '\mold\M' THEN
				IF primary_key IS NULL THEN
					RAISE EXCEPTION 'relation "%" has no primary key to pair old and new rows with', relation
						USING ERRCODE = 'invalid_table_definition', HINT = 'Add a primary key, or use level => ''row''.';
				END IF;
				own_arguments := own_arguments || ('key=' || primary_key::text);
			END IF;
		END IF;
		PERFORM bm_webhook._create_watch_trigger(relation, event_type, operation, level, own_condition, own_arguments);
	END LOOP;
END
$$;
COMMENT ON FUNCTION bm_webhook.watch(regclass, text, text, text, text, text, text[], text[], text, text[], regprocedure, text) IS
	'makes events of the rows of a table that change. event_type, application, channel and message_id are templates: {column} stands for its value. message_id: the primary key, if not given. occurred_at: {column}. operations: INSERT, UPDATE, DELETE. changed: an update counts only if one of these columns changed. condition: SQL on NEW and OLD; names outside pg_catalog must be qualified. columns, or function (row) -> jsonb: the data; default all columns. level: row or statement (cheaper for bulk changes; primary keys must not be updated). Errors: 0A000, 22023, 23502, 42501, 42701, 42703, 42710, 42804, 42809, 42883, 42P16';

CREATE FUNCTION bm_webhook.unwatch(relation regclass, event_type text = NULL) RETURNS integer
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	removed text[] = '{}';
	w record;
BEGIN
	IF relation IS NULL THEN
		RAISE EXCEPTION '"relation" must not be null'
			USING ERRCODE = 'not_null_violation', HINT = 'Name the watched table.';
	END IF;
	FOR w IN SELECT * FROM bm_webhook._watches(relation) AS t WHERE unwatch.event_type IS NULL OR t.event_type = unwatch.event_type LOOP
		EXECUTE format('DROP TRIGGER %I ON %s', w.trigger, relation);
		removed := removed || w.event_type;
	END LOOP;
	IF removed = '{}' THEN
		RAISE NOTICE 'relation "%" is not watched%', relation, coalesce(' for event type "' || event_type || '"', '');
	END IF;
	RETURN (SELECT count(DISTINCT r) FROM unnest(removed) r);
END
$$;
COMMENT ON FUNCTION bm_webhook.unwatch(regclass, text) IS
	'removes the watches of a table, all or those of one event type (as given to watch()), and returns how many; 23502';

-------------------------------------------------------------------------------
-- Partitions
-------------------------------------------------------------------------------

CREATE TABLE bm_webhook.event_default PARTITION OF bm_webhook.event DEFAULT;
CREATE TABLE bm_webhook.delivery_default PARTITION OF bm_webhook.delivery DEFAULT;
CREATE TABLE bm_webhook.failed_attempt_default PARTITION OF bm_webhook.failed_attempt DEFAULT;
COMMENT ON TABLE bm_webhook.event_default IS 'events of days that have no partition';
COMMENT ON TABLE bm_webhook.delivery_default IS 'deliveries of events of days that have no partition';
COMMENT ON TABLE bm_webhook.failed_attempt_default IS 'failed attempts of events of days that have no partition';

-- A partition for a range that has begun would make an INSERT fail that is on
-- its way to the default partition: so only days that begin in the future.
-- LIKE and ATTACH take weaker locks on the parent than PARTITION OF.
-- As the definer, because partitions are members of the extension: pg_dump then
-- leaves the log out, and a restored database can make its own.
CREATE FUNCTION bm_webhook._create_partition(parent text, day date) RETURNS boolean
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s' AS $$
DECLARE
	name text = parent || to_char(day, '_YYYYMMDD');
	key text = CASE parent WHEN 'event' THEN 'id' ELSE 'event_id' END;
	first uuid = bm_webhook._uuid_floor(day::timestamp AT TIME ZONE 'UTC');
	beyond uuid = bm_webhook._uuid_floor((day + 1)::timestamp AT TIME ZONE 'UTC');
	is_taken boolean;
BEGIN
	EXECUTE format('SELECT EXISTS (SELECT FROM bm_webhook.%I WHERE %I >= %L AND %2$I < %L)',
		parent || '_default', key, first, beyond) INTO is_taken;
	IF is_taken OR to_regclass(format('bm_webhook.%I', name)) IS NOT NULL THEN
		RETURN false;
	END IF;
	EXECUTE format('CREATE TABLE bm_webhook.%I (LIKE bm_webhook.%I INCLUDING ALL)', name, parent);
	EXECUTE format('ALTER TABLE bm_webhook.%I OWNER TO bm_webhook', name);
	EXECUTE format('ALTER TABLE bm_webhook.%I ATTACH PARTITION bm_webhook.%I FOR VALUES FROM (%L) TO (%L)',
		parent, name, first, beyond);
	IF NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND deptype = 'e'
			AND objid = to_regclass(format('bm_webhook.%I', name))) THEN
		EXECUTE format('ALTER EXTENSION bm_webhook ADD TABLE bm_webhook.%I', name);
	END IF;
	RETURN true;
EXCEPTION WHEN check_violation OR lock_not_available OR duplicate_table THEN
	RETURN false;	-- a row came in between, the table is busy, or another made it: there is a next time
END
$$;
COMMENT ON FUNCTION bm_webhook._create_partition(text, date) IS 'makes the partition of a UTC day; false when there is one, or rows of that day are in the default';

CREATE FUNCTION bm_webhook._create_partitions(days integer) RETURNS integer
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT count(*) FILTER (WHERE bm_webhook._create_partition(parent, (clock_timestamp() AT TIME ZONE 'UTC')::date + day))::integer
	FROM unnest('{event,delivery,failed_attempt}'::text[]) parent, generate_series(1, days) day
$$;
COMMENT ON FUNCTION bm_webhook._create_partitions(integer) IS 'makes the partitions of the next days (UTC), and returns how many';

SELECT bm_webhook._create_partition(parent, (pg_catalog.clock_timestamp() AT TIME ZONE 'UTC')::date)
	FROM unnest('{event,delivery,failed_attempt}'::text[]) parent;
SELECT bm_webhook._create_partitions(3);

-- A logical backup takes the registration along, but neither secrets nor the log.
SELECT pg_catalog.pg_extension_config_dump('bm_webhook.application', '');
SELECT pg_catalog.pg_extension_config_dump('bm_webhook.endpoint', '');
SELECT pg_catalog.pg_extension_config_dump('bm_webhook.endpoint_id_seq', '');

ALTER TABLE bm_webhook.event_default OWNER TO bm_webhook;
ALTER TABLE bm_webhook.delivery_default OWNER TO bm_webhook;
ALTER TABLE bm_webhook.failed_attempt_default OWNER TO bm_webhook;
ALTER TABLE bm_webhook.event OWNER TO bm_webhook;
ALTER TABLE bm_webhook.delivery OWNER TO bm_webhook;
ALTER TABLE bm_webhook.failed_attempt OWNER TO bm_webhook;
ALTER TABLE bm_webhook.cursor OWNER TO bm_webhook;

-------------------------------------------------------------------------------
-- Views: with the rights of who reads them
-------------------------------------------------------------------------------

-- The rule by which the dispatcher matches (core/route.c), for views and waits.
CREATE FUNCTION bm_webhook._wants(p bm_webhook.endpoint, e bm_webhook.event) RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT p.enabled AND (e.endpoint_id = p.id
		OR e.endpoint_id IS NULL AND e.created_at >= p.created_at
		AND (p.application IS NULL OR p.application = e.application)
		AND (p.channel IS NULL OR p.channel = e.channel)
		AND (bm_webhook._matches(p.event_types, e.type)
			OR e.reply_to IS NOT NULL AND bm_webhook._matches(p.event_types, 'message.replied'))
		AND NOT EXISTS (SELECT FROM bm_webhook.application a
			WHERE a.name = e.application AND bm_webhook._matches(a.muted_event_types, e.type)))
$$;
COMMENT ON FUNCTION bm_webhook._wants(bm_webhook.endpoint, bm_webhook.event) IS 'does the endpoint get this event?';

CREATE VIEW bm_webhook.attempt WITH (security_invoker = true) AS
	SELECT event_id, endpoint_id, attempt, attempted_at, false AS succeeded, http_status, error_class, error,
		total_time AS duration, response
	FROM bm_webhook.failed_attempt
	UNION ALL
	SELECT event_id, endpoint_id, attempts, last_attempt_at, true, http_status, NULL, NULL, duration, NULL
	FROM bm_webhook.delivery WHERE status = 'delivered';
COMMENT ON VIEW bm_webhook.attempt IS 'every attempt ever made';

-- What no cursor has settled, found by the index on xid: a range with two
-- unknown ends is taken for a small part of the table, so the planner uses it.
CREATE VIEW bm_webhook.backlog WITH (security_invoker = true) AS
	WITH fresh AS MATERIALIZED (
		SELECT e
		FROM bm_webhook.event e
		WHERE e.xid >= (SELECT pg_catalog.pg_snapshot_xmin(c.snapshot) AS xmin FROM bm_webhook.cursor c ORDER BY 1 LIMIT 1)
			AND e.xid < (SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()))
			AND EXISTS (SELECT FROM bm_webhook.cursor c WHERE NOT pg_catalog.pg_visible_in_snapshot(e.xid, c.snapshot))
	)
	SELECT p.id AS endpoint_id, p.application, p.channel, p.url, d.pending, d.retrying, n.not_taken,
		LEAST(d.oldest, n.oldest) AS oldest, d.next_attempt_at
	FROM bm_webhook.endpoint p
	CROSS JOIN LATERAL (
		SELECT count(*) AS pending, count(*) FILTER (WHERE attempts > 0) AS retrying,
			min(bm_webhook._uuid_time(event_id)) AS oldest, min(next_attempt_at) AS next_attempt_at
		FROM bm_webhook.delivery WHERE endpoint_id = p.id AND status = 'pending'
	) d
	CROSS JOIN LATERAL (
		SELECT count(*) AS not_taken, min((f.e).created_at) AS oldest
		FROM fresh f
		WHERE bm_webhook._wants(p, f.e)
			AND NOT EXISTS (SELECT FROM bm_webhook.delivery x WHERE x.event_id = (f.e).id AND x.endpoint_id = p.id)
	) n;
COMMENT ON VIEW bm_webhook.backlog IS 'what waits, for each endpoint: pending deliveries (retrying: tried before), and events that no dispatcher has taken yet';
COMMENT ON COLUMN bm_webhook.backlog.not_taken IS 'events that match and have no delivery yet';
COMMENT ON COLUMN bm_webhook.backlog.oldest IS 'when the oldest of what waits was captured';

-------------------------------------------------------------------------------
-- Dispatchers
-------------------------------------------------------------------------------

CREATE FUNCTION bm_webhook._dispatchers(OUT database oid, OUT shard integer, OUT state text, OUT reason text,
	OUT since timestamptz, OUT pid integer, OUT in_flight integer, OUT queued integer, OUT sent bigint,
	OUT resent bigint, OUT last_error text, OUT last_error_at timestamptz)
	RETURNS SETOF record LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'bm_webhook_dispatchers';
COMMENT ON FUNCTION bm_webhook._dispatchers() IS 'what shared memory says of the dispatchers; use status()';

CREATE FUNCTION bm_webhook.status(OUT database name, OUT shard integer, OUT state text, OUT reason text,
	OUT since timestamptz, OUT pid integer, OUT in_flight integer, OUT queued integer, OUT pending bigint,
	OUT sent bigint, OUT resent bigint, OUT last_error text, OUT last_error_at timestamptz)
	RETURNS SETOF record LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT d.datname, s.shard, s.state, s.reason, s.since, s.pid, s.in_flight, s.queued,
		CASE WHEN d.datname = current_database()
			THEN (SELECT count(*) FROM bm_webhook.delivery WHERE status = 'pending') END,
		s.sent, s.resent, s.last_error, s.last_error_at
	FROM bm_webhook._dispatchers() s JOIN pg_database d ON d.oid = s.database
	ORDER BY d.datname, s.shard
$$;
COMMENT ON FUNCTION bm_webhook.status() IS
	'the dispatchers of this cluster: running or why not and since when, requests in flight, deliveries queued in memory, deliveries pending in the table (of this database, all shards), requests sent since the start and sent again by libcurl itself, last error';

CREATE FUNCTION bm_webhook.wait_for_delivery(event uuid, timeout interval) RETURNS boolean
	LANGUAGE c STRICT VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_wait_for_delivery';
COMMENT ON FUNCTION bm_webhook.wait_for_delivery(uuid, interval) IS
	'waits until every delivery of a committed event has ended: true when all were delivered; false when one failed or was canceled, when no endpoint matches, or at the timeout; 42704 for an unknown event, 55000 for one of the same transaction';

CREATE FUNCTION bm_webhook._announce() RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'bm_webhook_announce';
COMMENT ON FUNCTION bm_webhook._announce() IS 'tells the launcher of this database; warns when the library is not preloaded';
SELECT bm_webhook._announce();

-------------------------------------------------------------------------------
-- Privileges: these stay the last statements
-------------------------------------------------------------------------------

REVOKE ALL ON ALL TABLES IN SCHEMA bm_webhook FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA bm_webhook FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA bm_webhook FROM PUBLIC;
GRANT SELECT ON bm_webhook.application, bm_webhook.endpoint, bm_webhook.endpoint_secret, bm_webhook.event_type,
	bm_webhook.attempt, bm_webhook.backlog TO bm_webhook;
GRANT UPDATE (enabled, failing_since, disabled_at, disabled_reason) ON bm_webhook.endpoint TO bm_webhook;
GRANT EXECUTE ON FUNCTION bm_webhook._create_partition(text, date), bm_webhook._create_partitions(integer),
	bm_webhook._uuid_floor(timestamptz), bm_webhook._uuid_time(uuid) TO bm_webhook;
-- These do nothing that their caller could not do himself.
GRANT EXECUTE ON FUNCTION bm_webhook.sign(text, text, timestamptz, bytea),
	bm_webhook.verify(jsonb, bytea, text, interval),
	bm_webhook.exponential_backoff(interval, float8, interval, integer),
	bm_webhook._matches(text[], text), bm_webhook._wants(bm_webhook.endpoint, bm_webhook.event),
	bm_webhook._uuid_floor(timestamptz), bm_webhook._uuid_time(uuid), bm_webhook._dispatchers(),
	bm_webhook._primary_key, bm_webhook._check_watched, bm_webhook._changed_condition, bm_webhook._check_function,
	bm_webhook._check_capture, bm_webhook._watches, bm_webhook._create_watch_trigger
	TO PUBLIC;

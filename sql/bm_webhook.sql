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
	example jsonb,
	shipped boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE bm_webhook.event_type IS 'documented event types; events of other types are delivered as well';
COMMENT ON COLUMN bm_webhook.event_type.shipped IS 'came with the extension; your own types leave it false, and are in logical backups';
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

CREATE TABLE bm_webhook.redelivery (
	event_id uuid NOT NULL,
	endpoint_id bigint NOT NULL,
	asked_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	asked_by name NOT NULL DEFAULT session_user,
	status text NOT NULL,
	attempts integer NOT NULL,
	last_attempt_at timestamptz,
	http_status integer,
	duration interval
);
CREATE INDEX redelivery_event_id_idx ON bm_webhook.redelivery (event_id, endpoint_id);
COMMENT ON TABLE bm_webhook.redelivery IS 'what redeliver() was asked for: who asked, and the delivery as it was before';

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

-- A body given as an untyped literal is text.
CREATE FUNCTION bm_webhook.verify(headers jsonb, body text, secret text, tolerance interval = '5 min') RETURNS boolean
	LANGUAGE sql VOLATILE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT bm_webhook.verify(headers, pg_catalog.convert_to(body, 'UTF8'), secret, tolerance)
$$;
COMMENT ON FUNCTION bm_webhook.verify(jsonb, text, text, interval) IS
	'the same for a body that is text: its bytes in UTF-8 were signed';

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
	'makes events of the rows of a table that change. event_type, application, channel and message_id are templates: {column} stands for its value, and with function {data.key} for a member of what it returned. message_id: the primary key, if not given. occurred_at: {column}. operations: INSERT, UPDATE, DELETE. changed: an update counts only if one of these columns changed. condition: SQL on NEW and OLD; names outside pg_catalog must be qualified. columns, or function (row) -> jsonb: the data; default all columns. level: row or statement (cheaper for bulk changes; primary keys must not be updated). Errors: 0A000, 22023, 23502, 42501, 42701, 42703, 42710, 42804, 42809, 42883, 42P16';

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
	PERFORM bm_webhook._drop_payload_functions(relation);
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
EXCEPTION WHEN check_violation OR lock_not_available OR duplicate_table OR unique_violation OR duplicate_object THEN
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
			WHERE a.name = e.application AND (bm_webhook._matches(a.muted_event_types, e.type)
				OR e.reply_to IS NOT NULL AND bm_webhook._matches(a.muted_event_types, 'message.replied'))))
$$;
COMMENT ON FUNCTION bm_webhook._wants(bm_webhook.endpoint, bm_webhook.event) IS 'does the endpoint get this event?';

CREATE VIEW bm_webhook.attempt WITH (security_invoker = true) AS
	SELECT event_id, endpoint_id, attempt, attempted_at, false AS succeeded, http_status, error_class, error,
		total_time AS duration, response
	FROM bm_webhook.failed_attempt
	UNION ALL
	SELECT event_id, endpoint_id, attempts, last_attempt_at, true, http_status, NULL, NULL, duration, NULL
	FROM bm_webhook.delivery WHERE status = 'delivered'
	UNION ALL
	SELECT event_id, endpoint_id, attempts, last_attempt_at, true, http_status, NULL, NULL, duration, NULL
	FROM bm_webhook.redelivery WHERE status = 'delivered';
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

CREATE FUNCTION bm_webhook._look() RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'bm_webhook_look';
COMMENT ON FUNCTION bm_webhook._look() IS 'tells the dispatcher that deliveries of this transaction are due';

CREATE FUNCTION bm_webhook.redeliver(event uuid, endpoint bigint = NULL) RETURNS integer
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	made_due integer;
BEGIN
	IF event IS NULL THEN
		RAISE EXCEPTION '"event" must not be null'
			USING ERRCODE = 'not_null_violation', HINT = 'Name the id of an event.';
	END IF;
	WITH again AS (
		UPDATE bm_webhook.delivery d SET status = 'pending', next_attempt_at = clock_timestamp()
		FROM (SELECT * FROM bm_webhook.delivery x
			WHERE x.event_id = redeliver.event AND (redeliver.endpoint IS NULL OR x.endpoint_id = redeliver.endpoint)
			FOR UPDATE) was
		WHERE d.event_id = redeliver.event AND d.endpoint_id = was.endpoint_id
			AND d.next_attempt_at IS DISTINCT FROM 'infinity'
			AND EXISTS (SELECT FROM bm_webhook.endpoint p WHERE p.id = d.endpoint_id)
		RETURNING was.*
	)
	INSERT INTO bm_webhook.redelivery (event_id, endpoint_id, status, attempts, last_attempt_at, http_status, duration)
		SELECT event_id, endpoint_id, status, attempts, last_attempt_at, http_status, duration FROM again;
	GET DIAGNOSTICS made_due = ROW_COUNT;
	IF made_due = 0 THEN
		RAISE EXCEPTION 'there is no delivery of this event to send again'
			USING ERRCODE = 'undefined_object',
				HINT = 'Deliveries are the rows of bm_webhook.delivery; their endpoint must still exist, and what waits for an earlier event of its message is not sent out of turn.';
	END IF;
	PERFORM bm_webhook._look();
	RETURN made_due;
END
$$;
COMMENT ON FUNCTION bm_webhook.redeliver(uuid, bigint) IS
	'sends an event again, with the same webhook-id, to one endpoint or to all that have a delivery of it, whatever became of it, and returns to how many; attempts go on counting, and a delivery whose schedule is used up gets one attempt; 23502, 42704';

CREATE FUNCTION bm_webhook._announce() RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'bm_webhook_announce';
COMMENT ON FUNCTION bm_webhook._announce() IS 'tells the launcher of this database; warns when the library is not preloaded';
SELECT bm_webhook._announce();

-------------------------------------------------------------------------------
-- Messaging: what providers report, in one vocabulary
-------------------------------------------------------------------------------

CREATE TABLE bm_webhook.status_map (
	provider text CHECK (provider ~ '^[a-z][a-z0-9_-]{0,31}$'),
	provider_status text CONSTRAINT provider_status_in_lower_case
		CHECK (provider_status = pg_catalog.lower(provider_status COLLATE "C") AND pg_catalog.length(provider_status) BETWEEN 1 AND 128),
	status text NOT NULL
		CHECK (status IN ('accepted', 'sent', 'delivered', 'read', 'failed', 'expired', 'canceled', 'received')),
	shipped boolean NOT NULL DEFAULT false,
	PRIMARY KEY (provider, provider_status)
);
COMMENT ON TABLE bm_webhook.status_map IS 'what the statuses of message providers are called here; add your own rows, an INSERT replaces a row that is shipped';
COMMENT ON COLUMN bm_webhook.status_map.provider IS 'the provider argument of message_status(); in lower case, looked up in any case';
COMMENT ON COLUMN bm_webhook.status_map.provider_status IS 'as the provider calls it, but in lower case; looked up in any case';
COMMENT ON COLUMN bm_webhook.status_map.status IS 'the last part of the event type, message.<status>';
COMMENT ON COLUMN bm_webhook.status_map.shipped IS 'comes with the extension, so that a dump leaves it out';
SELECT pg_catalog.pg_extension_config_dump('bm_webhook.status_map', 'WHERE NOT shipped');
SELECT pg_catalog.pg_extension_config_dump('bm_webhook.event_type', 'WHERE NOT shipped');

INSERT INTO bm_webhook.status_map (provider, provider_status, status, shipped)
	SELECT provider, provider_status, status, true
	FROM (VALUES
		('twilio', 'accepted', '{accepted,queued,scheduled,sending}'::text[]),
		('twilio', 'sent', '{sent}'),
		('twilio', 'delivered', '{delivered}'),
		('twilio', 'read', '{read}'),
		('twilio', 'failed', '{failed,undelivered}'),
		('twilio', 'canceled', '{canceled}'),
		('twilio', 'received', '{received}'),
		('meta', 'sent', '{sent}'),
		('meta', 'delivered', '{delivered}'),
		('meta', 'read', '{read}'),
		('meta', 'failed', '{failed}'),
		('vonage', 'sent', '{submitted}'),
		('vonage', 'delivered', '{delivered}'),
		('vonage', 'read', '{read}'),
		('vonage', 'failed', '{rejected,undeliverable}'),
		('infobip', 'accepted', '{pending}'),
		('infobip', 'delivered', '{delivered}'),
		('infobip', 'read', '{seen}'),
		('infobip', 'failed', '{undeliverable,rejected}'),
		('infobip', 'expired', '{expired}'),
		('sinch', 'accepted', '{queued_on_channel}'),
		('sinch', 'delivered', '{delivered}'),
		('sinch', 'read', '{read}'),
		('sinch', 'failed', '{failed}'),
		('sinch', 'received', '{message_inbound}'),
		('rbm', 'delivered', '{delivered}'),
		('rbm', 'read', '{read}'),
		('rbm', 'expired', '{ttl_expiration_revoked}')) AS m (provider, status, provider_statuses),
		pg_catalog.unnest(provider_statuses) provider_status;

-- So that what a user changes survives a dump: CREATE EXTENSION brings the
-- shipped rows back, and the user's replace them again.
CREATE FUNCTION bm_webhook._keep_status_map() RETURNS trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF TG_OP = 'UPDATE' THEN
		NEW.shipped := false;
	ELSIF NOT NEW.shipped THEN
		DELETE FROM bm_webhook.status_map m
			WHERE m.shipped AND m.provider = NEW.provider AND m.provider_status = NEW.provider_status;
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION bm_webhook._keep_status_map() IS 'makes a changed row of status_map the user''s own';
CREATE TRIGGER keep BEFORE INSERT OR UPDATE ON bm_webhook.status_map
	FOR EACH ROW EXECUTE FUNCTION bm_webhook._keep_status_map();
COMMENT ON TRIGGER keep ON bm_webhook.status_map IS 'a changed row is the user''s own';

-------------------------------------------------------------------------------
-- Messaging: one message, checked and written as documented
-------------------------------------------------------------------------------

CREATE FUNCTION bm_webhook._refuse(problem text, hint text, state text = '22023') RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION USING MESSAGE = problem, HINT = hint, ERRCODE = state;
END
$$;
COMMENT ON FUNCTION bm_webhook._refuse(text, text, text) IS 'raises an error';

-- As the definer: who changes a watched table need not be able to read status_map.
CREATE FUNCTION bm_webhook._our_status(provider text, status text) RETURNS text
	LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ours text;
BEGIN
	IF provider IS NULL THEN
		RETURN status;
	END IF;
	SELECT m.status INTO ours FROM bm_webhook.status_map m
		WHERE m.provider = lower(_our_status.provider COLLATE "C")
			AND m.provider_status = lower(_our_status.status COLLATE "C");
	IF ours IS NULL AND NOT EXISTS (SELECT FROM bm_webhook.status_map m WHERE m.provider = lower(_our_status.provider COLLATE "C")) THEN
		PERFORM bm_webhook._refuse(format('unknown "provider" "%s"', left(provider, 128)),
			'The known ones are in bm_webhook.status_map; add yours there.');
	ELSIF ours IS NULL AND status IS NOT NULL THEN
		PERFORM bm_webhook._refuse(format('unknown "status" "%s" of provider "%s"', left(status, 128), left(provider, 128)),
			'The known ones are in bm_webhook.status_map; add yours there.');
	END IF;
	RETURN ours;
END
$$;
COMMENT ON FUNCTION bm_webhook._our_status(text, text) IS 'what a provider''s status is called here; without provider the status itself; without status it only checks the provider; 22023';

CREATE FUNCTION bm_webhook._check_object(argument text, value jsonb, required jsonb, optional jsonb, hint text) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	fields jsonb = required || optional;
	field text;
BEGIN
	IF jsonb_typeof(value) IS DISTINCT FROM 'object' THEN
		PERFORM bm_webhook._refuse(format('"%s" must be an object', argument), hint);
	END IF;
	FOR field IN SELECT jsonb_object_keys(required) LOOP
		IF NOT value ? field THEN
			PERFORM bm_webhook._refuse(format('"%s" has no field "%s"', argument, field), hint);
		END IF;
	END LOOP;
	FOR field IN SELECT jsonb_object_keys(value) LOOP
		IF NOT fields ? field THEN
			PERFORM bm_webhook._refuse(format('"%s" has an unknown field "%s"', argument, left(field, 64)), hint);
		ELSIF jsonb_typeof(value -> field) <> fields ->> field THEN
			PERFORM bm_webhook._refuse(format('field "%s" of "%s" must be of type %s', field, argument, fields ->> field), hint);
		ELSIF fields ->> field = 'string' AND (value ->> field = '' OR length(value ->> field) > 4096) THEN
			PERFORM bm_webhook._refuse(format('field "%s" of "%s" must have 1 to 4096 characters', field, argument), hint,
				CASE WHEN value ->> field = '' THEN '22023' ELSE '54000' END);
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION bm_webhook._check_object(text, jsonb, jsonb, jsonb, text) IS 'checks the fields of an object, given as {"name": "type"}; 22023, 54000';

CREATE FUNCTION bm_webhook._check_content(content jsonb) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	type text = content ->> 'type';
	needed text = CASE WHEN type IN ('text', 'location', 'button') THEN type
		WHEN type IN ('image', 'video', 'audio', 'document', 'sticker') THEN 'media' END;
	hint text = 'Such as {"type": "text", "text": "Hello"}; media is [{"url": ..., "mime_type": ...}], button {"id": ..., "text": ...}, location {"latitude": ..., "longitude": ...}.';
	medium jsonb;
BEGIN
	IF octet_length(content::text) > 12288 THEN
		PERFORM bm_webhook._refuse('"content" is larger than 12288 bytes', 'Send less, or a link to it as media.', '54000');
	END IF;
	PERFORM bm_webhook._check_object('content', content, '{"type": "string"}',
		'{"text": "string", "media": "array", "button": "object", "location": "object", "contact": "object"}', hint);
	IF needed IS NULL AND type <> 'contact' THEN
		PERFORM bm_webhook._refuse(format('unknown type "%s" of "content"', left(type, 64)),
			'Use text, image, video, audio, document, location, button, contact or sticker.');
	ELSIF NOT content ? needed THEN
		PERFORM bm_webhook._refuse(format('"content" of type "%s" has no field "%s"', type, needed), hint);
	END IF;
	IF content ? 'button' THEN
		PERFORM bm_webhook._check_object('content.button', content -> 'button', '{"id": "string"}', '{"text": "string"}', hint);
	END IF;
	IF content ? 'location' THEN
		PERFORM bm_webhook._check_object('content.location', content -> 'location',
			'{"latitude": "number", "longitude": "number"}', '{"name": "string"}', hint);
		IF abs((content #>> '{location,latitude}')::numeric) > 90 OR abs((content #>> '{location,longitude}')::numeric) > 180 THEN
			PERFORM bm_webhook._refuse('"content.location" is nowhere on earth', 'Latitude is -90 to 90, longitude -180 to 180 degrees.');
		END IF;
	END IF;
	IF content ? 'media' AND (jsonb_array_length(content -> 'media') NOT BETWEEN 1 AND 16) THEN
		PERFORM bm_webhook._refuse('"content.media" must have 1 to 16 elements', hint);
	END IF;
	FOR medium IN SELECT jsonb_array_elements(content -> 'media') LOOP
		PERFORM bm_webhook._check_object('content.media', medium, '{"url": "string", "mime_type": "string"}',
			'{"size": "number", "sha256": "string", "caption": "string"}', hint);
		IF medium ->> 'url' !~ '^https?://[^[:space:]]+$' THEN
			PERFORM bm_webhook._refuse('"url" of "content.media" is no URL', 'It begins with https:// or http://.');
		ELSIF medium ->> 'mime_type' !~ '^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+( *;.*)?$' THEN
			PERFORM bm_webhook._refuse('"mime_type" of "content.media" is no media type', 'Such as image/jpeg.');
		ELSIF (medium ->> 'size')::numeric < 0 OR (medium ->> 'size')::numeric % 1 <> 0 THEN
			PERFORM bm_webhook._refuse('"size" of "content.media" is no number of bytes', 'Give a whole number, or leave it out.');
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION bm_webhook._check_content(jsonb) IS 'checks what a message contains; 22023, 54000';

CREATE FUNCTION bm_webhook._check_details(context jsonb, price jsonb, error jsonb) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	hint text;
BEGIN
	IF context IS NOT NULL THEN
		hint := 'Write {"message_id": ...}, the message that is answered, and "provider_message_id" where known; ids have 1 to 128 bytes.';
		PERFORM bm_webhook._check_object('context', context, '{"message_id": "string"}', '{"provider_message_id": "string"}', hint);
		IF octet_length(context ->> 'message_id') > 128 OR context ->> 'message_id' ~ '[[:cntrl:]]' THEN
			PERFORM bm_webhook._refuse('"message_id" of "context" is no message id', hint);
		END IF;
	END IF;
	IF price IS NOT NULL THEN
		hint := 'Write {"amount": "0.0075", "currency": "EUR"}: the amount is a decimal string, the currency three letters of ISO 4217.';
		PERFORM bm_webhook._check_object('price', price, '{"amount": "string", "currency": "string"}',
			'{"category": "string", "billable": "boolean"}', hint);
		IF price ->> 'amount' !~ '^-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,15})?$' THEN
			PERFORM bm_webhook._refuse('"amount" of "price" is no decimal number', hint);
		ELSIF price ->> 'currency' !~ '^[A-Z]{3}$' THEN
			PERFORM bm_webhook._refuse('"currency" of "price" is no ISO 4217 code', hint);
		END IF;
	END IF;
	IF error IS NOT NULL THEN
		PERFORM bm_webhook._check_object('error', error, '{"code": "string", "title": "string", "permanent": "boolean"}',
			'{"detail": "string", "provider_code": "string"}',
			'Write {"code": "undeliverable", "title": "Message undeliverable", "permanent": true}, and "detail" and "provider_code" where known.');
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook._check_details(jsonb, jsonb, jsonb) IS 'checks objects of a message; 22023, 54000';

-- Functions that watch_messages() has made call this by the names of its
-- arguments, in dumps too: never rename or remove one, new ones need a default.
CREATE FUNCTION bm_webhook._message_data(direction text, status text, channel text, message_id text, sender text, recipient text,
		occurred_at timestamptz = NULL, provider_message_id text = NULL, client_ref text = NULL, conversation_id text = NULL,
		content jsonb = NULL, context jsonb = NULL, segments integer = NULL, price jsonb = NULL, error jsonb = NULL,
		metadata jsonb = NULL, sender_name text = NULL, recipient_name text = NULL) RETURNS jsonb
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	-- E.164, a short code, or the name of an agent: the pattern in the schemas of message.* too
	address text = '^(\+[1-9][0-9]{6,14}|[0-9]{3,8}|[0-9]*[A-Za-z]([0-9A-Za-z ._@/&-]*[0-9A-Za-z])?)$';
	wrong text;
BEGIN
	wrong := CASE WHEN channel IS NULL THEN 'channel' WHEN message_id IS NULL THEN 'message_id'
		WHEN status IS NULL AND direction = 'outbound' THEN 'status' WHEN sender IS NULL THEN 'sender'
		WHEN recipient IS NULL THEN 'recipient' WHEN content IS NULL AND direction = 'inbound' THEN 'content' END;
	IF wrong IS NOT NULL THEN
		PERFORM bm_webhook._refuse(format('"%s" must not be null', wrong),
			'A message has a channel, an id, a sender and a recipient; an outbound one has a status, an inbound one content.', '23502');
	END IF;
	IF direction = 'outbound' AND status NOT IN ('accepted', 'sent', 'delivered', 'read', 'failed', 'expired', 'canceled') THEN
		PERFORM bm_webhook._refuse(format(CASE WHEN status = 'received' THEN '"status" "%s" is that of an inbound message'
				ELSE 'unknown "status" "%s"' END, left(status, 128)),
			CASE WHEN status = 'received' THEN 'Use bm_webhook.message_received(), or watch_replies() for a table.'
				ELSE 'Use accepted, sent, delivered, read, failed, expired or canceled, or say whose status it is: provider => ''twilio''; see bm_webhook.status_map.' END);
	END IF;

	wrong := CASE WHEN sender !~ address OR length(sender) > 128 THEN 'sender'
		WHEN recipient !~ address OR length(recipient) > 128 THEN 'recipient' END;
	IF wrong IS NOT NULL THEN
		PERFORM bm_webhook._refuse(format('"%s" is no phone number and no agent id', wrong),
			'Write a phone number as in E.164, +33123456789; an agent id or sender name has a letter, a short code 3 to 8 digits.');
	END IF;
	wrong := CASE WHEN length(provider_message_id) NOT BETWEEN 1 AND 256 OR provider_message_id ~ '[[:cntrl:]]' THEN 'provider_message_id'
		WHEN length(client_ref) NOT BETWEEN 1 AND 256 OR client_ref ~ '[[:cntrl:]]' THEN 'client_ref'
		WHEN length(conversation_id) NOT BETWEEN 1 AND 256 OR conversation_id ~ '[[:cntrl:]]' THEN 'conversation_id'
		WHEN length(sender_name) NOT BETWEEN 1 AND 256 OR sender_name ~ '[[:cntrl:]]' THEN 'sender_name'
		WHEN length(recipient_name) NOT BETWEEN 1 AND 256 OR recipient_name ~ '[[:cntrl:]]' THEN 'recipient_name' END;
	IF wrong IS NOT NULL THEN
		PERFORM bm_webhook._refuse(format('invalid "%s"', wrong), 'It is 1 to 256 characters without control characters; leave it out where there is none.');
	END IF;
	IF segments < 1 THEN
		PERFORM bm_webhook._refuse('"segments" must be positive', 'It is the number of parts that an SMS was sent in.');
	END IF;
	IF occurred_at < '0001-01-01 00:00:00+00' OR occurred_at >= '10000-01-01 00:00:00+00' THEN
		PERFORM bm_webhook._refuse('"occurred_at" is out of range', 'The time must be finite and in the years 1 to 9999.');
	END IF;

	error := nullif(error, 'null');
	IF error IS NULL AND status IN ('failed', 'expired') THEN
		PERFORM bm_webhook._refuse(format('status "%s" needs "error"', status),
			'Say why: {"code": "undeliverable", "title": "Message undeliverable", "permanent": true}.');
	ELSIF error IS NOT NULL AND status NOT IN ('failed', 'expired') THEN
		PERFORM bm_webhook._refuse(format('status "%s" has no "error"', status), 'Leave "error" out: only failed and expired messages have one.');
	END IF;
	content := nullif(content, 'null');
	IF content IS NOT NULL THEN
		PERFORM bm_webhook._check_content(content);
	ELSIF direction = 'inbound' THEN
		PERFORM bm_webhook._refuse('"content" must be an object', 'Such as {"type": "text", "text": "Hello"}.');
	END IF;
	context := nullif(context, 'null');
	price := nullif(price, 'null');
	metadata := nullif(nullif(metadata, 'null'), '{}');
	IF num_nonnulls(context, price, error) > 0 THEN
		PERFORM bm_webhook._check_details(context, price, error);
	END IF;
	-- without a query, because most messages of a campaign have some
	IF jsonb_typeof(metadata) <> 'object' OR jsonb_path_exists(metadata, 'strict $.* ? (@.type() != "string")') THEN
		PERFORM bm_webhook._refuse('"metadata" must be an object of strings', 'Such as {"campaign": "spring"}.');
	ELSIF jsonb_array_length(jsonb_path_query_array(metadata, '$.keyvalue()')) > 16 THEN
		PERFORM bm_webhook._refuse('"metadata" has more than 16 keys', 'It is for references, not for content.', '54000');
	ELSIF octet_length(metadata::text) > 4096 THEN
		PERFORM bm_webhook._refuse('"metadata" is larger than 4096 bytes', 'It is for references, not for content.', '54000');
	END IF;

	RETURN jsonb_strip_nulls(jsonb_build_object('direction', direction, 'status', status,
		'occurred_at', rtrim(rtrim(to_char(coalesce(occurred_at, clock_timestamp()) AT TIME ZONE 'UTC',
			'YYYY-MM-DD"T"HH24:MI:SS.US'), '0'), '.') || 'Z',
		'from', jsonb_build_object('address', sender, 'name', sender_name),
		'to', jsonb_build_object('address', recipient, 'name', recipient_name),
		'provider_message_id', provider_message_id, 'client_ref', client_ref, 'conversation_id', conversation_id,
		'content', content, 'context', context, 'segments', segments, 'price', price, 'error', error, 'metadata', metadata));
END
$$;
COMMENT ON FUNCTION bm_webhook._message_data(text, text, text, text, text, text, timestamptz, text, text, text, jsonb, jsonb, integer, jsonb, jsonb, jsonb, text, text) IS
	'the data of an event of a message; 22023, 23502, 54000, which name the argument';

-- As the definer: EXECUTE is all that is needed, and less than that of emit().
CREATE FUNCTION bm_webhook.message_status(application text, channel text, message_id text, status text, sender text, recipient text,
		occurred_at timestamptz = NULL, provider text = NULL, provider_message_id text = NULL, client_ref text = NULL,
		conversation_id text = NULL, content jsonb = NULL, segments integer = NULL, price jsonb = NULL, error jsonb = NULL,
		metadata jsonb = NULL, sender_name text = NULL, recipient_name text = NULL) RETURNS uuid
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ours text = bm_webhook._our_status(provider, status);
	at timestamptz = coalesce(occurred_at, clock_timestamp());
	data jsonb = bm_webhook._message_data('outbound', ours, channel, message_id, sender, recipient, at,
		provider_message_id => provider_message_id, client_ref => client_ref, conversation_id => conversation_id,
		content => content, segments => segments, price => price, error => error, metadata => metadata,
		sender_name => sender_name, recipient_name => recipient_name);
BEGIN
	RETURN bm_webhook.emit('message.' || ours, data, application, channel, message_id, at);
END
$$;
COMMENT ON FUNCTION bm_webhook.message_status(text, text, text, text, text, text, timestamptz, text, text, text, text, jsonb, integer, jsonb, jsonb, jsonb, text, text) IS
	'makes an event message.<status> of a message that was sent, and returns its id. status: accepted, sent, delivered, read, failed, expired, canceled; or that of a provider in status_map. occurred_at: the provider''s time. error: required for failed and expired. Errors: 22023, 23502, 54000';

CREATE FUNCTION bm_webhook.message_received(application text, channel text, message_id text, sender text, content jsonb, recipient text,
		occurred_at timestamptz = NULL, provider_message_id text = NULL, conversation_id text = NULL, context jsonb = NULL,
		client_ref text = NULL, metadata jsonb = NULL, sender_name text = NULL, recipient_name text = NULL) RETURNS uuid
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	at timestamptz = coalesce(occurred_at, clock_timestamp());
	data jsonb = bm_webhook._message_data('inbound', 'received', channel, message_id, sender, recipient, at,
		provider_message_id => provider_message_id, client_ref => client_ref, conversation_id => conversation_id,
		content => content, context => context, metadata => metadata,
		sender_name => sender_name, recipient_name => recipient_name);
BEGIN
	RETURN bm_webhook.emit('message.received', data, application, channel, message_id, at);
END
$$;
COMMENT ON FUNCTION bm_webhook.message_received(text, text, text, text, jsonb, text, timestamptz, text, text, jsonb, text, jsonb, text, text) IS
	'makes an event message.received of an inbound message, and returns its id. context: {"message_id": ...} of the message that it answers. Errors: 22023, 23502, 54000';

CREATE FUNCTION bm_webhook.message_clicked(application text, channel text, message_id text, sender text, button jsonb, recipient text,
		occurred_at timestamptz = NULL, provider_message_id text = NULL, conversation_id text = NULL,
		client_ref text = NULL, metadata jsonb = NULL, sender_name text = NULL, recipient_name text = NULL) RETURNS uuid
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	at timestamptz = coalesce(occurred_at, clock_timestamp());
	data jsonb;
BEGIN
	IF button IS NULL THEN
		PERFORM bm_webhook._refuse('"button" must not be null', 'Write {"id": ...}, and "text" where known.', '23502');
	END IF;
	data := bm_webhook._message_data('inbound', NULL, channel, message_id, sender, recipient, at,
		provider_message_id => provider_message_id, client_ref => client_ref, conversation_id => conversation_id,
		content => jsonb_build_object('type', 'button', 'button', button), metadata => metadata,
		sender_name => sender_name, recipient_name => recipient_name);
	RETURN bm_webhook.emit('message.clicked', data, application, channel, message_id, at);
END
$$;
COMMENT ON FUNCTION bm_webhook.message_clicked(text, text, text, text, jsonb, text, timestamptz, text, text, text, jsonb, text, text) IS
	'makes an event message.clicked, and returns its id. message_id: the message that has the button. sender: who clicked. button: {"id": ..., "text": ...}. Errors: 22023, 23502, 54000';

-------------------------------------------------------------------------------
-- Messaging: watch() for tables of messages
-------------------------------------------------------------------------------

-- The columns in a template, and the template as an expression on the row m.
-- Columns are read by their output functions, here and below: a cast may be a
-- function of the type's owner, and would run as who has called watch_messages().
CREATE FUNCTION bm_webhook._template_parts(template text) RETURNS TABLE (name text, expression text)
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN p[1] ~ '^\{[^{]' THEN btrim(p[1], '{}') END,
		CASE WHEN p[1] ~ '^\{[^{]' THEN format('nullif(format(''%%s'', m.%I), '''')', btrim(p[1], '{}'))
			ELSE quote_literal(replace(replace(p[1], '{{', '{'), '}}', '}')) || '::text' END
	FROM regexp_matches(template, '(\{\{|\}\}|\{[^{}]+\}|[^{}]+)', 'g') p
$$;
COMMENT ON FUNCTION bm_webhook._template_parts(text) IS 'the parts of a template: column (NULL for text), and SQL on the row m';

CREATE FUNCTION bm_webhook._has_column(relation regclass, name text) RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = relation AND attname = name AND attnum > 0 AND NOT attisdropped)
$$;
COMMENT ON FUNCTION bm_webhook._has_column(regclass, text) IS 'is there a column of this name?';

CREATE FUNCTION bm_webhook._check_mapping(relation regclass, argument text, value text, omit text[], needed boolean) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	name text;
BEGIN
	IF value IS NULL THEN
		IF bm_webhook._has_column(relation, argument) AND NOT coalesce(argument = ANY (omit), false) THEN
			RETURN '{' || argument || '}';
		ELSIF needed THEN
			PERFORM bm_webhook._refuse(format('"%s" is needed: relation "%s" has no such column', argument, relation),
				format('Name one: %s => ''{column}''.', argument), '42703');
		END IF;
		RETURN NULL;
	END IF;
	FOR name IN SELECT p.name FROM bm_webhook._template_parts(value) p WHERE p.name IS NOT NULL LOOP
		IF NOT bm_webhook._has_column(relation, name) THEN
			PERFORM bm_webhook._refuse(format('"%s": column "%s" of relation "%s" does not exist', argument, name, relation),
				format('Name a column of the relation: %s => ''{column}''.', argument), '42703');
		ELSIF name = ANY (omit) THEN
			PERFORM bm_webhook._refuse(format('"%s": column "%s" is in "omit"', argument, name),
				'What is left out cannot be sent as well.');
		END IF;
	END LOOP;
	RETURN value;
END
$$;
COMMENT ON FUNCTION bm_webhook._check_mapping(regclass, text, text, text[], boolean) IS
	'a mapping argument, or the column of its name as a template; NULL when there is none; 22023, 42703';

CREATE FUNCTION bm_webhook._mapped_column(relation regclass, argument text, value text, types text) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	name text = (SELECT p.name FROM bm_webhook._template_parts(value) p);
	type pg_type;
	kind text;
	c text = format('nullif(format(''%%s'', m.%I), '''')', name);
BEGIN
	SELECT t.* INTO type FROM pg_attribute a, pg_type t
		WHERE a.attrelid = relation AND a.attname = name AND a.attnum > 0 AND NOT a.attisdropped
			AND t.oid = bm_webhook._base_type(a.atttypid);
	kind := CASE WHEN type.oid IN ('json'::regtype, 'jsonb'::regtype) THEN 'jsonb'
		WHEN type.oid IN ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype) THEN 'time'
		WHEN type.oid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) THEN 'integer'
		WHEN type.typcategory = 'S' OR type.typtype = 'e' OR type.oid = 'uuid'::regtype THEN 'text' END;
	CASE
		WHEN types = 'text' AND kind IN ('text', 'integer') THEN
			RETURN CASE WHEN type.oid = 'bpchar'::regtype THEN format('rtrim(%s)', c) ELSE c END;
		WHEN types = 'time' AND kind = 'time' THEN
			RETURN c || '::timestamptz';
		WHEN types = 'integer' AND kind = 'integer' THEN
			RETURN c || '::integer';
		WHEN types IN ('jsonb', 'content', 'context') AND kind = 'jsonb' THEN
			RETURN c || '::jsonb';
		WHEN types = 'content' AND kind = 'text' THEN
			RETURN format('CASE WHEN %1$s IS NOT NULL THEN jsonb_build_object(''type'', ''text'', ''text'', %1$s) END', c);
		WHEN types = 'context' AND kind IN ('text', 'integer') THEN
			RETURN format('CASE WHEN %1$s IS NOT NULL THEN jsonb_build_object(''message_id'', %1$s) END', c);
		ELSE
			PERFORM bm_webhook._refuse(format('"%s": column "%s" has type %s', argument, name, format_type(type.oid, NULL)),
				CASE types WHEN 'text' THEN 'Use a column of a text, enum, integer or uuid type.'
					WHEN 'time' THEN 'Use a column of type timestamp with time zone, timestamp or date.'
					WHEN 'integer' THEN 'Use a column of an integer type.'
					WHEN 'jsonb' THEN 'Use a column of type jsonb or json; it may be a generated one, made by jsonb_object().'
					ELSE 'Use a column of type jsonb, json or text.' END
				|| format(' Or leave it out: omit => ''{%s}''.', name), '42804');
	END CASE;
END
$$;
COMMENT ON FUNCTION bm_webhook._mapped_column(regclass, text, text, text) IS 'SQL for a column of the row m, in the type of a mapping argument; 42804';

CREATE FUNCTION bm_webhook._base_type(type oid) RETURNS oid
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE d AS (
		SELECT t.oid, t.typbasetype FROM pg_type t WHERE t.oid = type
		UNION ALL
		SELECT t.oid, t.typbasetype FROM d JOIN pg_type t ON t.oid = d.typbasetype
	)
	SELECT d.oid FROM d WHERE d.typbasetype = 0
$$;
COMMENT ON FUNCTION bm_webhook._base_type(oid) IS 'the type under a domain';

CREATE FUNCTION bm_webhook._mapping(relation regclass, argument text, value text, types text, omit text[],
									needed boolean = false) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	template text = bm_webhook._check_mapping(relation, argument, value, omit, needed);
BEGIN
	CASE
		WHEN template IS NULL THEN
			RETURN NULL;
		WHEN types = 'template' THEN
			RETURN (SELECT string_agg(p.expression, ' || ') FROM bm_webhook._template_parts(template) p);
		WHEN template ~ '^\{[^{}]+\}$' THEN
			RETURN bm_webhook._mapped_column(relation, argument, template, types);
		WHEN types = 'text' AND argument IN ('sender', 'recipient', 'sender_name', 'recipient_name', 'provider') THEN
			template := replace(replace(template, '{{', '{'), '}}', '}');
			PERFORM bm_webhook._message_data('outbound', 'sent', 'sms', '1',
				sender => CASE argument WHEN 'sender' THEN template ELSE '100' END,
				recipient => CASE argument WHEN 'recipient' THEN template ELSE '100' END,
				sender_name => CASE argument WHEN 'sender_name' THEN template END,
				recipient_name => CASE argument WHEN 'recipient_name' THEN template END);
			RETURN quote_literal(template);
		ELSE
			PERFORM bm_webhook._refuse(format('"%s" must be a column', argument), format('Write it as %s => ''{column}''.', argument));
	END CASE;
END
$$;
COMMENT ON FUNCTION bm_webhook._mapping(regclass, text, text, text, text[], boolean) IS
	'SQL on the row m for a mapping argument: {column}, some also a constant; NULL when there is none; 22023, 42703, 42804';

CREATE FUNCTION bm_webhook._payload_triggers(relation regclass, function text) RETURNS SETOF name
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT t.tgname FROM pg_trigger t, pg_proc p
	WHERE t.tgrelid = relation AND t.tgparentid = 0 AND t.tgfoid = 'bm_webhook.capture()'::regprocedure
		AND p.proname = function AND p.pronargs = 1
		AND p.proargtypes[0] = (SELECT c.reltype FROM pg_class c WHERE c.oid = relation)
		AND encode(convert_to(format('function=%I.%I', p.pronamespace::regnamespace::name, p.proname), getdatabaseencoding()), 'escape')
			= ANY (string_to_array(encode(t.tgargs, 'escape'), '\000'))
$$;
COMMENT ON FUNCTION bm_webhook._payload_triggers(regclass, text) IS 'the capture triggers of a relation that use this payload function';

CREATE FUNCTION bm_webhook._drop_payload_functions(relation regclass) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p record;
BEGIN
	FOR p IN SELECT oid::regprocedure AS signature, proname FROM pg_proc
		WHERE proname IN ('bm_webhook_message', 'bm_webhook_reply') AND pronargs = 1
			AND proargtypes[0] = (SELECT reltype FROM pg_class WHERE oid = relation)
	LOOP
		IF NOT EXISTS (SELECT FROM bm_webhook._payload_triggers(relation, p.proname)) THEN
			EXECUTE format('DROP FUNCTION %s', p.signature);
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION bm_webhook._drop_payload_functions(regclass) IS 'drops what watch_messages() and watch_replies() have made and no trigger needs';

-- The function runs as its definer: who changes the table need not be able to use the extension.
CREATE FUNCTION bm_webhook._create_payload_function(relation regclass, name text, status text, data text[]) RETURNS regprocedure
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	function text = format('%I.%I', (SELECT relnamespace::regnamespace::name FROM pg_class WHERE oid = relation), name);
	trigger name;
BEGIN
	FOR trigger IN SELECT bm_webhook._payload_triggers(relation, name) LOOP
		EXECUTE format('DROP TRIGGER %I ON %s', trigger, relation);
	END LOOP;
	EXECUTE format('CREATE OR REPLACE FUNCTION %s(m %s) RETURNS jsonb'
		' LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET datestyle = ISO AS %L', function, relation,
		format(E'\nDECLARE\n\tstatus text = %s;\nBEGIN\n\tRETURN bm_webhook._message_data(%s);\nEND\n', status,
			array_to_string(array_remove(data, NULL), E',\n\t\t')));
	EXECUTE format('REVOKE ALL ON FUNCTION %s(%s) FROM PUBLIC', function, relation);
	EXECUTE format('COMMENT ON FUNCTION %s(%s) IS %L', function, relation, 'made by bm_webhook for a watched table');
	RETURN format('%s(%s)', function, relation)::regprocedure;
END
$$;
COMMENT ON FUNCTION bm_webhook._create_payload_function(regclass, text, text, text[]) IS
	'makes or replaces the function that turns a row into the data of an event, and drops the triggers that use it';

CREATE FUNCTION bm_webhook._check_message_relation(relation regclass, omit text[], message_id text, level text) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	primary_key text[] = bm_webhook._primary_key(relation);
	name text;
BEGIN
	IF relation IS NULL OR level IS NULL THEN
		PERFORM bm_webhook._refuse('"relation" and "level" must not be null', 'Name the table; leave "level" out to get its default.', '23502');
	END IF;
	PERFORM bm_webhook._check_watched(relation, level);
	FOREACH name IN ARRAY omit LOOP
		IF name IS NULL OR NOT bm_webhook._has_column(relation, name) THEN
			PERFORM bm_webhook._refuse(format('"omit": column "%s" of relation "%s" does not exist', coalesce(name, 'NULL'), relation),
				'List columns of the relation in "omit".', '42703');
		END IF;
	END LOOP;
	message_id := bm_webhook._check_mapping(relation, 'message_id', message_id, omit, false);
	IF message_id IS NULL THEN
		IF primary_key IS NULL OR cardinality(primary_key) <> 1 THEN
			PERFORM bm_webhook._refuse(format('"message_id" is needed: relation "%s" has no primary key of one column', relation),
				'Say what identifies a message: message_id => ''{column}''.', '42P16');
		END IF;
		message_id := '{' || primary_key[1] || '}';
	END IF;
	RETURN message_id;
END
$$;
COMMENT ON FUNCTION bm_webhook._check_message_relation(regclass, text[], text, text) IS
	'the template of the message id of a table of messages; 0A000, 23502, 42703, 42809, 42P01, 42P16';

CREATE FUNCTION bm_webhook.watch_messages(relation regclass, application text = NULL, channel text = NULL, message_id text = NULL,
		status text = NULL, sender text = NULL, recipient text = NULL, occurred_at text = NULL, provider text = NULL,
		provider_message_id text = NULL, client_ref text = NULL, conversation_id text = NULL, content text = NULL,
		segments text = NULL, price text = NULL, error text = NULL, metadata text = NULL, sender_name text = NULL,
		recipient_name text = NULL, omit text[] = '{}', operations text[] = '{INSERT,UPDATE}', condition text = NULL,
		level text = 'row') RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	left_out text[] = coalesce(omit, '{}');
	provider_sql text;
	status_sql text;
	error_sql text;
	function regprocedure;
BEGIN
	message_id := bm_webhook._check_message_relation(relation, left_out, message_id, level);
	application := bm_webhook._check_mapping(relation, 'application', application, left_out, false);
	channel := bm_webhook._check_mapping(relation, 'channel', channel, left_out, true);
	status := bm_webhook._check_mapping(relation, 'status', status, left_out, true);
	occurred_at := bm_webhook._check_mapping(relation, 'occurred_at', occurred_at, left_out, false);
	provider_sql := bm_webhook._mapping(relation, 'provider', provider, 'text', left_out);
	status_sql := bm_webhook._mapping(relation, 'status', status, 'text', left_out);
	error_sql := bm_webhook._mapping(relation, 'error', error, 'jsonb', left_out);
	IF provider !~ '^\{' THEN
		PERFORM bm_webhook._our_status(provider, NULL);
	END IF;
	IF NOT upper(operations::text)::text[] <@ '{INSERT,UPDATE}' THEN
		PERFORM bm_webhook._refuse('invalid "operations"', 'Use INSERT, UPDATE or both: a message that is deleted has no status.');
	END IF;

	function := bm_webhook._create_payload_function(relation, 'bm_webhook_message',
		CASE WHEN provider_sql IS NULL THEN status_sql ELSE format('bm_webhook._our_status(%s, %s)', provider_sql, status_sql) END,
		ARRAY['direction => ''outbound''', 'status => status',
			'channel => ' || bm_webhook._mapping(relation, 'channel', channel, 'template', left_out),
			'message_id => ' || bm_webhook._mapping(relation, 'message_id', message_id, 'template', left_out),
			'sender => ' || bm_webhook._mapping(relation, 'sender', sender, 'text', left_out, true),
			'recipient => ' || bm_webhook._mapping(relation, 'recipient', recipient, 'text', left_out, true),
			'occurred_at => ' || bm_webhook._mapping(relation, 'occurred_at', occurred_at, 'time', left_out),
			'provider_message_id => ' || bm_webhook._mapping(relation, 'provider_message_id', provider_message_id, 'text', left_out),
			'client_ref => ' || bm_webhook._mapping(relation, 'client_ref', client_ref, 'text', left_out),
			'conversation_id => ' || bm_webhook._mapping(relation, 'conversation_id', conversation_id, 'text', left_out),
			'content => ' || bm_webhook._mapping(relation, 'content', content, 'content', left_out),
			'segments => ' || bm_webhook._mapping(relation, 'segments', segments, 'integer', left_out),
			'price => ' || bm_webhook._mapping(relation, 'price', price, 'jsonb', left_out),
			-- it may be left from an earlier status
			'error => CASE WHEN status IN (''failed'', ''expired'') THEN ' || error_sql || ' END',
			'metadata => ' || bm_webhook._mapping(relation, 'metadata', metadata, 'jsonb', left_out),
			'sender_name => ' || bm_webhook._mapping(relation, 'sender_name', sender_name, 'text', left_out),
			'recipient_name => ' || bm_webhook._mapping(relation, 'recipient_name', recipient_name, 'text', left_out)]);
	PERFORM bm_webhook.watch(relation, 'message.' || CASE WHEN provider_sql IS NULL THEN status ELSE '{data.status}' END,
		application => application, channel => channel, message_id => message_id, occurred_at => occurred_at,
		operations => operations, changed => CASE WHEN 'UPDATE' = ANY (upper(operations::text)::text[]) THEN ARRAY[btrim(status, '{}')] END,
		condition => condition, function => function, level => level);
	IF error_sql IS NULL THEN
		RAISE WARNING '"error" is not mapped: messages of relation "%" that failed or expired become events of type webhook.capture_failed', relation
			USING HINT = 'Map a column of type jsonb; it may be generated: jsonb_object(ARRAY[''code'', ..., ''title'', ...]) || ''{"permanent": true}''.';
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook.watch_messages(regclass, text, text, text, text, text, text, text, text, text, text, text, text, text, text, text, text, text, text, text[], text[], text, text) IS
	'makes events message.<status>, as message_status() does, of the rows of a table of sent messages that are inserted or change their status. Each mapping argument is {column}, by default the column of its own name; message_id by default the primary key; application, channel and message_id are templates; sender, recipient, their names and provider may be constants. content: jsonb or text. omit: columns that must not leave. condition, operations, level: as in watch(). Calling it again replaces the mapping; unwatch() ends it, and must come before DROP TABLE without CASCADE. Errors: 22023, 42501, 42703, 42804, 42P16, and those of watch()';

CREATE FUNCTION bm_webhook.watch_replies(relation regclass, application text = NULL, channel text = NULL, message_id text = NULL,
		sender text = NULL, content text = NULL, recipient text = NULL, occurred_at text = NULL, provider_message_id text = NULL,
		conversation_id text = NULL, context text = NULL, client_ref text = NULL, metadata text = NULL, sender_name text = NULL,
		recipient_name text = NULL, omit text[] = '{}', condition text = NULL, level text = 'row') RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	left_out text[] = coalesce(omit, '{}');
	function regprocedure;
BEGIN
	message_id := bm_webhook._check_message_relation(relation, left_out, message_id, level);
	application := bm_webhook._check_mapping(relation, 'application', application, left_out, false);
	channel := bm_webhook._check_mapping(relation, 'channel', channel, left_out, true);
	occurred_at := bm_webhook._check_mapping(relation, 'occurred_at', occurred_at, left_out, false);

	function := bm_webhook._create_payload_function(relation, 'bm_webhook_reply', '''received''',
		ARRAY['direction => ''inbound''', 'status => status',
			'channel => ' || bm_webhook._mapping(relation, 'channel', channel, 'template', left_out),
			'message_id => ' || bm_webhook._mapping(relation, 'message_id', message_id, 'template', left_out),
			'sender => ' || bm_webhook._mapping(relation, 'sender', sender, 'text', left_out, true),
			'recipient => ' || bm_webhook._mapping(relation, 'recipient', recipient, 'text', left_out, true),
			'occurred_at => ' || bm_webhook._mapping(relation, 'occurred_at', occurred_at, 'time', left_out),
			'provider_message_id => ' || bm_webhook._mapping(relation, 'provider_message_id', provider_message_id, 'text', left_out),
			'client_ref => ' || bm_webhook._mapping(relation, 'client_ref', client_ref, 'text', left_out),
			'conversation_id => ' || bm_webhook._mapping(relation, 'conversation_id', conversation_id, 'text', left_out),
			'content => ' || bm_webhook._mapping(relation, 'content', content, 'content', left_out, true),
			'context => ' || bm_webhook._mapping(relation, 'context', context, 'context', left_out),
			'metadata => ' || bm_webhook._mapping(relation, 'metadata', metadata, 'jsonb', left_out),
			'sender_name => ' || bm_webhook._mapping(relation, 'sender_name', sender_name, 'text', left_out),
			'recipient_name => ' || bm_webhook._mapping(relation, 'recipient_name', recipient_name, 'text', left_out)]);
	PERFORM bm_webhook.watch(relation, 'message.received', application => application, channel => channel,
		message_id => message_id, occurred_at => occurred_at, operations => '{INSERT}',
		condition => condition, function => function, level => level);
END
$$;
COMMENT ON FUNCTION bm_webhook.watch_replies(regclass, text, text, text, text, text, text, text, text, text, text, text, text, text, text, text[], text, text) IS
	'makes events message.received, as message_received() does, of the rows inserted into a table of inbound messages. Mapping arguments as in watch_messages(). content: jsonb or text. context: jsonb, or the id of the message that is answered. Errors: as watch_messages()';

-------------------------------------------------------------------------------
-- Messaging: patterns
-------------------------------------------------------------------------------

-- As the definer: who registers an endpoint need not be able to read event_type.
CREATE FUNCTION bm_webhook._notice_unknown_types() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	unknown text;
BEGIN
	SELECT string_agg(format('"%s"', p), ', ') INTO unknown FROM unnest(NEW.event_types) p
		WHERE NOT bm_webhook._matches(ARRAY[p], 'message.replied')
			AND NOT EXISTS (SELECT FROM bm_webhook.event_type t WHERE bm_webhook._matches(ARRAY[p], t.name));
	IF unknown IS NOT NULL THEN
		RAISE NOTICE 'no known event type matches %', unknown
			USING HINT = 'Known types are message.replied and the rows of bm_webhook.event_type; events of other types are delivered too.';
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION bm_webhook._notice_unknown_types() IS 'tells of patterns that match no documented event type';
CREATE TRIGGER notice_unknown_types AFTER INSERT OR UPDATE OF event_types ON bm_webhook.endpoint
	FOR EACH ROW EXECUTE FUNCTION bm_webhook._notice_unknown_types();
COMMENT ON TRIGGER notice_unknown_types ON bm_webhook.endpoint IS 'tells of misspelt event types';

CREATE FUNCTION bm_webhook._check_muted_event_types() RETURNS trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	invalid text = (SELECT string_agg(coalesce('"' || left(p, 128) || '"', 'NULL'), ', ') FROM unnest(NEW.muted_event_types) p
		WHERE p IS NULL OR octet_length(p) > 128
			OR p !~ '^(\*|[a-z0-9_]+(\.[a-z0-9_]+)*\.\*|[a-z0-9_]+(\.[a-z0-9_]+)+)$');
BEGIN
	IF invalid IS NOT NULL THEN
		PERFORM bm_webhook._refuse(format('invalid pattern %s in "muted_event_types"', invalid),
			'A pattern is a type such as message.read, a prefix such as message.*, or * for everything.');
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION bm_webhook._check_muted_event_types() IS 'checks the patterns of an application; 22023';
CREATE TRIGGER check_muted_event_types BEFORE INSERT OR UPDATE OF muted_event_types ON bm_webhook.application
	FOR EACH ROW EXECUTE FUNCTION bm_webhook._check_muted_event_types();
COMMENT ON TRIGGER check_muted_event_types ON bm_webhook.application IS 'checks the patterns';

-------------------------------------------------------------------------------
-- Event types
-------------------------------------------------------------------------------

-- Only for this script: the schema of a whole body, from that of its data.
CREATE FUNCTION bm_webhook._body_schema(type text, description text, required text[], data jsonb) RETURNS jsonb
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object(
		'$schema', 'https://json-schema.org/draft/2020-12/schema', 'title', type, 'description', description,
		'type', 'object', 'required', to_jsonb('{id,type,timestamp,data}'::text[] || required),
		'properties', '{
			"id": {"type": "string", "format": "uuid", "description": "the webhook-id: the same at every attempt"},
			"timestamp": {"type": "string", "format": "date-time", "description": "when it happened"},
			"application": {"type": "string", "minLength": 1, "maxLength": 128},
			"channel": {"type": "string", "pattern": "^[a-z][a-z0-9_-]{0,31}$"},
			"message_id": {"type": "string", "minLength": 1, "maxLength": 128}}'::jsonb
			|| jsonb_build_object('type', jsonb_build_object('const', type), 'data', data))
$$;

WITH field (all_fields) AS (VALUES ('{
		"provider_message_id": {"type": "string", "minLength": 1, "maxLength": 256},
		"occurred_at": {"type": "string", "format": "date-time", "description": "the time of the provider"},
		"from": {"$ref": "#/$defs/party"},
		"to": {"$ref": "#/$defs/party"},
		"client_ref": {"type": "string", "minLength": 1, "maxLength": 256, "description": "the reference of who sent the message"},
		"conversation_id": {"type": "string", "minLength": 1, "maxLength": 256},
		"content": {
			"type": "object", "required": ["type"],
			"properties": {
				"type": {"enum": ["text", "image", "video", "audio", "document", "location", "button", "contact", "sticker"]},
				"text": {"type": "string", "minLength": 1, "maxLength": 4096},
				"media": {
					"type": "array", "minItems": 1, "maxItems": 16,
					"items": {
						"type": "object", "required": ["url", "mime_type"],
						"properties": {
							"url": {"type": "string", "pattern": "^https?://"}, "mime_type": {"type": "string"},
							"size": {"type": "integer", "minimum": 0}, "sha256": {"type": "string"}, "caption": {"type": "string"}}}},
				"button": {
					"type": "object", "required": ["id"],
					"properties": {"id": {"type": "string"}, "text": {"type": "string"}}},
				"location": {
					"type": "object", "required": ["latitude", "longitude"],
					"properties": {
						"latitude": {"type": "number", "minimum": -90, "maximum": 90},
						"longitude": {"type": "number", "minimum": -180, "maximum": 180},
						"name": {"type": "string"}}},
				"contact": {"type": "object"}}},
		"context": {
			"type": "object", "required": ["message_id"], "description": "the message that this one answers",
			"properties": {"message_id": {"type": "string", "minLength": 1, "maxLength": 128}, "provider_message_id": {"type": "string"}}},
		"segments": {"type": "integer", "minimum": 1, "description": "parts of an SMS"},
		"price": {
			"type": "object", "required": ["amount", "currency"],
			"properties": {
				"amount": {"type": "string", "pattern": "^-?(0|[1-9][0-9]*)(\\.[0-9]+)?$"},
				"currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
				"category": {"type": "string"}, "billable": {"type": "boolean"}}},
		"error": {
			"type": "object", "required": ["code", "title", "permanent"],
			"properties": {
				"code": {"type": "string", "minLength": 1}, "title": {"type": "string", "minLength": 1},
				"permanent": {"type": "boolean", "description": "trying again is of no use"},
				"detail": {"type": "string"}, "provider_code": {"type": "string"}}},
		"metadata": {"type": "object", "maxProperties": 16, "additionalProperties": {"type": "string"}}}'::jsonb)),
party (definition) AS (VALUES ('{
		"type": "object", "required": ["address"],
		"properties": {
			"address": {
				"type": "string", "maxLength": 128, "description": "a phone number in E.164, a short code, or the id of an agent",
				"pattern": "^(\\+[1-9][0-9]{6,14}|[0-9]{3,8}|[0-9]*[A-Za-z]([0-9A-Za-z ._@/&-]*[0-9A-Za-z])?)$"},
			"name": {"type": "string", "minLength": 1, "maxLength": 256}}}'::jsonb)),
kind (kind, direction, optional, required) AS (VALUES
	('status', 'outbound', '{provider_message_id,client_ref,conversation_id,content,segments,price,metadata}'::text[], '{}'::text[]),
	('failure', 'outbound', '{provider_message_id,client_ref,conversation_id,content,segments,price,metadata}', '{error}'),
	('reply', 'inbound', '{provider_message_id,client_ref,conversation_id,context,metadata}', '{content}'),
	('click', 'inbound', '{provider_message_id,client_ref,conversation_id,metadata}', '{content}')),
type (status, kind, description, example) AS (VALUES
	('accepted', 'status', 'the provider has accepted a message, and has not sent it yet', '{}'::jsonb),
	('sent', 'status', 'a message was handed to the channel', '{"segments": 2, "price": {"amount": "0.0075", "currency": "EUR"}}'),
	('delivered', 'status', 'a message has reached the device', '{"client_ref": "order-4411", "metadata": {"campaign": "spring"}}'),
	('read', 'status', 'a message was read; not every channel and recipient tells', '{"conversation_id": "c_17"}'),
	('failed', 'failure', 'a message will not be delivered',
		'{"error": {"code": "undeliverable", "title": "Message undeliverable", "permanent": true, "provider_code": "131026"}}'),
	('expired', 'failure', 'a message was not delivered within its time',
		'{"error": {"code": "expired", "title": "Not delivered in time", "permanent": false}}'),
	('canceled', 'status', 'a message was canceled before it was sent', '{}'),
	('received', 'reply', 'somebody has sent us a message; an answer to one of ours if data.context is set, which message.replied subscribes to',
		'{"content": {"type": "text", "text": "Merci !"}, "context": {"message_id": "m_01J9"}}'),
	('clicked', 'click', 'somebody has pressed a button of a message (message_id)',
		'{"content": {"type": "button", "button": {"id": "confirm", "text": "Confirm"}}}'))
INSERT INTO bm_webhook.event_type (name, description, schema, example)
	SELECT 'message.' || t.status, t.description,
		bm_webhook._body_schema('message.' || t.status, t.description, '{channel,message_id}', pg_catalog.jsonb_build_object(
			'type', 'object',
			'required', pg_catalog.to_jsonb('{direction,occurred_at,from,to}'::text[] || k.required
				|| CASE t.status WHEN 'clicked' THEN '{}'::text[] ELSE '{status}' END),
			'properties', (SELECT pg_catalog.jsonb_object_agg(f.key, f.value) FROM pg_catalog.jsonb_each(all_fields) f
					WHERE f.key = ANY ('{occurred_at,from,to}'::text[] || k.required || k.optional))
				|| pg_catalog.jsonb_build_object('direction', pg_catalog.jsonb_build_object('const', k.direction))
				|| CASE t.status WHEN 'clicked' THEN '{}' ELSE
					pg_catalog.jsonb_build_object('status', pg_catalog.jsonb_build_object('const', t.status)) END))
			|| pg_catalog.jsonb_build_object('$defs', pg_catalog.jsonb_build_object('party', party.definition)),
		pg_catalog.jsonb_build_object('id', '01990f3c-5d1a-7c3e-8f00-0242ac120002', 'type', 'message.' || t.status,
			'timestamp', '2026-08-07T09:12:03.412Z', 'application', 'app_7', 'channel', 'whatsapp', 'message_id', 'm_01JA',
			'data', pg_catalog.jsonb_build_object('direction', k.direction, 'occurred_at', '2026-08-07T09:12:03.412Z',
					'from', '{"address": "+33123456789"}'::jsonb, 'to', '{"address": "+33698765432", "name": "Ana"}'::jsonb)
				|| CASE t.status WHEN 'clicked' THEN '{}' ELSE pg_catalog.jsonb_build_object('status', t.status) END || t.example)
	FROM type t JOIN kind k USING (kind), field, party
	ON CONFLICT (name) DO UPDATE
		SET description = excluded.description, schema = excluded.schema, example = excluded.example;

INSERT INTO bm_webhook.event_type (name, description, schema, example)
	SELECT t.name, t.description,
		bm_webhook._body_schema(t.name, t.description, '{}', pg_catalog.jsonb_build_object(
			'type', 'object', 'required', pg_catalog.to_jsonb(t.required), 'properties', t.properties)),
		pg_catalog.jsonb_build_object('id', '01990f3c-5d1a-7c3e-8f00-0242ac120002', 'type', t.name,
			'timestamp', '2026-08-07T09:12:03.412Z', 'data', t.example)
	FROM (VALUES
		('webhook.ping', 'sent by ping() to try an endpoint', '{endpoint_id}'::text[],
			'{"endpoint_id": {"type": "integer"}}'::jsonb, '{"endpoint_id": 1}'::jsonb),
		('webhook.capture_failed', 'a row changed that could not become an event', '{relation,operation,error}',
			'{"relation": {"type": "string"}, "operation": {"enum": ["INSERT", "UPDATE", "DELETE"]},
				"type": {"type": "string"}, "message_id": {"type": "string"}, "error": {"type": "string"}}',
			'{"relation": "public.message", "operation": "UPDATE", "type": "message.lost", "message_id": "42", "error": "unknown \"status\" \"lost\""}'),
		('endpoint.disabled', 'an endpoint was disabled because it is gone or has failed for too long', '{endpoint_id,reason}',
			'{"endpoint_id": {"type": "integer"}, "reason": {"type": "string"}, "failing_since": {"type": ["string", "null"], "format": "date-time"}}',
			'{"endpoint_id": 1, "reason": "gone", "failing_since": "2026-08-02T09:12:03Z"}'),
		('endpoint.recovered', 'an endpoint that was failing has answered', '{endpoint_id}',
			'{"endpoint_id": {"type": "integer"}, "failing_since": {"type": ["string", "null"], "format": "date-time"}}',
			'{"endpoint_id": 1, "failing_since": "2026-08-02T09:12:03Z"}'),
		('delivery.exhausted', 'a delivery was given up', '{endpoint_id,event_id}',
			'{"endpoint_id": {"type": "integer"}, "event_id": {"type": "string", "format": "uuid"}, "event_type": {"type": "string"},
				"attempts": {"type": "integer", "minimum": 0}, "error_class": {"type": ["string", "null"]},
				"error": {"type": ["string", "null"]}, "http_status": {"type": ["integer", "null"]}}',
			'{"endpoint_id": 1, "event_id": "01990f3c-5d1a-7c3e-8f00-0242ac120001", "event_type": "message.delivered", "attempts": 10, "http_status": 500}')
		) AS t (name, description, required, properties, example)
	ON CONFLICT (name) DO UPDATE
		SET description = excluded.description, schema = excluded.schema, example = excluded.example;

DROP FUNCTION bm_webhook._body_schema(text, text, text[], jsonb);

-------------------------------------------------------------------------------
-- Reporting and audit: with the rights of who reads
-------------------------------------------------------------------------------

-- By type alone, and not by data: the statuses are those of outbound messages,
-- an inbound message has message.received.
CREATE VIEW bm_webhook.message_state WITH (security_invoker = true) AS
	SELECT application, channel, message_id,
		CASE WHEN read_at IS NOT NULL THEN 'read' WHEN delivered_at IS NOT NULL THEN 'delivered'
			WHEN failed_at IS NOT NULL THEN 'failed' WHEN expired_at IS NOT NULL THEN 'expired'
			WHEN canceled_at IS NOT NULL THEN 'canceled' WHEN sent_at IS NOT NULL THEN 'sent' ELSE 'accepted' END AS state,
		accepted_at, sent_at, delivered_at, read_at, failed_at, expired_at, canceled_at, error_code, events, first_event_at, last_event_at
	FROM (
		SELECT application, channel, message_id,
			min(occurred_at) FILTER (WHERE type = 'message.accepted') AS accepted_at,
			min(occurred_at) FILTER (WHERE type = 'message.sent') AS sent_at,
			min(occurred_at) FILTER (WHERE type = 'message.delivered') AS delivered_at,
			min(occurred_at) FILTER (WHERE type = 'message.read') AS read_at,
			min(occurred_at) FILTER (WHERE type = 'message.failed') AS failed_at,
			min(occurred_at) FILTER (WHERE type = 'message.expired') AS expired_at,
			min(occurred_at) FILTER (WHERE type = 'message.canceled') AS canceled_at,
			-- the code of the latest; unlike an ordered aggregate, max() needs no sort
			(max(ARRAY[pg_catalog.to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), id::text, data #>> '{error,code}'] COLLATE "C")
				FILTER (WHERE type IN ('message.failed', 'message.expired') AND data #>> '{error,code}' IS NOT NULL))[3] AS error_code,
			count(*) AS events,
			min(bm_webhook._uuid_time(id)) AS first_event_at,
			max(bm_webhook._uuid_time(id)) AS last_event_at
		FROM bm_webhook.event
		WHERE message_id IS NOT NULL AND type IN ('message.sent', 'message.delivered', 'message.read', 'message.accepted',
			'message.failed', 'message.expired', 'message.canceled')
		GROUP BY application, channel, message_id
	) m;
COMMENT ON VIEW bm_webhook.message_state IS
	'the current state of each outbound message, whatever the order and number of its statuses; name a message_id to be answered at once';
COMMENT ON COLUMN bm_webhook.message_state.state IS
	'the highest status by rank: read, delivered, failed, expired, canceled, sent, accepted';
COMMENT ON COLUMN bm_webhook.message_state.accepted_at IS 'here and in the next columns: when this status first occurred (occurred_at of the event); NULL when it never came';
COMMENT ON COLUMN bm_webhook.message_state.error_code IS 'data.error.code of the latest failure, also when the message was delivered after all';
COMMENT ON COLUMN bm_webhook.message_state.events IS 'statuses captured, duplicates included';
COMMENT ON COLUMN bm_webhook.message_state.first_event_at IS 'when the first status was captured';
COMMENT ON COLUMN bm_webhook.message_state.last_event_at IS 'when the last status was captured';

-- The inner SELECT stays apart (OFFSET 0), so that what is grouped carries the
-- campaign and not the whole data. For a period, the messages that have a status
-- in it are looked up outside of it in the index on message_id alone, and only
-- what is found is fetched. By a hash join: estimates of distinct messages are too
-- small to be trusted with a loop.
CREATE FUNCTION bm_webhook.message_rate(since timestamptz = NULL, until timestamptz = NULL, metadata_key text = 'campaign')
	RETURNS TABLE (application text, channel text, campaign text, day date, messages bigint, sent bigint, delivered bigint,
		read bigint, failed bigint, canceled bigint, delivered_rate numeric, read_rate numeric,
		median_time_to_deliver interval, p95_time_to_deliver interval, median_time_to_read interval, p95_time_to_read interval)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off SET enable_mergejoin = off AS $$
DECLARE
	is_whole boolean = coalesce(since, '-infinity') = '-infinity' AND coalesce(until, 'infinity') = 'infinity';
	first uuid = CASE WHEN coalesce(since, '-infinity') = '-infinity' THEN '00000000-0000-0000-0000-000000000000' ELSE bm_webhook._uuid_floor(since) END;
	beyond uuid = CASE WHEN coalesce(until, 'infinity') = 'infinity' THEN 'ffffffff-ffff-ffff-ffff-ffffffffffff' ELSE bm_webhook._uuid_floor(until) END;
	status_types text[] = '{message.sent,message.delivered,message.read,message.accepted,message.failed,message.expired,message.canceled}';
	columns text = 'e.application COLLATE "C" AS application, e.channel COLLATE "C" AS channel, e.message_id COLLATE "C" AS message_id,
		e.type, e.occurred_at, bm_webhook._uuid_time(e.id) AS captured_at, (e.data #>> ARRAY[''metadata'', $3]) COLLATE "C" AS campaign';
	source text = format(CASE WHEN is_whole THEN
		'SELECT %s FROM bm_webhook.event e WHERE e.type = ANY ($4) AND e.message_id IS NOT NULL OFFSET 0'
	ELSE
		'SELECT %1$s FROM bm_webhook.event e WHERE e.id >= $1 AND e.id < $2 AND e.type = ANY ($4) AND e.message_id IS NOT NULL
		UNION ALL
		SELECT s.* FROM elsewhere o CROSS JOIN LATERAL (SELECT %1$s FROM bm_webhook.event e WHERE e.id = o.id AND e.type = ANY ($4) OFFSET 0) s' END, columns);
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
				percentile_cont('{0.5,0.95}'::float8[]) WITHIN GROUP (ORDER BY extract(epoch FROM delivered_at - started_at)::float8) AS to_deliver,
				percentile_cont('{0.5,0.95}'::float8[]) WITHIN GROUP (ORDER BY extract(epoch FROM read_at - started_at)::float8) AS to_read
			FROM (
				SELECT application, channel, min(campaign) AS campaign, (min(captured_at) AT TIME ZONE 'UTC')::date AS day,
					min(occurred_at) FILTER (WHERE type = 'message.sent') AS sent_at,
					coalesce(min(occurred_at) FILTER (WHERE type = 'message.sent'), min(occurred_at) FILTER (WHERE type = 'message.accepted')) AS started_at,
					min(occurred_at) FILTER (WHERE type = 'message.delivered') AS delivered_at,
					min(occurred_at) FILTER (WHERE type = 'message.read') AS read_at,
					min(occurred_at) FILTER (WHERE type = 'message.canceled') AS canceled_at,
					count(*) FILTER (WHERE type IN ('message.delivered', 'message.read')) > 0 AS is_delivered,
					count(*) FILTER (WHERE type IN ('message.failed', 'message.expired')) > 0 AS is_failed
				FROM (%s) e
				GROUP BY application, channel, message_id
				HAVING $5 OR min(captured_at) >= bm_webhook._uuid_time($1) AND min(captured_at) < bm_webhook._uuid_time($2)
			) m
			GROUP BY application, channel, campaign, day
		) c
		ORDER BY application, channel, campaign, day
		$query$, source)
		USING first, beyond, metadata_key, status_types, is_whole;
END
$$;
COMMENT ON FUNCTION bm_webhook.message_rate(timestamptz, timestamptz, text) IS
	'what became of the outbound messages whose first status was captured in a period (from since to before until; NULL: no bound), for each application, channel, value of a key of data.metadata (NULL: not asked for, and faster) and day; columns as in the view message_rate; 22008 time out of range';

CREATE VIEW bm_webhook.message_rate WITH (security_invoker = true) AS
	SELECT application, channel, campaign, day, messages, sent, delivered, read, failed, canceled, delivered_rate, read_rate,
		median_time_to_deliver, p95_time_to_deliver, median_time_to_read, p95_time_to_read
	FROM bm_webhook.message_rate();
COMMENT ON VIEW bm_webhook.message_rate IS
	'what became of all outbound messages, for each application, channel, campaign and day; reads every event: for a period, use the function of this name';
COMMENT ON COLUMN bm_webhook.message_rate.campaign IS 'data.metadata.campaign (or the key that was asked for); when the events of a message differ, the smallest; NULL when none has it';
COMMENT ON COLUMN bm_webhook.message_rate.day IS 'UTC day when the first event of the message was captured: late or early statuses never move a message to another day';
COMMENT ON COLUMN bm_webhook.message_rate.messages IS 'messages with at least one status: those delivered, failed and canceled, and those still on their way';
COMMENT ON COLUMN bm_webhook.message_rate.sent IS 'messages that were sent, delivered or read at any time: delivered implies sent';
COMMENT ON COLUMN bm_webhook.message_rate.delivered IS 'messages that were delivered or read at any time: read implies delivered, and a failure before or after does not undo it';
COMMENT ON COLUMN bm_webhook.message_rate.read IS 'messages that were read at any time; few channels tell, and recipients can switch it off';
COMMENT ON COLUMN bm_webhook.message_rate.failed IS 'messages that failed or expired and were never delivered';
COMMENT ON COLUMN bm_webhook.message_rate.canceled IS 'messages that were canceled and neither failed nor delivered';
COMMENT ON COLUMN bm_webhook.message_rate.delivered_rate IS 'delivered / messages';
COMMENT ON COLUMN bm_webhook.message_rate.read_rate IS 'read / delivered; NULL when none was delivered';
COMMENT ON COLUMN bm_webhook.message_rate.median_time_to_deliver IS
	'from the first sent (or else accepted) to the first delivered, by occurred_at, of the messages that have both; interpolated between the two in the middle';
COMMENT ON COLUMN bm_webhook.message_rate.p95_time_to_deliver IS '95th percentile of the same';
COMMENT ON COLUMN bm_webhook.message_rate.median_time_to_read IS 'from the first sent (or else accepted) to the first read, of the messages that have both';
COMMENT ON COLUMN bm_webhook.message_rate.p95_time_to_read IS '95th percentile of the same';

CREATE FUNCTION bm_webhook.delivery_rate(since timestamptz = NULL, until timestamptz = NULL)
	RETURNS TABLE (endpoint_id bigint, hour timestamptz, events bigint, delivered bigint, failed bigint, canceled bigint, pending bigint,
		retries bigint, median_latency interval, p95_latency interval, median_duration interval, p95_duration interval)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
	first uuid = CASE WHEN coalesce(since, '-infinity') = '-infinity' THEN '00000000-0000-0000-0000-000000000000' ELSE bm_webhook._uuid_floor(since) END;
	beyond uuid = CASE WHEN coalesce(until, 'infinity') = 'infinity' THEN 'ffffffff-ffff-ffff-ffff-ffffffffffff' ELSE bm_webhook._uuid_floor(until) END;
BEGIN
	RETURN QUERY
		SELECT endpoint_id, hour, events, delivered, failed, canceled, pending, retries,
			make_interval(secs => latency[1]), make_interval(secs => latency[2]), make_interval(secs => duration[1]), make_interval(secs => duration[2])
		FROM (
			SELECT endpoint_id, hour, count(*) AS events,
				count(*) FILTER (WHERE status = 'delivered') AS delivered, count(*) FILTER (WHERE status = 'failed') AS failed,
				count(*) FILTER (WHERE status = 'canceled') AS canceled, count(*) FILTER (WHERE status = 'pending') AS pending,
				sum(failed_attempts) AS retries,
				percentile_cont('{0.5,0.95}'::float8[]) WITHIN GROUP (ORDER BY latency) FILTER (WHERE status = 'delivered') AS latency,
				percentile_cont('{0.5,0.95}'::float8[]) WITHIN GROUP (ORDER BY duration) FILTER (WHERE status = 'delivered') AS duration
			FROM (
				SELECT d.endpoint_id, date_trunc('hour', bm_webhook._uuid_time(d.event_id), 'UTC') AS hour, d.status,
					CASE d.status WHEN 'delivered' THEN d.attempts - 1 ELSE d.attempts END AS failed_attempts,
					extract(epoch FROM d.last_attempt_at + d.duration - bm_webhook._uuid_time(d.event_id))::float8 AS latency,
					extract(epoch FROM d.duration)::float8 AS duration
				FROM bm_webhook.delivery d WHERE d.event_id >= first AND d.event_id < beyond
			) d
			GROUP BY endpoint_id, hour
		) h
		ORDER BY endpoint_id, hour;
END
$$;
COMMENT ON FUNCTION bm_webhook.delivery_rate(timestamptz, timestamptz) IS
	'how the events that were captured in a period (from since to before until; NULL: no bound) were delivered, for each endpoint and hour; columns as in the view delivery_rate; 22008 time out of range';

CREATE VIEW bm_webhook.delivery_rate WITH (security_invoker = true) AS
	SELECT endpoint_id, hour, events, delivered, failed, canceled, pending, retries, median_latency, p95_latency, median_duration, p95_duration
	FROM bm_webhook.delivery_rate();
COMMENT ON VIEW bm_webhook.delivery_rate IS
	'how all events were delivered, for each endpoint and hour; reads every delivery: for a period, use the function of this name';
COMMENT ON COLUMN bm_webhook.delivery_rate.hour IS 'hour (UTC) when the event was captured';
COMMENT ON COLUMN bm_webhook.delivery_rate.events IS 'events that have a delivery to this endpoint; those still in a dispatcher''s memory have none yet (see backlog)';
COMMENT ON COLUMN bm_webhook.delivery_rate.failed IS 'given up';
COMMENT ON COLUMN bm_webhook.delivery_rate.retries IS 'attempts that failed, those of deliveries that were given up or still wait included';
COMMENT ON COLUMN bm_webhook.delivery_rate.median_latency IS 'from capture to the end of the attempt that succeeded, of what was delivered';
COMMENT ON COLUMN bm_webhook.delivery_rate.p95_latency IS '95th percentile of the same';
COMMENT ON COLUMN bm_webhook.delivery_rate.median_duration IS 'of the request that succeeded';
COMMENT ON COLUMN bm_webhook.delivery_rate.p95_duration IS '95th percentile of the same';

-- OFFSET 0 makes each look-up by event id one of its own, in one partition. Not
-- from the view attempt: no join condition gets into its two halves.
CREATE FUNCTION bm_webhook.message_history(message_id text, application text = NULL)
	RETURNS TABLE (at timestamptz, what text, event_id uuid, type text, occurred_at timestamptz, endpoint_id bigint, url text, attempt integer,
		outcome text, http_status integer, error_class text, error text, duration interval, response text)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
	WITH message AS MATERIALIZED (
		SELECT e.id, e.type, e.occurred_at, e.created_at, e.endpoint_id FROM bm_webhook.event e
		WHERE e.message_id = message_history.message_id
			AND (message_history.application IS NULL OR e.application = message_history.application)
	), entry AS (
		SELECT e.created_at AS at, 1 AS rank, 'event' AS what, e.id AS event_id, e.type, e.occurred_at, e.endpoint_id, NULL::integer AS attempt,
			'captured' AS outcome, NULL::integer AS http_status, NULL AS error_class, NULL AS error, NULL::interval AS duration, NULL AS response
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
			3, 'delivery', e.id, e.type, e.occurred_at, d.endpoint_id, d.attempts, d.status, d.http_status, d.error_class, d.error, NULL, NULL
		FROM message e CROSS JOIN LATERAL (SELECT * FROM bm_webhook.delivery x WHERE x.event_id = e.id OFFSET 0) d
	)
	SELECT n.at, n.what, n.event_id, n.type, n.occurred_at, n.endpoint_id, p.url, n.attempt, n.outcome, n.http_status, n.error_class, n.error,
		n.duration, n.response
	FROM entry n LEFT JOIN bm_webhook.endpoint p ON p.id = n.endpoint_id
	ORDER BY n.at, n.event_id, n.rank, n.endpoint_id, n.attempt
$$;
COMMENT ON FUNCTION bm_webhook.message_history(text, text) IS
	'all that happened to a message (of one application, or of any), in time order. what: event (when it was captured), attempt (one request, when it began), delivery (how an event ended at an endpoint and after how many attempts: delivered, failed, canceled; or pending, at the time when it is due). url: of the endpoint as it is now, NULL when it is gone';

UPDATE bm_webhook.event_type SET shipped = true;

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
	bm_webhook.verify(jsonb, bytea, text, interval), bm_webhook.verify(jsonb, text, text, interval),
	bm_webhook.exponential_backoff(interval, float8, interval, integer),
	bm_webhook._matches(text[], text), bm_webhook._wants(bm_webhook.endpoint, bm_webhook.event),
	bm_webhook._uuid_floor(timestamptz), bm_webhook._uuid_time(uuid), bm_webhook._dispatchers(), bm_webhook._look(),
	bm_webhook._primary_key, bm_webhook._check_watched, bm_webhook._changed_condition, bm_webhook._check_function,
	bm_webhook._check_capture, bm_webhook._watches, bm_webhook._create_watch_trigger,
	bm_webhook._refuse, bm_webhook._our_status, bm_webhook._check_object, bm_webhook._check_content,
	bm_webhook._check_details, bm_webhook._message_data, bm_webhook._template_parts, bm_webhook._check_mapping,
	bm_webhook._mapped_column, bm_webhook._has_column, bm_webhook._base_type, bm_webhook._mapping,
	bm_webhook._payload_triggers, bm_webhook._drop_payload_functions, bm_webhook._create_payload_function,
	bm_webhook._check_message_relation
	TO PUBLIC;

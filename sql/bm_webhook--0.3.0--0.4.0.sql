-- bm_webhook: from version 0.3.0 to 0.4.0.
--
-- What users were granted must survive, so what can be is replaced or altered, not dropped and created anew, and grants
-- are given on what is new alone: of what an extension's script grants on, pg_dump leaves out what users have granted.
-- Tables of the log are not rewritten; event is read for an index that was not made beforehand. The order is that of
-- the parts of the whole script.

\echo Use "ALTER EXTENSION bm_webhook UPDATE" to load this file. \quit

SET LOCAL search_path = pg_catalog, pg_temp;

CREATE TEMPORARY VIEW members AS
	SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'bm_webhook'
		WHERE d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass;
CREATE TEMPORARY TABLE members_before AS TABLE pg_temp.members;

-- While the library of before is loaded, nothing of this version can work.
DO $$
BEGIN
	CREATE FUNCTION bm_webhook_internal.library_version() RETURNS text
		LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_library_version';
EXCEPTION WHEN undefined_function THEN
	RAISE EXCEPTION 'the server has still loaded the library of another version'
		USING ERRCODE = 'object_not_in_prerequisite_state',
			HINT = 'Restart the server, then run ALTER EXTENSION bm_webhook UPDATE again.';
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.library_version() IS 'the version of the library that the server has loaded';

-- All that is needed, at once and in the strongest mode: so nobody who uses them can deadlock with the update. And what
-- is written afterwards finds the tables in which dispatchers are told of it.
LOCK TABLE bm_webhook.application, bm_webhook.endpoint, bm_webhook.endpoint_state, bm_webhook.endpoint_secret,
	bm_webhook.event, bm_webhook.delivery, bm_webhook.failed_attempt, bm_webhook.redelivery, bm_webhook.set_aside,
	bm_webhook.operation, bm_webhook_internal.pending_count, bm_webhook_internal.pending_change
	IN ACCESS EXCLUSIVE MODE;

-- What there is has no limit that it did not have.
ALTER TABLE bm_webhook.application ADD COLUMN max_endpoints integer, ALTER COLUMN max_endpoints SET DEFAULT 1000,
	ADD COLUMN max_event_types integer, ADD COLUMN max_secrets integer,
	ADD COLUMN max_in_flight integer, ADD COLUMN max_emit_rate integer,
	ADD COLUMN max_waiting integer, ALTER COLUMN max_waiting SET DEFAULT 10000000;
COMMENT ON COLUMN bm_webhook.application.max_endpoints IS
	'endpoints that it may have, deleted ones not counted; NULL: no limit';
COMMENT ON COLUMN bm_webhook.application.max_event_types IS
	'patterns that event_types of each of its endpoints may have, 1 to 100; NULL: 100';
COMMENT ON COLUMN bm_webhook.application.max_secrets IS
	'secrets that each of its endpoints may have, 2 to 16; NULL: 16';
COMMENT ON COLUMN bm_webhook.application.max_in_flight IS
	'requests in flight to all its endpoints together, 1 to 10000; NULL: no limit';
COMMENT ON COLUMN bm_webhook.application.max_emit_rate IS
	'events a second that emit(), ping() and the message functions accept for it, 1 to 100000; NULL: no limit';
COMMENT ON COLUMN bm_webhook.application.max_waiting IS
	'deliveries to all its endpoints that may wait: with so many, emit(), ping() and the message functions accept '
	'nothing for it, and what its watches capture is canceled; 1 to 1000000000; NULL: no limit';

-- Written by the dispatcher of the first shard alone; what sessions refuse and dispatchers cancel is the same.
CREATE TABLE bm_webhook_internal.full_application (
	application text PRIMARY KEY,
	max_waiting integer NOT NULL,
	since timestamptz NOT NULL
);
COMMENT ON TABLE bm_webhook_internal.full_application IS
	'applications of which as many deliveries wait as their max_waiting, until a tenth less do';
ALTER TABLE bm_webhook_internal.full_application OWNER TO bm_webhook;
REVOKE ALL ON bm_webhook_internal.full_application FROM PUBLIC;

CREATE INDEX application_owner_idx ON bm_webhook.application (owner);
-- What is whose: constants of a plan, and not of a row. src/pg/sql/sight.c says when they are made anew. Of who owns
-- many, each row is looked up: a list of thousands costs more to plan with than a query costs.
COMMENT ON FUNCTION bm_webhook_internal.own_applications(boolean) IS
	'the applications that the current user owns, if he owns few; living: without those that were deleted';
COMMENT ON FUNCTION bm_webhook_internal.own_endpoints() IS
	'the endpoints of the applications that the current user owns, if he owns few, with those that were deleted';
CREATE FUNCTION bm_webhook_internal.own_application(living boolean) RETURNS text
	LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_own_application';
COMMENT ON FUNCTION bm_webhook_internal.own_application(boolean) IS
	'the application that the current user owns; NULL: he owns none, or several; living: without those that were deleted';
CREATE FUNCTION bm_webhook_internal.owner_of_many() RETURNS oid
	LANGUAGE c IMMUTABLE LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_owner_of_many';
COMMENT ON FUNCTION bm_webhook_internal.owner_of_many() IS
	'the current user, if he owns more than 500 applications or endpoints; NULL: he does not';
CREATE FUNCTION bm_webhook_internal.is_application_of(role oid, application text, living boolean) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'bm_webhook_is_application_of';
COMMENT ON FUNCTION bm_webhook_internal.is_application_of(oid, text, boolean) IS 'does this role own the application?';
CREATE FUNCTION bm_webhook_internal.is_endpoint_of(role oid, endpoint bigint) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'bm_webhook_is_endpoint_of';
COMMENT ON FUNCTION bm_webhook_internal.is_endpoint_of(oid, bigint) IS
	'does this role own the application of the endpoint?';
-- They become part of the query: one of the cases, as all else is known. "=" is asked of an index, whatever else is; a
-- list, before PostgreSQL 17, only if that is cheaper.
CREATE FUNCTION bm_webhook_internal.owns_application(application text, living boolean) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL RESTRICTED
	RETURN CASE WHEN bm_webhook_internal.owner_of_many() IS NOT NULL
			THEN bm_webhook_internal.is_application_of(bm_webhook_internal.owner_of_many(), application, living)
		WHEN bm_webhook_internal.own_application(living) IS NOT NULL
			THEN application OPERATOR(pg_catalog.=) bm_webhook_internal.own_application(living)
		ELSE application OPERATOR(pg_catalog.=) ANY (bm_webhook_internal.own_applications(living)) END;
COMMENT ON FUNCTION bm_webhook_internal.owns_application(text, boolean) IS
	'does the current user own this application? living: and was it not deleted?';
CREATE FUNCTION bm_webhook_internal.owns_endpoint(endpoint bigint) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL RESTRICTED
	RETURN endpoint OPERATOR(pg_catalog.=) ANY (bm_webhook_internal.own_endpoints())
		OR bm_webhook_internal.is_endpoint_of(bm_webhook_internal.owner_of_many(), endpoint);
COMMENT ON FUNCTION bm_webhook_internal.owns_endpoint(bigint) IS
	'does the current user own the application of this endpoint?';

-- Of a name that is not his the index is not asked, so that EXPLAIN ANALYZE does not count what the policy has removed.
ALTER POLICY member ON bm_webhook.application USING (bm_webhook_internal.owns_application(name, false))
	WITH CHECK (pg_catalog.pg_has_role(owner, 'MEMBER'));
ALTER POLICY member ON bm_webhook.endpoint
	USING (bm_webhook_internal.owns_application(application, false))
	WITH CHECK (bm_webhook_internal.owns_application(application, true));
ALTER POLICY member ON bm_webhook.endpoint_state USING (EXISTS (
	SELECT FROM bm_webhook.endpoint e WHERE e.id OPERATOR(pg_catalog.=) endpoint_state.endpoint_id
		AND bm_webhook_internal.owns_application(e.application, false)));
ALTER POLICY member ON bm_webhook.endpoint_secret USING (EXISTS (
	SELECT FROM bm_webhook.endpoint e WHERE e.id OPERATOR(pg_catalog.=) endpoint_secret.endpoint_id
		AND bm_webhook_internal.owns_application(e.application, false)));
-- What was made beforehand for each partition is taken over.
DROP INDEX bm_webhook.event_message_id_idx;
CREATE INDEX event_message_id_idx ON bm_webhook.event (message_id, application, id) WHERE message_id IS NOT NULL;
ALTER POLICY member ON bm_webhook.event USING (bm_webhook_internal.sees_all('bm_webhook.event')
	OR bm_webhook_internal.owns_application(application, false));
ALTER POLICY member ON bm_webhook.delivery USING (bm_webhook_internal.sees_all('bm_webhook.delivery')
	OR bm_webhook_internal.owns_endpoint(endpoint_id));
ALTER POLICY member ON bm_webhook.failed_attempt USING (bm_webhook_internal.sees_all('bm_webhook.failed_attempt')
	OR bm_webhook_internal.owns_endpoint(endpoint_id));
ALTER POLICY member ON bm_webhook.redelivery USING (bm_webhook_internal.sees_all('bm_webhook.redelivery')
	OR bm_webhook_internal.owns_endpoint(endpoint_id));
ALTER POLICY member ON bm_webhook.set_aside USING (bm_webhook_internal.sees_all('bm_webhook.set_aside')
	OR bm_webhook_internal.owns_endpoint(endpoint_id));
ALTER POLICY member ON bm_webhook.operation USING (
	bm_webhook_internal.owns_application(application, false)
	OR bm_webhook_internal.owns_endpoint(endpoint_id));
ALTER POLICY reader ON bm_webhook_internal.pending_count USING (
	bm_webhook_internal.sees_all('bm_webhook.delivery')
	OR bm_webhook_internal.owns_endpoint(endpoint_id));
ALTER POLICY reader ON bm_webhook_internal.pending_change USING (
	bm_webhook_internal.sees_all('bm_webhook.delivery')
	OR bm_webhook_internal.owns_endpoint(endpoint_id));

COMMENT ON FUNCTION bm_webhook.emit(text, jsonb, text, text, text, timestamptz, bigint, text, timestamptz) IS
	'makes an event of this transaction and returns its id; data is an object; endpoint: for this one alone; '
	'idempotency_key: if an event of the application was emitted under it within bm_webhook.idempotency_window, there '
	'is no other, and its id is returned; expires_at: from then on it is not sent any more, but canceled; 22023, '
	'23502, 42704, 53400, 54000';
COMMENT ON FUNCTION bm_webhook.ping(bigint, text) IS
	'sends an event webhook.ping, or the example that event_type has of another type, to this endpoint alone and '
	'returns its id; 42704 unknown endpoint, type without example, 53400 too many, 55000 disabled endpoint';
COMMENT ON FUNCTION bm_webhook.message_status(text, text, text, text, text, text, timestamptz, text, text, text, text,
	jsonb, integer, jsonb, jsonb, jsonb, text, text, text, timestamptz) IS
	'makes an event message.<status> of a message that was sent, and returns its id. status: accepted, sent, '
	'delivered, read, failed, expired, canceled; or that of a provider in status_map. occurred_at: the provider''s '
	'time. error: required for failed and expired. idempotency_key, expires_at: as for '
	'emit(). Errors: 22023, 23502, 53400, 54000';
COMMENT ON FUNCTION bm_webhook.message_received(jsonb, text, text, text, text, text, timestamptz, text, text, text,
	jsonb, jsonb, text, text, text, timestamptz) IS
	'makes an event message.received of an inbound message, and returns its id. context: {"message_id": ...} of the '
	'message that it answers. idempotency_key, expires_at: as for '
	'emit(). Errors: 22023, 23502, 53400, 54000';
COMMENT ON FUNCTION bm_webhook.message_clicked(jsonb, text, text, text, text, text, timestamptz, text, text, text,
	jsonb, text, text, text, timestamptz) IS
	'makes an event message.clicked, and returns its id. message_id: the message that has the button. sender: who '
	'clicked. button: {"id": ..., "text": ...}. idempotency_key, expires_at: as for '
	'emit(). Errors: 22023, 23502, 53400, 54000';

-- What is in a view and not asked for is left out, unless it is volatile.
ALTER FUNCTION bm_webhook_internal.dispatchers() STABLE;
ALTER FUNCTION bm_webhook_internal.first_pending() ROWS 100;

-- It is found in each day of the log; what belongs to it is read in its days alone.
CREATE OR REPLACE FUNCTION bm_webhook.message_history(message_id text, application text = NULL)
	RETURNS TABLE (at timestamptz, what text, event_id uuid, type text, occurred_at timestamptz, endpoint_id bigint,
		url text, attempt integer, outcome text, http_status integer, error_class text, error text, duration interval,
			response text)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
		SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
	ids uuid[] = ARRAY(SELECT e.id FROM bm_webhook.event e WHERE e.message_id = message_history.message_id
		AND (message_history.application IS NULL OR e.application = message_history.application) ORDER BY e.id);
	first uuid = ids[1];
	last uuid = ids[cardinality(ids)];
BEGIN
	RETURN QUERY WITH message AS MATERIALIZED (
		SELECT e.id, e.type, e.occurred_at, e.created_at, e.endpoint_id FROM bm_webhook.event e
		WHERE e.id = ANY (ids) AND e.id BETWEEN first AND last
	), entry AS (
		SELECT e.created_at AS at, 1 AS rank, 'event' AS what, e.id AS event_id, e.type, e.occurred_at, e.endpoint_id,
			NULL::integer AS attempt,
			'captured' AS outcome, NULL::integer AS http_status, NULL AS error_class, NULL AS error, NULL::interval AS duration,
				NULL AS response
		FROM message e
		UNION ALL
		SELECT a.attempted_at, 2, 'attempt', e.id, e.type, e.occurred_at, a.endpoint_id, a.attempt,
			'failed', a.http_status, a.error_class, a.error, a.total_time, a.response
		FROM message e CROSS JOIN LATERAL (SELECT * FROM bm_webhook.failed_attempt x
			WHERE x.event_id = e.id AND x.event_id BETWEEN first AND last OFFSET 0) a
		UNION ALL
		SELECT d.last_attempt_at, 2, 'attempt', e.id, e.type, e.occurred_at, d.endpoint_id, d.attempts,
			'succeeded', d.http_status, NULL, NULL, d.duration, NULL
		FROM message e CROSS JOIN LATERAL (SELECT * FROM bm_webhook.delivery x
			WHERE x.event_id = e.id AND x.event_id BETWEEN first AND last OFFSET 0) d
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
		FROM message e CROSS JOIN LATERAL (SELECT * FROM bm_webhook.delivery x
			WHERE x.event_id = e.id AND x.event_id BETWEEN first AND last OFFSET 0) d
	)
	SELECT n.at, n.what, n.event_id, n.type, n.occurred_at, n.endpoint_id, p.url, n.attempt, n.outcome, n.http_status,
		n.error_class, n.error, n.duration, n.response
	FROM entry n LEFT JOIN bm_webhook.endpoint p ON p.id = n.endpoint_id
	ORDER BY n.at, n.event_id, n.rank, n.endpoint_id, n.attempt;
END
$$;

-- A function whose columns are others has to be dropped, and meanwhile the view, which keeps what was granted on it, is empty.
CREATE OR REPLACE VIEW bm_webhook.endpoint_pace WITH (security_invoker = true) AS
	SELECT NULL::bigint AS endpoint_id, NULL::integer AS allowed_in_flight, NULL::real AS rate, NULL::timestamptz AS held_until,
		NULL::text AS reason, NULL::timestamptz AS as_of;
DROP FUNCTION bm_webhook_internal.endpoint_paces();
CREATE FUNCTION bm_webhook_internal.endpoint_paces(OUT endpoint_id bigint, OUT allowed_in_flight integer, OUT rate real,
	OUT held_until timestamptz, OUT reason text, OUT as_of timestamptz, OUT in_flight integer)
	RETURNS SETOF record LANGUAGE c STABLE STRICT ROWS 100 AS 'MODULE_PATHNAME', 'bm_webhook_endpoint_paces';
COMMENT ON FUNCTION bm_webhook_internal.endpoint_paces() IS
	'what shared memory says of the endpoints that the caller may see; use the view endpoint_pace';
REVOKE ALL ON FUNCTION bm_webhook_internal.endpoint_paces() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION bm_webhook_internal.endpoint_paces() TO bm_webhook;
CREATE OR REPLACE VIEW bm_webhook.endpoint_pace WITH (security_invoker = true) AS
	SELECT endpoint_id, allowed_in_flight, rate, held_until, reason, as_of, in_flight
	FROM bm_webhook_internal.endpoint_paces();
COMMENT ON COLUMN bm_webhook.endpoint_pace.as_of IS
	'when this was found; it is not written again until it changes, whatever in_flight does';
COMMENT ON COLUMN bm_webhook.endpoint_pace.in_flight IS 'requests without an answer yet, as of the last second';
COMMENT ON COLUMN bm_webhook.endpoint_pace.reason IS
	'why there are not more: answers late, refuses (503), limits its rate (429), nothing answers, as many requests go to '
	'its address as may, or its application has as many requests in flight as it may; NULL: nothing is wrong';

ALTER TABLE bm_webhook.endpoint ADD COLUMN use_proxy boolean, ALTER COLUMN use_proxy SET DEFAULT true;
COMMENT ON COLUMN bm_webhook.endpoint.use_proxy IS
	'through bm_webhook.proxy, if there is one (NULL: likewise); only an administrator can change it';

-- Conditions of statement triggers call nothing that is not of the table's owner.
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
			-- its text is looked up again in every session, and then what is not of the table's owner is refused
			IF EXISTS (SELECT FROM pg_trigger t JOIN pg_depend d ON d.classid = 'pg_trigger'::regclass AND d.objid = t.oid
					LEFT JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
					JOIN pg_proc p ON p.oid = o.oprcode OR d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid
					JOIN pg_class c ON c.oid = t.tgrelid
					WHERE t.tgrelid = relation AND t.tgname = 'bm_webhook_' || lower(operation) || '_' || left(md5(event_type), 8)
						AND p.oid <> t.tgfoid AND NOT pg_has_role(p.proowner, c.relowner, 'USAGE')) THEN
				PERFORM bm_webhook_internal.refuse(
					format('"condition" calls a function that does not belong to the owner of "%s"', relation),
					'Let the owner of the table own it, or use level => ''row''.', '42501');
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

-- Reasons have a limit.
COMMENT ON FUNCTION bm_webhook.pause(bigint, text, boolean, text) IS
	'stops sending to an endpoint, to those of an application, or everything; events are taken and wait, and nothing is '
	'missed. Returns 1, or 0 when it was paused already; 22004, 22023, 42501, 42704, 54000';
COMMENT ON FUNCTION bm_webhook.resume(bigint, text, boolean, text) IS
	'undoes the pause() of the same arguments: what waits is sent, as its schedule says. Returns 1, or 0 when it was not '
	'paused; 22004, 22023, 42501, 42704, 54000';
COMMENT ON FUNCTION bm_webhook.set_aside(uuid, bigint, text) IS
	'takes the delivery of an event to an endpoint out of what waits: it is not sent until put_back(), and the later '
	'events of its message do not wait for it. matched: 1, or 0 when it does not wait or is set aside already; '
	'operation: the row of bm_webhook.operation by which the dispatcher does it; 22004, 42704 unknown endpoint, 54000';
COMMENT ON FUNCTION bm_webhook.put_back(uuid, bigint, text) IS
	'undoes set_aside(): the delivery is due, and its attempts go on counting. Returns 1, or 0 when nobody has set it '
	'aside; 22004, 42704 unknown endpoint, 54000';

ALTER TABLE bm_webhook.delivery ADD COLUMN name_us integer, ADD COLUMN connect_us integer, ADD COLUMN tls_us integer,
	ADD COLUMN first_byte_us integer;
COMMENT ON TABLE bm_webhook.delivery IS
	'one event on its way to one endpoint, with the facts of its last attempt; name_us to first_byte_us are microseconds '
	'from its start, of one that was delivered over a new connection';

-- Verification: an endpoint proves that its URL is meant to get webhooks. Those that there are need not.
ALTER TABLE bm_webhook.endpoint_state ADD COLUMN unverified_since timestamptz, ADD COLUMN verified_at timestamptz,
	ADD COLUMN verification_error text;
COMMENT ON COLUMN bm_webhook.endpoint_state.unverified_since IS
	'since when it is to prove that its URL is meant to get webhooks; NULL: it has, or need not';
COMMENT ON COLUMN bm_webhook.endpoint_state.verified_at IS 'when it has, or mark_verified() was called';
COMMENT ON COLUMN bm_webhook.endpoint_state.verification_error IS
	'what came of the last challenge; NULL: there was none, or it was met';
CREATE FUNCTION bm_webhook_internal.verifies() RETURNS boolean
	LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_verifies';
COMMENT ON FUNCTION bm_webhook_internal.verifies() IS 'bm_webhook.verify_endpoints';
CREATE OR REPLACE FUNCTION bm_webhook_internal.keep_endpoint_state() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		INSERT INTO bm_webhook.endpoint_state (endpoint_id, disabled_at, unverified_since)
			VALUES (NEW.id, CASE WHEN NOT NEW.enabled THEN clock_timestamp() END,
				CASE WHEN bm_webhook_internal.verifies() THEN clock_timestamp() END);
	ELSIF NEW.enabled THEN
		UPDATE bm_webhook.endpoint_state SET failing_since = NULL, disabled_at = NULL, disabled_reason = NULL
			WHERE endpoint_id = NEW.id;
	ELSE
		UPDATE bm_webhook.endpoint_state SET disabled_at = clock_timestamp() WHERE endpoint_id = NEW.id;
	END IF;
	RETURN NULL;
END
$$;
-- A time of its own for each URL: so what comes of the challenge of another one is told from it.
CREATE FUNCTION bm_webhook_internal.keep_verification() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE bm_webhook.endpoint_state SET verified_at = NULL, verification_error = NULL,
		unverified_since = CASE WHEN bm_webhook_internal.verifies() THEN clock_timestamp() END
		WHERE endpoint_id = NEW.id;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.keep_verification() IS 'asks for a proof of the new URL of an endpoint';
CREATE TRIGGER keep_verification AFTER UPDATE ON bm_webhook.endpoint
	FOR EACH ROW WHEN (OLD.url IS DISTINCT FROM NEW.url AND NEW.deleted_at IS NULL)
	EXECUTE FUNCTION bm_webhook_internal.keep_verification();
CREATE TRIGGER endpoint_changed AFTER UPDATE ON bm_webhook.endpoint_state
	FOR EACH ROW WHEN (OLD.unverified_since IS DISTINCT FROM NEW.unverified_since)
	EXECUTE FUNCTION bm_webhook_internal.endpoint_changed();
ALTER TABLE bm_webhook.endpoint ENABLE ALWAYS TRIGGER keep_verification;
ALTER TABLE bm_webhook.endpoint_state ENABLE ALWAYS TRIGGER endpoint_changed;
COMMENT ON TRIGGER keep_verification ON bm_webhook.endpoint IS 'asks for a proof of a new URL';
COMMENT ON TRIGGER endpoint_changed ON bm_webhook.endpoint_state IS 'tells the dispatcher of an endpoint that has to '
	'prove something, or has';
-- Called by C as the owner of the log, who has seen that the caller may ask for it.
CREATE FUNCTION bm_webhook_internal.set_verified(is_verified boolean, endpoint bigint, acting_as name) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE bm_webhook.endpoint_state s SET verification_error = NULL,
		unverified_since = CASE WHEN NOT is_verified THEN clock_timestamp() END,
		verified_at = CASE WHEN is_verified THEN clock_timestamp() END
		WHERE s.endpoint_id = set_verified.endpoint;
	INSERT INTO bm_webhook.operation (kind, endpoint_id, application, matched, done, asked_by, acting_as, ended_at)
		SELECT CASE WHEN is_verified THEN 'mark_verified' ELSE 'verify_endpoint' END, p.id, p.application, 1, 1,
			session_user, set_verified.acting_as, clock_timestamp()
		FROM bm_webhook.endpoint p WHERE p.id = set_verified.endpoint;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.set_verified(boolean, bigint, name) IS
	'an endpoint is verified, or has to prove its URL';

CREATE FUNCTION bm_webhook.verify_endpoint(endpoint bigint) RETURNS void
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_verify_endpoint';
COMMENT ON FUNCTION bm_webhook.verify_endpoint(bigint) IS
	'asks an endpoint at once to prove that its URL is meant to get webhooks; until it has, what is for it waits; 22004, '
	'42704, 55000 while bm_webhook.verify_endpoints is off';
CREATE FUNCTION bm_webhook.mark_verified(endpoint bigint) RETURNS void
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_mark_verified';
COMMENT ON FUNCTION bm_webhook.mark_verified(bigint) IS
	'takes the URL of an endpoint for proved, until it changes; for administrators; 22004, 42501, 42704';
COMMENT ON FUNCTION bm_webhook.explain_delivery(uuid) IS
	'for each of the caller''s endpoints: does it get this event, as it is registered now, and which filter decides? '
	'reason: deleted, for another endpoint, other application, other channel, captured earlier (than the endpoint gets '
	'events), other event type, muted, filter, filter failed (and why), disabled; or "paused", "not verified yet" or '
	'"no secret" if it gets it and it waits. status: of the delivery, or "set aside"; NULL when there is none (yet). '
	'22004, 42704 unknown event';
-- The schema of a whole body is as that of another one.
INSERT INTO bm_webhook.event_type (name, description, schema, example, shipped)
	SELECT n.name, n.description, o.schema || jsonb_build_object('title', n.name, 'description', n.description,
			'properties', o.schema -> 'properties' || jsonb_build_object('type', jsonb_build_object('const', n.name),
				'data', jsonb_build_object('type', 'object', 'required', to_jsonb(n.required), 'properties', n.properties)),
			'$defs', jsonb_build_object('thin', o.schema #> '{$defs,thin}' || jsonb_build_object('properties',
				o.schema #> '{$defs,thin,properties}' || jsonb_build_object('type', jsonb_build_object('const', n.name))))),
		jsonb_build_object('id', '01990f3c-5d1a-7c3e-8f00-0242ac120002', 'type', n.name,
			'timestamp', '2026-08-07T09:12:03.412Z', 'data', n.example), true
	FROM (VALUES
		('webhook.verification', 'sent to a new URL, which proves by its answer that it is meant to get webhooks; in no log',
			'{endpoint_id,challenge}'::text[],
			'{"endpoint_id": {"type": "integer"}, "challenge": {"type": "string", "pattern": "^[0-9a-f]{64}$"}}'::jsonb,
			'{"endpoint_id": 1, "challenge": "8f0c3a5d1be94c7fa2d6e0b3487195ac0d2e4f6a8b1c3d5e7f90a1b2c3d4e5f6"}'::jsonb),
		('endpoint.failing', 'every attempt to deliver to an endpoint has failed for a while', '{endpoint_id,failing_since}',
			'{"endpoint_id": {"type": "integer"}, "failing_since": {"type": "string", "format": "date-time"},
				"error_class": {"type": ["string", "null"]}}',
			'{"endpoint_id": 1, "failing_since": "2026-08-02T09:12:03Z", "error_class": "connect"}')
		) AS n (name, description, required, properties, example)
	JOIN bm_webhook.event_type o ON o.name = 'webhook.ping'
	ON CONFLICT (name) DO UPDATE
		SET description = excluded.description, schema = excluded.schema, example = excluded.example, shipped = true;

CREATE OR REPLACE FUNCTION bm_webhook_internal.console_since(a jsonb, standard interval) RETURNS uuid
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN bm_webhook.uuid_floor(greatest(coalesce((a ->> 'since')::timestamptz, clock_timestamp() - standard),
		'1970-01-01 UTC'));
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_since(jsonb, interval) IS
	'the first event id of the period that is asked about';
CREATE OR REPLACE FUNCTION bm_webhook_internal.console_until(a jsonb) RETURNS uuid
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN CASE WHEN coalesce((a ->> 'until')::timestamptz, 'infinity') = 'infinity'
		THEN 'ffffffff-ffff-ffff-ffff-ffffffffffff' ELSE bm_webhook.uuid_floor((a ->> 'until')::timestamptz) END;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_until(jsonb) IS
	'the first event id after the period that is asked about';
CREATE OR REPLACE FUNCTION bm_webhook_internal.console_url(url text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN pg_catalog.regexp_replace(url, '[?].*', '?…');
COMMENT ON FUNCTION bm_webhook_internal.console_url(text) IS 'a URL as lists show it: without its query';
CREATE FUNCTION bm_webhook_internal.console_is_unbound() RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT r.rolsuper OR r.rolbypassrls FROM pg_roles r WHERE r.rolname = current_user
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_is_unbound() IS 'is the caller somebody whom policies do not bind?';

CREATE OR REPLACE FUNCTION bm_webhook_internal.console_may_change(application text) RETURNS boolean
	LANGUAGE sql STABLE
	RETURN coalesce(bm_webhook_internal.owns_application(application, true), false)
		OR bm_webhook_internal.console_is_unbound();
COMMENT ON FUNCTION bm_webhook_internal.console_may_change(text) IS
	'may the caller change the endpoints of this application?';
CREATE OR REPLACE FUNCTION bm_webhook_internal.console_require(is_there boolean, what text) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF is_there IS NOT TRUE THEN
		PERFORM bm_webhook_internal.refuse(format('%s does not exist', what),
			'It may be another''s, or older than the log.', '42704');
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_require(boolean, text) IS
	'42704, in the same words for what is not there and for what is another''s';
CREATE OR REPLACE FUNCTION bm_webhook.console_session(a jsonb) RETURNS jsonb
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
	SELECT jsonb_build_object('user', session_user, 'database', current_database(), 'now', clock_timestamp(),
		'version', (SELECT e.extversion FROM pg_extension e WHERE e.extname = 'bm_webhook'),
		'server', current_setting('server_version'),
		'sees_all', bm_webhook_internal.sees_all('bm_webhook.operation'),
		'is_unbound', u.is_unbound,
		'applications', (SELECT coalesce(jsonb_agg(x.name ORDER BY x.name), '[]') FROM (SELECT p.name
			FROM bm_webhook.application p
			WHERE p.deleted_at IS NULL AND (u.is_unbound OR bm_webhook_internal.owns_application(p.name, true))
			ORDER BY p.name LIMIT 200) x))
	FROM (SELECT bm_webhook_internal.console_is_unbound() AS is_unbound) u
$$;
COMMENT ON FUNCTION bm_webhook.console_session(jsonb) IS 'who is asking, and for which applications he may act';
-- What was sent in the last hour, by minute. Of all endpoints, who sees all has a row for each dispatcher; others go by
-- the newest rows of endpoint_minute before "until", so few that it stays quick, in whole minutes: before "next" there
-- are more. How long requests took goes by fewer still. They are read once: a smaller LIMIT of its own would have the
-- rows of all others searched for those of an owner of few endpoints; and that of a UNION would have all sorted.
CREATE OR REPLACE FUNCTION bm_webhook_internal.console_minutes(endpoint bigint, until timestamptz) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
		SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	first timestamptz = date_trunc('minute', clock_timestamp()) - interval '60 min';
	most integer = 20000;
	of_all boolean = endpoint IS NULL AND bm_webhook_internal.sees_all('bm_webhook.dispatcher_minute');
BEGIN
	RETURN (WITH n AS MATERIALIZED (
		(SELECT x.minute, x.delivered, x.given_up, x.failed_attempts, x.histogram FROM bm_webhook.endpoint_minute x
			WHERE NOT of_all AND x.minute >= first AND x.minute < until AND (endpoint IS NULL OR x.endpoint_id = endpoint)
			ORDER BY x.minute DESC LIMIT most + 1)
		UNION ALL
		SELECT x.minute, x.delivered, x.given_up, x.failed_attempts, x.histogram FROM bm_webhook.dispatcher_minute x
			WHERE of_all AND x.minute >= first AND x.minute < until
	), t AS (
		SELECT NOT of_all AND count(*) > most AS has_more, min(n.minute) = max(n.minute) AS is_one, min(n.minute) AS oldest
		FROM n
	), m AS (
		SELECT n.minute, sum(n.delivered) AS delivered, sum(n.given_up) AS given_up,
			sum(n.failed_attempts) AS failed_attempts
		FROM n, t WHERE NOT t.has_more OR t.is_one OR n.minute > t.oldest GROUP BY n.minute
	), took AS (
		SELECT u.i, sum(sum(h.histogram[u.i])) OVER (ORDER BY u.i) AS so_far, sum(sum(h.histogram[u.i])) OVER () AS total
		FROM (SELECT n.histogram FROM n ORDER BY n.minute DESC LIMIT 1000) h,
			LATERAL generate_subscripts(h.histogram, 1) u (i)
		GROUP BY u.i
	)
	SELECT jsonb_build_object(
		'minutes', coalesce(jsonb_agg(jsonb_build_array(extract(epoch FROM m.minute)::bigint, m.delivered,
			m.failed_attempts, m.given_up) ORDER BY m.minute), '[]'),
		'delivered', coalesce(sum(m.delivered), 0), 'given_up', coalesce(sum(m.given_up), 0),
		'failed_attempts', coalesce(sum(m.failed_attempts), 0), 'is_partial', (SELECT t.has_more AND t.is_one FROM t),
		'next', CASE WHEN (SELECT t.has_more FROM t) THEN min(m.minute) END,
		'p95_ms', (SELECT round(power(1.1, min(k.i))::numeric) FROM took k
			WHERE k.so_far >= 0.95 * k.total AND k.so_far > 0))
	FROM m);
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_minutes(bigint, timestamptz) IS
	'what was sent in the last hour and before a time, by minute, to one endpoint or all';
CREATE OR REPLACE FUNCTION bm_webhook_internal.console_dispatchers() RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT has_function_privilege('bm_webhook.status()', 'EXECUTE') THEN
		RETURN NULL;
	END IF;
	RETURN (SELECT coalesce(jsonb_agg(to_jsonb(s) - 'pending' - 'set_aside' ORDER BY s.shard), '[]')
		FROM bm_webhook.status() s WHERE s.database = current_database());
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_dispatchers() IS
	'the dispatchers of this database; NULL for who may not see them';
CREATE OR REPLACE FUNCTION bm_webhook.console_overview(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
BEGIN
	RETURN (WITH worst AS (
		SELECT x.endpoint_id, x.application, x.url, x.state, x.since, x.reason, x.advice, x.pending,
			CASE WHEN x.state <> 'healthy'
				THEN array_position('{disabled,failing,unverified,full,behind,paused,held,slowed}', x.state) END AS rank,
			count(*) OVER () AS endpoints, count(*) FILTER (WHERE x.state <> 'healthy') OVER () AS unhealthy,
			sum(x.pending) OVER () AS waiting, max(x.lag_seconds) OVER () AS lag_seconds
		FROM bm_webhook.endpoint_health x ORDER BY rank, x.since LIMIT 20
	), not_taken AS (SELECT sum(n.events) AS events, min(n.oldest) AS oldest FROM bm_webhook_internal.not_taken() n)
	SELECT jsonb_build_object(
		'now', clock_timestamp(), 'endpoints', coalesce(max(w.endpoints), 0), 'unhealthy', coalesce(max(w.unhealthy), 0),
		'waiting', coalesce(max(w.waiting), 0) + coalesce((SELECT n.events FROM not_taken n), 0),
		'oldest', least(clock_timestamp() - make_interval(secs => nullif(max(w.lag_seconds), 0)),
			(SELECT n.oldest FROM not_taken n)),
		'attention', coalesce(jsonb_agg(jsonb_build_object('endpoint', w.endpoint_id, 'application', w.application,
				'url', w.url, 'state', w.state, 'since', w.since, 'reason', w.reason, 'advice', w.advice,
				'waiting', w.pending,
				'given_up', (SELECT coalesce(sum(m.given_up), 0) FROM bm_webhook.endpoint_minute m
					WHERE m.endpoint_id = w.endpoint_id AND m.minute >= now() - interval '1 hour'),
				'is_paused', (SELECT p.paused_at IS NOT NULL FROM bm_webhook.endpoint p WHERE p.id = w.endpoint_id),
				'may_change', bm_webhook_internal.console_may_change(w.application)) ORDER BY w.rank, w.since)
			FILTER (WHERE w.state <> 'healthy'), '[]'),
		'dispatchers', bm_webhook_internal.console_dispatchers())
	FROM worst w);
END
$$;
COMMENT ON FUNCTION bm_webhook.console_overview(jsonb) IS
	'what waits, which endpoints need somebody, and the dispatchers';

-- Apart from the overview: it changes once a minute, and is asked for less often.
-- a: until (the "next" of an answer, for the minutes before)
CREATE OR REPLACE FUNCTION bm_webhook.console_hour(a jsonb) RETURNS jsonb
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT bm_webhook_internal.console_minutes(NULL, coalesce((a ->> 'until')::timestamptz, 'infinity'))
$$;
COMMENT ON FUNCTION bm_webhook.console_hour(jsonb) IS 'what was sent in the last hour, by minute';
CREATE OR REPLACE FUNCTION bm_webhook.console_endpoints(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
		SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	first uuid = bm_webhook.uuid_floor(clock_timestamp() - interval '1 day');
BEGIN
	RETURN (WITH page AS (
		SELECT p.* FROM bm_webhook.endpoint p
		WHERE p.deleted_at IS NULL AND p.id > coalesce((a ->> 'after')::bigint, 0)
			AND (a ->> 'application' IS NULL OR p.application = a ->> 'application')
			AND (a ->> 'q' IS NULL OR strpos(lower(concat_ws(' ', p.id, bm_webhook_internal.console_url(p.url),
				p.description, p.application)), lower(a ->> 'q')) > 0)
			AND (a ->> 'state' IS NULL OR p.id IN (SELECT h.endpoint_id FROM bm_webhook.endpoint_health h
				WHERE h.state = a ->> 'state'))
		ORDER BY p.id LIMIT 51
	), health AS MATERIALIZED (
		SELECT h.endpoint_id, h.state, h.since, h.reason, h.pending FROM bm_webhook.endpoint_health h
		WHERE h.endpoint_id = ANY (ARRAY(SELECT g.id FROM page g))
	)
	SELECT jsonb_build_object('has_more', count(*) > 50, 'rows', coalesce(jsonb_agg(x.line ORDER BY x.id)
			FILTER (WHERE x.n <= 50), '[]'))
	FROM (SELECT p.id, row_number() OVER (ORDER BY p.id) AS n, jsonb_build_object('id', p.id,
			'application', p.application, 'url', bm_webhook_internal.console_url(p.url), 'description', p.description,
			'event_types', p.event_types, 'channel', p.channel, 'state', h.state, 'since', h.since, 'reason', h.reason,
			'waiting', coalesce(h.pending, 0),
			'failed_24h', (SELECT count(*) FROM (SELECT FROM bm_webhook.delivery d WHERE d.endpoint_id = p.id
				AND d.status = 'failed' AND d.event_id >= first LIMIT 1000) f)) AS line
		FROM page p LEFT JOIN health h ON h.endpoint_id = p.id) x);
END
$$;
COMMENT ON FUNCTION bm_webhook.console_endpoints(jsonb) IS 'the next 50 endpoints, and how each is';
CREATE OR REPLACE FUNCTION bm_webhook.console_endpoint(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
		SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	answer jsonb;
BEGIN
	SELECT to_jsonb(p) - '{credentials,credentials_key_id}'::text[] || jsonb_build_object(
			'retry_delays', p.retry_delays::text[], 'timeout', p.timeout::text, 'ttl', p.ttl::text,
			'retry_span', (SELECT sum(d)::text FROM unnest(p.retry_delays) d),
			'may_change', p.deleted_at IS NULL AND bm_webhook_internal.console_may_change(p.application),
			'state', (SELECT to_jsonb(s) FROM bm_webhook.endpoint_state s WHERE s.endpoint_id = p.id),
			'health', (SELECT jsonb_build_object('state', h.state, 'since', h.since, 'reason', h.reason, 'advice', h.advice)
				FROM bm_webhook.endpoint_health h WHERE h.endpoint_id = p.id),
			'pace', (SELECT to_jsonb(s) FROM bm_webhook.endpoint_pace s WHERE s.endpoint_id = p.id),
			'waiting', (SELECT to_jsonb(w) FROM bm_webhook_internal.pending w WHERE w.endpoint_id = p.id),
			'application_paused_at', (SELECT x.paused_at FROM bm_webhook.application x WHERE x.name = p.application),
			'secrets', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', s.id, 'kind', s.kind,
				'created_at', s.created_at, 'expires_at', s.expires_at) ORDER BY s.id DESC), '[]')
				FROM bm_webhook.endpoint_secret s WHERE s.endpoint_id = p.id))
		INTO answer FROM bm_webhook.endpoint p WHERE p.id = (a ->> 'endpoint')::bigint;
	PERFORM bm_webhook_internal.console_require(answer IS NOT NULL, format('endpoint %s', a ->> 'endpoint'));
	RETURN answer || jsonb_build_object('hour', bm_webhook_internal.console_minutes((a ->> 'endpoint')::bigint,
		'infinity'));
END
$$;
COMMENT ON FUNCTION bm_webhook.console_endpoint(jsonb) IS 'one endpoint, its state and its hour; 42704';
CREATE OR REPLACE FUNCTION bm_webhook.console_causes(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
		SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	first uuid = bm_webhook_internal.console_since(a, '1 day');
	endpoint bigint = (a ->> 'endpoint')::bigint;
BEGIN
	PERFORM bm_webhook_internal.console_require(
		EXISTS (SELECT FROM bm_webhook.endpoint p WHERE p.id = endpoint), format('endpoint %s', endpoint));
	RETURN (SELECT coalesce(jsonb_agg(to_jsonb(c) ORDER BY c.deliveries DESC), '[]') FROM (
		SELECT d.status, d.error_class, d.http_status, count(*) AS deliveries, max(d.last_attempt_at) AS last,
			(array_agg(d.event_id ORDER BY d.event_id DESC))[1] AS event,
			(array_agg(d.error ORDER BY d.event_id DESC))[1] AS error
		FROM ((SELECT * FROM bm_webhook.delivery f WHERE f.endpoint_id = endpoint AND f.status = 'failed'
				AND f.event_id >= first ORDER BY f.event_id DESC LIMIT 2000)
			UNION ALL
			(SELECT * FROM bm_webhook.delivery w WHERE w.endpoint_id = endpoint AND w.status = 'pending'
				AND w.event_id >= first AND w.attempts > 0 ORDER BY w.event_id DESC LIMIT 2000)) d
		GROUP BY d.status, d.error_class, d.http_status ORDER BY deliveries DESC LIMIT 50) c);
END
$$;
COMMENT ON FUNCTION bm_webhook.console_causes(jsonb) IS
	'why deliveries to an endpoint failed, of the newest 2000 and of the 2000 that wait for another attempt; 42704';
-- How far back so many rows go. As the definer, for whom all rows count: of those whose endpoints are rarely sent to,
-- there may be few among millions. It tells no more than EXPLAIN ANALYZE, which counts what policies have removed.
CREATE OR REPLACE FUNCTION bm_webhook_internal.console_floor(first uuid, last uuid, most integer, with_events boolean) RETURNS uuid
	LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
		SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
BEGIN
	RETURN greatest(first,
		(SELECT d.event_id FROM bm_webhook.delivery d WHERE d.event_id >= first AND d.event_id <= last
			ORDER BY d.event_id DESC OFFSET least(most, 100000) LIMIT 1),
		CASE WHEN with_events THEN (SELECT e.id FROM bm_webhook.event e WHERE e.id >= first AND e.id <= last
			ORDER BY e.id DESC OFFSET least(most, 100000) LIMIT 1) END);
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_floor(uuid, uuid, integer, boolean) IS
	'the first of the newest so many events that have deliveries, in a range of the log; the first of the range if it has '
	'fewer';

-- An index has these, and nothing else.
CREATE FUNCTION bm_webhook_internal.console_asks_for_few(a jsonb) RETURNS boolean
	LANGUAGE sql IMMUTABLE
	RETURN coalesce(a ->> 'status' IN ('failed', 'pending'), false);
COMMENT ON FUNCTION bm_webhook_internal.console_asks_for_few(jsonb) IS
	'is it asked about what has failed or waits, of which there is little?';

CREATE OR REPLACE FUNCTION bm_webhook_internal.console_deliveries_condition(a jsonb) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT format(' AND d.event_id < %L', bm_webhook_internal.console_until(a))
		|| coalesce(string_agg(w.condition, ''), '')
	FROM (VALUES
		(format(' AND (d.event_id, d.endpoint_id) < (%L, %L)', (a ->> 'before')::uuid, (a ->> 'before_endpoint')::bigint),
			a ->> 'before'),
		(format(' AND d.endpoint_id = %L', (a ->> 'endpoint')::bigint), a ->> 'endpoint'),
		(format(' AND d.status = %L', a ->> 'status'), a ->> 'status'),
		(format(' AND d.error_class = %L', a ->> 'error_class'), a ->> 'error_class'),
		(format(' AND d.http_status = %L', (a ->> 'http_status')::integer), a ->> 'http_status'),
		(' AND bm_webhook_internal.owns_endpoint(d.endpoint_id)', a ->> 'is_own')) w (condition, wanted)
	WHERE w.wanted IS NOT NULL
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_deliveries_condition(jsonb) IS
	'the condition for the deliveries that are asked about, apart from what their events must be';

CREATE FUNCTION bm_webhook_internal.console_events_condition(a jsonb) RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN a ->> 'type' LIKE '%*%'
			THEN format(' AND bm_webhook_internal.matches(%L, e.type)', ARRAY[a ->> 'type'])
			WHEN a ->> 'type' IS NOT NULL THEN format(' AND e.type = %L', a ->> 'type') ELSE '' END
		|| CASE WHEN a ->> 'application' IS NOT NULL THEN format(' AND e.application = %L', a ->> 'application')
			ELSE '' END
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_events_condition(jsonb) IS
	'what the events of the deliveries that are asked about must be; empty: anything';

-- Where to stop reading: after so many rows of the log, or, of what waits and what failed, of an index that has nothing
-- else. Of all endpoints that index is not in the order of time: then all of it is read, or it does not help.
CREATE OR REPLACE FUNCTION bm_webhook_internal.console_deliveries_floor(a jsonb, first uuid, last uuid, most integer) RETURNS uuid
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off
		SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	wanted text = a ->> 'status';
	is_few boolean = bm_webhook_internal.console_asks_for_few(a);
	endpoint bigint = (a ->> 'endpoint')::bigint;
BEGIN
	IF is_few AND endpoint IS NOT NULL THEN
		RETURN greatest(first, (SELECT d.event_id FROM bm_webhook.delivery d
			WHERE d.event_id >= first AND d.event_id <= last AND d.status = wanted AND d.endpoint_id = endpoint
			ORDER BY d.event_id DESC OFFSET most LIMIT 1));
	ELSIF is_few AND most > (SELECT count(*) FROM (SELECT FROM bm_webhook.delivery d
			WHERE d.event_id >= first AND d.event_id <= last AND d.status = wanted
			ORDER BY d.endpoint_id, d.event_id LIMIT most) d) THEN
		RETURN first;
	END IF;
	RETURN bm_webhook_internal.console_floor(first, last, most, coalesce(a ->> 'type', a ->> 'application') IS NOT NULL);
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_deliveries_floor(jsonb, uuid, uuid, integer) IS
	'the first event id up to which the deliveries that are asked about can be looked for at once';

-- Few wait or have failed: all of them are read by an index that has nothing else, as those that are newest may be old,
-- and looked up among events. Of many rows of the log, their events are read once.
CREATE OR REPLACE FUNCTION bm_webhook_internal.console_deliveries_sql(a jsonb, first uuid, last uuid, most integer) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT format('SELECT * FROM (SELECT d.* FROM bm_webhook.delivery d '
		'WHERE d.event_id >= %1$L AND d.event_id <= %2$L%3$s%4$s) d%5$s '
		'ORDER BY d.event_id DESC, d.endpoint_id DESC LIMIT %6$s', first, last,
		bm_webhook_internal.console_deliveries_condition(a),
		CASE WHEN f.is_few THEN ' OFFSET 0' WHEN e.condition <> ''
			THEN format(' AND d.event_id IN (SELECT e.id FROM bm_webhook.event e WHERE e.id >= %L AND e.id <= %L%s OFFSET 0)',
				first, last, e.condition) END,
		CASE WHEN f.is_few AND e.condition <> ''
			THEN format(' WHERE EXISTS (SELECT FROM bm_webhook.event e WHERE e.id = d.event_id AND e.id >= %L AND e.id <= %L%s '
				'OFFSET 0)', first, last, e.condition) END, most)
	FROM (SELECT bm_webhook_internal.console_events_condition(a) AS condition) e,
		(SELECT bm_webhook_internal.console_asks_for_few(a) AS is_few) f
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_deliveries_sql(jsonb, uuid, uuid, integer) IS
	'the query for the newest deliveries that are asked about, of events in a range, at most so many';

-- a: endpoint, status, type (a pattern), application, error_class, http_status, since, until, before and
-- before_endpoint (where to go on: "next" of the answer before). What is rare may be far back: no more of the log is
-- looked at than takes no time, and "looked_back_to" says how far that was.
CREATE OR REPLACE FUNCTION bm_webhook.console_deliveries(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
	first uuid = bm_webhook_internal.console_since(a, '1 day');
	last uuid = least(bm_webhook_internal.console_until(a), (a ->> 'before')::uuid);
	floor uuid;
	lines jsonb;
	is_full boolean;
	most integer;
BEGIN
	FOREACH most IN ARRAY ARRAY[1000, CASE WHEN bm_webhook_internal.console_asks_for_few(a)
		AND coalesce(a ->> 'type', a ->> 'application') IS NOT NULL THEN 5000 ELSE 20000 END] LOOP
		floor = bm_webhook_internal.console_deliveries_floor(a, first, last, most);
		EXECUTE format($query$
			SELECT coalesce(jsonb_agg(jsonb_build_object(
					'event', d.event_id, 'endpoint', d.endpoint_id, 'at', bm_webhook.uuid_time(d.event_id), 'type', e.type,
					'message_id', e.message_id, 'application', e.application, 'channel', e.channel,
					'url', bm_webhook_internal.console_url(p.url), 'status', d.status, 'attempts', d.attempts,
					'may_change', coalesce(p.deleted_at IS NULL
						AND (%L OR bm_webhook_internal.owns_endpoint(p.id)), false),
					'http_status', d.http_status, 'error_class', d.error_class,
					'next_attempt_at', nullif(d.next_attempt_at, 'infinity'),
					'is_ordered', d.next_attempt_at = 'infinity',
					'ms', round(extract(epoch FROM d.duration) * 1000)) ORDER BY d.event_id DESC, d.endpoint_id DESC), '[]')
			FROM (%s) d LEFT JOIN bm_webhook.endpoint p ON p.id = d.endpoint_id
				LEFT JOIN LATERAL (SELECT * FROM bm_webhook.event v
					WHERE v.id = d.event_id AND v.id >= %L AND v.id <= %L OFFSET 0) e ON true
			$query$, bm_webhook_internal.console_is_unbound(),
			bm_webhook_internal.console_deliveries_sql(a, floor, last, 51), floor, last) INTO lines;
		is_full = jsonb_array_length(lines) > 50;
		EXIT WHEN is_full OR floor <= first;
	END LOOP;
	RETURN jsonb_build_object('rows', lines - 50, 'has_more', is_full OR floor > first,
		'since', bm_webhook.uuid_time(first),
		'looked_back_to', CASE WHEN floor > first AND NOT is_full THEN bm_webhook.uuid_time(floor) END,
		'next', CASE WHEN is_full
			THEN jsonb_build_object('before', lines #> '{49,event}', 'before_endpoint', lines #> '{49,endpoint}')
			WHEN floor > first THEN jsonb_build_object('before', floor, 'before_endpoint', 0) END);
END
$$;
COMMENT ON FUNCTION bm_webhook.console_deliveries(jsonb) IS
	'the next 50 deliveries, newest first; of a day unless a period is given';

-- What is asked about of what the caller may change: the newest 10001, if no more of the log has to be read for it than
-- 100000 rows. Of so many, none is compared with all others, whatever the planner takes them for.
CREATE FUNCTION bm_webhook_internal.console_matching(a jsonb, OUT events uuid[], OUT endpoints bigint[], OUT since uuid)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off AS $$
DECLARE
	filter jsonb = a - '{before,before_endpoint,is_own}'::text[]
		|| CASE WHEN bm_webhook_internal.console_is_unbound() THEN '{}' ELSE '{"is_own": true}'::jsonb END;
	last uuid = bm_webhook_internal.console_until(a);
	floor uuid;
BEGIN
	since = bm_webhook_internal.console_since(a, '1 day');
	floor = bm_webhook_internal.console_deliveries_floor(filter, since, last, 100000);
	EXECUTE format('SELECT coalesce(array_agg(x.event_id), %L), coalesce(array_agg(x.endpoint_id), %1$L) FROM (%s) x',
		'{}', bm_webhook_internal.console_deliveries_sql(filter, floor, last, 10001)) INTO events, endpoints;
	IF floor > since AND cardinality(events) <= 10000 THEN
		PERFORM bm_webhook_internal.refuse('more than 100000 deliveries would have to be read to find those that match',
			'Choose a shorter period; or an endpoint, and what has failed or waits.', '54000');
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_matching(jsonb) IS
	'the newest 10001 deliveries of the caller''s endpoints that are asked about; 54000';

-- a: as console_deliveries, without where to go on. A period that has not ended ends now, and the answer says so: it is
-- what can be asked for then.
CREATE FUNCTION bm_webhook.console_count_deliveries(a jsonb) RETURNS jsonb
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
	SELECT jsonb_build_object('matched', least(cardinality(m.events), 10000), 'is_more', cardinality(m.events) > 10000,
		'since', bm_webhook.uuid_time(m.since), 'until', u.until)
	FROM (SELECT least((a ->> 'until')::timestamptz, now()) AS until) u,
		bm_webhook_internal.console_matching(a || jsonb_build_object('until', u.until)) m
$$;
COMMENT ON FUNCTION bm_webhook.console_count_deliveries(jsonb) IS
	'how many deliveries match, of endpoints that the caller may change, up to 10,000; 54000';

CREATE OR REPLACE FUNCTION bm_webhook_internal.console_event(event uuid) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
		SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	answer jsonb;
BEGIN
	SELECT jsonb_build_object('id', e.id, 'type', e.type, 'application', e.application, 'channel', e.channel,
			'message_id', e.message_id, 'reply_to', e.reply_to, 'endpoint', e.endpoint_id, 'occurred_at', e.occurred_at,
			'created_at', e.created_at, 'expires_at', e.expires_at)
		INTO answer FROM bm_webhook.event e WHERE e.id = event;
	PERFORM bm_webhook_internal.console_require(answer IS NOT NULL, format('event %s', event));
	IF has_column_privilege('bm_webhook.event', 'data', 'SELECT') THEN
		-- as text: jsonb would order its keys anew
		answer = answer || (SELECT jsonb_build_object('data', e.data::text) FROM bm_webhook.event e WHERE e.id = event);
	END IF;
	RETURN answer;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_event(uuid) IS 'one event; 42704';
CREATE OR REPLACE FUNCTION bm_webhook.console_delivery(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
		SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	event uuid = (a ->> 'event')::uuid;
	endpoint bigint = (a ->> 'endpoint')::bigint;
	e jsonb = bm_webhook_internal.console_event(event);
BEGIN
	PERFORM bm_webhook_internal.console_require(
		EXISTS (SELECT FROM bm_webhook.endpoint p WHERE p.id = endpoint), format('endpoint %s', endpoint));
	RETURN jsonb_build_object('event', e,
		'endpoint', (SELECT jsonb_build_object('id', p.id, 'url', bm_webhook_internal.console_url(p.url),
			'application', p.application, 'enabled', p.enabled, 'paused_at', p.paused_at, 'deleted_at', p.deleted_at,
			'may_change', p.deleted_at IS NULL AND bm_webhook_internal.console_may_change(p.application))
			FROM bm_webhook.endpoint p WHERE p.id = endpoint),
		'delivery', (SELECT to_jsonb(d) || jsonb_build_object('next_attempt_at', nullif(d.next_attempt_at, 'infinity'),
				'is_ordered', d.next_attempt_at = 'infinity', 'ms', extract(epoch FROM d.duration) * 1000)
			FROM bm_webhook.delivery d WHERE d.event_id = event AND d.endpoint_id = endpoint),
		'failed_attempts', (SELECT coalesce(jsonb_agg(jsonb_build_object('attempt', f.attempt, 'at', f.attempted_at,
				'error_class', f.error_class, 'http_status', f.http_status, 'error', f.error,
				'name_ms', extract(epoch FROM f.name_time) * 1000, 'connect_ms', extract(epoch FROM f.connect_time) * 1000,
				'tls_ms', extract(epoch FROM f.tls_time) * 1000,
				'first_byte_ms', extract(epoch FROM f.first_byte_time) * 1000,
				'total_ms', extract(epoch FROM f.total_time) * 1000, 'response', f.response) ORDER BY f.attempted_at), '[]')
			FROM (SELECT * FROM bm_webhook.failed_attempt x WHERE x.event_id = event
				AND x.endpoint_id = endpoint ORDER BY x.attempted_at DESC LIMIT 100) f),
		'redeliveries', (SELECT coalesce(jsonb_agg(jsonb_build_object('at', r.asked_at, 'by', r.asked_by, 'was', r.status,
				'http_status', r.http_status, 'attempts', r.attempts, 'last_attempt_at', r.last_attempt_at,
				'ms', extract(epoch FROM r.duration) * 1000) ORDER BY r.asked_at), '[]')
			FROM (SELECT * FROM bm_webhook.redelivery x WHERE x.event_id = event
				AND x.endpoint_id = endpoint ORDER BY x.asked_at DESC LIMIT 100) r),
		'set_aside', (SELECT jsonb_build_object('since', s.since, 'cause', s.cause, 'by', s.asked_by)
			FROM bm_webhook.set_aside s WHERE s.event_id = event AND s.endpoint_id = endpoint));
END
$$;
COMMENT ON FUNCTION bm_webhook.console_delivery(jsonb) IS 'one delivery, its event and its attempts; 42704';
CREATE OR REPLACE FUNCTION bm_webhook.console_event(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
	event uuid = (a ->> 'event')::uuid;
BEGIN
	RETURN bm_webhook_internal.console_event(event) || jsonb_build_object('endpoints',
		(SELECT coalesce(jsonb_agg(jsonb_build_object('endpoint', w.endpoint_id,
				'url', bm_webhook_internal.console_url(p.url), 'application', p.application, 'channel', p.channel,
				'event_types', p.event_types, 'filter', p.filter, 'gets_it', w.gets_it, 'reason', w.reason,
				'status', w.status, 'has_it', w.has_it) ORDER BY w.has_it DESC, w.endpoint_id), '[]')
			FROM (SELECT x.*, x.gets_it OR x.status IS NOT NULL AS has_it FROM bm_webhook.explain_delivery(event) x
				WHERE x.reason IS DISTINCT FROM 'deleted' OR x.status IS NOT NULL
				ORDER BY has_it DESC, x.endpoint_id LIMIT 200) w
			LEFT JOIN bm_webhook.endpoint p ON p.id = w.endpoint_id));
END
$$;
COMMENT ON FUNCTION bm_webhook.console_event(jsonb) IS
	'one event, and for each endpoint whether it gets it, and if not, which filter decides; 42704';
CREATE OR REPLACE FUNCTION bm_webhook.console_message(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
	history jsonb;
BEGIN
	SELECT jsonb_agg(to_jsonb(h) || jsonb_build_object('url', bm_webhook_internal.console_url(h.url),
			'at', nullif(h.at, 'infinity'), 'ms', round(extract(epoch FROM h.duration) * 1000)))
		INTO history FROM (SELECT * FROM bm_webhook.message_history(a ->> 'message_id', a ->> 'application') LIMIT 1000) h;
	PERFORM bm_webhook_internal.console_require(history IS NOT NULL, format('message "%s"', a ->> 'message_id'));
	RETURN jsonb_build_object('message_id', a ->> 'message_id', 'history', history, 'states',
		(SELECT coalesce(jsonb_agg(to_jsonb(s)), '[]') FROM bm_webhook.message_state s
			WHERE s.message_id = a ->> 'message_id'
				AND (a ->> 'application' IS NULL OR s.application = a ->> 'application')));
END
$$;
COMMENT ON FUNCTION bm_webhook.console_message(jsonb) IS 'the history of one message; 42704';
CREATE OR REPLACE FUNCTION bm_webhook.console_event_types(a jsonb) RETURNS jsonb
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(jsonb_agg(jsonb_build_object('name', t.name, 'description', t.description, 'schema', t.schema,
		'example', t.example, 'shipped', t.shipped) ORDER BY t.shipped, t.name), '[]')
	FROM (SELECT * FROM bm_webhook.event_type x ORDER BY x.shipped, x.name LIMIT 500) t
$$;
COMMENT ON FUNCTION bm_webhook.console_event_types(jsonb) IS 'the documented event types, your own first';
CREATE OR REPLACE FUNCTION bm_webhook.console_operations(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
		SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	of_endpoint bigint = (a ->> 'endpoint')::bigint;
	last bigint = (a ->> 'before')::bigint;
BEGIN
	RETURN (SELECT jsonb_build_object('has_more', count(*) > 50, 'rows', coalesce(jsonb_agg(x.line ORDER BY x.id DESC)
			FILTER (WHERE x.n <= 50), '[]'))
		FROM (SELECT o.id, row_number() OVER (ORDER BY o.id DESC) AS n, jsonb_build_object('id', o.id, 'kind', o.kind,
				'endpoint', o.endpoint_id, 'event', o.event_id, 'application', o.application, 'since', o.since,
				'until', o.until, 'status', o.status, 'matched', o.matched, 'done', o.done, 'asked_at', o.asked_at,
				'asked_by', o.asked_by, 'acting_as', o.acting_as, 'ended_at', o.ended_at, 'error', o.error,
				'reason', o.reason, 'changed', o.changed_columns) AS line
			FROM (SELECT * FROM bm_webhook.operation r WHERE (of_endpoint IS NULL OR r.endpoint_id = of_endpoint)
				AND (last IS NULL OR r.id < last) ORDER BY r.id DESC LIMIT 51) o) x);
END
$$;
COMMENT ON FUNCTION bm_webhook.console_operations(jsonb) IS 'who has asked for what, the next 50, newest first';
CREATE OR REPLACE FUNCTION bm_webhook.console_preview(a jsonb) RETURNS jsonb
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT to_jsonb(p) FROM bm_webhook.preview((a ->> 'event')::uuid, (a ->> 'endpoint')::bigint) p
$$;
COMMENT ON FUNCTION bm_webhook.console_preview(jsonb) IS 'the request as it would be sent now, signed; 42704';
CREATE OR REPLACE FUNCTION bm_webhook_internal.console_partitions() RETURNS jsonb
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.name DESC), '[]') FROM (
		SELECT p.relname AS of, c.relname AS name, greatest(c.reltuples, 0)::bigint AS rows,
			pg_total_relation_size(c.oid) AS bytes
		FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
		WHERE i.inhparent IN ('bm_webhook.event'::regclass, 'bm_webhook.delivery'::regclass,
			'bm_webhook.failed_attempt'::regclass)
		ORDER BY c.relname DESC LIMIT 200) x
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_partitions() IS 'the partitions of the log, as estimated';
CREATE OR REPLACE FUNCTION bm_webhook.console_system(a jsonb) RETURNS jsonb
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
	SELECT jsonb_build_object(
		'dispatchers', (SELECT jsonb_agg(to_jsonb(s)) FROM bm_webhook.status() s),
		'settings', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', g.name, 'value', current_setting(g.name),
				'default', g.boot_val, 'description', g.short_desc) ORDER BY g.name), '[]')
			FROM pg_settings g WHERE g.name LIKE 'bm\_webhook.%'),
		'watches', (SELECT coalesce(jsonb_agg(to_jsonb(w)), '[]') FROM (SELECT * FROM bm_webhook.watch_list LIMIT 200) w),
		'paused', (SELECT to_jsonb(p) FROM bm_webhook.paused p),
		'set_aside', (SELECT coalesce(jsonb_agg(to_jsonb(s) - 'response' ORDER BY s.since DESC), '[]')
			FROM (SELECT * FROM bm_webhook.set_aside x ORDER BY x.since DESC LIMIT 50) s),
		'oldest_event', (SELECT bm_webhook.uuid_time(e.id) FROM bm_webhook.event e ORDER BY e.id LIMIT 1),
		'cursors', (SELECT coalesce(jsonb_agg(to_jsonb(c) - 'snapshot' ORDER BY c.shard), '[]') FROM bm_webhook.cursor c),
		'partitions', bm_webhook_internal.console_partitions())
$$;
COMMENT ON FUNCTION bm_webhook.console_system(jsonb) IS
	'dispatchers, settings, watches and partitions; for operators, 42501';
CREATE OR REPLACE FUNCTION bm_webhook_internal.console_period(a jsonb, OUT since timestamptz, OUT until timestamptz)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	until = coalesce((a ->> 'until')::timestamptz, clock_timestamp());
	since = coalesce((a ->> 'since')::timestamptz, until - interval '1 day');
	IF until - since > interval '31 days 1 hour' OR until <= since THEN
		PERFORM bm_webhook_internal.refuse('a report is for a period of at most 31 days',
			'Choose a later "since" or an earlier "until".');
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_period(jsonb) IS 'the period of a report; 22023';

CREATE OR REPLACE FUNCTION bm_webhook_internal.console_counted(first date, last date) RETURNS jsonb
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object('as_of', min(c.counted_at) FILTER (WHERE c.day > last - 4),
		'days', count(*), 'is_counting', current_setting('bm_webhook.count_days', true)::boolean)
	FROM bm_webhook_internal.counted_day c WHERE c.day BETWEEN first AND last
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_counted(date, date) IS
	'how many of these days were counted, and when those were that change still';

-- a: since, until (days that lie in the period, in UTC, as they were last counted), key (of data.metadata). By another
-- key than the campaign nothing is counted: the rows are NULL, and an export counts.
CREATE OR REPLACE FUNCTION bm_webhook.console_message_rates(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
		SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	p record = bm_webhook_internal.console_period(a);
	first date = (p.since AT TIME ZONE 'UTC')::date;
	last date = (p.until AT TIME ZONE 'UTC')::date;
	rows jsonb;
BEGIN
	IF coalesce(nullif(a ->> 'key', ''), 'campaign') = 'campaign' THEN
		SELECT coalesce(jsonb_agg(to_jsonb(m) || jsonb_build_object(
				'delivered_rate', round(m.delivered / nullif(m.messages, 0)::numeric, 4),
				'read_rate', round(m.read / nullif(m.delivered, 0)::numeric, 4)) ORDER BY m.day DESC, m.messages DESC), '[]')
			INTO rows FROM (SELECT * FROM bm_webhook.message_day d WHERE d.day BETWEEN first AND last
				ORDER BY d.day DESC, d.messages DESC LIMIT 1000) m;
	END IF;
	RETURN jsonb_build_object('rows', rows) || bm_webhook_internal.console_counted(first, last);
END
$$;
COMMENT ON FUNCTION bm_webhook.console_message_rates(jsonb) IS
	'what became of messages by application, channel, campaign and day, as last counted; 22023';
-- a: since, until
CREATE OR REPLACE FUNCTION bm_webhook.console_delivery_rates(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
		SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	p record = bm_webhook_internal.console_period(a);
	first date = (p.since AT TIME ZONE 'UTC')::date;
	last date = (p.until AT TIME ZONE 'UTC')::date;
BEGIN
	RETURN bm_webhook_internal.console_counted(first, last) || jsonb_build_object('rows', (
		SELECT coalesce(jsonb_agg(to_jsonb(r) || jsonb_build_object('url', (SELECT bm_webhook_internal.console_url(e.url)
				FROM bm_webhook.endpoint e WHERE e.id = r.endpoint_id)) ORDER BY r.day DESC, r.events DESC), '[]')
		FROM (SELECT * FROM bm_webhook.delivery_day d WHERE d.day BETWEEN first AND last
			ORDER BY d.day DESC, d.events DESC LIMIT 1000) r));
END
$$;
COMMENT ON FUNCTION bm_webhook.console_delivery_rates(jsonb) IS
	'how events were delivered by endpoint and day, as last counted; 22023';
CREATE OR REPLACE FUNCTION bm_webhook_internal.console_csv(line json) RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT string_agg(coalesce('"' || replace(CASE WHEN c.value ~ E'^[=+@\t\r-]' AND c.value !~ '^-?[0-9.]+$'
		THEN '''' ELSE '' END || c.value, '"', '""') || '"', ''), ',' ORDER BY c.n)
	FROM json_each_text(line) WITH ORDINALITY AS c (key, value, n)
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_csv(json) IS 'one line of CSV';
CREATE OR REPLACE FUNCTION bm_webhook_internal.console_csv_names(line json) RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT string_agg(format('"%s"', o.k), ',' ORDER BY o.n) || E'\n'
	FROM json_object_keys(line) WITH ORDINALITY AS o (k, n)
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_csv_names(json) IS 'the first line of CSV, with its end';
CREATE OR REPLACE FUNCTION bm_webhook_internal.console_export_sql(a jsonb) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p record;
BEGIN
	SELECT * INTO p FROM bm_webhook_internal.console_period(a);
	IF a ->> 'what' = 'message_rates' THEN
		RETURN format('SELECT * FROM bm_webhook.message_rate(%L, %L, %L)', p.since, p.until,
			coalesce(nullif(a ->> 'key', ''), 'campaign'));
	ELSIF a ->> 'what' = 'delivery_rates' THEN
		RETURN format('SELECT * FROM bm_webhook.delivery_rate(%L, %L)', p.since, p.until);
	ELSIF a ->> 'what' = 'message' THEN
		RETURN format('SELECT * FROM bm_webhook.message_history(%L)', a ->> 'message_id');
	ELSIF a ->> 'what' = 'deliveries' THEN
		RETURN format($query$SELECT d.event_id, d.endpoint_id, bm_webhook.uuid_time(d.event_id) AS captured_at, e.type,
				e.application, e.channel, e.message_id, d.status, d.attempts, d.first_attempt_at, d.last_attempt_at,
				d.http_status, d.error_class, d.error, extract(epoch FROM d.duration) AS seconds
			FROM bm_webhook.delivery d LEFT JOIN bm_webhook.event e ON e.id = d.event_id AND e.id >= %1$L AND e.id < %2$L
			WHERE d.event_id >= %1$L AND d.event_id < %2$L%3$s ORDER BY d.event_id, d.endpoint_id$query$,
			bm_webhook.uuid_floor(p.since), bm_webhook.uuid_floor(p.until),
			bm_webhook_internal.console_deliveries_condition(a) || bm_webhook_internal.console_events_condition(a));
	END IF;
	PERFORM bm_webhook_internal.refuse('"what" must be deliveries, message, delivery_rates or message_rates',
		'It says what is exported.');
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_export_sql(jsonb) IS 'the query of an export; 22023';
-- A cursor, so that the first lines come at once and nobody holds all of them. The first of CSV has the names, too.
-- a: what, format (csv or jsonl), since, until, and what the others take
CREATE OR REPLACE FUNCTION bm_webhook.console_export(a jsonb) RETURNS refcursor
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
	lines refcursor = 'console_export';
	line text = CASE coalesce(a ->> 'format', 'csv') WHEN 'csv'
		THEN 'CASE WHEN x.n = 1 THEN bm_webhook_internal.console_csv_names(x.line) ELSE '''' END '
			'|| bm_webhook_internal.console_csv(x.line)'
		ELSE 'x.line::text' END;
BEGIN
	OPEN lines FOR EXECUTE format('SELECT %s '
		'FROM (SELECT row_to_json(r) AS line, row_number() OVER () AS n FROM (%s) r) x',
		line, bm_webhook_internal.console_export_sql(a));
	RETURN lines;
END
$$;
COMMENT ON FUNCTION bm_webhook.console_export(jsonb) IS
	'opens the cursor console_export: the lines of a report as CSV or JSON Lines, of at most 31 days; 22023';
CREATE OR REPLACE FUNCTION bm_webhook.console_tail(a jsonb, OUT cursor text, OUT data jsonb)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
		SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	seen pg_snapshot = split_part(a ->> 'cursor', ' ', 1)::pg_snapshot;
	since timestamptz = to_timestamp(split_part(a ->> 'cursor', ' ', 2)::float8);
	now pg_snapshot = pg_current_snapshot();
	lowest xid8 = pg_snapshot_xmin(seen);
	beyond xid8 = pg_snapshot_xmax(now);
	first uuid;
BEGIN
	cursor = concat(now, ' ', extract(epoch FROM clock_timestamp())::bigint);
	IF seen IS NULL OR seen::text = now::text THEN
		RETURN;
	END IF;
	first = bm_webhook.uuid_floor(greatest(since, '1970-01-03 UTC') - interval '1 day');
	SELECT jsonb_build_object('count', count(*), 'is_partial', count(*) >= 1000,
			'events', jsonb_agg(x.line ORDER BY x.id DESC) FILTER (WHERE x.n <= 20))
		INTO data
		FROM (SELECT e.id, row_number() OVER (ORDER BY e.id DESC) AS n, jsonb_build_object('event', e.id, 'type', e.type,
				'application', e.application, 'channel', e.channel, 'message_id', e.message_id,
				'at', e.created_at) AS line
			FROM (SELECT v.id, v.type, v.application, v.channel, v.message_id, v.created_at FROM bm_webhook.event v
				WHERE v.xid >= lowest AND v.xid < beyond AND v.id >= first AND NOT pg_visible_in_snapshot(v.xid, seen)
				LIMIT 1000) e) x
		HAVING count(*) > 0;
END
$$;
COMMENT ON FUNCTION bm_webhook.console_tail(jsonb) IS
	'the events that have been committed since the cursor, the newest 20 of them, and the next cursor';
CREATE OR REPLACE FUNCTION bm_webhook.console_listen(a jsonb)
	RETURNS TABLE (cursor text, id uuid, type text, application text, channel text, message_id text, occurred_us bigint,
		is_thin boolean, data text)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
		SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	part text[] = string_to_array(a ->> 'cursor', ' ');
	seen pg_snapshot = part[1]::pg_snapshot;
	since timestamptz = to_timestamp(part[2]::float8);
	goal text = concat(coalesce(part[3]::pg_snapshot, pg_current_snapshot()), ' ',
		coalesce(part[4]::bigint, extract(epoch FROM clock_timestamp())::bigint));
	until pg_snapshot = split_part(goal, ' ', 1)::pg_snapshot;
	beyond xid8 = pg_snapshot_xmax(until);
	last_xid xid8 = coalesce(part[5]::xid8, pg_snapshot_xmin(seen));
	last_id uuid = coalesce(part[6]::uuid, '00000000-0000-0000-0000-000000000000');
	patterns text[] = ARRAY(SELECT jsonb_array_elements_text(nullif(a -> 'event_types', 'null')));
	of_endpoint bm_webhook.endpoint;
	first uuid;
	found integer = 0;
BEGIN
	IF a ->> 'endpoint' IS NOT NULL THEN
		SELECT p.* INTO of_endpoint FROM bm_webhook.endpoint p WHERE p.id = (a ->> 'endpoint')::bigint;
		PERFORM bm_webhook_internal.console_require(of_endpoint.id IS NOT NULL, format('endpoint %s', a ->> 'endpoint'));
	END IF;
	IF seen IS NOT NULL THEN
		first = bm_webhook.uuid_floor(greatest(since, '1970-01-03 UTC') - interval '1 day');
		RETURN QUERY SELECT concat(seen, ' ', part[2], ' ', goal, ' ', v.xid, ' ', v.id), v.id, v.type, v.application,
				v.channel, v.message_id, (extract(epoch FROM greatest(least(v.occurred_at, '9999-12-31 UTC'), '0001-01-01 UTC'))
				* 1000000)::bigint, coalesce(of_endpoint.payload = 'thin', false), v.data::text
			FROM bm_webhook.event v
			WHERE (v.xid, v.id) > (last_xid, last_id) AND v.xid < beyond AND v.id >= first
				AND pg_visible_in_snapshot(v.xid, until) AND NOT pg_visible_in_snapshot(v.xid, seen)
				AND (a ->> 'application' IS NULL OR v.application = a ->> 'application')
				AND (cardinality(patterns) = 0 OR bm_webhook_internal.matches(patterns, v.type))
				AND (of_endpoint.id IS NULL OR bm_webhook_internal.wants(of_endpoint, v,
					(SELECT x.muted_event_types FROM bm_webhook.application x WHERE x.name = v.application)))
			ORDER BY v.xid, v.id LIMIT 100;
		GET DIAGNOSTICS found = ROW_COUNT;
	END IF;
	IF found < 100 THEN
		cursor = goal;
		RETURN NEXT;
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook.console_listen(jsonb) IS
	'the next 100 events that have been committed since the cursor: what their requests are made of; 42704';

CREATE OR REPLACE FUNCTION bm_webhook.console_save_endpoint(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	known text[] = '{application,channel,url,event_types,description,enabled,ordering,max_in_flight,timeout,retry_delays,'
		'ttl,rate_limit,rate_burst,filter,payload,headers,signature_header,signature_scheme,ca_certificates,metadata}';
	given text[] = ARRAY(SELECT k FROM jsonb_object_keys(a - 'id') k ORDER BY k);
	columns text = (SELECT string_agg(quote_ident(k), ', ') FROM unnest(given) k);
	id bigint = (a ->> 'id')::bigint;
BEGIN
	IF NOT given <@ known OR columns IS NULL THEN
		PERFORM bm_webhook_internal.refuse('these are not columns of an endpoint that can be set',
			format('They are: %s.', array_to_string(known, ', ')));
	ELSIF id IS NULL THEN
		EXECUTE format('INSERT INTO bm_webhook.endpoint (%s) SELECT %1$s '
			'FROM jsonb_populate_record(NULL::bm_webhook.endpoint, $1) RETURNING id', columns) INTO id USING a;
	ELSE
		EXECUTE format('UPDATE bm_webhook.endpoint p SET (%s) = (SELECT %1$s '
			'FROM jsonb_populate_record(NULL::bm_webhook.endpoint, $1)) '
			'WHERE p.id = $2 AND p.deleted_at IS NULL RETURNING p.id', columns) INTO id USING a, id;
		PERFORM bm_webhook_internal.console_require(id IS NOT NULL, format('endpoint %s', a ->> 'id'));
	END IF;
	RETURN jsonb_build_object('id', id);
END
$$;
COMMENT ON FUNCTION bm_webhook.console_save_endpoint(jsonb) IS
	'registers an endpoint, or changes one; as INSERT and UPDATE';
CREATE OR REPLACE FUNCTION bm_webhook.console_delete_endpoint(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	endpoint bigint = (a ->> 'endpoint')::bigint;
	waiting bigint = (SELECT sum(c.matched) FROM bm_webhook.cancel(endpoint => endpoint, dry_run => true) c);
BEGIN
	IF (a ->> 'dry_run')::boolean IS NOT TRUE THEN
		PERFORM bm_webhook.delete_endpoint(endpoint);
	END IF;
	RETURN jsonb_build_object('waiting', waiting);
END
$$;
COMMENT ON FUNCTION bm_webhook.console_delete_endpoint(jsonb) IS
	'deletes an endpoint, or says how many deliveries that would cancel; 42704';
CREATE OR REPLACE FUNCTION bm_webhook.console_pause(a jsonb) RETURNS jsonb
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object('changed', bm_webhook.pause((a ->> 'endpoint')::bigint, a ->> 'application',
		coalesce((a ->> 'everything')::boolean, false), a ->> 'reason'))
$$;
COMMENT ON FUNCTION bm_webhook.console_pause(jsonb) IS 'calls pause()';
CREATE OR REPLACE FUNCTION bm_webhook.console_resume(a jsonb) RETURNS jsonb
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object('changed', bm_webhook.resume((a ->> 'endpoint')::bigint, a ->> 'application',
		coalesce((a ->> 'everything')::boolean, false), a ->> 'reason'))
$$;
COMMENT ON FUNCTION bm_webhook.console_resume(jsonb) IS 'calls resume()';
CREATE OR REPLACE FUNCTION bm_webhook.console_ping(a jsonb) RETURNS jsonb
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object('event', bm_webhook.ping((a ->> 'endpoint')::bigint,
		coalesce(a ->> 'type', 'webhook.ping')))
$$;
COMMENT ON FUNCTION bm_webhook.console_ping(jsonb) IS 'calls ping()';
CREATE OR REPLACE FUNCTION bm_webhook.console_verify_endpoint(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM bm_webhook.verify_endpoint((a ->> 'endpoint')::bigint);
	RETURN '{}';
END
$$;
COMMENT ON FUNCTION bm_webhook.console_verify_endpoint(jsonb) IS 'calls verify_endpoint()';
-- What a button is for, as two arrays: the deliveries that a names, or those that match.
CREATE FUNCTION bm_webhook_internal.console_chosen(a jsonb, OUT events uuid[], OUT endpoints bigint[])
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF a ? 'matching' THEN
		IF (a ->> 'dry_run')::boolean IS NOT TRUE AND (a #>> '{matching,until}' IS NULL OR a ->> 'max_rows' IS NULL) THEN
			PERFORM bm_webhook_internal.refuse('what matches must have been counted',
				'"matching" has the "until" of console_count_deliveries(), and "max_rows" is what "dry_run" has said.', '22004');
		END IF;
		SELECT m.events[:10000], m.endpoints[:10000] INTO events, endpoints
			FROM bm_webhook_internal.console_matching(a -> 'matching') m;
	ELSIF a ? 'deliveries' THEN
		SELECT coalesce(array_agg((d ->> 0)::uuid), '{}'), coalesce(array_agg((d ->> 1)::bigint), '{}') INTO events, endpoints
			FROM jsonb_array_elements(a -> 'deliveries') d;
	ELSE
		PERFORM bm_webhook_internal.refuse('nothing says which deliveries', 'Name "deliveries", or say what is "matching".',
			'22004');
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_chosen(jsonb) IS
	'the deliveries that are to be sent again or canceled; 22004, 54000';

CREATE FUNCTION bm_webhook_internal.console_problems(problems text[]) RETURNS jsonb
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object('matched', coalesce(sum(p.n) FILTER (WHERE p.problem IS NULL), 0), 'problems',
		coalesce(jsonb_agg(to_jsonb(p) ORDER BY p.n DESC) FILTER (WHERE p.problem IS NOT NULL), '[]'))
	FROM (SELECT u.problem, count(*) AS n FROM unnest(problems) u (problem) GROUP BY u.problem) p
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_problems(text[]) IS
	'how many of these have none (NULL), and of the others how often each';

-- a: deliveries (an array of [event, endpoint]), or matching (what console_count_deliveries takes, with its since and
-- until); dry_run; max_rows (how many a dry run has said)
CREATE OR REPLACE FUNCTION bm_webhook.console_redeliver(a jsonb) RETURNS jsonb
	LANGUAGE sql SET search_path = pg_catalog, pg_temp SET jit = off AS $$
	SELECT bm_webhook_internal.console_problems(array_agg(r.problem)) FROM bm_webhook_internal.console_chosen(a) c,
		bm_webhook.redeliver_each(c.events, c.endpoints, (a ->> 'max_rows')::bigint,
			coalesce((a ->> 'dry_run')::boolean, false)) r
$$;
COMMENT ON FUNCTION bm_webhook.console_redeliver(jsonb) IS 'calls redeliver_each(), and counts its answers';

-- a: as console_redeliver
CREATE FUNCTION bm_webhook.console_cancel(a jsonb) RETURNS jsonb
	LANGUAGE sql SET search_path = pg_catalog, pg_temp SET jit = off AS $$
	SELECT bm_webhook_internal.console_problems(array_agg(r.problem)) FROM bm_webhook_internal.console_chosen(a) c,
		bm_webhook.cancel_each(c.events, c.endpoints, (a ->> 'max_rows')::bigint,
			coalesce((a ->> 'dry_run')::boolean, false)) r
$$;
COMMENT ON FUNCTION bm_webhook.console_cancel(jsonb) IS 'calls cancel_each(), and counts its answers';
CREATE OR REPLACE FUNCTION bm_webhook.console_redeliver_since(a jsonb) RETURNS jsonb
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT to_jsonb(r) || jsonb_build_object('until', least((a ->> 'until')::timestamptz, now()))
	FROM bm_webhook.redeliver((a ->> 'endpoint')::bigint, (a ->> 'since')::timestamptz,
		least((a ->> 'until')::timestamptz, now()),
		CASE WHEN a ? 'status' THEN ARRAY(SELECT jsonb_array_elements_text(a -> 'status')) ELSE '{failed}' END,
		CASE WHEN a ? 'error_class' THEN ARRAY(SELECT jsonb_array_elements_text(a -> 'error_class')) END,
		(a ->> 'max_rows')::bigint, coalesce((a ->> 'dry_run')::boolean, false)) r
$$;
COMMENT ON FUNCTION bm_webhook.console_redeliver_since(jsonb) IS 'calls redeliver() for a period';
CREATE OR REPLACE FUNCTION bm_webhook.console_recover(a jsonb) RETURNS jsonb
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT to_jsonb(r) || jsonb_build_object('until', least((a ->> 'until')::timestamptz, now()))
	FROM bm_webhook.recover((a ->> 'endpoint')::bigint, (a ->> 'since')::timestamptz,
		least((a ->> 'until')::timestamptz, now()), coalesce((a ->> 'dry_run')::boolean, false)) r
$$;
COMMENT ON FUNCTION bm_webhook.console_recover(jsonb) IS 'calls recover()';
CREATE OR REPLACE FUNCTION bm_webhook.console_set_aside(a jsonb) RETURNS jsonb
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT to_jsonb(s) FROM bm_webhook.set_aside((a ->> 'event')::uuid, (a ->> 'endpoint')::bigint, a ->> 'reason') s
$$;
COMMENT ON FUNCTION bm_webhook.console_set_aside(jsonb) IS 'calls set_aside()';
CREATE OR REPLACE FUNCTION bm_webhook.console_put_back(a jsonb) RETURNS jsonb
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object('put_back',
		bm_webhook.put_back((a ->> 'event')::uuid, (a ->> 'endpoint')::bigint, a ->> 'reason'))
$$;
COMMENT ON FUNCTION bm_webhook.console_put_back(jsonb) IS 'calls put_back()';
CREATE OR REPLACE FUNCTION bm_webhook.console_secret(a jsonb) RETURNS jsonb
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object('secret', bm_webhook.secret((a ->> 'endpoint')::bigint))
$$;
COMMENT ON FUNCTION bm_webhook.console_secret(jsonb) IS 'calls secret(), which records it';
CREATE OR REPLACE FUNCTION bm_webhook.console_rotate_secret(a jsonb) RETURNS jsonb
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object('secret', bm_webhook.rotate_secret((a ->> 'endpoint')::bigint,
		coalesce(a ->> 'overlap', '24 h')::interval, coalesce(a ->> 'kind', 'hmac_sha256')))
$$;
COMMENT ON FUNCTION bm_webhook.console_rotate_secret(jsonb) IS 'calls rotate_secret()';
CREATE OR REPLACE FUNCTION bm_webhook.console_delete_secret(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM bm_webhook.delete_secret((a ->> 'secret')::bigint);
	RETURN '{}';
END
$$;
COMMENT ON FUNCTION bm_webhook.console_delete_secret(jsonb) IS 'calls delete_secret()';
-------------------------------------------------------------------------------
-- Home: is this the database that is to send, or a copy of it?
-------------------------------------------------------------------------------

-- One row is here from the beginning. A dump adds its own, so there are two; a copy of the database has one with the
-- oid of another; a server that was started from a backup knows when that was. pg_upgrade keeps what is compared.
CREATE TABLE bm_webhook_internal.home (
	database oid NOT NULL,
	backup_start text,
	dropping boolean NOT NULL DEFAULT false
);
ALTER TABLE bm_webhook_internal.home OWNER TO bm_webhook;
COMMENT ON TABLE bm_webhook_internal.home IS
	'which database may send: one row, for this one; in a copy it is another row, or there are two';
COMMENT ON COLUMN bm_webhook_internal.home.backup_start IS
	'the last start of the server from a backup, when this was written; NULL: none was known';
COMMENT ON COLUMN bm_webhook_internal.home.dropping IS 'adopt() was told to drop what waits, and that goes on';
SELECT pg_catalog.pg_extension_config_dump('bm_webhook_internal.home', '');

CREATE TRIGGER home_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON bm_webhook_internal.home
	FOR EACH STATEMENT EXECUTE FUNCTION bm_webhook_internal.paused_changed();
ALTER TABLE bm_webhook_internal.home ENABLE ALWAYS TRIGGER home_changed;
COMMENT ON TRIGGER home_changed ON bm_webhook_internal.home IS 'tells the dispatcher';

CREATE FUNCTION bm_webhook_internal.backup_start() RETURNS text
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_backup_start';
COMMENT ON FUNCTION bm_webhook_internal.backup_start() IS
	'when the server was last started from a backup; NULL: it never was, as far as is known';

-- In plpgsql, which plans it once: dispatchers ask after each change of an endpoint.
CREATE FUNCTION bm_webhook_internal.why_not_adopted() RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT CASE WHEN count(*) <> 1 OR bool_or(h.database <> d.oid)
			THEN 'this database is a copy, or from a dump: nothing is sent until adopt() is called in it'
		WHEN min(s.time) <> coalesce(min(h.backup_start), '')
			THEN format('the server was started from a backup (%s): nothing is sent until adopt() is called in this database',
				min(s.time))
		WHEN bool_or(h.dropping)
			THEN 'adopt() drops what waits, before anything is sent: bm_webhook.operation shows how far that is'
		END
	FROM bm_webhook_internal.home h, pg_database d, bm_webhook_internal.backup_start() s (time)
	WHERE d.datname = current_database());
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.why_not_adopted() IS 'why nothing is sent from this database; NULL: it may be';

CREATE FUNCTION bm_webhook_internal.settle(dropping boolean) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	DELETE FROM bm_webhook_internal.home;
	INSERT INTO bm_webhook_internal.home
		SELECT d.oid, bm_webhook_internal.backup_start(), settle.dropping
		FROM pg_database d WHERE d.datname = current_database();
$$;
COMMENT ON FUNCTION bm_webhook_internal.settle(boolean) IS 'this database is at home here';

-- Called by C as the owner of the log, who has seen that the caller may ask for it. What was to be dropped when it was
-- called before, and was not yet, is dropped or kept as is said now.
CREATE FUNCTION bm_webhook_internal.adopt(drop boolean, acting_as name) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	dropped bigint = 0;
BEGIN
	LOCK TABLE bm_webhook_internal.home IN SHARE ROW EXCLUSIVE MODE;
	IF bm_webhook_internal.why_not_adopted() IS NULL THEN
		RAISE NOTICE 'this database sends already: there is nothing to adopt'
			USING HINT = 'cancel() cancels what waits.';
		RETURN 0;
	END IF;
	UPDATE bm_webhook.operation o SET ended_at = clock_timestamp(), error = 'adopt() was called again'
		WHERE o.kind = 'adopt' AND o.ended_at IS NULL;
	IF drop THEN
		SELECT coalesce(sum(b.matched), 0) INTO dropped
			FROM bm_webhook.endpoint p CROSS JOIN LATERAL bm_webhook_internal.begin_operation('adopt', p.id, NULL, NULL, NULL,
				NULL, NULL, NULL, false, adopt.acting_as) b
			WHERE p.deleted_at IS NULL;
	END IF;
	IF dropped = 0 THEN
		INSERT INTO bm_webhook.operation (kind, matched, asked_by, acting_as, ended_at)
			VALUES ('adopt', 0, session_user, adopt.acting_as, clock_timestamp());
	END IF;
	PERFORM bm_webhook_internal.settle(dropped > 0);
	RETURN dropped;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.adopt(boolean, name) IS
	'lets a copy send, when what waits has been dropped if that is wanted; returns how much that is';

-- Only one of two that end at the same time can see that it is the last. What could not be dropped is not sent:
-- somebody has to say what becomes of it.
CREATE FUNCTION bm_webhook_internal.end_drop(o bm_webhook.operation) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	LOCK TABLE bm_webhook_internal.home IN SHARE ROW EXCLUSIVE MODE;
	IF NOT EXISTS (SELECT FROM bm_webhook.operation x
		WHERE x.kind = 'adopt' AND x.xid = o.xid AND (x.ended_at IS NULL OR x.error IS NOT NULL))
	THEN
		UPDATE bm_webhook_internal.home SET dropping = false WHERE dropping;
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.end_drop(bm_webhook.operation) IS
	'lets a copy send, when all that was to be dropped has been';

CREATE FUNCTION bm_webhook.adopt(drop boolean = false) RETURNS bigint
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_adopt';
COMMENT ON FUNCTION bm_webhook.adopt(boolean) IS
	'lets this database send, which is a copy: restored from a dump, made from another database, or of a server that was '
	'started from a backup. What waits is sent, or dropped first (canceled). Returns how many deliveries are dropped; '
	'22004, 42501';

-- What sends until now goes on; but for a server that was started from a backup with this library: there, somebody says.
INSERT INTO bm_webhook_internal.home (database) SELECT oid FROM pg_database WHERE datname = current_database();
REVOKE ALL ON bm_webhook_internal.home FROM PUBLIC;

CREATE OR REPLACE FUNCTION bm_webhook_internal.cancel_some(o bm_webhook.operation, most bigint) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	before uuid = coalesce(bm_webhook.uuid_floor(o.until), 'ffffffff-ffff-ffff-ffff-ffffffffffff');
	changed bigint;
BEGIN
	WITH waiting AS MATERIALIZED (
		SELECT d.event_id, d.attempts FROM bm_webhook.delivery d
			WHERE d.endpoint_id = o.endpoint_id AND d.status = 'pending' AND d.event_id < before
				AND (o.event_id IS NULL OR d.event_id = o.event_id)
				AND (o.events IS NULL OR d.event_id = ANY (o.events))
				AND NOT EXISTS (SELECT FROM bm_webhook.set_aside s
					WHERE s.event_id = d.event_id AND s.endpoint_id = d.endpoint_id)
			LIMIT most FOR NO KEY UPDATE
	), counted AS (
		INSERT INTO bm_webhook_internal.pending_change
			SELECT o.endpoint_id, -count(*), -count(*) FILTER (WHERE w.attempts > 0) FROM waiting w HAVING count(*) > 0
	)
	INSERT INTO bm_webhook.delivery AS d (event_id, endpoint_id, status, attempts, error)
		SELECT w.event_id, o.endpoint_id, 'canceled', 0,
			CASE o.kind WHEN 'adopt' THEN 'dropped by adopt()' ELSE 'canceled by cancel()' END FROM waiting w
		ON CONFLICT (event_id, endpoint_id) DO UPDATE
			SET status = excluded.status, next_attempt_at = NULL, error = excluded.error;
	GET DIAGNOSTICS changed = ROW_COUNT;
	RETURN changed;
END
$$;

CREATE OR REPLACE FUNCTION bm_webhook_internal.operation_step(operation bigint, most bigint, still_to_come boolean,
		in_memory uuid[], OUT has_ended boolean, OUT is_waiting boolean)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	o bm_webhook.operation;
	walked uuid[] = '{}';
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
	ELSIF o.kind IN ('cancel', 'adopt') THEN
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
		walked = ARRAY(SELECT bm_webhook_internal.walk(o, most));
		IF cardinality(walked) > 0 THEN
			changed = CASE o.kind WHEN 'recover' THEN bm_webhook_internal.recover_some(o, walked, in_memory)
				ELSE bm_webhook_internal.redeliver_some(o, walked) END;
		END IF;
		has_ended = cardinality(walked) < most OR coalesce(o.done + changed >= o.max_rows, false);
	END IF;
	UPDATE bm_webhook.operation x SET done = o.done + changed,
			reached = coalesce(walked[cardinality(walked)], o.reached),
			ended_at = CASE WHEN has_ended THEN clock_timestamp() END
		WHERE x.id = o.id AND (changed > 0 OR cardinality(walked) > 0 OR has_ended);
	IF o.kind = 'adopt' AND has_ended THEN
		PERFORM bm_webhook_internal.end_drop(o);
	END IF;
END
$$;

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
	matched = CASE WHEN kind IN ('cancel', 'adopt') THEN bm_webhook_internal.count_waiting(o)
		WHEN kind = 'recover' THEN bm_webhook_internal.count_recoverable(o)
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

-------------------------------------------------------------------------------
-- Statistics and health
-------------------------------------------------------------------------------

CREATE TABLE bm_webhook.endpoint_minute (
	endpoint_id bigint NOT NULL,
	minute timestamptz NOT NULL,
	delivered bigint NOT NULL,
	failed_attempts bigint NOT NULL,
	given_up bigint NOT NULL,
	canceled bigint NOT NULL,
	duration_sum interval NOT NULL,
	histogram integer[] NOT NULL,
	PRIMARY KEY (endpoint_id, minute)
);
CREATE INDEX endpoint_minute_minute_idx ON bm_webhook.endpoint_minute (minute);
COMMENT ON TABLE bm_webhook.endpoint_minute IS
	'what was sent to an endpoint in a minute, by the time of the attempt; kept for 35 days';
COMMENT ON COLUMN bm_webhook.endpoint_minute.given_up IS 'deliveries that became failed';
COMMENT ON COLUMN bm_webhook.endpoint_minute.duration_sum IS 'of the attempts that succeeded';
COMMENT ON COLUMN bm_webhook.endpoint_minute.histogram IS
	'of the attempts that succeeded: element i counts those that took up to 1.1 ^ i ms and more than the element before; '
	'its lower bound is the first one that was needed';

CREATE TABLE bm_webhook.dispatcher_minute (
	minute timestamptz,
	shard integer,
	delivered bigint NOT NULL,
	failed_attempts bigint NOT NULL,
	given_up bigint NOT NULL,
	canceled bigint NOT NULL,
	duration_sum interval NOT NULL,
	histogram integer[] NOT NULL,
	PRIMARY KEY (minute, shard)
);
COMMENT ON TABLE bm_webhook.dispatcher_minute IS
	'what a dispatcher has sent in a minute, as endpoint_minute has it for each endpoint; kept for 35 days';
CREATE TABLE bm_webhook_internal.endpoint_total (
	endpoint_id bigint PRIMARY KEY,
	since timestamptz NOT NULL DEFAULT pg_catalog.now(),
	delivered bigint NOT NULL,
	failed_attempts bigint NOT NULL,
	retries bigint NOT NULL,
	given_up bigint NOT NULL,
	canceled bigint NOT NULL,
	last_success_at timestamptz,
	last_failure_at timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE bm_webhook_internal.endpoint_total IS 'what has become of attempts and deliveries; use stat_endpoint';
CREATE TABLE bm_webhook_internal.endpoint_failure (
	endpoint_id bigint,
	error_class text,
	attempts bigint NOT NULL,
	last_at timestamptz NOT NULL,
	PRIMARY KEY (endpoint_id, error_class)
) WITH (fillfactor = 50);
COMMENT ON TABLE bm_webhook_internal.endpoint_failure IS 'failed attempts by their cause; use stat_endpoint';
CREATE TABLE bm_webhook_internal.dispatcher_total (
	shard integer PRIMARY KEY,
	since timestamptz NOT NULL DEFAULT pg_catalog.now(),
	written_at timestamptz NOT NULL,
	events bigint NOT NULL,
	delivered bigint NOT NULL,
	failed_attempts bigint NOT NULL,
	given_up bigint NOT NULL,
	canceled bigint NOT NULL,
	flushes bigint NOT NULL,
	records bigint NOT NULL,
	largest_flush bigint NOT NULL,
	longest_flush_us bigint NOT NULL,
	failed_flushes bigint NOT NULL,
	intake_us bigint NOT NULL,
	fetch_us bigint NOT NULL,
	send_us bigint NOT NULL,
	record_us bigint NOT NULL,
	upkeep_us bigint NOT NULL,
	idle_us bigint NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE bm_webhook_internal.dispatcher_total IS 'what each dispatcher has done; use stat_dispatcher';
ALTER TABLE bm_webhook.endpoint_minute OWNER TO bm_webhook;
ALTER TABLE bm_webhook.dispatcher_minute OWNER TO bm_webhook;
ALTER TABLE bm_webhook_internal.endpoint_total OWNER TO bm_webhook;
ALTER TABLE bm_webhook_internal.endpoint_failure OWNER TO bm_webhook;
ALTER TABLE bm_webhook_internal.dispatcher_total OWNER TO bm_webhook;

ALTER TABLE bm_webhook.endpoint_minute ENABLE ROW LEVEL SECURITY;
CREATE POLICY member ON bm_webhook.endpoint_minute USING (bm_webhook_internal.sees_all('bm_webhook.endpoint_minute')
	OR bm_webhook_internal.owns_endpoint(endpoint_id));
ALTER TABLE bm_webhook.dispatcher_minute ENABLE ROW LEVEL SECURITY;
CREATE POLICY operator ON bm_webhook.dispatcher_minute
	USING (bm_webhook_internal.sees_all('bm_webhook.dispatcher_minute'));

CREATE FUNCTION bm_webhook_internal.add_histograms(a integer[], b integer[]) RETURNS integer[]
	LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce((SELECT format('[%s:%s]={%s}', min(i), max(i),
			string_agg((coalesce(a[i], 0) + coalesce(b[i], 0))::text, ',' ORDER BY i))
		FROM generate_series(least(array_lower(a, 1), array_lower(b, 1)), greatest(array_upper(a, 1), array_upper(b, 1))) i
		HAVING count(*) > 0), '{}')::integer[]
$$;
COMMENT ON FUNCTION bm_webhook_internal.add_histograms(integer[], integer[]) IS
	'the sum of two histograms of endpoint_minute';

CREATE FUNCTION bm_webhook.latency(endpoint bigint, since timestamptz, fraction float8 = 0.5) RETURNS interval
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT make_interval(secs => power(1.1, x.i) / 1000) FROM (
		SELECT u.i, sum(sum(m.histogram[u.i])) OVER (ORDER BY u.i) AS so_far, sum(sum(m.histogram[u.i])) OVER () AS total
		FROM bm_webhook.endpoint_minute m, LATERAL generate_subscripts(m.histogram, 1) u (i)
		WHERE m.endpoint_id = latency.endpoint AND m.minute >= latency.since GROUP BY u.i) x
	WHERE x.so_far >= ceil(fraction * x.total) AND x.so_far > 0 ORDER BY x.i LIMIT 1
$$;
COMMENT ON FUNCTION bm_webhook.latency(bigint, timestamptz, float8) IS
	'how long this fraction of the successful attempts since then has taken at most, up to a tenth too long';

CREATE FUNCTION bm_webhook_internal.sees_statistics() RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN bm_webhook_internal.sees_all('bm_webhook.operation') OR pg_catalog.pg_has_role('pg_monitor', 'USAGE');
COMMENT ON FUNCTION bm_webhook_internal.sees_statistics() IS 'does the current user see those of all endpoints?';

-- With the rights of their owner, so that pg_monitor needs no right to what was sent. What is read for each endpoint,
-- and the first cause that is true of it, found out once; nothing volatile, as that would be computed unasked.
CREATE VIEW bm_webhook_internal.endpoint_now WITH (security_barrier = true) AS
	SELECT p.id AS endpoint_id, p.application, p.paused_at, s.failing_since, s.disabled_at, s.disabled_reason,
		s.unverified_since, s.verification_error, f.since AS application_full_since,
		t.since, t.delivered, t.failed_attempts, t.retries, t.given_up, t.canceled, t.last_success_at, t.last_failure_at,
		a.in_flight, a.allowed_in_flight, a.held_until, a.reason AS pace, a.as_of, coalesce(q.pending, 0) AS pending,
		w.oldest,
		coalesce(pg_catalog.date_part('epoch', pg_catalog.statement_timestamp() - w.oldest), 0) AS lag_seconds,
		CASE WHEN NOT p.enabled THEN 'disabled' WHEN (SELECT d.reason FROM bm_webhook_internal.dispatchers() d
				JOIN pg_catalog.pg_database b ON b.oid = d.database
				WHERE b.datname = pg_catalog.current_database() AND d.state = 'not adopted' LIMIT 1) IS NOT NULL THEN 'not adopted'
			WHEN (SELECT e.everything FROM bm_webhook.paused e WHERE e.everything) THEN 'by all'
			WHEN p.application IN (SELECT y.name FROM bm_webhook.application y WHERE y.paused_at IS NOT NULL)
				THEN 'by application'
			WHEN p.paused_at IS NOT NULL THEN 'by endpoint'
			WHEN s.unverified_since IS NOT NULL AND bm_webhook_internal.verifies() THEN 'unverified'
			WHEN s.failing_since IS NOT NULL OR t.last_failure_at > coalesce(t.last_success_at, '-infinity') THEN 'failing'
			WHEN f.since IS NOT NULL THEN 'full'
			WHEN a.held_until > pg_catalog.statement_timestamp() THEN 'held' WHEN a.reason IS NOT NULL THEN 'slowed'
			WHEN w.oldest < pg_catalog.statement_timestamp() - interval '5 min' THEN 'behind' ELSE 'healthy' END AS cause
	FROM bm_webhook.endpoint p
	LEFT JOIN bm_webhook.endpoint_state s ON s.endpoint_id = p.id
	LEFT JOIN bm_webhook_internal.endpoint_total t ON t.endpoint_id = p.id
	LEFT JOIN bm_webhook_internal.endpoint_paces() a ON a.endpoint_id = p.id
	LEFT JOIN (SELECT o.endpoint_id, bm_webhook.uuid_time(o.event_id) AS oldest
		FROM bm_webhook_internal.first_pending() o) w ON w.endpoint_id = p.id
	LEFT JOIN bm_webhook_internal.full_application f ON f.application = p.application
	LEFT JOIN (SELECT c.endpoint_id, pg_catalog.sum(c.pending)::bigint AS pending FROM (SELECT y.endpoint_id, y.pending
			FROM bm_webhook_internal.pending_count y
			UNION ALL SELECT y.endpoint_id, y.pending FROM bm_webhook_internal.pending_change y) c
		GROUP BY c.endpoint_id) q ON q.endpoint_id = p.id
	WHERE p.deleted_at IS NULL AND ((SELECT bm_webhook_internal.sees_statistics())
		OR bm_webhook_internal.owns_endpoint(p.id));
COMMENT ON VIEW bm_webhook_internal.endpoint_now IS
	'what stat_endpoint and endpoint_health say of each endpoint; cause: why it is not healthy';
REVOKE ALL ON bm_webhook_internal.endpoint_now FROM PUBLIC;

CREATE OR REPLACE VIEW bm_webhook.stat_endpoint WITH (security_barrier = true) AS
	SELECT p.endpoint_id, p.application, p.since, coalesce(p.delivered + p.failed_attempts, 0) AS attempts,
		coalesce(p.delivered, 0) AS delivered, coalesce(p.failed_attempts, 0) AS failed_attempts,
		coalesce((SELECT pg_catalog.jsonb_object_agg(f.error_class, f.attempts) FROM bm_webhook_internal.endpoint_failure f
			WHERE f.endpoint_id = p.endpoint_id), '{}') AS failures,
		coalesce(p.retries, 0) AS retries, coalesce(p.given_up, 0) AS given_up, coalesce(p.canceled, 0) AS canceled,
		p.last_success_at, p.last_failure_at, p.failing_since, p.in_flight, p.allowed_in_flight, p.held_until, p.pending,
		p.lag_seconds, p.application_full_since
	FROM bm_webhook_internal.endpoint_now p;
COMMENT ON VIEW bm_webhook.stat_endpoint IS
	'what has become of attempts and deliveries of each endpoint since stat_reset(), up to the last minute that ended; '
	'and what waits for it now';
COMMENT ON COLUMN bm_webhook.stat_endpoint.failures IS 'failed attempts, by error_class';
COMMENT ON COLUMN bm_webhook.stat_endpoint.retries IS 'attempts that were not the first of their delivery';
COMMENT ON COLUMN bm_webhook.stat_endpoint.given_up IS 'deliveries that became failed';
COMMENT ON COLUMN bm_webhook.stat_endpoint.in_flight IS
	'requests without an answer yet, as of the last second; NULL: nothing was sent to it lately';
COMMENT ON COLUMN bm_webhook.stat_endpoint.allowed_in_flight IS
	'its window: requests at the same time, as its dispatcher has found out';
COMMENT ON COLUMN bm_webhook.stat_endpoint.pending IS 'deliveries that wait in the table';
COMMENT ON COLUMN bm_webhook.stat_endpoint.lag_seconds IS
	'how long ago the oldest event that waits in the table was captured; 0: nothing waits there';
COMMENT ON COLUMN bm_webhook.stat_endpoint.application_full_since IS
	'since when as much waits for its application as max_waiting allows, so that no more is accepted; NULL: less does';

CREATE FUNCTION bm_webhook_internal.keeper(OUT ended_at timestamptz, OUT seconds float8, OUT problem text)
	RETURNS SETOF record LANGUAGE c STRICT ROWS 1 AS 'MODULE_PATHNAME', 'bm_webhook_keeper';
COMMENT ON FUNCTION bm_webhook_internal.keeper() IS
	'what shared memory says of the last run of the keeper of this database; use stat_dispatcher';
REVOKE ALL ON FUNCTION bm_webhook_internal.keeper() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION bm_webhook_internal.keeper() TO bm_webhook;
CREATE VIEW bm_webhook.stat_dispatcher WITH (security_barrier = true) AS
	SELECT d.shard, d.state, d.reason, d.since AS state_since, d.in_flight, d.queued, d.unrecorded, d.sent, d.resent,
		t.since, t.written_at, coalesce(t.events, 0) AS events,
		coalesce(t.delivered, 0) AS delivered, coalesce(t.failed_attempts, 0) AS failed_attempts,
		coalesce(t.given_up, 0) AS given_up, coalesce(t.canceled, 0) AS canceled, coalesce(t.flushes, 0) AS flushes,
		coalesce(t.records, 0) AS records, coalesce(t.largest_flush, 0) AS largest_flush,
		coalesce(t.longest_flush_us, 0) / 1e6::float8 AS longest_flush_seconds,
		coalesce(t.failed_flushes, 0) AS failed_flushes, d.capture_failures,
		(SELECT pg_catalog.count(*) FROM bm_webhook.set_aside a WHERE a.asked_by IS NULL) AS set_aside,
		coalesce((SELECT pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - e.created_at)
			FROM bm_webhook.cursor c CROSS JOIN LATERAL (SELECT x.xid, x.created_at FROM bm_webhook.event x
				WHERE x.xid >= pg_catalog.pg_snapshot_xmin(c.snapshot)
					AND NOT pg_catalog.pg_visible_in_snapshot(x.xid, c.snapshot)
					AND x.id >= bm_webhook.uuid_floor(CASE WHEN c.since BETWEEN '1970-01-02 UTC' AND pg_catalog.now()
						THEN c.since - interval '1 day' ELSE '1970-01-01 UTC' END) ORDER BY x.xid, x.id LIMIT 1) e
			WHERE c.shard = coalesce(d.shard, c.shard) ORDER BY e.xid LIMIT 1), 0) AS lag_seconds,
		coalesce(t.intake_us, 0) / 1e6::float8 AS intake_seconds, coalesce(t.fetch_us, 0) / 1e6::float8 AS fetch_seconds,
		coalesce(t.send_us, 0) / 1e6::float8 AS send_seconds, coalesce(t.record_us, 0) / 1e6::float8 AS record_seconds,
		coalesce(t.upkeep_us, 0) / 1e6::float8 AS upkeep_seconds, coalesce(t.idle_us, 0) / 1e6::float8 AS idle_seconds,
		k.ended_at AS keeper_ended_at, k.seconds AS keeper_seconds, k.problem AS keeper_problem
	FROM bm_webhook_internal.dispatchers() d LEFT JOIN bm_webhook_internal.dispatcher_total t ON t.shard = d.shard
		LEFT JOIN bm_webhook_internal.keeper() k ON d.shard = 0
	WHERE d.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
		AND (SELECT bm_webhook_internal.sees_statistics());
COMMENT ON VIEW bm_webhook.stat_dispatcher IS
	'what each dispatcher of this database does now, and what it has done since stat_reset(), up to the last minute that '
	'ended';
COMMENT ON COLUMN bm_webhook.stat_dispatcher.intake_seconds IS
	'time in which it took events: read them, and found out for whom they are';
COMMENT ON COLUMN bm_webhook.stat_dispatcher.fetch_seconds IS 'in which it read from the table what is due';
COMMENT ON COLUMN bm_webhook.stat_dispatcher.send_seconds IS
	'in which it signed and sent, and read answers; not that in which it waited for them';
COMMENT ON COLUMN bm_webhook.stat_dispatcher.record_seconds IS 'in which it wrote outcomes';
COMMENT ON COLUMN bm_webhook.stat_dispatcher.upkeep_seconds IS
	'in which it did everything else: operations, counts, partitions';
COMMENT ON COLUMN bm_webhook.stat_dispatcher.idle_seconds IS
	'in which it had nothing to do but wait, for events, answers or the time of a retry';
COMMENT ON COLUMN bm_webhook.stat_dispatcher.sent IS 'requests since the dispatcher was started';
COMMENT ON COLUMN bm_webhook.stat_dispatcher.events IS
	'that it took; each dispatcher takes all, and sends to its own endpoints';
COMMENT ON COLUMN bm_webhook.stat_dispatcher.records IS 'outcomes that were written, in so many flushes';
COMMENT ON COLUMN bm_webhook.stat_dispatcher.failed_flushes IS 'those that could not be written, or only in parts';
COMMENT ON COLUMN bm_webhook.stat_dispatcher.keeper_ended_at IS
	'of the database, in the row of shard 0: when the keeper of the log was last done; NULL: it has not run since the '
	'server was started, as there was nothing to do';
COMMENT ON COLUMN bm_webhook.stat_dispatcher.keeper_seconds IS 'how long it took';
COMMENT ON COLUMN bm_webhook.stat_dispatcher.keeper_problem IS 'what it could not do then; NULL: it did everything';
COMMENT ON COLUMN bm_webhook.stat_dispatcher.lag_seconds IS
	'how long ago the oldest event was captured of which it has written nothing yet; 0: there is none';

CREATE FUNCTION bm_webhook.stat_reset(endpoint bigint = NULL) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	DELETE FROM bm_webhook_internal.endpoint_total t WHERE endpoint IS NULL OR t.endpoint_id = endpoint;
	DELETE FROM bm_webhook_internal.endpoint_failure f WHERE endpoint IS NULL OR f.endpoint_id = endpoint;
	DELETE FROM bm_webhook_internal.dispatcher_total WHERE endpoint IS NULL;
$$;
COMMENT ON FUNCTION bm_webhook.stat_reset(bigint) IS
	'begins the counters of stat_endpoint anew, of one endpoint or of all and of stat_dispatcher; endpoint_minute stays';

-- Which rows there are, endpoint_now says; no barrier here, so that of the worst few, words are made of these alone.
CREATE OR REPLACE VIEW bm_webhook.endpoint_health AS
	SELECT x.endpoint_id, x.application,
		(SELECT CASE WHEN bm_webhook_internal.sees_all('bm_webhook.operation')
				OR bm_webhook_internal.owns_endpoint(p.id) THEN pg_catalog.split_part(p.url, '?', 1)
			ELSE pg_catalog.substring(p.url, '^[a-z]+://[^/?]+') END
			FROM bm_webhook.endpoint p WHERE p.id = x.endpoint_id) AS url,
		CASE WHEN x.cause IN ('not adopted', 'by all', 'by application', 'by endpoint') THEN 'paused'
			ELSE x.cause END AS state,
		CASE x.cause WHEN 'healthy' THEN NULL WHEN 'disabled' THEN x.disabled_at
			WHEN 'by all' THEN (SELECT e.paused_at FROM bm_webhook.paused e WHERE e.everything)
			WHEN 'by application' THEN (SELECT a.paused_at FROM bm_webhook.application a WHERE a.name = x.application)
			WHEN 'by endpoint' THEN x.paused_at
			WHEN 'unverified' THEN x.unverified_since
			WHEN 'failing' THEN coalesce(x.failing_since, x.last_failure_at) WHEN 'full' THEN x.application_full_since
			WHEN 'held' THEN x.as_of
			WHEN 'slowed' THEN x.as_of
			WHEN 'behind' THEN x.oldest END AS since,
		CASE x.cause WHEN 'disabled' THEN coalesce(x.disabled_reason, 'somebody has set enabled to false')
			WHEN 'not adopted' THEN (SELECT d.reason FROM bm_webhook_internal.dispatchers() d
				JOIN pg_catalog.pg_database b ON b.oid = d.database
				WHERE b.datname = pg_catalog.current_database() AND d.state = 'not adopted' LIMIT 1)
			WHEN 'by all' THEN pg_catalog.concat_ws(': ', 'everything is paused',
				(SELECT e.reason FROM bm_webhook.paused e WHERE e.everything))
			WHEN 'by application' THEN 'its application is paused' WHEN 'by endpoint' THEN 'it is paused'
			WHEN 'unverified' THEN pg_catalog.concat_ws(': ', 'it has not proved its URL yet', x.verification_error)
			WHEN 'failing' THEN pg_catalog.concat_ws(': ', 'its last attempts have failed',
				(SELECT y.error_class FROM bm_webhook_internal.endpoint_failure y WHERE y.endpoint_id = x.endpoint_id
					ORDER BY y.last_at DESC LIMIT 1))
			WHEN 'full' THEN 'as much waits as max_waiting of the application allows'
			WHEN 'held' THEN coalesce(x.pace, 'the receiver asks to wait') WHEN 'slowed' THEN x.pace
			WHEN 'behind' THEN 'what waits is older than five minutes' END AS reason,
		x.pending, x.lag_seconds,
		CASE x.cause
			WHEN 'disabled' THEN 'When the receiver is well, set enabled to true, and call recover() for what was missed.'
			WHEN 'not adopted' THEN 'Call adopt(), if it is to send.'
			WHEN 'by all' THEN 'Call resume(everything => true).'
			WHEN 'by application' THEN 'Call resume(application => ...).'
			WHEN 'by endpoint' THEN 'Call resume(endpoint => ...).'
			WHEN 'unverified' THEN 'The receiver has to answer the challenge; verify_endpoint() asks again at once.'
			WHEN 'failing' THEN 'See error and response in bm_webhook.attempt. What waits is sent when the receiver is back.'
			WHEN 'full' THEN 'See which endpoints of the application have most pending; or an administrator raises max_waiting.'
			WHEN 'held' THEN 'Nothing: it is sent to again by itself.'
			WHEN 'slowed' THEN 'Nothing, as long as nothing waits; else the receiver needs more capacity.'
			WHEN 'behind' THEN 'See next_attempt_at in bm_webhook.delivery: max_in_flight or rate_limit may be too low.'
			END AS advice
	FROM bm_webhook_internal.endpoint_now x;
COMMENT ON VIEW bm_webhook.endpoint_health IS
	'how each endpoint is: disabled, paused, unverified, failing, full, held, slowed, behind or healthy; since when, why, '
	'what waits, and what to do';
COMMENT ON COLUMN bm_webhook.endpoint_health.url IS
	'without its query; for members of pg_monitor also without its path, which may have a token';

REVOKE ALL ON bm_webhook.endpoint_minute, bm_webhook.dispatcher_minute, bm_webhook.stat_dispatcher,
	bm_webhook.stat_endpoint, bm_webhook.endpoint_health,
	bm_webhook_internal.endpoint_total, bm_webhook_internal.endpoint_failure, bm_webhook_internal.dispatcher_total FROM PUBLIC;
REVOKE ALL ON FUNCTION bm_webhook_internal.add_histograms(integer[], integer[]), bm_webhook_internal.sees_statistics(),
	bm_webhook.latency(bigint, timestamptz, float8), bm_webhook.stat_reset(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION bm_webhook_internal.add_histograms(integer[], integer[]), bm_webhook_internal.sees_statistics()
	TO bm_webhook;
-------------------------------------------------------------------------------
-- Days: what became of messages and deliveries, counted by the keeper, so that reports need not read the log
-------------------------------------------------------------------------------

CREATE TABLE bm_webhook.message_day (
	day date NOT NULL,
	application text,
	channel text,
	campaign text,
	messages bigint NOT NULL,
	sent bigint NOT NULL,
	delivered bigint NOT NULL,
	read bigint NOT NULL,
	failed bigint NOT NULL,
	canceled bigint NOT NULL,
	median_time_to_deliver interval,
	p95_time_to_deliver interval,
	median_time_to_read interval,
	p95_time_to_read interval
);
CREATE INDEX message_day_day_idx ON bm_webhook.message_day (day, messages);
CREATE INDEX message_day_application_idx ON bm_webhook.message_day (application, day);
COMMENT ON TABLE bm_webhook.message_day IS
	'message_rate() by campaign of each of the last 32 days (UTC), as it was last counted; kept as long as the log';

CREATE TABLE bm_webhook.delivery_day (
	endpoint_id bigint NOT NULL,
	day date NOT NULL,
	events bigint NOT NULL,
	delivered bigint NOT NULL,
	failed bigint NOT NULL,
	canceled bigint NOT NULL,
	pending bigint NOT NULL,
	retries bigint NOT NULL,
	worst_p95_latency interval,
	PRIMARY KEY (endpoint_id, day)
);
CREATE INDEX delivery_day_day_idx ON bm_webhook.delivery_day (day, events);
COMMENT ON TABLE bm_webhook.delivery_day IS
	'delivery_rate() of each endpoint and each of the last 32 days (UTC), as it was last counted; kept as long as the log';
COMMENT ON COLUMN bm_webhook.delivery_day.worst_p95_latency IS 'the 95th percentile of its worst hour';

CREATE TABLE bm_webhook_internal.counted_day (
	day date PRIMARY KEY,
	counted_at timestamptz NOT NULL,
	took interval NOT NULL
);
COMMENT ON TABLE bm_webhook_internal.counted_day IS
	'when message_day and delivery_day were last counted, and how long it took';
ALTER TABLE bm_webhook.message_day OWNER TO bm_webhook;
ALTER TABLE bm_webhook.delivery_day OWNER TO bm_webhook;
ALTER TABLE bm_webhook_internal.counted_day OWNER TO bm_webhook;

ALTER TABLE bm_webhook.message_day ENABLE ROW LEVEL SECURITY;
ALTER TABLE bm_webhook.delivery_day ENABLE ROW LEVEL SECURITY;
CREATE POLICY member ON bm_webhook.message_day USING (bm_webhook_internal.sees_all('bm_webhook.message_day')
	OR bm_webhook_internal.owns_application(application, false));
CREATE POLICY member ON bm_webhook.delivery_day USING (bm_webhook_internal.sees_all('bm_webhook.delivery_day')
	OR bm_webhook_internal.owns_endpoint(endpoint_id));

-- Statuses still come for some days: so the three days before are counted again each six hours. Where counting takes
-- longer than a second, it takes a hundredth of the time at most, and a tenth as long as there are days that never
-- were.
CREATE OR REPLACE FUNCTION bm_webhook_internal.day_to_count() RETURNS date
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT d.day FROM (SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date - n AS day, n FROM generate_series(0, 31) n) d
		LEFT JOIN bm_webhook_internal.counted_day c ON c.day = d.day
	WHERE current_setting('bm_webhook.count_days', true)::boolean
		AND (c.day IS NULL OR d.n > 0 AND c.counted_at < (d.day + 1)::timestamp AT TIME ZONE 'UTC'
			OR c.counted_at < (d.day + 4)::timestamp AT TIME ZONE 'UTC'
				AND c.counted_at < clock_timestamp() - CASE d.n WHEN 0 THEN interval '5 min' ELSE interval '6 hours' END)
		AND NOT EXISTS (SELECT FROM bm_webhook_internal.counted_day l
			WHERE l.took > interval '1 s'
				AND l.counted_at + l.took > clock_timestamp() - CASE WHEN c.day IS NULL THEN 10 ELSE 100 END * l.took)
	ORDER BY c.counted_at NULLS FIRST, d.n LIMIT 1
$$;
COMMENT ON FUNCTION bm_webhook_internal.day_to_count() IS 'which day (UTC) is to be counted now; NULL: none';

-- Nothing is written before all is counted: a transaction that writes for long holds up those who follow what commits.
CREATE OR REPLACE FUNCTION bm_webhook_internal.count_day() RETURNS boolean
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	began timestamptz = clock_timestamp();
	counted date = bm_webhook_internal.day_to_count();
	since timestamptz = counted::timestamp AT TIME ZONE 'UTC';
	until timestamptz = (counted + 1)::timestamp AT TIME ZONE 'UTC';
	log_begins date;
	messages bm_webhook.message_day[];
	deliveries bm_webhook.delivery_day[];
BEGIN
	IF counted IS NULL THEN
		RETURN false;
	END IF;
	log_begins = (coalesce(bm_webhook.uuid_time((SELECT e.id FROM bm_webhook.event e ORDER BY e.id LIMIT 1)), began)
		AT TIME ZONE 'UTC')::date;
	messages = ARRAY(SELECT (counted, r.application, r.channel, r.campaign, r.messages, r.sent, r.delivered, r.read,
			r.failed, r.canceled, r.median_time_to_deliver, r.p95_time_to_deliver, r.median_time_to_read,
			r.p95_time_to_read)::bm_webhook.message_day
		FROM bm_webhook.message_rate(since, until) r);
	deliveries = ARRAY(SELECT (r.endpoint_id, counted, sum(r.events), sum(r.delivered), sum(r.failed), sum(r.canceled),
			sum(r.pending), sum(r.retries), max(r.p95_latency))::bm_webhook.delivery_day
		FROM bm_webhook.delivery_rate(since, until) r GROUP BY r.endpoint_id);
	DELETE FROM bm_webhook.message_day m WHERE m.day = counted OR m.day < log_begins;
	DELETE FROM bm_webhook.delivery_day d WHERE d.day = counted OR d.day < log_begins;
	DELETE FROM bm_webhook_internal.counted_day c WHERE c.day = counted OR c.day < counted - 40;
	INSERT INTO bm_webhook.message_day SELECT * FROM unnest(messages);
	INSERT INTO bm_webhook.delivery_day SELECT * FROM unnest(deliveries);
	INSERT INTO bm_webhook_internal.counted_day VALUES (counted, began, clock_timestamp() - began);
	RETURN true;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.count_day() IS 'counts the day that is to be counted now; false: there is none';
REVOKE ALL ON bm_webhook.message_day, bm_webhook.delivery_day, bm_webhook_internal.counted_day FROM PUBLIC;
GRANT EXECUTE ON FUNCTION bm_webhook.message_rate(timestamptz, timestamptz, text),
	bm_webhook.delivery_rate(timestamptz, timestamptz) TO bm_webhook;

-- Retention: whole partitions go, and what is in the default ones comes into its days.
CREATE OR REPLACE FUNCTION bm_webhook_internal.partitions(OUT parent name, OUT name name, OUT since timestamptz,
	OUT until timestamptz) RETURNS SETOF record
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT p.relname, c.relname, bm_webhook.uuid_time(substring(b.text FROM $r$FROM \('([0-9a-f-]{36})'\)$r$)::uuid),
		bm_webhook.uuid_time(substring(b.text FROM $r$TO \('([0-9a-f-]{36})'\)$r$)::uuid)
	FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
		CROSS JOIN LATERAL (SELECT pg_get_expr(c.relpartbound, c.oid) AS text) b
	WHERE i.inhparent IN ('bm_webhook.event'::regclass, 'bm_webhook.delivery'::regclass,
		'bm_webhook.failed_attempt'::regclass)
$$;
COMMENT ON FUNCTION bm_webhook_internal.partitions() IS
	'the partitions of the log, and which time each is for; use the view partition_list';
CREATE OR REPLACE FUNCTION bm_webhook_internal.partition_key(parent text) RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	RETURN CASE parent WHEN 'event' THEN 'id' ELSE 'event_id' END;
COMMENT ON FUNCTION bm_webhook_internal.partition_key(text) IS 'the column by which a table of the log is partitioned';
CREATE OR REPLACE FUNCTION bm_webhook_internal.range_around(parent text, at timestamptz, OUT since timestamptz,
	OUT until timestamptz)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT greatest(w.since, max(p.until) FILTER (WHERE p.until <= at)),
		least(w.until, min(p.since) FILTER (WHERE p.since > at))
	FROM (SELECT date_trunc(i, at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS since,
			(date_trunc(i, at AT TIME ZONE 'UTC') + ('1 ' || i)::interval) AT TIME ZONE 'UTC' AS until
			FROM coalesce(current_setting('bm_webhook.partition_interval', true), 'day') i) w
		LEFT JOIN bm_webhook_internal.partitions() p ON p.parent = range_around.parent
	GROUP BY w.since, w.until
$$;
COMMENT ON FUNCTION bm_webhook_internal.range_around(text, timestamptz) IS
	'the range of a partition for rows of this time';
-- To the owner of the log and the role that made it everything is left.
CREATE FUNCTION bm_webhook_internal.revoke_defaults(class oid, object oid) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	command text;
BEGIN
	FOR command IN SELECT format('REVOKE ALL ON %s FROM %s', o.name,
			CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END)
		FROM (SELECT format('SCHEMA %s', n.oid::regnamespace) AS name, n.nspacl AS acl FROM pg_namespace n
				WHERE class = 'pg_namespace'::regclass AND n.oid = object
			UNION ALL SELECT format('FUNCTION %s', p.oid::regprocedure), p.proacl FROM pg_proc p
				WHERE class = 'pg_proc'::regclass AND p.oid = object
			UNION ALL SELECT format('TABLE %s', c.oid::regclass), c.relacl FROM pg_class c
				WHERE class = 'pg_class'::regclass AND c.oid = object) o
			CROSS JOIN LATERAL aclexplode(o.acl) x
		WHERE x.grantee NOT IN (x.grantor, 'bm_webhook'::regrole)
	LOOP
		EXECUTE command;
	END LOOP;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.revoke_defaults(oid, oid) IS
	'takes away what ALTER DEFAULT PRIVILEGES has granted of a new schema, function or table of the extension';
CREATE OR REPLACE FUNCTION bm_webhook_internal.create_partition_table(parent text, name text, first uuid, beyond uuid) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	EXECUTE format('CREATE TABLE bm_webhook_internal.%I (LIKE bm_webhook.%I INCLUDING ALL)'
		' WITH (autovacuum_freeze_min_age = 0, autovacuum_vacuum_insert_scale_factor = 0.1,'
		' toast.autovacuum_freeze_min_age = 0, toast.autovacuum_vacuum_insert_scale_factor = 0.1)', name, parent);
	EXECUTE format('ALTER TABLE bm_webhook_internal.%I OWNER TO bm_webhook', name);
	-- a partition has no policies
	PERFORM bm_webhook_internal.revoke_defaults('pg_class'::regclass,
		to_regclass(format('bm_webhook_internal.%I', name)));
	EXECUTE format('ALTER TABLE bm_webhook_internal.%I ADD CONSTRAINT inside CHECK (%I >= %L AND %2$I < %4$L)', name,
		bm_webhook_internal.partition_key(parent), first, beyond);
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.create_partition_table(text, text, uuid, uuid) IS
	'makes a table that can be attached as a partition';
CREATE OR REPLACE FUNCTION bm_webhook_internal.attach_partition(parent text, name text, first uuid, beyond uuid) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	key text = bm_webhook_internal.partition_key(parent);
	others regclass = format('bm_webhook_internal.%I', parent || '_default');
	is_taken boolean;
BEGIN
	EXECUTE format('ALTER TABLE %s ADD CONSTRAINT outside CHECK (%I < %L OR %2$I >= %4$L) NOT VALID', others, key, first,
		beyond);
	EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE %I >= %L AND %2$I < %4$L)', others, key, first, beyond)
		INTO is_taken;
	IF is_taken THEN
		RAISE check_violation;
	END IF;
	IF (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) THEN
		UPDATE pg_constraint c SET convalidated = true WHERE c.conrelid = others AND c.conname = 'outside';
		UPDATE pg_class c SET relname = c.relname WHERE c.oid = others;	-- makes everybody read the constraint again
	END IF;
	EXECUTE format('ALTER TABLE bm_webhook.%I ATTACH PARTITION bm_webhook_internal.%I FOR VALUES FROM (%L) TO (%L)',
		parent, name, first, beyond);
	EXECUTE format('ALTER TABLE %s DROP CONSTRAINT outside', others);
	EXECUTE format('ALTER TABLE bm_webhook_internal.%I DROP CONSTRAINT inside', name);
	IF NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND deptype = 'e'
			AND objid = to_regclass(format('bm_webhook_internal.%I', name))) THEN
		EXECUTE format('ALTER EXTENSION bm_webhook ADD TABLE bm_webhook_internal.%I', name);
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.attach_partition(text, text, uuid, uuid) IS
	'makes the table a partition, whatever the size of the default one; 23514 when that has rows of the range';
CREATE OR REPLACE FUNCTION bm_webhook_internal.create_partition(parent text, day date) RETURNS boolean
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '250ms' AS $$
DECLARE
	at timestamptz = day::timestamp AT TIME ZONE 'UTC';
	part record;
	name text;
	is_taken boolean;
BEGIN
	IF EXISTS (SELECT FROM bm_webhook_internal.partitions() p
			WHERE p.parent = create_partition.parent AND p.since <= at AND p.until > at) THEN
		RETURN false;
	END IF;
	part = bm_webhook_internal.range_around(parent, at);
	IF part.since < clock_timestamp() AND at > clock_timestamp() THEN
		part.since = at;
	END IF;
	name = parent || to_char(part.since AT TIME ZONE 'UTC', '_YYYYMMDD');
	EXECUTE format('SELECT EXISTS (SELECT FROM bm_webhook_internal.%I WHERE %I >= %L AND %2$I < %4$L)',
		parent || '_default', bm_webhook_internal.partition_key(parent), bm_webhook.uuid_floor(part.since),
		bm_webhook.uuid_floor(part.until)) INTO is_taken;
	IF is_taken OR to_regclass(format('bm_webhook_internal.%I', name)) IS NOT NULL THEN
		RETURN false;
	END IF;
	PERFORM bm_webhook_internal.create_partition_table(parent, name, bm_webhook.uuid_floor(part.since),
		bm_webhook.uuid_floor(part.until));
	PERFORM bm_webhook_internal.attach_partition(parent, name, bm_webhook.uuid_floor(part.since),
		bm_webhook.uuid_floor(part.until));
	RETURN true;
EXCEPTION WHEN check_violation OR lock_not_available OR duplicate_table OR unique_violation OR duplicate_object THEN
	RETURN false;	-- a row came in between, the table is busy, or another made it: there is a next time
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.create_partition(text, date) IS
	'makes the partition that a UTC day lies in; false when there is one, or rows of its range are in the default';
CREATE OR REPLACE FUNCTION bm_webhook_internal.missing_partitions(days integer) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH p AS MATERIALIZED (SELECT * FROM bm_webhook_internal.partitions())
	SELECT string_agg(t.parent || to_char(d.at AT TIME ZONE 'UTC', '_YYYYMMDD'), ', ')
	FROM unnest('{event,delivery,failed_attempt}'::text[]) t (parent), generate_series(1, days) day
		CROSS JOIN LATERAL (SELECT ((clock_timestamp() AT TIME ZONE 'UTC')::date + day)::timestamp AT TIME ZONE 'UTC' AS at) d
	WHERE NOT EXISTS (SELECT FROM p WHERE p.parent = t.parent AND p.since <= d.at AND p.until > d.at)
$$;
COMMENT ON FUNCTION bm_webhook_internal.missing_partitions(integer) IS
	'which partitions of the next days (UTC) there are not; NULL: there are all';
CREATE OR REPLACE VIEW bm_webhook.partition_list WITH (security_invoker = true) AS
	SELECT p.parent AS log, p.name, p.since, p.until, pg_total_relation_size(c.oid) AS bytes,
		CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint END AS rows,
		date_trunc('hour', clock_timestamp() - p.until) AS age
	FROM bm_webhook_internal.partitions() p
		JOIN pg_class c ON c.relnamespace = 'bm_webhook_internal'::regnamespace AND c.relname = p.name;
COMMENT ON VIEW bm_webhook.partition_list IS 'the partitions of event, delivery and failed_attempt, and their size';
COMMENT ON COLUMN bm_webhook.partition_list.log IS 'event, delivery or failed_attempt';
COMMENT ON COLUMN bm_webhook.partition_list.name IS 'of the partition, in schema bm_webhook_internal';
COMMENT ON COLUMN bm_webhook.partition_list.since IS
	'it has what belongs to events that were captured from then on; NULL: the default partition, for days that have none';
COMMENT ON COLUMN bm_webhook.partition_list.until IS 'and before then';
COMMENT ON COLUMN bm_webhook.partition_list.bytes IS 'with indexes and what is stored out of line';
COMMENT ON COLUMN bm_webhook.partition_list.rows IS 'as (auto)vacuum or ANALYZE has estimated; NULL: not yet';
COMMENT ON COLUMN bm_webhook.partition_list.age IS 'of its end, in hours; negative: it has not ended';
CREATE OR REPLACE FUNCTION bm_webhook_internal.what_waits(since timestamptz, until timestamptz) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan
		SET jit = off SET enable_seqscan = off AS $$
DECLARE
	first uuid = bm_webhook.uuid_floor(since);
	beyond uuid = bm_webhook.uuid_floor(until);
BEGIN
	IF EXISTS (SELECT FROM bm_webhook.delivery d
			WHERE d.event_id >= first AND d.event_id < beyond AND d.status = 'pending') THEN
		RETURN 'deliveries wait';
	ELSIF EXISTS (SELECT FROM bm_webhook.set_aside s WHERE s.event_id >= first AND s.event_id < beyond) THEN
		RETURN 'deliveries are set aside';
	ELSIF EXISTS (SELECT FROM bm_webhook.event e WHERE e.id >= first AND e.id < beyond
			AND e.xid >= (SELECT pg_snapshot_xmin(c.snapshot) AS xmin FROM bm_webhook.cursor c ORDER BY 1 LIMIT 1)) THEN
		RETURN 'events have not been taken';
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.what_waits(timestamptz, timestamptz) IS
	'why what was captured in this time should not be dropped; NULL: nothing waits';
CREATE OR REPLACE FUNCTION bm_webhook_internal.upkeep(retention interval)
	RETURNS TABLE (task text, log text, name text, since timestamptz, until timestamptz, with_waiting boolean)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	parent text;
	oldest uuid;
	part record;
	expired timestamptz = CASE WHEN retention > interval '0' THEN clock_timestamp() - retention ELSE '-infinity' END;
	asked timestamptz;
	asked_with_waiting timestamptz;
BEGIN
	FOREACH parent IN ARRAY '{event,delivery,failed_attempt}'::text[] LOOP
		EXECUTE format('SELECT %I FROM bm_webhook_internal.%I ORDER BY 1 LIMIT 1',
			bm_webhook_internal.partition_key(parent), parent || '_default') INTO oldest;
		CONTINUE WHEN oldest IS NULL;
		part = bm_webhook_internal.range_around(parent, bm_webhook.uuid_time(oldest));
		IF part.until < clock_timestamp() - interval '1 min' THEN
			RETURN QUERY SELECT 'empty', parent, parent || to_char(part.since AT TIME ZONE 'UTC', '_YYYYMMDD'), part.since,
				part.until, false;
		END IF;
	END LOOP;
	SELECT max(o.until), max(o.until) FILTER (WHERE o.status = '{pending}') INTO asked, asked_with_waiting
		FROM bm_webhook.operation o WHERE o.kind = 'drop_before' AND o.ended_at IS NULL;
	RETURN QUERY SELECT 'drop', p.parent::text, p.name::text, p.since, p.until,
			coalesce(p.until <= asked_with_waiting, false)
		FROM bm_webhook_internal.partitions() p WHERE p.until <= greatest(expired, asked)
		ORDER BY p.parent = 'event', p.since, p.parent;
	RETURN QUERY SELECT 'close', p.parent::text, p.name::text, p.since, p.until, false
		FROM bm_webhook_internal.partitions() p
			JOIN pg_class c ON c.relnamespace = 'bm_webhook_internal'::regnamespace AND c.relname = p.name
		WHERE p.until < clock_timestamp() - interval '1 min' AND p.until > greatest(expired, asked)
			AND NOT coalesce('autovacuum_vacuum_insert_threshold=1' = ANY (c.reloptions), false);
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.upkeep(interval) IS 'what is to be done with the partitions of the log';
CREATE OR REPLACE FUNCTION bm_webhook_internal.partition_end(bound pg_node_tree, partition oid) RETURNS timestamptz
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT bm_webhook.uuid_time(substring(pg_get_expr(bound, partition) FROM $r$TO \('([0-9a-f-]{36})'\)$r$)::uuid)
$$;
COMMENT ON FUNCTION bm_webhook_internal.partition_end(pg_node_tree, oid) IS
	'before which time a partition has what was captured; NULL: it is the default one';

-- The dispatcher asks each minute, and must not read the bounds of all partitions for that: only of those that are not
-- closed, and of the oldest of each table, by its name.
CREATE OR REPLACE FUNCTION bm_webhook_internal.may_have_upkeep(retention interval) RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (SELECT FROM bm_webhook_internal.event_default)
		OR EXISTS (SELECT FROM bm_webhook_internal.delivery_default)
		OR EXISTS (SELECT FROM bm_webhook_internal.failed_attempt_default)
		OR EXISTS (SELECT FROM
			(SELECT c.oid, c.relpartbound, row_number() OVER (PARTITION BY i.inhparent ORDER BY c.relname) = 1 AS is_oldest,
					coalesce('autovacuum_vacuum_insert_threshold=1' = ANY (c.reloptions), false) AS is_closed
				FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
				WHERE i.inhparent IN ('bm_webhook.event'::regclass, 'bm_webhook.delivery'::regclass,
					'bm_webhook.failed_attempt'::regclass)
				OFFSET 0) p
			WHERE (p.is_oldest OR NOT p.is_closed)
				AND bm_webhook_internal.partition_end(p.relpartbound, p.oid)
					< CASE WHEN NOT p.is_closed THEN clock_timestamp() - interval '1 min'
						WHEN retention > interval '0' THEN clock_timestamp() - retention END)
$$;
COMMENT ON FUNCTION bm_webhook_internal.may_have_upkeep(interval) IS
	'could there be something to be done with the partitions of the log?';
CREATE OR REPLACE FUNCTION bm_webhook_internal.is_upkeep_due(retention interval) RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT bm_webhook_internal.may_have_upkeep(retention) AND EXISTS (SELECT FROM bm_webhook_internal.upkeep(retention))
		OR EXISTS (SELECT FROM bm_webhook.operation o WHERE o.ended_at IS NULL AND o.kind = 'drop_before')
		OR retention > interval '0' AND EXISTS (SELECT FROM bm_webhook.redelivery r
			WHERE r.event_id < bm_webhook.uuid_floor(clock_timestamp() - retention))
		OR retention > interval '0' AND EXISTS (SELECT FROM bm_webhook.operation o
			WHERE o.ended_at < clock_timestamp() - retention)
		OR bm_webhook_internal.day_to_count() IS NOT NULL
$$;
COMMENT ON FUNCTION bm_webhook_internal.is_upkeep_due(interval) IS 'is there anything for the keeper to do?';
CREATE OR REPLACE FUNCTION bm_webhook_internal.empty_default(parent text, name text, since timestamptz, until timestamptz)
	RETURNS bigint
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '80ms'
		SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	first uuid = bm_webhook.uuid_floor(since);
	beyond uuid = bm_webhook.uuid_floor(until);
	moved bigint;
BEGIN
	PERFORM bm_webhook_internal.create_partition_table(parent, name, first, beyond);
	EXECUTE format('WITH moved AS (DELETE FROM bm_webhook_internal.%I WHERE %I >= %L AND %2$I < %4$L RETURNING *)'
		' INSERT INTO bm_webhook_internal.%5$I SELECT * FROM moved', parent || '_default',
		bm_webhook_internal.partition_key(parent), first, beyond, name);
	GET DIAGNOSTICS moved = ROW_COUNT;
	PERFORM bm_webhook_internal.attach_partition(parent, name, first, beyond);
	RETURN moved;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.empty_default(text, text, timestamptz, timestamptz) IS
	'makes the partition of a time that is over, with what the default one has of it; returns how many rows that were';
CREATE OR REPLACE FUNCTION bm_webhook_internal.why_kept(parent text, since timestamptz, until timestamptz, with_waiting boolean)
	RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN parent = 'event' AND EXISTS (SELECT FROM bm_webhook_internal.partitions() p
			WHERE p.parent <> 'event' AND p.since < why_kept.until AND p.until > why_kept.since)
		THEN 'deliveries of its events are still there'
		WHEN NOT with_waiting THEN bm_webhook_internal.what_waits(since, until) END
$$;
COMMENT ON FUNCTION bm_webhook_internal.why_kept(text, timestamptz, timestamptz, boolean) IS
	'why a partition must not be dropped now; NULL: it can be';
CREATE OR REPLACE FUNCTION bm_webhook_internal.drop_partition(parent text, name text, since timestamptz, until timestamptz,
		with_waiting boolean, dry_run boolean) RETURNS text
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '80ms' AS $$
DECLARE
	first uuid = bm_webhook.uuid_floor(since);
	beyond uuid = bm_webhook.uuid_floor(until);
	problem text;
BEGIN
	EXECUTE format('LOCK TABLE ONLY bm_webhook.%I IN ACCESS EXCLUSIVE MODE', parent);
	SET LOCAL lock_timeout = '50ms';
	EXECUTE format('LOCK TABLE bm_webhook_internal.%I IN ACCESS EXCLUSIVE MODE', name);
	problem = bm_webhook_internal.why_kept(parent, since, until, with_waiting);
	IF problem IS NOT NULL OR dry_run THEN
		RETURN problem;
	ELSIF with_waiting AND parent = 'delivery' THEN
		INSERT INTO bm_webhook_internal.pending_change
			SELECT d.endpoint_id, -count(*), -count(*) FILTER (WHERE d.attempts > 0) FROM bm_webhook.delivery d
				WHERE d.event_id >= first AND d.event_id < beyond AND d.status = 'pending' GROUP BY d.endpoint_id;
		DELETE FROM bm_webhook.set_aside s WHERE s.event_id >= first AND s.event_id < beyond;
	END IF;
	EXECUTE format('ALTER EXTENSION bm_webhook DROP TABLE bm_webhook_internal.%I', name);
	EXECUTE format('DROP TABLE bm_webhook_internal.%I', name);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.drop_partition(text, text, timestamptz, timestamptz, boolean, boolean) IS
	'drops a partition, also when something in it waits, if asked; returns why it has not, or would not';
CREATE OR REPLACE FUNCTION bm_webhook_internal.close_partition(name text) RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '80ms' AS $$
BEGIN
	EXECUTE format('ALTER TABLE bm_webhook_internal.%I SET (autovacuum_vacuum_insert_threshold = 1,'
		' autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_scale_factor = 0.02,'
		' toast.autovacuum_vacuum_insert_threshold = 1, toast.autovacuum_vacuum_insert_scale_factor = 0)', name);
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.close_partition(text) IS
	'lets autovacuum freeze a partition whose time is over';
CREATE INDEX endpoint_deleted_at_idx ON bm_webhook.endpoint (deleted_at) WHERE deleted_at IS NOT NULL;
COMMENT ON COLUMN bm_webhook.application.deleted_at IS
	'when delete_application() was called, or the last event that names it came after; it stays for its log, so that '
	'nobody else gets its name';
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
		OR EXISTS (SELECT FROM pg_locks l WHERE l.relation = 'bm_webhook.event'::regclass AND l.mode = 'RowExclusiveLock'
			AND l.pid IS DISTINCT FROM pg_backend_pid()) -- an event of it may not be committed yet
	THEN
		UPDATE bm_webhook.application a SET deleted_at = clock_timestamp() WHERE a.name = delete_application.application;
	ELSE
		DELETE FROM bm_webhook.application a WHERE a.name = delete_application.application;
	END IF;
END
$$;
-- What was deleted goes with the last of its log. A transaction that did not see yet that it was deleted may have
-- captured later than that, and a dispatcher may have canceled later: so there is a day between. Events that name an
-- application may still come when it was deleted: then it is as if it had been deleted with the last of them. The log
-- is read for that once, when all of it has been written since the application was deleted.
CREATE OR REPLACE FUNCTION bm_webhook_internal.forget_deleted(most integer) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	before timestamptz;
	names text[];
	forgotten bigint;
BEGIN
	IF NOT EXISTS (SELECT FROM bm_webhook.endpoint p WHERE p.deleted_at < clock_timestamp() - interval '1 day')
		AND NOT EXISTS (SELECT FROM bm_webhook.application a WHERE a.deleted_at < clock_timestamp() - interval '1 day')
	THEN
		RETURN 0;
	END IF;
	before = least(clock_timestamp(),
		bm_webhook.uuid_time((SELECT e.id FROM bm_webhook.event e ORDER BY e.id LIMIT 1)),
		bm_webhook.uuid_time((SELECT d.event_id FROM bm_webhook.delivery d ORDER BY d.event_id LIMIT 1)),
		bm_webhook.uuid_time((SELECT f.event_id FROM bm_webhook.failed_attempt f ORDER BY f.event_id LIMIT 1)),
		bm_webhook.uuid_time((SELECT r.event_id FROM bm_webhook.redelivery r ORDER BY r.event_id LIMIT 1)))
		- interval '1 day';
	DELETE FROM bm_webhook.endpoint p WHERE p.id IN (SELECT x.id FROM bm_webhook.endpoint x
		WHERE x.deleted_at < before
			AND NOT EXISTS (SELECT FROM bm_webhook.set_aside s WHERE s.endpoint_id = x.id)
			AND NOT EXISTS (SELECT FROM bm_webhook.delivery d WHERE d.endpoint_id = x.id AND d.status = 'pending')
		ORDER BY x.deleted_at LIMIT most FOR UPDATE SKIP LOCKED);
	GET DIAGNOSTICS forgotten = ROW_COUNT;
	names = ARRAY(SELECT a.name FROM bm_webhook.application a WHERE a.deleted_at < before
		AND NOT EXISTS (SELECT FROM bm_webhook.endpoint p WHERE p.application = a.name)
		AND NOT EXISTS (SELECT FROM bm_webhook.message_day m WHERE m.application = a.name));
	IF cardinality(names) > 0 THEN
		UPDATE bm_webhook.application a SET deleted_at = greatest(e.latest, a.deleted_at)
			FROM (SELECT x.application, max(x.created_at) AS latest FROM bm_webhook.event x
				WHERE x.application = ANY (names) GROUP BY x.application) e WHERE a.name = e.application;
		DELETE FROM bm_webhook.application a WHERE a.name = ANY (names) AND a.deleted_at < before;
	END IF;
	RETURN forgotten;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.forget_deleted(integer) IS
	'removes endpoints that were deleted before the log begins, at most so many, and applications; returns how many '
	'endpoints';

CREATE OR REPLACE FUNCTION bm_webhook_internal.forget_expired(retention interval, most integer) RETURNS bigint
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	before timestamptz = clock_timestamp() - retention;
	deleted bigint = bm_webhook_internal.forget_deleted(most);
	operations bigint;
	redeliveries bigint;
BEGIN
	IF retention <= interval '0' THEN
		RETURN deleted;
	END IF;
	DELETE FROM bm_webhook.operation o WHERE o.id IN (SELECT x.id FROM bm_webhook.operation x
		WHERE x.ended_at < before ORDER BY x.id LIMIT most FOR UPDATE SKIP LOCKED);
	GET DIAGNOSTICS operations = ROW_COUNT;
	DELETE FROM bm_webhook.redelivery r WHERE r.ctid = ANY (ARRAY(SELECT x.ctid FROM bm_webhook.redelivery x
		WHERE x.event_id < bm_webhook.uuid_floor(before) ORDER BY x.event_id LIMIT most FOR UPDATE SKIP LOCKED));
	GET DIAGNOSTICS redeliveries = ROW_COUNT;
	RETURN greatest(deleted, operations, redeliveries);
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.forget_expired(interval, integer) IS
	'deletes operations and redeliveries of before, and what was deleted before the log begins, at most so many of '
	'each; returns how many';
CREATE OR REPLACE FUNCTION bm_webhook_internal.end_drops(has_failed boolean, seen pg_snapshot) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	UPDATE bm_webhook.operation o SET done = greatest(o.matched - p.left, 0),
			ended_at = CASE WHEN p.left = 0 OR NOT has_failed THEN clock_timestamp() END,
			error = CASE WHEN p.left > 0 AND NOT has_failed
				THEN format('%s partitions stay, as something in them waits: %s', p.left, p.why) END
		FROM bm_webhook.operation x CROSS JOIN LATERAL (SELECT count(*) AS left,
			coalesce(max(bm_webhook_internal.what_waits(q.since, q.until)),
				'deliveries of its events are still there') AS why
			FROM bm_webhook_internal.partitions() q WHERE q.until <= x.until) p
		WHERE x.id = o.id AND o.kind = 'drop_before' AND o.ended_at IS NULL AND pg_visible_in_snapshot(o.xid, seen)
$$;
COMMENT ON FUNCTION bm_webhook_internal.end_drops(boolean, pg_snapshot) IS
	'says of each drop_before() that was seen how far it has got; has_failed: what is left is tried again';
CREATE OR REPLACE FUNCTION bm_webhook_internal.begin_drop(before timestamptz, with_waiting boolean, dry_run boolean,
		acting_as name, OUT operation bigint, OUT matched bigint)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	matched = (SELECT count(*) FROM bm_webhook_internal.partitions() p WHERE p.until <= before);
	IF dry_run OR matched = 0 THEN
		RETURN;
	END IF;
	INSERT INTO bm_webhook.operation (kind, until, status, matched, asked_by, acting_as)
		VALUES ('drop_before', before, CASE WHEN with_waiting THEN '{pending}'::text[] END, begin_drop.matched,
			session_user, begin_drop.acting_as)
		RETURNING id INTO operation;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.begin_drop(timestamptz, boolean, boolean, name) IS
	'counts the partitions that end before this time and, unless it is a dry run, asks for them to be dropped';
CREATE OR REPLACE FUNCTION bm_webhook.drop_before(before timestamptz, with_waiting boolean = false, dry_run boolean = false,
		OUT operation bigint, OUT matched bigint)
	LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'bm_webhook_drop_before';
COMMENT ON FUNCTION bm_webhook.drop_before(timestamptz, boolean, boolean) IS
	'drops the partitions of the log that end before a time, in the background: matched is how many, operation the row '
	'of bm_webhook.operation that shows how far it has got, NULL in a dry run and when there are none. Those in which '
	'something waits stay, unless with_waiting; for administrators; 22004, 22023, 42501';

DO $$
DECLARE
	part name;
BEGIN
	FOR part IN SELECT p.name FROM bm_webhook_internal.partitions() p WHERE p.since IS NOT NULL LOOP
		EXECUTE format('ALTER TABLE bm_webhook_internal.%I SET (autovacuum_freeze_min_age = 0,'
			' autovacuum_vacuum_insert_scale_factor = 0.1, toast.autovacuum_freeze_min_age = 0,'
			' toast.autovacuum_vacuum_insert_scale_factor = 0.1)', part);
	END LOOP;
END
$$;
ALTER TABLE bm_webhook.operation DROP CONSTRAINT operation_kind_check,
	ADD CONSTRAINT operation_kind_check CHECK (kind IN ('redeliver', 'recover', 'cancel', 'pause', 'resume', 'erase',
		'rotate_secret', 'show_secret', 'rekey', 'set_aside', 'put_back', 'drop_before', 'adopt', 'verify_endpoint',
		'mark_verified', 'create_endpoint', 'change_endpoint', 'delete_endpoint', 'create_application',
		'change_application', 'delete_application', 'create_secret', 'change_secret', 'delete_secret')),
	ADD COLUMN changed_columns text[], ADD COLUMN events uuid[];
COMMENT ON TABLE bm_webhook.operation IS
	'what somebody has asked for: changes of many deliveries, and how far each has got; and, for the record, what was '
	'done at once';
COMMENT ON COLUMN bm_webhook.operation.matched IS
	'deliveries that it was for when it was asked for; or how many of what kind says were created, changed or deleted';
COMMENT ON COLUMN bm_webhook.operation.changed_columns IS 'the columns that a change_... has changed, by name';
COMMENT ON COLUMN bm_webhook.operation.events IS
	'of these events alone, in order: those that redeliver_each() or cancel_each() was called for';

-- The events that an operation may be for, oldest first, at most so many: those that it names, or those of its period.
-- Where only what failed is meant, an index has nothing else.
CREATE OR REPLACE FUNCTION bm_webhook_internal.walk(o bm_webhook.operation, most bigint) RETURNS SETOF uuid
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan
	SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
	first uuid = coalesce(o.reached, bm_webhook.uuid_floor(o.since));
	last uuid = bm_webhook.uuid_floor(o.until);
BEGIN
	IF o.events IS NOT NULL THEN
		RETURN QUERY SELECT e FROM unnest(o.events) e WHERE o.reached IS NULL OR e > o.reached ORDER BY e LIMIT most;
	ELSIF o.status = '{failed}' THEN
		RETURN QUERY SELECT d.event_id FROM bm_webhook.delivery d
			WHERE d.endpoint_id = o.endpoint_id AND d.status = 'failed' AND d.event_id > first AND d.event_id < last
			ORDER BY d.event_id LIMIT most;
	ELSE
		RETURN QUERY SELECT e.id FROM bm_webhook.event e WHERE e.id > first AND e.id < last ORDER BY e.id LIMIT most;
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.walk(bm_webhook.operation, bigint) IS
	'the next events that an operation may be for';

-- Called by C as the owner of the log; own: those of these endpoints that the caller may change. What is done is
-- written down by endpoint, so many events at a time as can be found among its deliveries within a step.
CREATE FUNCTION bm_webhook_internal.begin_each(kind text, events uuid[], endpoints bigint[], own bigint[],
		max_rows bigint, dry_run boolean, acting_as name)
	RETURNS TABLE (event_id uuid, endpoint_id bigint, operation bigint, problem text)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
	first uuid = (SELECT u FROM unnest(events) u ORDER BY u LIMIT 1);
	last uuid = (SELECT u FROM unnest(events) u ORDER BY u DESC LIMIT 1);
BEGIN
	IF cardinality(events) <> cardinality(endpoints) THEN
		PERFORM bm_webhook_internal.refuse('"events" and "endpoints" must have as many elements',
			'The first of the one and the first of the other are a delivery, and so on.');
	ELSIF cardinality(events) > 10000 THEN
		PERFORM bm_webhook_internal.refuse('more than 10000 deliveries cannot be asked for at a time', 'Ask for some first.',
			'54000');
	ELSIF max_rows < 1 THEN
		PERFORM bm_webhook_internal.refuse('"max_rows" must be at least 1', 'Leave it out for no limit.');
	END IF;
	RETURN QUERY WITH named AS MATERIALIZED (
		SELECT u.event, u.endpoint, min(u.n) AS n FROM unnest(events, endpoints) WITH ORDINALITY u (event, endpoint, n)
			GROUP BY u.event, u.endpoint
	), judged AS (
		SELECT w.event, w.endpoint, w.n, CASE
				WHEN p.id IS NULL OR d.event_id IS NULL THEN 'there is no such delivery'
				WHEN p.deleted_at IS NOT NULL THEN 'its endpoint was deleted'
				WHEN EXISTS (SELECT FROM bm_webhook.set_aside s WHERE s.event_id = w.event AND s.endpoint_id = w.endpoint)
					THEN 'it is set aside'
				WHEN kind = 'cancel' THEN CASE d.status WHEN 'delivered' THEN 'it was delivered'
					WHEN 'failed' THEN 'it was given up' WHEN 'canceled' THEN 'it was canceled' END
				WHEN d.next_attempt_at = 'infinity' THEN 'it waits for an earlier event of its message'
				WHEN e.is_fitting IS NULL THEN 'its event is no longer in the log'
				WHEN NOT e.is_fitting THEN 'its endpoint is not for its application' END AS problem
			FROM named w
			LEFT JOIN bm_webhook.endpoint p ON p.id = w.endpoint AND p.id = ANY (own)
			LEFT JOIN bm_webhook.delivery d ON d.event_id = w.event AND d.endpoint_id = p.id
				AND d.event_id >= first AND d.event_id <= last
			LEFT JOIN LATERAL (SELECT bm_webhook_internal.fits(p, v) AS is_fitting FROM bm_webhook.event v
				WHERE v.id = w.event AND v.id >= first AND v.id <= last) e ON kind = 'redeliver'
	), limited AS MATERIALIZED (
		SELECT j.event, j.endpoint, j.n, CASE WHEN j.problem IS NULL
				AND row_number() OVER (PARTITION BY j.problem IS NULL ORDER BY j.n) > max_rows
				THEN 'there were more than max_rows' ELSE j.problem END AS problem
			FROM judged j
	), begun AS (
		INSERT INTO bm_webhook.operation (kind, endpoint_id, events, status, matched, asked_by, acting_as, application)
			SELECT kind, g.endpoint, array_agg(g.event ORDER BY g.event),
				CASE kind WHEN 'redeliver' THEN '{canceled,delivered,failed,pending}'::text[] END, count(*), session_user,
				begin_each.acting_as, (SELECT p.application FROM bm_webhook.endpoint p WHERE p.id = g.endpoint)
			FROM (SELECT l.event, l.endpoint, (row_number() OVER (PARTITION BY l.endpoint ORDER BY l.event) - 1) / 500 AS part
				FROM limited l WHERE l.problem IS NULL AND dry_run IS NOT TRUE) g
			GROUP BY g.endpoint, g.part ORDER BY g.endpoint, g.part
			RETURNING id, endpoint_id, events
	)
	SELECT l.event, l.endpoint, b.id, l.problem FROM limited l
		LEFT JOIN begun b ON b.endpoint_id = l.endpoint AND l.problem IS NULL
			AND l.event BETWEEN b.events[1] AND b.events[cardinality(b.events)]
		ORDER BY l.n;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.begin_each(text, uuid[], bigint[], bigint[], bigint, boolean, name) IS
	'says of each delivery whether it can be sent again or canceled and, unless it is a dry run, writes it down for the '
	'dispatcher; 22023, 54000';

CREATE FUNCTION bm_webhook.redeliver_each(events uuid[], endpoints bigint[], max_rows bigint = NULL,
		dry_run boolean = false)
	RETURNS TABLE (event_id uuid, endpoint_id bigint, operation bigint, problem text)
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_redeliver_each';
COMMENT ON FUNCTION bm_webhook.redeliver_each(uuid[], bigint[], bigint, boolean) IS
	'sends these deliveries again, at most 10,000, named by their events and endpoints: a row for each, with the row of '
	'bm_webhook.operation by which the dispatcher does it, or why it is not done (problem). What is another''s is as '
	'unknown as what does not exist; 22004, 22023, 54000';
CREATE FUNCTION bm_webhook.cancel_each(events uuid[], endpoints bigint[], max_rows bigint = NULL,
		dry_run boolean = false)
	RETURNS TABLE (event_id uuid, endpoint_id bigint, operation bigint, problem text)
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_cancel_each';
COMMENT ON FUNCTION bm_webhook.cancel_each(uuid[], bigint[], bigint, boolean) IS
	'cancels those of these deliveries that wait, as redeliver_each() sends them again; 22004, 22023, 54000';


-- Called by C as the owner of the log. An element for each row; a mask has a bit for each column that has changed, 0:
-- it was created, NULL: deleted. Secrets come without application: what goes with its endpoint is not recorded.
CREATE FUNCTION bm_webhook_internal.note_changes(subject text, endpoints bigint[], applications text[], masks bigint[],
		columns text[], acting_as name) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET row_security = on AS $$
BEGIN
	IF applications IS NULL THEN
		SELECT array_agg(p.id), array_agg(p.application), array_agg(u.mask) INTO endpoints, applications, masks
			FROM unnest(endpoints, masks) u (id, mask) JOIN bm_webhook.endpoint p ON p.id = u.id WHERE p.deleted_at IS NULL;
	END IF;
	INSERT INTO bm_webhook.operation (kind, endpoint_id, application, changed_columns, matched, done, asked_by,
			acting_as, ended_at)
		SELECT g.deed || '_' || subject, CASE WHEN g.first = g.last THEN g.first END, g.application,
			CASE WHEN g.mask > 0 THEN ARRAY(SELECT c.name FROM unnest(columns) WITH ORDINALITY c (name, n)
				WHERE g.mask >> (c.n - 1)::integer & 1 = 1 ORDER BY c.n) END,
			g.rows, g.rows, session_user, note_changes.acting_as, clock_timestamp()
		FROM (SELECT CASE WHEN u.mask IS NULL THEN 'delete' WHEN u.mask = 0 THEN 'create' ELSE 'change' END AS deed,
				u.application, min(u.id) AS first, max(u.id) AS last, bit_or(u.mask) AS mask, count(*) AS rows
			FROM unnest(endpoints, applications, masks) u (id, application, mask) GROUP BY 1, 2 ORDER BY 2, 1) g;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.note_changes(text, bigint[], text[], bigint[], text[], name) IS
	'writes down who has created, changed or deleted something: a row for each application';

CREATE FUNCTION bm_webhook_internal.audit() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'bm_webhook_audit';
COMMENT ON FUNCTION bm_webhook_internal.audit() IS 'records who has changed something, once for a statement';

-- As itself the extension gives an endpoint its first secret: that is no change of somebody's. pg_restore turns
-- row_security off, which policies, even of those who see all, would refuse.
ALTER FUNCTION bm_webhook_internal.make_endpoint_secret() OWNER TO bm_webhook;
ALTER FUNCTION bm_webhook_internal.make_endpoint_secret() SET row_security = on;
GRANT EXECUTE ON FUNCTION bm_webhook_internal.make_endpoint_secret() TO bm_webhook;
DO $$
DECLARE
	audited text;
BEGIN
	FOREACH audited IN ARRAY '{application,endpoint,endpoint_secret}'::text[] LOOP
		EXECUTE format('CREATE TRIGGER audit_insert AFTER INSERT ON bm_webhook.%I REFERENCING NEW TABLE AS after
			FOR EACH STATEMENT EXECUTE FUNCTION bm_webhook_internal.audit()', audited);
		EXECUTE format('CREATE TRIGGER audit_update AFTER UPDATE ON bm_webhook.%I
			REFERENCING OLD TABLE AS before NEW TABLE AS after
			FOR EACH STATEMENT EXECUTE FUNCTION bm_webhook_internal.audit()', audited);
		EXECUTE format('CREATE TRIGGER audit_delete AFTER DELETE ON bm_webhook.%I REFERENCING OLD TABLE AS before
			FOR EACH STATEMENT EXECUTE FUNCTION bm_webhook_internal.audit()', audited);
		EXECUTE format('COMMENT ON TRIGGER audit_insert ON bm_webhook.%I IS ''records who creates''', audited);
		EXECUTE format('COMMENT ON TRIGGER audit_update ON bm_webhook.%I IS ''records who changes what''', audited);
		EXECUTE format('COMMENT ON TRIGGER audit_delete ON bm_webhook.%I IS ''records who deletes''', audited);
	END LOOP;
END
$$;

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
		WHERE o.ended_at IS NULL AND coalesce(o.application, '') = p.application AND o.kind <> 'drop_before'
		ORDER BY o.id LIMIT most) x
	ORDER BY x.rank, x.id
$$;

REVOKE ALL ON bm_webhook.partition_list FROM PUBLIC;
REVOKE ALL ON FUNCTION bm_webhook.drop_before, bm_webhook_internal.partitions, bm_webhook_internal.partition_key,
	bm_webhook_internal.range_around, bm_webhook_internal.create_partition_table, bm_webhook_internal.attach_partition,
	bm_webhook_internal.missing_partitions, bm_webhook_internal.what_waits, bm_webhook_internal.why_kept,
	bm_webhook_internal.upkeep, bm_webhook_internal.is_upkeep_due, bm_webhook_internal.empty_default,
	bm_webhook_internal.drop_partition, bm_webhook_internal.close_partition, bm_webhook_internal.forget_expired,
	bm_webhook_internal.end_drops, bm_webhook_internal.begin_drop FROM PUBLIC;
GRANT EXECUTE ON FUNCTION bm_webhook_internal.partitions, bm_webhook_internal.partition_key,
	bm_webhook_internal.range_around, bm_webhook_internal.create_partition_table, bm_webhook_internal.attach_partition,
	bm_webhook_internal.missing_partitions, bm_webhook_internal.what_waits, bm_webhook_internal.why_kept,
	bm_webhook_internal.upkeep, bm_webhook_internal.is_upkeep_due, bm_webhook_internal.empty_default,
	bm_webhook_internal.drop_partition, bm_webhook_internal.close_partition, bm_webhook_internal.forget_expired,
	bm_webhook_internal.end_drops, bm_webhook_internal.begin_drop TO bm_webhook;

CREATE OR REPLACE FUNCTION bm_webhook_internal.privileges_of(kind text) RETURNS SETOF text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH seen (relation, without) AS (VALUES
		('application', '{}'::text[]), ('endpoint', '{}'), ('endpoint_state', '{}'),
		('endpoint_secret', '{secret}'), ('event', '{}'),
		('delivery', '{}'), ('failed_attempt', '{}'), ('redelivery', '{}'), ('set_aside', '{}'), ('operation', '{}'),
		('cursor', '{}'), ('event_type', '{}'), ('endpoint_minute', '{}'), ('dispatcher_minute', '{}'), ('message_day', '{}'),
		('delivery_day', '{}')
	), written (relation, command, without) AS (VALUES
		('endpoint', 'INSERT',
			'{id,created_at,updated_at,deleted_at,events_since,paused_at,credentials,credentials_key_id,use_proxy}'::text[]),
		('endpoint', 'UPDATE',
			'{id,application,created_at,updated_at,deleted_at,events_since,paused_at,credentials,credentials_key_id,use_proxy}'),
		('endpoint_secret', 'INSERT', '{id,key_id,created_at}')
	), columns AS (
		SELECT relation, 'SELECT' AS command, without FROM seen WHERE kind = 'owner' OR kind = 'operator' AND without <> '{}'
		UNION ALL
		SELECT relation, command, without FROM written WHERE kind = 'owner'
	), called (name, kinds) AS (
		VALUES ('emit', '{writer}'::text[]), ('message_status', '{writer}'), ('message_received', '{writer}'),
		('message_clicked', '{writer}'),
		('watch', '{watcher}'), ('unwatch', '{watcher}'), ('capture', '{watcher}'), ('watch_messages', '{watcher}'),
		('watch_replies', '{watcher}'),
		('secret', '{owner}'), ('rotate_secret', '{owner}'), ('delete_endpoint', '{owner}'), ('delete_secret', '{owner}'),
		('ping', '{owner}'), ('preview', '{owner}'), ('erase', '{owner}'), ('pause', '{owner}'), ('resume', '{owner}'),
		('cancel', '{owner}'), ('recover', '{owner}'), ('redeliver', '{owner}'), ('put_back', '{owner}'),
		('set_aside', '{owner}'), ('public_key', '{owner,operator}'), ('jwks', '{owner,operator}'),
		('verify_endpoint', '{owner}'),
		('explain_delivery', '{owner,operator}'), ('message_history', '{owner,operator}'),
		('message_rate', '{owner,operator}'), ('latency', '{owner,operator}'), ('delivery_rate', '{owner,operator}'),
		('status', '{operator}'),
		('redeliver_each', '{owner}'), ('cancel_each', '{owner}')
		UNION ALL
		SELECT DISTINCT p.proname::text, '{owner,operator}'::text[] FROM pg_proc p
			WHERE p.pronamespace = 'bm_webhook'::regnamespace AND p.proname ~ '^console_'
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
			AND c.relname NOT IN ('watch_list', 'stat_dispatcher', 'partition_list')
			OR kind = 'operator'
			AND c.relname IN ('watch_list', 'stat_dispatcher', 'partition_list', 'paused', 'status_map')
			OR kind = 'watcher' AND c.relname = 'watch_list')
	UNION ALL
	-- redeliver(event) is for who may change deliveries
	SELECT format('EXECUTE ON FUNCTION %s', p.oid::regprocedure) FROM called c
		JOIN pg_proc p ON p.proname = c.name AND p.pronamespace = 'bm_webhook'::regnamespace
		WHERE kind = ANY (c.kinds) AND NOT (p.proname = 'redeliver' AND p.proargtypes[0] = 'uuid'::regtype)
$$;

-- Known by one privilege that nobody else is granted.
CREATE FUNCTION bm_webhook_internal.granted(kind text) RETURNS SETOF regrole
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT x.grantee::regrole FROM pg_class c, aclexplode(c.relacl) x
		WHERE kind = 'operator' AND c.oid = 'bm_webhook.operation'::regclass
	UNION
	SELECT x.grantee::regrole FROM pg_attribute a, aclexplode(a.attacl) x WHERE kind = 'owner'
		AND a.attrelid = 'bm_webhook.endpoint'::regclass AND a.attname = 'url' AND x.privilege_type = 'INSERT'
	UNION
	SELECT x.grantee::regrole FROM pg_proc p, aclexplode(p.proacl) x WHERE p.pronamespace = 'bm_webhook'::regnamespace
		AND p.proname = CASE kind WHEN 'writer' THEN 'emit' WHEN 'watcher' THEN 'watch' END
$$;
COMMENT ON FUNCTION bm_webhook_internal.granted(text) IS
	'the roles that have been granted what an owner, an operator, a writer or a watcher may, and not their members';

-- A list of privileges must fit into one row of pg_class or pg_attribute: thousands of owners have theirs from a group.
CREATE FUNCTION bm_webhook_internal.has_owner_group(role regrole) RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (SELECT FROM bm_webhook_internal.granted('owner') g JOIN pg_roles r ON r.oid = role
		WHERE g <> role AND NOT r.rolsuper AND pg_has_role(role, g, 'USAGE'))
$$;
COMMENT ON FUNCTION bm_webhook_internal.has_owner_group(regrole) IS
	'does the role inherit what an owner may from a role of which it is a member?';

CREATE OR REPLACE FUNCTION bm_webhook_internal.revoke_privileges(kind text, role regrole) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	others text[];
	privilege text;
BEGIN
	PERFORM bm_webhook_internal.check_grant(role);
	others = ARRAY(SELECT k FROM unnest('{owner,operator,writer,watcher}'::text[]) k
		WHERE k <> kind AND role IN (SELECT bm_webhook_internal.granted(k)));
	FOR privilege IN SELECT bm_webhook_internal.privileges_of(kind) LOOP
		EXECUTE format('REVOKE %s FROM %s', privilege, role);
	END LOOP;
	PERFORM bm_webhook_internal.grant_privileges(k, role) FROM unnest(others) k;
END
$$;

CREATE OR REPLACE FUNCTION bm_webhook.grant_owner(application text, role regrole) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM bm_webhook_internal.check_grant(role);
	IF NOT bm_webhook_internal.has_owner_group(role) THEN
		PERFORM bm_webhook_internal.grant_privileges('owner', role);
	END IF;
	UPDATE bm_webhook.application a SET owner = role WHERE a.name = grant_owner.application AND a.deleted_at IS NULL;
	IF NOT FOUND THEN
		PERFORM bm_webhook_internal.refuse(format('application "%s" does not exist', application),
			'Applications are the rows of bm_webhook.application.', '42704');
	END IF;
END
$$;

CREATE FUNCTION bm_webhook_internal.is_owner(role regrole) RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (SELECT FROM bm_webhook.application a JOIN pg_roles r ON r.oid = a.owner
		WHERE a.owner = role OR NOT r.rolsuper AND pg_has_role(a.owner, role, 'MEMBER'))
$$;
COMMENT ON FUNCTION bm_webhook_internal.is_owner(regrole) IS
	'does the role, or one of its members, own an application?';

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
	IF role IN (SELECT bm_webhook_internal.granted('owner')) AND NOT bm_webhook_internal.is_owner(role)
		AND NOT (SELECT r.rolsuper FROM pg_roles r WHERE r.oid = role) THEN
		PERFORM bm_webhook_internal.revoke_privileges('owner', role);
	END IF;
END
$$;

CREATE FUNCTION bm_webhook.grant_owner_group(role regrole) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT bm_webhook_internal.grant_privileges('owner', role)
$$;
COMMENT ON FUNCTION bm_webhook.grant_owner_group(regrole) IS
	'makes a role the group from which owners have their privileges: its members, of whom grant_owner() gives each an '
	'application, see nothing of one another; 22004, 42501, 42704';

CREATE FUNCTION bm_webhook.revoke_owner_group(role regrole) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT bm_webhook_internal.revoke_privileges('owner', role)
$$;
COMMENT ON FUNCTION bm_webhook.revoke_owner_group(regrole) IS 'undoes grant_owner_group(); 22004, 42501, 42704';

DROP FUNCTION bm_webhook_internal.is_granted(text, regrole);

-------------------------------------------------------------------------------
-- Requests of which the dispatcher crashes
-------------------------------------------------------------------------------

COMMENT ON TABLE bm_webhook.set_aside IS
	'outcomes that the log refused, by a constraint or a trigger of yours: these deliveries are neither sent nor '
	'changed until retry_set_aside() has recorded them; deliveries of which the dispatcher crashed three times '
	'(error_class crash), which are not sent until retry_set_aside(); and deliveries that set_aside() was called for, '
	'which are not sent until put_back()';
COMMENT ON COLUMN bm_webhook.set_aside.asked_by IS
	'who has called set_aside(), and cause is why; the other columns are what the delivery was. NULL: the log refused '
	'the outcome, or the dispatcher crashed';

-- What has ended meanwhile is not begun again by an outcome that says "later". What crashed the dispatcher is due.
CREATE OR REPLACE FUNCTION bm_webhook_internal.record(s bm_webhook.set_aside) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	DELETE FROM bm_webhook.set_aside a WHERE a.event_id = s.event_id AND a.endpoint_id = s.endpoint_id;
	IF s.error_class = 'crash' THEN
		UPDATE bm_webhook.delivery d SET status = 'pending', next_attempt_at = clock_timestamp(), error_class = NULL,
				error = NULL
			WHERE d.event_id = s.event_id AND d.endpoint_id = s.endpoint_id AND d.status = 'failed';
		RETURN;
	END IF;
	INSERT INTO bm_webhook.delivery AS d (event_id, endpoint_id, status, attempts, next_attempt_at, first_attempt_at,
			last_attempt_at, http_status, error_class, error, duration)
		VALUES (s.event_id, s.endpoint_id, s.status, s.attempts, s.next_attempt_at, s.first_attempt_at,
			s.last_attempt_at, s.http_status, s.error_class, s.error, s.duration)
		ON CONFLICT (event_id, endpoint_id) DO UPDATE SET status = excluded.status, attempts = excluded.attempts,
			next_attempt_at = excluded.next_attempt_at, first_attempt_at = excluded.first_attempt_at,
			last_attempt_at = coalesce(excluded.last_attempt_at, d.last_attempt_at), http_status = excluded.http_status,
			error_class = excluded.error_class, error = excluded.error, duration = excluded.duration, name_us = NULL,
			connect_us = NULL, tls_us = NULL, first_byte_us = NULL
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
END
$$;

COMMENT ON FUNCTION bm_webhook.retry_set_aside(uuid, bigint) IS
	'writes outcomes that were set aside (of an event, of an endpoint, all) into the log, makes deliveries that '
	'crashed the dispatcher due, and returns how many; those that are refused again stay, with the new cause and a '
	'warning; 42704 when nothing of what was named is set aside';

-- Called by a dispatcher that starts. The row says what the delivery was; that its status is not "pending" lets the
-- later events of its message pass.
CREATE OR REPLACE FUNCTION bm_webhook_internal.set_crashed_aside(event uuid, endpoint bigint, cause text,
		OUT is_set_aside boolean, OUT has_another boolean)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	was bm_webhook.delivery;
BEGIN
	SELECT * INTO was FROM bm_webhook.delivery d WHERE d.event_id = event AND d.endpoint_id = endpoint FOR NO KEY UPDATE;
	is_set_aside = coalesce(was.status, 'pending') = 'pending'
		AND EXISTS (SELECT FROM bm_webhook.event e, bm_webhook.endpoint p
			WHERE e.id = event AND p.id = endpoint AND p.deleted_at IS NULL)
		AND NOT EXISTS (SELECT FROM bm_webhook.set_aside s WHERE s.event_id = event AND s.endpoint_id = endpoint);
	has_another = is_set_aside AND EXISTS (SELECT FROM bm_webhook.set_aside s
		WHERE s.endpoint_id = endpoint AND s.error_class = 'crash');
	IF NOT is_set_aside THEN
		RETURN;
	END IF;
	INSERT INTO bm_webhook.delivery AS d (event_id, endpoint_id, status, attempts, error_class, error)
		VALUES (event, endpoint, 'failed', 0, 'crash', cause)
		ON CONFLICT (event_id, endpoint_id) DO UPDATE SET status = 'failed', next_attempt_at = NULL, http_status = NULL,
			error_class = 'crash', error = cause, duration = NULL;
	INSERT INTO bm_webhook.set_aside (event_id, endpoint_id, cause, sqlstate, status, attempts, first_attempt_at,
			last_attempt_at, error_class, is_failed_attempt, is_exhausted)
		VALUES (event, endpoint, cause, '57P02', 'failed', coalesce(was.attempts, 0), was.first_attempt_at,
			was.last_attempt_at, 'crash', false, false);
	IF was.status = 'pending' THEN
		INSERT INTO bm_webhook_internal.pending_change VALUES (endpoint, -1, -(was.attempts > 0)::integer);
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.set_crashed_aside(uuid, bigint, text) IS
	'ends a delivery that crashes the dispatcher as failed, and sets it aside until retry_set_aside(); has_another: as '
	'another of its endpoint was before';

-------------------------------------------------------------------------------
-- Privileges: these stay the last statements
-------------------------------------------------------------------------------

-- What this step has made is nobody's yet, whatever ALTER DEFAULT PRIVILEGES says.
CREATE TEMPORARY VIEW made AS SELECT m.classid, m.objid FROM pg_temp.members m EXCEPT TABLE pg_temp.members_before;
DO $$
DECLARE
	made record;
BEGIN
	FOR made IN SELECT p.oid::regprocedure AS name, p.pronamespace = 'bm_webhook_internal'::regnamespace AS is_internal
		FROM pg_proc p JOIN pg_temp.made m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
	LOOP
		EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', made.name);
		IF made.is_internal THEN
			EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO bm_webhook', made.name);
		END IF;
	END LOOP;
END
$$;
SELECT bm_webhook_internal.revoke_defaults(m.classid, m.objid) FROM pg_temp.made m;
DROP VIEW pg_temp.made, pg_temp.members;
DROP TABLE pg_temp.members_before;
-- Nobody reads partitions: they have no policies.
SELECT bm_webhook_internal.revoke_defaults('pg_class'::regclass, c.oid) FROM pg_class c
	WHERE c.relnamespace = 'bm_webhook_internal'::regnamespace AND c.relispartition;
GRANT EXECUTE ON FUNCTION bm_webhook_internal.endpoint_paces(), bm_webhook_internal.keeper(),
	bm_webhook_internal.sees_statistics(), bm_webhook_internal.partitions(), bm_webhook_internal.owner_of_many,
	bm_webhook_internal.own_application,
	bm_webhook_internal.is_application_of, bm_webhook_internal.is_endpoint_of, bm_webhook_internal.owns_application,
	bm_webhook_internal.owns_endpoint TO PUBLIC;
-- Numbers and states, and nothing of what was sent.
GRANT USAGE ON SCHEMA bm_webhook, bm_webhook_internal TO pg_monitor;
GRANT SELECT ON bm_webhook.stat_dispatcher, bm_webhook.stat_endpoint, bm_webhook.endpoint_health,
	bm_webhook.endpoint_minute, bm_webhook.dispatcher_minute TO pg_monitor;
GRANT EXECUTE ON FUNCTION bm_webhook.latency(bigint, timestamptz, float8) TO pg_monitor;
GRANT UPDATE (unverified_since, verified_at, verification_error) ON bm_webhook.endpoint_state TO bm_webhook;
GRANT EXECUTE ON FUNCTION bm_webhook_internal.verifies() TO PUBLIC;
GRANT EXECUTE ON FUNCTION bm_webhook_internal.console_since, bm_webhook_internal.console_until,
	bm_webhook_internal.console_url, bm_webhook_internal.console_is_unbound, bm_webhook_internal.console_may_change,
	bm_webhook_internal.console_require,
	bm_webhook_internal.console_minutes, bm_webhook_internal.console_dispatchers,
	bm_webhook_internal.console_floor, bm_webhook_internal.console_asks_for_few,
	bm_webhook_internal.console_deliveries_condition,
	bm_webhook_internal.console_events_condition,
	bm_webhook_internal.console_deliveries_floor, bm_webhook_internal.console_deliveries_sql,
	bm_webhook_internal.console_matching, bm_webhook_internal.console_chosen, bm_webhook_internal.console_problems,
	bm_webhook_internal.console_event,
	bm_webhook_internal.console_partitions, bm_webhook_internal.console_period, bm_webhook_internal.console_csv,
	bm_webhook_internal.console_csv_names, bm_webhook_internal.console_counted, bm_webhook_internal.console_export_sql
	TO PUBLIC;

-- What users have granted on what this step grants on is not shipped with it: else pg_dump would leave it out.
CREATE TEMPORARY VIEW shipped AS
	SELECT 'pg_proc'::regclass AS class, oid, proowner AS owner FROM pg_proc
		WHERE pronamespace IN ('bm_webhook'::regnamespace, 'bm_webhook_internal'::regnamespace)
	UNION ALL SELECT 'pg_class', oid, relowner FROM pg_class
		WHERE relnamespace IN ('bm_webhook'::regnamespace, 'bm_webhook_internal'::regnamespace)
	UNION ALL SELECT 'pg_namespace', oid, nspowner FROM pg_namespace WHERE nspname IN ('bm_webhook', 'bm_webhook_internal');
UPDATE pg_init_privs i SET initprivs = ARRAY(SELECT a FROM unnest(i.initprivs) a
		WHERE EXISTS (SELECT FROM aclexplode(ARRAY[a]) x
			WHERE x.grantee IN (0, s.owner, 'bm_webhook'::regrole, 'pg_monitor'::regrole)))
	FROM pg_temp.shipped s WHERE i.classoid = s.class AND i.objoid = s.oid;
-- These lists, too, depend on the roles that they name, from PostgreSQL 17 on.
DELETE FROM pg_shdepend d USING pg_init_privs i, pg_temp.shipped s
	WHERE d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND d.deptype = 'i'
		AND d.refclassid = 'pg_authid'::regclass AND d.classid = i.classoid AND d.objid = i.objoid AND d.objsubid = i.objsubid
		AND i.classoid = s.class AND i.objoid = s.oid
		AND d.refobjid NOT IN (SELECT x.grantee FROM aclexplode(i.initprivs) x);
DROP VIEW pg_temp.shipped;

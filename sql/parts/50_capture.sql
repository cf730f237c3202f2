-------------------------------------------------------------------------------
-- Capture
-------------------------------------------------------------------------------

CREATE FUNCTION bm_webhook.emit(type text, data jsonb, application text = NULL, channel text = NULL,
								message_id text = NULL, occurred_at timestamptz = NULL, endpoint bigint = NULL,
								idempotency_key text = NULL, expires_at timestamptz = NULL) RETURNS uuid
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_emit';
COMMENT ON FUNCTION bm_webhook.emit(text, jsonb, text, text, text, timestamptz, bigint, text, timestamptz) IS
	'makes an event of this transaction and returns its id; data is an object; endpoint: for this one alone; '
	'idempotency_key: if an event of the application was emitted under it within bm_webhook.idempotency_window, there '
	'is no other, and its id is returned; expires_at: from then on it is not sent any more, but canceled; 22023, '
	'23502, 42704, 53400, 54000';

CREATE FUNCTION bm_webhook.ping(endpoint bigint, type text = 'webhook.ping') RETURNS uuid
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'bm_webhook_ping';
COMMENT ON FUNCTION bm_webhook.ping(bigint, text) IS
	'sends an event webhook.ping, or the example that event_type has of another type, to this endpoint alone and '
	'returns its id; 42704 unknown endpoint, type without example, 53400 too many, 55000 disabled endpoint';

CREATE FUNCTION bm_webhook.capture() RETURNS trigger
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_capture';
COMMENT ON FUNCTION bm_webhook.capture() IS
	'trigger function that makes an event of each changed row; its triggers are created by watch(); 39P01 misuse, '
	'42703 unknown column';

CREATE FUNCTION bm_webhook_internal.check_capture(relation regclass, arguments text[]) RETURNS void
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'bm_webhook_check_capture';
COMMENT ON FUNCTION bm_webhook_internal.check_capture(regclass, text[]) IS
	'raises what a trigger with these arguments would raise';

CREATE FUNCTION bm_webhook_internal.watches(relation regclass)
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

CREATE FUNCTION bm_webhook_internal.check_watched(relation regclass, level text) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r pg_class;
BEGIN
	SELECT * INTO r FROM pg_class WHERE oid = relation;
	IF NOT FOUND THEN
		PERFORM bm_webhook_internal.refuse(format('relation with OID %s does not exist', relation::oid),
			'Name an existing table.', '42P01');
	ELSIF r.relkind NOT IN ('r', 'p') OR r.relpersistence = 't' THEN
		PERFORM bm_webhook_internal.refuse(format('relation "%s" cannot be watched', r.relname),
			'Only permanent and unlogged tables can: watch the tables under a view.', '42809');
	ELSIF r.oid < 16384 OR r.relnamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) THEN
		PERFORM bm_webhook_internal.refuse(format('system catalog "%s" cannot be watched', r.relname),
			'Watch a table of your own.', '42809');
	ELSIF r.relnamespace IN ('bm_webhook'::regnamespace, 'bm_webhook_internal'::regnamespace) THEN
		PERFORM bm_webhook_internal.refuse(format('table "%s" belongs to the extension and cannot be watched', r.relname),
			'Watch a table of your own.', '42809');
	ELSIF level = 'statement' AND (r.relkind = 'p' OR r.relispartition) THEN
		PERFORM bm_webhook_internal.refuse(format('partitioned table "%s" cannot be watched at statement level', r.relname),
			'Use level => ''row'', on the partitioned table.', '0A000');
	ELSIF r.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits WHERE inhparent = r.oid) THEN
		RAISE WARNING 'rows of tables that inherit from "%" are not captured', r.relname
			USING HINT = 'Watch these tables as well.';
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.check_watched(regclass, text) IS
	'refuses relations that cannot be watched; 0A000, 42809, 42P01';

CREATE FUNCTION bm_webhook_internal.has_equality(type regtype) RETURNS boolean
	LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'bm_webhook_has_equality';
COMMENT ON FUNCTION bm_webhook_internal.has_equality(regtype) IS
	'does pg_catalog have an equality of the type, or of the type under a domain?';

-- Types without an equality in pg_catalog (json, xml, ...) are compared as text.
-- The catalogs are asked: a value would bring the type's own code to run as our caller.
-- Types of users by their output functions: a cast to text may be a function of the
-- type's owner, and would run as who writes into the table.
CREATE FUNCTION bm_webhook_internal.changed_condition(relation regclass, changed text[]) RETURNS text
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
COMMENT ON FUNCTION bm_webhook_internal.changed_condition(regclass, text[]) IS
	'SQL text: did one of these columns change? 42703 unknown column';

CREATE FUNCTION bm_webhook_internal.primary_key(relation regclass) RETURNS text[]
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT array_agg(a.attname::text ORDER BY k.position)
	FROM pg_index i, unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, position), pg_attribute a
	WHERE i.indrelid = relation AND i.indisprimary AND a.attrelid = relation AND a.attnum = k.attnum
$$;
COMMENT ON FUNCTION bm_webhook_internal.primary_key(regclass) IS
	'the columns of the primary key; NULL when there is none';

CREATE FUNCTION bm_webhook_internal.check_function(relation regclass, function regprocedure) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p pg_proc;
BEGIN
	SELECT * INTO p FROM pg_proc WHERE oid = function;
	IF NOT FOUND OR p.pronargs <> 1 OR p.proargtypes[0] <> (SELECT reltype FROM pg_class WHERE oid = relation) THEN
		PERFORM bm_webhook_internal.refuse(format('function %s does not take a row of "%s"', function, relation),
			format('It must have one argument of type %s and return jsonb.', relation), '42883');
	ELSIF NOT has_function_privilege(function, 'EXECUTE') THEN
		PERFORM bm_webhook_internal.refuse(format('permission denied for function %s', function),
			'You need EXECUTE on the function.', '42501');
	END IF;
	RETURN format('%I.%I', (SELECT nspname FROM pg_namespace WHERE oid = p.pronamespace), p.proname);
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.check_function(regclass, regprocedure) IS
	'the qualified name of a function that takes a row of the relation; 42501, 42883';

CREATE FUNCTION bm_webhook_internal.create_watch_trigger(relation regclass, event_type text, operation text, level text,
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
EXCEPTION WHEN ambiguous_column OR undefined_column OR undefined_table THEN
	PERFORM bm_webhook_internal.refuse(format('"condition": %s', sqlerrm),
		'Write a column as NEW.column, and as OLD.column for the row before.', sqlstate);
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.create_watch_trigger(regclass, text, text, text, text, text[]) IS
	'creates one capture trigger';

CREATE FUNCTION bm_webhook_internal.watch(relation regclass, event_type text, application text, channel text,
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
COMMENT ON FUNCTION bm_webhook_internal.watch(regclass, text, text, text, text, text, text[], text[], text, text[],
	regprocedure, text, text[], boolean) IS
	'watch(), and what it has in common with watch_messages(): message has the arguments that make messages of rows';

CREATE FUNCTION bm_webhook.watch(relation regclass, event_type text, application text = NULL, channel text = NULL,
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

CREATE FUNCTION bm_webhook.unwatch(relation regclass, event_type text = NULL) RETURNS integer
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
COMMENT ON FUNCTION bm_webhook.unwatch(regclass, text) IS
	'removes the watches of a table, all or those of one event type (as given to watch()), and returns how many; 23502';

CREATE VIEW bm_webhook.watch_list WITH (security_invoker = true) AS
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
COMMENT ON VIEW bm_webhook.watch_list IS
	'what watch(), watch_messages() and watch_replies() have made, as long as it is there';
COMMENT ON COLUMN bm_webhook.watch_list.event_type IS 'as it was given: a template';
COMMENT ON COLUMN bm_webhook.watch_list.messages IS
	'outbound for watch_messages(), inbound for watch_replies(), NULL for watch()';
COMMENT ON COLUMN bm_webhook.watch_list.enabled IS 'false when one of its triggers was disabled';
COMMENT ON COLUMN bm_webhook.watch_list.old IS 'does the data have the old row beside the new one?';

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
		AND encode(convert_to(format('function=%I.%I', (SELECT nspname FROM pg_namespace n WHERE n.oid = p.pronamespace), p.proname), getdatabaseencoding()), 'escape')
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
			AND (proargtypes[0], pronamespace) = (SELECT reltype, relnamespace FROM pg_class WHERE oid = relation)
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
	function text = format('%I.%I', (SELECT nspname FROM pg_namespace, pg_class WHERE pg_namespace.oid = relnamespace AND pg_class.oid = relation), name);
	trigger name;
BEGIN
	-- OR REPLACE below would leave it to its owner
	IF EXISTS (SELECT FROM pg_proc p, pg_roles r, pg_class c WHERE c.oid = relation AND p.proname = name AND p.pronamespace = c.relnamespace
			AND p.proargtypes[0] = c.reltype AND r.oid = p.proowner AND NOT r.rolsuper AND r.rolname <> current_user) THEN
		PERFORM bm_webhook._refuse(format('function %s(%s) exists already and is not yours', function, relation),
			'Drop or rename it.', '42723');
	END IF;
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


-------------------------------------------------------------------------------
-- Messaging: watch() for tables of messages
-------------------------------------------------------------------------------

CREATE FUNCTION bm_webhook_internal.message_arguments(relation regclass, direction text, omit text[], mapping text[])
	RETURNS text[]
	LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'bm_webhook_message_arguments';
COMMENT ON FUNCTION bm_webhook_internal.message_arguments(regclass, text, text[], text[]) IS
	'the arguments of a capture trigger for messages; mapping: names of fields, each with what was given for it; '
	'22023, 42703, 42P16';

-- A second call replaces the first: one direction of a table has one mapping.
CREATE FUNCTION bm_webhook_internal.watch_messages(relation regclass, direction text, mapping text[], omit text[],
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
COMMENT ON FUNCTION bm_webhook_internal.watch_messages(regclass, text, text[], text[], text[], text, text) IS
	'watches a table of messages of one direction; 22023, 23502, 42703, 42804, 42P16, and those of watch()';

CREATE FUNCTION bm_webhook.watch_messages(relation regclass, status text = NULL, application text = NULL,
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
COMMENT ON FUNCTION bm_webhook.watch_messages(regclass, text, text, text, text, text, text, text, text, text, text,
	text, text, text, text, text, text, text, text, text[], text[], text, text) IS
	'makes events message.<status>, as message_status() does, of the rows of a table of sent messages that are '
	'inserted or change their status. Each mapping argument is {column}, by default the column of its own name; '
	'message_id by default the primary key; application, channel and message_id are templates; sender, recipient, '
	'their names and provider may be constants. content: jsonb or text. omit: columns that must not leave. '
	'condition, operations, level: as in watch(). Calling it again replaces the mapping; unwatch() ends it. Errors: '
	'22023, 42501, 42703, 42804, 42P16, and those of watch()';

CREATE FUNCTION bm_webhook.watch_replies(relation regclass, content text = NULL, application text = NULL,
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
COMMENT ON FUNCTION bm_webhook.watch_replies(regclass, text, text, text, text, text, text, text, text, text, text,
	text, text, text, text, text[], text, text) IS
	'makes events message.received, as message_received() does, of the rows inserted into a table of inbound '
	'messages. Mapping arguments as in watch_messages(). content: jsonb or text. context: jsonb, or the id of the '
	'message that is answered. Errors: as watch_messages()';


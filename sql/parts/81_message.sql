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


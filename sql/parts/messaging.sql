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

CREATE FUNCTION bm_webhook._our_status(provider text, status text) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ours text;
BEGIN
	IF provider IS NULL OR status IS NULL THEN
		RETURN status;
	END IF;
	SELECT m.status INTO ours FROM bm_webhook.status_map m
		WHERE m.provider = lower(_our_status.provider COLLATE "C")
			AND m.provider_status = lower(_our_status.status COLLATE "C");
	IF NOT FOUND THEN
		PERFORM bm_webhook._refuse(
			CASE WHEN EXISTS (SELECT FROM bm_webhook.status_map m WHERE m.provider = lower(_our_status.provider COLLATE "C"))
				THEN format('unknown "status" "%s" of provider "%s"', left(status, 128), provider)
				ELSE format('unknown "provider" "%s"', left(provider, 128)) END,
			'The known ones are the rows of bm_webhook.status_map; add yours there.');
	END IF;
	RETURN ours;
END
$$;
COMMENT ON FUNCTION bm_webhook._our_status(text, text) IS 'what a provider''s status is called here; without provider the status itself; 22023';

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

CREATE FUNCTION bm_webhook._check_details(context jsonb, price jsonb, error jsonb, metadata jsonb) RETURNS void
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
	IF metadata IS NOT NULL THEN
		IF jsonb_typeof(metadata) <> 'object' OR jsonb_path_exists(metadata, 'strict $.* ? (@.type() != "string")') THEN
			PERFORM bm_webhook._refuse('"metadata" must be an object of strings', 'Such as {"campaign": "spring"}.');
		ELSIF (SELECT count(*) FROM jsonb_object_keys(metadata)) > 16 THEN
			PERFORM bm_webhook._refuse('"metadata" has more than 16 keys', 'It is for references, not for content.', '54000');
		ELSIF octet_length(metadata::text) > 4096 THEN
			PERFORM bm_webhook._refuse('"metadata" is larger than 4096 bytes', 'It is for references, not for content.', '54000');
		END IF;
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook._check_details(jsonb, jsonb, jsonb, jsonb) IS 'checks objects of a message; 22023, 54000';

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
		PERFORM bm_webhook._refuse(format('unknown "status" "%s"', left(status, 128)), CASE WHEN status = 'received'
			THEN 'Use bm_webhook.message_received() for an inbound message.'
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
	IF num_nonnulls(context, price, error, metadata) > 0 THEN
		PERFORM bm_webhook._check_details(context, price, error, metadata);
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
CREATE FUNCTION bm_webhook._template_parts(template text) RETURNS TABLE (name text, expression text)
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN p[1] ~ '^\{[^{]' THEN btrim(p[1], '{}') END,
		CASE WHEN p[1] ~ '^\{[^{]' THEN format('m.%I::text', btrim(p[1], '{}'))
			ELSE quote_literal(replace(replace(p[1], '{{', '{'), '}}', '}')) || '::text' END
	FROM regexp_matches(template, '(\{\{|\}\}|\{[^{}]+\}|[^{}]+)', 'g') p
$$;
COMMENT ON FUNCTION bm_webhook._template_parts(text) IS 'the parts of a template: column (NULL for text), and SQL on the row m';

CREATE FUNCTION bm_webhook._check_mapping(relation regclass, argument text, value text, omit text[], needed boolean) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	name text;
BEGIN
	IF value IS NULL THEN
		IF NOT argument = ANY (omit) AND EXISTS (SELECT FROM pg_attribute
				WHERE attrelid = relation AND attname = argument AND attnum > 0 AND NOT attisdropped) THEN
			RETURN '{' || argument || '}';
		ELSIF needed THEN
			PERFORM bm_webhook._refuse(format('"%s" is needed: relation "%s" has no such column', argument, relation),
				format('Name one: %s => ''{column}''.', argument), '42703');
		END IF;
		RETURN NULL;
	END IF;
	FOR name IN SELECT p.name FROM bm_webhook._template_parts(value) p WHERE p.name IS NOT NULL LOOP
		IF NOT EXISTS (SELECT FROM pg_attribute
				WHERE attrelid = relation AND attname = _check_mapping.name AND attnum > 0 AND NOT attisdropped) THEN
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
	c text = format('m.%I', name);
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
			RETURN format('nullif(%s::text, '''')', c);
		WHEN types = 'time' AND kind = 'time' THEN
			RETURN c || '::timestamptz';
		WHEN types = 'integer' AND kind = 'integer' THEN
			RETURN c || '::integer';
		WHEN types IN ('jsonb', 'content', 'context') AND kind = 'jsonb' THEN
			RETURN c || '::jsonb';
		WHEN types = 'content' AND kind = 'text' THEN
			RETURN format('CASE WHEN %1$s::text <> '''' THEN jsonb_build_object(''type'', ''text'', ''text'', %1$s::text) END', c);
		WHEN types = 'context' AND kind IN ('text', 'integer') THEN
			RETURN format('CASE WHEN %1$s::text <> '''' THEN jsonb_build_object(''message_id'', %1$s::text) END', c);
		ELSE
			PERFORM bm_webhook._refuse(format('"%s": column "%s" has type %s', argument, name, format_type(type.oid, NULL)),
				CASE types WHEN 'text' THEN 'Use a column of a text, enum, integer or uuid type.'
					WHEN 'time' THEN 'Use a column of type timestamp with time zone, timestamp or date.'
					WHEN 'integer' THEN 'Use a column of an integer type.'
					WHEN 'jsonb' THEN 'Use a column of type jsonb or json; it may be a generated one.'
					ELSE 'Use a column of type jsonb, json or text; it may be a generated one.' END
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
			RETURN quote_literal(replace(replace(template, '{{', '{'), '}}', '}'));
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

-- As the definer, who may use the extension: who changes the table need not be.
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
		' LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS %L', function, relation,
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
		IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = relation AND attname = _check_message_relation.name AND attnum > 0 AND NOT attisdropped) THEN
			PERFORM bm_webhook._refuse(format('"omit": column "%s" of relation "%s" does not exist', name, relation),
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
	function regprocedure;
BEGIN
	message_id := bm_webhook._check_message_relation(relation, left_out, message_id, level);
	application := bm_webhook._check_mapping(relation, 'application', application, left_out, false);
	channel := bm_webhook._check_mapping(relation, 'channel', channel, left_out, true);
	status := bm_webhook._check_mapping(relation, 'status', status, left_out, true);
	occurred_at := bm_webhook._check_mapping(relation, 'occurred_at', occurred_at, left_out, false);
	provider_sql := bm_webhook._mapping(relation, 'provider', provider, 'text', left_out);
	status_sql := bm_webhook._mapping(relation, 'status', status, 'text', left_out);
	IF provider !~ '^\{' AND NOT EXISTS (SELECT FROM bm_webhook.status_map m
			WHERE m.provider = lower(watch_messages.provider COLLATE "C")) THEN
		PERFORM bm_webhook._refuse(format('unknown "provider" "%s"', provider),
			'The known ones are the rows of bm_webhook.status_map; add yours there. Write a column as {column}.');
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
			'error => CASE WHEN status IN (''failed'', ''expired'') THEN ' || bm_webhook._mapping(relation, 'error', error, 'jsonb', left_out) || ' END',
			'metadata => ' || bm_webhook._mapping(relation, 'metadata', metadata, 'jsonb', left_out),
			'sender_name => ' || bm_webhook._mapping(relation, 'sender_name', sender_name, 'text', left_out),
			'recipient_name => ' || bm_webhook._mapping(relation, 'recipient_name', recipient_name, 'text', left_out)]);
	PERFORM bm_webhook.watch(relation, 'message.' || CASE WHEN provider_sql IS NULL THEN status ELSE '{data.status}' END,
		application => application, channel => channel, message_id => message_id, occurred_at => occurred_at,
		operations => operations, changed => CASE WHEN 'UPDATE' = ANY (upper(operations::text)::text[]) THEN ARRAY[btrim(status, '{}')] END,
		condition => condition, function => function, level => level);
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
	invalid text = (SELECT string_agg(coalesce(format('"%s"', left(p, 128)), 'NULL'), ', ') FROM unnest(NEW.muted_event_types) p
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
	('reply', 'inbound', '{provider_message_id,client_ref,conversation_id,context,metadata}', '{content}')),
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
	('clicked', 'reply', 'somebody has pressed a button of a message (message_id)',
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

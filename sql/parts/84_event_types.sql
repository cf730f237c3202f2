-------------------------------------------------------------------------------
-- Event types
-------------------------------------------------------------------------------

-- Only for this script: the schema of a whole body, from that of its data.
CREATE FUNCTION bm_webhook_internal.body_schema(type text, description text, required text[], data jsonb) RETURNS jsonb
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

CREATE FUNCTION bm_webhook_internal.message_schema(name text) RETURNS jsonb
	LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'bm_webhook_message_schema';

WITH type (name, description, example) AS (VALUES
	('accepted', 'the provider has accepted a message, and has not sent it yet', '{}'::jsonb),
	('sent', 'a message was handed to the channel', '{"segments": 2, "price": {"amount": "0.0075", "currency": "EUR"}}'),
	('delivered', 'a message has reached the device', '{"client_ref": "order-4411", "metadata": {"campaign": "spring"}}'),
	('read', 'a message was read; not every channel and recipient tells', '{"conversation_id": "c_17"}'),
	('failed', 'a message will not be delivered',
		'{"error": {"code": "undeliverable", "title": "Message undeliverable", "permanent": true, "provider_code": '
			'"131026"}}'),
	('expired', 'a message was not delivered within its time',
		'{"error": {"code": "expired", "title": "Not delivered in time", "permanent": false}}'),
	('canceled', 'a message was canceled before it was sent', '{}'),
	('received', 'somebody has sent us a message; an answer to one of ours if data.context is set, which message.replied '
		'subscribes to',
		'{"content": {"type": "text", "text": "Merci !"}, "context": {"message_id": "m_01J9"}}'),
	('clicked', 'somebody has pressed a button of a message (message_id)',
		'{"content": {"type": "button", "button": {"id": "confirm", "text": "Confirm"}}}')),
shape AS (
	SELECT t.name, bm_webhook_internal.message_schema(t.name) AS schema FROM type t
)
INSERT INTO bm_webhook.event_type (name, description, schema, example)
	SELECT 'message.' || t.name, t.description,
		bm_webhook_internal.body_schema('message.' || t.name, t.description, '{channel,message_id}', s.schema -> 'data')
			|| pg_catalog.jsonb_build_object('$defs', s.schema -> '$defs'),
		pg_catalog.jsonb_build_object('id', '01990f3c-5d1a-7c3e-8f00-0242ac120002', 'type', 'message.' || t.name,
			'timestamp', '2026-08-07T09:12:03.412Z', 'application', 'app_7', 'channel', 'whatsapp', 'message_id', 'm_01JA',
			'data', pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('occurred_at', '2026-08-07T09:12:03.412Z',
					'from', '{"address": "+33123456789"}'::jsonb, 'to', '{"address": "+33698765432", "name": "Ana"}'::jsonb,
					'direction', s.schema #> '{data,properties,direction,const}',
					'status', s.schema #> '{data,properties,status,const}')) || t.example)
	FROM type t JOIN shape s USING (name)
	ON CONFLICT (name) DO UPDATE
		SET description = excluded.description, schema = excluded.schema, example = excluded.example;

DROP FUNCTION bm_webhook_internal.message_schema(text);

INSERT INTO bm_webhook.event_type (name, description, schema, example)
	SELECT t.name, t.description,
		bm_webhook_internal.body_schema(t.name, t.description, '{}', pg_catalog.jsonb_build_object(
			'type', 'object', 'required', pg_catalog.to_jsonb(t.required), 'properties', t.properties)),
		pg_catalog.jsonb_build_object('id', '01990f3c-5d1a-7c3e-8f00-0242ac120002', 'type', t.name,
			'timestamp', '2026-08-07T09:12:03.412Z', 'data', t.example)
	FROM (VALUES
		('webhook.ping', 'sent by ping() to try an endpoint', '{endpoint_id}'::text[],
			'{"endpoint_id": {"type": "integer"}}'::jsonb, '{"endpoint_id": 1}'::jsonb),
		('webhook.verification', 'sent to a new URL, which proves by its answer that it is meant to get webhooks; in no log',
			'{endpoint_id,challenge}',
			'{"endpoint_id": {"type": "integer"}, "challenge": {"type": "string", "pattern": "^[0-9a-f]{64}$"}}',
			'{"endpoint_id": 1, "challenge": "8f0c3a5d1be94c7fa2d6e0b3487195ac0d2e4f6a8b1c3d5e7f90a1b2c3d4e5f6"}'),
		('webhook.capture_failed', 'a row changed that could not become an event', '{relation,operation,error}',
			'{"relation": {"type": "string"}, "operation": {"enum": ["INSERT", "UPDATE", "DELETE"]},
				"type": {"type": "string"}, "message_id": {"type": "string"}, "error": {"type": "string"}}',
			'{"relation": "public.message", "operation": "UPDATE", "type": "message.lost", "message_id": "42", "error": '
				'"unknown \"status\" \"lost\""}'),
		('webhook.filter_failed', 'the filter of an endpoint could not be evaluated, and what it was for was not sent to it',
			'{endpoint_id,event_id,error,failures}',
			'{"endpoint_id": {"type": "integer"}, "event_id": {"type": "string", "format": "uuid"},
				"event_type": {"type": ["string", "null"]}, "error": {"type": "string"},
				"failures": {"type": "integer", "minimum": 1}}',
			'{"endpoint_id": 1, "event_id": "01990f3c-5d1a-7c3e-8f00-0242ac120001", "event_type": "message.delivered", '
				'"error": "it takes longer than 5 ms", "failures": 1}'),
		('endpoint.disabled', 'an endpoint was disabled because it is gone or has failed for too long',
			'{endpoint_id,reason}',
			'{"endpoint_id": {"type": "integer"}, "reason": {"type": "string"}, "failing_since": {"type": ["string", "null"], '
				'"format": "date-time"}}',
			'{"endpoint_id": 1, "reason": "gone", "failing_since": "2026-08-02T09:12:03Z"}'),
		('endpoint.failing', 'every attempt to deliver to an endpoint has failed for a while', '{endpoint_id,failing_since}',
			'{"endpoint_id": {"type": "integer"}, "failing_since": {"type": "string", "format": "date-time"},
				"error_class": {"type": ["string", "null"]}}',
			'{"endpoint_id": 1, "failing_since": "2026-08-02T09:12:03Z", "error_class": "connect"}'),
		('endpoint.recovered', 'an endpoint that was failing has answered', '{endpoint_id}',
			'{"endpoint_id": {"type": "integer"}, "failing_since": {"type": ["string", "null"], "format": "date-time"}}',
			'{"endpoint_id": 1, "failing_since": "2026-08-02T09:12:03Z"}'),
		('delivery.exhausted', 'a delivery was given up', '{endpoint_id,event_id}',
			'{"endpoint_id": {"type": "integer"}, "event_id": {"type": "string", "format": "uuid"}, "event_type": {"type": '
				'"string"},
				"attempts": {"type": "integer", "minimum": 0}, "error_class": {"type": ["string", "null"]},
				"error": {"type": ["string", "null"]}, "http_status": {"type": ["integer", "null"]}}',
			'{"endpoint_id": 1, "event_id": "01990f3c-5d1a-7c3e-8f00-0242ac120001", "event_type": "message.delivered", '
				'"attempts": 10, "http_status": 500}')
		) AS t (name, description, required, properties, example)
	ON CONFLICT (name) DO UPDATE
		SET description = excluded.description, schema = excluded.schema, example = excluded.example;

DROP FUNCTION bm_webhook_internal.body_schema(text, text, text[], jsonb);

-- The body of an endpoint with payload = 'thin' is in $defs.
UPDATE bm_webhook.event_type t SET schema = t.schema || pg_catalog.jsonb_build_object('$defs',
		coalesce(t.schema -> '$defs', '{}')
		|| pg_catalog.jsonb_build_object('thin', pg_catalog.jsonb_build_object('type', 'object',
			'description', 'the body for an endpoint with payload = ''thin'': without data',
			'required', (t.schema -> 'required') - 'data',
			'properties', t.schema -> 'properties' || '{"data": false}')));


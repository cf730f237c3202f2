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


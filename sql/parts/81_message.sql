-------------------------------------------------------------------------------
-- Messaging: one message, checked and written as documented
-------------------------------------------------------------------------------

-- The functions find the fields by the names of their arguments: a name that
-- is no field of src/pg/message_fields.c is an error.
CREATE FUNCTION bm_webhook.message_status(status text, application text, channel text, message_id text, sender text,
		recipient text, occurred_at timestamptz = NULL, provider text = NULL, provider_message_id text = NULL,
		client_ref text = NULL, conversation_id text = NULL, content jsonb = NULL, segments integer = NULL,
		price jsonb = NULL, error jsonb = NULL, metadata jsonb = NULL, sender_name text = NULL, recipient_name text = NULL,
		idempotency_key text = NULL, expires_at timestamptz = NULL) RETURNS uuid
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_message_status';
COMMENT ON FUNCTION bm_webhook.message_status(text, text, text, text, text, text, timestamptz, text, text, text, text,
	jsonb, integer, jsonb, jsonb, jsonb, text, text, text, timestamptz) IS
	'makes an event message.<status> of a message that was sent, and returns its id. status: accepted, sent, '
	'delivered, read, failed, expired, canceled; or that of a provider in status_map. occurred_at: the provider''s '
	'time. error: required for failed and expired. idempotency_key, expires_at: as for '
	'emit(). Errors: 22023, 23502, 53400, 54000';

CREATE FUNCTION bm_webhook.message_received(content jsonb, application text, channel text, message_id text,
		sender text, recipient text, occurred_at timestamptz = NULL, provider_message_id text = NULL, client_ref text = NULL,
		conversation_id text = NULL, context jsonb = NULL, metadata jsonb = NULL, sender_name text = NULL,
		recipient_name text = NULL, idempotency_key text = NULL, expires_at timestamptz = NULL) RETURNS uuid
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_message_received';
COMMENT ON FUNCTION bm_webhook.message_received(jsonb, text, text, text, text, text, timestamptz, text, text, text,
	jsonb, jsonb, text, text, text, timestamptz) IS
	'makes an event message.received of an inbound message, and returns its id. context: {"message_id": ...} of the '
	'message that it answers. idempotency_key, expires_at: as for '
	'emit(). Errors: 22023, 23502, 53400, 54000';

CREATE FUNCTION bm_webhook.message_clicked(button jsonb, application text, channel text, message_id text, sender text,
		recipient text, occurred_at timestamptz = NULL, provider_message_id text = NULL, client_ref text = NULL,
		conversation_id text = NULL, metadata jsonb = NULL, sender_name text = NULL, recipient_name text = NULL,
		idempotency_key text = NULL, expires_at timestamptz = NULL) RETURNS uuid
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_message_clicked';
COMMENT ON FUNCTION bm_webhook.message_clicked(jsonb, text, text, text, text, text, timestamptz, text, text, text,
	jsonb, text, text, text, timestamptz) IS
	'makes an event message.clicked, and returns its id. message_id: the message that has the button. sender: who '
	'clicked. button: {"id": ..., "text": ...}. idempotency_key, expires_at: as for '
	'emit(). Errors: 22023, 23502, 53400, 54000';


-- What a messaging platform might have: messages that go out and change their status, and messages
-- that come in. Two calls of watch() make webhooks of them.

CREATE TABLE message (
	id text PRIMARY KEY,
	channel text NOT NULL CHECK (channel IN ('sms', 'whatsapp', 'rcs')),
	sender text NOT NULL,
	recipient text NOT NULL,
	body text NOT NULL,
	client_ref text,
	status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'sent', 'delivered', 'read', 'failed')),
	error jsonb,
	updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE inbound (
	id text PRIMARY KEY,
	channel text NOT NULL,
	sender text NOT NULL,
	recipient text NOT NULL,
	body text NOT NULL,
	in_reply_to text REFERENCES message,
	received_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What goes into "data". The text of a message that we sent is nobody's business.
CREATE FUNCTION message_data(m message) RETURNS jsonb LANGUAGE sql STABLE
RETURN jsonb_strip_nulls(jsonb_build_object(
	'direction', 'outbound',
	'status', m.status,
	'from', jsonb_build_object('address', m.sender),
	'to', jsonb_build_object('address', m.recipient),
	'client_ref', m.client_ref,
	'error', m.error));

CREATE FUNCTION inbound_data(i inbound) RETURNS jsonb LANGUAGE sql STABLE
RETURN jsonb_strip_nulls(jsonb_build_object(
	'direction', 'inbound',
	'status', 'received',
	'from', jsonb_build_object('address', i.sender),
	'to', jsonb_build_object('address', i.recipient),
	'content', jsonb_build_object('type', 'text', 'text', i.body),
	'context', CASE WHEN i.in_reply_to IS NOT NULL THEN jsonb_build_object('message_id', i.in_reply_to) END));

SELECT bm_webhook.watch('message', 'message.{status}',
	channel => '{channel}',
	occurred_at => '{updated_at}',
	changed => '{status}',
	condition => $$NEW.status <> 'queued'$$,
	function => 'message_data(message)');

SELECT bm_webhook.watch('inbound', 'message.received',
	channel => '{channel}',
	occurred_at => '{received_at}',
	operations => '{INSERT}',
	function => 'inbound_data(inbound)');

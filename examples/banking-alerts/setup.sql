-- psql -v url=http://127.0.0.1:8080/bank.receive -f setup.sql
\set ON_ERROR_STOP on
BEGIN;
CREATE SCHEMA bank;

-------------------------------------------------------------------------------
-- The platform: one-time codes that it sends for the bank
-------------------------------------------------------------------------------

CREATE TABLE bank.one_time_code (
	id text PRIMARY KEY,
	recipient text NOT NULL,
	content text NOT NULL,	-- the code
	status text NOT NULL DEFAULT 'accepted',
	provider_message_id text,
	error jsonb
);

-- Columns are found by their names. What is left out does not leave: the code.
SELECT bm_webhook.watch_messages('bank.one_time_code', application => 'bank', channel => 'sms',
	sender => '+33123456789', omit => '{content}');

-- A code is of use for a minute, and so is word of it: a quarter of a second,
-- half a second, one, two ... then it is given up.
INSERT INTO bm_webhook.application (name, description) VALUES ('bank', 'alerts and one-time codes');
INSERT INTO bm_webhook.endpoint (application, event_types, url, timeout, retry_delays) VALUES
	('bank', '{message.sent,message.delivered,message.failed}', :'url', '2 s',
	bm_webhook.exponential_backoff('250 ms', 2, '10 s', 9))
	RETURNING id AS endpoint \gset

-------------------------------------------------------------------------------
-- The bank: keeps every callback as it came
-------------------------------------------------------------------------------

CREATE TABLE bank.secret (secret text PRIMARY KEY);
INSERT INTO bank.secret VALUES (bm_webhook.secret(:endpoint));

CREATE TABLE bank.callback (
	id text PRIMARY KEY,
	received_at timestamptz NOT NULL,
	message_id text NOT NULL,
	type text NOT NULL,
	happened_at timestamptz NOT NULL,
	signature text NOT NULL,
	body text NOT NULL
);
COMMENT ON TABLE bank.callback IS 'for audit: bytes and signature are kept, so that both can be verified years later';

CREATE FUNCTION bank.receive(headers jsonb, body bytea) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
	event jsonb;
BEGIN
	IF NOT EXISTS (SELECT FROM bank.secret s WHERE bm_webhook.verify(headers, body, s.secret, '5 min')) THEN
		RETURN 401;
	END IF;
	event := convert_from(body, 'UTF8');
	INSERT INTO bank.callback VALUES (headers ->> 'webhook-id', clock_timestamp(), event ->> 'message_id',
		event ->> 'type', (event ->> 'timestamp')::timestamptz,
		(headers ->> 'webhook-timestamp') || ' ' || (headers ->> 'webhook-signature'), convert_from(body, 'UTF8'))
		ON CONFLICT DO NOTHING;
	RETURN 204;
END
$$;
COMMIT;

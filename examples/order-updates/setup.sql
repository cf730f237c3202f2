-- psql -v url=http://127.0.0.1:8080/shop.receive -f setup.sql
\set ON_ERROR_STOP on
BEGIN;
CREATE SCHEMA shop;

-------------------------------------------------------------------------------
-- The platform: messages that it sends for the shop
-------------------------------------------------------------------------------

CREATE TABLE shop.message (
	id text PRIMARY KEY DEFAULT 'm-' || gen_random_uuid(),
	channel text NOT NULL,
	sender text NOT NULL DEFAULT '+33123456789',
	recipient text NOT NULL,
	content text NOT NULL,
	client_ref text,
	status text NOT NULL DEFAULT 'accepted',
	error jsonb
);

-- Columns are found by their names.
SELECT bm_webhook.watch_messages('shop.message', application => 'shop');

INSERT INTO bm_webhook.application (name, description) VALUES ('shop', 'an online shop');
INSERT INTO bm_webhook.endpoint (application, event_types, url) VALUES
	('shop', '{message.delivered,message.failed}', :'url')
	RETURNING id AS endpoint \gset

-------------------------------------------------------------------------------
-- The shop: its orders, and what it does when it hears of a message
-------------------------------------------------------------------------------

CREATE TABLE shop.secret (secret text PRIMARY KEY);
INSERT INTO shop.secret VALUES (bm_webhook.secret(:endpoint));

CREATE TABLE shop.orders (
	id text PRIMARY KEY,
	phone text NOT NULL,
	notice text NOT NULL DEFAULT 'none' CHECK (notice IN ('none', 'sent', 'arrived', 'failed')),
	channel text
);
COMMENT ON COLUMN shop.orders.notice IS 'whether the customer knows that the parcel is on its way';

CREATE TABLE shop.inbox (id text PRIMARY KEY, body jsonb NOT NULL);

-- Asks the platform to send a message. Where the platform has an API, call it here.
CREATE FUNCTION shop.notify(order_id text, by_channel text) RETURNS void
LANGUAGE sql AS $$
	UPDATE shop.orders SET notice = 'sent', channel = by_channel WHERE id = order_id;
	INSERT INTO shop.message (channel, recipient, content, client_ref)
		SELECT by_channel, phone, 'Your parcel is on its way.', id FROM shop.orders WHERE id = order_id;
$$;

CREATE FUNCTION shop.receive(headers jsonb, body bytea) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
	event jsonb;
	order_id text;
BEGIN
	IF NOT EXISTS (SELECT FROM shop.secret s WHERE bm_webhook.verify(headers, body, s.secret, '5 min')) THEN
		RETURN 401;
	END IF;
	event := convert_from(body, 'UTF8');
	INSERT INTO shop.inbox VALUES (headers ->> 'webhook-id', event) ON CONFLICT DO NOTHING;
	IF NOT FOUND THEN
		RETURN 204;	-- it was here before, and all of this was done
	END IF;

	order_id := event #>> '{data,client_ref}';
	IF event ->> 'type' = 'message.delivered' THEN
		UPDATE shop.orders SET notice = 'arrived', channel = event ->> 'channel' WHERE id = order_id;
	ELSIF event ->> 'channel' = 'sms' THEN
		-- unless something has arrived in the meantime: events may come in any order
		PERFORM shop.notify(o.id, 'whatsapp') FROM shop.orders o WHERE o.id = order_id AND o.notice <> 'arrived';
	ELSE
		UPDATE shop.orders SET notice = 'failed' WHERE id = order_id AND notice <> 'arrived';
	END IF;
	RETURN 204;
END
$$;
COMMIT;

-- psql -v url=http://127.0.0.1:8080/ -f setup.sql; prints the secret for bot.mjs
\set ON_ERROR_STOP on
BEGIN;
CREATE SCHEMA bot;

INSERT INTO bm_webhook.application (name, description) VALUES ('bot', 'answers questions about orders');
INSERT INTO bm_webhook.endpoint (application, event_types, url) VALUES
	('bot', '{message.received}', :'url')
	RETURNING id AS endpoint \gset

-- What the bot says, for the platform to send. One answer to one webhook-id.
CREATE TABLE bot.answer (
	id text PRIMARY KEY DEFAULT 'a-' || gen_random_uuid(),
	webhook_id text NOT NULL UNIQUE,
	channel text NOT NULL,
	recipient text NOT NULL,
	answers text NOT NULL,
	text text NOT NULL
);

CREATE TABLE bot.parcel (number text PRIMARY KEY, place text NOT NULL);
INSERT INTO bot.parcel VALUES ('4411', 'Lyon'), ('4412', 'Nantes');

-- All that the bot may do. The answer and the event that tells of it are one
-- transaction: when an event comes again, there is neither a second time.
CREATE FUNCTION bot.reply(webhook_id text, event jsonb) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
	question text = event #>> '{data,content,text}';
	parcel text = substring(question FROM '\d+');
	answer bot.answer;
BEGIN
	INSERT INTO bot.answer (webhook_id, channel, recipient, answers, text)
		VALUES (webhook_id, event ->> 'channel', event #>> '{data,from,address}', event ->> 'message_id',
			coalesce((SELECT format('Parcel %s is in %s.', p.number, p.place) FROM bot.parcel p WHERE p.number = parcel),
				'Please send me the number of your parcel.'))
		ON CONFLICT DO NOTHING RETURNING * INTO answer;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	PERFORM bm_webhook.message_status('accepted', 'bot', answer.channel, answer.id, event #>> '{data,to,address}', answer.recipient,
		content => jsonb_build_object('type', 'text', 'text', answer.text),
		conversation_id => event #>> '{data,conversation_id}');
	RETURN true;
END
$$;
SELECT bm_webhook.secret(:endpoint);
COMMIT;

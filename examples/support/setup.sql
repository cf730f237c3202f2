-- psql -v url=http://127.0.0.1:8080 -f setup.sql
\set ON_ERROR_STOP on
BEGIN;
CREATE SCHEMA support;

-------------------------------------------------------------------------------
-- The platform: what customers write to the helpdesk
-------------------------------------------------------------------------------

CREATE TABLE support.inbound (
	id text PRIMARY KEY,
	channel text NOT NULL,
	sender text NOT NULL,
	sender_name text,
	recipient text NOT NULL,
	content jsonb NOT NULL,
	context text,	-- the id of our message that it answers, where the channel says so
	received_at timestamptz NOT NULL DEFAULT now()
);

-- Columns are found by their names, but for one.
SELECT bm_webhook.watch_replies('support.inbound', application => 'helpdesk', occurred_at => '{received_at}');

-- One application, one URL for each channel, and one for answers on any channel.
INSERT INTO bm_webhook.application (name, description) VALUES ('helpdesk', 'customer support');
INSERT INTO bm_webhook.endpoint (application, channel, event_types, url) VALUES
	('helpdesk', 'whatsapp', '{message.received}', :'url' || '/support.whatsapp'),
	('helpdesk', 'sms', '{message.received}', :'url' || '/support.sms'),
	('helpdesk', NULL, '{message.replied}', :'url' || '/support.replies');

-------------------------------------------------------------------------------
-- The helpdesk: two teams, and conversations
-------------------------------------------------------------------------------

CREATE TABLE support.secret (team text PRIMARY KEY, secret text NOT NULL);
INSERT INTO support.secret
	SELECT substring(url FROM '[a-z]+$'), bm_webhook.secret(id) FROM bm_webhook.endpoint WHERE application = 'helpdesk';

CREATE TABLE support.ticket (
	id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	team text NOT NULL,
	customer text NOT NULL
);

CREATE TABLE support.message (
	id text PRIMARY KEY,
	ticket integer NOT NULL REFERENCES support.ticket,
	direction text NOT NULL,
	text text,
	answers text REFERENCES support.message,
	was_answered boolean NOT NULL DEFAULT false
);

CREATE TABLE support.inbox (team text, id text, body jsonb NOT NULL, PRIMARY KEY (team, id));

-- NULL when it is not signed; false when it was here before.
CREATE FUNCTION support.take(by_team text, headers jsonb, body bytea) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM support.secret s WHERE s.team = by_team AND bm_webhook.verify(headers, body, s.secret, '5 min')) THEN
		RETURN NULL;
	END IF;
	INSERT INTO support.inbox VALUES (by_team, headers ->> 'webhook-id', convert_from(body, 'UTF8')::jsonb) ON CONFLICT DO NOTHING;
	RETURN FOUND;
END
$$;

-- What answers a message belongs to its ticket; anything else is a new one.
CREATE FUNCTION support.receive(by_team text, headers jsonb, body bytea) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
	is_new boolean = support.take(by_team, headers, body);
	event jsonb;
	answered support.message;
BEGIN
	IF is_new IS NULL THEN
		RETURN 401;
	ELSIF is_new THEN
		event := convert_from(body, 'UTF8');
		SELECT * INTO answered FROM support.message m WHERE m.id = event #>> '{data,context,message_id}';
		IF NOT FOUND THEN
			INSERT INTO support.ticket (team, customer) VALUES (by_team, event #>> '{data,from,address}')
				RETURNING id INTO answered.ticket;
		END IF;
		INSERT INTO support.message (id, ticket, direction, text, answers)
			VALUES (event ->> 'message_id', answered.ticket, 'in', event #>> '{data,content,text}', answered.id);
	END IF;
	RETURN 204;
END
$$;

CREATE FUNCTION support.whatsapp(headers jsonb, body bytea) RETURNS integer
	LANGUAGE sql AS $$ SELECT support.receive('whatsapp', headers, body) $$;
CREATE FUNCTION support.sms(headers jsonb, body bytea) RETURNS integer
	LANGUAGE sql AS $$ SELECT support.receive('sms', headers, body) $$;

CREATE FUNCTION support.replies(headers jsonb, body bytea) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
	is_new boolean = support.take('replies', headers, body);
BEGIN
	IF is_new IS NULL THEN
		RETURN 401;
	ELSIF is_new THEN
		UPDATE support.message SET was_answered = true
			WHERE id = convert_from(body, 'UTF8')::jsonb #>> '{data,context,message_id}';
	END IF;
	RETURN 204;
END
$$;

-- What an agent has written, on an open ticket.
INSERT INTO support.ticket (team, customer) VALUES ('whatsapp', '+33698765431') RETURNING id AS ticket \gset
INSERT INTO support.message (id, ticket, direction, text) VALUES
	('out-1', :ticket, 'out', 'Did the spare part arrive?'),
	('out-2', :ticket, 'out', 'We are open until six.');
COMMIT;

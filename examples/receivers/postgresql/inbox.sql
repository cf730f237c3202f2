-- A receiver of webhooks in PostgreSQL: what has the right signature and is new
-- goes into a table, in one transaction with whatever is done about it.
--
--   psql -v secret=whsec_... -f inbox.sql
--   python3 front.py receiver.receive
--
-- Only bm_webhook.verify() is used of the extension; this database sends nothing.

\set ON_ERROR_STOP on
BEGIN;
CREATE SCHEMA receiver;

-- Who may send; two rows of one name while a secret is being replaced.
CREATE TABLE receiver.sender (
	name text NOT NULL,
	secret text NOT NULL UNIQUE
);
INSERT INTO receiver.sender VALUES ('platform', :'secret');

CREATE TABLE receiver.inbox (
	id text PRIMARY KEY,
	received_at timestamptz NOT NULL DEFAULT now(),
	body jsonb NOT NULL
);
COMMENT ON COLUMN receiver.inbox.id IS 'webhook-id: the same however often an event is sent';

-- The HTTP status of the answer, and its body if it has one. An error, which becomes 500,
-- undoes everything, and the sender tries again.
CREATE FUNCTION receiver.receive(headers jsonb, body bytea) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	event jsonb;
BEGIN
	IF NOT EXISTS (SELECT FROM receiver.sender s WHERE bm_webhook.verify(headers, body, s.secret, '5 min')) THEN
		RETURN 401;
	END IF;
	event := convert_from(body, 'UTF8')::jsonb;
	IF event ->> 'type' = 'webhook.verification' THEN	-- this URL is ours: the sender may send here
		RETURN '200 ' || (event #>> '{data,challenge}');
	END IF;
	INSERT INTO receiver.inbox (id, body) VALUES (headers ->> 'webhook-id', event) ON CONFLICT DO NOTHING;
	IF FOUND THEN
		RAISE LOG 'new event %', headers ->> 'webhook-id';	-- do the work here: it happens once
	END IF;
	RETURN 204;
END
$$;
COMMIT;

-- psql -v url=http://127.0.0.1:8080/ -f setup.sql
\set ON_ERROR_STOP on
BEGIN;
CREATE SCHEMA campaign;

-- Who was sent what, and what became of it: only to check the view against.
CREATE TABLE campaign.recipient (
	message_id text PRIMARY KEY,
	campaign text NOT NULL,
	channel text NOT NULL,
	recipient text NOT NULL,
	sent_at timestamptz NOT NULL,
	is_delivered boolean NOT NULL,
	is_read boolean NOT NULL
);

INSERT INTO bm_webhook.application (name, description) VALUES ('marketing', 'campaigns');

-- The marketing department's own system; it wants no other news.
INSERT INTO bm_webhook.endpoint (application, event_types, url) VALUES
	('marketing', '{message.delivered,message.read}', :'url')
	RETURNING id AS endpoint \gset
SELECT bm_webhook.secret(:endpoint);
COMMIT;

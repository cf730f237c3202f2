-- Three endpoints of which one is well, one is not always, and one never is:
-- psql -v well=URL -v unwell=URL -v dead=URL -f setup.sql
\set ON_ERROR_STOP on
INSERT INTO bm_webhook.application (name, description) VALUES ('insurer', 'whose regulator asks questions');
INSERT INTO bm_webhook.endpoint (application, event_types, url, description, retry_delays) VALUES
	('insurer', '{message.*,delivery.exhausted}', :'well', 'well', '{100 ms,200 ms}'),	-- hears of what the others never got, too
	('insurer', '{message.*}', :'unwell', 'unwell', '{100 ms,200 ms,400 ms}'),
	('insurer', '{message.*}', :'dead', 'dead', '{100 ms,200 ms}');

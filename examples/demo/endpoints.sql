-- Four endpoints: one for each channel, and one for everything. Where the receivers are comes from
-- examples/demo/run. The retries of a real endpoint take days; these take seconds.

INSERT INTO bm_webhook.endpoint (description, channel, url, retry_delays)
SELECT description, channel, url, bm_webhook.exponential_backoff('500 ms', 1.5, '2 s', 20)
FROM (VALUES
	('sms', 'sms', :'receiver' || '/ok/sms'),
	('whatsapp', 'whatsapp', :'receiver' || '/ok/whatsapp'),
	('rcs', 'rcs', :'rcs_receiver' || '/ok/rcs'),
	('audit', NULL, :'receiver' || '/ok/audit')
) AS e (description, channel, url);

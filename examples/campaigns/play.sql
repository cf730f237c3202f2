-- Two campaigns on two channels; what providers report comes late, twice and in
-- any order, so "read" may come before "delivered".
\set ON_ERROR_STOP on
BEGIN;
INSERT INTO campaign.recipient
	SELECT format('%s-%s-%s', campaign, channel, n), campaign, channel, '+3370000' || lpad(n::text, 4, '0'),
		now() - interval '1 hour' + interval '1 second' * n,
		n % 10 <> 0,
		n % 10 <> 0 AND channel <> 'sms' AND n % CASE campaign WHEN 'spring' THEN 2 ELSE 3 END = 0
	FROM unnest('{spring,summer}'::text[]) campaign, unnest('{whatsapp,sms}'::text[]) channel, generate_series(1, 50) n;

SELECT count(bm_webhook.message_status('sent', 'marketing', channel, message_id, '+33123456789', recipient,
		occurred_at => sent_at, metadata => jsonb_build_object('campaign', campaign)))
	FROM campaign.recipient;
COMMIT;

BEGIN;
WITH report AS (
	SELECT *, 'read' AS status, sent_at + interval '10 min' AS at FROM campaign.recipient WHERE is_read
	UNION ALL
	SELECT *, 'delivered', sent_at + interval '10 s' FROM campaign.recipient WHERE is_delivered
	UNION ALL
	SELECT *, 'failed', sent_at + interval '1 min' FROM campaign.recipient WHERE NOT is_delivered
	UNION ALL	-- some twice
	SELECT *, 'delivered', sent_at + interval '10 s' FROM campaign.recipient WHERE is_delivered AND message_id LIKE '%1'
)
SELECT count(bm_webhook.message_status(status, 'marketing', channel, message_id, '+33123456789', recipient,
		occurred_at => at, metadata => jsonb_build_object('campaign', campaign),
		error => CASE WHEN status = 'failed' THEN '{"code": "undeliverable", "title": "No such subscriber", "permanent": true}'::jsonb END))
	FROM (SELECT * FROM report ORDER BY md5(message_id || status)) shuffled;
COMMIT;

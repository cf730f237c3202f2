-- Each callback, how long after the change it arrived, and at which attempt.
\set ON_ERROR_STOP on
-- First let what was sent arrive.
SELECT count(bm_webhook.wait_for_delivery(id, '10 s')) AS waited FROM bm_webhook.event WHERE application = 'bank' \gset
SELECT c.message_id, c.type, c.received_at - e.created_at AS arrived_after, d.attempts
	FROM bank.callback c
	JOIN bm_webhook.event e ON e.id = c.id::uuid
	JOIN bm_webhook.delivery d ON d.event_id = e.id
	JOIN bm_webhook.endpoint p ON p.id = d.endpoint_id AND p.url LIKE '%/bank.receive'
	ORDER BY e.id;

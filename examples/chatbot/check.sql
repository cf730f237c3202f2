-- Each question with its answer.
\set ON_ERROR_STOP on
-- First let what was sent arrive.
SELECT count(bm_webhook.wait_for_delivery(id, '10 s')) AS waited FROM bm_webhook.event WHERE application = 'bot' \gset
SELECT e.message_id, e.channel, a.recipient, a.text
	FROM bm_webhook.event e LEFT JOIN bot.answer a ON a.webhook_id = e.id::text
	WHERE e.application = 'bot' AND e.type = 'message.received' ORDER BY e.id;

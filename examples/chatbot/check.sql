-- Each question with its answer.
\set ON_ERROR_STOP on
SELECT e.message_id, e.channel, a.recipient, a.text
	FROM bm_webhook.event e LEFT JOIN bot.answer a ON a.webhook_id = e.id::text
	WHERE e.application = 'bot' AND e.type = 'message.received' ORDER BY e.id;

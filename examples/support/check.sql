-- Each conversation, message by message.
\set ON_ERROR_STOP on
-- First let what was sent arrive.
SELECT count(bm_webhook.wait_for_delivery(id, '10 s')) AS waited FROM bm_webhook.event WHERE application = 'helpdesk' \gset
SELECT t.team, t.customer, m.id, m.direction, m.answers, m.was_answered
	FROM support.ticket t JOIN support.message m ON m.ticket = t.id ORDER BY t.customer, m.direction DESC, m.id;

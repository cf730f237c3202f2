-- Each conversation, message by message.
\set ON_ERROR_STOP on
SELECT t.team, t.customer, m.id, m.direction, m.answers, m.was_answered
	FROM support.ticket t JOIN support.message m ON m.ticket = t.id ORDER BY t.customer, m.direction DESC, m.id;

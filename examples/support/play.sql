-- Ana answers the first of our messages; Ben asks something by SMS, which knows
-- no answers; Cleo writes on a channel that has no team.
\set ON_ERROR_STOP on
INSERT INTO support.inbound (id, channel, sender, sender_name, recipient, content, context) VALUES
	('in-1', 'whatsapp', '+33698765431', 'Ana', '+33123456789', '{"type": "text", "text": "Yes, merci !"}', 'out-1');
INSERT INTO support.inbound (id, channel, sender, recipient, content) VALUES
	('in-2', 'sms', '+33698765432', '38100', '{"type": "text", "text": "Where is my parcel?"}'),
	('in-3', 'rcs', '+33698765433', 'helpdesk-agent', '{"type": "text", "text": "Hello?"}');

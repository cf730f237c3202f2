-- 18 messages are queued and sent: 6 by SMS, 8 by WhatsApp, 4 by RCS.
INSERT INTO message (id, channel, sender, recipient, body, client_ref)
SELECT format('m_%s_%s', channel, n), channel, '+33123456789', format('+336000000%s', lpad(n::text, 2, '0')),
	'Your parcel is on its way.', format('order-%s', 4400 + n)
FROM (VALUES ('sms', 6), ('whatsapp', 8), ('rcs', 4)) AS c (channel, messages), generate_series(1, messages) n;

UPDATE message SET status = 'sent', updated_at = clock_timestamp();

-- Somebody notices a mistake in time: none of this may ever arrive.
BEGIN;
INSERT INTO message (id, channel, sender, recipient, body, status)
SELECT format('m_mistake_%s', n), 'sms', '+33123456789', '+33600000099', 'Dear %FIRSTNAME%', 'sent'
FROM generate_series(1, 3) n;
ROLLBACK;

-- Seven people read what they got (SMS cannot tell), and three answer.
UPDATE message SET status = 'read', updated_at = clock_timestamp()
WHERE id IN ('m_whatsapp_1', 'm_whatsapp_2', 'm_whatsapp_3', 'm_whatsapp_4', 'm_whatsapp_5', 'm_rcs_1', 'm_rcs_2');

INSERT INTO inbound (id, channel, sender, recipient, body, in_reply_to) VALUES
	('in_1', 'whatsapp', '+33600000001', '+33123456789', 'Merci !', 'm_whatsapp_1'),
	('in_2', 'whatsapp', '+33600000003', '+33123456789', 'Can you bring it tomorrow?', 'm_whatsapp_3'),
	('in_3', 'sms', '+33600000002', '+33123456789', 'STOP', NULL);

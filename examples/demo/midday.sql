-- The carriers report: 16 messages were delivered, one SMS and one WhatsApp message were not.
UPDATE message SET status = 'failed', updated_at = clock_timestamp(),
	error = '{"code": "undeliverable", "title": "The number is not in service", "permanent": true}'
WHERE id IN ('m_sms_6', 'm_whatsapp_8');

UPDATE message SET status = 'delivered', updated_at = clock_timestamp() WHERE status = 'sent';

-- A change that is none of the status makes no event.
UPDATE message SET client_ref = 'order-4499' WHERE id = 'm_rcs_4';

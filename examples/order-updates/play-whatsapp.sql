-- What the shop has sent instead has its own fate.
\set ON_ERROR_STOP on
UPDATE shop.message SET status = 'delivered' WHERE channel = 'whatsapp' AND client_ref = 'order-2';
UPDATE shop.message SET status = 'failed',
	error = '{"code": "not_on_whatsapp", "title": "Recipient is not on WhatsApp", "permanent": true, "provider_code": "131026"}'
	WHERE channel = 'whatsapp' AND client_ref = 'order-3';

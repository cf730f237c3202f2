-- Three parcels leave; then the provider reports. The SMS to the second customer
-- fails, those to the third as well, by whatever channel.
\set ON_ERROR_STOP on
INSERT INTO shop.orders (id, phone) VALUES
	('order-1', '+33698765431'), ('order-2', '+33698765432'), ('order-3', '+33698765433');
SELECT shop.notify(id, 'sms') FROM shop.orders;

UPDATE shop.message SET status = 'sent' WHERE channel = 'sms';
UPDATE shop.message SET status = 'delivered' WHERE channel = 'sms' AND client_ref = 'order-1';
UPDATE shop.message SET status = 'failed',
	error = '{"code": "undeliverable", "title": "Not a mobile number", "permanent": true, "provider_code": "30006"}'
	WHERE channel = 'sms' AND client_ref <> 'order-1';

-- Two messages and what became of them.
\set ON_ERROR_STOP on
SELECT bm_webhook.message_status('sent', 'insurer', 'sms', 'policy-1', '+33123456789', '+33698765431');
SELECT bm_webhook.message_status('delivered', 'insurer', 'sms', 'policy-1', '+33123456789', '+33698765431', segments => 2);
SELECT bm_webhook.message_status('failed', 'insurer', 'sms', 'policy-2', '+33123456789', '+33698765432',
	error => '{"code": "expired_number", "title": "Number is not in service", "permanent": true}');

-- One endpoint needs a second or two until the last attempt.
SELECT count(bm_webhook.wait_for_delivery(id, '10 s')) AS waited FROM bm_webhook.event WHERE application = 'insurer' \gset

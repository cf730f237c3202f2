-- Two messages and what became of them.
\set ON_ERROR_STOP on
SELECT bm_webhook.message_status('insurer', 'sms', 'policy-1', 'sent', '+33123456789', '+33698765431');
SELECT bm_webhook.message_status('insurer', 'sms', 'policy-1', 'delivered', '+33123456789', '+33698765431', segments => 2);
SELECT bm_webhook.message_status('insurer', 'sms', 'policy-2', 'failed', '+33123456789', '+33698765432',
	error => '{"code": "expired_number", "title": "Number is not in service", "permanent": true}');

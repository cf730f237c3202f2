-- Two messages and what became of them.
\set ON_ERROR_STOP on
SELECT bm_webhook.message_status('sent', 'insurer', 'sms', 'policy-1', '+33123456789', '+33698765431');
SELECT bm_webhook.message_status('delivered', 'insurer', 'sms', 'policy-1', '+33123456789', '+33698765431', segments => 2);
SELECT bm_webhook.message_status('failed', 'insurer', 'sms', 'policy-2', '+33123456789', '+33698765432',
	error => '{"code": "expired_number", "title": "Number is not in service", "permanent": true}');

-- One endpoint needs a second or two until the last attempt, and another hears of what was given up.
DO $$
BEGIN
	FOR tenth IN 1 .. 100 LOOP
		EXIT WHEN NOT EXISTS (SELECT FROM bm_webhook.backlog WHERE pending > 0 OR not_taken > 0);
		PERFORM pg_sleep(0.1);
	END LOOP;
END
$$;

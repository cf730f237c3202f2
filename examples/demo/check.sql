-- What must be true at the end, from the receivers' logs; "expected" was counted by hand.
WITH expected (endpoint, type, events) AS (VALUES
	('sms', 'message.sent', 6), ('sms', 'message.delivered', 5), ('sms', 'message.failed', 1),
	('sms', 'message.received', 1),
	('whatsapp', 'message.sent', 8), ('whatsapp', 'message.delivered', 7), ('whatsapp', 'message.failed', 1),
	('whatsapp', 'message.read', 5), ('whatsapp', 'message.received', 2),
	('rcs', 'message.sent', 4), ('rcs', 'message.delivered', 4), ('rcs', 'message.read', 2)
), expected_everywhere AS (
	SELECT * FROM expected
	UNION ALL SELECT 'audit', type, sum(events) FROM expected GROUP BY type
), accepted AS (
	SELECT endpoint, type, count(*) AS requests, count(DISTINCT event_id) AS events
	FROM arrived WHERE status BETWEEN 200 AND 299 GROUP BY endpoint, type
), compared AS (
	SELECT coalesce(e.endpoint, a.endpoint) AS endpoint, coalesce(e.events, 0) AS expected,
		coalesce(a.events, 0) AS events, coalesce(a.requests, 0) AS requests
	FROM expected_everywhere e FULL JOIN accepted a USING (endpoint, type)
)
SELECT CASE WHEN is_right THEN 'right  ' ELSE 'WRONG  ' END || what FROM (
	SELECT 1 AS n, bool_and(events = expected AND requests = expected) AS is_right,
		format('%s: %s of %s events arrived, in %s accepted requests',
			endpoint, sum(events), sum(expected), sum(requests)) AS what
	FROM compared GROUP BY endpoint
	UNION ALL
	SELECT 2, coalesce(bool_and(verified), false),
		format('%s of %s requests had a signature that the npm package standardwebhooks verified',
			count(*) FILTER (WHERE verified), count(*)) FROM arrived
	UNION ALL
	SELECT 3, count(*) = 0, format('%s requests for what was rolled back', count(*))
	FROM arrived WHERE body LIKE '%m\_mistake\_%'
	UNION ALL
	SELECT 4, count(*) FILTER (WHERE status <> 'delivered') = 0 AND count(*) = (SELECT sum(expected) FROM compared),
		format('%s of %s deliveries are logged as delivered', count(*) FILTER (WHERE status = 'delivered'),
			(SELECT sum(expected) FROM compared)) FROM bm_webhook.delivery
	UNION ALL
	SELECT 5, count(*) FILTER (WHERE p.description = 'sms' AND f.http_status = 500) > 0
		AND count(*) FILTER (WHERE p.description = 'rcs' AND f.error_class = 'connect') > 0
		AND count(*) FILTER (WHERE p.description = 'audit' AND f.http_status = 503) > 0
		AND count(*) FILTER (WHERE p.description = 'whatsapp') = 0,
		format('%s failed attempts: of sms, rcs and audit as arranged, none of whatsapp', count(*))
	FROM bm_webhook.failed_attempt f JOIN bm_webhook.endpoint p ON p.id = f.endpoint_id
) c ORDER BY n, what;

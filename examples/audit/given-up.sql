-- What never arrived, and why: psql -v since=yesterday -v until=tomorrow -f given-up.sql
\set ON_ERROR_STOP on
SELECT e.message_id, e.type, p.description AS endpoint, d.status, d.attempts, d.first_attempt_at, d.last_attempt_at,
		d.http_status, d.error_class, d.error
	FROM bm_webhook.delivery d
	JOIN bm_webhook.event e ON e.id = d.event_id
	JOIN bm_webhook.endpoint p ON p.id = d.endpoint_id
	WHERE e.application = 'insurer' AND d.status IN ('failed', 'canceled')
		AND e.created_at >= :'since' AND e.created_at < :'until'
	ORDER BY d.event_id, d.endpoint_id;

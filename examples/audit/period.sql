-- Every attempt of a period, as CSV: psql -v since=yesterday -v until=tomorrow -f period.sql > attempts.csv
\set ON_ERROR_STOP on
COPY (
	SELECT a.attempted_at, a.event_id, e.type, e.message_id, p.description AS endpoint, a.attempt, a.succeeded,
			a.http_status, a.error_class, a.error, a.duration
		FROM bm_webhook.attempt a
		JOIN bm_webhook.event e ON e.id = a.event_id
		JOIN bm_webhook.endpoint p ON p.id = a.endpoint_id
		WHERE e.application = 'insurer' AND a.attempted_at >= :'since' AND a.attempted_at < :'until'
		ORDER BY a.attempted_at, a.event_id, a.endpoint_id
) TO STDOUT (FORMAT csv, HEADER);

\pset footer off
\pset null -
\echo WHAT ARRIVED, as the receivers logged it: all requests, and what was accepted (2xx) by event type
SELECT endpoint, count(*) AS requests, count(*) FILTER (WHERE verified) AS verified,
	count(*) FILTER (WHERE ok) AS accepted,
	count(*) FILTER (WHERE ok AND type = 'message.sent') AS sent,
	count(*) FILTER (WHERE ok AND type = 'message.delivered') AS delivered,
	count(*) FILTER (WHERE ok AND type = 'message.read') AS read,
	count(*) FILTER (WHERE ok AND type = 'message.failed') AS failed,
	count(*) FILTER (WHERE ok AND type = 'message.received') AS received
FROM (SELECT *, status BETWEEN 200 AND 299 AS ok FROM arrived) a
GROUP BY endpoint ORDER BY endpoint = 'audit', endpoint;

\echo THE DELIVERY LOG: milliseconds from the capture of an event to its last attempt
SELECT p.description AS endpoint, d.status, count(*) AS deliveries,
	count(*) FILTER (WHERE d.attempts = 1) AS at_first, sum(d.attempts) AS attempts, max(d.attempts) AS most,
	round(extract(epoch FROM percentile_cont(0.5) WITHIN GROUP (ORDER BY d.last_attempt_at - e.created_at)) * 1000) AS median_ms,
	round(extract(epoch FROM max(d.last_attempt_at - e.created_at)) * 1000) AS longest_ms
FROM bm_webhook.delivery d
JOIN bm_webhook.event e ON e.id = d.event_id
JOIN bm_webhook.endpoint p ON p.id = d.endpoint_id
GROUP BY p.id, p.description, d.status ORDER BY p.id, d.status;

\echo FAILED ATTEMPTS, by cause
SELECT p.description AS endpoint, f.error_class, f.http_status AS http, count(*) AS attempts,
	to_char(min(f.attempted_at), 'HH24:MI:SS.MS') AS first, to_char(max(f.attempted_at), 'HH24:MI:SS.MS') AS last,
	left(trim(e'\n' FROM min(f.response)), 22) AS response
FROM bm_webhook.failed_attempt f JOIN bm_webhook.endpoint p ON p.id = f.endpoint_id
GROUP BY p.id, p.description, f.error_class, f.http_status ORDER BY p.id, min(f.attempted_at);

\echo EVERY ATTEMPT of the delivery that took the most
SELECT p.description AS endpoint, e.message_id, e.type, a.attempt, to_char(a.attempted_at, 'HH24:MI:SS.MS') AS at,
	a.error_class, a.http_status AS http, round(extract(epoch FROM a.duration) * 1000, 1) AS ms
FROM bm_webhook.attempt a
JOIN bm_webhook.event e ON e.id = a.event_id
JOIN bm_webhook.endpoint p ON p.id = a.endpoint_id
WHERE (a.event_id, a.endpoint_id) =
	(SELECT event_id, endpoint_id FROM bm_webhook.delivery ORDER BY attempts DESC, event_id LIMIT 1)
ORDER BY a.attempt;

\echo STATUS: bm_webhook.status()
SELECT database, state, in_flight, queued, pending, sent, resent, left(last_error, 40) AS last_error
FROM bm_webhook.status();

\echo BACKLOG: bm_webhook.backlog
SELECT p.description AS endpoint, b.pending, b.retrying, b.not_taken, b.oldest
FROM bm_webhook.backlog b JOIN bm_webhook.endpoint p ON p.id = b.endpoint_id ORDER BY p.id;

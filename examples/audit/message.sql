-- All that happened to one message, in time order:
-- psql -v message=policy-1 -f message.sql
\set ON_ERROR_STOP on
SELECT h.at, h.what, h.type, p.description AS endpoint, h.attempt, h.outcome, h.http_status, h.error_class, h.error, h.duration
	FROM bm_webhook.message_history(:'message', application => 'insurer') h
	LEFT JOIN bm_webhook.endpoint p ON p.id = h.endpoint_id;

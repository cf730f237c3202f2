-------------------------------------------------------------------------------
-- Health: the state of an endpoint in a word, and what to do
-------------------------------------------------------------------------------

-- The first that is true counts.
CREATE VIEW bm_webhook.endpoint_health WITH (security_barrier = true) AS
	SELECT h.endpoint_id, h.application,
		CASE WHEN bm_webhook_internal.sees_all('bm_webhook.operation') OR p.id = ANY (bm_webhook_internal.own_endpoints())
			THEN pg_catalog.split_part(p.url, '?', 1) ELSE pg_catalog.substring(p.url, '^[a-z]+://[^/?]+') END AS url,
		x.state, x.since, x.reason, h.pending, h.lag_seconds, x.advice
	FROM bm_webhook.stat_endpoint h JOIN bm_webhook.endpoint p ON p.id = h.endpoint_id
	LEFT JOIN bm_webhook.endpoint_state s ON s.endpoint_id = p.id
	LEFT JOIN bm_webhook.application a ON a.name = p.application
	LEFT JOIN bm_webhook.paused e ON e.everything
	LEFT JOIN bm_webhook_internal.endpoint_paces() c ON c.endpoint_id = p.id
	LEFT JOIN LATERAL (SELECT y.error_class FROM bm_webhook_internal.endpoint_failure y WHERE y.endpoint_id = p.id
		ORDER BY y.last_at DESC LIMIT 1) f ON true
	LEFT JOIN LATERAL (SELECT d.reason FROM bm_webhook_internal.dispatchers() d
		JOIN pg_catalog.pg_database b ON b.oid = d.database
		WHERE b.datname = pg_catalog.current_database() AND d.state = 'not adopted' LIMIT 1) n ON true
	CROSS JOIN LATERAL (SELECT * FROM (VALUES
		(1, NOT p.enabled, 'disabled', s.disabled_at, coalesce(s.disabled_reason, 'somebody has set enabled to false'),
			'When the receiver is well, set enabled to true, and call recover() for what was missed.'),
		(2, n.reason IS NOT NULL, 'paused', NULL, n.reason, 'Call adopt(), if it is to send.'),
		(3, e.everything, 'paused', e.paused_at, pg_catalog.concat_ws(': ', 'everything is paused', e.reason),
			'Call resume(everything => true).'),
		(4, a.paused_at IS NOT NULL, 'paused', a.paused_at, 'its application is paused', 'Call resume(application => ...).'),
		(5, p.paused_at IS NOT NULL, 'paused', p.paused_at, 'it is paused', 'Call resume(endpoint => ...).'),
		(6, s.unverified_since IS NOT NULL AND bm_webhook_internal.verifies(), 'unverified', s.unverified_since,
			pg_catalog.concat_ws(': ', 'it has not proved its URL yet', s.verification_error),
			'The receiver has to answer the challenge; verify_endpoint() asks again at once.'),
		(7, s.failing_since IS NOT NULL OR h.last_failure_at > coalesce(h.last_success_at, '-infinity'), 'failing',
			coalesce(s.failing_since, h.last_failure_at),
			pg_catalog.concat_ws(': ', 'its last attempts have failed', f.error_class),
			'See error and response in bm_webhook.attempt. What waits is sent when the receiver is back.'),
		(8, c.held_until > pg_catalog.clock_timestamp(), 'held', c.as_of, coalesce(c.reason, 'the receiver asks to wait'),
			'Nothing: it is sent to again by itself.'),
		(9, c.reason IS NOT NULL, 'slowed', c.as_of, c.reason,
			'Nothing, as long as nothing waits; else the receiver needs more capacity.'),
		(10, h.lag_seconds > 300, 'behind', pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => h.lag_seconds),
			'what waits is older than five minutes',
			'See next_attempt_at in bm_webhook.delivery: max_in_flight or rate_limit may be too low.'),
		(11, true, 'healthy', NULL, NULL, NULL)
		) v (n, applies, state, since, reason, advice) WHERE v.applies ORDER BY v.n LIMIT 1) x;
COMMENT ON VIEW bm_webhook.endpoint_health IS
	'how each endpoint is: disabled, paused, unverified, failing, held, slowed, behind or healthy; since when, why, what '
	'waits, and what to do';
COMMENT ON COLUMN bm_webhook.endpoint_health.url IS
	'without its query; for members of pg_monitor also without its path, which may have a token';

-------------------------------------------------------------------------------
-- Health: the state of an endpoint in a word, and what to do
-------------------------------------------------------------------------------

-- Which rows there are, endpoint_now says; no barrier here, so that of the worst few, words are made of these alone.
CREATE VIEW bm_webhook.endpoint_health AS
	SELECT x.endpoint_id, x.application,
		(SELECT CASE WHEN bm_webhook_internal.sees_all('bm_webhook.operation')
				OR bm_webhook_internal.owns_endpoint(p.id) THEN pg_catalog.split_part(p.url, '?', 1)
			ELSE pg_catalog.substring(p.url, '^[a-z]+://[^/?]+') END
			FROM bm_webhook.endpoint p WHERE p.id = x.endpoint_id) AS url,
		CASE WHEN x.cause IN ('not adopted', 'by all', 'by application', 'by endpoint') THEN 'paused'
			ELSE x.cause END AS state,
		CASE x.cause WHEN 'healthy' THEN NULL WHEN 'disabled' THEN x.disabled_at
			WHEN 'by all' THEN (SELECT e.paused_at FROM bm_webhook.paused e WHERE e.everything)
			WHEN 'by application' THEN (SELECT a.paused_at FROM bm_webhook.application a WHERE a.name = x.application)
			WHEN 'by endpoint' THEN x.paused_at
			WHEN 'unverified' THEN x.unverified_since
			WHEN 'failing' THEN coalesce(x.failing_since, x.last_failure_at) WHEN 'full' THEN x.application_full_since
			WHEN 'held' THEN x.as_of
			WHEN 'slowed' THEN x.as_of
			WHEN 'behind' THEN x.oldest END AS since,
		CASE x.cause WHEN 'disabled' THEN coalesce(x.disabled_reason, 'somebody has set enabled to false')
			WHEN 'not adopted' THEN (SELECT d.reason FROM bm_webhook_internal.dispatchers() d
				JOIN pg_catalog.pg_database b ON b.oid = d.database
				WHERE b.datname = pg_catalog.current_database() AND d.state = 'not adopted' LIMIT 1)
			WHEN 'by all' THEN pg_catalog.concat_ws(': ', 'everything is paused',
				(SELECT e.reason FROM bm_webhook.paused e WHERE e.everything))
			WHEN 'by application' THEN 'its application is paused' WHEN 'by endpoint' THEN 'it is paused'
			WHEN 'unverified' THEN pg_catalog.concat_ws(': ', 'it has not proved its URL yet', x.verification_error)
			WHEN 'failing' THEN pg_catalog.concat_ws(': ', 'its last attempts have failed',
				(SELECT y.error_class FROM bm_webhook_internal.endpoint_failure y WHERE y.endpoint_id = x.endpoint_id
					ORDER BY y.last_at DESC LIMIT 1))
			WHEN 'full' THEN 'as much waits as max_waiting of the application allows'
			WHEN 'held' THEN coalesce(x.pace, 'the receiver asks to wait') WHEN 'slowed' THEN x.pace
			WHEN 'behind' THEN 'what waits is older than five minutes' END AS reason,
		x.pending, x.lag_seconds,
		CASE x.cause
			WHEN 'disabled' THEN 'When the receiver is well, set enabled to true, and call recover() for what was missed.'
			WHEN 'not adopted' THEN 'Call adopt(), if it is to send.'
			WHEN 'by all' THEN 'Call resume(everything => true).'
			WHEN 'by application' THEN 'Call resume(application => ...).'
			WHEN 'by endpoint' THEN 'Call resume(endpoint => ...).'
			WHEN 'unverified' THEN 'The receiver has to answer the challenge; verify_endpoint() asks again at once.'
			WHEN 'failing' THEN 'See error and response in bm_webhook.attempt. What waits is sent when the receiver is back.'
			WHEN 'full' THEN 'See which endpoints of the application have most pending; or an administrator raises max_waiting.'
			WHEN 'held' THEN 'Nothing: it is sent to again by itself.'
			WHEN 'slowed' THEN 'Nothing, as long as nothing waits; else the receiver needs more capacity.'
			WHEN 'behind' THEN 'See next_attempt_at in bm_webhook.delivery: max_in_flight or rate_limit may be too low.'
			END AS advice
	FROM bm_webhook_internal.endpoint_now x;
COMMENT ON VIEW bm_webhook.endpoint_health IS
	'how each endpoint is: disabled, paused, unverified, failing, full, held, slowed, behind or healthy; since when, why, '
	'what waits, and what to do';
COMMENT ON COLUMN bm_webhook.endpoint_health.url IS
	'without its query; for members of pg_monitor also without its path, which may have a token';

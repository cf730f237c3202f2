-------------------------------------------------------------------------------
-- Verification: an endpoint proves that its URL is meant to get webhooks
-------------------------------------------------------------------------------

-- Called by C as the owner of the log, who has seen that the caller may ask for it.
CREATE FUNCTION bm_webhook_internal.set_verified(is_verified boolean, endpoint bigint, acting_as name) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE bm_webhook.endpoint_state s SET verification_error = NULL,
		unverified_since = CASE WHEN NOT is_verified THEN clock_timestamp() END,
		verified_at = CASE WHEN is_verified THEN clock_timestamp() END
		WHERE s.endpoint_id = set_verified.endpoint;
	INSERT INTO bm_webhook.operation (kind, endpoint_id, application, matched, done, asked_by, acting_as, ended_at)
		SELECT CASE WHEN is_verified THEN 'mark_verified' ELSE 'verify_endpoint' END, p.id, p.application, 1, 1,
			session_user, set_verified.acting_as, clock_timestamp()
		FROM bm_webhook.endpoint p WHERE p.id = set_verified.endpoint;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.set_verified(boolean, bigint, name) IS
	'an endpoint is verified, or has to prove its URL';

CREATE FUNCTION bm_webhook.verify_endpoint(endpoint bigint) RETURNS void
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_verify_endpoint';
COMMENT ON FUNCTION bm_webhook.verify_endpoint(bigint) IS
	'asks an endpoint at once to prove that its URL is meant to get webhooks; until it has, what is for it waits; 22004, '
	'42704, 55000 while bm_webhook.verify_endpoints is off';
CREATE FUNCTION bm_webhook.mark_verified(endpoint bigint) RETURNS void
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_mark_verified';
COMMENT ON FUNCTION bm_webhook.mark_verified(bigint) IS
	'takes the URL of an endpoint for proved, until it changes; for administrators; 22004, 42501, 42704';

-------------------------------------------------------------------------------
-- Secrets: the next one signs beside the one before, for a while
-------------------------------------------------------------------------------

-- Called by C as the owner of the log, who has seen that the caller may ask for it.
CREATE FUNCTION bm_webhook_internal.rotate_secret(endpoint bigint, overlap interval, acting_as name) RETURNS text
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	made text = bm_webhook_internal.random_secret();
	expiring bigint;
BEGIN
	-- one after the other: the second one sees what the first one has made
	PERFORM FROM bm_webhook.endpoint e WHERE e.id = endpoint FOR NO KEY UPDATE;
	DELETE FROM bm_webhook.endpoint_secret s WHERE s.endpoint_id = endpoint AND s.expires_at <= clock_timestamp();
	UPDATE bm_webhook.endpoint_secret s SET expires_at = clock_timestamp() + overlap
		WHERE s.endpoint_id = endpoint AND coalesce(s.expires_at > clock_timestamp() + overlap, true);
	GET DIAGNOSTICS expiring = ROW_COUNT;
	INSERT INTO bm_webhook.endpoint_secret (endpoint_id, secret) VALUES (endpoint, made);
	INSERT INTO bm_webhook.operation (kind, endpoint_id, matched, done, asked_by, acting_as, ended_at)
		VALUES ('rotate_secret', endpoint, expiring, expiring, session_user, acting_as, clock_timestamp());
	RETURN made;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.rotate_secret(bigint, interval, name) IS
	'gives an endpoint another secret, lets those before expire after overlap, and notes who wanted it';

CREATE FUNCTION bm_webhook.rotate_secret(endpoint bigint, overlap interval = '24 h') RETURNS text
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_rotate_secret';
COMMENT ON FUNCTION bm_webhook.rotate_secret(bigint, interval) IS
	'makes the next secret of an endpoint, and returns it. Until overlap has passed, requests are signed with those before '
	'as well; then these expire. It is recorded in bm_webhook.operation; 22004, 22023, 42704 unknown endpoint, 54000 '
	'too many secrets';

-------------------------------------------------------------------------------
-- Secrets: the next one signs beside the one before, for a while
-------------------------------------------------------------------------------

CREATE FUNCTION bm_webhook_internal.public_part(secret text) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_public_part';
COMMENT ON FUNCTION bm_webhook_internal.public_part(text) IS
	'what a receiver needs to verify: of a pair of keys the public one, of a shared key that itself';

-- Called by C as the owner of the log, who has seen that the caller may ask for it.
CREATE FUNCTION bm_webhook_internal.rotate_secret(endpoint bigint, overlap interval, kind text, acting_as name)
	RETURNS text
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	made text = bm_webhook_internal.random_secret(kind);
	expiring bigint;
BEGIN
	-- one after the other: the second one sees what the first one has made
	PERFORM FROM bm_webhook.endpoint e WHERE e.id = endpoint FOR NO KEY UPDATE;
	DELETE FROM bm_webhook.endpoint_secret s WHERE s.endpoint_id = endpoint AND s.expires_at <= clock_timestamp();
	UPDATE bm_webhook.endpoint_secret s SET expires_at = clock_timestamp() + overlap
		WHERE s.endpoint_id = endpoint AND s.kind = rotate_secret.kind
			AND coalesce(s.expires_at > clock_timestamp() + overlap, true);
	GET DIAGNOSTICS expiring = ROW_COUNT;
	INSERT INTO bm_webhook.endpoint_secret (endpoint_id, secret, kind) VALUES (endpoint, made, rotate_secret.kind);
	INSERT INTO bm_webhook.operation (kind, endpoint_id, matched, done, asked_by, acting_as, ended_at)
		VALUES ('rotate_secret', endpoint, expiring, expiring, session_user, acting_as, clock_timestamp());
	RETURN bm_webhook_internal.public_part(made);
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.rotate_secret(bigint, interval, text, name) IS
	'gives an endpoint another secret, lets those before expire after overlap, and notes who wanted it';

CREATE FUNCTION bm_webhook.rotate_secret(endpoint bigint, overlap interval = '24 h', kind text = 'hmac_sha256')
	RETURNS text
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_rotate_secret';
COMMENT ON FUNCTION bm_webhook.rotate_secret(bigint, interval, text) IS
	'makes the next secret of an endpoint, and returns what its receiver needs: the secret, or for kind => ''ed25519'' '
	'the public key. Until overlap has passed, requests are signed with those of its kind before as well; then these '
	'expire. '
	'It is recorded in bm_webhook.operation; 22004, 22023, 42704 unknown endpoint, 54000 too many secrets';

CREATE FUNCTION bm_webhook.public_key(endpoint bigint) RETURNS text
	LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'bm_webhook_public_key';
COMMENT ON FUNCTION bm_webhook.public_key(bigint) IS
	'the public key (whpk_...) by which the receiver of an endpoint verifies signatures v1a: that of its newest secret of '
	'kind ed25519; 22004, 42704 unknown endpoint, no such secret';
CREATE FUNCTION bm_webhook.jwks(endpoint bigint) RETURNS jsonb
	LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'bm_webhook_jwks';
COMMENT ON FUNCTION bm_webhook.jwks(bigint) IS
	'all public keys of an endpoint that have not expired, as a JSON Web Key Set (RFC 7517, RFC 8037); 22004, 42704 '
	'unknown endpoint';

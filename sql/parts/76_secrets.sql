-------------------------------------------------------------------------------
-- Secrets: the next one signs beside the one before, for a while; and what they are encrypted with
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
	IF (SELECT count(*) >= 16 FROM bm_webhook.endpoint_secret s WHERE s.endpoint_id = endpoint) THEN
		PERFORM bm_webhook_internal.refuse('the endpoint has too many secrets',
			'At most 16 are allowed: delete old ones by bm_webhook.delete_secret().', '54000');
	END IF;
	INSERT INTO bm_webhook.endpoint_secret (endpoint_id, secret, kind) VALUES (endpoint, made, rotate_secret.kind);
	INSERT INTO bm_webhook.operation (kind, endpoint_id, application, matched, done, asked_by, acting_as, ended_at)
		SELECT 'rotate_secret', e.id, e.application, expiring, expiring, session_user, rotate_secret.acting_as,
			clock_timestamp() FROM bm_webhook.endpoint e WHERE e.id = endpoint;
	RETURN bm_webhook_internal.public_part(made);
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.rotate_secret(bigint, interval, text, name) IS
	'gives an endpoint another secret, lets those before expire after overlap, and notes who wanted it';

CREATE FUNCTION bm_webhook.rotate_secret(endpoint bigint, overlap interval = '24 h', kind text = 'hmac_sha256')
	RETURNS text
	LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'bm_webhook_rotate_secret';
COMMENT ON FUNCTION bm_webhook.rotate_secret(bigint, interval, text) IS
	'makes the next secret of an endpoint, and returns what its receiver needs: the secret, or for kind => ''ed25519'' '
	'the public key. Until overlap has passed, requests are signed with those of its kind before as well; then these '
	'expire. It is recorded in bm_webhook.operation; 22004, 22023, 42704 unknown endpoint, 54000 too many secrets';

CREATE FUNCTION bm_webhook.public_key(endpoint bigint) RETURNS text
	LANGUAGE c STABLE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'bm_webhook_public_key';
COMMENT ON FUNCTION bm_webhook.public_key(bigint) IS
	'the public key (whpk_...) by which the receiver of an endpoint verifies signatures v1a: that of its newest secret of '
	'kind ed25519; 22004, 42704 unknown endpoint, no such secret';
CREATE FUNCTION bm_webhook.jwks(endpoint bigint) RETURNS jsonb
	LANGUAGE c STABLE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'bm_webhook_jwks';
COMMENT ON FUNCTION bm_webhook.jwks(bigint) IS
	'all public keys of an endpoint that have not expired, as a JSON Web Key Set (RFC 7517, RFC 8037); 22004, 42704 '
	'unknown endpoint';

CREATE FUNCTION bm_webhook_internal.secret_key() RETURNS text
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_secret_key';
COMMENT ON FUNCTION bm_webhook_internal.secret_key() IS
	'the id of the key that secrets are encrypted with, NULL: they are not; 55000 unusable bm_webhook.secret_key_file';

CREATE FUNCTION bm_webhook_internal.opens(endpoint bigint, id bigint, kind text, secret text, key_id text)
	RETURNS boolean
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_opens';
COMMENT ON FUNCTION bm_webhook_internal.opens(bigint, bigint, text, text, text) IS
	'can this row of endpoint_secret be decrypted?';

CREATE FUNCTION bm_webhook_internal.opens_headers(endpoint bigint, credentials text, key_id text) RETURNS boolean
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'bm_webhook_opens_headers';
COMMENT ON FUNCTION bm_webhook_internal.opens_headers(bigint, text, text) IS
	'can the headers of this endpoint be decrypted?';

-- Called by C as the owner of the log, for an administrator.
CREATE FUNCTION bm_webhook_internal.begin_rekey(key text, dry_run boolean, acting_as name, OUT operation bigint,
		OUT matched bigint)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	matched = (SELECT count(*) FROM bm_webhook.endpoint_secret s WHERE s.key_id IS DISTINCT FROM key)
		+ (SELECT count(*) FROM bm_webhook.endpoint e WHERE e.headers <> '{}' AND e.credentials_key_id IS DISTINCT FROM key);
	IF dry_run OR matched = 0 THEN
		RETURN;
	END IF;
	INSERT INTO bm_webhook.operation (kind, until, matched, asked_by, acting_as)
		VALUES ('rekey', clock_timestamp(), begin_rekey.matched, session_user, begin_rekey.acting_as)
		RETURNING id INTO operation;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.begin_rekey(text, boolean, name) IS
	'counts what is not encrypted with this key and, unless it is a dry run, asks the dispatcher to encrypt it';

-- For the dispatcher. First secrets, then headers; what cannot be decrypted is left as it is.
CREATE FUNCTION bm_webhook_internal.rekey_step(o bm_webhook.operation, most bigint) RETURNS boolean
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	key text = bm_webhook_internal.secret_key();
	last_secret bigint = coalesce(o.reached_secret, 0);
	last_endpoint bigint = coalesce(o.reached_endpoint, 0);
	looked_at bigint = 0;
	changed bigint = 0;
	left_over bigint;
	found bigint;
BEGIN
	IF key IS NULL THEN
		PERFORM bm_webhook_internal.refuse('there is no key to encrypt secrets with',
			'Set bm_webhook.secret_key_file.', '55000');
	END IF;
	FOR found IN SELECT s.id FROM bm_webhook.endpoint_secret s WHERE s.id > last_secret AND s.key_id IS DISTINCT FROM key
		ORDER BY s.id LIMIT most FOR NO KEY UPDATE
	LOOP
		BEGIN
			UPDATE bm_webhook.endpoint_secret s SET key_id = key WHERE s.id = found;
			changed = changed + 1;
		EXCEPTION WHEN object_not_in_prerequisite_state THEN
			NULL;
		END;
		last_secret = found;
		looked_at = looked_at + 1;
	END LOOP;
	FOR found IN SELECT e.id FROM bm_webhook.endpoint e WHERE e.id > last_endpoint AND e.headers <> '{}'
		AND e.credentials_key_id IS DISTINCT FROM key ORDER BY e.id LIMIT most - looked_at FOR NO KEY UPDATE
	LOOP
		BEGIN
			UPDATE bm_webhook.endpoint e SET credentials_key_id = key WHERE e.id = found;
			changed = changed + 1;
		EXCEPTION WHEN object_not_in_prerequisite_state THEN
			NULL;
		END;
		last_endpoint = found;
		looked_at = looked_at + 1;
	END LOOP;
	IF looked_at < most THEN
		left_over = (SELECT count(*) FROM bm_webhook.endpoint_secret s
				WHERE s.key_id IS DISTINCT FROM key AND s.id <= last_secret)
			+ (SELECT count(*) FROM bm_webhook.endpoint e
				WHERE e.headers <> '{}' AND e.credentials_key_id IS DISTINCT FROM key AND e.id <= last_endpoint);
	END IF;
	UPDATE bm_webhook.operation x SET done = o.done + changed, reached_secret = last_secret,
			reached_endpoint = last_endpoint, ended_at = CASE WHEN looked_at < most THEN clock_timestamp() END,
			error = CASE WHEN left_over > 0 THEN format('%s secrets or headers cannot be decrypted', left_over) END
		WHERE x.id = o.id;
	RETURN looked_at < most;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.rekey_step(bm_webhook.operation, bigint) IS
	'encrypts the next secrets and headers with the first key; true: that was all';

CREATE FUNCTION bm_webhook.rekey(dry_run boolean = false, OUT operation bigint, OUT matched bigint)
	LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'bm_webhook_rekey';
COMMENT ON FUNCTION bm_webhook.rekey(boolean) IS
	'has all secrets, and values of headers, encrypted with the first key of bm_webhook.secret_key_file: those in plain '
	'text, and those of other keys. matched is how many that is, operation the row of bm_webhook.operation that shows how '
	'far the dispatcher has got; for administrators; 22004, 42501, 55000 no key file, or an unusable one';

-------------------------------------------------------------------------------
-- Registration: what is checked, and who sees what
-------------------------------------------------------------------------------

CREATE FUNCTION bm_webhook_internal.check_application() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'bm_webhook_check_application';
COMMENT ON FUNCTION bm_webhook_internal.check_application() IS 'checks an application; 22023, 23502, 42501, 54000';
CREATE FUNCTION bm_webhook_internal.check_endpoint() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'bm_webhook_check_endpoint';
COMMENT ON FUNCTION bm_webhook_internal.check_endpoint() IS
	'checks and normalizes an endpoint; 22023, 23502, 42501, 54000';
CREATE FUNCTION bm_webhook_internal.check_endpoint_secret() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'bm_webhook_check_endpoint_secret';
COMMENT ON FUNCTION bm_webhook_internal.check_endpoint_secret() IS
	'checks a signing secret; 22023, 23502, 42501, 54000';
CREATE FUNCTION bm_webhook_internal.endpoint_changed() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'bm_webhook_endpoint_changed';
COMMENT ON FUNCTION bm_webhook_internal.endpoint_changed() IS
	'notes what was changed, and tells the dispatcher to read that again';
CREATE FUNCTION bm_webhook_internal.random_secret(kind text = 'hmac_sha256') RETURNS text
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'bm_webhook_random_secret';
COMMENT ON FUNCTION bm_webhook_internal.random_secret(text) IS
	'a new secret of 32 random bytes: whsec_ and their base64, or a pair of keys whsk_';

-- As the definer: who registers an endpoint need not be able to write secrets.
CREATE FUNCTION bm_webhook_internal.make_endpoint_secret() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO bm_webhook.endpoint_secret (endpoint_id, secret) VALUES (NEW.id, bm_webhook_internal.random_secret());
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.make_endpoint_secret() IS 'gives a new endpoint its first secret';

CREATE FUNCTION bm_webhook_internal.verifies() RETURNS boolean
	LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_verifies';
COMMENT ON FUNCTION bm_webhook_internal.verifies() IS 'bm_webhook.verify_endpoints';

-- As the definer: nobody but the extension writes it.
CREATE FUNCTION bm_webhook_internal.keep_endpoint_state() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		INSERT INTO bm_webhook.endpoint_state (endpoint_id, disabled_at, unverified_since)
			VALUES (NEW.id, CASE WHEN NOT NEW.enabled THEN clock_timestamp() END,
				CASE WHEN bm_webhook_internal.verifies() THEN clock_timestamp() END);
	ELSIF NEW.enabled THEN
		UPDATE bm_webhook.endpoint_state SET failing_since = NULL, disabled_at = NULL, disabled_reason = NULL
			WHERE endpoint_id = NEW.id;
	ELSE
		UPDATE bm_webhook.endpoint_state SET disabled_at = clock_timestamp() WHERE endpoint_id = NEW.id;
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.keep_endpoint_state() IS
	'gives an endpoint its state, and keeps when it was disabled';

-- A time of its own for each URL: so what comes of the challenge of another one is told from it.
CREATE FUNCTION bm_webhook_internal.keep_verification() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE bm_webhook.endpoint_state SET verified_at = NULL, verification_error = NULL,
		unverified_since = CASE WHEN bm_webhook_internal.verifies() THEN clock_timestamp() END
		WHERE endpoint_id = NEW.id;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.keep_verification() IS 'asks for a proof of the new URL of an endpoint';

-- Whoever deletes the application waits for this row, or this waits for him and then sees it. As the
-- definer: to lock the application takes a right to change it.
CREATE FUNCTION bm_webhook_internal.keep_application() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM FROM bm_webhook.application a WHERE a.name = NEW.application AND a.deleted_at IS NULL FOR KEY SHARE;
	IF NOT FOUND THEN
		PERFORM bm_webhook_internal.refuse(format('application "%s" does not exist', NEW.application),
			'Applications are the rows of bm_webhook.application.', '42704');
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.keep_application() IS
	'refuses endpoints of an application that was deleted, or is just being deleted';

CREATE TRIGGER check_application BEFORE INSERT OR UPDATE ON bm_webhook.application
	FOR EACH ROW EXECUTE FUNCTION bm_webhook_internal.check_application();
CREATE TRIGGER check_endpoint BEFORE INSERT OR UPDATE ON bm_webhook.endpoint
	FOR EACH ROW EXECUTE FUNCTION bm_webhook_internal.check_endpoint();
CREATE TRIGGER keep_application AFTER INSERT OR UPDATE OF application ON bm_webhook.endpoint
	FOR EACH ROW WHEN (NEW.application IS NOT NULL AND NEW.deleted_at IS NULL)
	EXECUTE FUNCTION bm_webhook_internal.keep_application();
CREATE TRIGGER make_secret AFTER INSERT ON bm_webhook.endpoint
	FOR EACH ROW WHEN (NEW.deleted_at IS NULL) EXECUTE FUNCTION bm_webhook_internal.make_endpoint_secret();
CREATE TRIGGER make_state AFTER INSERT ON bm_webhook.endpoint
	FOR EACH ROW EXECUTE FUNCTION bm_webhook_internal.keep_endpoint_state();
CREATE TRIGGER keep_state AFTER UPDATE ON bm_webhook.endpoint
	FOR EACH ROW WHEN (OLD.enabled <> NEW.enabled) EXECUTE FUNCTION bm_webhook_internal.keep_endpoint_state();
CREATE TRIGGER keep_verification AFTER UPDATE ON bm_webhook.endpoint
	FOR EACH ROW WHEN (OLD.url IS DISTINCT FROM NEW.url AND NEW.deleted_at IS NULL)
	EXECUTE FUNCTION bm_webhook_internal.keep_verification();
CREATE TRIGGER endpoint_changed AFTER UPDATE ON bm_webhook.endpoint_state
	FOR EACH ROW WHEN (OLD.unverified_since IS DISTINCT FROM NEW.unverified_since)
	EXECUTE FUNCTION bm_webhook_internal.endpoint_changed();
CREATE TRIGGER endpoint_changed AFTER INSERT OR UPDATE OR DELETE ON bm_webhook.endpoint
	FOR EACH ROW EXECUTE FUNCTION bm_webhook_internal.endpoint_changed();
CREATE TRIGGER endpoint_truncated AFTER TRUNCATE ON bm_webhook.endpoint
	FOR EACH STATEMENT EXECUTE FUNCTION bm_webhook_internal.endpoint_changed();
CREATE TRIGGER endpoint_changed AFTER INSERT OR UPDATE OR DELETE ON bm_webhook.application
	FOR EACH ROW EXECUTE FUNCTION bm_webhook_internal.endpoint_changed();
CREATE TRIGGER endpoint_truncated AFTER TRUNCATE ON bm_webhook.application
	FOR EACH STATEMENT EXECUTE FUNCTION bm_webhook_internal.endpoint_changed();
CREATE TRIGGER check_secret BEFORE INSERT OR UPDATE ON bm_webhook.endpoint_secret
	FOR EACH ROW EXECUTE FUNCTION bm_webhook_internal.check_endpoint_secret();
CREATE TRIGGER endpoint_changed AFTER INSERT OR UPDATE OR DELETE ON bm_webhook.endpoint_secret
	FOR EACH ROW EXECUTE FUNCTION bm_webhook_internal.endpoint_changed();
CREATE TRIGGER endpoint_truncated AFTER TRUNCATE ON bm_webhook.endpoint_secret
	FOR EACH STATEMENT EXECUTE FUNCTION bm_webhook_internal.endpoint_changed();
-- Also for rows that logical replication applies.
ALTER TABLE bm_webhook.application ENABLE ALWAYS TRIGGER endpoint_changed;
ALTER TABLE bm_webhook.application ENABLE ALWAYS TRIGGER endpoint_truncated;
ALTER TABLE bm_webhook.endpoint ENABLE ALWAYS TRIGGER make_state;
ALTER TABLE bm_webhook.endpoint ENABLE ALWAYS TRIGGER keep_state;
ALTER TABLE bm_webhook.endpoint ENABLE ALWAYS TRIGGER keep_verification;
ALTER TABLE bm_webhook.endpoint ENABLE ALWAYS TRIGGER endpoint_changed;
ALTER TABLE bm_webhook.endpoint_state ENABLE ALWAYS TRIGGER endpoint_changed;
ALTER TABLE bm_webhook.endpoint ENABLE ALWAYS TRIGGER endpoint_truncated;
ALTER TABLE bm_webhook.endpoint_secret ENABLE ALWAYS TRIGGER endpoint_changed;
ALTER TABLE bm_webhook.endpoint_secret ENABLE ALWAYS TRIGGER endpoint_truncated;
COMMENT ON TRIGGER check_application ON bm_webhook.application IS 'checks';
COMMENT ON TRIGGER check_endpoint ON bm_webhook.endpoint IS 'checks and normalizes';
COMMENT ON TRIGGER keep_application ON bm_webhook.endpoint IS 'keeps its application from being deleted meanwhile';
COMMENT ON TRIGGER make_secret ON bm_webhook.endpoint IS 'gives it its first secret';
COMMENT ON TRIGGER make_state ON bm_webhook.endpoint IS 'gives it its state';
COMMENT ON TRIGGER keep_state ON bm_webhook.endpoint IS 'keeps when it was disabled; once enabled it begins anew';
COMMENT ON TRIGGER keep_verification ON bm_webhook.endpoint IS 'asks for a proof of a new URL';
COMMENT ON TRIGGER endpoint_changed ON bm_webhook.endpoint_state IS 'tells the dispatcher of an endpoint that has to '
	'prove something, or has';
COMMENT ON TRIGGER endpoint_changed ON bm_webhook.endpoint IS 'tells the dispatcher of a row that changed';
COMMENT ON TRIGGER endpoint_truncated ON bm_webhook.endpoint IS 'tells the dispatcher';
COMMENT ON TRIGGER endpoint_changed ON bm_webhook.application IS 'tells the dispatcher of a row that changed';
COMMENT ON TRIGGER endpoint_truncated ON bm_webhook.application IS 'tells the dispatcher';
COMMENT ON TRIGGER check_secret ON bm_webhook.endpoint_secret IS 'checks';
COMMENT ON TRIGGER endpoint_changed ON bm_webhook.endpoint_secret IS 'tells the dispatcher of a row that changed';
COMMENT ON TRIGGER endpoint_truncated ON bm_webhook.endpoint_secret IS 'tells the dispatcher';

-- What is whose: constants of a plan, and not of a row. src/pg/sql/sight.c says when they are made anew. Of who owns
-- many, each row is looked up: a list of thousands costs more to plan with than a query costs.
CREATE FUNCTION bm_webhook_internal.own_applications(living boolean) RETURNS text[]
	LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_own_applications';
COMMENT ON FUNCTION bm_webhook_internal.own_applications(boolean) IS
	'the applications that the current user owns, if he owns few; living: without those that were deleted';
CREATE FUNCTION bm_webhook_internal.own_endpoints() RETURNS bigint[]
	LANGUAGE c IMMUTABLE LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_own_endpoints';
COMMENT ON FUNCTION bm_webhook_internal.own_endpoints() IS
	'the endpoints of the applications that the current user owns, if he owns few, with those that were deleted';
CREATE FUNCTION bm_webhook_internal.own_application(living boolean) RETURNS text
	LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_own_application';
COMMENT ON FUNCTION bm_webhook_internal.own_application(boolean) IS
	'the application that the current user owns; NULL: he owns none, or several; living: without those that were deleted';
CREATE FUNCTION bm_webhook_internal.owner_of_many() RETURNS oid
	LANGUAGE c IMMUTABLE LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_owner_of_many';
COMMENT ON FUNCTION bm_webhook_internal.owner_of_many() IS
	'the current user, if he owns more than 500 applications or endpoints; NULL: he does not';
CREATE FUNCTION bm_webhook_internal.is_application_of(role oid, application text, living boolean) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'bm_webhook_is_application_of';
COMMENT ON FUNCTION bm_webhook_internal.is_application_of(oid, text, boolean) IS 'does this role own the application?';
CREATE FUNCTION bm_webhook_internal.is_endpoint_of(role oid, endpoint bigint) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'bm_webhook_is_endpoint_of';
COMMENT ON FUNCTION bm_webhook_internal.is_endpoint_of(oid, bigint) IS
	'does this role own the application of the endpoint?';
-- They become part of the query: one of the cases, as all else is known. "=" is asked of an index, whatever else is; a
-- list, before PostgreSQL 17, only if that is cheaper.
CREATE FUNCTION bm_webhook_internal.owns_application(application text, living boolean) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL RESTRICTED
	RETURN CASE WHEN bm_webhook_internal.owner_of_many() IS NOT NULL
			THEN bm_webhook_internal.is_application_of(bm_webhook_internal.owner_of_many(), application, living)
		WHEN bm_webhook_internal.own_application(living) IS NOT NULL
			THEN application OPERATOR(pg_catalog.=) bm_webhook_internal.own_application(living)
		ELSE application OPERATOR(pg_catalog.=) ANY (bm_webhook_internal.own_applications(living)) END;
COMMENT ON FUNCTION bm_webhook_internal.owns_application(text, boolean) IS
	'does the current user own this application? living: and was it not deleted?';
CREATE FUNCTION bm_webhook_internal.owns_endpoint(endpoint bigint) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL RESTRICTED
	RETURN endpoint OPERATOR(pg_catalog.=) ANY (bm_webhook_internal.own_endpoints())
		OR bm_webhook_internal.is_endpoint_of(bm_webhook_internal.owner_of_many(), endpoint);
COMMENT ON FUNCTION bm_webhook_internal.owns_endpoint(bigint) IS
	'does the current user own the application of this endpoint?';

-- An application's owner, and its members, see it with its endpoints and secrets.
ALTER TABLE bm_webhook.application ENABLE ROW LEVEL SECURITY;
ALTER TABLE bm_webhook.endpoint ENABLE ROW LEVEL SECURITY;
ALTER TABLE bm_webhook.endpoint_state ENABLE ROW LEVEL SECURITY;
ALTER TABLE bm_webhook.endpoint_secret ENABLE ROW LEVEL SECURITY;
-- Of a name that is not his the index is not asked, so that EXPLAIN ANALYZE does not count what the policy has removed.
CREATE POLICY member ON bm_webhook.application USING (bm_webhook_internal.owns_application(name, false))
	WITH CHECK (pg_catalog.pg_has_role(owner, 'MEMBER'));
CREATE POLICY member ON bm_webhook.endpoint
	USING (bm_webhook_internal.owns_application(application, false))
	WITH CHECK (bm_webhook_internal.owns_application(application, true));
CREATE POLICY member ON bm_webhook.endpoint_state USING (EXISTS (
	SELECT FROM bm_webhook.endpoint e WHERE e.id OPERATOR(pg_catalog.=) endpoint_state.endpoint_id
		AND bm_webhook_internal.owns_application(e.application, false)));
CREATE POLICY member ON bm_webhook.endpoint_secret USING (EXISTS (
	SELECT FROM bm_webhook.endpoint e WHERE e.id OPERATOR(pg_catalog.=) endpoint_secret.endpoint_id
		AND bm_webhook_internal.owns_application(e.application, false)));
CREATE POLICY dispatcher ON bm_webhook.application TO bm_webhook USING (true);
CREATE POLICY dispatcher ON bm_webhook.endpoint TO bm_webhook USING (true);
CREATE POLICY dispatcher ON bm_webhook.endpoint_state TO bm_webhook USING (true);
CREATE POLICY dispatcher ON bm_webhook.endpoint_secret TO bm_webhook USING (true);

CREATE FUNCTION bm_webhook.secret(endpoint bigint) RETURNS text
	LANGUAGE c VOLATILE STRICT SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'bm_webhook_secret';
COMMENT ON FUNCTION bm_webhook.secret(bigint) IS
	'the newest signing secret (whsec_...) of an endpoint of the caller''s; each call is recorded in '
	'bm_webhook.operation; 42704 unknown endpoint, 55000 when it cannot be decrypted';

-- Instead of DELETE, the right to which is also one to LOCK TABLE.
CREATE FUNCTION bm_webhook.delete_endpoint(endpoint bigint) RETURNS void
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_delete_endpoint';
COMMENT ON FUNCTION bm_webhook.delete_endpoint(bigint) IS
	'deletes an endpoint of an application that the caller owns, with its secrets; what waits for it is canceled. '
	'When the log has something of it, the row stays, marked by deleted_at and without URL and headers; 22004, 42704 '
	'unknown endpoint';
CREATE FUNCTION bm_webhook.delete_secret(secret bigint) RETURNS void
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_delete_secret';
COMMENT ON FUNCTION bm_webhook.delete_secret(bigint) IS
	'deletes a secret (the id of a row of endpoint_secret) of an application that the caller owns; 22004, 42704 '
	'unknown secret';

CREATE FUNCTION bm_webhook.delete_application(application text) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF application IS NULL THEN
		PERFORM bm_webhook_internal.refuse('"application" must not be null',
			'Name an application.', '22004');
	END IF;
	PERFORM FROM bm_webhook.application a WHERE a.name = delete_application.application
		AND a.deleted_at IS NULL FOR UPDATE;
	IF NOT FOUND THEN
		PERFORM bm_webhook_internal.refuse(format('application "%s" does not exist', application),
			'Applications are the rows of bm_webhook.application.', '42704');
	END IF;
	PERFORM bm_webhook.delete_endpoint(p.id) FROM bm_webhook.endpoint p
		WHERE p.application = delete_application.application AND p.deleted_at IS NULL;
	IF EXISTS (SELECT FROM bm_webhook.endpoint p WHERE p.application = delete_application.application)
		OR (SELECT count(*) > 10000 OR coalesce(bool_or(e.application = delete_application.application), false)
			FROM (SELECT x.application FROM bm_webhook.event x LIMIT 10001) e)
		OR EXISTS (SELECT FROM pg_locks l WHERE l.relation = 'bm_webhook.event'::regclass AND l.mode = 'RowExclusiveLock'
			AND l.pid IS DISTINCT FROM pg_backend_pid()) -- an event of it may not be committed yet
	THEN
		UPDATE bm_webhook.application a SET deleted_at = clock_timestamp() WHERE a.name = delete_application.application;
	ELSE
		DELETE FROM bm_webhook.application a WHERE a.name = delete_application.application;
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook.delete_application(text) IS
	'deletes an application with its endpoints. When the log may have something of it, the row stays, marked by '
	'deleted_at, so that nobody else gets its name; 22004, 42704 unknown application';

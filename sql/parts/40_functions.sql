-------------------------------------------------------------------------------
-- Functions over the core
-------------------------------------------------------------------------------

-- Where RAISE would add lines of CONTEXT that say nothing to who called.
CREATE FUNCTION bm_webhook_internal.refuse(problem text, hint text, state text = '22023') RETURNS void
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_refuse';
COMMENT ON FUNCTION bm_webhook_internal.refuse(text, text, text) IS 'raises an error';

CREATE FUNCTION bm_webhook_internal.library_version() RETURNS text
	LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_library_version';
COMMENT ON FUNCTION bm_webhook_internal.library_version() IS 'the version of the library that the server has loaded';

CREATE FUNCTION bm_webhook.sign(secret text, id text, at timestamptz, body bytea) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_sign';
COMMENT ON FUNCTION bm_webhook.sign(text, text, timestamptz, bytea) IS
	'the Standard Webhooks signature, v1,<base64> or, with a key whsk_..., v1a,<base64>, of a body sent with this '
	'webhook-id at this time (whole seconds); '
	'22023 malformed secret, id with a period';

CREATE FUNCTION bm_webhook.verify(headers jsonb, body bytea, secret text, tolerance interval = '5 min') RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_verify';
COMMENT ON FUNCTION bm_webhook.verify(jsonb, bytea, text, interval) IS
	'was this request signed with the secret, not longer ago (or ahead) than tolerance? secret: whsec_..., or a public '
	'key whpk_...; headers: an object of '
	'strings, names in any case; false, never null, when an argument is null or a header is missing or malformed; '
	'22023 malformed secret';

-- A body given as an untyped literal is text.
CREATE FUNCTION bm_webhook.verify(headers jsonb, body text, secret text, tolerance interval = '5 min') RETURNS boolean
	LANGUAGE sql VOLATILE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT bm_webhook.verify(headers, pg_catalog.convert_to(body, 'UTF8'), secret, tolerance)
$$;
COMMENT ON FUNCTION bm_webhook.verify(jsonb, text, text, interval) IS
	'the same for a body that is text: its bytes in UTF-8 were signed';

CREATE FUNCTION bm_webhook.exponential_backoff(base interval, factor float8, max interval, attempts integer)
	RETURNS interval[]
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_exponential_backoff';
COMMENT ON FUNCTION bm_webhook.exponential_backoff(interval, float8, interval, integer) IS
	'a value for endpoint.retry_delays: base, base * factor, base * factor^2 ..., each at most max, for this many '
	'attempts (one delay less); 22023 out of range';

CREATE FUNCTION bm_webhook_internal.matches(patterns text[], type text) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_matches';
COMMENT ON FUNCTION bm_webhook_internal.matches(text[], text) IS 'does one of the patterns match the event type?';

CREATE FUNCTION bm_webhook.uuid_floor(at timestamptz) RETURNS uuid
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_uuid_floor';
COMMENT ON FUNCTION bm_webhook.uuid_floor(timestamptz) IS 'the smallest event id of this instant; 22008 out of range';

CREATE FUNCTION bm_webhook.uuid_time(id uuid) RETURNS timestamptz
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_uuid_time';
COMMENT ON FUNCTION bm_webhook.uuid_time(uuid) IS 'the instant in an event id';


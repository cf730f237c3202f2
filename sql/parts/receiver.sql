-- Beside verify(jsonb, bytea, text, interval), under "Functions over the core";
-- a body given as an untyped literal is text.
CREATE FUNCTION bm_webhook.verify(headers jsonb, body text, secret text, tolerance interval = '5 min') RETURNS boolean
	LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
	SELECT bm_webhook.verify(headers, pg_catalog.convert_to(body, 'UTF8'), secret, tolerance)
$$;
COMMENT ON FUNCTION bm_webhook.verify(jsonb, text, text, interval) IS
	'the same for a body that is text: its bytes in UTF-8 were signed';

-- With the last GRANT: it reads nothing and writes nothing.
GRANT EXECUTE ON FUNCTION bm_webhook.verify(jsonb, text, text, interval) TO PUBLIC;

-------------------------------------------------------------------------------
-- Answers: what is sent, and who gets it
-------------------------------------------------------------------------------

CREATE FUNCTION bm_webhook.preview(event uuid, endpoint bigint, OUT method text, OUT url text, OUT headers jsonb,
		OUT body text)
	LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'bm_webhook_preview';
COMMENT ON FUNCTION bm_webhook.preview(uuid, bigint) IS
	'the request of the next attempt to send an event to an endpoint of an application that the caller owns, signed '
	'as of now, which is not sent; 22004, 42704 unknown endpoint or event, 55000 endpoint without a usable secret';

-------------------------------------------------------------------------------
-- Answers: what is sent, and who gets it
-------------------------------------------------------------------------------

CREATE FUNCTION bm_webhook.preview(event uuid, endpoint bigint, OUT method text, OUT url text, OUT headers jsonb,
		OUT body text)
	LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'bm_webhook_preview';
COMMENT ON FUNCTION bm_webhook.preview(uuid, bigint) IS
	'the request of the next attempt to send an event to an endpoint of an application that the caller owns, signed '
	'as of now, which is not sent; 22004, 42704 unknown endpoint or event, 55000 endpoint without a usable secret';

CREATE FUNCTION bm_webhook_internal.reason(p bm_webhook.endpoint, e bm_webhook.event, muted text[]) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN p.deleted_at IS NOT NULL THEN 'deleted'
		ELSE coalesce(bm_webhook_internal.route_reason(p.id, coalesce(p.events_since, p.created_at), p.application,
			p.channel, p.event_types, e.endpoint_id, e.created_at, e.type, e.application, e.channel,
			e.reply_to IS NOT NULL, muted),
			bm_webhook_internal.filter_says(p, e),
			CASE WHEN NOT p.enabled THEN 'disabled' END) END;
COMMENT ON FUNCTION bm_webhook_internal.reason(bm_webhook.endpoint, bm_webhook.event, text[]) IS
	'why the endpoint does not get this event; NULL: it does, as wants() says';

CREATE FUNCTION bm_webhook.explain_delivery(event uuid)
	RETURNS TABLE (endpoint_id bigint, gets_it boolean, reason text, status text)
	LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'bm_webhook_explain_delivery';
COMMENT ON FUNCTION bm_webhook.explain_delivery(uuid) IS
	'for each of the caller''s endpoints: does it get this event, as it is registered now, and which filter decides? '
	'reason: deleted, for another endpoint, other application, other channel, captured earlier (than the endpoint gets '
	'events), other event type, muted, filter, filter failed (and why), disabled; or "paused", "not verified yet" or '
	'"no secret" if it gets it and it waits. status: of the delivery, or "set aside"; NULL when there is none (yet). '
	'22004, 42704 unknown event';

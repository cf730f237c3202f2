-------------------------------------------------------------------------------
-- Pause and resume: events are taken, and wait
-------------------------------------------------------------------------------

-- Called by C as the owner of the log, who has seen that the caller may ask for it. Returns what it changed, NULL
-- when there is no such endpoint or application.
CREATE FUNCTION bm_webhook_internal.set_paused(is_paused boolean, endpoint bigint, application text, reason text,
		acting_as name) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	since timestamptz = CASE WHEN is_paused THEN clock_timestamp() END;
	changed bigint;
BEGIN
	IF endpoint IS NOT NULL THEN
		UPDATE bm_webhook.endpoint p SET paused_at = since
			WHERE p.id = endpoint AND (p.paused_at IS NULL) = is_paused;
	ELSIF application IS NOT NULL THEN
		UPDATE bm_webhook.application a SET paused_at = since
			WHERE a.name = application AND (a.paused_at IS NULL) = is_paused;
	ELSIF is_paused THEN
		INSERT INTO bm_webhook.paused (reason) VALUES (set_paused.reason) ON CONFLICT DO NOTHING;
	ELSE
		DELETE FROM bm_webhook.paused;
	END IF;
	GET DIAGNOSTICS changed = ROW_COUNT;
	IF changed > 0 THEN
		INSERT INTO bm_webhook.operation (kind, endpoint_id, application, reason, matched, done, asked_by, acting_as,
			ended_at)
			VALUES (CASE WHEN is_paused THEN 'pause' ELSE 'resume' END, endpoint, application, reason, changed, changed,
				session_user, acting_as, clock_timestamp());
	END IF;
	RETURN changed;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.set_paused(boolean, bigint, text, text, name) IS
	'pauses or resumes an endpoint, an application, or everything; returns how many it changed';

CREATE FUNCTION bm_webhook.pause(endpoint bigint = NULL, application text = NULL, everything boolean = false,
		reason text = NULL) RETURNS bigint
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_pause';
COMMENT ON FUNCTION bm_webhook.pause(bigint, text, boolean, text) IS
	'stops sending to an endpoint, to those of an application, or everything; events are taken and wait, and nothing is '
	'missed. Returns 1, or 0 when it was paused already; 22004, 22023, 42501, 42704, 54000';
CREATE FUNCTION bm_webhook.resume(endpoint bigint = NULL, application text = NULL, everything boolean = false,
		reason text = NULL) RETURNS bigint
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_resume';
COMMENT ON FUNCTION bm_webhook.resume(bigint, text, boolean, text) IS
	'undoes the pause() of the same arguments: what waits is sent, as its schedule says. Returns 1, or 0 when it was not '
	'paused; 22004, 22023, 42501, 42704, 54000';

CREATE FUNCTION bm_webhook_internal.paused_changed() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'bm_webhook_paused_changed';
COMMENT ON FUNCTION bm_webhook_internal.paused_changed() IS 'tells the dispatcher that everything is paused, or not';
CREATE TRIGGER paused_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON bm_webhook.paused
	FOR EACH STATEMENT EXECUTE FUNCTION bm_webhook_internal.paused_changed();
ALTER TABLE bm_webhook.paused ENABLE ALWAYS TRIGGER paused_changed;
COMMENT ON TRIGGER paused_changed ON bm_webhook.paused IS 'tells the dispatcher';

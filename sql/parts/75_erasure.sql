-------------------------------------------------------------------------------
-- Erasure: a person's data leaves the log, and what is counted stays
-------------------------------------------------------------------------------

-- Of a message what reports count by; of anything else nothing.
CREATE FUNCTION bm_webhook_internal.redacted(type text, data jsonb) RETURNS json
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_strip_nulls(jsonb_build_object('erased', true) || CASE WHEN starts_with(type, 'message.')
		THEN jsonb_build_object('status', data->'status', 'direction', data->'direction',
			'occurred_at', data->'occurred_at', 'provider_message_id', data->'provider_message_id',
			'segments', data->'segments', 'price', data->'price',
			'error', CASE WHEN data ? 'error' THEN jsonb_build_object('code', data #> '{error,code}',
				'permanent', data #> '{error,permanent}') END,
			'metadata', CASE WHEN data->'metadata' ? 'campaign'
				THEN jsonb_build_object('campaign', data #> '{metadata,campaign}') END)
		ELSE '{}' END)::json
$$;
COMMENT ON FUNCTION bm_webhook_internal.redacted(text, jsonb) IS 'what is left of the data of an event that is erased';

-- Called by C as the owner of the log. Custom plans: by message there is an index.
CREATE FUNCTION bm_webhook_internal.erase(message_id text, recipient text, application text, acting oid,
		sees_all boolean, acting_as name, OUT operation bigint, OUT events bigint, OUT responses bigint,
		OUT set_aside bigint, OUT is_complete boolean)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_variable
DECLARE
	most constant integer = 10000;
	own text[] = ARRAY(SELECT a.name FROM bm_webhook.application a WHERE pg_has_role(acting, a.owner, 'MEMBER'));
	found uuid[];
BEGIN
	IF application IS NOT NULL AND NOT (application = ANY (own) OR sees_all
		AND EXISTS (SELECT FROM bm_webhook.application a WHERE a.name = application)) THEN
		PERFORM bm_webhook_internal.refuse(format('application "%s" does not exist', application),
			'Applications are the rows of bm_webhook.application.', '42704');
	END IF;
	found = ARRAY(SELECT e.id FROM bm_webhook.event e
		WHERE (erase.message_id IS NULL OR e.message_id = erase.message_id)
			AND (recipient IS NULL OR recipient IN (e.data #>> '{to,address}', e.data #>> '{from,address}'))
			AND (erase.application IS NULL OR e.application = erase.application)
			AND (sees_all OR e.application = ANY (own))
			AND (e.data->>'erased' IS DISTINCT FROM 'true'
				OR e.data::jsonb <> bm_webhook_internal.redacted(e.type, e.data::jsonb)::jsonb)
		LIMIT most + 1);
	is_complete = cardinality(found) <= most;
	found = found[1:most];
	WITH redacted AS (
		UPDATE bm_webhook.event e SET data = bm_webhook_internal.redacted(e.type, e.data::jsonb) WHERE e.id = ANY (found)
			RETURNING e.application AS of_application
	), noted AS (
		INSERT INTO bm_webhook.operation (kind, application, matched, done, asked_by, acting_as, ended_at)
			SELECT 'erase', of_application, count(*), count(*), session_user, acting_as, clock_timestamp()
			FROM redacted GROUP BY of_application RETURNING id, done
	)
	SELECT min(n.id), coalesce(sum(n.done), 0) INTO operation, events FROM noted n;
	UPDATE bm_webhook.failed_attempt f SET response = NULL WHERE f.event_id = ANY (found) AND f.response IS NOT NULL;
	GET DIAGNOSTICS responses = ROW_COUNT;
	UPDATE bm_webhook.set_aside s SET response = NULL WHERE s.event_id = ANY (found) AND s.response IS NOT NULL;
	GET DIAGNOSTICS set_aside = ROW_COUNT;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.erase(text, text, text, oid, boolean, name) IS
	'redacts the events of a message or person, and the responses to them';

CREATE FUNCTION bm_webhook.erase(message_id text = NULL, recipient text = NULL, application text = NULL,
		OUT operation bigint, OUT events bigint, OUT responses bigint, OUT set_aside bigint, OUT is_complete boolean)
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_erase';
COMMENT ON FUNCTION bm_webhook.erase(text, text, text) IS
	'erases a person''s data from the log: of a message, or of all messages to or from an address; of one application, or '
	'of all that are the caller''s. Ids, times, statuses and what reports count stay. Returns how many events, responses '
	'of receivers and outcomes set aside it has changed, at most 10,000 events: call it again until is_complete. '
	'operation: its record in bm_webhook.operation, of several applications the first of theirs. 22004, 42704 unknown '
	'application';

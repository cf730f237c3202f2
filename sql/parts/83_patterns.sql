-------------------------------------------------------------------------------
-- Messaging: patterns
-------------------------------------------------------------------------------

-- As who registers the endpoint: those who may not read event_type are not told what it has.
CREATE FUNCTION bm_webhook_internal.notice_unknown_types() RETURNS trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	unknown text;
BEGIN
	IF NOT has_column_privilege('bm_webhook.event_type', 'name', 'SELECT') THEN
		RETURN NULL;
	END IF;
	SELECT string_agg(format('"%s"', p), ', ') INTO unknown FROM unnest(NEW.event_types) p
		WHERE NOT bm_webhook_internal.matches(ARRAY[p], 'message.replied')
			AND NOT EXISTS (SELECT FROM bm_webhook.event_type t WHERE bm_webhook_internal.matches(ARRAY[p], t.name));
	IF unknown IS NOT NULL THEN
		RAISE NOTICE 'no known event type matches %', unknown
			USING HINT = 'Known types are message.replied and the rows of bm_webhook.event_type; events of other types are '
				'delivered too.';
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.notice_unknown_types() IS
	'tells of patterns that match no documented event type';
CREATE TRIGGER notice_unknown_types AFTER INSERT OR UPDATE OF event_types ON bm_webhook.endpoint
	FOR EACH ROW EXECUTE FUNCTION bm_webhook_internal.notice_unknown_types();
COMMENT ON TRIGGER notice_unknown_types ON bm_webhook.endpoint IS 'tells of misspelt event types';


-------------------------------------------------------------------------------
-- Audit: who has created, changed and deleted endpoints, applications and secrets
-------------------------------------------------------------------------------

-- Called by C as the owner of the log. An element for each row; a mask has a bit for each column that has changed, 0:
-- it was created, NULL: deleted. Secrets come without application: what goes with its endpoint is not recorded.
CREATE FUNCTION bm_webhook_internal.note_changes(subject text, endpoints bigint[], applications text[], masks bigint[],
		columns text[], acting_as name) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET row_security = on AS $$
BEGIN
	IF applications IS NULL THEN
		SELECT array_agg(p.id), array_agg(p.application), array_agg(u.mask) INTO endpoints, applications, masks
			FROM unnest(endpoints, masks) u (id, mask) JOIN bm_webhook.endpoint p ON p.id = u.id WHERE p.deleted_at IS NULL;
	END IF;
	INSERT INTO bm_webhook.operation (kind, endpoint_id, application, changed_columns, matched, done, asked_by,
			acting_as, ended_at)
		SELECT g.deed || '_' || subject, CASE WHEN g.first = g.last THEN g.first END, g.application,
			CASE WHEN g.mask > 0 THEN ARRAY(SELECT c.name FROM unnest(columns) WITH ORDINALITY c (name, n)
				WHERE g.mask >> (c.n - 1)::integer & 1 = 1 ORDER BY c.n) END,
			g.rows, g.rows, session_user, note_changes.acting_as, clock_timestamp()
		FROM (SELECT CASE WHEN u.mask IS NULL THEN 'delete' WHEN u.mask = 0 THEN 'create' ELSE 'change' END AS deed,
				u.application, min(u.id) AS first, max(u.id) AS last, bit_or(u.mask) AS mask, count(*) AS rows
			FROM unnest(endpoints, applications, masks) u (id, application, mask) GROUP BY 1, 2 ORDER BY 2, 1) g;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.note_changes(text, bigint[], text[], bigint[], text[], name) IS
	'writes down who has created, changed or deleted something: a row for each application';

CREATE FUNCTION bm_webhook_internal.audit() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'bm_webhook_audit';
COMMENT ON FUNCTION bm_webhook_internal.audit() IS 'records who has changed something, once for a statement';

-- As itself the extension gives an endpoint its first secret: that is no change of somebody's. pg_restore turns
-- row_security off, which policies, even of those who see all, would refuse.
ALTER FUNCTION bm_webhook_internal.make_endpoint_secret() OWNER TO bm_webhook;
ALTER FUNCTION bm_webhook_internal.make_endpoint_secret() SET row_security = on;

DO $$
DECLARE
	audited text;
BEGIN
	FOREACH audited IN ARRAY '{application,endpoint,endpoint_secret}'::text[] LOOP
		EXECUTE format('CREATE TRIGGER audit_insert AFTER INSERT ON bm_webhook.%I REFERENCING NEW TABLE AS after
			FOR EACH STATEMENT EXECUTE FUNCTION bm_webhook_internal.audit()', audited);
		EXECUTE format('CREATE TRIGGER audit_update AFTER UPDATE ON bm_webhook.%I
			REFERENCING OLD TABLE AS before NEW TABLE AS after
			FOR EACH STATEMENT EXECUTE FUNCTION bm_webhook_internal.audit()', audited);
		EXECUTE format('CREATE TRIGGER audit_delete AFTER DELETE ON bm_webhook.%I REFERENCING OLD TABLE AS before
			FOR EACH STATEMENT EXECUTE FUNCTION bm_webhook_internal.audit()', audited);
		EXECUTE format('COMMENT ON TRIGGER audit_insert ON bm_webhook.%I IS ''records who creates''', audited);
		EXECUTE format('COMMENT ON TRIGGER audit_update ON bm_webhook.%I IS ''records who changes what''', audited);
		EXECUTE format('COMMENT ON TRIGGER audit_delete ON bm_webhook.%I IS ''records who deletes''', audited);
	END LOOP;
END
$$;

-------------------------------------------------------------------------------
-- How much waits for each endpoint: counted where it changes, in the same transaction
-------------------------------------------------------------------------------

-- A change is a row of its own, so that nobody waits for anybody; a dispatcher adds them up now and then.
CREATE TABLE bm_webhook_internal.pending_count (
	endpoint_id bigint PRIMARY KEY,
	pending bigint NOT NULL,
	retrying bigint NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE bm_webhook_internal.pending_change (
	endpoint_id bigint NOT NULL,
	pending bigint NOT NULL,
	retrying bigint NOT NULL
);
COMMENT ON TABLE bm_webhook_internal.pending_count IS
	'how many deliveries of an endpoint are pending, without what pending_change adds to it';
COMMENT ON TABLE bm_webhook_internal.pending_change IS 'by how much that has changed since';
ALTER TABLE bm_webhook_internal.pending_count OWNER TO bm_webhook;
ALTER TABLE bm_webhook_internal.pending_change OWNER TO bm_webhook;

-- Written by the dispatcher of the first shard alone; what sessions refuse and dispatchers cancel is the same.
CREATE TABLE bm_webhook_internal.full_application (
	application text PRIMARY KEY,
	max_waiting integer NOT NULL,
	since timestamptz NOT NULL
);
COMMENT ON TABLE bm_webhook_internal.full_application IS
	'applications of which as many deliveries wait as their max_waiting, until a tenth less do';
ALTER TABLE bm_webhook_internal.full_application OWNER TO bm_webhook;

-- Who may read or change deliveries may do so here.
ALTER TABLE bm_webhook_internal.pending_count ENABLE ROW LEVEL SECURITY;
ALTER TABLE bm_webhook_internal.pending_change ENABLE ROW LEVEL SECURITY;
CREATE POLICY writer ON bm_webhook_internal.pending_change FOR INSERT
	WITH CHECK (pg_catalog.has_table_privilege('bm_webhook.delivery', 'UPDATE'));

CREATE VIEW bm_webhook_internal.pending WITH (security_invoker = true) AS
	SELECT endpoint_id, greatest(sum(pending), 0)::bigint AS pending, greatest(sum(retrying), 0)::bigint AS retrying
	FROM (SELECT * FROM bm_webhook_internal.pending_count UNION ALL SELECT * FROM bm_webhook_internal.pending_change) c
	GROUP BY endpoint_id;
COMMENT ON VIEW bm_webhook_internal.pending IS 'how many deliveries of an endpoint are pending, and tried before';

-- As the definer: whoever deletes rows of the log need know nothing of this.
CREATE FUNCTION bm_webhook_internal.delivery_deleted() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF TG_OP = 'TRUNCATE' THEN
		DELETE FROM bm_webhook_internal.pending_count;
		DELETE FROM bm_webhook_internal.pending_change;
	ELSE
		INSERT INTO bm_webhook_internal.pending_change
			SELECT o.endpoint_id, -count(*), -count(*) FILTER (WHERE o.attempts > 0)
			FROM deleted o WHERE o.status = 'pending' GROUP BY o.endpoint_id;
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.delivery_deleted() IS 'counts what somebody has deleted from the log';
CREATE TRIGGER delivery_deleted AFTER DELETE ON bm_webhook.delivery
	REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION bm_webhook_internal.delivery_deleted();
CREATE TRIGGER delivery_truncated AFTER TRUNCATE ON bm_webhook.delivery
	FOR EACH STATEMENT EXECUTE FUNCTION bm_webhook_internal.delivery_deleted();
COMMENT ON TRIGGER delivery_deleted ON bm_webhook.delivery IS 'counts what is pending no more';
COMMENT ON TRIGGER delivery_truncated ON bm_webhook.delivery IS 'nothing is pending any more';

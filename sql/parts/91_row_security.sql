-------------------------------------------------------------------------------
-- Row-level security of the log, and who sees all
-------------------------------------------------------------------------------

-- A constant of a plan, too.
CREATE FUNCTION bm_webhook_internal.sees_all(relation regclass) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_sees_all';
COMMENT ON FUNCTION bm_webhook_internal.sees_all(regclass) IS
	'may the current user read the whole table, and not only some columns?';

-- Who may read a whole table of the log sees all of it; who may read columns, what is for his applications
-- and endpoints.
ALTER TABLE bm_webhook.event ENABLE ROW LEVEL SECURITY;
ALTER TABLE bm_webhook.delivery ENABLE ROW LEVEL SECURITY;
ALTER TABLE bm_webhook.failed_attempt ENABLE ROW LEVEL SECURITY;
ALTER TABLE bm_webhook.redelivery ENABLE ROW LEVEL SECURITY;
ALTER TABLE bm_webhook.set_aside ENABLE ROW LEVEL SECURITY;
-- An event for one endpoint is of its application: so the index on messages has all that is asked.
CREATE POLICY member ON bm_webhook.event USING (bm_webhook_internal.sees_all('bm_webhook.event')
	OR bm_webhook_internal.owns_application(application, false));
CREATE POLICY member ON bm_webhook.delivery USING (bm_webhook_internal.sees_all('bm_webhook.delivery')
	OR bm_webhook_internal.owns_endpoint(endpoint_id));
CREATE POLICY member ON bm_webhook.failed_attempt USING (bm_webhook_internal.sees_all('bm_webhook.failed_attempt')
	OR bm_webhook_internal.owns_endpoint(endpoint_id));
CREATE POLICY member ON bm_webhook.redelivery USING (bm_webhook_internal.sees_all('bm_webhook.redelivery')
	OR bm_webhook_internal.owns_endpoint(endpoint_id));
CREATE POLICY member ON bm_webhook.set_aside USING (bm_webhook_internal.sees_all('bm_webhook.set_aside')
	OR bm_webhook_internal.owns_endpoint(endpoint_id));
CREATE POLICY dispatcher ON bm_webhook.redelivery TO bm_webhook USING (true);
CREATE POLICY member ON bm_webhook.operation USING (
	bm_webhook_internal.owns_application(application, false)
	OR bm_webhook_internal.owns_endpoint(endpoint_id));
CREATE POLICY reader ON bm_webhook_internal.pending_count FOR SELECT USING (
	bm_webhook_internal.sees_all('bm_webhook.delivery')
	OR bm_webhook_internal.owns_endpoint(endpoint_id));
CREATE POLICY reader ON bm_webhook_internal.pending_change FOR SELECT USING (
	bm_webhook_internal.sees_all('bm_webhook.delivery')
	OR bm_webhook_internal.owns_endpoint(endpoint_id));

-- Operators see the endpoints of all, too. Who may read the whole of `operation` is one; not who may read
-- the log, which owners were given before it had policies. Who can read secrets sees only his own.
CREATE POLICY operator ON bm_webhook.operation FOR SELECT USING (bm_webhook_internal.sees_all('bm_webhook.operation'));
CREATE POLICY operator ON bm_webhook.application FOR SELECT
	USING (bm_webhook_internal.sees_all('bm_webhook.operation'));
CREATE POLICY operator ON bm_webhook.endpoint FOR SELECT USING (bm_webhook_internal.sees_all('bm_webhook.operation'));
CREATE POLICY operator ON bm_webhook.endpoint_state FOR SELECT
	USING (bm_webhook_internal.sees_all('bm_webhook.operation'));
CREATE POLICY operator ON bm_webhook.endpoint_secret FOR SELECT
	USING (bm_webhook_internal.sees_all('bm_webhook.operation')
		AND NOT pg_catalog.has_column_privilege('bm_webhook.endpoint_secret'::regclass, 'secret'::text, 'SELECT'::text));

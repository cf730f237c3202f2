-------------------------------------------------------------------------------
-- Privileges: these stay the last statements
-------------------------------------------------------------------------------

-- Nor has ALTER DEFAULT PRIVILEGES a say.
SELECT bm_webhook_internal.revoke_defaults(d.classid, d.objid)
	FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = 'bm_webhook'
	WHERE d.deptype = 'e' AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass;
REVOKE ALL ON ALL TABLES IN SCHEMA bm_webhook, bm_webhook_internal FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA bm_webhook, bm_webhook_internal FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA bm_webhook, bm_webhook_internal FROM PUBLIC;
GRANT SELECT ON bm_webhook.application, bm_webhook.endpoint, bm_webhook.endpoint_state, bm_webhook.endpoint_secret,
	bm_webhook.event_type, bm_webhook.redelivery, bm_webhook.attempt, bm_webhook.backlog, bm_webhook.endpoint_pace
	TO bm_webhook;
GRANT INSERT ON bm_webhook.redelivery TO bm_webhook;
-- Numbers and states, and nothing of what was sent.
GRANT USAGE ON SCHEMA bm_webhook, bm_webhook_internal TO pg_monitor;
GRANT SELECT ON bm_webhook.stat_dispatcher, bm_webhook.stat_endpoint, bm_webhook.endpoint_health,
	bm_webhook.endpoint_minute, bm_webhook.dispatcher_minute TO pg_monitor;
GRANT EXECUTE ON FUNCTION bm_webhook.latency(bigint, timestamptz, float8) TO pg_monitor;
GRANT DELETE ON bm_webhook.endpoint, bm_webhook.endpoint_secret TO bm_webhook;
GRANT UPDATE (enabled, deleted_at, events_since, paused_at) ON bm_webhook.endpoint TO bm_webhook;
GRANT UPDATE (paused_at) ON bm_webhook.application TO bm_webhook;
GRANT INSERT (endpoint_id, secret, kind), UPDATE (expires_at, key_id) ON bm_webhook.endpoint_secret TO bm_webhook;
GRANT UPDATE (credentials_key_id) ON bm_webhook.endpoint TO bm_webhook;
GRANT SELECT, INSERT, DELETE ON bm_webhook.paused TO bm_webhook;
GRANT UPDATE (failing_since, disabled_reason, unverified_since, verified_at, verification_error)
	ON bm_webhook.endpoint_state TO bm_webhook;
-- Their rows are for those who may read or change deliveries. Columns: who has a right to a table may lock it.
GRANT SELECT ON bm_webhook_internal.pending TO PUBLIC;
GRANT SELECT (endpoint_id, pending, retrying) ON bm_webhook_internal.pending_count, bm_webhook_internal.pending_change
	TO PUBLIC;
GRANT INSERT (endpoint_id, pending, retrying) ON bm_webhook_internal.pending_change TO PUBLIC;
-- The extension's own: what its dispatchers and definers call.
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA bm_webhook_internal TO bm_webhook;
GRANT EXECUTE ON FUNCTION bm_webhook.uuid_floor(timestamptz), bm_webhook.uuid_time(uuid),
	bm_webhook.message_rate(timestamptz, timestamptz, text),
	bm_webhook.delivery_rate(timestamptz, timestamptz) TO bm_webhook;
-- These do nothing that their caller could not do himself.
GRANT EXECUTE ON FUNCTION bm_webhook.sign(text, text, timestamptz, bytea),
	bm_webhook.verify(jsonb, bytea, text, interval), bm_webhook.verify(jsonb, text, text, interval),
	bm_webhook.exponential_backoff(interval, float8, interval, integer),
	bm_webhook_internal.matches(text[], text), bm_webhook_internal.wants,
	bm_webhook_internal.route, bm_webhook_internal.route_fits, bm_webhook_internal.filter_reason,
	bm_webhook_internal.filter_says,
	bm_webhook_internal.fits(bm_webhook.endpoint, bm_webhook.event),
	bm_webhook.uuid_floor(timestamptz), bm_webhook.uuid_time(uuid), bm_webhook_internal.dispatchers(),
	bm_webhook_internal.keeper(), bm_webhook_internal.secret_storage(), bm_webhook_internal.verifies(),
	bm_webhook_internal.partitions(),
	bm_webhook_internal.endpoint_paces(), bm_webhook_internal.first_pending(), bm_webhook_internal.not_taken(),
	bm_webhook_internal.look(bigint), bm_webhook_internal.sees_all, bm_webhook_internal.sees_statistics(),
	bm_webhook_internal.own_application, bm_webhook_internal.own_applications, bm_webhook_internal.own_endpoints,
	bm_webhook_internal.owner_of_many,
	bm_webhook_internal.is_application_of, bm_webhook_internal.is_endpoint_of, bm_webhook_internal.owns_application,
	bm_webhook_internal.owns_endpoint, bm_webhook_internal.primary_key, bm_webhook_internal.check_watched,
	bm_webhook_internal.has_equality, bm_webhook_internal.changed_condition, bm_webhook_internal.check_function,
	bm_webhook_internal.check_capture, bm_webhook_internal.watches, bm_webhook_internal.create_watch_trigger,
		bm_webhook_internal.watch, bm_webhook_internal.refuse, bm_webhook_internal.message_types,
	bm_webhook_internal.message_rank, bm_webhook_internal.message_state, bm_webhook_internal.message_arguments,
		bm_webhook_internal.watch_messages, bm_webhook_internal.console_since, bm_webhook_internal.console_until,
		bm_webhook_internal.console_url, bm_webhook_internal.console_is_unbound,
		bm_webhook_internal.console_may_change, bm_webhook_internal.console_require,
		bm_webhook_internal.console_minutes, bm_webhook_internal.console_dispatchers,
		bm_webhook_internal.console_floor, bm_webhook_internal.console_asks_for_few,
		bm_webhook_internal.console_deliveries_condition,
		bm_webhook_internal.console_events_condition,
		bm_webhook_internal.console_deliveries_floor, bm_webhook_internal.console_deliveries_sql,
		bm_webhook_internal.console_matching, bm_webhook_internal.console_chosen, bm_webhook_internal.console_problems,
		bm_webhook_internal.console_event,
		bm_webhook_internal.console_partitions, bm_webhook_internal.console_period, bm_webhook_internal.console_csv,
		bm_webhook_internal.console_csv_names, bm_webhook_internal.console_counted, bm_webhook_internal.console_export_sql
	TO PUBLIC;

-------------------------------------------------------------------------------
-- Privileges: these stay the last statements
-------------------------------------------------------------------------------

REVOKE ALL ON ALL TABLES IN SCHEMA bm_webhook FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA bm_webhook FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA bm_webhook FROM PUBLIC;
GRANT SELECT ON bm_webhook.application, bm_webhook.endpoint, bm_webhook.endpoint_secret, bm_webhook.event_type,
	bm_webhook.redelivery, bm_webhook.attempt, bm_webhook.backlog TO bm_webhook;
GRANT DELETE ON bm_webhook.endpoint, bm_webhook.endpoint_secret TO bm_webhook;
GRANT UPDATE (enabled, failing_since, disabled_at, disabled_reason, deleted_at) ON bm_webhook.endpoint TO bm_webhook;
GRANT EXECUTE ON FUNCTION bm_webhook._create_partition(text, date), bm_webhook._create_partitions(integer),
	bm_webhook._uuid_floor(timestamptz), bm_webhook._uuid_time(uuid), bm_webhook._has_log(bm_webhook.endpoint) TO bm_webhook;
-- These do nothing that their caller could not do himself.
GRANT EXECUTE ON FUNCTION bm_webhook.sign(text, text, timestamptz, bytea),
	bm_webhook.verify(jsonb, bytea, text, interval), bm_webhook.verify(jsonb, text, text, interval),
	bm_webhook.exponential_backoff(interval, float8, interval, integer),
	bm_webhook._matches(text[], text), bm_webhook._wants(bm_webhook.endpoint, bm_webhook.event),
	bm_webhook._fits(bm_webhook.endpoint, bm_webhook.event),
	bm_webhook._uuid_floor(timestamptz), bm_webhook._uuid_time(uuid), bm_webhook._dispatchers(), bm_webhook._look(),
	bm_webhook._primary_key, bm_webhook._check_watched, bm_webhook._has_equality, bm_webhook._changed_condition, bm_webhook._check_function,
	bm_webhook._check_capture, bm_webhook._watches, bm_webhook._create_watch_trigger,
	bm_webhook._watch, bm_webhook._refuse, bm_webhook._message_types, bm_webhook._message_rank,
	bm_webhook._message_state, bm_webhook._message_arguments, bm_webhook._watch_messages
	TO PUBLIC;

-------------------------------------------------------------------------------
-- Messaging: what providers report, in one vocabulary
-------------------------------------------------------------------------------

-- The statuses and their rank are in src/pg/message_fields.c, and nowhere else.
CREATE FUNCTION bm_webhook_internal.message_types() RETURNS text[]
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_message_types';
COMMENT ON FUNCTION bm_webhook_internal.message_types() IS
	'the event types of the statuses of outbound messages, by rank';
CREATE FUNCTION bm_webhook_internal.message_rank(event_type text) RETURNS integer
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_message_rank';
COMMENT ON FUNCTION bm_webhook_internal.message_rank(text) IS
	'the rank of a status, given as event type; NULL when it is none of an outbound message';
CREATE FUNCTION bm_webhook_internal.message_state(rank integer) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_message_state';
COMMENT ON FUNCTION bm_webhook_internal.message_state(integer) IS 'the status that has this rank';

CREATE TABLE bm_webhook.status_map (
	provider text CHECK (provider ~ '^[a-z][a-z0-9_-]{0,31}$'),
	provider_status text CONSTRAINT provider_status_in_lower_case
		CHECK (provider_status = pg_catalog.lower(provider_status COLLATE "C") AND pg_catalog.length(provider_status)
	BETWEEN 1 AND 128), status text NOT NULL
		CHECK (status = 'received' OR bm_webhook_internal.message_rank('message.' || status) IS NOT NULL),
	shipped boolean NOT NULL DEFAULT false,
	PRIMARY KEY (provider, provider_status)
);
COMMENT ON TABLE bm_webhook.status_map IS
	'what the statuses of message providers are called here; add your own rows, an INSERT replaces a row that is '
	'shipped';
COMMENT ON COLUMN bm_webhook.status_map.provider IS
	'the provider argument of message_status(); in lower case, looked up in any case';
COMMENT ON COLUMN bm_webhook.status_map.provider_status IS
	'as the provider calls it, but in lower case; looked up in any case';
COMMENT ON COLUMN bm_webhook.status_map.status IS 'the last part of the event type, message.<status>';
COMMENT ON COLUMN bm_webhook.status_map.shipped IS 'comes with the extension, so that a dump leaves it out';
SELECT pg_catalog.pg_extension_config_dump('bm_webhook.status_map', 'WHERE NOT shipped');
SELECT pg_catalog.pg_extension_config_dump('bm_webhook.event_type', 'WHERE NOT shipped');

INSERT INTO bm_webhook.status_map (provider, provider_status, status, shipped)
	SELECT provider, provider_status, status, true
	FROM (VALUES
		('twilio', 'accepted', '{accepted,queued,scheduled,sending}'::text[]),
		('twilio', 'sent', '{sent}'),
		('twilio', 'delivered', '{delivered}'),
		('twilio', 'read', '{read}'),
		('twilio', 'failed', '{failed,undelivered}'),
		('twilio', 'canceled', '{canceled}'),
		('twilio', 'received', '{received}'),
		('meta', 'sent', '{sent}'),
		('meta', 'delivered', '{delivered}'),
		('meta', 'read', '{read}'),
		('meta', 'failed', '{failed}'),
		('vonage', 'sent', '{submitted}'),
		('vonage', 'delivered', '{delivered}'),
		('vonage', 'read', '{read}'),
		('vonage', 'failed', '{rejected,undeliverable}'),
		('infobip', 'accepted', '{pending}'),
		('infobip', 'delivered', '{delivered}'),
		('infobip', 'read', '{seen}'),
		('infobip', 'failed', '{undeliverable,rejected}'),
		('infobip', 'expired', '{expired}'),
		('sinch', 'accepted', '{queued_on_channel}'),
		('sinch', 'delivered', '{delivered}'),
		('sinch', 'read', '{read}'),
		('sinch', 'failed', '{failed}'),
		('sinch', 'received', '{message_inbound}'),
		('rbm', 'delivered', '{delivered}'),
		('rbm', 'read', '{read}'),
		('rbm', 'expired', '{ttl_expiration_revoked}')) AS m (provider, status, provider_statuses),
		pg_catalog.unnest(provider_statuses) provider_status;

-- So that what a user changes survives a dump: CREATE EXTENSION brings the
-- shipped rows back, and the user's replace them again.
CREATE FUNCTION bm_webhook_internal.keep_status_map() RETURNS trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF TG_OP = 'UPDATE' THEN
		NEW.shipped := false;
	ELSIF NOT NEW.shipped THEN
		DELETE FROM bm_webhook.status_map m
			WHERE m.shipped AND m.provider = NEW.provider AND m.provider_status = NEW.provider_status;
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.keep_status_map() IS 'makes a changed row of status_map the user''s own';
CREATE TRIGGER keep BEFORE INSERT OR UPDATE ON bm_webhook.status_map
	FOR EACH ROW EXECUTE FUNCTION bm_webhook_internal.keep_status_map();
COMMENT ON TRIGGER keep ON bm_webhook.status_map IS 'a changed row is the user''s own';

-- Sessions keep the table in memory.
CREATE FUNCTION bm_webhook_internal.forget_status_map() RETURNS trigger
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_forget_status_map';
COMMENT ON FUNCTION bm_webhook_internal.forget_status_map() IS 'tells all sessions that status_map has changed';
CREATE TRIGGER forget AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON bm_webhook.status_map
	FOR EACH STATEMENT EXECUTE FUNCTION bm_webhook_internal.forget_status_map();
ALTER TABLE bm_webhook.status_map ENABLE ALWAYS TRIGGER forget;
COMMENT ON TRIGGER forget ON bm_webhook.status_map IS 'sessions read the table again';


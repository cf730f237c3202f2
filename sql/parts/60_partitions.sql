-------------------------------------------------------------------------------
-- Partitions
-------------------------------------------------------------------------------

CREATE TABLE bm_webhook_internal.event_default PARTITION OF bm_webhook.event DEFAULT;
CREATE TABLE bm_webhook_internal.delivery_default PARTITION OF bm_webhook.delivery DEFAULT;
CREATE TABLE bm_webhook_internal.failed_attempt_default PARTITION OF bm_webhook.failed_attempt DEFAULT;
COMMENT ON TABLE bm_webhook_internal.event_default IS 'events of days that have no partition';
COMMENT ON TABLE bm_webhook_internal.delivery_default IS 'deliveries of events of days that have no partition';
COMMENT ON TABLE bm_webhook_internal.failed_attempt_default IS
	'failed attempts of events of days that have no partition';

-- A partition for a range that has begun would make an INSERT fail that is on
-- its way to the default partition: so only days that begin in the future.
-- LIKE and ATTACH take weaker locks on the parent than PARTITION OF.
-- As the definer, because partitions are members of the extension: pg_dump then
-- leaves the log out, and a restored database can make its own.
CREATE FUNCTION bm_webhook_internal.create_partition(parent text, day date) RETURNS boolean
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s' AS $$
DECLARE
	name text = parent || to_char(day, '_YYYYMMDD');
	key text = CASE parent WHEN 'event' THEN 'id' ELSE 'event_id' END;
	first uuid = bm_webhook.uuid_floor(day::timestamp AT TIME ZONE 'UTC');
	beyond uuid = bm_webhook.uuid_floor((day + 1)::timestamp AT TIME ZONE 'UTC');
	is_taken boolean;
BEGIN
	EXECUTE format('SELECT EXISTS (SELECT FROM bm_webhook_internal.%I WHERE %I >= %L AND %2$I < %L)',
		parent || '_default', key, first, beyond) INTO is_taken;
	IF is_taken OR to_regclass(format('bm_webhook_internal.%I', name)) IS NOT NULL THEN
		RETURN false;
	END IF;
	EXECUTE format('CREATE TABLE bm_webhook_internal.%I (LIKE bm_webhook.%I INCLUDING ALL)', name, parent);
	EXECUTE format('ALTER TABLE bm_webhook_internal.%I OWNER TO bm_webhook', name);
	EXECUTE format('ALTER TABLE bm_webhook.%I ATTACH PARTITION bm_webhook_internal.%I FOR VALUES FROM (%L) TO (%L)',
		parent, name, first, beyond);
	IF NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND deptype = 'e'
			AND objid = to_regclass(format('bm_webhook_internal.%I', name))) THEN
		EXECUTE format('ALTER EXTENSION bm_webhook ADD TABLE bm_webhook_internal.%I', name);
	END IF;
	RETURN true;
EXCEPTION WHEN check_violation OR lock_not_available OR duplicate_table OR unique_violation OR duplicate_object THEN
	RETURN false;	-- a row came in between, the table is busy, or another made it: there is a next time
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.create_partition(text, date) IS
	'makes the partition of a UTC day; false when there is one, or rows of that day are in the default';

-- The dispatcher makes one in each transaction: the locks of several tables
-- together would deadlock with sessions that read the log.
CREATE FUNCTION bm_webhook_internal.create_partitions(days integer, at_most integer = NULL) RETURNS integer
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	made integer = 0;
	parent text;
	day integer;
BEGIN
	FOR day, parent IN SELECT d, p FROM generate_series(1, days) d,
		unnest('{event,delivery,failed_attempt}'::text[]) p LOOP
		EXIT WHEN made >= at_most;
		made := made + bm_webhook_internal.create_partition(parent,
			(clock_timestamp() AT TIME ZONE 'UTC')::date + day)::integer;
	END LOOP;
	RETURN made;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.create_partitions(integer, integer) IS
	'makes the partitions of the next days (UTC), or so many of them, and returns how many';

SELECT bm_webhook_internal.create_partition(parent, (pg_catalog.clock_timestamp() AT TIME ZONE 'UTC')::date)
	FROM unnest('{event,delivery,failed_attempt}'::text[]) parent;
SELECT bm_webhook_internal.create_partitions(4);

-- A logical backup takes the registration along, but neither secrets nor the log.
SELECT pg_catalog.pg_extension_config_dump('bm_webhook.application', '');
SELECT pg_catalog.pg_extension_config_dump('bm_webhook.endpoint', '');
SELECT pg_catalog.pg_extension_config_dump('bm_webhook.endpoint_id_seq', '');

ALTER TABLE bm_webhook_internal.event_default OWNER TO bm_webhook;
ALTER TABLE bm_webhook_internal.delivery_default OWNER TO bm_webhook;
ALTER TABLE bm_webhook_internal.failed_attempt_default OWNER TO bm_webhook;
ALTER TABLE bm_webhook.event OWNER TO bm_webhook;
ALTER TABLE bm_webhook.delivery OWNER TO bm_webhook;
ALTER TABLE bm_webhook.failed_attempt OWNER TO bm_webhook;
ALTER TABLE bm_webhook.set_aside OWNER TO bm_webhook;
ALTER TABLE bm_webhook.cursor OWNER TO bm_webhook;
ALTER TABLE bm_webhook_internal.endpoint_change OWNER TO bm_webhook;


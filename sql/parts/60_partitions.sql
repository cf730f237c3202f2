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


-- For each partition, the default ones too, which have no bounds.
CREATE FUNCTION bm_webhook_internal.partitions(OUT parent name, OUT name name, OUT since timestamptz,
	OUT until timestamptz) RETURNS SETOF record
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT p.relname, c.relname, bm_webhook.uuid_time(substring(b.text FROM $r$FROM \('([0-9a-f-]{36})'\)$r$)::uuid),
		bm_webhook.uuid_time(substring(b.text FROM $r$TO \('([0-9a-f-]{36})'\)$r$)::uuid)
	FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
		CROSS JOIN LATERAL (SELECT pg_get_expr(c.relpartbound, c.oid) AS text) b
	WHERE i.inhparent IN ('bm_webhook.event'::regclass, 'bm_webhook.delivery'::regclass,
		'bm_webhook.failed_attempt'::regclass)
$$;
COMMENT ON FUNCTION bm_webhook_internal.partitions() IS
	'the partitions of the log, and which time each is for; use the view partition_list';

CREATE FUNCTION bm_webhook_internal.partition_key(parent text) RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	RETURN CASE parent WHEN 'event' THEN 'id' ELSE 'event_id' END;
COMMENT ON FUNCTION bm_webhook_internal.partition_key(text) IS 'the column by which a table of the log is partitioned';

-- The day, week or month of the setting in which this time lies, less what others cover: so the setting can change.
CREATE FUNCTION bm_webhook_internal.range_around(parent text, at timestamptz, OUT since timestamptz,
	OUT until timestamptz)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT greatest(w.since, max(p.until) FILTER (WHERE p.until <= at)),
		least(w.until, min(p.since) FILTER (WHERE p.since > at))
	FROM (SELECT date_trunc(i, at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS since,
			(date_trunc(i, at AT TIME ZONE 'UTC') + ('1 ' || i)::interval) AT TIME ZONE 'UTC' AS until
			FROM coalesce(current_setting('bm_webhook.partition_interval', true), 'day') i) w
		LEFT JOIN bm_webhook_internal.partitions() p ON p.parent = range_around.parent
	GROUP BY w.since, w.until
$$;
COMMENT ON FUNCTION bm_webhook_internal.range_around(text, timestamptz) IS
	'the range of a partition for rows of this time';

-- To the owner of the log and the role that made it everything is left.
CREATE FUNCTION bm_webhook_internal.revoke_defaults(class oid, object oid) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	command text;
BEGIN
	FOR command IN SELECT format('REVOKE ALL ON %s FROM %s', o.name,
			CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END)
		FROM (SELECT format('SCHEMA %s', n.oid::regnamespace) AS name, n.nspacl AS acl FROM pg_namespace n
				WHERE class = 'pg_namespace'::regclass AND n.oid = object
			UNION ALL SELECT format('FUNCTION %s', p.oid::regprocedure), p.proacl FROM pg_proc p
				WHERE class = 'pg_proc'::regclass AND p.oid = object
			UNION ALL SELECT format('TABLE %s', c.oid::regclass), c.relacl FROM pg_class c
				WHERE class = 'pg_class'::regclass AND c.oid = object) o
			CROSS JOIN LATERAL aclexplode(o.acl) x
		WHERE x.grantee NOT IN (x.grantor, 'bm_webhook'::regrole)
	LOOP
		EXECUTE command;
	END LOOP;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.revoke_defaults(oid, oid) IS
	'takes away what ALTER DEFAULT PRIVILEGES has granted of a new schema, function or table of the extension';

-- A table that is not attached yet, with a constraint that saves ATTACH from reading it. What it holds is never
-- changed much: whoever vacuums it freezes it.
CREATE FUNCTION bm_webhook_internal.create_partition_table(parent text, name text, first uuid, beyond uuid) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	EXECUTE format('CREATE TABLE bm_webhook_internal.%I (LIKE bm_webhook.%I INCLUDING ALL)'
		' WITH (autovacuum_freeze_min_age = 0, autovacuum_vacuum_insert_scale_factor = 0.1,'
		' toast.autovacuum_freeze_min_age = 0, toast.autovacuum_vacuum_insert_scale_factor = 0.1)', name, parent);
	EXECUTE format('ALTER TABLE bm_webhook_internal.%I OWNER TO bm_webhook', name);
	-- a partition has no policies
	PERFORM bm_webhook_internal.revoke_defaults('pg_class'::regclass,
		to_regclass(format('bm_webhook_internal.%I', name)));
	EXECUTE format('ALTER TABLE bm_webhook_internal.%I ADD CONSTRAINT inside CHECK (%I >= %L AND %2$I < %4$L)', name,
		bm_webhook_internal.partition_key(parent), first, beyond);
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.create_partition_table(text, text, uuid, uuid) IS
	'makes a table that can be attached as a partition';

-- ATTACH looks whether the default partition has rows of the range, by reading all of it, while nobody can write
-- there. An index says the same at once: under the lock, what it says is a constraint that holds.
-- LIKE and ATTACH take weaker locks on the parent than PARTITION OF.
CREATE FUNCTION bm_webhook_internal.attach_partition(parent text, name text, first uuid, beyond uuid) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	key text = bm_webhook_internal.partition_key(parent);
	others regclass = format('bm_webhook_internal.%I', parent || '_default');
	is_taken boolean;
BEGIN
	EXECUTE format('ALTER TABLE %s ADD CONSTRAINT outside CHECK (%I < %L OR %2$I >= %4$L) NOT VALID', others, key, first,
		beyond);
	EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE %I >= %L AND %2$I < %4$L)', others, key, first, beyond)
		INTO is_taken;
	IF is_taken THEN
		RAISE check_violation;
	END IF;
	IF (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) THEN
		UPDATE pg_constraint c SET convalidated = true WHERE c.conrelid = others AND c.conname = 'outside';
		UPDATE pg_class c SET relname = c.relname WHERE c.oid = others;	-- makes everybody read the constraint again
	END IF;
	EXECUTE format('ALTER TABLE bm_webhook.%I ATTACH PARTITION bm_webhook_internal.%I FOR VALUES FROM (%L) TO (%L)',
		parent, name, first, beyond);
	EXECUTE format('ALTER TABLE %s DROP CONSTRAINT outside', others);
	EXECUTE format('ALTER TABLE bm_webhook_internal.%I DROP CONSTRAINT inside', name);
	IF NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND deptype = 'e'
			AND objid = to_regclass(format('bm_webhook_internal.%I', name))) THEN
		EXECUTE format('ALTER EXTENSION bm_webhook ADD TABLE bm_webhook_internal.%I', name);
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.attach_partition(text, text, uuid, uuid) IS
	'makes the table a partition, whatever the size of the default one; 23514 when that has rows of the range';

-- A partition for a range that has begun would make an INSERT fail that is on
-- its way to the default partition: so only days that begin in the future.
-- As the definer, because partitions are members of the extension: pg_dump then
-- leaves the log out, and a restored database can make its own.
CREATE FUNCTION bm_webhook_internal.create_partition(parent text, day date) RETURNS boolean
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '250ms' AS $$
DECLARE
	at timestamptz = day::timestamp AT TIME ZONE 'UTC';
	part record;
	name text;
	is_taken boolean;
BEGIN
	IF EXISTS (SELECT FROM bm_webhook_internal.partitions() p
			WHERE p.parent = create_partition.parent AND p.since <= at AND p.until > at) THEN
		RETURN false;
	END IF;
	part = bm_webhook_internal.range_around(parent, at);
	IF part.since < clock_timestamp() AND at > clock_timestamp() THEN
		part.since = at;
	END IF;
	name = parent || to_char(part.since AT TIME ZONE 'UTC', '_YYYYMMDD');
	EXECUTE format('SELECT EXISTS (SELECT FROM bm_webhook_internal.%I WHERE %I >= %L AND %2$I < %4$L)',
		parent || '_default', bm_webhook_internal.partition_key(parent), bm_webhook.uuid_floor(part.since),
		bm_webhook.uuid_floor(part.until)) INTO is_taken;
	IF is_taken OR to_regclass(format('bm_webhook_internal.%I', name)) IS NOT NULL THEN
		RETURN false;
	END IF;
	PERFORM bm_webhook_internal.create_partition_table(parent, name, bm_webhook.uuid_floor(part.since),
		bm_webhook.uuid_floor(part.until));
	PERFORM bm_webhook_internal.attach_partition(parent, name, bm_webhook.uuid_floor(part.since),
		bm_webhook.uuid_floor(part.until));
	RETURN true;
EXCEPTION WHEN check_violation OR lock_not_available OR duplicate_table OR unique_violation OR duplicate_object THEN
	RETURN false;	-- a row came in between, the table is busy, or another made it: there is a next time
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.create_partition(text, date) IS
	'makes the partition that a UTC day lies in; false when there is one, or rows of its range are in the default';

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

CREATE FUNCTION bm_webhook_internal.missing_partitions(days integer) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH p AS MATERIALIZED (SELECT * FROM bm_webhook_internal.partitions())
	SELECT string_agg(t.parent || to_char(d.at AT TIME ZONE 'UTC', '_YYYYMMDD'), ', ')
	FROM unnest('{event,delivery,failed_attempt}'::text[]) t (parent), generate_series(1, days) day
		CROSS JOIN LATERAL (SELECT ((clock_timestamp() AT TIME ZONE 'UTC')::date + day)::timestamp AT TIME ZONE 'UTC' AS at) d
	WHERE NOT EXISTS (SELECT FROM p WHERE p.parent = t.parent AND p.since <= d.at AND p.until > d.at)
$$;
COMMENT ON FUNCTION bm_webhook_internal.missing_partitions(integer) IS
	'which partitions of the next days (UTC) there are not; NULL: there are all';

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


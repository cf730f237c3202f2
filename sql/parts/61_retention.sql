-------------------------------------------------------------------------------
-- Retention: whole partitions go, and what is in the default ones comes into its days
-------------------------------------------------------------------------------

CREATE VIEW bm_webhook.partition_list WITH (security_invoker = true) AS
	SELECT p.parent AS log, p.name, p.since, p.until, pg_total_relation_size(c.oid) AS bytes,
		CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint END AS rows,
		date_trunc('hour', clock_timestamp() - p.until) AS age
	FROM bm_webhook_internal.partitions() p
		JOIN pg_class c ON c.relnamespace = 'bm_webhook_internal'::regnamespace AND c.relname = p.name;
COMMENT ON VIEW bm_webhook.partition_list IS 'the partitions of event, delivery and failed_attempt, and their size';
COMMENT ON COLUMN bm_webhook.partition_list.log IS 'event, delivery or failed_attempt';
COMMENT ON COLUMN bm_webhook.partition_list.name IS 'of the partition, in schema bm_webhook_internal';
COMMENT ON COLUMN bm_webhook.partition_list.since IS
	'it has what belongs to events that were captured from then on; NULL: the default partition, for days that have none';
COMMENT ON COLUMN bm_webhook.partition_list.until IS 'and before then';
COMMENT ON COLUMN bm_webhook.partition_list.bytes IS 'with indexes and what is stored out of line';
COMMENT ON COLUMN bm_webhook.partition_list.rows IS 'as (auto)vacuum or ANALYZE has estimated; NULL: not yet';
COMMENT ON COLUMN bm_webhook.partition_list.age IS 'of its end, in hours; negative: it has not ended';

-- What has no end in sight is not dropped unasked: deliveries that wait, outcomes that are set aside, events that
-- no dispatcher has taken.
CREATE FUNCTION bm_webhook_internal.what_waits(since timestamptz, until timestamptz) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan
		SET jit = off SET enable_seqscan = off AS $$
DECLARE
	first uuid = bm_webhook.uuid_floor(since);
	beyond uuid = bm_webhook.uuid_floor(until);
BEGIN
	IF EXISTS (SELECT FROM bm_webhook.delivery d
			WHERE d.event_id >= first AND d.event_id < beyond AND d.status = 'pending') THEN
		RETURN 'deliveries wait';
	ELSIF EXISTS (SELECT FROM bm_webhook.set_aside s WHERE s.event_id >= first AND s.event_id < beyond) THEN
		RETURN 'deliveries are set aside';
	ELSIF EXISTS (SELECT FROM bm_webhook.event e WHERE e.id >= first AND e.id < beyond
			AND e.xid >= (SELECT pg_snapshot_xmin(c.snapshot) AS xmin FROM bm_webhook.cursor c ORDER BY 1 LIMIT 1)) THEN
		RETURN 'events have not been taken';
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.what_waits(timestamptz, timestamptz) IS
	'why what was captured in this time should not be dropped; NULL: nothing waits';

-- For the dispatcher and its keeper. First what is in the default partitions, then what has expired, deliveries before
-- their events, then partitions of a time that is over: there autovacuum is to freeze what has come in.
CREATE FUNCTION bm_webhook_internal.upkeep(retention interval)
	RETURNS TABLE (task text, log text, name text, since timestamptz, until timestamptz, with_waiting boolean)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	parent text;
	oldest uuid;
	part record;
	expired timestamptz = CASE WHEN retention > interval '0' THEN clock_timestamp() - retention ELSE '-infinity' END;
	asked timestamptz;
	asked_with_waiting timestamptz;
BEGIN
	FOREACH parent IN ARRAY '{event,delivery,failed_attempt}'::text[] LOOP
		EXECUTE format('SELECT %I FROM bm_webhook_internal.%I ORDER BY 1 LIMIT 1',
			bm_webhook_internal.partition_key(parent), parent || '_default') INTO oldest;
		CONTINUE WHEN oldest IS NULL;
		part = bm_webhook_internal.range_around(parent, bm_webhook.uuid_time(oldest));
		IF part.until < clock_timestamp() - interval '1 min' THEN
			RETURN QUERY SELECT 'empty', parent, parent || to_char(part.since AT TIME ZONE 'UTC', '_YYYYMMDD'), part.since,
				part.until, false;
		END IF;
	END LOOP;
	SELECT max(o.until), max(o.until) FILTER (WHERE o.status = '{pending}') INTO asked, asked_with_waiting
		FROM bm_webhook.operation o WHERE o.kind = 'drop_before' AND o.ended_at IS NULL;
	RETURN QUERY SELECT 'drop', p.parent::text, p.name::text, p.since, p.until,
			coalesce(p.until <= asked_with_waiting, false)
		FROM bm_webhook_internal.partitions() p WHERE p.until <= greatest(expired, asked)
		ORDER BY p.parent = 'event', p.since, p.parent;
	RETURN QUERY SELECT 'close', p.parent::text, p.name::text, p.since, p.until, false
		FROM bm_webhook_internal.partitions() p
			JOIN pg_class c ON c.relnamespace = 'bm_webhook_internal'::regnamespace AND c.relname = p.name
		WHERE p.until < clock_timestamp() - interval '1 min' AND p.until > greatest(expired, asked)
			AND NOT coalesce('autovacuum_vacuum_insert_threshold=1' = ANY (c.reloptions), false);
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.upkeep(interval) IS 'what is to be done with the partitions of the log';

CREATE FUNCTION bm_webhook_internal.partition_end(bound pg_node_tree, partition oid) RETURNS timestamptz
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT bm_webhook.uuid_time(substring(pg_get_expr(bound, partition) FROM $r$TO \('([0-9a-f-]{36})'\)$r$)::uuid)
$$;
COMMENT ON FUNCTION bm_webhook_internal.partition_end(pg_node_tree, oid) IS
	'before which time a partition has what was captured; NULL: it is the default one';

-- The dispatcher asks each minute, and must not read the bounds of all partitions for that: only of those that are not
-- closed, and of the oldest of each table, by its name.
CREATE FUNCTION bm_webhook_internal.may_have_upkeep(retention interval) RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (SELECT FROM bm_webhook_internal.event_default)
		OR EXISTS (SELECT FROM bm_webhook_internal.delivery_default)
		OR EXISTS (SELECT FROM bm_webhook_internal.failed_attempt_default)
		OR EXISTS (SELECT FROM
			(SELECT c.oid, c.relpartbound, row_number() OVER (PARTITION BY i.inhparent ORDER BY c.relname) = 1 AS is_oldest,
					coalesce('autovacuum_vacuum_insert_threshold=1' = ANY (c.reloptions), false) AS is_closed
				FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
				WHERE i.inhparent IN ('bm_webhook.event'::regclass, 'bm_webhook.delivery'::regclass,
					'bm_webhook.failed_attempt'::regclass)
				OFFSET 0) p
			WHERE (p.is_oldest OR NOT p.is_closed)
				AND bm_webhook_internal.partition_end(p.relpartbound, p.oid)
					< CASE WHEN NOT p.is_closed THEN clock_timestamp() - interval '1 min'
						WHEN retention > interval '0' THEN clock_timestamp() - retention END)
$$;
COMMENT ON FUNCTION bm_webhook_internal.may_have_upkeep(interval) IS
	'could there be something to be done with the partitions of the log?';

CREATE FUNCTION bm_webhook_internal.is_upkeep_due(retention interval) RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT bm_webhook_internal.may_have_upkeep(retention) AND EXISTS (SELECT FROM bm_webhook_internal.upkeep(retention))
		OR EXISTS (SELECT FROM bm_webhook.operation o WHERE o.ended_at IS NULL AND o.kind = 'drop_before')
		OR retention > interval '0' AND EXISTS (SELECT FROM bm_webhook.redelivery r
			WHERE r.event_id < bm_webhook.uuid_floor(clock_timestamp() - retention))
		OR retention > interval '0' AND EXISTS (SELECT FROM bm_webhook.operation o
			WHERE o.ended_at < clock_timestamp() - retention)
		OR bm_webhook_internal.day_to_count() IS NOT NULL
$$;
COMMENT ON FUNCTION bm_webhook_internal.is_upkeep_due(interval) IS 'is there anything for the keeper to do?';

-- All of a range at once: nobody sees a row twice or not at all. A row that comes in meanwhile makes it fail, and there
-- is a next time.
CREATE FUNCTION bm_webhook_internal.empty_default(parent text, name text, since timestamptz, until timestamptz)
	RETURNS bigint
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '80ms'
		SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	first uuid = bm_webhook.uuid_floor(since);
	beyond uuid = bm_webhook.uuid_floor(until);
	moved bigint;
BEGIN
	PERFORM bm_webhook_internal.create_partition_table(parent, name, first, beyond);
	EXECUTE format('WITH moved AS (DELETE FROM bm_webhook_internal.%I WHERE %I >= %L AND %2$I < %4$L RETURNING *)'
		' INSERT INTO bm_webhook_internal.%5$I SELECT * FROM moved', parent || '_default',
		bm_webhook_internal.partition_key(parent), first, beyond, name);
	GET DIAGNOSTICS moved = ROW_COUNT;
	PERFORM bm_webhook_internal.attach_partition(parent, name, first, beyond);
	RETURN moved;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.empty_default(text, text, timestamptz, timestamptz) IS
	'makes the partition of a time that is over, with what the default one has of it; returns how many rows that were';

CREATE FUNCTION bm_webhook_internal.why_kept(parent text, since timestamptz, until timestamptz, with_waiting boolean)
	RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN parent = 'event' AND EXISTS (SELECT FROM bm_webhook_internal.partitions() p
			WHERE p.parent <> 'event' AND p.since < why_kept.until AND p.until > why_kept.since)
		THEN 'deliveries of its events are still there'
		WHEN NOT with_waiting THEN bm_webhook_internal.what_waits(since, until) END
$$;
COMMENT ON FUNCTION bm_webhook_internal.why_kept(text, timestamptz, timestamptz, boolean) IS
	'why a partition must not be dropped now; NULL: it can be';

-- Whoever writes waits no longer than these requests for locks, and then for as long as a table without readers
-- takes to be dropped; its files go after the commit. Dispatchers, who wait for 100 ms themselves, are not disturbed.
CREATE FUNCTION bm_webhook_internal.drop_partition(parent text, name text, since timestamptz, until timestamptz,
		with_waiting boolean, dry_run boolean) RETURNS text
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '80ms' AS $$
DECLARE
	first uuid = bm_webhook.uuid_floor(since);
	beyond uuid = bm_webhook.uuid_floor(until);
	problem text;
BEGIN
	EXECUTE format('LOCK TABLE ONLY bm_webhook.%I IN ACCESS EXCLUSIVE MODE', parent);
	SET LOCAL lock_timeout = '50ms';
	EXECUTE format('LOCK TABLE bm_webhook_internal.%I IN ACCESS EXCLUSIVE MODE', name);
	problem = bm_webhook_internal.why_kept(parent, since, until, with_waiting);
	IF problem IS NOT NULL OR dry_run THEN
		RETURN problem;
	ELSIF with_waiting AND parent = 'delivery' THEN
		INSERT INTO bm_webhook_internal.pending_change
			SELECT d.endpoint_id, -count(*), -count(*) FILTER (WHERE d.attempts > 0) FROM bm_webhook.delivery d
				WHERE d.event_id >= first AND d.event_id < beyond AND d.status = 'pending' GROUP BY d.endpoint_id;
		DELETE FROM bm_webhook.set_aside s WHERE s.event_id >= first AND s.event_id < beyond;
	END IF;
	EXECUTE format('ALTER EXTENSION bm_webhook DROP TABLE bm_webhook_internal.%I', name);
	EXECUTE format('DROP TABLE bm_webhook_internal.%I', name);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.drop_partition(text, text, timestamptz, timestamptz, boolean, boolean) IS
	'drops a partition, also when something in it waits, if asked; returns why it has not, or would not';

-- Any row that has come in since the last vacuum is a reason for another: what comes late is frozen, too. So are a
-- few that were updated, by retries: a fifth of all, which is PostgreSQL's measure, is never reached any more.
CREATE FUNCTION bm_webhook_internal.close_partition(name text) RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '80ms' AS $$
BEGIN
	EXECUTE format('ALTER TABLE bm_webhook_internal.%I SET (autovacuum_vacuum_insert_threshold = 1,'
		' autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_scale_factor = 0.02,'
		' toast.autovacuum_vacuum_insert_threshold = 1, toast.autovacuum_vacuum_insert_scale_factor = 0)', name);
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.close_partition(text) IS
	'lets autovacuum freeze a partition whose time is over';

-- What was deleted goes with the last of its log. A transaction that did not see yet that it was deleted may have
-- captured later than that, and a dispatcher may have canceled later: so there is a day between. Events that name an
-- application may still come when it was deleted: then it is as if it had been deleted with the last of them. The log
-- is read for that once, when all of it has been written since the application was deleted.
CREATE FUNCTION bm_webhook_internal.forget_deleted(most integer) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	before timestamptz;
	names text[];
	forgotten bigint;
BEGIN
	IF NOT EXISTS (SELECT FROM bm_webhook.endpoint p WHERE p.deleted_at < clock_timestamp() - interval '1 day')
		AND NOT EXISTS (SELECT FROM bm_webhook.application a WHERE a.deleted_at < clock_timestamp() - interval '1 day')
	THEN
		RETURN 0;
	END IF;
	before = least(clock_timestamp(),
		bm_webhook.uuid_time((SELECT e.id FROM bm_webhook.event e ORDER BY e.id LIMIT 1)),
		bm_webhook.uuid_time((SELECT d.event_id FROM bm_webhook.delivery d ORDER BY d.event_id LIMIT 1)),
		bm_webhook.uuid_time((SELECT f.event_id FROM bm_webhook.failed_attempt f ORDER BY f.event_id LIMIT 1)),
		bm_webhook.uuid_time((SELECT r.event_id FROM bm_webhook.redelivery r ORDER BY r.event_id LIMIT 1)))
		- interval '1 day';
	DELETE FROM bm_webhook.endpoint p WHERE p.id IN (SELECT x.id FROM bm_webhook.endpoint x
		WHERE x.deleted_at < before
			AND NOT EXISTS (SELECT FROM bm_webhook.set_aside s WHERE s.endpoint_id = x.id)
			AND NOT EXISTS (SELECT FROM bm_webhook.delivery d WHERE d.endpoint_id = x.id AND d.status = 'pending')
		ORDER BY x.deleted_at LIMIT most FOR UPDATE SKIP LOCKED);
	GET DIAGNOSTICS forgotten = ROW_COUNT;
	names = ARRAY(SELECT a.name FROM bm_webhook.application a WHERE a.deleted_at < before
		AND NOT EXISTS (SELECT FROM bm_webhook.endpoint p WHERE p.application = a.name)
		AND NOT EXISTS (SELECT FROM bm_webhook.message_day m WHERE m.application = a.name));
	IF cardinality(names) > 0 THEN
		UPDATE bm_webhook.application a SET deleted_at = greatest(e.latest, a.deleted_at)
			FROM (SELECT x.application, max(x.created_at) AS latest FROM bm_webhook.event x
				WHERE x.application = ANY (names) GROUP BY x.application) e WHERE a.name = e.application;
		DELETE FROM bm_webhook.application a WHERE a.name = ANY (names) AND a.deleted_at < before;
	END IF;
	RETURN forgotten;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.forget_deleted(integer) IS
	'removes endpoints that were deleted before the log begins, at most so many, and applications; returns how many '
	'endpoints';

CREATE FUNCTION bm_webhook_internal.forget_expired(retention interval, most integer) RETURNS bigint
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	before timestamptz = clock_timestamp() - retention;
	deleted bigint = bm_webhook_internal.forget_deleted(most);
	operations bigint;
	redeliveries bigint;
BEGIN
	IF retention <= interval '0' THEN
		RETURN deleted;
	END IF;
	DELETE FROM bm_webhook.operation o WHERE o.id IN (SELECT x.id FROM bm_webhook.operation x
		WHERE x.ended_at < before ORDER BY x.id LIMIT most FOR UPDATE SKIP LOCKED);
	GET DIAGNOSTICS operations = ROW_COUNT;
	DELETE FROM bm_webhook.redelivery r WHERE r.ctid = ANY (ARRAY(SELECT x.ctid FROM bm_webhook.redelivery x
		WHERE x.event_id < bm_webhook.uuid_floor(before) ORDER BY x.event_id LIMIT most FOR UPDATE SKIP LOCKED));
	GET DIAGNOSTICS redeliveries = ROW_COUNT;
	RETURN greatest(deleted, operations, redeliveries);
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.forget_expired(interval, integer) IS
	'deletes operations and redeliveries of before, and what was deleted before the log begins, at most so many of '
	'each; returns how many';

-- What stays stays because something waits: then that is how it ended. What was locked is tried again.
CREATE FUNCTION bm_webhook_internal.end_drops(has_failed boolean, seen pg_snapshot) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	UPDATE bm_webhook.operation o SET done = greatest(o.matched - p.left, 0),
			ended_at = CASE WHEN p.left = 0 OR NOT has_failed THEN clock_timestamp() END,
			error = CASE WHEN p.left > 0 AND NOT has_failed
				THEN format('%s partitions stay, as something in them waits: %s', p.left, p.why) END
		FROM bm_webhook.operation x CROSS JOIN LATERAL (SELECT count(*) AS left,
			coalesce(max(bm_webhook_internal.what_waits(q.since, q.until)),
				'deliveries of its events are still there') AS why
			FROM bm_webhook_internal.partitions() q WHERE q.until <= x.until) p
		WHERE x.id = o.id AND o.kind = 'drop_before' AND o.ended_at IS NULL AND pg_visible_in_snapshot(o.xid, seen)
$$;
COMMENT ON FUNCTION bm_webhook_internal.end_drops(boolean, pg_snapshot) IS
	'says of each drop_before() that was seen how far it has got; has_failed: what is left is tried again';

-- Called by C as the owner of the log, for an administrator.
CREATE FUNCTION bm_webhook_internal.begin_drop(before timestamptz, with_waiting boolean, dry_run boolean,
		acting_as name, OUT operation bigint, OUT matched bigint)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	matched = (SELECT count(*) FROM bm_webhook_internal.partitions() p WHERE p.until <= before);
	IF dry_run OR matched = 0 THEN
		RETURN;
	END IF;
	INSERT INTO bm_webhook.operation (kind, until, status, matched, asked_by, acting_as)
		VALUES ('drop_before', before, CASE WHEN with_waiting THEN '{pending}'::text[] END, begin_drop.matched,
			session_user, begin_drop.acting_as)
		RETURNING id INTO operation;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.begin_drop(timestamptz, boolean, boolean, name) IS
	'counts the partitions that end before this time and, unless it is a dry run, asks for them to be dropped';

CREATE FUNCTION bm_webhook.drop_before(before timestamptz, with_waiting boolean = false, dry_run boolean = false,
		OUT operation bigint, OUT matched bigint)
	LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'bm_webhook_drop_before';
COMMENT ON FUNCTION bm_webhook.drop_before(timestamptz, boolean, boolean) IS
	'drops the partitions of the log that end before a time, in the background: matched is how many, operation the row '
	'of bm_webhook.operation that shows how far it has got, NULL in a dry run and when there are none. Those in which '
	'something waits stay, unless with_waiting; for administrators; 22004, 22023, 42501';

-------------------------------------------------------------------------------
-- What "bm_webhook_console listen" forwards
-------------------------------------------------------------------------------

-- a: cursor (none: from now on), event_types, application, endpoint. What the cursor's snapshot does not see and that
-- of now does, 100 events at a time: a full page goes on to the same snapshot, so that transactions that commit late
-- are not missed. Each row has the cursor that is to be asked with after it; one without an event ends a page that is
-- not full. A cursor: snapshot and time, and in between those that it goes on to, and the last event's transaction and
-- id.
CREATE FUNCTION bm_webhook.console_listen(a jsonb)
	RETURNS TABLE (cursor text, id uuid, type text, application text, channel text, message_id text, occurred_us bigint,
		is_thin boolean, data text)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
		SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	part text[] = string_to_array(a ->> 'cursor', ' ');
	seen pg_snapshot = part[1]::pg_snapshot;
	since timestamptz = to_timestamp(part[2]::float8);
	goal text = concat(coalesce(part[3]::pg_snapshot, pg_current_snapshot()), ' ',
		coalesce(part[4]::bigint, extract(epoch FROM clock_timestamp())::bigint));
	until pg_snapshot = split_part(goal, ' ', 1)::pg_snapshot;
	beyond xid8 = pg_snapshot_xmax(until);
	last_xid xid8 = coalesce(part[5]::xid8, pg_snapshot_xmin(seen));
	last_id uuid = coalesce(part[6]::uuid, '00000000-0000-0000-0000-000000000000');
	patterns text[] = ARRAY(SELECT jsonb_array_elements_text(nullif(a -> 'event_types', 'null')));
	of_endpoint bm_webhook.endpoint;
	first uuid;
	found integer = 0;
BEGIN
	IF a ->> 'endpoint' IS NOT NULL THEN
		SELECT p.* INTO of_endpoint FROM bm_webhook.endpoint p WHERE p.id = (a ->> 'endpoint')::bigint;
		PERFORM bm_webhook_internal.console_require(of_endpoint.id IS NOT NULL, format('endpoint %s', a ->> 'endpoint'));
	END IF;
	IF seen IS NOT NULL THEN
		first = bm_webhook.uuid_floor(greatest(since, '1970-01-03 UTC') - interval '1 day');
		RETURN QUERY SELECT concat(seen, ' ', part[2], ' ', goal, ' ', v.xid, ' ', v.id), v.id, v.type, v.application,
				v.channel, v.message_id, (extract(epoch FROM greatest(least(v.occurred_at, '9999-12-31 UTC'), '0001-01-01 UTC'))
				* 1000000)::bigint, coalesce(of_endpoint.payload = 'thin', false), v.data::text
			FROM bm_webhook.event v
			WHERE (v.xid, v.id) > (last_xid, last_id) AND v.xid < beyond AND v.id >= first
				AND pg_visible_in_snapshot(v.xid, until) AND NOT pg_visible_in_snapshot(v.xid, seen)
				AND (a ->> 'application' IS NULL OR v.application = a ->> 'application')
				AND (cardinality(patterns) = 0 OR bm_webhook_internal.matches(patterns, v.type))
				AND (of_endpoint.id IS NULL OR bm_webhook_internal.wants(of_endpoint, v,
					(SELECT x.muted_event_types FROM bm_webhook.application x WHERE x.name = v.application)))
			ORDER BY v.xid, v.id LIMIT 100;
		GET DIAGNOSTICS found = ROW_COUNT;
	END IF;
	IF found < 100 THEN
		cursor = goal;
		RETURN NEXT;
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook.console_listen(jsonb) IS
	'the next 100 events that have been committed since the cursor: what their requests are made of; 42704';

-------------------------------------------------------------------------------
-- What the console's buttons do: with the rights of who presses them
-------------------------------------------------------------------------------

-- a: the columns to set, and id for a change
CREATE FUNCTION bm_webhook.console_save_endpoint(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	known text[] = '{application,channel,url,event_types,description,enabled,ordering,max_in_flight,timeout,retry_delays,'
		'ttl,rate_limit,rate_burst,filter,payload,headers,signature_header,signature_scheme,ca_certificates,metadata}';
	given text[] = ARRAY(SELECT k FROM jsonb_object_keys(a - 'id') k ORDER BY k);
	columns text = (SELECT string_agg(quote_ident(k), ', ') FROM unnest(given) k);
	id bigint = (a ->> 'id')::bigint;
BEGIN
	IF NOT given <@ known OR columns IS NULL THEN
		PERFORM bm_webhook_internal.refuse('these are not columns of an endpoint that can be set',
			format('They are: %s.', array_to_string(known, ', ')));
	ELSIF id IS NULL THEN
		EXECUTE format('INSERT INTO bm_webhook.endpoint (%s) SELECT %1$s '
			'FROM jsonb_populate_record(NULL::bm_webhook.endpoint, $1) RETURNING id', columns) INTO id USING a;
	ELSE
		EXECUTE format('UPDATE bm_webhook.endpoint p SET (%s) = (SELECT %1$s '
			'FROM jsonb_populate_record(NULL::bm_webhook.endpoint, $1)) '
			'WHERE p.id = $2 AND p.deleted_at IS NULL RETURNING p.id', columns) INTO id USING a, id;
		PERFORM bm_webhook_internal.console_require(id IS NOT NULL, format('endpoint %s', a ->> 'id'));
	END IF;
	RETURN jsonb_build_object('id', id);
END
$$;
COMMENT ON FUNCTION bm_webhook.console_save_endpoint(jsonb) IS
	'registers an endpoint, or changes one; as INSERT and UPDATE';

-- a: endpoint, dry_run
CREATE FUNCTION bm_webhook.console_delete_endpoint(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	endpoint bigint = (a ->> 'endpoint')::bigint;
	waiting bigint = (SELECT sum(c.matched) FROM bm_webhook.cancel(endpoint => endpoint, dry_run => true) c);
BEGIN
	IF (a ->> 'dry_run')::boolean IS NOT TRUE THEN
		PERFORM bm_webhook.delete_endpoint(endpoint);
	END IF;
	RETURN jsonb_build_object('waiting', waiting);
END
$$;
COMMENT ON FUNCTION bm_webhook.console_delete_endpoint(jsonb) IS
	'deletes an endpoint, or says how many deliveries that would cancel; 42704';

-- a: endpoint or application or everything, reason
CREATE FUNCTION bm_webhook.console_pause(a jsonb) RETURNS jsonb
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object('changed', bm_webhook.pause((a ->> 'endpoint')::bigint, a ->> 'application',
		coalesce((a ->> 'everything')::boolean, false), a ->> 'reason'))
$$;
COMMENT ON FUNCTION bm_webhook.console_pause(jsonb) IS 'calls pause()';
CREATE FUNCTION bm_webhook.console_resume(a jsonb) RETURNS jsonb
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object('changed', bm_webhook.resume((a ->> 'endpoint')::bigint, a ->> 'application',
		coalesce((a ->> 'everything')::boolean, false), a ->> 'reason'))
$$;
COMMENT ON FUNCTION bm_webhook.console_resume(jsonb) IS 'calls resume()';

-- a: endpoint, type
CREATE FUNCTION bm_webhook.console_ping(a jsonb) RETURNS jsonb
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object('event', bm_webhook.ping((a ->> 'endpoint')::bigint,
		coalesce(a ->> 'type', 'webhook.ping')))
$$;
COMMENT ON FUNCTION bm_webhook.console_ping(jsonb) IS 'calls ping()';

-- a: endpoint
CREATE FUNCTION bm_webhook.console_verify_endpoint(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM bm_webhook.verify_endpoint((a ->> 'endpoint')::bigint);
	RETURN '{}';
END
$$;
COMMENT ON FUNCTION bm_webhook.console_verify_endpoint(jsonb) IS 'calls verify_endpoint()';

-- What a button is for, as two arrays: the deliveries that a names, or those that match.
CREATE FUNCTION bm_webhook_internal.console_chosen(a jsonb, OUT events uuid[], OUT endpoints bigint[])
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF a ? 'matching' THEN
		IF (a ->> 'dry_run')::boolean IS NOT TRUE AND (a #>> '{matching,until}' IS NULL OR a ->> 'max_rows' IS NULL) THEN
			PERFORM bm_webhook_internal.refuse('what matches must have been counted',
				'"matching" has the "until" of console_count_deliveries(), and "max_rows" is what "dry_run" has said.', '22004');
		END IF;
		SELECT m.events[:10000], m.endpoints[:10000] INTO events, endpoints
			FROM bm_webhook_internal.console_matching(a -> 'matching') m;
	ELSIF a ? 'deliveries' THEN
		SELECT coalesce(array_agg((d ->> 0)::uuid), '{}'), coalesce(array_agg((d ->> 1)::bigint), '{}') INTO events, endpoints
			FROM jsonb_array_elements(a -> 'deliveries') d;
	ELSE
		PERFORM bm_webhook_internal.refuse('nothing says which deliveries', 'Name "deliveries", or say what is "matching".',
			'22004');
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_chosen(jsonb) IS
	'the deliveries that are to be sent again or canceled; 22004, 54000';

CREATE FUNCTION bm_webhook_internal.console_problems(problems text[]) RETURNS jsonb
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object('matched', coalesce(sum(p.n) FILTER (WHERE p.problem IS NULL), 0), 'problems',
		coalesce(jsonb_agg(to_jsonb(p) ORDER BY p.n DESC) FILTER (WHERE p.problem IS NOT NULL), '[]'))
	FROM (SELECT u.problem, count(*) AS n FROM unnest(problems) u (problem) GROUP BY u.problem) p
$$;
COMMENT ON FUNCTION bm_webhook_internal.console_problems(text[]) IS
	'how many of these have none (NULL), and of the others how often each';

-- a: deliveries (an array of [event, endpoint]), or matching (what console_count_deliveries takes, with its since and
-- until); dry_run; max_rows (how many a dry run has said)
CREATE FUNCTION bm_webhook.console_redeliver(a jsonb) RETURNS jsonb
	LANGUAGE sql SET search_path = pg_catalog, pg_temp SET jit = off AS $$
	SELECT bm_webhook_internal.console_problems(array_agg(r.problem)) FROM bm_webhook_internal.console_chosen(a) c,
		bm_webhook.redeliver_each(c.events, c.endpoints, (a ->> 'max_rows')::bigint,
			coalesce((a ->> 'dry_run')::boolean, false)) r
$$;
COMMENT ON FUNCTION bm_webhook.console_redeliver(jsonb) IS 'calls redeliver_each(), and counts its answers';
-- a: as console_redeliver
CREATE FUNCTION bm_webhook.console_cancel(a jsonb) RETURNS jsonb
	LANGUAGE sql SET search_path = pg_catalog, pg_temp SET jit = off AS $$
	SELECT bm_webhook_internal.console_problems(array_agg(r.problem)) FROM bm_webhook_internal.console_chosen(a) c,
		bm_webhook.cancel_each(c.events, c.endpoints, (a ->> 'max_rows')::bigint,
			coalesce((a ->> 'dry_run')::boolean, false)) r
$$;
COMMENT ON FUNCTION bm_webhook.console_cancel(jsonb) IS 'calls cancel_each(), and counts its answers';

-- A period that has not ended ends now, and the answer says so: what has been counted can be asked for.
-- a: endpoint, since, until, status, error_class, max_rows, dry_run
CREATE FUNCTION bm_webhook.console_redeliver_since(a jsonb) RETURNS jsonb
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT to_jsonb(r) || jsonb_build_object('until', least((a ->> 'until')::timestamptz, now()))
	FROM bm_webhook.redeliver((a ->> 'endpoint')::bigint, (a ->> 'since')::timestamptz,
		least((a ->> 'until')::timestamptz, now()),
		CASE WHEN a ? 'status' THEN ARRAY(SELECT jsonb_array_elements_text(a -> 'status')) ELSE '{failed}' END,
		CASE WHEN a ? 'error_class' THEN ARRAY(SELECT jsonb_array_elements_text(a -> 'error_class')) END,
		(a ->> 'max_rows')::bigint, coalesce((a ->> 'dry_run')::boolean, false)) r
$$;
COMMENT ON FUNCTION bm_webhook.console_redeliver_since(jsonb) IS 'calls redeliver() for a period';

-- a: endpoint, since, until, dry_run
CREATE FUNCTION bm_webhook.console_recover(a jsonb) RETURNS jsonb
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT to_jsonb(r) || jsonb_build_object('until', least((a ->> 'until')::timestamptz, now()))
	FROM bm_webhook.recover((a ->> 'endpoint')::bigint, (a ->> 'since')::timestamptz,
		least((a ->> 'until')::timestamptz, now()), coalesce((a ->> 'dry_run')::boolean, false)) r
$$;
COMMENT ON FUNCTION bm_webhook.console_recover(jsonb) IS 'calls recover()';

-- a: event, endpoint, reason
CREATE FUNCTION bm_webhook.console_set_aside(a jsonb) RETURNS jsonb
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT to_jsonb(s) FROM bm_webhook.set_aside((a ->> 'event')::uuid, (a ->> 'endpoint')::bigint, a ->> 'reason') s
$$;
COMMENT ON FUNCTION bm_webhook.console_set_aside(jsonb) IS 'calls set_aside()';
CREATE FUNCTION bm_webhook.console_put_back(a jsonb) RETURNS jsonb
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object('put_back',
		bm_webhook.put_back((a ->> 'event')::uuid, (a ->> 'endpoint')::bigint, a ->> 'reason'))
$$;
COMMENT ON FUNCTION bm_webhook.console_put_back(jsonb) IS 'calls put_back()';

-- a: endpoint
CREATE FUNCTION bm_webhook.console_secret(a jsonb) RETURNS jsonb
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object('secret', bm_webhook.secret((a ->> 'endpoint')::bigint))
$$;
COMMENT ON FUNCTION bm_webhook.console_secret(jsonb) IS 'calls secret(), which records it';

-- a: endpoint, overlap, kind
CREATE FUNCTION bm_webhook.console_rotate_secret(a jsonb) RETURNS jsonb
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object('secret', bm_webhook.rotate_secret((a ->> 'endpoint')::bigint,
		coalesce(a ->> 'overlap', '24 h')::interval, coalesce(a ->> 'kind', 'hmac_sha256')))
$$;
COMMENT ON FUNCTION bm_webhook.console_rotate_secret(jsonb) IS 'calls rotate_secret()';

-- a: secret (its id)
CREATE FUNCTION bm_webhook.console_delete_secret(a jsonb) RETURNS jsonb
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM bm_webhook.delete_secret((a ->> 'secret')::bigint);
	RETURN '{}';
END
$$;
COMMENT ON FUNCTION bm_webhook.console_delete_secret(jsonb) IS 'calls delete_secret()';

-------------------------------------------------------------------------------
-- Deliveries that somebody has chosen, by whatever query: sent again, or canceled
-------------------------------------------------------------------------------

-- Called by C as the owner of the log; own: those of these endpoints that the caller may change. What is done is
-- written down by endpoint, so many events at a time as can be found among its deliveries within a step.
CREATE FUNCTION bm_webhook_internal.begin_each(kind text, events uuid[], endpoints bigint[], own bigint[],
		max_rows bigint, dry_run boolean, acting_as name)
	RETURNS TABLE (event_id uuid, endpoint_id bigint, operation bigint, problem text)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
	first uuid = (SELECT u FROM unnest(events) u ORDER BY u LIMIT 1);
	last uuid = (SELECT u FROM unnest(events) u ORDER BY u DESC LIMIT 1);
BEGIN
	IF cardinality(events) <> cardinality(endpoints) THEN
		PERFORM bm_webhook_internal.refuse('"events" and "endpoints" must have as many elements',
			'The first of the one and the first of the other are a delivery, and so on.');
	ELSIF cardinality(events) > 10000 THEN
		PERFORM bm_webhook_internal.refuse('more than 10000 deliveries cannot be asked for at a time', 'Ask for some first.',
			'54000');
	ELSIF max_rows < 1 THEN
		PERFORM bm_webhook_internal.refuse('"max_rows" must be at least 1', 'Leave it out for no limit.');
	END IF;
	RETURN QUERY WITH named AS MATERIALIZED (
		SELECT u.event, u.endpoint, min(u.n) AS n FROM unnest(events, endpoints) WITH ORDINALITY u (event, endpoint, n)
			GROUP BY u.event, u.endpoint
	), judged AS (
		SELECT w.event, w.endpoint, w.n, CASE
				WHEN p.id IS NULL OR d.event_id IS NULL THEN 'there is no such delivery'
				WHEN p.deleted_at IS NOT NULL THEN 'its endpoint was deleted'
				WHEN EXISTS (SELECT FROM bm_webhook.set_aside s WHERE s.event_id = w.event AND s.endpoint_id = w.endpoint)
					THEN 'it is set aside'
				WHEN kind = 'cancel' THEN CASE d.status WHEN 'delivered' THEN 'it was delivered'
					WHEN 'failed' THEN 'it was given up' WHEN 'canceled' THEN 'it was canceled' END
				WHEN d.next_attempt_at = 'infinity' THEN 'it waits for an earlier event of its message'
				WHEN e.is_fitting IS NULL THEN 'its event is no longer in the log'
				WHEN NOT e.is_fitting THEN 'its endpoint is not for its application' END AS problem
			FROM named w
			LEFT JOIN bm_webhook.endpoint p ON p.id = w.endpoint AND p.id = ANY (own)
			LEFT JOIN bm_webhook.delivery d ON d.event_id = w.event AND d.endpoint_id = p.id
				AND d.event_id >= first AND d.event_id <= last
			LEFT JOIN LATERAL (SELECT bm_webhook_internal.fits(p, v) AS is_fitting FROM bm_webhook.event v
				WHERE v.id = w.event AND v.id >= first AND v.id <= last) e ON kind = 'redeliver'
	), limited AS MATERIALIZED (
		SELECT j.event, j.endpoint, j.n, CASE WHEN j.problem IS NULL
				AND row_number() OVER (PARTITION BY j.problem IS NULL ORDER BY j.n) > max_rows
				THEN 'there were more than max_rows' ELSE j.problem END AS problem
			FROM judged j
	), begun AS (
		INSERT INTO bm_webhook.operation (kind, endpoint_id, events, status, matched, asked_by, acting_as, application)
			SELECT kind, g.endpoint, array_agg(g.event ORDER BY g.event),
				CASE kind WHEN 'redeliver' THEN '{canceled,delivered,failed,pending}'::text[] END, count(*), session_user,
				begin_each.acting_as, (SELECT p.application FROM bm_webhook.endpoint p WHERE p.id = g.endpoint)
			FROM (SELECT l.event, l.endpoint, (row_number() OVER (PARTITION BY l.endpoint ORDER BY l.event) - 1) / 500 AS part
				FROM limited l WHERE l.problem IS NULL AND dry_run IS NOT TRUE) g
			GROUP BY g.endpoint, g.part ORDER BY g.endpoint, g.part
			RETURNING id, endpoint_id, events
	)
	SELECT l.event, l.endpoint, b.id, l.problem FROM limited l
		LEFT JOIN begun b ON b.endpoint_id = l.endpoint AND l.problem IS NULL
			AND l.event BETWEEN b.events[1] AND b.events[cardinality(b.events)]
		ORDER BY l.n;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.begin_each(text, uuid[], bigint[], bigint[], bigint, boolean, name) IS
	'says of each delivery whether it can be sent again or canceled and, unless it is a dry run, writes it down for the '
	'dispatcher; 22023, 54000';

CREATE FUNCTION bm_webhook.redeliver_each(events uuid[], endpoints bigint[], max_rows bigint = NULL,
		dry_run boolean = false)
	RETURNS TABLE (event_id uuid, endpoint_id bigint, operation bigint, problem text)
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_redeliver_each';
COMMENT ON FUNCTION bm_webhook.redeliver_each(uuid[], bigint[], bigint, boolean) IS
	'sends these deliveries again, at most 10,000, named by their events and endpoints: a row for each, with the row of '
	'bm_webhook.operation by which the dispatcher does it, or why it is not done (problem). What is another''s is as '
	'unknown as what does not exist; 22004, 22023, 54000';
CREATE FUNCTION bm_webhook.cancel_each(events uuid[], endpoints bigint[], max_rows bigint = NULL,
		dry_run boolean = false)
	RETURNS TABLE (event_id uuid, endpoint_id bigint, operation bigint, problem text)
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_cancel_each';
COMMENT ON FUNCTION bm_webhook.cancel_each(uuid[], bigint[], bigint, boolean) IS
	'cancels those of these deliveries that wait, as redeliver_each() sends them again; 22004, 22023, 54000';

-------------------------------------------------------------------------------
-- Idempotency keys: what was emitted once is not emitted again
-------------------------------------------------------------------------------

CREATE TABLE bm_webhook_internal.idempotency_key (
	application text COLLATE "C" NOT NULL,
	key text COLLATE "C" NOT NULL,
	event_id uuid NOT NULL,
	fingerprint bigint NOT NULL,
	expires_at timestamptz NOT NULL,
	PRIMARY KEY (application, key)
);
CREATE INDEX idempotency_key_expires_at_idx ON bm_webhook_internal.idempotency_key (expires_at);
ALTER TABLE bm_webhook_internal.idempotency_key OWNER TO bm_webhook;
COMMENT ON TABLE bm_webhook_internal.idempotency_key IS
	'the idempotency keys of events that were emitted with one, as long as they count';
COMMENT ON COLUMN bm_webhook_internal.idempotency_key.application IS 'empty for events without one';
COMMENT ON COLUMN bm_webhook_internal.idempotency_key.fingerprint IS 'a hash of what the event says';

-- For the dispatcher. Rows that a writer is about to use again are not waited for.
CREATE FUNCTION bm_webhook_internal.forget_keys(most integer) RETURNS integer
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	forgotten integer;
BEGIN
	DELETE FROM bm_webhook_internal.idempotency_key k WHERE k.ctid = ANY (ARRAY(
		SELECT x.ctid FROM bm_webhook_internal.idempotency_key x WHERE x.expires_at < clock_timestamp()
			ORDER BY x.expires_at LIMIT most FOR UPDATE SKIP LOCKED));
	GET DIAGNOSTICS forgotten = ROW_COUNT;
	RETURN forgotten;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.forget_keys(integer) IS
	'removes so many expired idempotency keys; returns how many there were';

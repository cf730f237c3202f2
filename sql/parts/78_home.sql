-------------------------------------------------------------------------------
-- Home: is this the database that is to send, or a copy of it?
-------------------------------------------------------------------------------

-- One row is here from the beginning. A dump adds its own, so there are two; a copy of the database has one with the
-- oid of another; a server that was started from a backup knows when that was. pg_upgrade keeps what is compared.
CREATE TABLE bm_webhook_internal.home (
	database oid NOT NULL,
	backup_start text,
	dropping boolean NOT NULL DEFAULT false
);
ALTER TABLE bm_webhook_internal.home OWNER TO bm_webhook;
COMMENT ON TABLE bm_webhook_internal.home IS
	'which database may send: one row, for this one; in a copy it is another row, or there are two';
COMMENT ON COLUMN bm_webhook_internal.home.backup_start IS
	'the last start of the server from a backup, when this was written; NULL: none was known';
COMMENT ON COLUMN bm_webhook_internal.home.dropping IS 'adopt() was told to drop what waits, and that goes on';
SELECT pg_catalog.pg_extension_config_dump('bm_webhook_internal.home', '');

CREATE TRIGGER home_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON bm_webhook_internal.home
	FOR EACH STATEMENT EXECUTE FUNCTION bm_webhook_internal.paused_changed();
ALTER TABLE bm_webhook_internal.home ENABLE ALWAYS TRIGGER home_changed;
COMMENT ON TRIGGER home_changed ON bm_webhook_internal.home IS 'tells the dispatcher';

CREATE FUNCTION bm_webhook_internal.backup_start() RETURNS text
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_backup_start';
COMMENT ON FUNCTION bm_webhook_internal.backup_start() IS
	'when the server was last started from a backup; NULL: it never was, as far as is known';

-- In plpgsql, which plans it once: dispatchers ask after each change of an endpoint.
CREATE FUNCTION bm_webhook_internal.why_not_adopted() RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT CASE WHEN count(*) <> 1 OR bool_or(h.database <> d.oid)
			THEN 'this database is a copy, or from a dump: nothing is sent until adopt() is called in it'
		WHEN min(s.time) <> coalesce(min(h.backup_start), '')
			THEN format('the server was started from a backup (%s): nothing is sent until adopt() is called in this database',
				min(s.time))
		WHEN bool_or(h.dropping)
			THEN 'adopt() drops what waits, before anything is sent: bm_webhook.operation shows how far that is'
		END
	FROM bm_webhook_internal.home h, pg_database d, bm_webhook_internal.backup_start() s (time)
	WHERE d.datname = current_database());
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.why_not_adopted() IS 'why nothing is sent from this database; NULL: it may be';

CREATE FUNCTION bm_webhook_internal.settle(dropping boolean) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	DELETE FROM bm_webhook_internal.home;
	INSERT INTO bm_webhook_internal.home
		SELECT d.oid, bm_webhook_internal.backup_start(), settle.dropping
		FROM pg_database d WHERE d.datname = current_database();
$$;
COMMENT ON FUNCTION bm_webhook_internal.settle(boolean) IS 'this database is at home here';

-- Called by C as the owner of the log, who has seen that the caller may ask for it. What was to be dropped when it was
-- called before, and was not yet, is dropped or kept as is said now.
CREATE FUNCTION bm_webhook_internal.adopt(drop boolean, acting_as name) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	dropped bigint = 0;
BEGIN
	LOCK TABLE bm_webhook_internal.home IN SHARE ROW EXCLUSIVE MODE;
	IF bm_webhook_internal.why_not_adopted() IS NULL THEN
		RAISE NOTICE 'this database sends already: there is nothing to adopt'
			USING HINT = 'cancel() cancels what waits.';
		RETURN 0;
	END IF;
	UPDATE bm_webhook.operation o SET ended_at = clock_timestamp(), error = 'adopt() was called again'
		WHERE o.kind = 'adopt' AND o.ended_at IS NULL;
	IF drop THEN
		SELECT coalesce(sum(b.matched), 0) INTO dropped
			FROM bm_webhook.endpoint p CROSS JOIN LATERAL bm_webhook_internal.begin_operation('adopt', p.id, NULL, NULL, NULL,
				NULL, NULL, NULL, false, adopt.acting_as) b
			WHERE p.deleted_at IS NULL;
	END IF;
	IF dropped = 0 THEN
		INSERT INTO bm_webhook.operation (kind, matched, asked_by, acting_as, ended_at)
			VALUES ('adopt', 0, session_user, adopt.acting_as, clock_timestamp());
	END IF;
	PERFORM bm_webhook_internal.settle(dropped > 0);
	RETURN dropped;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.adopt(boolean, name) IS
	'lets a copy send, when what waits has been dropped if that is wanted; returns how much that is';

-- Only one of two that end at the same time can see that it is the last. What could not be dropped is not sent:
-- somebody has to say what becomes of it.
CREATE FUNCTION bm_webhook_internal.end_drop(o bm_webhook.operation) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	LOCK TABLE bm_webhook_internal.home IN SHARE ROW EXCLUSIVE MODE;
	IF NOT EXISTS (SELECT FROM bm_webhook.operation x
		WHERE x.kind = 'adopt' AND x.xid = o.xid AND (x.ended_at IS NULL OR x.error IS NOT NULL))
	THEN
		UPDATE bm_webhook_internal.home SET dropping = false WHERE dropping;
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.end_drop(bm_webhook.operation) IS
	'lets a copy send, when all that was to be dropped has been';

CREATE FUNCTION bm_webhook.adopt(drop boolean = false) RETURNS bigint
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bm_webhook_adopt';
COMMENT ON FUNCTION bm_webhook.adopt(boolean) IS
	'lets this database send, which is a copy: restored from a dump, made from another database, or of a server that was '
	'started from a backup. What waits is sent, or dropped first (canceled). Returns how many deliveries are dropped; '
	'22004, 42501';

SELECT bm_webhook_internal.settle(false);

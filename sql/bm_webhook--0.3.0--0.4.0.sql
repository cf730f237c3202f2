-- bm_webhook: from version 0.3.0 to 0.4.0.
--
-- What users were granted must survive, so what can be is replaced or altered, not dropped and created anew, and grants
-- are given on what is new alone: of what an extension's script grants on, pg_dump leaves out what users have granted.
-- Tables of the log are neither rewritten nor read. The order is that of the parts of the whole script.

\echo Use "ALTER EXTENSION bm_webhook UPDATE" to load this file. \quit

SET LOCAL search_path = pg_catalog, pg_temp;

-- While the library of before is loaded, nothing of this version can work.
DO $$
BEGIN
	CREATE FUNCTION bm_webhook_internal.library_version() RETURNS text
		LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm_webhook_library_version';
EXCEPTION WHEN undefined_function THEN
	RAISE EXCEPTION 'the server has still loaded the library of another version'
		USING ERRCODE = 'object_not_in_prerequisite_state',
			HINT = 'Restart the server, then run ALTER EXTENSION bm_webhook UPDATE again.';
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.library_version() IS 'the version of the library that the server has loaded';
REVOKE ALL ON FUNCTION bm_webhook_internal.library_version() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION bm_webhook_internal.library_version() TO bm_webhook;

-- All that is needed, at once and in the strongest mode: so nobody who uses them can deadlock with the update. And what
-- is written afterwards finds the tables in which dispatchers are told of it.
LOCK TABLE bm_webhook.application, bm_webhook.endpoint, bm_webhook.endpoint_state, bm_webhook.endpoint_secret,
	bm_webhook.event, bm_webhook.delivery, bm_webhook.failed_attempt, bm_webhook.redelivery, bm_webhook.set_aside
	IN ACCESS EXCLUSIVE MODE;

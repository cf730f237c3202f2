-- bm_webhook: committed changes become signed webhooks.
--
-- The one script of the current version. Everything lives in schema
-- bm_webhook, which this script creates itself, so that nobody else can own it.
-- What the dispatcher and capture write belongs to the role bm_webhook, which
-- cannot log in and has no rights but these tables.

\echo Use "CREATE EXTENSION bm_webhook" to load this file. \quit

DO $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'bm_webhook') THEN
		CREATE ROLE bm_webhook NOLOGIN NOSUPERUSER NOINHERIT NOCREATEDB NOCREATEROLE;
	ELSIF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'bm_webhook'
				  AND (rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb)) THEN
		RAISE EXCEPTION 'role "bm_webhook" already exists and is not the extension''s'
			USING ERRCODE = 'duplicate_object',
				  HINT = 'The extension needs a role of this name that cannot log in and has no attributes: rename yours.';
	END IF;
END
$$;

CREATE SCHEMA bm_webhook;
COMMENT ON SCHEMA bm_webhook IS 'signed webhooks for committed changes';
GRANT USAGE, CREATE ON SCHEMA bm_webhook TO bm_webhook;


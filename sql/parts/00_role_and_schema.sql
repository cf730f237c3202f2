-- bm_webhook: committed changes become signed webhooks.
--
-- The one script of the current version. Everything lives in schema
-- bm_webhook and bm_webhook_internal, which this script creates itself, so that nobody else can own them.
-- What the dispatcher and capture write belongs to the role bm_webhook, which
-- cannot log in and has no rights but these tables.

\echo Use "CREATE EXTENSION bm_webhook" to load this file. \quit

-- No name below may lead to what others have put into schema public.
SET LOCAL search_path = pg_catalog, pg_temp;

-- Who is a member of the role, or has made something as it, can do what it can:
-- read every secret, and run code as everybody who writes an event.
DO $$
DECLARE
	role oid = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = 'bm_webhook');
BEGIN
	IF role IS NULL THEN
		CREATE ROLE bm_webhook NOLOGIN NOSUPERUSER NOINHERIT NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
	ELSIF EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid = role
			AND (rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls))
		OR EXISTS (SELECT FROM pg_catalog.pg_auth_members WHERE role IN (roleid, member))
		OR EXISTS (SELECT FROM pg_catalog.pg_shdepend d JOIN pg_catalog.pg_database b ON b.oid = d.dbid
			WHERE b.datname = pg_catalog.current_database() AND d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
				AND d.refobjid = role AND d.deptype = 'o')
	THEN
		RAISE EXCEPTION 'role "bm_webhook" already exists and is not the extension''s'
			USING ERRCODE = 'duplicate_object',
				  HINT = 'The extension needs a role of this name without attributes, members, memberships and objects: rename '
					'yours.';
	END IF;
END
$$;

-- With the schema that CREATE EXTENSION names goes the extension.
DO $$
DECLARE
	s record;
BEGIN
	SELECT n.nspname AS name, r.rolname AS owner INTO s FROM pg_extension e
		JOIN pg_namespace n ON n.oid = e.extnamespace JOIN pg_roles r ON r.oid = n.nspowner
		WHERE e.extname = 'bm_webhook' AND NOT r.rolsuper AND r.rolname <> 'pg_database_owner'
			AND r.oid <> (SELECT d.datdba FROM pg_database d WHERE d.datname = current_database());
	IF FOUND THEN
		RAISE WARNING 'schema "%" belongs to role "%", who can drop it and with it the extension', s.name, s.owner
			USING HINT = 'Use CREATE EXTENSION bm_webhook SCHEMA pg_catalog: nothing of it is created there.';
	END IF;
END
$$;

CREATE SCHEMA bm_webhook;
COMMENT ON SCHEMA bm_webhook IS 'signed webhooks for committed changes';
GRANT USAGE, CREATE ON SCHEMA bm_webhook TO bm_webhook;

-- What people neither call nor read by name: so that \df and \d of the other show what they do.
CREATE SCHEMA bm_webhook_internal;
COMMENT ON SCHEMA bm_webhook_internal IS 'what bm_webhook is made of: its own functions, and the partitions of its log';
GRANT USAGE, CREATE ON SCHEMA bm_webhook_internal TO bm_webhook;


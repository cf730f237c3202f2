-- The extension installs, documents every object, grants nothing by accident, and can be dropped and made again.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS bm_webhook;
CREATE EXTENSION bm_webhook;
-- relations
SELECT c.relnamespace::regnamespace AS schema, c.relkind, c.relname, c.relowner::regrole::text = 'bm_webhook' AS by_role
FROM pg_class c WHERE c.relnamespace::regnamespace::text ~ '^bm_webhook' AND c.relkind IN ('r', 'p', 'v') AND c.relname !~ '_\d{8}$'
ORDER BY 1, 3;
-- partitions of today and the next days exist, and are members of the extension
SELECT p.parent, count(*) >= 4 AS made, count(d.objid) = count(*) AS members, bool_and(c.relowner::regrole::text = 'bm_webhook') AS by_role
FROM (VALUES ('event'), ('delivery'), ('failed_attempt')) AS p (parent)
JOIN pg_class c ON c.relnamespace::regnamespace::text ~ '^bm_webhook' AND c.relkind = 'r' AND c.relname ~ ('^' || p.parent || '_\d{8}$')
LEFT JOIN pg_depend d ON d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'e'
GROUP BY 1 ORDER BY 1;
-- every object has a comment (columns are documented where the name does not say it)
SELECT pg_describe_object(classid, objid, 0) AS undocumented
FROM pg_depend
WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'bm_webhook')
	AND classid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_namespace'::regclass)
	AND NOT (classid = 'pg_class'::regclass AND (SELECT relkind FROM pg_class WHERE oid = objid) IN ('i', 'S', 't'))
	AND NOT (classid = 'pg_class'::regclass AND (SELECT relispartition FROM pg_class WHERE oid = objid))
	AND obj_description(objid, classid::regclass::name) IS NULL
ORDER BY 1;
-- what PUBLIC may do
SELECT p.oid::regprocedure AS public_function
FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
WHERE p.pronamespace::regnamespace::text ~ '^bm_webhook' AND a.grantee = 0 ORDER BY p.oid::regprocedure::text;
SELECT c.relname AS public_relation
FROM pg_class c, aclexplode(c.relacl) a
WHERE c.relnamespace::regnamespace::text ~ '^bm_webhook' AND a.grantee = 0;
SELECT nspname AS public_schema FROM pg_namespace n, aclexplode(n.nspacl) a WHERE nspname ~ '^bm_webhook' AND a.grantee = 0;
-- every function that is no C function fixes its search_path
SELECT p.oid::regprocedure AS unsafe FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE p.pronamespace::regnamespace::text ~ '^bm_webhook' AND l.lanname <> 'c' AND p.prosqlbody IS NULL
	AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false);
-- only the definer's functions that make secrets and partitions
SELECT p.oid::regprocedure AS security_definer FROM pg_proc p
WHERE p.pronamespace::regnamespace::text ~ '^bm_webhook' AND p.prosecdef ORDER BY p.oid::regprocedure::text;
SELECT name FROM bm_webhook.event_type WHERE name !~ '^message\.' ORDER BY 1;
-- partitions: days that exist are left alone, rows in the default partition forbid one
-- (the dispatcher makes those of the next days at the same time)
SELECT bm_webhook_internal.create_partitions(8) BETWEEN 12 AND 15 AS made;
SELECT bm_webhook_internal.create_partitions(8) AS made;
SELECT bm_webhook_internal.create_partitions(9) AS made;
INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts)
	VALUES (bm_webhook.uuid_floor(clock_timestamp() + '10 days'), 1, 'canceled', 0);
SELECT bm_webhook_internal.create_partitions(10) AS made;
DROP EXTENSION bm_webhook;
SELECT count(*) AS left_over FROM pg_class WHERE relname ~ '^(event|delivery|failed_attempt)(_|$)';
CREATE EXTENSION bm_webhook;
DROP EXTENSION bm_webhook;
CREATE EXTENSION bm_webhook;

-- No code of one role runs with the rights of another: what the catalogs say.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS bm_webhook;
RESET client_min_messages;

-- Every function with a body, and every function that runs as its definer, has a pinned search_path.
SELECT p.proname
FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE p.pronamespace = 'bm_webhook'::regnamespace AND (p.prosecdef OR l.lanname IN ('sql', 'plpgsql'))
	AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false)
ORDER BY 1;

-- Nothing of the extension depends on what lies elsewhere.
SELECT DISTINCT d.classid::regclass, pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid)
FROM pg_depend e
JOIN pg_depend d ON d.classid = e.classid AND d.objid = e.objid AND d.deptype = 'n'
JOIN LATERAL (
	SELECT pronamespace AS namespace FROM pg_proc WHERE d.refclassid = 'pg_proc'::regclass AND oid = d.refobjid
	UNION ALL SELECT oprnamespace FROM pg_operator WHERE d.refclassid = 'pg_operator'::regclass AND oid = d.refobjid
	UNION ALL SELECT relnamespace FROM pg_class WHERE d.refclassid = 'pg_class'::regclass AND oid = d.refobjid
	UNION ALL SELECT typnamespace FROM pg_type WHERE d.refclassid = 'pg_type'::regclass AND oid = d.refobjid) n
	ON n.namespace NOT IN ('pg_catalog'::regnamespace, 'bm_webhook'::regnamespace)
WHERE e.refclassid = 'pg_extension'::regclass AND e.deptype = 'e'
	AND e.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'bm_webhook');

-- Views are parsed once: the functions and operators they have found are PostgreSQL's or ours.
SELECT v.relname, pg_describe_object(d.refclassid, d.refobjid, 0)
FROM pg_class v JOIN pg_rewrite r ON r.ev_class = v.oid
JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass)
LEFT JOIN pg_proc p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid
LEFT JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
WHERE v.relnamespace = 'bm_webhook'::regnamespace
	AND coalesce(p.pronamespace, o.oprnamespace) NOT IN ('pg_catalog'::regnamespace, 'bm_webhook'::regnamespace);

-- Which functions build SQL, how often, and as whom they run it. Look at each that is new here:
-- names must be quoted, and a value of a foreign type must not be evaluated as the caller of watch().
SELECT p.proname, CASE WHEN p.prosecdef THEN 'definer' ELSE 'caller' END AS runs_as,
	regexp_count AS builds_sql
FROM pg_proc p, LATERAL (SELECT count(*) AS regexp_count FROM regexp_matches(p.prosrc, '\mEXECUTE\M\s+format', 'g')) c
WHERE p.pronamespace = 'bm_webhook'::regnamespace AND regexp_count > 0
ORDER BY 1;
SELECT p.proname AS other_ways_to_run_sql
FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE p.pronamespace = 'bm_webhook'::regnamespace AND l.lanname <> 'c'
	AND regexp_replace(p.prosrc, '\mEXECUTE\M\s+format|EXECUTE FUNCTION|''EXECUTE''', '', 'g') ~* '\mEXECUTE\M|query_to_xml|database_to_xml';

-- What runs as its definer, and who may call it.
SELECT p.proname, p.proacl IS NOT NULL AND EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0) AS anybody
FROM pg_proc p WHERE p.pronamespace = 'bm_webhook'::regnamespace AND p.prosecdef ORDER BY 1;

-- Trigger functions read columns by number: on another table they refuse to run.
CREATE TABLE other (id text, application text, secret text);
CREATE TRIGGER t BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION bm_webhook._check_endpoint();
INSERT INTO other VALUES ('x');
DROP TRIGGER t ON other;
CREATE TRIGGER t BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION bm_webhook._check_endpoint_secret();
INSERT INTO other VALUES ('x');
DROP TABLE other;

-- Domains, NOT NULL ones as well, and types without equality in "changed".
CREATE DOMAIN word AS text NOT NULL CHECK (value <> '');
CREATE TYPE pair AS (a json, b int);
CREATE TYPE "Mood" AS ENUM ('glad');
CREATE TABLE typed (id bigint PRIMARY KEY, w word, j json, p pair, m "Mood", a text[], ja json[], r int4range);
SELECT bm_webhook.watch('typed', 'typed.changed', changed => '{w,j,p,m,a,ja,r}');
SELECT pg_get_triggerdef(oid) ~ '\(old\.m\)::text IS DISTINCT' AS m, pg_get_triggerdef(oid) ~ '\(old\.j\)::text IS DISTINCT' AS j,
	pg_get_triggerdef(oid) ~ '\(old\.p\)::text IS DISTINCT' AS p, pg_get_triggerdef(oid) ~ '\(old\.ja\)::text IS DISTINCT' AS ja,
	pg_get_triggerdef(oid) ~ 'old\.r IS DISTINCT FROM new\.r' AS r
FROM pg_trigger WHERE tgrelid = 'typed'::regclass AND tgname LIKE '%update%';
INSERT INTO typed VALUES (1, 'a', '{}', '({},1)', 'glad', '{a}', '{}', '[1,2)');
UPDATE typed SET p = '({},2)';
SELECT count(*) FROM bm_webhook.event WHERE type = 'typed.changed';
DROP TABLE typed;

-- Schemas whose names must be quoted.
CREATE SCHEMA "App";
CREATE TABLE "App"."Order" (id bigint PRIMARY KEY);
CREATE FUNCTION "App"."data of"(o "App"."Order") RETURNS jsonb LANGUAGE sql AS $$SELECT jsonb_build_object('id', o.id)$$;
SELECT bm_webhook.watch('"App"."Order"', 'app.order', function => '"App"."data of"("App"."Order")');
INSERT INTO "App"."Order" VALUES (1);
SELECT data FROM bm_webhook.event WHERE type = 'app.order';
DROP SCHEMA "App" CASCADE;
DROP TYPE pair, "Mood";
DROP DOMAIN word;
TRUNCATE bm_webhook.event;

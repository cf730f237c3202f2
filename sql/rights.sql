-- No code of one role runs with the rights of another: what the catalogs say.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS bm_webhook;
RESET client_min_messages;

-- Every function with a body, and every function that runs as its definer, has a pinned search_path.
SELECT p.proname
FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE p.pronamespace::regnamespace::text ~ '^bm_webhook' AND (p.prosecdef OR l.lanname IN ('sql', 'plpgsql'))
	AND p.prosqlbody IS NULL AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false)
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
	ON n.namespace NOT IN ('pg_catalog'::regnamespace, 'bm_webhook'::regnamespace, 'bm_webhook_internal'::regnamespace)
WHERE e.refclassid = 'pg_extension'::regclass AND e.deptype = 'e'
	AND e.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'bm_webhook');

-- Expressions are parsed once: the functions, operators, types and collations that those of our views,
-- policies, defaults, constraints, indexes and triggers have found are PostgreSQL's or ours.
WITH ours AS (
	SELECT 'pg_class'::regclass AS classid, c.oid, c.oid AS relation FROM pg_class c WHERE c.relnamespace::regnamespace::text ~ '^bm_webhook'
	UNION ALL SELECT 'pg_rewrite'::regclass, r.oid, r.ev_class FROM pg_rewrite r
	UNION ALL SELECT 'pg_policy'::regclass, p.oid, p.polrelid FROM pg_policy p
	UNION ALL SELECT 'pg_attrdef'::regclass, a.oid, a.adrelid FROM pg_attrdef a
	UNION ALL SELECT 'pg_constraint'::regclass, o.oid, o.conrelid FROM pg_constraint o
	UNION ALL SELECT 'pg_trigger'::regclass, t.oid, t.tgrelid FROM pg_trigger t
)
SELECT r.relname, pg_describe_object(d.classid, d.objid, 0), pg_describe_object(d.refclassid, d.refobjid, 0)
FROM ours o JOIN pg_class r ON r.oid = o.relation AND r.relnamespace::regnamespace::text ~ '^bm_webhook'
JOIN pg_depend d ON d.classid = o.classid AND d.objid = o.oid
JOIN pg_identify_object(d.refclassid, d.refobjid, 0) i ON true
WHERE d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass, 'pg_collation'::regclass,
		'pg_cast'::regclass, 'pg_opclass'::regclass, 'pg_opfamily'::regclass, 'pg_class'::regclass)
	AND coalesce(i.schema, '') NOT IN ('pg_catalog', 'bm_webhook', 'bm_webhook_internal', 'pg_toast');

-- Views show what their reader may see; those of statistics, for pg_monitor, by a condition of their own.
SELECT c.relname FROM pg_class c
WHERE c.relnamespace::regnamespace::text ~ '^bm_webhook' AND c.relkind = 'v' AND NOT coalesce('security_invoker=true' = ANY (c.reloptions), false);

-- SQL that is put together from texts, in which function, how often and as whom it is run. A line that is new
-- here has to be looked at: names must be quoted, values passed or quoted, nothing of a stranger's be evaluated.
WITH reviewed (name, contains) AS (VALUES
	('create_partition', 'names of ours, a date; the dispatcher is the only caller'),
	('create_partition_table', 'names of ours, quoted; ids as quoted literals'),
	('attach_partition', 'names of ours, quoted; ids as quoted literals'),
	('upkeep', 'names of ours, quoted'),
	('empty_default', 'names of ours, quoted; ids as quoted literals; the keeper is the only caller'),
	('drop_partition', 'names of ours, quoted; the keeper is the only caller'),
	('close_partition', 'names of ours, quoted; the keeper is the only caller'),
	('create_watch_trigger', 'a condition, names and arguments of who calls watch(); it creates a trigger and evaluates nothing'),
	('watch', 'the name of the trigger that was created to try the condition'),
	('watch_messages', 'the names of our triggers'),
	('grant_privileges', 'a role, and privileges from the names of our objects'),
	('revoke_privileges', 'a role, and privileges from the names of our objects'),
	('revoke_defaults', 'a role, and an object of ours'),
	('message_rate', 'constant texts of its own'),
	('not_taken', 'a constant text and a uuid'),
	('console_deliveries', 'constant texts, and values as quoted literals'),
	('console_export', 'constant texts, and values as quoted literals'),
	('console_matching', 'constant texts, and values as quoted literals'),
	('console_save_endpoint', 'names of columns from a list of its own'),
	('unwatch', 'the names of our triggers')),
found AS (
	SELECT p.proname::text AS name, CASE WHEN p.prosecdef THEN 'definer' ELSE 'caller' END AS runs_as,
		(SELECT count(*) FROM regexp_matches(p.prosrc, '\mEXECUTE\M\s+format', 'g')) AS builds_sql,
		(SELECT count(*) FROM regexp_matches(p.prosrc, '\mEXECUTE\M(?!\s+FUNCTION|''|\s+on )|query_to_xml|cursor_to_xml|table_to_xml|schema_to_xml|database_to_xml|\mFOR\s+\w+\s+IN\s+EXECUTE', 'gi')) AS runs_sql
	FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
	WHERE p.pronamespace::regnamespace::text ~ '^bm_webhook' AND l.lanname <> 'c'
)
SELECT name, runs_as, runs_sql, builds_sql, coalesce(contains, 'NOT REVIEWED') AS contains
FROM found FULL JOIN reviewed USING (name) WHERE runs_sql > 0 OR runs_sql IS NULL
ORDER BY name COLLATE "C";

-- What a capture trigger has from who made the watch, and as whom that is run (a test of its own tries it):
--   WHEN of a row trigger, "when" of a statement trigger    SQL; as the writer
--   function                                               called by its qualified name; as the writer, if it is of the table's owner
--   casts to json of columns' types                        called by PostgreSQL; as the writer, if they are of the table's owner
--   key                                                    names of columns, quoted
--   columns, templates, fields of messages                 names of columns; values by their output functions, which only superusers make

-- What runs as its definer, and who may call it.
SELECT p.proname, p.proacl IS NOT NULL AND EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0) AS anybody
FROM pg_proc p WHERE p.pronamespace::regnamespace::text ~ '^bm_webhook' AND p.prosecdef ORDER BY 1;

-- Trigger functions in C read columns by number: on another table, or called in another way, they refuse
-- to run, but for one that only tells sessions to read the table again.
CREATE TABLE other (id text, application text, secret text);
CREATE FUNCTION outcome(command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE command;
	INSERT INTO other VALUES ('x');
	RETURN 'ran';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END
$$;
SELECT p.proname, string_agg(DISTINCT outcome(format(command, p.oid::regproc)), ', ') AS outcome
FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang,
	unnest(ARRAY['SELECT %s()',
		'CREATE OR REPLACE TRIGGER t BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION %s()',
		'CREATE OR REPLACE TRIGGER t AFTER INSERT ON other FOR EACH ROW EXECUTE FUNCTION %s()',
		'CREATE OR REPLACE TRIGGER t AFTER INSERT ON other EXECUTE FUNCTION %s()',
		'CREATE OR REPLACE TRIGGER t AFTER INSERT ON other REFERENCING NEW TABLE AS new_rows EXECUTE FUNCTION %s()']) command
WHERE p.pronamespace::regnamespace::text ~ '^bm_webhook' AND p.prorettype = 'trigger'::regtype AND l.lanname = 'c'
GROUP BY p.proname ORDER BY p.proname;
DROP TABLE other;
DROP FUNCTION outcome;

-- Domains, NOT NULL ones as well, and types without equality in "changed".
CREATE DOMAIN word AS text NOT NULL CHECK (value <> '');
CREATE TYPE pair AS (a json, b int);
CREATE TYPE "Mood" AS ENUM ('glad');
CREATE TABLE typed (id bigint PRIMARY KEY, w word, j json, p pair, m "Mood", a text[], ja json[], r int4range);
SELECT bm_webhook.watch('typed', 'typed.changed', changed => '{w,j,p,m,a,ja,r}');
SELECT pg_get_triggerdef(oid) ~ '\(old\.m\)::text IS DISTINCT' AS m, pg_get_triggerdef(oid) ~ '\(old\.j\)::text IS DISTINCT' AS j,
	pg_get_triggerdef(oid) ~ 'format\(.%s.::text, old\.p\)' AS p, pg_get_triggerdef(oid) ~ '\(old\.ja\)::text IS DISTINCT' AS ja,
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

# BmWebhook::Catalog - everything that the catalogs say of the extension in a
# database, as text, so that two installations can be compared.
# Days are left out of the names and bounds of partitions.

package BmWebhook::Catalog;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use PostgreSQL::Test::Utils ();

our @EXPORT = qw(catalog differences);

# What belongs to a schema of the extension; acl() in one order, as grants add to its end.
my $with = q{
	WITH s AS (SELECT oid, nspname FROM pg_namespace WHERE nspname IN ('bm_webhook', 'bm_webhook_internal')),
	r AS (SELECT c.*, c.oid::regclass::text AS name, c.relowner::regrole::text AS owner
		FROM pg_class c JOIN s ON s.oid = c.relnamespace),
	p AS (SELECT f.*, f.oid::regprocedure::text AS name FROM pg_proc f JOIN s ON s.oid = f.pronamespace)
};
my $acl = q{(SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(%s) a)};
my %queries = (
	relation => q{SELECT name, relkind, owner, relpersistence, reloptions, relrowsecurity, relforcerowsecurity,
		relreplident, relispartition, pg_get_expr(relpartbound, oid), pg_get_partkeydef(oid), } . sprintf($acl, 'relacl')
		. q{, obj_description(oid, 'pg_class') FROM r WHERE relkind <> 'i'},
	view => q{SELECT name, pg_get_viewdef(oid) FROM r WHERE relkind = 'v'},
	column => q{SELECT r.name, row_number() OVER (PARTITION BY attrelid ORDER BY attnum), attname,
		format_type(atttypid, atttypmod), pg_get_expr(d.adbin, d.adrelid), attnotnull, attidentity, attgenerated, attstattarget,
		attstorage, attcompression, attcollation::regcollation, } . sprintf($acl, 'attacl') . q{, col_description(attrelid, attnum)
		FROM r JOIN pg_attribute a ON a.attrelid = r.oid LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
		WHERE attnum > 0 AND NOT attisdropped AND relkind NOT IN ('i', 'I')},
	constraint => q{SELECT r.name, conname, contype, convalidated, condeferrable, pg_get_constraintdef(o.oid),
		obj_description(o.oid, 'pg_constraint') FROM r JOIN pg_constraint o ON o.conrelid = r.oid},
	index => q{SELECT pg_get_indexdef(oid), owner, reloptions, relkind, obj_description(oid, 'pg_class') FROM r
		WHERE relkind IN ('i', 'I')},
	trigger => q{SELECT pg_get_triggerdef(t.oid), tgenabled, tgisinternal, obj_description(t.oid, 'pg_trigger')
		FROM r JOIN pg_trigger t ON t.tgrelid = r.oid WHERE NOT tgisinternal},
	'internal trigger' => q{SELECT r.name, tgfoid::regproc, tgtype, tgenabled, count(*)
		FROM r JOIN pg_trigger t ON t.tgrelid = r.oid WHERE tgisinternal GROUP BY 1, 2, 3, 4},
	rule => q{SELECT r.name, pg_get_ruledef(w.oid) FROM r JOIN pg_rewrite w ON w.ev_class = r.oid WHERE w.rulename <> '_RETURN'},
	policy => q{SELECT r.name, polname, polcmd, polpermissive, polroles::regrole[], pg_get_expr(polqual, polrelid),
		pg_get_expr(polwithcheck, polrelid), obj_description(l.oid, 'pg_policy') FROM r JOIN pg_policy l ON l.polrelid = r.oid},
	statistics => q{SELECT r.name, pg_get_statisticsobjdef(x.oid) FROM r JOIN pg_statistic_ext x ON x.stxrelid = r.oid},
	sequence => q{SELECT seqrelid::regclass, seqtypid::regtype, seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle
		FROM r JOIN pg_sequence q ON q.seqrelid = r.oid},
	function => q{SELECT name, proowner::regrole, } . sprintf($acl, 'proacl') . q{, obj_description(oid, 'pg_proc'),
		pg_get_functiondef(oid) FROM p},
	type => q{SELECT t.typname, typtype, typowner::regrole, typacl, obj_description(t.oid, 'pg_type')
		FROM pg_type t JOIN s ON s.oid = t.typnamespace},
	schema => q{SELECT n.nspname, nspowner::regrole, } . sprintf($acl, 'nspacl') . q{, obj_description(n.oid, 'pg_namespace')
		FROM s JOIN pg_namespace n USING (oid)},
	'initial privilege' => q{SELECT o.type, o.identity, } . sprintf($acl, 'i.initprivs') . q{ FROM pg_init_privs i
		CROSS JOIN LATERAL pg_identify_object(i.classoid, i.objoid, i.objsubid) o WHERE o.identity LIKE '%bm_webhook%'},
	member => q{SELECT o.type, o.identity FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
		CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, d.objsubid) o
		WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'bm_webhook'},
	configuration => q{SELECT c.relation::regclass, c.condition
		FROM pg_extension e, unnest(e.extconfig, e.extcondition) c (relation, condition) WHERE e.extname = 'bm_webhook'},
	version => q{SELECT extversion, extowner::regrole, extrelocatable FROM pg_extension WHERE extname = 'bm_webhook'},
	'event type' => q{SELECT t FROM bm_webhook.event_type t},
	status => q{SELECT m FROM bm_webhook.status_map m},
);

# A text of sorted facts.
sub catalog
{
	my ($bmw, $database) = @_;
	my %facts;
	for my $kind (keys %queries)
	{
		my $rows = $bmw->sql("$with SELECT DISTINCT regexp_replace((SELECT string_agg(coalesce(value, 'NULL'), ' | ')
			FROM json_each_text(to_json(x))), '_\\d{8}|''[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}''', '_DAY', 'g') || E'\\1'
			FROM ($queries{$kind}) x", $database);
		$facts{"$kind: $_"} = 1 for map { s/\A\n//r } split /\x01/, $rows;
	}
	return join '', map { "$_\n" } sort keys %facts;
}

# What the two differ in, as diff shows it.
sub differences
{
	my @files = map { PostgreSQL::Test::Utils::tempdir() . "/$_" } qw(1 2);
	PostgreSQL::Test::Utils::append_to_file($files[$_], $_[$_]) for 0, 1;
	my ($output) = PostgreSQL::Test::Utils::run_command([ 'diff', '-U1', @files ]);
	return $output;
}

1;

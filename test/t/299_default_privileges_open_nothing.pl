# ALTER DEFAULT PRIVILEGES of who creates the extension, as it is common for roles that read everything, opens nothing of it:
# neither secrets and functions nor the partitions that are made every day, which have no policies.
use strict;
use warnings FATAL => 'all';

use lib 'test/lib';
use BmWebhook;
use BmWebhook::Release;
use Test::More;

my $defaults = q{
	ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO reader;
	ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO reader WITH GRANT OPTION;
	ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO reader;
	ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO reader;
	ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC};
my $open = q{SELECT o.name || ': ' || x.privilege_type FROM (
		SELECT oid::regclass::text AS name, relnamespace AS schema, relacl AS acl FROM pg_class
		UNION ALL SELECT oid::regprocedure::text, pronamespace, proacl FROM pg_proc
		UNION ALL SELECT nspname, oid, nspacl FROM pg_namespace) o CROSS JOIN LATERAL aclexplode(o.acl) x
	WHERE o.schema::regnamespace::text ~ '^bm_webhook' AND (x.grantee = 'reader'::regrole OR x.grantee = 0 AND o.name ~ '_[0-9]{8}$')};

my $release = BmWebhook::Release->new('0.3.0');
my $bmw = BmWebhook->new(conf => "fsync = off\n", install_path => $release->install_path, extension => 0);
$bmw->sql("CREATE ROLE reader; CREATE ROLE tenant IN ROLE reader; $defaults; CREATE EXTENSION bm_webhook");
my %before = map { $_ => 1 } split /\n/, $bmw->sql($open);
ok((grep { /event_\d{8}: SELECT/ } keys %before), 'before, it opened partitions');
my $functions = q{SELECT oid::regprocedure || ': ' || (x.grantee)::regrole FROM pg_proc, aclexplode(proacl) x
	WHERE pronamespace::regnamespace::text ~ '^bm_webhook' AND x.grantee <> 'reader'::regrole ORDER BY 1};

$release->replace;
$bmw->node->restart;
$bmw->sql('ALTER EXTENSION bm_webhook UPDATE');
is(join(', ', grep { !$before{$_} || /_\d{8}: / } split /\n/, $bmw->sql($open)), '',
	'an update opens nothing of what is new in it, and closes partitions');
$bmw->sql('SELECT bm_webhook_internal.create_partitions(9)');
is(join(', ', grep { /_\d{8}: / } split /\n/, $bmw->sql($open)), '', 'later partitions neither');

$bmw->sql('CREATE DATABASE fresh');
$bmw->sql($defaults, 'fresh');
$bmw->sql('CREATE EXTENSION bm_webhook', 'fresh');
is($bmw->sql($open, 'fresh'), '', 'a new database opens nothing');
is($bmw->sql($functions), $bmw->sql($functions, 'fresh'), 'functions are the same for all others, updated or not');
$bmw->sql(q{INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('bank');
	SELECT bm_webhook.grant_owner('shop', 'tenant'), bm_webhook.emit('order.paid', '{}', 'bank')}, 'fresh');
is($bmw->sql('SET SESSION AUTHORIZATION tenant; SELECT count(*) FROM bm_webhook.event', 'fresh'), '0',
	'an owner who reads everything else sees nothing of others');
my $partition = $bmw->sql('SELECT tableoid::regclass FROM bm_webhook.event', 'fresh');
is($bmw->sqlstate("SET SESSION AUTHORIZATION tenant; TABLE $partition", 'fresh'), '42501', 'nor in the partition');
$bmw->sql('SELECT bm_webhook_internal.create_partitions(9)', 'fresh');
$bmw->sql("SELECT bm_webhook_internal.empty_default('event', 'event_20200101', '2020-01-01 UTC', '2020-01-02 UTC')", 'fresh');
is($bmw->sql($open, 'fresh'), '', 'nor in later ones, nor in one that is made of the default');
$bmw->sql('CREATE TABLE public.own (); GRANT SELECT ON bm_webhook.partition_list TO reader', 'fresh');
is($bmw->sql(q{SELECT has_table_privilege('reader', 'own', 'SELECT') AND has_table_privilege('reader', 'bm_webhook.partition_list', 'SELECT')}, 'fresh'),
	't', 'what is not of the extension has what was asked for, and what is granted later is granted');
$bmw->finish(expected => qr/extension "bm_webhook" has version 0\.3\.0/);

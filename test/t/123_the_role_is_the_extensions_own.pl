# The role bm_webhook: one that others can use is refused, and the one that the
# extension has left serves every database, a second beginning and a backup.
use strict;
use warnings;

use lib 'test/lib';
use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new(extension => 0);
my $node = $bmw->node;

sub refused
{
	my ($state, $what, $database) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($bmw->sqlstate('CREATE EXTENSION bm_webhook', $database), $state, $what);
	return;
}

# What somebody has prepared as the role, and is no member of any more.
$bmw->sql(q{
	CREATE ROLE bm_webhook;
	CREATE ROLE helper CREATEROLE;
	GRANT CREATE ON SCHEMA public TO bm_webhook});
$bmw->sql(q{SET SESSION AUTHORIZATION bm_webhook; ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO helper});
refused('42710', 'a role whose tables would be open to others');
$bmw->sql(q{SET SESSION AUTHORIZATION bm_webhook; ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM helper;
	CREATE FUNCTION public.for_all() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT current_user::text'});
refused('42710', 'a role that owns a function which runs as it');
$bmw->sql('DROP FUNCTION public.for_all(); DROP OWNED BY bm_webhook; GRANT helper TO bm_webhook');
refused('42710', 'a role that is a member of another');
$bmw->sql('REVOKE helper FROM bm_webhook');
refused('', 'what is left is a role without anything');

# Another database, a second beginning, a second beginning while another database uses the role.
$bmw->sql('CREATE DATABASE second');
refused('', 'in a second database', 'second');
$bmw->sql('DROP EXTENSION bm_webhook');
is($bmw->sql(q{SELECT count(*) FROM pg_class WHERE relowner = 'bm_webhook'::regrole}), '0', 'nothing is left behind');
refused('', 'after DROP EXTENSION');
$bmw->sql('DROP EXTENSION bm_webhook', 'second');
refused('', 'and there as well', 'second');
$bmw->sql('ALTER ROLE bm_webhook BYPASSRLS; CREATE DATABASE third');
refused('42710', 'a role that has got an attribute since', 'third');
$bmw->sql('ALTER ROLE bm_webhook NOBYPASSRLS');

# Roles and databases by pg_dumpall and pg_dump.
my $endpoint = $bmw->endpoint('/ok/before', description => 'ours');
my $roles = PostgreSQL::Test::Utils::tempdir('dump') . '/roles.sql';
my $dump = $roles =~ s/roles/database/r;
$node->command_ok([ 'pg_dumpall', '--roles-only', '-f', $roles ], 'pg_dumpall');
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, 'postgres' ], 'pg_dump');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', 'third', $dump ], 'pg_restore into another database');
is($bmw->sql('SELECT description FROM bm_webhook.endpoint', 'third'), 'ours', 'has the endpoint');
$bmw->sql("DROP DATABASE $_ WITH (FORCE)") for qw(second third);
$bmw->sql('DROP EXTENSION bm_webhook; DROP ROLE bm_webhook');
$node->command_checks_all([ 'psql', '-X', '-f', $roles, 'postgres' ], 0, [qr/CREATE ROLE/], [qr//], 'the roles of the dump');
$bmw->sql('CREATE DATABASE third');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', 'third', $dump ], 'pg_restore after them');
$bmw->sql('SELECT bm_webhook.adopt()', 'third');
$bmw->emit('restored.well', database => 'third', endpoint => $bmw->endpoint('/ok/after', database => 'third'));
$bmw->wait_for_requests('after', 1);

# The schema that CREATE EXTENSION is given.
my $superuser = $bmw->sql('SELECT current_user');
$bmw->sql(qq{CREATE ROLE squatter; GRANT CREATE ON DATABASE postgres TO squatter; SET SESSION AUTHORIZATION squatter; CREATE SCHEMA "$superuser"});
my $warning;
$node->psql('postgres', 'CREATE EXTENSION bm_webhook', stderr => \$warning);
like($warning, qr/WARNING:  schema "$superuser" belongs to role "squatter", who can drop it and with it the extension/,
	'a schema that somebody else can drop is warned of');
$bmw->sql(qq{SET SESSION AUTHORIZATION squatter; SET client_min_messages = error; DROP SCHEMA "$superuser" CASCADE; CREATE SCHEMA "$superuser"});
is($bmw->sql(q{SELECT count(*) FROM pg_extension WHERE extname = 'bm_webhook'}), '0', 'rightly');
$node->psql('postgres', 'CREATE EXTENSION bm_webhook SCHEMA pg_catalog', stderr => \$warning);
is($warning, '', 'no warning where nobody can');
$bmw->sql(qq{SET SESSION AUTHORIZATION squatter; SET client_min_messages = error; DROP SCHEMA "$superuser" CASCADE});
$bmw->emit('still.here', endpoint => $bmw->endpoint('/ok/still'));
$bmw->wait_for_requests('still', 1);

# A dispatcher that is just starting may find the tables gone.
$bmw->finish(expected => qr/could not read bm_webhook's tables/);

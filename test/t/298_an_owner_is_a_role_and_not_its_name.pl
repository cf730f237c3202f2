# An application belongs to a role: it keeps it when it is renamed, a role that comes back under the name of one that was
# dropped owns nothing, and a dump says it by name.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use PostgreSQL::Test::Utils ();
use Test::More;

my $bmw = BmWebhook->new;
my $node = $bmw->node;
$bmw->sql(q{CREATE ROLE victim; CREATE ROLE "The Shop"; CREATE ROLE watching;
	INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('bank');
	SELECT bm_webhook.grant_owner('shop', '"The Shop"'), bm_webhook.grant_owner('bank', 'victim');
	INSERT INTO bm_webhook.endpoint (url, application) SELECT 'https://hooks.example.com/' || name, name FROM bm_webhook.application});
my $seen = 'SELECT name, owner FROM bm_webhook.application';
is($bmw->sql(qq{SET ROLE "The Shop"; $seen}), 'shop|"The Shop"', 'an owner sees its application');
$bmw->sql('ALTER ROLE "The Shop" RENAME TO shop');
is($bmw->sql("SET ROLE shop; $seen"), 'shop|shop', 'also under another name');
is($bmw->sqlstate("SET ROLE shop; SELECT bm_webhook.pause(application => 'shop'), bm_webhook.secret(1)"), '', 'and may do what it could');

is($bmw->sqlstate('DROP ROLE victim'), '2BP01', 'an owner is not dropped by mistake');
$bmw->sql('DROP OWNED BY victim; DROP ROLE victim; CREATE ROLE victim');
$bmw->sql(q{GRANT USAGE ON SCHEMA bm_webhook, bm_webhook_internal TO victim; GRANT SELECT (name, owner) ON bm_webhook.application TO victim;
	GRANT SELECT (id, url, application) ON bm_webhook.endpoint TO victim; GRANT SELECT (id, endpoint_id, secret) ON bm_webhook.endpoint_secret TO victim;
	GRANT EXECUTE ON FUNCTION bm_webhook.delete_endpoint TO victim});
is($bmw->sql("SET ROLE victim; SELECT count(*) FROM bm_webhook.$_"), 0, "who comes back under its name sees nothing of $_") for qw(application endpoint endpoint_secret);
my $bank = $bmw->sql(q{SELECT id FROM bm_webhook.endpoint WHERE application = 'bank'});
is($bmw->sqlstate("SET ROLE victim; SELECT bm_webhook.delete_endpoint($bank)"), '42704', 'and may do nothing to it');
is($bmw->sqlstate(q{INSERT INTO bm_webhook.application (name, owner) VALUES ('x', 'no_such_role')}), '42704', 'there must be such a role');
is($bmw->sqlstate(q{UPDATE bm_webhook.application SET owner = 999999 WHERE name = 'shop'}), '22023', 'by number, too');

# A dump.
my $file = PostgreSQL::Test::Utils::tempdir('dump') . '/dump.sql';
$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', $file ], 'a dump');
like(PostgreSQL::Test::Utils::slurp_file($file), qr/^shop\tshop\t/m, 'has the name of the owner');
$bmw->sql('CREATE DATABASE restored');
$node->command_ok([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f', $file ], 'is restored');
is($bmw->sql("SELECT name, owner FROM bm_webhook.application ORDER BY name", 'restored'), "bank|-\nshop|shop", 'with owners; of one that has gone it is nobody\'s');
is($bmw->sql("SET ROLE shop; $seen", 'restored'), 'shop|shop', 'who see it there');
is($bmw->sql("SELECT bm_webhook.grant_owner('bank', 'watching'); SET ROLE watching; $seen", 'restored'), "\nbank|watching", 'and what was nobody\'s can be given to somebody');
my $default = $bmw->sql(q{INSERT INTO bm_webhook.application (name) VALUES ('own') RETURNING owner = current_user::regrole});
is($default, 't', 'who inserts it owns it');

$bmw->finish;

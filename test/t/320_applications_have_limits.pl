# What an application may have registered: endpoints, patterns and secrets, as an administrator says. Sessions that register
# at the same time do not get beyond it; what is deleted does not count; others are not told of it; and a dump that has more is restored.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use PostgreSQL::Test::Utils ();
use Test::More;

my $bmw = BmWebhook->new;
$bmw->sql(q{CREATE ROLE shop; CREATE ROLE bank;
	INSERT INTO bm_webhook.application (name, max_endpoints, max_event_types, max_secrets) VALUES ('shop', 3, 2, 3);
	INSERT INTO bm_webhook.application (name) VALUES ('bank');
	SELECT bm_webhook.grant_owner('shop', 'shop'), bm_webhook.grant_owner('bank', 'bank')});

sub register
{
	my ($application, $count, $event_types) = @_;
	$event_types //= '{*}';
	return "INSERT INTO bm_webhook.endpoint (url, application, event_types)
		SELECT 'https://hooks.example.com/', '$application', '$event_types' FROM generate_series(1, $count)";
}

sub living { return $bmw->sql("SELECT count(*) FROM bm_webhook.endpoint WHERE application = '$_[0]' AND deleted_at IS NULL") }

is($bmw->sqlstate(register('shop', 4)), '54000', 'more at once than it may have');
is($bmw->sqlstate('SET ROLE shop; ' . register('shop', 3)), '', 'as many as it may have');
is($bmw->sqlstate($_), '54000', 'and no more') for 'SET ROLE shop; ' . register('shop', 1), register('shop', 1);
is($bmw->sqlstate('SET ROLE bank; ' . register('shop', 1)), '42501', 'another is not told');
is($bmw->sqlstate('SET ROLE bank; ' . register('bank', 20)), '', 'and may have its own');
is($bmw->sqlstate("UPDATE bm_webhook.endpoint SET application = 'shop' WHERE application = 'bank'"), '54000', 'nor can one be assigned to it');

my ($stdout, $stderr);
$bmw->node->psql('postgres', 'SET ROLE shop; ' . register('shop', 1), stderr => \$stderr);
like($stderr, qr/ERROR:  the application has too many endpoints\nHINT:  At most 3 are allowed: its max_endpoints, which an administrator can change/, 'with a hint');

is($bmw->sqlstate("SET ROLE shop; UPDATE bm_webhook.application SET $_ = NULL"), '42501', "its owner cannot change $_") for qw(max_endpoints max_event_types max_secrets);
is($bmw->sqlstate("UPDATE bm_webhook.application SET $_"), '22023', "$_ is refused")
  for 'max_in_flight = 0', 'max_in_flight = 10001', 'max_endpoints = -1', 'max_endpoints = 1000001', 'max_event_types = 0', 'max_event_types = 101', 'max_secrets = 1', 'max_secrets = 17';
is($bmw->sql(q{SELECT max_endpoints, max_event_types, max_secrets FROM bm_webhook.application WHERE name = 'bank'}), '1000||', 'the defaults');

# Deleted ones make room, and one that was set aside by another transaction is counted once.
$bmw->sql(q{SET ROLE shop; SELECT bm_webhook.delete_endpoint(min(id)) FROM bm_webhook.endpoint WHERE application = 'shop'});
my $other = $bmw->session;
$other->query_safe(q{BEGIN; UPDATE bm_webhook.endpoint SET description = 'x' WHERE application = 'shop'});
is($bmw->sqlstate('SET ROLE shop; ' . register('shop', 1)), '', 'a deleted one makes room, and one that is changed counts once');
$other->query_safe('ROLLBACK');
$bmw->sql(q{SET ROLE shop; SELECT bm_webhook.delete_endpoint(min(id)) FROM bm_webhook.endpoint WHERE application = 'shop'});

# Two at the same time.
$other->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
my $first = $bmw->session;
$first->query_safe('BEGIN; ' . register('shop', 1));
is($bmw->sqlstate('SET ROLE shop; ' . register('shop', 1)), '54000', 'what others are registering counts');
$first->query_safe('COMMIT');
$first->quit;
$other->query_safe('SET ROLE shop; DO $$ BEGIN ' . register('shop', 1) . '; EXCEPTION WHEN program_limit_exceeded THEN END $$; COMMIT');
is(living('shop'), 3, 'whatever a transaction sees');
$other->quit;

# Patterns and secrets.
is($bmw->sqlstate(q{SET ROLE shop; UPDATE bm_webhook.endpoint SET event_types = '{message.sent,message.read,message.failed}'}), '54000', 'no more patterns');
is($bmw->sqlstate(q{SET ROLE shop; UPDATE bm_webhook.endpoint SET event_types = '{message.sent,message.read}'}), '', 'than it may have');
my $id = $bmw->sql(q{SELECT min(id) FROM bm_webhook.endpoint WHERE application = 'shop'});
is($bmw->sqlstate("SET ROLE shop; INSERT INTO bm_webhook.endpoint_secret (endpoint_id) VALUES ($id)"), $_ < 3 ? '' : '54000', "secret $_") for 1 .. 3;
$bmw->sql(q{UPDATE bm_webhook.application SET max_endpoints = 1, max_event_types = 1, max_secrets = 2 WHERE name = 'shop'});
is($bmw->sqlstate(q{SET ROLE shop; UPDATE bm_webhook.endpoint SET description = 'y'}), '', 'what there is stays when the limit is lowered');

# As a dump is restored.
my $file = PostgreSQL::Test::Utils::tempdir('dump') . '/dump.sql';
$bmw->node->command_ok([ 'pg_dump', '-d', $bmw->node->connstr('postgres'), '-f', $file ], 'a dump');
$bmw->sql('CREATE DATABASE restored');
$bmw->node->command_ok([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $bmw->node->connstr('restored'), '-f', $file ], 'is restored');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.endpoint WHERE application = 'shop'}, 'restored'), 3, 'with what it has');
$bmw->finish;

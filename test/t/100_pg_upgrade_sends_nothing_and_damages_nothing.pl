# pg_upgrade starts the old and the new server with the library preloaded: it
# must not send or write until the upgraded server is started by its user.
# With BMW_OLD_BINDIR (tools/test-upgrade) the old server is one of another version.
use strict;
use warnings;

use lib 'test/lib';
use BmWebhook;
use Cwd qw(getcwd);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils qw(command_ok run_command);
use Test::More;

my ($bindir) = split /\n/, qx(pg_config --bindir);
my $old_bindir = $ENV{BMW_OLD_BINDIR} || $bindir;
my $bmw = BmWebhook->new(conf => "fsync = off\n", install_path => $old_bindir =~ s{/bin$}{}r);
my $old = $bmw->node;

$bmw->sql('CREATE EXTENSION amcheck');
$bmw->endpoint('/ok/shop', event_types => '{order.*}');
my $down = $bmw->endpoint('/status/503/down', event_types => '{down.*}', retry_delays => '{30 min}');

my $delivered = $bmw->emit('order.delivered');
$bmw->wait_for_delivery($delivered);
my $retrying = $bmw->emit('down.retrying');
$bmw->wait_for_sql('one waits for its next attempt',
	"SELECT count(*) = 1 FROM bm_webhook.delivery WHERE event_id = '$retrying' AND status = 'pending'");

# Waiting when the upgrade begins: a retry that is due, and events that nobody has taken.
$bmw->set('bm_webhook.enabled', 'off');
$bmw->wait_for_sql('nothing is sent', q{SELECT bool_and(reason LIKE 'bm_webhook.enabled is off%') FROM bm_webhook.status()});
$bmw->emit_many(2000, 'order.waiting');
$bmw->sql("UPDATE bm_webhook.delivery SET next_attempt_at = now() WHERE status = 'pending'");
$bmw->sql("ALTER SYSTEM RESET bm_webhook.enabled");
my $conf = PostgreSQL::Test::Utils::slurp_file($old->data_dir . '/postgresql.conf');
$old->stop('fast');

my $new = PostgreSQL::Test::Cluster->new('new');
$bmw->init_successor($new);
$new->append_conf('postgresql.conf', join "\n", grep { /bm_webhook|max_prepared|max_worker/ } split /\n/, $conf);
my $requests = $bmw->receiver->count('shop', 'requests') + $bmw->receiver->count('down', 'requests');
my $next_xid = next_xid($old);

chdir PostgreSQL::Test::Utils::tempdir_short();
command_ok(
	[   'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $old_bindir, '-B', $bindir,
		'-p', $old->port, '-P', $new->port, '-s', $new->host ],
	'pg_upgrade succeeds');
chdir $ENV{TESTDIR};

is($bmw->receiver->count('shop', 'requests') + $bmw->receiver->count('down', 'requests'),
	$requests, 'nothing was sent while it ran');
is(next_xid($old), $next_xid, 'and no transaction wrote in the old cluster');

# From here on the test's server is the new one.
$bmw->{node} = $new;
$bmw->start;
$bmw->wait_for_requests('shop', 2001);
$bmw->wait_for_requests('down', 2);
$bmw->arrived_exactly_once('shop', "SELECT id FROM bm_webhook.event WHERE type LIKE 'order.%'",
	'afterwards every event arrives, once');
is($bmw->sql(q{
	SELECT string_agg(c.relname || ': ' || v.msg, E'\n')
	FROM pg_class c CROSS JOIN LATERAL verify_heapam(c.oid) v
	WHERE c.relnamespace::regnamespace::text ~ '^bm_webhook' AND c.relkind = 'r'}), '', 'no table is damaged');
cmp_ok($bmw->sql("SELECT count(*) FROM pg_class WHERE relnamespace::regnamespace::text ~ '^bm_webhook' AND relkind = 'r'"),
	'>', 10, 'and there are some');
$bmw->finish;

sub next_xid
{
	my ($node) = @_;
	my ($control) = run_command([ 'pg_controldata', $node->data_dir ]);
	return $control =~ /NextXID:\s+(\S+)/ ? $1 : 'none';
}

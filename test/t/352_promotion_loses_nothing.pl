# Under load the primary is stopped at once, and its standby, which confirms commits, is promoted: every
# transaction that was confirmed is there, its event arrives under its id, and few arrive twice. Before, the standby
# has sent nothing.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use PostgreSQL::Test::Cluster;
use Test::More;

my $bmw = BmWebhook->new(streaming => 1, conf => "wal_writer_delay = 10ms\n");
my $primary = $bmw->node;
my $receiver = $bmw->receiver;
my $rate = 200;

$bmw->sql('CREATE TABLE app (event uuid)');
$bmw->endpoint('/ok/fast');
$bmw->endpoint('/fail/1/flaky', retry_delays => '{' . join(',', ('50ms') x 50) . '}');
$bmw->endpoint('/slow/40/slow');
my $dead = $bmw->endpoint('/status/503/dead', event_types => '{test.dead}', retry_delays => '{1 h}');
my $waiting = $bmw->emit('test.dead', endpoint => $dead);
$bmw->wait_for_sql('one waits for its next attempt', "SELECT attempts = 1 FROM bm_webhook.delivery WHERE event_id = '$waiting'");

$primary->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'copy', has_streaming => 1);
$standby->start;
$bmw->set('synchronous_standby_names', '*');
$bmw->wait_for_sql('the standby confirms', q{SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'});
is($standby->safe_psql('postgres', 'SELECT state, reason FROM bm_webhook.status()'), 'not running|this server is a standby: the primary sends',
	'status() says that a standby does not send');

my $pgbench = $bmw->pgbench('INSERT INTO app SELECT bm_webhook.emit(\'test.load\', \'{"text": "under load"}\');', '-c', 4, '-R', $rate, '-T', 100);
$bmw->wait_for_requests('fast', 1000, 'delivered');
$primary->stop('immediate');
$pgbench->finish;
$receiver->catch_up;
my %before = map { $_ => $receiver->count($_, 'delivered') } qw(fast flaky slow);
$standby->promote;
$bmw->{node} = $standby;

# The old one confirms to nobody any more.
$bmw->set('synchronous_standby_names', '');
$bmw->dispatcher;
wait_until('all are recorded as delivered', sub {
	$bmw->sql(q{SELECT count(*) FROM app CROSS JOIN bm_webhook.endpoint p LEFT JOIN bm_webhook.delivery d ON d.event_id = app.event AND d.endpoint_id = p.id
		WHERE p.event_types IS NULL AND d.status IS DISTINCT FROM 'delivered'}) == 0;
});
$bmw->settle;
cmp_ok($bmw->sql('SELECT count(*) FROM app'), '>=', $before{fast} - 1, 'what was sent had been confirmed, and is there');
for my $name (qw(fast flaky slow))
{
	my $comparison = $bmw->compare($name, 'SELECT event FROM app');

	note(sprintf '%s: %d delivered before, %d sent twice', $name, $before{$name}, scalar @{ $comparison->{repeated} });
	is_deeply($comparison->{missing}, [], "$name: nothing is lost");
	cmp_ok(scalar @{ $comparison->{foreign} }, '<=', 4 + 2, "$name: nothing else arrives but what was being confirmed");
	cmp_ok(scalar @{ $comparison->{repeated} }, '<=', 2 * $rate, "$name: few arrive twice");
}
is($bmw->sql("SELECT status, attempts FROM bm_webhook.delivery WHERE event_id = '$waiting'"), 'pending|1', 'what waited still waits');
$bmw->wait_for_delivery($bmw->emit('test.after', endpoint => $bmw->endpoint('/ok/after')));
$bmw->finish(expected => qr/WAL stream|connect to the primary/);

# 300 endpoints of one application that never answer take no place from another
# application, neither from its first request nor from its hundredth, and not
# from endpoints of no application. When they are deleted or disabled their
# requests are broken off: what was for a deleted one is canceled, what was for a
# disabled one waits, without an attempt counted, and is sent when it is enabled.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my $url = $receiver->url('/hang/shop');

$bmw->sql(q{INSERT INTO bm_webhook.application (name) VALUES ('bank'), ('shop')});
$bmw->endpoint('/ok/bank', application => 'bank');
$bmw->endpoint('/ok/all', event_types => '{test.all}');
$bmw->sql("INSERT INTO bm_webhook.endpoint (url, application, timeout)"
	  . " SELECT '$url', 'shop', '5 min' FROM generate_series(1, 300)");
$bmw->sql(q{UPDATE bm_webhook.endpoint_secret SET secret = (SELECT min(secret) FROM bm_webhook.endpoint_secret)
	WHERE endpoint_id IN (SELECT id FROM bm_webhook.endpoint WHERE application = 'shop')});
$bmw->share_secrets($bmw->sql(q{SELECT max(id) FROM bm_webhook.endpoint}), 'shop');

my $hanging = $bmw->emit('test.hanging', application => 'shop');
$bmw->wait_for_requests('shop', 50, 'in_flight');
$bmw->wait_for_sql('all have been taken', q{SELECT sum(in_flight + queued) + sum(pending) >= 300 FROM bm_webhook.status()});

sub arrive
{
	my ($count, $type, $name, %arguments) = @_;
	my $call = $bmw->emit_call("test.$type", %arguments);
	my $pgbench = $bmw->pgbench("SELECT $call;", '-c', 2, '-R', 200, '-t', $count / 2);

	ok($pgbench->finish, "$type: load");
	wait_until("$type: all arrive", sub { $bmw->latencies($name, "test.$type") == $count });
	my @latencies = $bmw->latencies($name, "test.$type");
	note(sprintf '%s: median %.1f ms, maximum %.1f ms', $type, percentile(50, @latencies), percentile(100, @latencies));
	return cmp_ok(percentile(100, @latencies), '<', 30_000, "$type: nobody waited for those that hang");
}

arrive(2, 'first', 'bank', application => 'bank');
arrive(400, 'more', 'bank', application => 'bank');
arrive(100, 'all', 'all');
cmp_ok($receiver->count('shop', 'in_flight'), '>=', 50, 'which still hang');

# Half of them go, half of them are disabled.
$bmw->sql(q{DELETE FROM bm_webhook.endpoint WHERE application = 'shop' AND id % 2 = 0});
$bmw->sql(q{UPDATE bm_webhook.endpoint SET enabled = false WHERE application = 'shop'});
$bmw->wait_for_sql('nothing is in flight', q{SELECT sum(in_flight) = 0 AND sum(queued) = 0 FROM bm_webhook.status()});
wait_until('nothing hangs', sub { $receiver->count('shop', 'in_flight') == 0 });
$bmw->wait_for_sql('all is recorded', "SELECT count(*) = 300 FROM bm_webhook.delivery WHERE event_id = '$hanging'");
is($bmw->sql(qq{SELECT DISTINCT endpoint_id % 2, status, attempts, error_class IS NULL FROM bm_webhook.delivery
	WHERE event_id = '$hanging' ORDER BY 1}), "0|canceled|0|t\n1|pending|0|t",
	'what was for deleted ones is canceled, for disabled ones it waits');

$receiver->behave('shop', 'ok');
$bmw->sql(q{UPDATE bm_webhook.endpoint SET enabled = true WHERE application = 'shop'});
$bmw->wait_for_sql('they get it when they are enabled', "SELECT count(*) = 150 AND min(attempts) = 1 AND max(attempts) = 1"
	  . " FROM bm_webhook.delivery WHERE event_id = '$hanging' AND status = 'delivered'");
$bmw->settle;

# A due delivery that is broken off keeps the attempts that it had.
my $id = $bmw->endpoint('/status/500/retried', application => 'bank', retry_delays => '{10 ms,1 h}', event_types => '{test.retried}');
my $retried = $bmw->emit('test.retried', application => 'bank');
$bmw->wait_for_sql('two attempts failed', "SELECT attempts = 2 FROM bm_webhook.delivery WHERE event_id = '$retried' AND endpoint_id = $id");
$receiver->behave('retried', 'hang');
$bmw->sql("SELECT bm_webhook.redeliver('$retried', $id)");
$bmw->wait_for_requests('retried', 1, 'in_flight');
$bmw->sql("UPDATE bm_webhook.endpoint SET enabled = false WHERE id = $id");
wait_until('it is broken off', sub { $receiver->count('retried', 'in_flight') == 0 });
$bmw->settle;
is($bmw->sql("SELECT status, attempts FROM bm_webhook.delivery WHERE event_id = '$retried' AND endpoint_id = $id"),
	'pending|2', 'it was no attempt');
$receiver->behave('retried', 'ok');
$bmw->sql("UPDATE bm_webhook.endpoint SET enabled = true WHERE id = $id");
$bmw->wait_for_sql('and is sent when it is enabled',
	"SELECT status = 'delivered' AND attempts = 3 FROM bm_webhook.delivery WHERE event_id = '$retried' AND endpoint_id = $id");

$bmw->finish;

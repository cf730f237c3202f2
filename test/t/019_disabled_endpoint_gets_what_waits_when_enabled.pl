# A disabled endpoint gets nothing: what waits stays pending, in the table and in
# memory, and is sent when the endpoint is enabled again. What is captured while
# it is disabled is not for it.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

my %endpoint = (
	retrying => $bmw->endpoint('/status/500/retrying', retry_delays => '{' . join(',', ('300ms') x 100) . '}'),
	busy => $bmw->endpoint('/hang/busy', max_in_flight => 1, timeout => '60 s'));

$bmw->emit_many(10, 'test.before');
$bmw->wait_for_sql('it has failed', "SELECT count(*) = 10 FROM bm_webhook.delivery WHERE endpoint_id = $endpoint{retrying}");
$bmw->wait_for_requests('busy', 1);
is($bmw->sql('UPDATE bm_webhook.endpoint SET enabled = false; SELECT disabled_at IS NOT NULL AND disabled_reason IS NULL FROM bm_webhook.endpoint_state'),
	"t\nt", 'disabled by a user');
$bmw->emit_many(10, 'while.disabled');
$bmw->settle;    # no attempt is under way any more
$receiver->behave($_, 'ok') for keys %endpoint;

# Until the time of every retry has passed.
my $before = $receiver->count('retrying', 'requests');
$bmw->wait_for_sql('what waits is due',
	q{SELECT coalesce(max(next_attempt_at), '-infinity') < now() - interval '300 ms' FROM bm_webhook.delivery WHERE status = 'pending'});
$bmw->settle;
is($receiver->count('retrying', 'requests'), $before, 'what is due is not sent');
is($receiver->count('busy', 'requests'), 1, 'nor what was queued');
is($bmw->sql("SELECT count(*) FROM bm_webhook.delivery WHERE endpoint_id = $endpoint{retrying} AND status = 'pending'"), 10,
	'it stays pending');

$bmw->sql('UPDATE bm_webhook.endpoint SET enabled = true WHERE NOT enabled');
$bmw->wait_for_requests($_, 10, 'delivered') for keys %endpoint;
$bmw->emit('test.after');
$bmw->wait_for_requests($_, 11, 'delivered') for keys %endpoint;
$bmw->settle;
for my $name (sort keys %endpoint)
{
	$bmw->arrived_exactly_once($name, q{SELECT id FROM bm_webhook.event WHERE type IN ('test.before', 'test.after')},
		"$name: gets what waited and what comes, each once");
}
is($bmw->sql('SELECT count(*) FROM bm_webhook.endpoint_state WHERE disabled_at IS NOT NULL'), 0, 'no longer disabled');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.delivery WHERE status <> 'delivered'}), 0, 'nothing waits');

# Across a new start of the server.
$receiver->behave('retrying', 'status/500');
my $event = $bmw->emit('test.restart', endpoint => $endpoint{retrying});
$bmw->wait_for_sql('it has failed', "SELECT EXISTS (SELECT FROM bm_webhook.delivery WHERE event_id = '$event')");
$bmw->sql("UPDATE bm_webhook.endpoint SET enabled = false WHERE id = $endpoint{retrying}");
$bmw->node->restart;
$receiver->behave('retrying', 'ok');
$before = $receiver->count('retrying', 'requests');
$bmw->wait_for_sql('it is due', "SELECT next_attempt_at < now() - interval '300 ms' FROM bm_webhook.delivery WHERE event_id = '$event'");
$bmw->settle;
is($receiver->count('retrying', 'requests'), $before, 'it is still disabled after a restart');
$bmw->sql('UPDATE bm_webhook.endpoint SET enabled = true WHERE NOT enabled');
$bmw->wait_for_delivery($event);

$bmw->finish;

# redeliver() sends an event again with the same webhook-id, whatever became of
# it, at once; message_history() and the view attempt keep every attempt: those
# before, the one after, and who asked.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

my $shop = $bmw->endpoint('/fail/1/shop', retry_delays => '{100ms,100ms}');
my $audit = $bmw->endpoint('/status/500/audit', retry_delays => '{100ms}');
my $event = $bmw->emit('message.sent', message_id => 'm1', application => 'a');

$bmw->wait_for_sql('all have ended', "SELECT count(*) = 2 FROM bm_webhook.delivery WHERE status <> 'pending'");
is($bmw->sql('SELECT status FROM bm_webhook.delivery ORDER BY endpoint_id'), "delivered\nfailed", 'one delivered, one given up');

# What was delivered is sent again, to that endpoint alone.
is($bmw->sql("SELECT bm_webhook.redeliver('$event', $shop)"), 1, 'one delivery is made due');
$bmw->wait_for_requests('shop', 3);
$bmw->wait_for_sql('it is delivered again', "SELECT status = 'delivered' AND attempts = 3 FROM bm_webhook.delivery WHERE endpoint_id = $shop");
my %ids = map { $_->{id} => 1 } $receiver->arrivals('shop');
is_deeply([ keys %ids ], [$event], 'with the same webhook-id');
is($receiver->count('audit', 'requests'), 2, 'and to nobody else');

# What was given up gets there when the receiver is well.
$receiver->behave('audit', 'ok');
$bmw->sql("SELECT bm_webhook.redeliver('$event', $audit)");
$bmw->wait_for_sql('it is delivered', "SELECT status = 'delivered' FROM bm_webhook.delivery WHERE endpoint_id = $audit");

is($bmw->sql("SELECT string_agg(attempt || CASE WHEN succeeded THEN '+' ELSE '-' END, ' ' ORDER BY attempt) "
	  . "FROM bm_webhook.attempt WHERE endpoint_id = $shop"), '1- 2+ 3+', 'every attempt is in the log');
is($bmw->sql("SELECT string_agg(concat_ws(' ', what, attempt, outcome), ', ' ORDER BY at) "
	  . "FROM bm_webhook.message_history('m1') WHERE endpoint_id = $shop AND what <> 'delivery'"),
	'attempt 1 failed, attempt 2 succeeded, redelivery 2 asked by ' . $bmw->sql('SELECT session_user') . ', attempt 3 succeeded',
	'and in the history of the message, in time order');

is($bmw->sqlstate("SELECT bm_webhook.redeliver(gen_random_uuid())"), '42704', 'unknown event');
is($bmw->sqlstate("SELECT bm_webhook.redeliver('$event', -1)"), '42704', 'unknown endpoint');
is($bmw->sqlstate('SELECT bm_webhook.redeliver(NULL)'), '23502', 'no event');
$bmw->finish;

# A fast shutdown with hanging requests takes less than five seconds; they are
# sent again after the start, and nothing that was delivered is. The same when
# only the dispatcher is told to end.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;
use Time::HiRes qw(time);

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

$bmw->endpoint('/ok/ok', event_types => '{test.event}');
$bmw->endpoint('/hang/hang', event_types => '{test.event,test.hang}', timeout => '60 s', max_in_flight => 2);

$bmw->emit_many(500, 'test.event');
$bmw->wait_for_requests('ok', 500);
$bmw->wait_for_requests('hang', 2);
$bmw->settle(in_flight => 2);

my $before = time;
$bmw->node->stop('fast');
cmp_ok(time - $before, '<', 20, 'a fast shutdown does not wait for what hangs');
$bmw->start;
$bmw->wait_for_requests('hang', 4);
$bmw->settle(in_flight => 2);
is($receiver->count('ok', 'requests'), 500, 'what was delivered is not sent again');

$before = time;
my $pid = $bmw->dispatcher;
is($bmw->sql("SELECT pg_terminate_backend($pid, 5000)"), 't', 'nor does the end of the dispatcher wait');
cmp_ok(time - $before, '<', 20, 'for what hangs');
wait_until('another dispatcher runs', sub { $bmw->dispatcher != $pid });

# Now everything is answered.
$receiver->behave('hang', 'ok');
wait_until('all are delivered', sub {
	$receiver->release('hang');
	$receiver->count('hang', 'delivered') == 500;
});
$bmw->settle;
$bmw->arrived_exactly_once($_, q{SELECT id FROM bm_webhook.event WHERE type = 'test.event'}, "$_: everything arrives once")
  for qw(ok hang);
is($receiver->count('ok', 'requests'), 500, 'what was delivered is never sent again');

# A second clean start repeats nothing either, and the first is not needed for it.
my %requests = map { $_ => $receiver->count($_, 'requests') } qw(ok hang);
$bmw->node->restart;
$bmw->settle;
is($receiver->count($_, 'requests'), $requests{$_}, "$_: a start repeats nothing") for sort keys %requests;

$bmw->finish;

# DROP EXTENSION while requests are in flight and others wait: it takes effect
# within five seconds, nothing more is sent, nothing crashes, and the extension
# can be created again and is served. Rolled back, everything goes on and arrives
# once.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;
use Time::HiRes qw(time);

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my $load = 'SELECT ' . $bmw->emit_call('test.load') . ';';

$bmw->endpoint('/slow/100/slow', max_in_flight => 4, event_types => '{test.load}');
$bmw->endpoint('/fail/1/retrying', retry_delays => '{' . join(',', ('100ms') x 50) . '}', event_types => '{test.load}');
$bmw->endpoint('/ok/fast', event_types => '{test.load}');

# Rolled back, after requests that were in flight have been answered.
my $pgbench = $bmw->pgbench($load, '-c', 2, '-R', 100, '-t', 50);
$bmw->wait_for_requests('slow', 4);
my $session = $bmw->session;
my $before = time;
$session->query_safe('BEGIN; DROP EXTENSION bm_webhook CASCADE');
cmp_ok(time - $before, '<', 20, 'DROP EXTENSION does not wait for requests');
wait_until('what was in flight has been answered', sub { $receiver->count('slow', 'in_flight') == 0 });
$session->query_safe('ROLLBACK');
ok($pgbench->finish, 'sessions that emit had to wait, and went on');
wait_until('all are delivered', sub {
	$bmw->sql(q{SELECT count(*) FROM bm_webhook.delivery WHERE status = 'delivered'}) == 300;
});
$bmw->settle;
$bmw->arrived_exactly_once($_, q{SELECT id FROM bm_webhook.event WHERE type = 'test.load'}, "rolled back: $_ gets all once")
  for qw(fast slow retrying);

# Committed.
$bmw->endpoint('/hang/hang', event_types => '{test.load}', timeout => '60 s', max_in_flight => 2);
$bmw->emit_many(100, 'test.load');
$bmw->wait_for_requests('hang', 2);
$before = time;
$bmw->sql('DROP EXTENSION bm_webhook CASCADE');
cmp_ok(time - $before, '<', 20, 'dropped in under twenty seconds');
wait_until('nothing is in flight', sub { !grep { $_->{in_flight} } values %{ $receiver->all_counts } });
is($bmw->sql('SELECT count(*) FROM pg_extension WHERE extname = \'bm_webhook\''), 0, 'it is gone');

my %requests = map { $_ => $receiver->count($_, 'requests') } qw(slow retrying fast hang);
$bmw->sql('CREATE EXTENSION bm_webhook');
delete $bmw->{settled};
$bmw->endpoint('/ok/new');
$bmw->wait_for_delivery($bmw->emit('test.new'));
is($receiver->count('new', 'requests'), 1, 'created again, it is served');
is($receiver->count($_, 'requests'), $requests{$_}, "nothing more was sent to $_") for sort keys %requests;
is($bmw->sql('SELECT count(*) FROM bm_webhook.delivery'), 1, 'nothing of the old one is left');

$session->quit;
$bmw->finish;

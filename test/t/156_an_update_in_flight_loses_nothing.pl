# ALTER EXTENSION UPDATE while requests are in flight and others wait, carried out, refused and rolled back: it does not wait for
# receivers, what has been answered is recorded, and everything arrives. Only what hung is sent again.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;
use Time::HiRes qw(time);

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my $load = 'SELECT ' . $bmw->emit_call('test.load') . ';';
my @once = qw(slow retrying fast);

$bmw->endpoint('/slow/100/slow', max_in_flight => 4, event_types => '{test.load}');
$bmw->endpoint('/fail/1/retrying', retry_delays => '{' . join(',', ('100ms') x 50) . '}', event_types => '{test.load}');
$bmw->endpoint('/ok/fast', event_types => '{test.load}');
$bmw->endpoint('/hang/hang', event_types => '{test.hang}', timeout => '60 s');

my $update = 'ALTER EXTENSION bm_webhook UPDATE';
for my $command ([ $update, '' ], [ "$update TO 'nonsense'", '22023' ], [ "BEGIN; $update; ROLLBACK", '' ])
{
	my ($sql, $sqlstate) = @$command;
	my $before = $receiver->count('hang', 'requests');
	my $pgbench = $bmw->pgbench($load, '-c', 2, '-R', 100, '-t', 50);
	$bmw->emit_many(2, 'test.hang');
	$bmw->wait_for_requests('hang', $before + 2);
	wait_until('slow ones are in flight', sub { $receiver->count('slow', 'in_flight') });

	my $start = time;
	is($bmw->sqlstate("SET client_min_messages = warning; $sql"), $sqlstate, $sql);
	cmp_ok(time - $start, '<', 20, 'it does not wait for what hangs');
	ok($pgbench->finish, 'sessions that emit go on');
	$bmw->wait_for_sql('all are delivered', q{SELECT count(*) FILTER (WHERE d.status = 'delivered') = 3 * count(DISTINCT e.id)
		FROM bm_webhook.event e LEFT JOIN bm_webhook.delivery d ON d.event_id = e.id WHERE e.type = 'test.load'});
}
$bmw->wait_for_requests('hang', 6, 'distinct');    # all that hangs is on its way
$receiver->behave('hang', 'ok');
$receiver->release('hang');
$bmw->wait_for_sql('what hung is delivered', q{SELECT count(*) = 6 FROM bm_webhook.delivery d JOIN bm_webhook.event e ON e.id = d.event_id
	WHERE e.type = 'test.hang' AND d.status = 'delivered' AND d.attempts = 1});
$bmw->settle;
$bmw->arrived_exactly_once($_, q{SELECT id FROM bm_webhook.event WHERE type = 'test.load'}, "$_ gets all once") for @once;
$bmw->arrived_exactly_once('hang', q{SELECT id FROM bm_webhook.event WHERE type = 'test.hang'}, 'what hung is answered once');
$bmw->finish;

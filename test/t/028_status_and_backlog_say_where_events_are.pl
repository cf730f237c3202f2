# status() and the view backlog say what is in flight, queued and waiting, and
# why a dispatcher does not run; wait_for_delivery() says how an event ended.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;
use Time::HiRes qw(time);

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

my %endpoint = (
	hang => $bmw->endpoint('/hang/hang', timeout => '60 s', max_in_flight => 2, event_types => '{test.hang}'),
	failing => $bmw->endpoint('/status/500/failing', retry_delays => '{1 h}', event_types => '{test.failing,test.both}'),
	doomed => $bmw->endpoint('/status/404/doomed', retry_delays => '{}', event_types => '{test.doomed}'),
	ok => $bmw->endpoint('/ok/ok', event_types => '{test.ok,test.both}'));

is($bmw->sql(q{SELECT string_agg(n, ' ' ORDER BY n) FROM pg_proc, unnest(proargnames) n WHERE oid = 'bm_webhook.status'::regproc}),
	'capture_failures database in_flight last_capture_error last_capture_error_at last_error last_error_at pending pid queued reason resent secrets sent set_aside shard since state unrecorded',
	'columns of status()');

$bmw->emit_many(10, 'test.hang');
$bmw->emit_many(5, 'test.failing');
$bmw->wait_for_requests('hang', 2);
$bmw->wait_for_requests('failing', 5);
$bmw->settle(in_flight => 2);

is($bmw->status('database, shard, state, in_flight, queued, pending'), 'postgres|0|running|2|8|5', 'status() counts');
is($bmw->status(q{since > now() - interval '2 min' AND since <= now()}), 't', 'since when it runs');
is($bmw->status('pid') , $bmw->sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'bm_webhook dispatcher%' AND datname = 'postgres'}),
	'pid is the dispatcher of the database');
is($bmw->status('last_error IS NULL AND last_error_at IS NULL AND reason IS NULL'), 't',
	'an endpoint that fails is no error of the dispatcher');
is($bmw->sql(q{SELECT string_agg(concat_ws(' ', endpoint_id, pending, retrying, not_taken), ', ' ORDER BY endpoint_id)
		FROM bm_webhook.backlog WHERE pending > 0 OR not_taken > 0}),
	"$endpoint{hang} 0 0 10, $endpoint{failing} 5 5 0", 'backlog has all that waits, of each endpoint');

# wait_for_delivery()
my ($before, $event);
sub wait_for { return $bmw->sql("SELECT bm_webhook.wait_for_delivery('$event', '$_[0]')") }

$event = $bmw->emit('test.ok');
is(wait_for('10 s'), 't', 'true when delivered');
is(wait_for('0'), 't', 'true at once when it was before');
$event = $bmw->emit('test.doomed');
$before = time;
is(wait_for('30 s'), 'f', 'false when given up');
cmp_ok(time - $before, '<', 10, 'as soon as it is');
$event = $bmw->emit('test.both');
$before = time;
is(wait_for('700 ms'), 'f', 'false at the timeout when one of two is not delivered');
cmp_ok(time - $before, '>=', 0.7, 'not before the timeout');
$bmw->sql("DELETE FROM bm_webhook.endpoint WHERE id = $endpoint{failing}");
$before = time;
is(wait_for('30 s'), 'f', 'false when canceled');
cmp_ok(time - $before, '<', 10, 'as soon as it is');
$event = $bmw->emit('test.nobody');
is(wait_for('300 ms'), 'f', 'false when nobody wants it');
is($bmw->sqlstate(q{SELECT bm_webhook.wait_for_delivery('00000000-0000-7000-8000-000000000000', '1 s')}), '42704',
	'an error when there is no such event');

is($bmw->status('sent > 0 AND resent >= 0'), 't', 'sent counts');
$bmw->finish;

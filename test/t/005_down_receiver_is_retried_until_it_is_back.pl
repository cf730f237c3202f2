# A receiver that is down: each delivery is tried again by the endpoint's
# schedule, with a jitter of at most 20 %, under the same webhook-id, and arrives
# once when the receiver is back. The failed attempts are in the log. (Few of them: with more
# than 32 in a row single deliveries are tried, test 180.)

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my @delays_ms = (200, 400, 800, (300) x 97);

my $endpoint = $bmw->endpoint('/ok/shop', retry_delays => '{' . join(',', map { "${_}ms" } @delays_ms) . '}');
$receiver->stop;
$bmw->emit_many(6, 'test.order');
$bmw->wait_for_sql('five attempts of each have failed',
	'SELECT count(*) = 6 FROM bm_webhook.failed_attempt WHERE attempt = 5');
is($bmw->sql('SELECT DISTINCT status, attempts >= 5, next_attempt_at IS NOT NULL, error_class FROM bm_webhook.delivery'),
	'pending|t|t|connect', 'they are pending in the log');
is($bmw->sql("SELECT sum(pending) FROM bm_webhook.status() WHERE database = 'postgres'"), 6, 'and in status()');

$receiver->start;
$bmw->wait_for_sql('all are delivered', q{SELECT count(*) = 6 FROM bm_webhook.delivery WHERE status = 'delivered'});
$bmw->settle;
$bmw->arrived_exactly_once('shop', q{SELECT id FROM bm_webhook.event WHERE type = 'test.order'},
	'each arrives once, under the id of its event');
is($receiver->count('shop', 'requests'), 6, 'no request beside them');

my $wrong = 0;
for my $request ($receiver->requests('shop'))
{
	my $attempt = $request->{headers}{'bm-webhook-attempt'};
	my $event = $request->{headers}{'webhook-id'};
	$wrong++ if $attempt ne $bmw->sql("SELECT attempts FROM bm_webhook.delivery WHERE event_id = '$event'");
	$wrong++ if $attempt != 1 + $bmw->sql("SELECT count(*) FROM bm_webhook.failed_attempt WHERE event_id = '$event'");
}
is($wrong, 0, 'bm-webhook-attempt counts the attempts of the log');

# Time between attempts against the schedule; half a second for a busy machine.
my @intervals = split /\n/, $bmw->sql(q{
	SELECT attempt, (extract(epoch FROM attempted_at - before) * 1000)::int
	FROM (SELECT attempt, attempted_at, lag(attempted_at) OVER (PARTITION BY event_id ORDER BY attempt) AS before
		  FROM bm_webhook.failed_attempt) a WHERE before IS NOT NULL AND attempt <= 5});
my (@early, @late, %different);
for (@intervals)
{
	my ($attempt, $ms) = split /\|/;
	my $delay = $delays_ms[ $attempt - 2 ];
	push @early, $_ if $ms < 0.8 * $delay - 2;
	push @late, $_ if $ms > 1.2 * $delay + 5000;
	$different{$ms} = 1 if $attempt == 4;
}
is_deeply(\@early, [], 'no attempt before its time');
is_deeply(\@late, [], 'no attempt long after its time');
cmp_ok(scalar keys %different, '>', 2, 'the delays have a jitter');

# A new event to an endpoint that is well again needs no retry.
$bmw->wait_for_delivery($bmw->emit('order.new'));
is($bmw->sql(q{SELECT attempts FROM bm_webhook.delivery JOIN bm_webhook.event ON id = event_id WHERE type = 'order.new'}),
	1, 'the first attempt succeeds again');

$bmw->finish;

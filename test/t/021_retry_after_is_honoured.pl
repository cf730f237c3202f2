# Retry-After, in seconds and as a date, moves the next attempt of the schedule
# back, and holds the other deliveries of the endpoint; it does not touch others.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

$bmw->endpoint('/retry-after/2/seconds', retry_delays => '{100ms,100ms}', event_types => '{test.first,test.second}');
$bmw->endpoint('/retry-date/2/date', retry_delays => '{100ms,100ms}', event_types => '{test.first}');
$bmw->endpoint('/fail/1/without', retry_delays => '{100ms,100ms}', event_types => '{test.first}');
$bmw->endpoint('/retry-after/0/sooner', retry_delays => '{1 s}', event_types => '{test.first}');

my $first = $bmw->emit('test.first');
$bmw->wait_for_sql('the endpoint asked to wait',
	q{SELECT EXISTS (SELECT FROM bm_webhook.failed_attempt JOIN bm_webhook.endpoint ON id = endpoint_id WHERE url LIKE '%/seconds')});
is($bmw->sql(q{SELECT next_attempt_at - last_attempt_at >= interval '2 s' FROM bm_webhook.delivery
		JOIN bm_webhook.endpoint ON id = endpoint_id WHERE url LIKE '%/seconds'}), 't', 'the log says until when');
$receiver->behave('seconds', 'ok');
my $second = $bmw->emit('test.second');
$bmw->wait_for_delivery($_) for $first, $second;

sub gap_ms
{
	my ($name) = @_;
	my @at = map { $_->{at_us} } grep { $_->{id} eq $first } $receiver->arrivals($name);
	is(scalar @at, 2, "$name: two attempts");
	return ($at[1] - $at[0]) / 1000;
}

my $gap = gap_ms('seconds');
cmp_ok($gap, '>=', 1990, 'seconds: not before');
cmp_ok($gap, '<', 10_000, 'seconds: not long after');
$gap = gap_ms('date');
# The receiver rounds up to the next second.
cmp_ok($gap, '>=', 1990, 'date: not before');
cmp_ok($gap, '<', 10_000, 'date: not long after');
cmp_ok(gap_ms('without'), '<', 1990, 'another endpoint keeps to its schedule');
cmp_ok(gap_ms('sooner'), '>=', 790, 'Retry-After cannot ask for sooner than the schedule');

my %at = map { $_->{id} => $_->{at_us} } $receiver->arrivals('seconds');
my ($asked) = map { $_->{at_us} } grep { $_->{id} eq $first } $receiver->arrivals('seconds');
cmp_ok($at{$second} - $asked, '>=', 1_990_000, 'the other deliveries of the endpoint wait as well');

$bmw->finish;

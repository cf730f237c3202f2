# bm_webhook.partition_interval is changed while everything runs: what exists stays, a new partition begins where
# the last one ends, and everything that is captured has its place.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;

# So many days have partitions, without a gap and without days that have two.
sub covers
{
	my ($log, $days) = @_;
	return $bmw->sql("WITH p AS (SELECT since, until, lag(until) OVER (ORDER BY since) AS before FROM bm_webhook.partition_list WHERE log = '$log' AND since IS NOT NULL)
		SELECT bool_and(before IS NULL OR before = since) AND max(until) >= (date_trunc('day', now(), 'UTC') + interval '$days days') FROM p");
}

sub widest
{
	return $bmw->sql(q{SELECT max(until - since) FROM bm_webhook.partition_list WHERE log = 'event'});
}

is(widest(), '1 day', 'partitions are for a day');
$bmw->wait_for_sql('the dispatcher has made its own', q{SELECT bm_webhook_internal.missing_partitions(4) IS NULL});

for (([ week => 7, 14 ], [ month => 31, 70 ]))
{
	my ($interval, $most, $days) = @$_;
	$bmw->set('bm_webhook.partition_interval', $interval);
	$bmw->wait_for_sql("$interval: it is set", "SELECT current_setting('bm_webhook.partition_interval') = '$interval'");
	$bmw->sql("SELECT bm_webhook_internal.create_partitions($days)");
	is(covers($_, $days), 't', "$interval: $_ has partitions for $days days, one after the other") for qw(event delivery failed_attempt);
	is($bmw->sql("SELECT max(until) = date_trunc('$interval', max(until), 'UTC') FROM bm_webhook.partition_list"), 't', "$interval: they end with one");
	cmp_ok($bmw->sql('SELECT max(extract(days FROM until - since)) FROM bm_webhook.partition_list'), '<=', $most, "$interval: none is longer");
	cmp_ok($bmw->sql('SELECT max(extract(days FROM until - since)) FROM bm_webhook.partition_list'), '>=', $most - 3, "$interval: and some are as long");
}
my $partitions = $bmw->sql('SELECT count(*) FROM bm_webhook.partition_list');
$bmw->set('bm_webhook.partition_interval', 'day');
$bmw->wait_for_sql('day: it is set', q{SELECT current_setting('bm_webhook.partition_interval') = 'day'});
is($bmw->sql('SELECT bm_webhook_internal.create_partitions(60)'), 0, 'days that have a partition get no other');
is($bmw->sql('SELECT count(*) FROM bm_webhook.partition_list'), $partitions, 'none has come');
cmp_ok($bmw->sql('SELECT bm_webhook_internal.create_partitions(110)'), '>', 0, 'later ones do');
is(covers('event', 110), 't', 'one after the other');
is($bmw->sqlstate(q{ALTER SYSTEM SET bm_webhook.partition_interval = 'year'}), '22023', 'there is no other interval');

$bmw->endpoint('/ok/all');
$bmw->wait_for_delivery($bmw->emit('test.now'));
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.event WHERE tableoid::regclass::text ~ 'default'}), 0, 'what is captured is in no default partition');
$bmw->finish;

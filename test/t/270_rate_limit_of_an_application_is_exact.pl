# An application with rate_limit gets no more than the limit and the burst in any second, all its endpoints together,
# whichever dispatcher serves them, retries included, and nearly as many; another one is as fast as before, and a
# change takes effect at once.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new(conf => "bm_webhook.shards = 2\n");
my $receiver = $bmw->receiver;
my ($rate, $burst, $count) = (40, 10, 25);

$bmw->sql("INSERT INTO bm_webhook.application (name, rate_limit, rate_burst) VALUES ('shop', $rate, $burst), ('bank', NULL, NULL)");
my @names = map { "e$_" } 1 .. 8;
my @endpoints = map { $bmw->endpoint("/fail/1/$_", application => 'shop', retry_delays => '{100ms,100ms}') } @names;
$bmw->endpoint('/ok/bank', application => 'bank');
wait_until('two dispatchers run', sub {
	$bmw->sql(q{SELECT count(*) = 2 FROM bm_webhook.status() WHERE database = 'postgres' AND state = 'running'}) eq 't';
});

sub wait_delivered
{
	my ($expected, $application) = @_;
	$bmw->wait_for_sql("$expected to $application", qq{SELECT count(*) = $expected FROM bm_webhook.delivery
		JOIN bm_webhook.event ON id = event_id WHERE application = '$application' AND status = 'delivered'});
	return;
}

sub emit
{
	my ($n, $application) = @_;
	$bmw->sql("SELECT count(bm_webhook.emit('test.event', '{}', application => '$application')) FROM generate_series(1, $n)");
	return;
}

emit($count, 'shop');
emit(200, 'bank');
wait_delivered(200, 'bank');
cmp_ok($bmw->sql(q{SELECT count(*) FROM bm_webhook.delivery JOIN bm_webhook.event ON id = event_id
	WHERE application = 'shop' AND status = 'delivered'}), '<', 8 * $count, 'while the limited one waits');
wait_delivered(8 * $count, 'shop');
cmp_ok($bmw->sql(q{SELECT count(*) FROM bm_webhook.status() WHERE database = 'postgres' AND sent > 0}), '>', 1,
	'both dispatchers have sent');

# As the dispatchers have started them: what comes in can be late, and then come close together.
my $attempts = sprintf q{WITH attempt (event_id, endpoint_id, at) AS (
		SELECT event_id, endpoint_id, attempted_at FROM bm_webhook.failed_attempt WHERE endpoint_id IN (%1$s)
		UNION SELECT event_id, endpoint_id, last_attempt_at FROM bm_webhook.delivery
		WHERE endpoint_id IN (%1$s) AND last_attempt_at IS NOT NULL)}, join ',', @endpoints;
cmp_ok($bmw->sql("$attempts SELECT count(*) FROM attempt"), '>=', 2 * 8 * $count, 'retries are among them');
my $most = $bmw->sql("$attempts SELECT max(n) FROM (SELECT count(*) OVER
	(ORDER BY at RANGE BETWEEN CURRENT ROW AND interval '999999 us' FOLLOWING) AS n FROM attempt) w");
cmp_ok($most, '<=', $rate + $burst, 'never more in a second');
cmp_ok($most, '>', $rate / 2, 'nor much less');

$bmw->sql("UPDATE bm_webhook.application SET rate_limit = 1, rate_burst = NULL WHERE name = 'shop'");
emit(1, 'shop');
$bmw->wait_for_sql('the new limit holds', qq{$attempts SELECT count(*) >= 402 FROM attempt});
cmp_ok($bmw->sql(qq{$attempts SELECT extract(epoch FROM max(at) - lag) FROM (SELECT at, lag(at) OVER (ORDER BY at) FROM attempt) a
	GROUP BY lag, at ORDER BY at DESC LIMIT 1}), '>=', 0.999999, 'a second between two');

$bmw->sql("UPDATE bm_webhook.application SET rate_limit = NULL WHERE name = 'shop'");
emit(250, 'shop');
wait_delivered(8 * ($count + 251), 'shop');
pass('without the limit');

for my $sql ('rate_limit = 0', 'rate_limit = -1', 'rate_limit = 10001', 'rate_burst = 3', 'rate_limit = 5, rate_burst = 0')
{
	is($bmw->sqlstate("UPDATE bm_webhook.application SET $sql WHERE name = 'shop'"), '22023', "$sql is refused");
}
$bmw->finish;

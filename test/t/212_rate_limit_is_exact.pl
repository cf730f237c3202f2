# An endpoint with rate_limit gets no more than the limit and the burst in any second, retries included, and
# nearly as many; another one is as fast as before.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my ($rate, $burst, $count) = (40, 10, 250);

my $limited = $bmw->endpoint('/fail/1/limited', rate_limit => $rate, rate_burst => $burst, retry_delays => '{100ms,100ms}', event_types => '{test.limited}');
$bmw->endpoint('/ok/free', event_types => '{test.free}');
$bmw->emit_many($count, 'test.limited');
$bmw->emit_many($count, 'test.free');
$bmw->wait_for_sql('the other is not limited', q{SELECT count(*) = 250 FROM bm_webhook.delivery
	JOIN bm_webhook.event ON id = event_id WHERE type = 'test.free' AND status = 'delivered'});
cmp_ok($receiver->count('limited', 'requests'), '<', $count, 'while the limited one waits');
$bmw->wait_for_sql('all are delivered', q{SELECT count(*) = 250 FROM bm_webhook.delivery
	JOIN bm_webhook.event ON id = event_id WHERE type = 'test.limited' AND status = 'delivered'});

# As the dispatcher has started them: what comes in can be late, and then come close together.
my $most = $bmw->sql(qq{WITH attempt (at) AS (
		SELECT attempted_at FROM bm_webhook.failed_attempt WHERE endpoint_id = $limited
		UNION ALL SELECT last_attempt_at FROM bm_webhook.delivery WHERE endpoint_id = $limited)
	SELECT max(n) FROM (SELECT count(*) OVER (ORDER BY at RANGE BETWEEN CURRENT ROW AND interval '999999 us' FOLLOWING) AS n FROM attempt) w});
cmp_ok($most, '<=', $rate + $burst, 'never more in a second');
cmp_ok($most, '>', $rate / 2, 'nor much less');

$bmw->sql("UPDATE bm_webhook.endpoint SET rate_limit = NULL, rate_burst = NULL WHERE id = $limited");
$bmw->emit_many(2000, 'test.limited');
$bmw->wait_for_sql('without the limit', q{SELECT count(*) = 2250 FROM bm_webhook.delivery
	JOIN bm_webhook.event ON id = event_id WHERE type = 'test.limited' AND status = 'delivered'});
for my $sql ('rate_limit = 0', 'rate_limit = -1', 'rate_burst = 3', 'rate_limit = 5, rate_burst = 0')
{
	is($bmw->sqlstate("UPDATE bm_webhook.endpoint SET $sql WHERE id = $limited"), '22023', "$sql is refused");
}

$bmw->finish;

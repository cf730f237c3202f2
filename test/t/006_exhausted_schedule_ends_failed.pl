# When the schedule is exhausted a delivery ends as failed, visibly: its row says
# why, every attempt is in failed_attempt and in the view attempt. Then nothing
# is sent any more. A schedule without delays has one attempt. Each kind of
# failure has its class.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

$bmw->endpoint('/status/500/never', retry_delays => '{100ms,200ms,100ms}');
$bmw->endpoint('/fail/2/late', retry_delays => '{100ms,100ms}');
$bmw->endpoint('/status/404/single', retry_delays => '{}');
$bmw->endpoint('/reset/reset', retry_delays => '{}');
$bmw->endpoint('/hang/hang', retry_delays => '{}', timeout => '300ms');
$bmw->endpoint('/redirect/302/redirect', retry_delays => '{}');
$bmw->endpoint("http://127.0.0.1:1024/ok/refused", retry_delays => '{}');
$bmw->endpoint('http://no-such-name.invalid/ok/name', retry_delays => '{}');
$bmw->endpoint('https://127.0.0.1:' . $receiver->port . '/ok/tls', retry_delays => '{}');

my $event = $bmw->emit('test.doomed');
$bmw->wait_for_sql('all have ended', q{SELECT count(*) = 9 FROM bm_webhook.delivery WHERE status IN ('failed', 'delivered')});
$bmw->settle;

my %expected = (
	never => 'failed|4|http_status|500',
	late => 'delivered|3||204',
	single => 'failed|1|http_status|404',
	reset => 'failed|1|reset|',
	hang => 'failed|1|timeout|',
	redirect => 'failed|1|http_status|302',
	refused => 'failed|1|connect|',
	name => 'failed|1|name_resolution|',
	tls => 'failed|1|tls|');
my %got = map { split /\|/, $_, 2 } split /\n/, $bmw->sql(q{
	SELECT substring(url FROM '[^/]*$'), d.status, attempts, error_class, http_status
	FROM bm_webhook.delivery d JOIN bm_webhook.endpoint e ON e.id = endpoint_id WHERE e.event_types = '{*}'});
is_deeply(\%got, \%expected, 'each delivery has its outcome, attempts, class and HTTP status');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.delivery WHERE status = 'failed' AND (next_attempt_at IS NOT NULL OR error IS NULL)}),
	0, 'what failed says why and waits for nothing');

is($bmw->sql(q{SELECT string_agg(attempt || ' ' || http_status, ', ' ORDER BY attempt)
		FROM bm_webhook.failed_attempt f JOIN bm_webhook.endpoint e ON e.id = endpoint_id WHERE url LIKE '%/never'}),
	'1 500, 2 500, 3 500, 4 500', 'all four failed attempts are in the log');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.attempt a JOIN bm_webhook.endpoint e ON e.id = endpoint_id WHERE url LIKE '%/late'}),
	3, 'the view attempt has the successful one beside those that failed');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.failed_attempt
		WHERE total_time <= interval '0' OR total_time < first_byte_time OR total_time < connect_time}),
	0, 'with their times');
is($bmw->sql('SELECT sum(pending) FROM bm_webhook.status()'), 0, 'status() has nothing pending');

is($receiver->count('never', 'requests'), 4, 'four requests by a schedule of three delays');
is($receiver->count('single', 'requests'), 1, 'one by an empty schedule');
is($receiver->count('redirect-redirected', 'requests'), 0, 'a redirect is not followed');

$bmw->finish;

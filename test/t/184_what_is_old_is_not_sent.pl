# endpoint.ttl: what was captured longer ago is not sent any more, but canceled, whether
# it waits for a retry, in a queue or for a pause to end; what is younger arrives.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

for my $bad ("'0 s'", "'-1 s'", "'1000 days'", "'1 month -1 year'")
{
	is($bmw->sqlstate("INSERT INTO bm_webhook.endpoint (url, ttl) VALUES ('https://example.com/', $bad)"), '22023', "ttl $bad is refused");
}
my $code = $bmw->endpoint('/status/500/code', event_types => '{test.*}', ttl => '2 s', retry_delays => '{1h}');
my $log = $bmw->endpoint('/status/500/log', event_types => '{test.*}', retry_delays => '{1h}');
my $first = $bmw->emit('test.code');
$bmw->wait_for_sql('a retry that would come too late is canceled', "SELECT status = 'canceled' FROM bm_webhook.delivery WHERE event_id = '$first' AND endpoint_id = $code");
is($bmw->sql("SELECT error, attempts, next_attempt_at IS NULL FROM bm_webhook.delivery WHERE event_id = '$first' AND endpoint_id = $code"), 'expired|1|t', 'with the reason');
is($bmw->sql("SELECT status FROM bm_webhook.delivery WHERE event_id = '$first' AND endpoint_id = $log"), 'pending', 'another endpoint waits for it');
is($receiver->count('code', 'requests'), 1, 'it was tried once');

$receiver->behave('code', 'ok/code');
$bmw->sql("SELECT bm_webhook.pause($code)");
my $second = $bmw->emit('test.code');
$bmw->wait_for_sql('time passes', "SELECT clock_timestamp() > created_at + interval '2 s' FROM bm_webhook.event WHERE id = '$second'");
$bmw->sql("SELECT bm_webhook.resume($code)");
my $third = $bmw->emit('test.code');
$bmw->wait_for_sql('what became old while it was paused is canceled', "SELECT status = 'canceled' FROM bm_webhook.delivery WHERE event_id = '$second' AND endpoint_id = $code");
$bmw->wait_for_sql('what is new arrives', "SELECT status = 'delivered' FROM bm_webhook.delivery WHERE event_id = '$third' AND endpoint_id = $code");
is($receiver->count('code', 'requests'), 2, 'and nothing else');
$bmw->sql("UPDATE bm_webhook.endpoint SET ttl = NULL WHERE id = $code");
$bmw->sql("SELECT bm_webhook.redeliver('$second', $code)");
$bmw->wait_for_sql('without a limit it is sent', "SELECT status = 'delivered' FROM bm_webhook.delivery WHERE event_id = '$second' AND endpoint_id = $code");

# an event that says so itself
$receiver->behave('log', 'status/500/log');
my $limited = $bmw->sql(q{SELECT bm_webhook.emit('test.code', '{}', expires_at => clock_timestamp() + interval '2 s')});
$bmw->wait_for_sql('it arrives where it is taken', "SELECT status = 'delivered' FROM bm_webhook.delivery WHERE event_id = '$limited' AND endpoint_id = $code");
$bmw->wait_for_sql('it expires where it waits', "SELECT (status, error) = ('canceled', 'expired') FROM bm_webhook.delivery WHERE event_id = '$limited' AND endpoint_id = $log");
my $late = $bmw->sql(q{SELECT bm_webhook.emit('test.code', '{}', expires_at => '2020-01-01')});
$bmw->wait_for_sql('what has expired is sent to nobody', "SELECT count(*) = 2 FROM bm_webhook.delivery WHERE event_id = '$late' AND status = 'canceled' AND attempts = 0");
# what has expired costs no request of the rate, and no probe while nobody answers
$bmw->endpoint('/ok/limited', event_types => '{limited.*}', rate_limit => 1);
$bmw->sql(q{SELECT count(bm_webhook.emit('limited.code', '{}', expires_at => '2020-01-01')) FROM generate_series(1, 600)});
my $live = $bmw->emit('limited.code');
$bmw->wait_for_sql('what has not expired waits for nothing that has', "SELECT status = 'delivered' FROM bm_webhook.delivery WHERE event_id = '$live'");
$bmw->finish;

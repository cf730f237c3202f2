# Each endpoint has its own headers and its own timeout; a timeout is recorded as
# such, after that time and not much later.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

$bmw->endpoint('/ok/headers', headers => '{"X-Tenant": "a, b; c=\"d\"", "Authorization": "Bearer t0ken"}');
$bmw->endpoint('/ok/none');
my $quick = $bmw->endpoint('/hang/quick', timeout => '400ms', retry_delays => '{}');
my $patient = $bmw->endpoint('/slow/900/patient', timeout => '30 s');
my $impatient = $bmw->endpoint('/slow/900/impatient', timeout => '500ms', retry_delays => '{}');

my $event = $bmw->emit('test.event');
$bmw->wait_for_sql('all have ended', "SELECT count(*) = 5 FROM bm_webhook.delivery WHERE status <> 'pending'");

my ($request) = $receiver->requests('headers');
is($request->{headers}{'x-tenant'}, 'a, b; c="d"', 'a header');
is($request->{headers}{authorization}, 'Bearer t0ken', 'another');
($request) = $receiver->requests('none');
is($request->{headers}{authorization}, undef, 'they are not sent to another endpoint');

is($bmw->sql("SELECT string_agg(endpoint_id || ' ' || status || ' ' || coalesce(error_class, '-'), ', ' ORDER BY endpoint_id)
		FROM bm_webhook.delivery WHERE endpoint_id IN ($quick, $patient, $impatient)"),
	"$quick failed timeout, $patient delivered -, $impatient failed timeout", 'timeouts are recorded as such');
for ([ $quick, '400 ms' ], [ $impatient, '500 ms' ])
{
	my ($id, $timeout) = @$_;
	is($bmw->sql("SELECT total_time >= interval '$timeout' - interval '5 ms', total_time < interval '$timeout' + interval '10 s'
			FROM bm_webhook.failed_attempt WHERE endpoint_id = $id"), 't|t', "after $timeout and not much later");
}

is($bmw->sqlstate("UPDATE bm_webhook.endpoint SET headers = '{\"$_\": \"x\"}'"), '22023', "reserved header refused: $_")
  for qw(Host webhook-id Webhook-Signature Content-Length content-type Transfer-Encoding connection);
is($bmw->sqlstate(q(UPDATE bm_webhook.endpoint SET headers = '{"a": "b\r\nX-Injected: c"}')), '22023', 'line end refused');
like($bmw->sqlstate("UPDATE bm_webhook.endpoint SET timeout = '$_'"), qr/^(22023|23514)$/, "timeout refused: $_")
  for ('0', '-1 s', '1 day');

$bmw->finish;

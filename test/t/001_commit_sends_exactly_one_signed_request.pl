# Committed → exactly one signed request to each endpoint that matches, and none
# to the others; nothing before the commit. The request is what the design says:
# headers, body, and the row of the delivery log that goes with it.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use JSON::PP;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

$bmw->sql(q{INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('bank')});
my %endpoint = (
	all => $bmw->endpoint('/ok/all'),
	sms => $bmw->endpoint('/ok/sms', channel => 'sms'),
	message => $bmw->endpoint('/ok/message', event_types => '{message.*}'),
	sent => $bmw->endpoint('/ok/sent', event_types => '{order.paid,message.sent}'),
	shop => $bmw->endpoint('/ok/shop', application => 'shop'),
	bank => $bmw->endpoint('/ok/bank', application => 'bank'),
	rcs => $bmw->endpoint('/ok/rcs', channel => 'rcs'),
	order => $bmw->endpoint('/ok/order', event_types => '{order.*}'));

my $session = $bmw->session;
my $data = '{"text": "grüße ☎ \"quoted\" \\\\ </script>", "price": 12345678901234567890.120, "list": [1, null, true]}';
$session->query_safe('BEGIN');
my $event = $session->query_safe('SELECT '
	  . $bmw->emit_call('message.sent', data => $data, application => 'shop', channel => 'sms',
		message_id => 'm-1', occurred_at => '2026-01-02 03:04:05.678+00'));
like($event, qr/^[0-9a-f]{8}-[0-9a-f]{4}-7/, 'the id is a UUID of version 7');
$bmw->settle;
is($receiver->count('all', 'requests'), 0, 'nothing is sent before the commit');

$session->query_safe('COMMIT');
$bmw->wait_for_delivery($event);
$bmw->settle;
for my $name (sort keys %endpoint)
{
	my $expected = $name =~ /^(bank|rcs|order)$/ ? 0 : 1;
	is($receiver->count($name, 'requests'), $expected, "$name: $expected");
	is($receiver->count($name, 'verified'), $expected, "$name: verified by the receiver") if $expected;
}

my ($request) = $receiver->requests('all');
my $headers = $request->{headers};
is($request->{method}, 'POST', 'POST');
is($headers->{'webhook-id'}, $event, 'webhook-id is the id of the event');
cmp_ok(abs($headers->{'webhook-timestamp'} - time), '<', 60, 'webhook-timestamp is in seconds, of now');
like($headers->{'webhook-signature'}, qr{^v1,[A-Za-z0-9+/]{43}=$}, 'webhook-signature has the one secret');
is($headers->{'content-type'}, 'application/json', 'content-type');
is($headers->{'user-agent'},
	'bm_webhook/' . $bmw->sql(q{SELECT extversion FROM pg_extension WHERE extname = 'bm_webhook'}),
	'user-agent');
is($headers->{'bm-webhook-attempt'}, '1', 'bm-webhook-attempt');
is_deeply([ sort keys %$headers ],
	[ qw(accept bm-webhook-attempt content-length content-type host user-agent webhook-id webhook-signature webhook-timestamp) ],
	'and no other header')
  or diag(join ' ', sort keys %$headers);

my $body = decode_json($request->{body} =~ s/([^\x00-\x7f])/sprintf '\\u%04x', ord $1/gre);
is_deeply([ sort keys %$body ], [qw(application channel data id message_id timestamp type)], 'fields of the body');
is_deeply([ @$body{qw(id type application channel message_id)} ],
	[ $event, 'message.sent', 'shop', 'sms', 'm-1' ], 'their values');
like($body->{timestamp}, qr/^2026-01-02T03:04:05\.678(000)?Z$/, 'timestamp is when it happened');
is($body->{data}{text}, "gr\x{fc}\x{df}e \x{260e} \"quoted\" \\ </script>", 'text survives');
like($request->{body}, qr/12345678901234567890\.120/, 'numbers keep their digits');
is_deeply($body->{data}{list}, [ 1, undef, JSON::PP::true ], 'lists survive');

is($bmw->sql("SELECT status, attempts, http_status, error_class IS NULL, next_attempt_at IS NULL,
		first_attempt_at = last_attempt_at, last_attempt_at > now() - interval '1 min', duration > interval '0'
		FROM bm_webhook.delivery WHERE event_id = '$event' AND endpoint_id = $endpoint{all}"),
	'delivered|1|204|t|t|t|t|t', 'the log has the delivery');
is($bmw->sql("SELECT count(*) FROM bm_webhook.delivery WHERE event_id = '$event'"), 5, 'one for each endpoint');
is($bmw->sql('SELECT count(*) FROM bm_webhook.failed_attempt'), 0, 'no attempt failed');
is($bmw->sql("SELECT count(*) FROM bm_webhook.attempt WHERE event_id = '$event'"), 5, 'the view attempt has all');

# An event with nothing but a type.
$receiver->reset;
$event = $bmw->emit('test.plain');
$bmw->wait_for_delivery($event);
($request) = $receiver->requests('all');
is_deeply([ sort keys %{ decode_json($request->{body}) } ], [qw(data id timestamp type)],
	'what is not set is not in the body');

# Ten times, each when all is quiet: the commit wakes the dispatcher.
$bmw->wait_for_delivery($bmw->emit('test.wake')) for 1 .. 10;
my @latencies = $bmw->latencies('all', 'test.wake');
note("ms from emit to arrival: @latencies");
my $most = ($ENV{BMW_INSTRUMENT} // '') eq 'valgrind' ? 3000 : 1000; # the look is after five seconds
cmp_ok(percentile(50, @latencies), '<', $most, 'a request leaves at once, not at the next periodic look');

# ping() is for one endpoint alone, whatever it subscribes to.
$receiver->reset;
$bmw->wait_for_delivery($bmw->sql("SELECT bm_webhook.ping($endpoint{order})"));
$bmw->settle;
is($receiver->count('all', 'requests'), 0, 'a ping goes to nobody else');
($request) = $receiver->requests('order');
is(decode_json($request->{body})->{type}, 'webhook.ping', 'a ping');

$session->quit;
$bmw->finish;

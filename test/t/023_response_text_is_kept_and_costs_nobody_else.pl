# The first 2 KB of the response to a failed attempt are kept if they are text. A
# response that is none, that is too large or that does not end, and a connection
# that breaks, cost their own delivery and no other: the good ones beside them,
# in the same batches, arrive once and are recorded. What a response gives back of
# header values and secrets is overwritten: operators see responses, but not those.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use MIME::Base64 qw(encode_base64url);
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

# retry_delays is empty: one attempt each.
my %path = (
	short => '/status/500/short',
	long => '/text/500/5000/long',
	binary => '/binary/500/binary',
	huge => '/text/500/3000000/huge',
	endless => '/endless/endless',
	reset => '/reset/reset',
	empty => '/binary/400/empty');
my %endpoint = map { $_ => $bmw->endpoint($path{$_}, retry_delays => '{}', timeout => '10 s', max_in_flight => 2) } sort keys %path;
$bmw->endpoint('/ok/good');
$bmw->endpoint('/close/closing');

$bmw->emit_many(20, 'test.event');
$bmw->wait_for_sql('all have ended', q{SELECT count(*) = 180 FROM bm_webhook.delivery WHERE status IN ('failed', 'delivered')});
$bmw->settle;

sub facts
{
	my ($name, $expression) = @_;
	return $bmw->sql("SELECT DISTINCT $expression FROM bm_webhook.failed_attempt WHERE endpoint_id = $endpoint{$name}");
}

is(facts('short', q{http_status, rtrim(response, E'\n')}), '500|status 500 for short', 'text is kept');
is(facts('long', q{octet_length(response), left(response, 9)}), '2048|text text', 'its first 2 KB');
is(facts('binary', 'http_status, response IS NULL'), '500|t', 'what is no text is not');
is(facts('endless', 'error_class'), 'response_too_large', 'a response without end is broken off');
like(facts('huge', 'error_class'), qr/^(response_too_large|http_status)$/, 'a huge one is too');
is(facts('reset', 'error_class, http_status IS NULL, response IS NULL'), 'reset|t|t', 'a connection that breaks has no response');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.failed_attempt WHERE error_class <> 'response_too_large' AND total_time > interval '5 s'}), 0,
	'nobody waited for another');

for my $name (qw(good closing))
{
	$bmw->arrived_exactly_once($name, q{SELECT id FROM bm_webhook.event WHERE type = 'test.event'}, "$name: all arrive once");
}
is($receiver->count($_, 'requests'), 20, "$_: 20 requests") for grep { $_ ne 'reset' } sort keys %path;
# On a connection that was used before, libcurl sends again by itself.
is($receiver->count('reset', 'requests'), 20 + $bmw->status('resent'), 'reset: 20 requests, and those counted as resent');

my $echo = join "\n", 'authorization: Bearer t0ken-t0ken', '{"x-key":"dXNlcjpw\\/c3M="}', 'no such token: t0ken-t0ken', 'SECRET=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'end';
my $echoing = $bmw->endpoint('/bytes/' . encode_base64url("HTTP/1.1 500 No\r\nConnection: close\r\n\r\n$echo") . '/echo', event_types => '{test.echo}', retry_delays => '{}',
	headers => '{"authorization": "Bearer t0ken-t0ken", "x-key": "dXNlcjpw/c3M=", "x-short": "end"}');
$bmw->emit('test.echo');
$bmw->wait_for_sql('it fails', "SELECT count(*) = 1 FROM bm_webhook.failed_attempt WHERE endpoint_id = $echoing");
is($bmw->sql("SELECT regexp_replace(response, '[*]+', '*', 'g') FROM bm_webhook.failed_attempt WHERE endpoint_id = $echoing"),
	qq(authorization: *\n{"x-key":"*"}\nno such token: *\nSECRET=whsec_*\nend), 'what is given back is overwritten');

$bmw->finish;

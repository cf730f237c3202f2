# An endpoint with payload = 'thin' gets the body without data: what preview() shows, signed as it
# is sent, at every attempt and next to endpoints that get everything; of every shipped type
# as its schema says. A change takes effect with the next request.
use strict;
use warnings FATAL => 'all';

use lib 'test/lib', 'test/interop';
use BmWebhook;
use Interop qw(run_node);
use JSON::PP;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

is($bmw->sqlstate(qq{INSERT INTO bm_webhook.endpoint (url, payload) VALUES ('https://example.com/', $_->[0])}), $_->[1], "payload => $_->[0]")
  for [ q{'none'}, '22023' ], [ 'NULL', '23502' ], [ q{''}, '22023' ];

my $thin = $bmw->endpoint('/ok/thin', event_types => '{test.*,message.*}', payload => 'thin', filter => 'exists($.data)');
my $full = $bmw->endpoint('/ok/full', event_types => '{test.*}');
is($bmw->sql("SELECT payload FROM bm_webhook.endpoint WHERE id = $full"), 'full', 'the default is the whole body');
$bmw->sql(q{INSERT INTO bm_webhook.application (name) VALUES ('shop')});
my $secret = 'the code is 123456';
my $event = $bmw->sql(qq{SELECT bm_webhook.emit('test.thin', '{"text": "$secret", "data": {}}', application => 'shop', channel => 'sms',
	message_id => E'm "1"\\\\', occurred_at => '2026-02-03 04:05:06.789+00')});
$bmw->wait_for_requests($_, 1) for qw(thin full);
$bmw->settle;
my ($request) = $receiver->requests('thin');
is($request->{body}, qq({"id":"$event","type":"test.thin","timestamp":"2026-02-03T04:05:06.789Z","application":"shop","channel":"sms","message_id":"m \\"1\\"\\\\"}),
	'id, type, time, application, channel and message id, and no content');
is($receiver->count('thin', 'bad_signatures'), 0, 'its signature is right');
like(($receiver->requests('full'))[0]{body}, qr/^\{"id":"$event",.*"data":\{.*$secret/, 'the other gets all');
is($bmw->sql("SELECT body, headers->>'content-length' FROM bm_webhook.preview('$event', $thin)"), $request->{body} . '|' . length $request->{body}, 'preview() shows it');
is($bmw->sql("SELECT bm_webhook.verify(headers, body, bm_webhook.secret($thin)) FROM bm_webhook.preview('$event', $thin)"), 't', 'signed so');
is($request->{headers}{'content-length'} // length $request->{body}, length $request->{body}, 'with the length of what is sent');

# Attempts that are fetched from the table, and a redelivery; a change between two attempts.
$receiver->behave('thin', 'status/500');
$bmw->sql("UPDATE bm_webhook.endpoint SET retry_delays = '{100 ms,100 ms,1 h}' WHERE id = $thin");
my $retried = $bmw->sql(q{SELECT bm_webhook.emit('test.retried', jsonb_build_object('text', repeat('x', 200000)))});
$bmw->wait_for_requests('thin', 4);
$receiver->behave('thin', 'ok');
$bmw->wait_for_sql('it waits for its last attempt', "SELECT next_attempt_at > now() + interval '1 min' FROM bm_webhook.delivery WHERE event_id = '$retried' AND endpoint_id = $thin");
$bmw->sql("SELECT bm_webhook.redeliver('$retried', $thin)");
$bmw->wait_for_delivery($retried);
my @of_it = map { $_->{body} } grep { $_->{body} =~ /"$retried"/ } $receiver->requests('thin');
is(scalar(@of_it), 4, 'four attempts');
is_deeply([ map { $_ eq $of_it[0] && length $_ < 200 ? 1 : 0 } @of_it ], [ 1, 1, 1, 1 ], 'each with the same small body');
$bmw->sql("UPDATE bm_webhook.endpoint SET payload = 'full' WHERE id = $thin; SELECT bm_webhook.redeliver('$event', $thin)");
$bmw->wait_for_delivery($event);
$bmw->settle;
like(($receiver->requests('thin'))[-1]{body}, qr/$secret/, 'after a change the next request is as it says');
$bmw->sql("UPDATE bm_webhook.endpoint SET payload = 'thin' WHERE id = $thin");

# Of every shipped type, as its schema says; and the schema refuses a body with data.
$receiver->reset;
my @types = split /\n/, $bmw->sql('SELECT name FROM bm_webhook.event_type WHERE shipped ORDER BY name');
$bmw->sql("SELECT bm_webhook.ping($thin, name) FROM bm_webhook.event_type WHERE shipped");
$bmw->wait_for_requests('thin', scalar @types);
my @bodies = map { $_->{body} } $receiver->requests('thin');
my $schemas = decode_json($bmw->sql(q{SELECT jsonb_object_agg(name, schema #> '{$defs,thin}') FROM bm_webhook.event_type WHERE shipped}));
my $result = run_node('validate.mjs', { schemas => $schemas, bodies => \@bodies });
is_deeply($result->{errors}, [], 'every thin body is what the schema of its type says');
is_deeply([ sort keys %{ $result->{types} } ], \@types, 'of each type');
is(scalar(grep { /"data"/ } @bodies), 0, 'without data');
my @examples = split /\n/, $bmw->sql('SELECT example::text FROM bm_webhook.event_type WHERE shipped');
utf8::decode($_) for @examples;
is(scalar @{ run_node('validate.mjs', { schemas => $schemas, bodies => \@examples })->{errors} }, scalar @types, 'which allows no data');
my $whole = decode_json($bmw->sql(q{SELECT jsonb_object_agg(name, schema) FROM bm_webhook.event_type WHERE shipped}));
is(scalar @{ run_node('validate.mjs', { schemas => $whole, bodies => \@bodies })->{errors} }, scalar @types, 'and that of a whole body demands it');
$bmw->finish;

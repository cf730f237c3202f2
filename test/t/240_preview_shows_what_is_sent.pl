# preview() shows the request that the receiver then gets: method, URL, every header
# and the body, byte for byte. Time, signature and attempt are those of the next
# attempt, and the signature is right. Nothing is sent, and nobody sees another's.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use JSON::PP qw(decode_json);
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

# A preview: as it is, what arrives: as a hash of the same form.
sub preview
{
	my ($event, $endpoint) = @_;
	my ($method, $url, $headers, $body) = split /\x01/,
	  $bmw->sql("SELECT concat_ws(E'\\x01', method, url, headers, encode(convert_to(body, 'UTF8'), 'hex')) FROM bm_webhook.preview('$event', $endpoint)");
	return { method => $method, url => $url, headers => decode_json($headers), body => $body };
}

sub arrived
{
	my ($name, $number) = @_;
	my $request = ($receiver->requests($name))[$number];
	my $body = $request->{body};
	utf8::encode($body) if utf8::is_utf8($body);
	return { method => $request->{method}, url => $receiver->url($request->{path}), headers => $request->{headers}, body => unpack('H*', $body) };
}

# Without what differs from attempt to attempt; libcurl's "connection", if it sends one, is of the connection.
sub lasting
{
	my ($request) = @_;
	my %headers = map { lc($_) => $request->{headers}{$_} } keys %{ $request->{headers} };
	delete @headers{qw(webhook-timestamp webhook-signature bm-webhook-attempt)};
	return { %$request, headers => \%headers };
}

my @endpoints = (
	[ 'plain', {} ],
	[ 'headers', { headers => '{"X-Api-Key": "a b;c", "x-empty": "", "Accept": "text/plain"}' } ],
	[ 'fails', { retry_delays => '{100 ms}' } ]);
$receiver->behave('fails', 'status/500');
$bmw->set('bm_webhook.enabled', 'off');
$bmw->wait_for_sql('nothing is sent', q{SELECT bool_and(reason LIKE 'bm_webhook.enabled is off%') FROM bm_webhook.status()});
my %ids = map { $_->[0] => $bmw->endpoint("/ok/$_->[0]", event_types => '{test.*}', %{ $_->[1] }) } @endpoints;
$bmw->sql("INSERT INTO bm_webhook.endpoint_secret (endpoint_id, secret) SELECT $ids{headers}, bm_webhook_internal.random_secret()");
my $event = $bmw->sql(q{SELECT bm_webhook.emit('test.preview', '{"text": "grüße \"☎\" \\\\ \n", "n": 1.50, "list": [1, null, true]}', channel => 'sms',
	message_id => E'm "1"\\\\', occurred_at => '2026-02-03 04:05:06.789+00')});

my %before = map { $_ => preview($event, $ids{$_}) } keys %ids;
is($receiver->count($_, 'requests'), 0, "$_: nothing is sent") for sort keys %ids;
is($before{headers}{headers}{'webhook-signature'} =~ tr/ //, 1, 'a signature for each secret');
is($before{plain}{headers}{'bm-webhook-attempt'}, '1', 'the first attempt');
is($bmw->sql("SELECT bm_webhook.verify(headers, body, bm_webhook.secret($_)) FROM bm_webhook.preview('$event', $_)"), 't', 'the signature is right') for sort values %ids;

$bmw->set('bm_webhook.enabled', 'on');
$bmw->wait_for_requests('plain', 1);
$bmw->wait_for_requests('headers', 1);
$bmw->wait_for_requests('fails', 2);
$bmw->settle;
is_deeply(lasting($before{$_}), lasting(arrived($_, 0)), "$_: the request is the one that was shown") for sort keys %ids;
is_deeply(lasting($before{fails}), lasting(arrived('fails', 1)), 'so is its second attempt');
is(preview($event, $ids{fails})->{headers}{'bm-webhook-attempt'}, '3', 'the next attempt would be the third');

# Who may.
$bmw->sql(q{CREATE ROLE shop; CREATE ROLE bank; INSERT INTO bm_webhook.application (name, owner) VALUES ('shop', 'shop'), ('bank', 'bank');
	GRANT USAGE ON SCHEMA bm_webhook TO shop, bank; GRANT EXECUTE ON FUNCTION bm_webhook.preview TO shop, bank});
my %of = map { $_ => $bmw->endpoint("/ok/$_", application => $_) } qw(shop bank);
my %event = map { $_ => $bmw->sql("SELECT bm_webhook.emit('test.mine', '{}', application => '$_')") } qw(shop bank);
sub as { my ($role, $event, $endpoint) = @_; return $bmw->sqlstate("SET ROLE $role; SELECT bm_webhook.preview('$event', $endpoint)") }
is(as('shop', $event{shop}, $of{shop}), '', 'the owner of the application');
is(as('shop', $event{bank}, $of{shop}), '42704', 'not an event of another');
is(as('shop', $event, $of{shop}), '42704', 'nor one of none');
is(as('shop', $event{bank}, $of{bank}), '42704', 'nor an endpoint of another');
is(as('shop', $event{shop}, $ids{plain}), '42704', 'nor one of none');
is($bmw->sqlstate("SELECT bm_webhook.preview(gen_random_uuid(), $ids{plain})"), '42704', 'an unknown event');
is($bmw->sqlstate("SELECT bm_webhook.preview('$event', 0)"), '42704', 'an unknown endpoint');
is($bmw->sqlstate("SELECT bm_webhook.preview(NULL, $ids{plain})"), '22004', 'no event');
$bmw->sql("DELETE FROM bm_webhook.endpoint_secret WHERE endpoint_id = $of{shop}");
is(as('shop', $event{shop}, $of{shop}), '55000', 'nothing is sent without a secret');

$bmw->finish;

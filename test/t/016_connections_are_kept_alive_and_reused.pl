# 1,000 events to one endpoint open no more connections than max_in_flight, and
# no more requests at the same time; the next 500 open none. The dispatcher as a
# whole keeps to bm_webhook.max_in_flight.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new(conf => "bm_webhook.max_in_flight = 12\n");
my $receiver = $bmw->receiver;

$bmw->endpoint('/slow/2/eight', max_in_flight => 8, event_types => '{test.eight}');
$bmw->emit_many(1000, 'test.eight');
$bmw->wait_for_requests('eight', 1000);
$bmw->settle;
my $counts = $receiver->counts('eight');
cmp_ok($counts->{connections}, '<=', 8, '1,000 requests open at most 8 connections');
cmp_ok($counts->{peak_in_flight}, '<=', 8, 'and are at most 8 at a time');
cmp_ok($counts->{peak_in_flight}, '>=', 4, 'but several at a time');
is($counts->{open_connections}, $counts->{connections}, 'none was closed');
is($bmw->sql(q{SELECT concat_ws(' ', count(*), count(d.name_us), count(d.first_byte_us), count(d.tls_us),
			bool_and(d.name_us <= d.connect_us AND d.connect_us <= d.first_byte_us AND d.first_byte_us <= extract(epoch FROM d.duration) * 1e6))
		FROM bm_webhook.delivery d JOIN bm_webhook.event e ON e.id = d.event_id WHERE e.type = 'test.eight' AND d.connect_us IS NOT NULL}),
	join(' ', ($counts->{connections}) x 3, 0, 't'), 'the deliveries that opened them, and no others, say when each stage was completed');

$bmw->emit_many(500, 'test.eight');
$bmw->wait_for_requests('eight', 1500);
$bmw->settle;
is($receiver->count('eight', 'connections'), $counts->{connections}, '500 more open no connection');

# Failures with an answer keep the connection as well.
$bmw->endpoint('/fail/1/failing', max_in_flight => 4, event_types => '{test.failing}', retry_delays => '{100ms,100ms}');
$bmw->emit_many(100, 'test.failing');
$bmw->wait_for_requests('failing', 100, 'delivered');
cmp_ok($receiver->count('failing', 'connections'), '<=', 4, '200 requests, half of them failing, open at most 4');
cmp_ok($bmw->sql('SELECT count(connect_time) FROM bm_webhook.failed_attempt'), '<=', 4, 'nor do failed attempts have times of a connection that they did not open');
is($bmw->sql('SELECT count(*) FROM bm_webhook.failed_attempt WHERE first_byte_time IS NULL'), 0, 'they all have that of the first byte');

# All together. Endpoints that have not answered yet hold at most half as many as are free (of 24).
$bmw->endpoint("/hang/hang$_", max_in_flight => 6, event_types => '{test.hang}', timeout => '60 s') for 1 .. 4;
$bmw->emit_many(20, 'test.hang');
wait_until('8 are in flight', sub { $bmw->status('in_flight') == 8 });
sub peaks { my $sum = 0; $sum += $receiver->count("hang$_", 'peak_in_flight') for 1 .. 4; return $sum }
wait_until('they have come', sub { peaks() >= 8 });
is(peaks(), 8, 'the dispatcher has no more open than it may');

$bmw->finish;

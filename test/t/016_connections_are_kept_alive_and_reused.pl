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

$bmw->emit_many(500, 'test.eight');
$bmw->wait_for_requests('eight', 1500);
$bmw->settle;
is($receiver->count('eight', 'connections'), $counts->{connections}, '500 more open no connection');

# Failures with an answer keep the connection as well.
$bmw->endpoint('/fail/1/failing', max_in_flight => 4, event_types => '{test.failing}', retry_delays => '{100ms,100ms}');
$bmw->emit_many(100, 'test.failing');
$bmw->wait_for_requests('failing', 100, 'delivered');
cmp_ok($receiver->count('failing', 'connections'), '<=', 4, '200 requests, half of them failing, open at most 4');

# All together. Endpoints that have not answered yet hold at most half as many as are free (of 24).
$bmw->endpoint("/hang/hang$_", max_in_flight => 6, event_types => '{test.hang}', timeout => '60 s') for 1 .. 4;
$bmw->emit_many(20, 'test.hang');
wait_until('8 are in flight', sub { $bmw->status('in_flight') == 8 });
my $in_flight = 0;
$in_flight += $receiver->count("hang$_", 'peak_in_flight') for 1 .. 4;
is($in_flight, 8, 'the dispatcher has no more open than it may');

$bmw->finish;

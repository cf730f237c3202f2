# Names of some endpoints take seconds to resolve, or are never answered for: all other requests are sent meanwhile, and a
# server that is shut down does not wait for the names either.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use BmWebhook::Names;
use Test::More;

my $names = BmWebhook::Names->new;
my $bmw;
{
	local %ENV = (%ENV, $names->environment);
	$bmw = BmWebhook->new;
}
my $port = $bmw->receiver->port;
my $waiting = q{SELECT count(*) = 0 FROM bm_webhook.delivery d JOIN bm_webhook.event e ON e.id = event_id WHERE type = 'test.slow'};

$bmw->endpoint('/ok/fine', event_types => '{test.fine}');
$bmw->sql("INSERT INTO bm_webhook.endpoint (url, event_types, timeout, retry_delays)
	SELECT format('http://never.n%s.names.example.com:$port/ok/slow', n), '{test.slow}', '30 s', '{}' FROM generate_series(1, 20) n");
$bmw->wait_for_delivery($bmw->emit('test.fine'));

$bmw->emit('test.slow');
$bmw->wait_for_sql('they are asked for', 'SELECT sum(in_flight) = 20 FROM bm_webhook.status()');
$bmw->emit_many(20, 'test.fine');
$bmw->wait_for_requests('fine', 21);
is($bmw->sql($waiting), 't', 'others were sent, while nobody had answered for 20 names');

my $pid = $bmw->dispatcher;
$bmw->node->stop('fast');
ok(!kill(0, $pid), 'the server stops');
{
	local %ENV = (%ENV, $names->environment);
	$bmw->start;
}
$bmw->wait_for_sql('they are asked for again', 'SELECT sum(in_flight) = 20 FROM bm_webhook.status()');
$bmw->wait_for_delivery($bmw->emit('test.fine'));
is($bmw->sql($waiting), 't', 'and so it is after the start');

$bmw->finish;

# DELETE of an endpoint cancels what waits for it, in memory and in the table,
# and the log says so; nothing more is sent to it, and the others go on.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

my $busy = $bmw->endpoint('/hang/busy', max_in_flight => 2, timeout => '60 s', event_types => '{test.event}');
my $failing = $bmw->endpoint('/status/500/failing', retry_delays => '{1 h}', event_types => '{test.event}');
my $soon = $bmw->endpoint('/status/500/soon', retry_delays => '{' . join(',', ('300ms') x 50) . '}', event_types => '{test.event}');
$bmw->endpoint('/ok/other', event_types => '{test.event}');

$bmw->emit_many(50, 'test.event');
$bmw->wait_for_requests('busy', 2);
$bmw->wait_for_sql('the others have failed once', "SELECT count(*) = 100 FROM bm_webhook.delivery
	WHERE endpoint_id IN ($failing, $soon) AND attempts > 0");
$bmw->settle(in_flight => 2);

$bmw->sql("DELETE FROM bm_webhook.endpoint WHERE id IN ($busy, $failing, $soon)");
# All but the two in flight.
$bmw->wait_for_sql('all are canceled',
	q{SELECT count(*) >= 148 AND count(*) FILTER (WHERE status = 'pending') = 0 FROM bm_webhook.delivery WHERE status <> 'delivered'});
is($bmw->sql("SELECT DISTINCT status, error <> '' FROM bm_webhook.delivery WHERE endpoint_id = $failing"),
	'canceled|t', 'what waits in the table is canceled, and says why');
# Some of these may have been in flight.
cmp_ok($bmw->sql("SELECT count(*) FROM bm_webhook.delivery WHERE endpoint_id = $soon AND status = 'canceled' AND error <> ''"),
	'>', 0, 'also when its next attempt is near');
cmp_ok($bmw->sql("SELECT count(*) FROM bm_webhook.delivery WHERE endpoint_id = $busy AND status = 'canceled' AND error <> '' AND attempts = 0"),
	'>=', 48, 'and so is what waits in memory');

# What was in flight ends as it ends, or is canceled too.
my $requests = $receiver->count('soon', 'requests');
$receiver->behave('busy', 'ok');
$receiver->release('busy');
$bmw->wait_for_sql('what was in flight is recorded', "SELECT count(*) = 50 FROM bm_webhook.delivery
	WHERE endpoint_id = $busy AND status IN ('canceled', 'delivered', 'failed')");
$bmw->wait_for_delivery($bmw->emit('test.event'));
$bmw->settle;
is($receiver->count('busy', 'requests'), 2, 'nothing more is sent to the busy one');
is($receiver->count('failing', 'requests'), 50, 'nor to the failing one');
is($receiver->count('soon', 'requests'), $requests, 'nor to the one whose retries were near');
is($receiver->count('other', 'delivered'), 51, 'the other one has got all');

# In a transaction that is rolled back nothing happens.
my $kept = $bmw->endpoint('/fail/1/kept', retry_delays => '{500ms}', event_types => '{test.kept}');
my $event = $bmw->emit('test.kept');
$bmw->wait_for_requests('kept', 1);
$bmw->sql("BEGIN; DELETE FROM bm_webhook.endpoint WHERE id = $kept; ROLLBACK");
$bmw->wait_for_delivery($event);

$bmw->finish;

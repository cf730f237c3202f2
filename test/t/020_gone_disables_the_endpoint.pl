# 410 Gone disables the endpoint and says why: nothing more is sent to it until
# somebody enables it again.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my $id = $bmw->endpoint('/gone/gone', event_types => '{test.event}', max_in_flight => 1);
$bmw->endpoint('/ok/other', event_types => '{test.event}');

my $event = $bmw->emit('test.event');
$bmw->wait_for_sql('it is disabled', "SELECT NOT enabled FROM bm_webhook.endpoint WHERE id = $id");
is($bmw->sql("SELECT disabled_at IS NOT NULL, disabled_reason FROM bm_webhook.endpoint_state WHERE endpoint_id = $id") =~ s/\|.*410.*/|410/r,
	't|410', 'with time and reason');
is($bmw->sql("SELECT status, attempts, http_status, error_class FROM bm_webhook.delivery WHERE event_id = '$event' AND endpoint_id = $id"),
	'failed|1|410|http_status', 'the delivery is given up');

$bmw->emit_many(10, 'test.event');
$bmw->settle;
is($receiver->count('gone', 'requests'), 1, 'nothing more is sent');
is($receiver->count('other', 'requests'), 11, 'the other goes on');

$receiver->behave('gone', 'ok');
$bmw->sql("UPDATE bm_webhook.endpoint SET enabled = true WHERE id = $id");
$event = $bmw->emit('test.event');
$bmw->wait_for_delivery($event);
is(($receiver->arrivals('gone'))[-1]{id}, $event, 'it can be enabled again');
is($bmw->sql("SELECT disabled_at IS NULL AND disabled_reason IS NULL FROM bm_webhook.endpoint_state WHERE endpoint_id = $id"), 't',
	'and is then as if never disabled');

$bmw->finish;

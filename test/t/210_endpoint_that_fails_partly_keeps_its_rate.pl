# A receiver that answers 503 to a third or to half of all requests, as a balancer does that has lost
# a back end: the rest goes on as it can, and what was refused is delivered by its retries.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my $delays = '{' . join(',', ('100ms') x 100) . '}';

for my $percent (33, 50)
{
	$bmw->endpoint("/partly/$percent/503/p$percent", event_types => "{test.p$percent}", retry_delays => $delays);
	$bmw->emit_many(1000, "test.p$percent");
}
for my $percent (33, 50)
{
	$bmw->wait_for_sql("all are delivered with $percent % refused", qq{SELECT count(*) = 1000 FROM bm_webhook.delivery
		JOIN bm_webhook.event ON id = event_id WHERE type = 'test.p$percent' AND status = 'delivered'});
	$bmw->settle;
	$bmw->arrived_exactly_once("p$percent", qq{SELECT id FROM bm_webhook.event WHERE type = 'test.p$percent'}, 'each once');
	cmp_ok($receiver->count("p$percent", 'requests'), '>', 1000 / (1 - $percent / 100) * 0.9, 'though as many were refused');
}
is($bmw->sql('SELECT count(*) FROM bm_webhook.endpoint_state WHERE failing_since IS NOT NULL'), 0, 'none is failing');

$bmw->finish;

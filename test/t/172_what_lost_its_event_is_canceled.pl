# A partition of events that is dropped while deliveries of its events wait
# leaves none behind that is pending for ever.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;

$bmw->endpoint('/status/500/failing', retry_delays => '{1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s}');
$bmw->emit_many(20, 'test.lost');
$bmw->wait_for_sql('all have failed once', q{SELECT count(DISTINCT event_id) = 20 FROM bm_webhook.failed_attempt});
$bmw->sql(q{SELECT format('ALTER EXTENSION bm_webhook DROP TABLE %1$s; DROP TABLE %1$s', inhrelid::regclass) FROM pg_inherits
	WHERE inhparent = 'bm_webhook.event'::regclass AND inhrelid IN (SELECT tableoid FROM bm_webhook.event) \gexec});
$bmw->wait_for_sql('those that wait are canceled',
	q{SELECT count(*) = 20 FROM bm_webhook.delivery WHERE status = 'canceled' AND error = 'the event is gone'});
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.delivery WHERE status = 'pending'}), 0, 'nothing is pending');
is($bmw->sql('SELECT state FROM bm_webhook.status()'), 'running', 'and the dispatcher goes on');
$bmw->finish;

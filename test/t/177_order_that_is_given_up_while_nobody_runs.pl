# What is held back for an endpoint that keeps the order is sent when it gives the
# order up, also when that happens while no dispatcher runs.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my $id = $bmw->endpoint('/status/500/ordered', ordering => 'by_message', retry_delays => '{1h}');

$bmw->sql(q{SELECT bm_webhook.emit('test.ordered', jsonb_build_object('n', n), message_id => 'm') FROM generate_series(1, 3) n});
$bmw->wait_for_sql('two are held back',
	"SELECT count(*) FILTER (WHERE next_attempt_at = 'infinity') = 2 AND count(*) FILTER (WHERE attempts = 1) = 1 FROM bm_webhook.delivery");
$bmw->node->stop;
$bmw->preload(0);
$bmw->start;
$bmw->sql("UPDATE bm_webhook.endpoint SET ordering = 'none' WHERE id = $id");
$bmw->node->stop;
$bmw->preload(1);
$receiver->behave('ordered', 'ok/ordered');
$bmw->start;
$bmw->wait_for_sql('they are sent', "SELECT count(*) = 2 FROM bm_webhook.delivery WHERE status = 'delivered'");
$bmw->finish(expected => qr/preload/);

# Of more endpoints with an order than are learnt at once, each with events of a message waiting, some of them sent
# already, a dispatcher that starts keeps the order of each, and new events come after those that wait.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $count = 1200;
my $bmw = BmWebhook->new(conf => "bm_webhook.shards = 2\n");
my $url = $bmw->receiver->url('/ok/ordered');

$bmw->sql("INSERT INTO bm_webhook.endpoint (url, ordering, event_types) SELECT '$url', 'by_message', '{test.ordered}' FROM generate_series(1, $count)");
$bmw->sql('SELECT bm_webhook.pause(everything => true)');
$bmw->sql(q{SELECT bm_webhook.emit('test.ordered', '{}', message_id => 'm' || n % 2) FROM generate_series(1, 4) n});
$bmw->wait_for_sql('they wait', "SELECT count(*) = 4 * $count FROM bm_webhook.delivery WHERE status = 'pending'");
$bmw->node->restart;
$bmw->sql('SELECT bm_webhook.resume(everything => true)');
$bmw->sql(q{SELECT bm_webhook.emit('test.ordered', '{}', message_id => 'm0')});
$bmw->wait_for_sql('all arrive', "SELECT count(*) = 5 * $count FROM bm_webhook.delivery WHERE status = 'delivered'");
is($bmw->sql(q{SELECT count(*) FROM (SELECT last_attempt_at < lag(last_attempt_at) OVER (PARTITION BY d.endpoint_id, message_id ORDER BY event_id)
	AS is_wrong FROM bm_webhook.delivery d JOIN bm_webhook.event ON id = event_id) x WHERE is_wrong}), 0, 'in the order of each message');
is($bmw->sql('SELECT count(*) FROM bm_webhook.failed_attempt'), 0, 'each at the first attempt');
$bmw->finish;

# cancel() ends what waits, in memory, in the table and not yet taken; what is in
# flight is not called back; nothing else is touched, and later events arrive.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

my $slow = $bmw->endpoint('/hang/slow', event_types => '{test.*}', max_in_flight => 2, timeout => '60 s');
my $down = $bmw->endpoint('/status/500/down', event_types => '{test.*}', retry_delays => '{1h}');
my $up = $bmw->endpoint('/ok/up', event_types => '{test.*}');
$bmw->sql(q{SELECT count(bm_webhook.emit('test.many', '{}')) FROM generate_series(1, 1000)});
$bmw->wait_for_sql('one endpoint has all', qq{SELECT count(*) = 1000 FROM bm_webhook.delivery WHERE endpoint_id = $up AND status = 'delivered'});
$bmw->wait_for_sql('one waits for its retry', qq{SELECT count(*) = 1000 FROM bm_webhook.delivery WHERE endpoint_id = $down AND status = 'pending'});
wait_until('two hang at the third', sub { $receiver->count('slow', 'in_flight') == 2 });

is($bmw->sqlstate('SELECT * FROM bm_webhook.cancel()'), '22004', 'nothing is not everything');
is($bmw->sqlstate('SELECT * FROM bm_webhook.cancel(endpoint => -1)'), '42704', 'an endpoint that does not exist');
is($bmw->sql("SELECT operation IS NULL, matched FROM bm_webhook.cancel(endpoint => $down, dry_run => true)"), 't|1000', 'a dry run counts');
is($bmw->sql("SELECT matched FROM bm_webhook.cancel(endpoint => $slow, dry_run => true)"), '1000', 'also what has no row yet');
is($bmw->sql("SELECT operation IS NULL, matched FROM bm_webhook.cancel(endpoint => $up)"), 't|0', 'nothing waits: nothing is asked for');
is($bmw->sql("SELECT string_agg(endpoint_id || ' ' || matched, ', ' ORDER BY endpoint_id) FROM bm_webhook.cancel(everything => true, dry_run => true)"),
	"$slow 1000, $down 1000", 'everything');

# one event
my $event = $bmw->sql(q{SELECT id FROM bm_webhook.event ORDER BY id DESC LIMIT 1});
is($bmw->sql("SELECT count(*), sum(matched) FROM bm_webhook.cancel(event => '$event')"), '2|2', 'one event, at two endpoints');
$bmw->wait_for_sql('is canceled', qq{SELECT count(*) = 2 FROM bm_webhook.delivery WHERE event_id = '$event' AND status = 'canceled'});
$bmw->wait_for_sql('both ended', q{SELECT count(*) = 2 FROM bm_webhook.operation WHERE kind = 'cancel' AND ended_at IS NOT NULL});

# an endpoint: what is in flight goes on
my $operation = $bmw->sql("SELECT operation FROM bm_webhook.cancel(endpoint => $slow)");
$bmw->wait_for_sql('what waits is canceled', qq{SELECT count(*) = 998 FROM bm_webhook.delivery WHERE endpoint_id = $slow AND status = 'canceled'});
is($bmw->sql("SELECT ended_at IS NULL FROM bm_webhook.operation WHERE id = $operation"), 't', 'it waits for what is in flight');
is($receiver->count('slow', 'in_flight'), 2, 'which is not called back');
$receiver->behave('slow', 'ok/slow');
$receiver->release('slow') for 1 .. 2;
$bmw->wait_for_sql('then it ends', "SELECT ended_at IS NOT NULL FROM bm_webhook.operation WHERE id = $operation");
is($bmw->sql(qq{SELECT count(*) FROM bm_webhook.delivery WHERE endpoint_id = $slow AND status = 'delivered'}), '2', 'and they are delivered');

# while nobody runs
$bmw->set('bm_webhook.enabled' => 'off');
$bmw->wait_for_sql('it holds', q{SELECT reason LIKE 'bm_webhook.enabled is off%' FROM bm_webhook.status()});
my $late = $bmw->emit('test.late');
is($bmw->sql("SELECT matched FROM bm_webhook.cancel(endpoint => $slow)"), '1', 'an event that nobody has taken');
is($bmw->sql("SELECT matched FROM bm_webhook.cancel(endpoint => $down)"), '1000', 'and what waits for a retry');
$bmw->set('bm_webhook.enabled' => 'on');
$bmw->wait_for_sql('all have ended', 'SELECT count(*) = 0 FROM bm_webhook.operation WHERE ended_at IS NULL');
is($bmw->sql(qq{SELECT string_agg(status || ' ' || n, ', ' ORDER BY status) FROM (SELECT status, count(*) AS n FROM bm_webhook.delivery WHERE endpoint_id = $down GROUP BY 1) s}),
	'canceled 1001', 'all canceled');
$bmw->settle;
unlike($bmw->sql("SELECT status FROM bm_webhook.delivery WHERE event_id = '$late' AND endpoint_id = $slow"), qr/pending/, 'nothing waits');
is($bmw->sql("SELECT status FROM bm_webhook.delivery WHERE event_id = '$late' AND endpoint_id = $up"), 'delivered', 'others get it');
$receiver->behave('down', 'ok/down');
$bmw->emit('test.later');
$bmw->wait_for_sql('what comes later arrives', qq{SELECT count(*) = 3 FROM bm_webhook.delivery d JOIN bm_webhook.event e ON e.id = d.event_id
	WHERE type = 'test.later' AND status = 'delivered'});
$bmw->finish;

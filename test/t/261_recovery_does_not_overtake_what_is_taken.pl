# A recovery leaves alone what has just been committed and comes anyway: a large transaction that began before
# recover() was called and ends while it is worked off.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my $id = $bmw->endpoint('/ok/late', event_types => '{test.*}', enabled => 'false');

$bmw->settle;
$bmw->emit_many(8000, 'test.missed');
$bmw->settle;
$bmw->sql("UPDATE bm_webhook.endpoint SET enabled = true WHERE id = $id");
$bmw->wait_for_sql('what it has missed is known', "SELECT matched = 8000 FROM bm_webhook.recover($id, '-infinity', dry_run => true)");
my $session = $bmw->session;
$session->query_safe(q{BEGIN; SELECT count(bm_webhook.emit('test.batch', '{}')) FROM generate_series(1, 20000)});
my $operation = $bmw->sql("SELECT operation FROM bm_webhook.recover($id, '-infinity')");
$bmw->wait_for_sql('it has begun', "SELECT done >= 4000 FROM bm_webhook.operation WHERE id = $operation");
$session->query_safe('COMMIT');
$session->quit;

$bmw->wait_for_sql('it ends', "SELECT ended_at IS NOT NULL FROM bm_webhook.operation WHERE id = $operation");
$bmw->wait_for_sql('all is sent', q{SELECT count(*) = 28000 FROM bm_webhook.event e
	WHERE type IN ('test.missed', 'test.batch') AND (EXISTS (SELECT FROM bm_webhook.set_aside s WHERE s.event_id = e.id)
		OR EXISTS (SELECT FROM bm_webhook.delivery d WHERE d.event_id = e.id AND d.status = 'delivered'))});
is($bmw->sql('SELECT count(*) FROM bm_webhook.set_aside'), 0, 'every outcome was recorded');
is($bmw->sql("SELECT error FROM bm_webhook.operation WHERE id = $operation"), '', 'the recovery did all');
is($bmw->sql('SELECT count(*) FROM bm_webhook.delivery WHERE attempts > 1'), 0, 'nothing was sent twice');
$bmw->arrived_exactly_once('late', q{SELECT id FROM bm_webhook.event WHERE type IN ('test.missed', 'test.batch')},
	'it all arrived, each once');

$bmw->finish;

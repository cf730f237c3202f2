# recover() sends what an endpoint never got: what came while it was disabled, before it was
# registered, or before it subscribed; each once, and nothing that it got or will get anyway.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my $since = $bmw->sql('SELECT clock_timestamp()');

my $old = $bmw->endpoint('/ok/old', event_types => '{test.*}');
$bmw->sql(q{SELECT count(bm_webhook.emit('test.early', '{}')) FROM generate_series(1, 600)});
$bmw->sql(q{SELECT bm_webhook.emit('other.early', '{}')});
$bmw->wait_for_requests('old', 600);
$bmw->settle;    # what is in flight when it is disabled is broken off, and waits
$bmw->sql("UPDATE bm_webhook.endpoint SET enabled = false WHERE id = $old");
$bmw->sql(q{SELECT count(bm_webhook.emit('test.missed', '{}')) FROM generate_series(1, 300)});
my $new = $bmw->endpoint('/ok/new', event_types => '{test.*}');
$bmw->sql(q{SELECT count(bm_webhook.emit('test.late', '{}')) FROM generate_series(1, 10)});
$bmw->wait_for_requests('new', 10);

is($bmw->sqlstate("SELECT bm_webhook.recover(-1, '$since')"), '42704', 'an endpoint that does not exist');
is($bmw->sqlstate("SELECT bm_webhook.recover($new, NULL)"), '22004', 'no time');
is($bmw->sqlstate("SELECT bm_webhook.recover($new, '$since', '$since')"), '22023', 'an empty period');
is($bmw->sql("SELECT operation IS NULL, matched FROM bm_webhook.recover($new, '$since', dry_run => true)"), 't|900', 'a dry run counts what was before it');
is($bmw->sql("SELECT matched FROM bm_webhook.recover($old, '$since', dry_run => true)"), '310', 'and what came while it was disabled');

# one that is disabled gets it when it is enabled
my $operation = $bmw->sql("SELECT operation FROM bm_webhook.recover($old, '$since')");
$bmw->wait_for_sql('it ends', "SELECT ended_at IS NOT NULL FROM bm_webhook.operation WHERE id = $operation");
is($bmw->sql("SELECT matched, done, error FROM bm_webhook.operation WHERE id = $operation"), '310|310|', 'with all of them');
is($bmw->sql("SELECT count(*) FROM bm_webhook.delivery WHERE endpoint_id = $old AND status = 'pending'"), '310', 'they wait');
is($receiver->count('old', 'requests'), 600, 'as it is disabled');
$bmw->sql("UPDATE bm_webhook.endpoint SET enabled = true WHERE id = $old");
$bmw->wait_for_requests('old', 910);

# one that is new, with a crash of the dispatcher on the way, and new events meanwhile
$operation = $bmw->sql("SELECT operation FROM bm_webhook.recover($new, '$since')");
$bmw->sql(q{SELECT count(bm_webhook.emit('test.latest', '{}')) FROM generate_series(1, 50)});
$bmw->kill_and_recover($bmw->dispatcher);
$bmw->wait_for_sql('it ends', "SELECT ended_at IS NOT NULL FROM bm_webhook.operation WHERE id = $operation");
is($bmw->sql("SELECT matched, error FROM bm_webhook.operation WHERE id = $operation"), '900|', 'all that it never got');
$bmw->settle;
$bmw->wait_for_sql('nothing waits', 'SELECT bool_and(pending + not_taken = 0) FROM bm_webhook.backlog');
my $all = q{SELECT id FROM bm_webhook.event WHERE type LIKE 'test.%' AND type <> 'test.settled'};
is($bmw->sql("SELECT count(*) FROM bm_webhook.delivery WHERE endpoint_id = $_ AND status = 'delivered'"), '960', 'delivered all') for $old, $new;
is($receiver->count('new', 'distinct'), 960, 'which it got');
is($bmw->sql("SELECT matched FROM bm_webhook.recover($new, '$since')"), '0', 'nothing is left');
is($bmw->sql("SELECT count(*) FROM bm_webhook.delivery d JOIN bm_webhook.event e ON e.id = d.event_id WHERE type = 'other.early'"), '0',
	'nobody gets what he has not subscribed to');
$bmw->finish(expected => qr/crash|was terminated by signal|exited/);

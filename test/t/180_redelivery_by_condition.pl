# redeliver() by condition makes what failed due again, in steps, through crashes
# of the dispatcher: each once, nothing else, and the rows say how far it has got.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

my $down = $bmw->endpoint('/status/500/down', event_types => '{test.*}', retry_delays => '{}');
my $up = $bmw->endpoint('/ok/up', event_types => '{test.*,other.*}');
my $since = $bmw->sql('SELECT clock_timestamp()');
$bmw->sql(q{SELECT count(bm_webhook.emit('test.failed', jsonb_build_object('n', n))) FROM generate_series(1, 2000) n});
$bmw->wait_for_sql('all have failed', q{SELECT count(*) = 2000 FROM bm_webhook.delivery WHERE status = 'failed'}, );
$receiver->behave('down', 'status/503/down');
$bmw->sql(q{SELECT bm_webhook.emit('test.busy', '{}')});
$bmw->wait_for_sql('and one more, of another class', q{SELECT count(*) = 2001 FROM bm_webhook.delivery WHERE status = 'failed'});
my $until = $bmw->sql('SELECT clock_timestamp()');
$receiver->behave('down', 'ok/down');
$bmw->sql(q{SELECT bm_webhook.emit('test.sent', '{}')});
$bmw->wait_for_sql('what comes now arrives', qq{SELECT count(*) = 1 FROM bm_webhook.delivery WHERE endpoint_id = $down AND status = 'delivered'});

my $call = "bm_webhook.redeliver($down, '$since', '$until'";
is($bmw->sql("SELECT operation IS NULL, matched FROM $call, dry_run => true)"), 't|2001', 'a dry run counts');
is($bmw->sql("SELECT matched FROM $call, error_class => '{timeout}', dry_run => true)"), '0', 'by class of error');
is($bmw->sql("SELECT matched FROM $call, status => '{delivered}', dry_run => true)"), '0', 'by status');
is($bmw->sql("SELECT matched FROM bm_webhook.redeliver($down, '$since', status => '{delivered,failed}', dry_run => true)"),
	'2002', 'by several');
is($bmw->sql("SELECT operation IS NULL FROM $call, error_class => '{timeout}')"), 't', 'nothing matches: nothing is asked for');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.operation WHERE kind = 'redeliver'}), '0', 'a dry run leaves nothing behind');

$bmw->sql("BEGIN; SELECT $call); ROLLBACK");
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.operation WHERE kind = 'redeliver'}), '0', 'nor does what was rolled back');

my $some = $bmw->sql("SELECT operation FROM $call, max_rows => 10)");
$bmw->wait_for_sql('it ends', "SELECT ended_at IS NOT NULL FROM bm_webhook.operation WHERE id = $some");
is($bmw->sql("SELECT matched, done, error FROM bm_webhook.operation WHERE id = $some"), '10|10|', 'ten of them');
$bmw->wait_for_requests('down', 2002 + 10);

# somebody keeps a row
my $session = $bmw->session;
$session->query_safe(qq{BEGIN; SELECT FROM bm_webhook.delivery WHERE endpoint_id = $down AND status = 'failed'
	ORDER BY event_id DESC LIMIT 1 FOR UPDATE});
my $all = $bmw->sql("SELECT operation FROM $call)");
$bmw->wait_for_sql('it goes on until there', "SELECT done >= 1500 FROM bm_webhook.operation WHERE id = $all");
is($bmw->sql("SELECT ended_at IS NULL FROM bm_webhook.operation WHERE id = $all"), 't', 'it waits for the row');
$session->query_safe('COMMIT');
$session->quit;
$bmw->wait_for_sql('it ends', "SELECT ended_at IS NOT NULL FROM bm_webhook.operation WHERE id = $all");
is($bmw->sql("SELECT matched, done, error, asked_by = session_user FROM bm_webhook.operation WHERE id = $all"),
	'1991|1991||t', 'it did all that was left');
$bmw->settle;
is($bmw->sql("SELECT string_agg(status || ' ' || n, ', ') FROM (SELECT status, count(*) AS n FROM bm_webhook.delivery
	WHERE endpoint_id = $down GROUP BY status) s"), 'delivered 2002', 'everything has arrived');
is($bmw->sql("SELECT count(*), count(DISTINCT event_id) FROM bm_webhook.redelivery"), '2001|2001', 'each was asked for once');
is($receiver->count('down', 'distinct'), 2002, 'under the same ids');
is($receiver->count('up', 'requests'), 2002, 'and the other endpoint got nothing twice');

# the dispatcher dies on the way
my $again = $bmw->sql("SELECT operation FROM $call, status => '{delivered}')");
$bmw->wait_for_sql('it has begun', "SELECT done > 0 FROM bm_webhook.operation WHERE id = $again");
$bmw->kill_and_recover($bmw->dispatcher);
$bmw->wait_for_sql('it goes on', "SELECT ended_at IS NOT NULL FROM bm_webhook.operation WHERE id = $again");
is($bmw->sql("SELECT matched, done, error FROM bm_webhook.operation WHERE id = $again"), '2001|2001|', 'to the end');
is($bmw->sql("SELECT count(*) - count(DISTINCT (event_id, status)) FROM bm_webhook.redelivery"), '0', 'each once');
$bmw->settle;
is($bmw->sql("SELECT count(*) FROM bm_webhook.delivery WHERE endpoint_id = $down AND status = 'delivered'"), '2002', 'all have arrived');
$bmw->finish(expected => qr/crash|was terminated by signal|exited/);

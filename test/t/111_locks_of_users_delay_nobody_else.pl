# Somebody keeps a transaction open that has locked rows: of the log, by SELECT
# ... FOR UPDATE, redeliver() or an INSERT of his own, of the endpoints, or of
# the cursor. The outcomes of everything else are recorded meanwhile, and what
# was locked as soon as the transaction ends; nothing is sent twice.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my $locked = $bmw->endpoint('/status/500/locked', event_types => '{test.locked}', retry_delays => '{3 s}');
my $free = $bmw->endpoint('/ok/free', event_types => '{test.free}');
my $deleted = $bmw->endpoint('/status/500/deleted', event_types => '{test.deleted}', retry_delays => '{1 h}');
$bmw->endpoint('/ok/before', event_types => '{test.moved}');
my $session = $bmw->session;
my $emitted = 0;

# Outcomes of another endpoint, while the session holds its lock.
sub others_are_recorded
{
	my ($description) = @_;
	my @slow;

	for (1 .. 5)
	{
		my $event = $bmw->emit('test.free');
		$bmw->wait_for_requests('free', ++$emitted);
		push @slow, $event unless $bmw->sql("SELECT bm_webhook.wait_for_delivery('$event', '5 s')") eq 't';
	}
	is(scalar @slow, 0, "$description: other outcomes are recorded");
	return;
}

sub is_running
{
	my ($description) = @_;
	is($bmw->status('state'), 'running', "$description: status() says that it runs");
	return;
}

my $event;
for my $how (
	[ 'FOR UPDATE' => "SELECT FROM bm_webhook.delivery WHERE event_id = '%s' FOR UPDATE" ],
	[ 'FOR KEY SHARE' => "SELECT FROM bm_webhook.delivery WHERE event_id = '%s' FOR SHARE" ],
	[ 'PREPARE TRANSACTION' => "SELECT FROM bm_webhook.delivery WHERE event_id = '%s' FOR UPDATE; PREPARE TRANSACTION 'locked'" ])
{
	my ($name, $sql) = @$how;

	$receiver->behave('locked', 'hang-after/1');
	my $before = $receiver->count('locked', 'requests');
	$event = $bmw->emit('test.locked');
	$bmw->wait_for_sql('it waits for its retry', "SELECT count(*) = 1 FROM bm_webhook.delivery WHERE event_id = '$event' AND attempts = 1");
	$session->query_safe('BEGIN; ' . sprintf $sql, $event);
	$bmw->wait_for_requests('locked', $before + 2);
	$receiver->release('locked');
	wait_until('its outcome waits', sub { $bmw->status('unrecorded') >= 1 });
	others_are_recorded($name);
	is_running($name);
	is($bmw->sql("SELECT status FROM bm_webhook.delivery WHERE event_id = '$event'"), 'pending', "$name: it waits");
	$session->query_safe($name eq 'PREPARE TRANSACTION' ? q{ROLLBACK PREPARED 'locked'} : 'COMMIT');
	$bmw->wait_for_delivery($event);
	is($receiver->count('locked', 'requests'), $before + 2, "$name: and is not sent again");
}

# redeliver() of what is in flight, and of a whole endpoint's.
$receiver->behave('locked', 'hang');
my $before = $receiver->count('locked', 'requests');
$bmw->sql("SELECT bm_webhook.redeliver('$event')");
$bmw->wait_for_requests('locked', $before + 1);
$session->query_safe("BEGIN; SELECT bm_webhook.redeliver('$event', $locked)");
$receiver->release('locked');
wait_until('the outcome waits', sub { $bmw->status('unrecorded') >= 1 });
others_are_recorded('redeliver()');
$session->query_safe('ROLLBACK');
$bmw->wait_for_delivery($event);
$receiver->behave('locked', 'ok');

# Somebody inserts the very row, and does not say whether he means it.
my $rows = q{INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts)};
$receiver->behave('locked', 'hang');
$before = $receiver->count('locked', 'requests');
$event = $bmw->emit('test.locked');
$bmw->wait_for_requests('locked', $before + 1);
$session->query_safe("BEGIN; $rows VALUES ('$event', $locked, 'pending', 0)");
$receiver->release('locked');
wait_until('the outcome waits', sub { $bmw->status('unrecorded') >= 1 });
others_are_recorded('INSERT');
$session->query_safe('ROLLBACK');
$bmw->wait_for_delivery($event);
is($receiver->count('locked', 'requests'), $before + 1, 'INSERT: sent once');

# He means it: then the log has a row of that key, and the outcome is set aside.
$before = $receiver->count('locked', 'requests');
$event = $bmw->emit('test.locked');
$bmw->wait_for_requests('locked', $before + 1);
$session->query_safe("BEGIN; $rows VALUES ('$event', $locked, 'canceled', 0)");
$receiver->release('locked');
wait_until('the outcome waits', sub { $bmw->status('unrecorded') >= 1 });
$session->query_safe('COMMIT');
$bmw->wait_for_sql('it is set aside', "SELECT count(*) = 1 FROM bm_webhook.set_aside WHERE event_id = '$event' AND sqlstate = '23505'");
is($bmw->sql('SELECT bm_webhook.retry_set_aside()'), 1, 'duplicate key: recorded when asked');
$bmw->wait_for_delivery($event);
$receiver->behave('locked', 'ok');

# All rows of the registration and of the cursor.
$session->query_safe(q{BEGIN; SELECT FROM bm_webhook.application FOR UPDATE; SELECT FROM bm_webhook.endpoint FOR UPDATE;
	SELECT FROM bm_webhook.endpoint_secret FOR UPDATE; SELECT FROM bm_webhook.cursor FOR UPDATE;
	SELECT FROM bm_webhook.event FOR UPDATE; SELECT FROM bm_webhook.failed_attempt FOR UPDATE});
others_are_recorded('rows of the registration');
$session->query_safe('COMMIT; BEGIN; LOCK TABLE bm_webhook.cursor');
others_are_recorded('the table of the cursor');
# what nobody announces is looked for every few seconds, meanwhile too
$bmw->sql(q{ALTER TABLE bm_webhook.endpoint DISABLE TRIGGER ALL;
	UPDATE bm_webhook.endpoint SET url = replace(url, '/ok/before', '/ok/after') WHERE event_types = '{test.moved}';
	ALTER TABLE bm_webhook.endpoint ENABLE TRIGGER ALL});
wait_until('the table of the cursor: endpoints are read', sub { $bmw->emit('test.moved'); $receiver->count('after', 'requests') });
others_are_recorded('the table of the cursor, then');
$session->query_safe('COMMIT');

# What waits for an endpoint that is deleted is canceled, but for what is locked.
$bmw->emit_many(20, 'test.deleted');
$bmw->wait_for_sql('they wait', "SELECT count(*) = 20 FROM bm_webhook.delivery WHERE endpoint_id = $deleted AND attempts = 1");
$session->query_safe("BEGIN; SELECT FROM bm_webhook.delivery WHERE endpoint_id = $deleted ORDER BY event_id LIMIT 1 FOR UPDATE");
$bmw->sql("DELETE FROM bm_webhook.endpoint WHERE id = $deleted");
$bmw->wait_for_sql('19 are canceled', "SELECT count(*) = 19 FROM bm_webhook.delivery WHERE endpoint_id = $deleted AND status = 'canceled'");
others_are_recorded('a deleted endpoint');
$session->query_safe('COMMIT');
$bmw->wait_for_sql('then the last', "SELECT count(*) = 20 FROM bm_webhook.delivery WHERE endpoint_id = $deleted AND status = 'canceled'");

# The tables of the log cannot be done without: nothing is lost, and status() says so.
for my $lock ('LOCK TABLE bm_webhook.delivery, bm_webhook.failed_attempt IN SHARE MODE', 'LOCK TABLE bm_webhook.delivery',
	'LOCK TABLE bm_webhook.set_aside, bm_webhook.failed_attempt, bm_webhook.delivery, bm_webhook.cursor',
	"SELECT format('LOCK TABLE %s IN SHARE MODE', inhrelid::regclass) FROM pg_inherits WHERE inhparent = 'bm_webhook.delivery'::regclass \\gexec")
{
	$receiver->behave('free', 'hang');
	$bmw->emit_many(100, 'test.free');
	$bmw->wait_for_requests('free', $emitted + 1);
	$session->query_safe("BEGIN; $lock");
	$receiver->behave('free', 'ok');
	$receiver->release('free');
	wait_until('they wait', sub {
		# status() itself counts rows of the locked tables
		my $row = $bmw->sql(q{SELECT state, reason, since > now() - interval '1 min' FROM bm_webhook_internal.dispatchers()});
		$row =~ /^not recording\|the log cannot be written: \d+ outcomes wait in memory; last_error says why\|t$/;
	});
	$session->query_safe('COMMIT');
	$bmw->wait_for_requests('free', $emitted += 100);
	$bmw->wait_for_sql('all are recorded',
		"SELECT count(*) = $emitted FROM bm_webhook.delivery WHERE endpoint_id = $free AND status = 'delivered'");
	is_running($lock);
}
$bmw->settle;
$bmw->arrived_exactly_once('free', q{SELECT id FROM bm_webhook.event WHERE type = 'test.free'}, 'everything arrived once');
is($bmw->sql('SELECT count(*) FROM bm_webhook.set_aside'), 0, 'nothing was set aside for a lock');

$session->quit;
$bmw->finish;

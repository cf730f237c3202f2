# Somebody has locked a table of the registration, when an endpoint has just been
# changed, so that it cannot be read: everything goes on with the endpoints
# known before, and when they can be read, what came in meanwhile goes to those
# that are new, once. No dispatcher that dies meanwhile loses any of it.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my $session = $bmw->session;
my $number = 0;
my $events = 0;
my %since;    # endpoint name => events before it

$bmw->sql(q{CREATE TABLE emitted (n serial, id uuid);
INSERT INTO bm_webhook.application (name) VALUES ('shop')});
my $old = $bmw->endpoint('/ok/old', event_types => '{test.event}');
my $ordered = $bmw->endpoint('/ok/ordered', event_types => '{test.event}', ordering => 'by_message');

sub emit
{
	my ($count) = @_;
	$bmw->sql("INSERT INTO emitted (id) SELECT bm_webhook.emit('test.event', '{}', message_id => 'm' || n % 7) FROM generate_series(1, $count) n");
	$events += $count;
	return;
}

# In one transaction: a new endpoint and an event for it.
sub register
{
	my ($name) = @_;
	$since{$name} = $events;
	$bmw->sql("BEGIN;
		INSERT INTO bm_webhook.endpoint (url, event_types) VALUES ('" . $receiver->url("/ok/$name") . "', '{test.event}');
		INSERT INTO emitted (id) SELECT bm_webhook.emit('test.event', '{}', message_id => 'm1');
		COMMIT");
	$events++;
	return;
}

sub everything_arrives_once
{
	my ($description) = @_;
	$bmw->wait_for_requests($_, $events - $since{$_}) for sort keys %since;
	$bmw->wait_for_requests($_, $events) for qw(old ordered);
	$bmw->settle;
	$bmw->arrived_exactly_once($_, "SELECT id FROM emitted WHERE n > $since{$_}", "$description: $_") for sort keys %since;
	$bmw->arrived_exactly_once($_, 'SELECT id FROM emitted', "$description: $_") for qw(old ordered);
	return;
}

# An endpoint is registered, and the table locked before the dispatcher, which is
# stopped for that moment, could read it.
my @locks = (
	[ application => 'LOCK TABLE bm_webhook.application' ],
	[ endpoint => 'LOCK TABLE bm_webhook.endpoint' ],
	[ endpoint_secret => 'LOCK TABLE bm_webhook.endpoint_secret' ],
	[ paused => 'LOCK TABLE bm_webhook.paused' ],
	[ endpoint_change => 'LOCK TABLE bm_webhook_internal.endpoint_change' ],
	[ home => 'LOCK TABLE bm_webhook_internal.home' ],
	[ prepared => q{LOCK TABLE bm_webhook.endpoint, bm_webhook.endpoint_secret, bm_webhook.application; PREPARE TRANSACTION 'lock'} ]);

for (@locks)
{
	my ($name, $lock) = @$_;
	my $pid = $bmw->freeze_dispatcher;

	register("${name}_new");
	$session->query_safe("BEGIN; $lock");
	kill CONT => $pid;
	emit(50);
	$bmw->wait_for_requests($_, $events) for qw(old ordered);
	$bmw->wait_for_sql("$name: outcomes are recorded", "SELECT count(*) = $events FROM bm_webhook.delivery
		WHERE endpoint_id = $old AND status = 'delivered'");
	emit(50);
	$bmw->wait_for_requests($_, $events) for qw(old ordered);
	is($receiver->count("${name}_new", 'requests') // 0, 0, "$name: the new endpoint is not known yet");
	is($bmw->sql('SELECT count(*) FROM bm_webhook.cursor WHERE EXISTS (SELECT FROM bm_webhook.event e
		WHERE e.id IN (SELECT id FROM emitted ORDER BY n DESC LIMIT 101) AND pg_visible_in_snapshot(e.xid, snapshot))'), 0,
		"$name: what it misses is not settled");
	$session->query_safe($name eq 'prepared' ? q{ROLLBACK PREPARED 'lock'} : 'COMMIT');
	everything_arrives_once($name);
	wait_until('then it settles', sub {
		$bmw->settle;    # the cursor is written with what is recorded
		$bmw->sql(q{SELECT pg_visible_in_snapshot(e.xid, c.snapshot) FROM bm_webhook.cursor c, bm_webhook.event e
			WHERE e.id = (SELECT id FROM emitted ORDER BY n DESC LIMIT 1)}) eq 't';
	});
}

# What hangs meanwhile is in memory, and is not sent twice either. The
# dispatcher that holds it dies, and the next one starts while nothing can be read.
for my $how (qw(release kill))
{
	my $pid = $bmw->freeze_dispatcher;

	register("$how");
	$session->query_safe('BEGIN; LOCK TABLE bm_webhook.endpoint');
	$receiver->behave('old', 'hang') if $how eq 'release';
	kill CONT => $pid;
	my $before = $events - 1;
	emit(20);
	$bmw->wait_for_requests('ordered', $events);
	if ($how eq 'release')
	{
		$bmw->wait_for_requests('old', $before + 1);    # one at least hangs
		$session->query_safe('COMMIT');
		$bmw->wait_for_requests($how, $events - $since{$how});
		my $counts = $receiver->counts('old');
		is($counts->{requests}, $counts->{distinct}, 'what hangs is not sent again');
		$receiver->behave('old', 'ok');
		$receiver->release('old');
	}
	else
	{
		$bmw->wait_for_sql('outcomes are recorded', "SELECT count(*) = $events FROM bm_webhook.delivery
			WHERE endpoint_id = $old AND status = 'delivered'");
		$bmw->wait_for_sql('all of them', "SELECT count(*) = $events FROM bm_webhook.delivery
			WHERE endpoint_id = $ordered AND status = 'delivered'");
		$bmw->sql("SELECT pg_terminate_backend($pid)");
		wait_until('a new one runs', sub { $bmw->dispatcher != $pid });
		emit(20);
		$session->query_safe('COMMIT');
	}
	everything_arrives_once($how);
}

# An endpoint that is to be disabled cannot be changed: that is done later.
my $gone = $bmw->endpoint('/gone/gone', event_types => '{test.gone}');
$session->query_safe('BEGIN; LOCK TABLE bm_webhook.endpoint IN SHARE MODE');
$bmw->emit('test.gone');
$bmw->wait_for_requests('gone', 1);
emit(20);
$bmw->wait_for_requests($_, $events) for qw(old ordered);
$session->query_safe('COMMIT');
$bmw->wait_for_sql('it is disabled', "SELECT NOT enabled FROM bm_webhook.endpoint WHERE id = $gone");
everything_arrives_once('a task that waits');

$session->quit;
$bmw->finish(expected => qr/exit code|terminating background worker/);

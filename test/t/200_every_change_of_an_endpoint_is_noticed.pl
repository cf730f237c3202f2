# Beside thousands of endpoints every change of one takes effect for the events of
# its own transaction and of those after it: whoever makes it, however late its
# transaction ends, prepared or rolled back, announced or not, noted by a trigger or
# made while the triggers were off. What a transaction changes in bulk arrives as well.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new(conf => "max_prepared_transactions = 5\nlog_statement = 'none'\n");
my $receiver = $bmw->receiver;
my $many = 5_000;
my $slow = $bmw->session;
my $n = 0;

$bmw->sql("INSERT INTO bm_webhook.application (name, max_endpoints) VALUES ('shop', NULL), ('bank', 1000), ('many', NULL);
	INSERT INTO bm_webhook.endpoint (url, application) SELECT '" . $receiver->url('/ok/shop') . "', 'shop' FROM generate_series(1, $many)");
my $id = $bmw->endpoint('/ok/a', application => 'bank', event_types => '{test.*}');
$bmw->share_secrets($id, $_) for qw(b c d e f);

sub url { return $bmw->receiver->url("/ok/$_[0]") }
sub move { return "UPDATE bm_webhook.endpoint SET url = '" . url($_[0]) . "' WHERE id = $id" }

# Emits an event, which must arrive at the name, once and nowhere else.
sub arrives_at
{
	my ($name, $description, $sql) = @_;
	my $emit = 'SELECT ' . $bmw->emit_call('test.event', application => 'bank');
	my $event = $bmw->sql($sql ? "BEGIN; $sql; $emit; COMMIT" : $emit);

	$bmw->wait_for_delivery($event);
	is_deeply([ map { my $at = $_; map { $at } grep { $_->{id} eq $event } $receiver->arrivals($at) } qw(a b c d e f) ], [$name], $description);
	return;
}

# A change of many is known after a moment.
sub becomes
{
	my ($name, $description) = @_;

	wait_until("$description: it is known", sub {
		my $event = $bmw->emit('test.probe', application => 'bank');
		$bmw->wait_for_delivery($event);
		return grep { $_->{id} eq $event } $receiver->arrivals($name);
	});
	arrives_at($name, $description);
	return;
}

sub nobody_gets
{
	my ($application, $description) = @_;

	return wait_until($description, sub {
		my $event = $bmw->emit('test.event', application => $application);
		$bmw->settle;
		return $bmw->sql("SELECT count(*) FROM bm_webhook.delivery WHERE event_id = '$event'") == 0;
	});
}

# Until those that were inserted in bulk have been read, which takes a moment: the last one gets what is for it alone.
wait_until('all are known', sub {
	my $event = $bmw->emit('test.probe', endpoint => $many);
	$bmw->settle;
	return $bmw->sql("SELECT count(*) FROM bm_webhook.delivery WHERE event_id = '$event'") > 0;
});
arrives_at('a', 'before any change');
arrives_at('b', 'an UPDATE, and an event of the same transaction', move('b'));
$bmw->sql(move('c'));
arrives_at('c', 'an event after it');
$bmw->sql('BEGIN; ' . move('d') . '; ROLLBACK');
arrives_at('c', 'one that is rolled back');
$bmw->sql('BEGIN; SAVEPOINT s; ' . move('d') . '; ROLLBACK TO s; ' . move('e') . '; COMMIT');
arrives_at('e', 'one of a subtransaction that is rolled back, and another one');

# While others begin and end, so that its transaction lies far behind.
$slow->query_safe('BEGIN; ' . move('a'));
arrives_at('e', "beside one that is not committed, $_", "UPDATE bm_webhook.endpoint SET description = '$_' WHERE application = 'shop' AND id % 50 = $_") for 1 .. 5;
$slow->query_safe('COMMIT');
arrives_at('a', 'one that was committed late');

$slow->query_safe('BEGIN; ' . move('b') . "; PREPARE TRANSACTION 'move'");
arrives_at('a', 'one that is prepared');
$bmw->sql("COMMIT PREPARED 'move'");
arrives_at('b', 'and committed');
$slow->query_safe('BEGIN; ' . move('c') . "; PREPARE TRANSACTION 'undone'");
$bmw->sql("ROLLBACK PREPARED 'undone'");
arrives_at('b', 'or rolled back');

# A bulk change, of which no note says what it is.
for my $name (qw(c d))
{
	$bmw->sql("BEGIN; UPDATE bm_webhook.endpoint SET description = '$name' WHERE application = 'shop'; " . move($name) . '; COMMIT');
	becomes($name, "$name: a bulk change");
}
$bmw->sql("BEGIN; INSERT INTO bm_webhook.endpoint (url, application, event_types)
	SELECT '" . url('bulk') . "', 'many', '{bulk.event}' FROM generate_series(1, 3000); SELECT " . $bmw->emit_call('bulk.event', application => 'many') . '; COMMIT');
$bmw->wait_for_requests('bulk', 3000);
$bmw->settle;
is($receiver->count('bulk', 'requests'), 3000, 'an event for the endpoints of its own transaction, registered in bulk');
cmp_ok($bmw->sql('SELECT count(*) FROM bm_webhook_internal.endpoint_change'), '<', 10_000, 'bulk changes leave few notes');

# A subtransaction takes its note that means all with it.
$bmw->sql("BEGIN; SAVEPOINT s; UPDATE bm_webhook.endpoint SET description = 'x' WHERE application = 'shop'; ROLLBACK TO s; " . move('e') . '; COMMIT');
becomes('e', 'after a bulk change that was rolled back');

# Applications and secrets.
$bmw->sql(q{UPDATE bm_webhook.application SET muted_event_types = '{test.event}' WHERE name = 'bank'});
my $muted = $bmw->emit('test.event', application => 'bank');
$bmw->settle;
$bmw->sql(q{UPDATE bm_webhook.application SET muted_event_types = '{}' WHERE name = 'bank'});
arrives_at('e', 'after muting');
is((grep { $_->{id} eq $muted } $receiver->arrivals('e')), 0, 'muted');
$bmw->sql("DELETE FROM bm_webhook.endpoint_secret WHERE endpoint_id = $id");
my $event = $bmw->emit('test.event', application => 'bank');
$bmw->settle;
is((grep { $_->{id} eq $event } $receiver->arrivals('e')), 0, 'without a secret nothing is sent');
my $secret = $bmw->sql('SELECT bm_webhook_internal.random_secret()');
$receiver->set_secrets($_, $secret) for qw(a b c d e f);
$bmw->sql("INSERT INTO bm_webhook.endpoint_secret (endpoint_id, secret) VALUES ($id, '$secret')");
$bmw->wait_for_delivery($event);
is((grep { $_->{id} eq $event } $receiver->arrivals('e')), 1, 'with a new one it is');

# An application is paused with all of its endpoints, one that was registered meanwhile included.
$slow->query_safe("SET client_min_messages = warning; BEGIN; INSERT INTO bm_webhook.endpoint (url, application, event_types) VALUES ('" . url('late') . "', 'bank', '{order.paid}')");
my $other = $bmw->session;
$other->query_safe("BEGIN; SELECT bm_webhook.pause(application => 'bank')");
$slow->query_safe('COMMIT');
$bmw->settle;
$other->query_safe('COMMIT');
$other->quit;
my @late = map { $bmw->emit($_, application => 'bank') } qw(order.paid test.event);
$bmw->settle;
is($receiver->count('late', 'requests') // 0, 0, 'paused');
$bmw->sql("SELECT bm_webhook.resume(application => 'bank')");
$bmw->wait_for_delivery($_) for @late;
is($receiver->count('late', 'requests'), 1, 'resumed');
$bmw->sql("DELETE FROM bm_webhook.endpoint WHERE event_types = '{order.paid}'");

# By a role that owns the application, and has no right to the notes.
$bmw->sql("CREATE ROLE tenant; GRANT USAGE ON SCHEMA bm_webhook TO tenant; GRANT SELECT, UPDATE ON bm_webhook.endpoint TO tenant;
	GRANT SELECT ON bm_webhook.application TO tenant; UPDATE bm_webhook.application SET owner = 'tenant' WHERE name = 'bank'");
$bmw->sql('SET ROLE tenant; ' . move('f'));
arrives_at('f', 'by the owner of the application');
is($bmw->sqlstate("SET ROLE tenant; SELECT FROM bm_webhook_internal.endpoint_change"), '42501', 'who cannot read the notes');

# As logical replication applies rows, and as pg_restore --disable-triggers does.
$bmw->sql("SET session_replication_role = replica; " . move('a'));
arrives_at('a', 'in the replica role');
$bmw->sql("ALTER TABLE bm_webhook.endpoint DISABLE TRIGGER ALL; " . move('b') . "; ALTER TABLE bm_webhook.endpoint ENABLE TRIGGER ALL");
becomes('b', 'without triggers');

$slow->quit;

# The dispatcher dies between a change and its reading.
my $pid = $bmw->freeze_dispatcher;
$bmw->sql(move('c'));
$bmw->kill_and_recover($pid);
wait_until('a new one runs', sub { $bmw->dispatcher != $pid });
arrives_at('c', 'after a crash');

# Deleted, one by one and in bulk; and by TRUNCATE everything goes.
$bmw->sql("SELECT bm_webhook.delete_endpoint($id)");
$event = $bmw->emit('test.event', application => 'bank');
my $last = $bmw->endpoint('/ok/last', event_types => '{test.*}', application => 'bank');
my $after = $bmw->emit('test.event', application => 'bank');
$bmw->wait_for_delivery($after);
is($bmw->sql("SELECT count(*) FROM bm_webhook.delivery WHERE event_id = '$event'"), 0, 'deleted');
is($receiver->count('last', 'requests'), 1, 'a new one gets only what comes after it');
$bmw->sql("DELETE FROM bm_webhook.endpoint WHERE application = 'shop'");
nobody_gets('shop', 'deleted in bulk');
$bmw->sql('TRUNCATE bm_webhook.endpoint CASCADE');
delete $bmw->{settled};
nobody_gets('bank', 'nobody is left');

# Notes that all dispatchers have read are removed.
wait_until('few notes are left', sub {
	$bmw->settle;    # the cursor is written with what is recorded
	return $bmw->sql('SELECT count(*) FROM bm_webhook_internal.endpoint_change') < 10;
});

$bmw->finish(expected => qr/terminated by signal|was terminated|crash|recovery|exit code|not properly shut down|permission denied for schema/);

# An idempotency key is an event: under 32 writers that use the same keys, in
# transactions that are rolled back, in part too, that are prepared, and at REPEATABLE READ,
# all that commits gets the same id, no error occurs and nobody waits for anyone but
# who has the key. Keys that have expired are removed.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new(conf => "max_prepared_transactions = 40\n");
my $receiver = $bmw->receiver;
$bmw->endpoint('/ok/keys', event_types => '{key.*}');
$bmw->sql('CREATE TABLE got (key text, id uuid)');

# What a writer does once; each transaction uses several keys, in one order.
my $emit = q{INSERT INTO got SELECT k, bm_webhook.emit('key.used', '{}', idempotency_key => k) FROM (SELECT 'k' || :n + i AS k FROM generate_series(0, 2) i ORDER BY i) s;};
my %scripts = (
	plain => $emit,
	rolled_back => "BEGIN; $emit ROLLBACK;",
	savepoint => "BEGIN; SAVEPOINT s; $emit ROLLBACK TO s; $emit COMMIT;",
	repeatable_read => "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM got; SELECT pg_sleep(0.002); $emit COMMIT;",
	prepared => "BEGIN; $emit PREPARE TRANSACTION 'p:client_id'; COMMIT PREPARED 'p:client_id';",
	given_up => "BEGIN; $emit PREPARE TRANSACTION 'p:client_id'; ROLLBACK PREPARED 'p:client_id';");
my @files;
for my $name (sort keys %scripts)
{
	my $file = PostgreSQL::Test::Utils::tempdir() . "/$name.sql";
	PostgreSQL::Test::Utils::append_to_file($file, "\\set n 10 * random(0, 29)\n" . join("\n", split /(?<=;) /, $scripts{$name}) . "\n");
	push @files, '-f', $file;
}
my $node = $bmw->node;
my @command = ('pgbench', '-n', '-c', 32, '-j', 2, '-t', 20, '--max-tries=1', @files, '-h', $node->host, '-p', $node->port, 'postgres');
my ($out, $err) = ('', '');
ok(IPC::Run::run(\@command, '>', \$out, '2>', \$err), '32 writers') or diag "$out\n$err";
like($out, qr/number of failed transactions: 0 /, 'none of them fails');
unlike($err, qr/ERROR/, 'with no error');
is($bmw->sql('SELECT count(*) > 50, count(DISTINCT key) = count(*) FROM (SELECT DISTINCT key, id FROM got) s'), 't|t', 'to all the same id');
is($bmw->sql(q{SELECT count(*) - (SELECT count(DISTINCT key) FROM got) FROM bm_webhook.event WHERE type = 'key.used'}), '0', 'one event a key');
is($bmw->sql(q{SELECT count(*) FROM got WHERE NOT EXISTS (SELECT FROM bm_webhook.event e WHERE e.id = got.id)}), '0', 'that is there');
$bmw->settle;
$bmw->arrived_exactly_once('keys', q{SELECT id FROM bm_webhook.event WHERE type = 'key.used'}, 'each arrives once');

# Two sessions, step by step. (first: has the key; second: wants it; how the first ends)
my $n = 0;
for my $level ('READ COMMITTED', 'REPEATABLE READ')
{
	for my $end ('COMMIT', 'ROLLBACK', 'COMMIT PREPARED', 'ROLLBACK PREPARED')
	{
		my $key = 'two' . ++$n;
		my ($first, $second) = ($bmw->session, $bmw->session);
		my $id = $first->query_safe("BEGIN; SELECT bm_webhook.emit('key.used', '{}', idempotency_key => '$key')");
		$first->query_safe("PREPARE TRANSACTION '$key'") if $end =~ /PREPARED/;
		$second->query_safe("BEGIN ISOLATION LEVEL $level; SELECT count(*) FROM got");
		my $pid = $second->query_safe('SELECT pg_backend_pid()');
		$second->query_until(qr/^$/, "SELECT bm_webhook.emit('key.used', '{}', idempotency_key => '$key') AS id \\gset\n");
		$bmw->wait_for_sql('it waits', "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $pid");
		is($bmw->sql("SELECT bm_webhook.emit('key.used', '{}', idempotency_key => 'other$n') IS NOT NULL"), 't', 'another key does not wait');
		$first->query_safe($end =~ /PREPARED/ ? "$end '$key'" : $end);
		my $second_id = $second->query_safe('\echo :id');
		is($second_id eq $id ? 'the same' : 'another', $end =~ /COMMIT/ ? 'the same' : 'another', "$level after $end");
		$second->query_safe('COMMIT');
		is($bmw->sql(qq{SELECT count(*) FROM bm_webhook.event WHERE id IN ('$id', '$second_id')}), '1', 'one event');
		$first->quit;
		$second->quit;
	}
}

# At REPEATABLE READ what was committed after the snapshot is seen, an expired key is taken over.
my $session = $bmw->session;
$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM got');
my $id = $bmw->sql(q{SELECT bm_webhook.emit('key.used', '{}', idempotency_key => 'seen')});
is($session->query_safe(q{SELECT bm_webhook.emit('key.used', '{}', idempotency_key => 'seen')}), $id, 'committed after the snapshot');
$bmw->sql(q{SET bm_webhook.idempotency_window = '1 s'; SELECT bm_webhook.emit('key.used', '{}', idempotency_key => 'old')});
$bmw->wait_for_sql('it expires', q{SELECT NOT EXISTS (SELECT FROM bm_webhook_internal.idempotency_key WHERE key = 'old' AND expires_at > clock_timestamp())});
isnt($session->query_safe(q{SELECT bm_webhook.emit('key.used', '{}', idempotency_key => 'old')}), '', 'an expired key is free');
$session->query_safe('COMMIT');
$session->quit;

# Removed, but for what somebody is about to use.
$bmw->sql(q{SET bm_webhook.idempotency_window = '1 s';
	SELECT count(bm_webhook.emit('key.used', '{}', idempotency_key => 'e' || n)) FROM generate_series(1, 1500) n});
$bmw->wait_for_sql('expired keys are removed', q{SELECT count(*) = 0 FROM bm_webhook_internal.idempotency_key WHERE key ~ '^e\d'});
is($bmw->sql(q{SELECT count(*) > 50 FROM bm_webhook_internal.idempotency_key}), 't', 'the others are not');

$bmw->finish;

# An old snapshot elsewhere keeps dead rows from being removed and transactions
# from becoming old; 20,000 events later, intake of one event still reads no more
# rows than before, and is as fast.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new(conf => "autovacuum = off\n");
my $receiver = $bmw->receiver;

$bmw->endpoint('/ok/all', event_types => '{test.*}');

# Rows read by anybody from the tables of the log. Nobody but the dispatcher may
# read them while this is measured.
sub rows_read
{
	return $bmw->sql(q{
		SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE schemaname = 'bm_webhook_internal'
				AND relname ~ '^(event|delivery|failed_attempt)' AND relname <> 'event_type')
			 + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE schemaname = 'bm_webhook_internal'
				AND relname ~ '^(event|delivery|failed_attempt)' AND relname <> 'event_type')});
}

# How many rows 50 events cost, each in its own transaction and when all is quiet.
sub rows_for_single_events
{
	my ($type) = @_;
	my $before = rows_read();
	my $requests = $receiver->count('all', 'requests');
	my $pgbench = $bmw->pgbench("SELECT bm_webhook.emit('test.$type', '{}');\n\\sleep 10 ms\n", '-c', 1, '-t', 50);

	ok($pgbench->finish, "$type: 50 events");
	$bmw->wait_for_requests('all', $requests + 50);
	wait_for_statistics(50);
	return rows_read() - $before;
}

# Until the statistics of so many more deliveries have been reported; the
# dispatcher reports what it read together with what it inserted, once a second
# at most and when it has something to do: an event for nobody.
my $deliveries = 0;
sub wait_for_statistics
{
	$deliveries += $_[0];
	$bmw->wait_for_sql("statistics of $deliveries deliveries are reported",
		"SELECT bm_webhook.emit('nobody.cares', '{}') IS NOT NULL AND sum(n_tup_ins) = $deliveries FROM pg_stat_user_tables "
		  . "WHERE schemaname = 'bm_webhook_internal' AND relname LIKE 'delivery%'");
	return;
}

$bmw->wait_for_delivery($bmw->emit('test.warm'));
wait_for_statistics(1);
rows_for_single_events('warm');
my $before = rows_for_single_events('before');
is($bmw->sql(q{SELECT sum(n_tup_upd + n_tup_del) FROM pg_stat_user_tables WHERE schemaname = 'bm_webhook_internal'
		AND relname ~ '^(event|delivery)' AND relname <> 'event_type'}), 0,
	'deliveries that succeed at once leave no dead row');

my $pin = $bmw->session;
$pin->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_current_xact_id()');
$bmw->emit_many(10_000, 'test.bulk');
$bmw->pgbench(q{SELECT count(bm_webhook.emit('test.small', '{}')) FROM generate_series(1, 10);}, '-c', 4, '-t', 250)->finish;
$bmw->wait_for_requests('all', 20_000);
$bmw->settle;
wait_for_statistics(20_000 + 1);    # settle() makes one

my $after = rows_for_single_events('after');
is($pin->query_safe('SELECT 1'), 1, 'the old snapshot is still there');
note("rows read for 50 events: before $before, after $after");
cmp_ok($after, '<=', $before + 500, 'it reads no more rows for an event than before');
my %ms = map { $_ => percentile(50, $bmw->latencies('all', "test.$_")) } qw(before after);
note("median from emit to arrival in ms: before $ms{before}, after $ms{after}");
cmp_ok($ms{after}, '<', 3 * $ms{before} + 10, 'and needs no longer');

$pin->quit;
$bmw->finish;

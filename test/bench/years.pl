# A year of daily partitions, in some minutes: what autovacuum leaves of each day, what retries cost, how many relations
# there are, how long the common queries take. Figures alone. Not part of make test: run it as one of test/t in a private server.
# BMW_BENCH_DAYS (365) and BMW_BENCH_EVENTS (2000 a day) say how much.
#
# Rows are written with ids and times of their day, the oldest day first, as a dispatcher writes them: a delivery that succeeds at
# once is inserted; a tenth is inserted as pending, updated by three more attempts, each a transaction, and then delivered. The
# keeper and autovacuum are those of any server, but look every second.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;
use Time::HiRes qw(time usleep);

my $days = $ENV{BMW_BENCH_DAYS} // 365;
my $events = $ENV{BMW_BENCH_EVENTS} // 2000;
my $bmw = BmWebhook->new(conf => "shared_buffers = 512MB\nmax_wal_size = 4GB\nautovacuum_naptime = 1\nautovacuum_vacuum_cost_delay = 0\n"
	  . "autovacuum_max_workers = 3\nmax_locks_per_transaction = 256\ntrack_counts = on\n");
my $endpoint = $bmw->endpoint('/ok/e');
$bmw->sql('CREATE EXTENSION pg_visibility');

sub create_day
{
	my ($day) = @_;
	$bmw->sql("SELECT bm_webhook_internal.create_partition(p, (now() AT TIME ZONE 'UTC')::date - $day) FROM unnest('{event,delivery,failed_attempt}'::text[]) p");
	return;
}

# Every 50th event is so large that it is stored out of line.
sub fill_day
{
	my ($day) = @_;
	my $at = "date_trunc('day', now(), 'UTC') - interval '$day days' + n * interval '1 day' / " . ($events + 1);
	my $id = "(left(bm_webhook.uuid_floor($at)::text, 24) || lpad(to_hex(n), 12, '0'))::uuid";
	my $mine = "event_id >= bm_webhook.uuid_floor(date_trunc('day', now(), 'UTC') - interval '$day days') AND event_id < bm_webhook.uuid_floor(date_trunc('day', now(), 'UTC') - interval '@{[ $day - 1 ]} days')";

	$bmw->sql("INSERT INTO bm_webhook.event (id, xid, type, message_id, occurred_at, created_at, data)
		SELECT $id, pg_current_xact_id(), 'test.event', n % 1000, $at, $at, json_build_object('text', CASE n % 50 WHEN 0
			THEN (SELECT string_agg(md5(n || ' ' || i), '') FROM generate_series(1, 128) i) ELSE repeat(md5(n::text), 8) END) FROM generate_series(1, $events) n");
	$bmw->sql("INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts, next_attempt_at, first_attempt_at, last_attempt_at, http_status, duration)
		SELECT $id, $endpoint, CASE n % 10 WHEN 0 THEN 'pending' ELSE 'delivered' END, 1, CASE n % 10 WHEN 0 THEN 'infinity'::timestamptz END, $at, $at,
			CASE n % 10 WHEN 0 THEN 503 ELSE 204 END, interval '10 ms' FROM generate_series(1, $events) n");
	for my $attempt (2 .. 4)
	{
		$bmw->sql("INSERT INTO bm_webhook.failed_attempt (event_id, endpoint_id, attempt, attempted_at, error_class, http_status, total_time, response)
			SELECT event_id, endpoint_id, attempts, last_attempt_at, 'http_status', 503, duration, 'try again later' FROM bm_webhook.delivery WHERE $mine AND status = 'pending';
			UPDATE bm_webhook.delivery SET attempts = $attempt, next_attempt_at = 'infinity'::timestamptz - interval '0', last_attempt_at = last_attempt_at + interval '1 min',
				status = CASE $attempt WHEN 4 THEN 'delivered' ELSE 'pending' END WHERE $mine AND status = 'pending'");
	}
	return;
}

sub show
{
	my ($title, $query) = @_;
	note("$title: $_") for split /\n/, $bmw->sql($query);
	return;
}

create_day($_) for reverse 1 .. $days;
my $start = time;
fill_day($_) for reverse 1 .. $days;
note(sprintf '%d days with %d events each, written in %.0f s', $days, $events, time - $start);

# Until autovacuum has nothing more to do.
$start = time;
my $past = q{FROM bm_webhook.partition_list l JOIN pg_class c ON c.relname = l.name AND c.relnamespace = 'bm_webhook_internal'::regnamespace
	LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid WHERE l.until < now()};
my $pages = q{JOIN LATERAL pg_visibility_map_summary(c.oid) v ON true};
my $vacuums = -1;
while ($bmw->sql("SELECT sum(autovacuum_count) $past") != $vacuums)
{
	$vacuums = $bmw->sql("SELECT sum(autovacuum_count) $past");
	usleep(5_000_000);
}
note(sprintf 'autovacuum was done %.0f s later', time - $start);

my $of_log = $past =~ s/LEFT JOIN pg_stat/$pages LEFT JOIN pg_stat/r;
show('partitions of days that are over', "SELECT log || ': ' || count(*) || ', vacuumed ' || min(autovacuum_count) || ' to ' || max(autovacuum_count) || ' times, '
	|| sum(c.relpages) || ' pages, of which ' || sum(v.all_visible) || ' all visible, ' || sum(v.all_frozen) || ' all frozen; dead rows ' || sum(s.n_dead_tup) $of_log GROUP BY log");
show('their TOAST tables', "SELECT log || ': ' || sum(t.relpages) || ' pages, of which ' || sum(v.all_visible) || ' all visible, ' || sum(v.all_frozen) || ' all frozen' "
	. ($past =~ s/WHERE/JOIN pg_class t ON t.oid = c.reltoastrelid JOIN LATERAL pg_visibility_map_summary(t.oid) v ON true WHERE/r) . ' AND t.relpages > 0 GROUP BY log');
$start = time;
show('pages that are not frozen and not empty', "SELECT log || ': ' || sum(greatest(pg_relation_size(c.oid) / 8192 - v.all_frozen, 0)) $of_log GROUP BY log");

show('updates of deliveries', "SELECT sum(n_tup_upd) || ', of which HOT ' || sum(n_tup_hot_upd) $past AND log = 'delivery'");
my $copy = $bmw->sql("SELECT c.oid::regclass $past AND log = 'delivery' ORDER BY since LIMIT 1");
$bmw->sql("CREATE TABLE copy (LIKE $copy INCLUDING ALL); INSERT INTO copy SELECT * FROM $copy; VACUUM copy");
show('a day of deliveries, and the same rows written once', "SELECT pg_relation_size('$copy') / 1024 || ' kB of rows against ' || pg_relation_size('copy') / 1024
	|| ', ' || pg_indexes_size('$copy') / 1024 || ' kB of indexes against ' || pg_indexes_size('copy') / 1024");

show('relations', q{SELECT count(*) || ' (' || count(*) FILTER (WHERE relkind = 'r') || ' tables, ' || count(*) FILTER (WHERE relkind = 'i') || ' indexes, '
	|| count(*) FILTER (WHERE relkind = 't') || ' of TOAST); ' || pg_size_pretty(sum(pg_relation_size(oid))) || ' in all'
	FROM pg_class WHERE relnamespace IN ('bm_webhook_internal'::regnamespace, 'pg_toast'::regnamespace)});
show('catalogs', q{SELECT pg_size_pretty(sum(pg_total_relation_size(oid))) FROM pg_class WHERE relname IN ('pg_class', 'pg_attribute', 'pg_index', 'pg_depend', 'pg_type', 'pg_constraint', 'pg_statistic')});

sub figures
{
	my ($what, $query) = @_;
	my (%time, @took);
	for (1 .. 5)
	{
		my $plan = $bmw->sql(join ';', ("EXPLAIN (ANALYZE, TIMING off) $query") x 2);
		push @took, [ $plan =~ /^(?:Planning|Execution) Time: ([\d.]+)/mg ];
	}
	my @median = map { my $i = $_; percentile(50, map { $_->[$i] } @took) } 0 .. 3;
	my $locks = $bmw->sql("BEGIN; SELECT FROM ($query) q OFFSET 1000000000; SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid(); COMMIT");
	note(sprintf '%-52s first in a session %6.1f ms to plan, %6.1f to execute; then %6.1f and %6.1f; %d locks', $what, @median, $locks);
	return;
}

my ($event) = $bmw->sql("SELECT id FROM bm_webhook.event WHERE created_at > now() - interval '2 days' LIMIT 1");
figures('status()', 'SELECT * FROM bm_webhook.status()');
figures('backlog', 'SELECT * FROM bm_webhook.backlog');
figures('endpoint_health', 'SELECT * FROM bm_webhook.endpoint_health');
figures('stat_endpoint', 'SELECT * FROM bm_webhook.stat_endpoint');
figures('what a dispatcher asks once a minute', q{SELECT bm_webhook_internal.is_upkeep_due('0')});
figures('the same with retention', q{SELECT bm_webhook_internal.is_upkeep_due('400 days')});
figures('partition_list', 'SELECT * FROM bm_webhook.partition_list');
figures('an event by its id', "SELECT * FROM bm_webhook.event WHERE id = '$event'");
figures('the attempts of an event', "SELECT * FROM bm_webhook.attempt WHERE event_id = '$event'");
figures('events of a message', "SELECT * FROM bm_webhook.event WHERE message_id = '17'");
figures('events of a message, of the last week', "SELECT * FROM bm_webhook.event WHERE message_id = '17' AND id >= bm_webhook.uuid_floor(now() - interval '7 days')");
figures('what failed in the last day, by time of the attempt', "SELECT endpoint_id, count(*) FROM bm_webhook.delivery WHERE status = 'failed' AND last_attempt_at > now() - interval '1 day' GROUP BY 1");
figures('the same, by id', "SELECT endpoint_id, count(*) FROM bm_webhook.delivery WHERE status = 'failed' AND event_id >= bm_webhook.uuid_floor(now() - interval '1 day') GROUP BY 1");

my $pid = $bmw->dispatcher;
$bmw->wait_for_delivery($bmw->emit('test.last')) for 1 .. 20;
note('memory of the dispatcher: ' . (PostgreSQL::Test::Utils::slurp_file("/proc/$pid/status") =~ /RssAnon:\s+(\d+)/)[0] . ' kB');
my $session = $bmw->session;
$session->query_safe('SELECT count(*) FROM bm_webhook.delivery');
my $backend = $session->query('SELECT pg_backend_pid()') =~ s/\D//gr;
note('memory of a session that has read all of delivery: ' . (PostgreSQL::Test::Utils::slurp_file("/proc/$backend/status") =~ /RssAnon:\s+(\d+)/)[0] . ' kB');
$session->quit;

$start = time;
$bmw->sql('VACUUM (FREEZE)');
note(sprintf 'VACUUM (FREEZE) of the whole database: %.1f s', time - $start);
$start = time;
$bmw->set('bm_webhook.retention', int($days / 2) . 'd');
$bmw->wait_for_sql('what has expired is dropped', 'SELECT count(*) = 0 FROM bm_webhook.partition_list WHERE until < now() - ' . "interval '" . int($days / 2 + 1) . " days'");
note(sprintf 'half of the partitions dropped by retention in %.1f s', time - $start);
pass('figures');
$bmw->finish;

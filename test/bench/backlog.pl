# What backlog and status() take with a million deliveries waiting for 10,000 endpoints in the last three of 400 days, in
# figures: milliseconds, locks, pages. Not part of make test: run it as one of test/t in a private server.
# BMW_BENCH_ENDPOINTS, BMW_BENCH_ROWS and BMW_BENCH_DAYS say how many there are.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $endpoints = $ENV{BMW_BENCH_ENDPOINTS} // 10_000;
my $rows = $ENV{BMW_BENCH_ROWS} // 1_000_000;
my $days = $ENV{BMW_BENCH_DAYS} // 400;
my $bmw = BmWebhook->new(conf => "shared_buffers = 512MB\nmax_wal_size = 4GB\nbm_webhook.enabled = off\nmax_locks_per_transaction = 256\n");

sub figures
{
	my ($what, $query) = @_;
	my @plan;
	my @took;
	for (1 .. 7)
	{
		# the second time, with what a session that asks again knows of the tables
		@plan = split /\n/, $bmw->sql(join ';', ("EXPLAIN (ANALYZE, BUFFERS, TIMING off) $query") x 2) =~ s/.*Execution Time[^\n]*\n(?=.)//sr;
		my %time = map { /^(Planning|Execution) Time: ([\d.]+)/ ? ($1 => $2) : () } @plan;
		push @took, $time{Planning} + $time{Execution};
	}
	my ($pages) = map { /Buffers: shared hit=(\d+)/ ? $1 : () } @plan;
	my $locks = $bmw->sql("BEGIN; SELECT FROM ($query) q OFFSET 1000000000; SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid(); COMMIT");
	@took = sort { $a <=> $b } @took;
	note(sprintf '%-40s %6.1f ms (%.1f to %.1f), %d locks, %d pages', $what, $took[3], @took[0, -1], $locks, $pages // 0);
	diag(join("\n", @plan)) if $ENV{BMW_BENCH_PLANS};
	return;
}

$bmw->sql("INSERT INTO bm_webhook.application (name) SELECT 'a' || n FROM generate_series(1, $endpoints / 10) n");
my $url = $bmw->receiver->url('/ok/e');
$bmw->sql("INSERT INTO bm_webhook.endpoint (url, application) SELECT '$url/' || n, 'a' || 1 + n % ($endpoints / 10) FROM generate_series(1, $endpoints) n");
for my $day (1 .. $days - 5)
{
	$bmw->sql("SELECT bm_webhook_internal.create_partition(p, (now() AT TIME ZONE 'UTC')::date - $day) FROM unnest('{event,delivery,failed_attempt}'::text[]) p");
}
figures('backlog, nothing waits', 'SELECT * FROM bm_webhook.backlog');
$bmw->sql("INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts, next_attempt_at, last_attempt_at)
	SELECT (left(bm_webhook.uuid_floor(now() - n * interval '3 days' / $rows)::text, 24) || lpad(to_hex(n), 12, '0'))::uuid,
		(SELECT min(id) FROM bm_webhook.endpoint) + n % $endpoints, 'pending', n % 2, now() + n * interval '1 ms', now()
	FROM generate_series(1, $rows) n");
$bmw->sql("INSERT INTO bm_webhook_internal.pending_count SELECT endpoint_id, count(*), count(*) FILTER (WHERE attempts > 0)
	FROM bm_webhook.delivery WHERE status = 'pending' GROUP BY endpoint_id ON CONFLICT (endpoint_id) DO UPDATE
	SET pending = excluded.pending, retrying = excluded.retrying");
$bmw->sql('VACUUM ANALYZE');
figures('backlog', 'SELECT * FROM bm_webhook.backlog');
figures('backlog, what waits and for how long', 'SELECT endpoint_id, pending, oldest FROM bm_webhook.backlog WHERE pending > 0');
figures('backlog of one endpoint', 'SELECT * FROM bm_webhook.backlog WHERE endpoint_id = 17');
figures('status()', 'SELECT * FROM bm_webhook.status()');
pass('figures');
$bmw->finish;

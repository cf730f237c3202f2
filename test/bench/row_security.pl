# What row-level security adds to queries of the log, for an operator and for an owner whose application has nearly all of it: the same
# query as a superuser, whom it does not touch, with the condition written out where an owner needs none. Least of many runs, in turn.
# Not part of make test: run it as one of test/t in a private server. BMW_BENCH_ROWS says how many events there are.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use List::Util qw(min);
use Test::More;

my $rows = $ENV{BMW_BENCH_ROWS} // 10_000_000;
my $runs = $ENV{BMW_BENCH_RUNS} // 15;
my $bmw = BmWebhook->new(conf => "shared_buffers = 4GB\nmax_wal_size = 8GB\nbm_webhook.enabled = off\nmax_parallel_workers_per_gather = 0\n");

$bmw->sql("CREATE ROLE big LOGIN; CREATE ROLE other LOGIN; CREATE ROLE watcher LOGIN; SELECT bm_webhook.grant_operator('watcher')");
$bmw->sql("INSERT INTO bm_webhook.application (name, max_endpoints) VALUES ('big', NULL), ('other', NULL);
	SELECT bm_webhook.grant_owner('big', 'big'), bm_webhook.grant_owner('other', 'other')");
my $url = $bmw->receiver->url('/ok/e');
$bmw->sql("INSERT INTO bm_webhook.endpoint (url, application) SELECT '$url/' || n, CASE WHEN n % 10 = 0 THEN 'other' ELSE 'big' END
	FROM generate_series(1, 200) n");
my $first = $bmw->sql('SELECT min(id) FROM bm_webhook.endpoint');
my $own = $bmw->sql("SELECT array_agg(id) FROM bm_webhook.endpoint WHERE application = 'big'");
$bmw->sql("INSERT INTO bm_webhook.event (id, xid, type, application, message_id, occurred_at, created_at, data)
	SELECT bm_webhook.uuid_floor(now() - n * interval '1 ms'), '3', 'bench.message', CASE WHEN n % 10 = 0 THEN 'other' ELSE 'big' END, 'm' || n % 1000000,
		now(), now(), '{}' FROM generate_series($rows, 1, -1) n");
$bmw->sql("INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts, first_attempt_at, last_attempt_at, http_status, error_class, duration)
	SELECT bm_webhook.uuid_floor(now() - n * interval '1 ms'), $first - 1 + CASE WHEN n % 200 = 0 THEN 200 ELSE n % 200 END, f.status, 1, now(), now(), 204,
		CASE f.status WHEN 'failed' THEN 'http_status' END, '20 ms'
	FROM generate_series($rows, 1, -1) n, LATERAL (SELECT CASE WHEN n % 97 = 0 THEN 'failed' ELSE 'delivered' END AS status) f");
$bmw->sql('VACUUM ANALYZE');

sub took
{
	my ($role, $query) = @_;
	my $plan = $bmw->sql("SET ROLE $role; EXPLAIN (ANALYZE, TIMING off) $query; EXPLAIN (ANALYZE, TIMING off) $query");
	diag("$role: $query\n$plan") if $ENV{BMW_BENCH_PLANS};
	my @plannings = $plan =~ /Planning Time: ([\d.]+)/g;
	my @executions = $plan =~ /Execution Time: ([\d.]+)/g;
	return $plannings[-1] + $executions[-1];
}

sub compare
{
	my ($what, $query, $of_owner) = @_;
	my %took;
	my %query = ('postgres' => $query, 'watcher' => $query, 'big' => $of_owner // $query);
	for (1 .. $runs)
	{
		push @{ $took{$_} }, took($_, $query{$_}) for sort keys %query;
	}
	my %least = map { $_ => min(@{ $took{$_} }) } keys %took;
	note(sprintf '%-40s %9.3f ms; operator %9.3f ms (%+.1f %%), owner %9.3f ms (%+.1f %%)',
		$what, $least{postgres}, map { $least{$_}, 100 * ($least{$_} / $least{postgres} - 1) } qw(watcher big));
	return;
}

my $one = $bmw->sql("SELECT event_id FROM bm_webhook.delivery WHERE endpoint_id = $first + 4 ORDER BY event_id DESC OFFSET 1000 LIMIT 1");
my $columns = 'event_id, endpoint_id, status, attempts, last_attempt_at, http_status';
compare('the latest 50 deliveries', "SELECT $columns FROM bm_webhook.delivery WHERE endpoint_id = ANY ('$own') ORDER BY event_id DESC LIMIT 50",
	"SELECT $columns FROM bm_webhook.delivery ORDER BY event_id DESC LIMIT 50");
compare('those of one endpoint', "SELECT $columns FROM bm_webhook.delivery WHERE endpoint_id = $first ORDER BY event_id DESC LIMIT 50");
compare('those of one endpoint that failed',
	"SELECT $columns FROM bm_webhook.delivery WHERE endpoint_id = $first AND status = 'failed' ORDER BY event_id DESC LIMIT 50");
compare('one event with its deliveries', "SELECT e.type, d.endpoint_id, d.status FROM bm_webhook.event e JOIN bm_webhook.delivery d ON d.event_id = e.id
	WHERE e.id = '$one'");
compare('the events of a message', "SELECT id, type, channel, occurred_at FROM bm_webhook.event WHERE message_id = 'm1001' ORDER BY id");
compare('the latest 50 events', "SELECT id, type FROM bm_webhook.event WHERE application = 'big' ORDER BY id DESC LIMIT 50",
	'SELECT id, type FROM bm_webhook.event ORDER BY id DESC LIMIT 50');
my $since = "'" . $bmw->sql("SELECT bm_webhook.uuid_floor(now() - interval '10 minutes')") . "'";
compare('ten minutes by status', "SELECT status, count(*) FROM bm_webhook.delivery WHERE event_id >= $since AND endpoint_id = ANY ('$own') GROUP BY 1",
	"SELECT status, count(*) FROM bm_webhook.delivery WHERE event_id >= $since GROUP BY 1");
compare('all by status', "SELECT status, count(*) FROM bm_webhook.delivery WHERE endpoint_id = ANY ('$own') GROUP BY 1",
	'SELECT status, count(*) FROM bm_webhook.delivery GROUP BY 1');
pass('figures');
$bmw->finish;

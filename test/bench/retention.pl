# How long whoever writes waits for a lock while partitions are archived and dropped, and days of the default partitions get
# theirs, beside two readers. Figures alone. Not part of make test: run it as one of test/t in a private server.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new(conf => "log_lock_waits = on\ndeadlock_timeout = 20ms\nbm_webhook.archive_command = 'cat > /dev/null'\n");

sub fill_day
{
	my ($days, $events) = @_;
	$bmw->sql("WITH e AS (INSERT INTO bm_webhook.event (id, xid, type, occurred_at, created_at, data)
			SELECT bm_webhook.uuid_floor(at), '3', 'test.old', at, at, '{}'
			FROM generate_series(1, $events) n, LATERAL (SELECT date_trunc('day', clock_timestamp(), 'UTC') - interval '$days days' + n * interval '1 s') t (at)
			RETURNING id), d AS (INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts) SELECT id, 1000, 'delivered', 1 FROM e)
		INSERT INTO bm_webhook.failed_attempt (event_id, endpoint_id, attempt, attempted_at, error_class) SELECT id, 1000, 1, now(), 'timeout' FROM e");
	return;
}

$bmw->sql(q{INSERT INTO bm_webhook.endpoint (id, url, enabled) OVERRIDING SYSTEM VALUE VALUES (1000, 'http://127.0.0.1:9/', false)});
for my $day (reverse 40 .. 64)
{
	$bmw->sql("SELECT bm_webhook_internal.create_partition(p, (clock_timestamp() AT TIME ZONE 'UTC')::date - $day) FROM unnest('{event,delivery,failed_attempt}'::text[]) p");
	fill_day($day, 200);
}
fill_day($_, 500) for 10 .. 14;    # these have no partition

my $writers = $bmw->pgbench("SELECT bm_webhook.emit('test.written', '{}');", '-c', 4, '-R', 200, '-T', 100);
my $readers = $bmw->pgbench('BEGIN; SELECT count(*) FROM bm_webhook.event; SELECT count(*) FROM bm_webhook.delivery; SELECT pg_sleep(0.3); COMMIT;', '-c', 2, '-R', 1, '-T', 100);
$bmw->set('bm_webhook.retention', '30d');
$bmw->sql("SELECT bm_webhook.drop_before('2000-01-01')");
$bmw->wait_for_sql('what has expired is dropped', "SELECT count(*) = 0 FROM bm_webhook.partition_list WHERE until < now() - interval '31 days'");
$_->finish for $writers, $readers;

note('moved out of the default partitions: ' . $bmw->sql(q{SELECT count(*) FROM bm_webhook.partition_list WHERE since BETWEEN now() - interval '16 days' AND now() - interval '9 days'}));
note('events written: ' . $bmw->sql("SELECT count(*) FROM bm_webhook.event WHERE type = 'test.written'"));
my %waits;
my $log = PostgreSQL::Test::Utils::slurp_file($bmw->node->logfile);
push @{ $waits{$1} }, $2 while $log =~ /LOG:  process \d+ acquired (\w+) on .* after ([\d.]+) ms/g;
note(sprintf '%s: %d waits of more than 20 ms, the longest of %.0f', $_, scalar @{ $waits{$_} }, percentile(100, @{ $waits{$_} })) for sort keys %waits;
pass('figures');
$bmw->finish;

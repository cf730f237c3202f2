# From the start of the server to the first delivery when there are many endpoints that keep the order, with deliveries
# waiting, in figures. Not part of make test: run it as one of test/t in a private server. BMW_BENCH_ENDPOINTS,
# BMW_BENCH_ROWS (of each) and BMW_BENCH_DAYS say how many there are.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;
use Time::HiRes qw(time);

my $endpoints = $ENV{BMW_BENCH_ENDPOINTS} // 10_000;
my $rows = $ENV{BMW_BENCH_ROWS} // 3;
my $days = $ENV{BMW_BENCH_DAYS} // 30;
my $bmw = BmWebhook->new(conf => "shared_buffers = 256MB\nmax_wal_size = 4GB\nbm_webhook.enabled = off\n");
my $url = $bmw->receiver->url('/ok/e');

$bmw->endpoint('/ok/probe', event_types => '{test.probe}');
$bmw->sql("INSERT INTO bm_webhook.endpoint (url, ordering, event_types)
	SELECT '$url', 'by_message', '{test.ordered}' FROM generate_series(1, $endpoints) n");
for my $day (1 .. $days)
{
	$bmw->sql("SELECT bm_webhook_internal.create_partition(p, (now() AT TIME ZONE 'UTC')::date - $day)
		FROM unnest('{event,delivery,failed_attempt}'::text[]) p");
}
$bmw->sql("WITH made AS (
		INSERT INTO bm_webhook.event (id, xid, type, message_id, occurred_at, created_at, data)
			SELECT (left(bm_webhook.uuid_floor(now())::text, 24) || lpad(to_hex(n), 12, '0'))::uuid, '3', 'test.ordered', 'm' || n % 1000, now(), now(), '{}'
			FROM generate_series(1, $rows * $endpoints) n RETURNING id
	)
	INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts, next_attempt_at)
	SELECT id, (SELECT min(id) FROM bm_webhook.endpoint WHERE ordering = 'by_message') + (row_number() OVER () - 1) / $rows, 'pending', 0, now() FROM made");
$bmw->sql('VACUUM ANALYZE');
$bmw->node->append_conf('postgresql.conf', 'bm_webhook.enabled = on');
for my $round (1 .. 3)
{
	$bmw->node->stop;
	$bmw->receiver->reset;
	$bmw->node->start;
	my $began = time;
	my $event = $bmw->emit('test.probe');
	wait_until('the probe arrives', sub { $bmw->receiver->count('probe', 'requests') > 0 });
	my $probe = time - $began;
	wait_until('the first arrives', sub { $bmw->receiver->count('e', 'requests') > 0 }) if $round == 1;
	note(sprintf 'start -> another endpoint %.2f s, the first in order %.2f s', $probe, time - $began);
	next if $round > 1;
	$bmw->wait_for_sql('all arrive', q{SELECT count(*) = 0 FROM bm_webhook.delivery WHERE status = 'pending'});
	note(sprintf 'start -> everything is delivered %.2f s', time - $began);
	$bmw->sql("UPDATE bm_webhook.delivery SET status = 'pending', next_attempt_at = now() + interval '1 day' WHERE endpoint_id > 1");
}
pass('figures');
$bmw->finish;

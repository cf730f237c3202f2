# With many days of log, a retry reads the days since the oldest event that waits, and no others; whatever becomes due of older
# days is sent all the same: by redeliver(), of one event and of many, and, when all is looked at, what
# somebody has changed by hand.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
$bmw->sql(q{SELECT bm_webhook_internal.create_partition(p, (clock_timestamp() AT TIME ZONE 'UTC')::date - d)
	FROM unnest('{event,delivery}'::text[]) p, generate_series(1, 66) d});

# Events of so many days ago that were delivered, or wait.
sub make_old
{
	my ($endpoint, $days, $columns) = @_;
	return $bmw->sql("WITH e AS (INSERT INTO bm_webhook.event (id, xid, type, occurred_at, created_at, data)
			SELECT bm_webhook.uuid_floor(at), '3', 'test.old', at, at, '{}'
			FROM generate_series(1, 3) n, LATERAL (SELECT date_trunc('day', clock_timestamp(), 'UTC') - interval '$days days' + n * interval '1 s') t (at) RETURNING id),
		d AS (INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts, next_attempt_at) SELECT id, $endpoint, $columns FROM e)
		SELECT string_agg(id::text, ' ') FROM e");
}
my $retried = $bmw->endpoint('/fail/1/retried', event_types => '{test.retried}', retry_delays => '{10 ms,10 ms}');
my %id = map { $_ => $bmw->endpoint("/ok/$_", event_types => '{test.never}', created_at => '2000-01-01') } qw(again missed by_hand waiting);
my %days = (again => 60, missed => 61, by_hand => 62, waiting => 5);
my %old = map { $_ => [ split / /, make_old($id{$_}, $days{$_}, $_ eq 'waiting' ? q{'pending', 1, now() + interval '1 day'} : q{'failed', 1, NULL}) ] } sort keys %id;
$bmw->node->restart;
my $pid = $bmw->dispatcher;

# How often an index of what is due was used: in partitions that are so many days old.
sub scans
{
	my ($from, $to) = @_;
	return $bmw->sql("SELECT coalesce(max(pg_stat_get_numscans(c.oid)), 0) FROM bm_webhook.partition_list l JOIN pg_index i ON i.indrelid = format('bm_webhook_internal.%I', l.name)::regclass
		JOIN pg_class c ON c.oid = i.indexrelid WHERE l.log = 'delivery' AND l.until < now() - interval '$from days' AND l.until > now() - interval '$to days'
			AND pg_get_indexdef(i.indexrelid) LIKE '%(endpoint_id, next_attempt_at)%'");
}
sub retry
{
	my $before = $receiver->count('retried', 'delivered');
	for my $n (1 .. 20)
	{
		$bmw->emit('test.retried');
		$bmw->wait_for_requests('retried', $before + $n, 'delivered');
	}
	return;
}
retry();
my $before = scans(8, 90);
retry();
wait_until('a day on which something waits is read', sub { scans(3, 6) > 20 });
cmp_ok(scans(8, 90) - $before, '<', 15, 'and those before it are not, but now and then');

# What becomes due of a day that is not read.
$bmw->sql("SELECT bm_webhook.redeliver('$_')") for @{ $old{again} };
$bmw->wait_for_requests('again', 3, 'delivered');
$bmw->sql("SELECT bm_webhook.redeliver($id{missed}, since => '-infinity')");
$bmw->wait_for_requests('missed', 3, 'delivered');
retry();
$bmw->sql("UPDATE bm_webhook.delivery SET status = 'pending', next_attempt_at = now() WHERE endpoint_id = $id{by_hand}");
is($bmw->dispatcher, $pid, 'it is the same process');
$bmw->sql("SELECT pg_terminate_backend($pid)");
$bmw->wait_for_requests('by_hand', 3, 'delivered');
$bmw->settle;
$bmw->arrived_exactly_once($_, "SELECT unnest('{" . join(',', @{ $old{$_} }) . "}'::uuid[])", "$_: each once") for qw(again missed by_hand);
is($receiver->count('waiting', 'requests'), 0, 'and nothing that is not due');

# What waits behind an earlier event of its message is looked for in its day: auto_explain shows the plan.
$bmw->node->adjust_conf('postgresql.conf', 'shared_preload_libraries', q{'bm_webhook,auto_explain'});
$bmw->node->append_conf('postgresql.conf', 'auto_explain.log_min_duration = 0');
$bmw->node->restart;
$bmw->endpoint('/fail/1/ordered', event_types => '{test.ordered}', ordering => 'by_message', retry_delays => '{10 ms,10 ms}');
$bmw->sql(q{SELECT bm_webhook.emit('test.ordered', '{}', message_id => 'm') FROM generate_series(1, 3)});
$bmw->wait_for_requests('ordered', 3, 'delivered');
my @plans = PostgreSQL::Test::Utils::slurp_file($bmw->node->logfile) =~ /Query Text: SELECT wanted\.lane(.*?)^\d/gms;
cmp_ok(scalar @plans, '>', 0, 'it is looked for');
is(scalar(grep { my %days = map { $_ => 1 } /\b(delivery_\d{8})\b/g; keys %days > 2 } @plans), 0, 'in its day, and in no other');
$bmw->finish;

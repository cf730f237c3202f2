# What the console reads of the log: what waits or has failed by the index that has nothing else, of the days asked about; and of
# endpoints, each table once, and words for those that are shown. Of two dispatchers each has its figures, and what waits is
# counted once.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new(conf => "bm_webhook.enabled = off\nbm_webhook.count_days = off\nbm_webhook.shards = 2\n");
$bmw->sql(q{SELECT bm_webhook_internal.create_partition(p, (now() AT TIME ZONE 'UTC')::date - day)
	FROM unnest('{event,delivery,failed_attempt}'::text[]) p, generate_series(0, 9) day});
my $endpoint = $bmw->endpoint('/ok/shop');

# One of a hundred has failed, none lately, as when a receiver was down during the night.
$bmw->sql(qq{
	INSERT INTO bm_webhook.event (id, xid, type, occurred_at, created_at, data)
		SELECT bm_webhook.uuid_floor(t), '3', 'order.paid', t, t, '{}'
		FROM generate_series(1, 20000) n, LATERAL (SELECT now() - n * interval '4 s' AS t) x;
	INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts)
		SELECT id, $endpoint, CASE WHEN n > 19800 THEN 'failed' ELSE 'delivered' END, 1
		FROM (SELECT id, row_number() OVER (ORDER BY id DESC) AS n FROM bm_webhook.event) e;
	ANALYZE bm_webhook.delivery; ANALYZE bm_webhook.event});

my $first = $bmw->sql(q{SELECT bm_webhook.uuid_floor(now() - interval '1 day')});
my @before = split /\n/, $bmw->sql(q{SELECT name FROM bm_webhook_internal.partitions() WHERE parent IN ('event', 'delivery') AND until < now() - interval '1 day'});
cmp_ok(scalar(@before), '>', 10, 'there are days before');
for my $asked ('{"status": "failed"}', '{"status": "failed", "type": "order.*"}', '{"status": "failed", "application": "shop"}', '{"status": "pending"}')
{
	my $query = $bmw->sql(qq{SET search_path = pg_catalog, pg_temp; SELECT bm_webhook_internal.console_deliveries_sql('$asked', '$first', 'ffffffff-ffff-ffff-ffff-ffffffffffff', 51)});
	my $plan = $bmw->sql("EXPLAIN (COSTS OFF) $query");
	unlike($plan, qr/Backward|delivery_\d+_pkey/, "$asked: nothing is read that has been delivered") or diag($plan);
	unlike($plan, qr/\b$_\b/, "$asked: not $_") for @before;
}
is($bmw->sql(q{SELECT jsonb_array_length(bm_webhook.console_deliveries('{"status": "failed"}') -> 'rows')}), 50, 'they are found');
is($bmw->sql(q{SELECT jsonb_array_length(bm_webhook.console_deliveries('{"status": "failed", "type": "order.*"}') -> 'rows')}), 50, 'those of a type, too');

my $session = $bmw->session;
my $days = $bmw->sql(q{SELECT string_agg('bm_webhook_internal.' || name, ', ') FROM bm_webhook_internal.partitions() WHERE parent = 'event' AND until < now() - interval '1 day'});
$session->query_safe("BEGIN; LOCK TABLE $days IN ACCESS EXCLUSIVE MODE");
is($bmw->sql(qq{SET lock_timeout = '10 s'; SELECT jsonb_array_length(bm_webhook.console_deliveries('{"status": "$_"}') -> 'rows')}), $_ eq 'pending' ? 0 : 50,
	"the events of what is $_ are looked for in its days alone") for qw(delivered failed pending);
$session->query_safe('COMMIT');
$session->quit;

# What is in a view and not asked for costs nothing.
my $states = $bmw->sql('EXPLAIN (COSTS OFF) SELECT endpoint_id, state FROM bm_webhook.endpoint_health');
for my $of (qr/ on endpoint p/, qr/Function Scan on endpoint_paces/, qr/Function Scan on first_pending/, qr/ on endpoint_total/)
{
	is(scalar(() = $states =~ /$of/g), 1, "the states of endpoints: $of once") or diag($states);
}
unlike($states, qr/endpoint_failure|pending_count/, 'without words, and without counting what waits');
unlike($bmw->sql('EXPLAIN (COSTS OFF) SELECT endpoint_id, delivered FROM bm_webhook.stat_endpoint'), qr/paused|pending_count|endpoint_failure/, 'nor do the counters of stat_endpoint need them');

$bmw->sql(qq{INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts, next_attempt_at)
		SELECT bm_webhook.uuid_floor(now() - n * interval '1 ms'), $endpoint, 'pending', 0, now() FROM generate_series(1, 7) n;
	INSERT INTO bm_webhook_internal.pending_count VALUES ($endpoint, 7, 0)});
is($bmw->sql(q{SELECT o -> 'waiting', jsonb_path_query_array(o, '$.dispatchers[*].shard'), jsonb_path_query_array(s, '$.dispatchers[*].shard'),
	jsonb_path_query_array(s, '$.cursors[*].shard') FROM bm_webhook.console_overview('{}') o, bm_webhook.console_system('{}') s}),
	'7|[0, 1]|[0, 1]|[0, 1]', 'two dispatchers, and what waits is counted once');
is($bmw->sql(q{SET track_functions = 'all'; BEGIN; DO $$ BEGIN PERFORM bm_webhook.console_overview('{}'); END $$;
	SELECT pg_stat_get_xact_function_calls('bm_webhook_internal.first_pending()'::regprocedure); COMMIT}), 1, 'and found by one look at what waits');
is($bmw->sql(q{BEGIN ISOLATION LEVEL REPEATABLE READ;
	SELECT (bm_webhook.console_tail(jsonb_build_object('cursor', (SELECT cursor FROM bm_webhook.console_tail('{}'))))).data IS NULL,
		(SELECT count(*) FROM pg_locks l JOIN pg_inherits i ON i.inhrelid = l.relation
			WHERE l.pid = pg_backend_pid() AND i.inhparent = 'bm_webhook.event'::regclass); COMMIT}), 't|0', 'where nothing was committed, the tail reads nothing');
$bmw->sql(q{UPDATE bm_webhook.event SET message_id = 'm1' WHERE id = (SELECT event_id FROM bm_webhook.delivery WHERE status = 'failed' ORDER BY event_id LIMIT 1)});
is($bmw->sql(q{BEGIN; SELECT (SELECT count(*) FROM bm_webhook.message_history('m1')), (SELECT count(*) FROM pg_locks l
	JOIN pg_inherits i ON i.inhrelid = l.relation WHERE l.pid = pg_backend_pid() AND i.inhparent = 'bm_webhook.delivery'::regclass); COMMIT}),
	'2|1', 'what belongs to a message is read in its days');

# 500 endpoints that are sent to in each minute.
$bmw->sql(q{INSERT INTO bm_webhook.endpoint_minute SELECT e, date_trunc('minute', now()) - m * interval '1 min', 1, 0, 0, 0, '1 ms', '[0:0]={1}'
	FROM generate_series(1, 500) e, generate_series(1, 50) m});
$bmw->sql(q{INSERT INTO bm_webhook.dispatcher_minute SELECT minute, endpoint_id % 2, count(*), 0, 0, 0, '1 ms', '[0:0]={250}' FROM bm_webhook.endpoint_minute GROUP BY 1, 2});
my $hour = q{SELECT jsonb_array_length(h -> 'minutes'), h -> 'delivered', h -> 'is_partial', h -> 'p95_ms' FROM bm_webhook.console_hour('{}') h};
is($bmw->sql("BEGIN; $hour; SELECT pg_stat_get_xact_tuples_returned('bm_webhook.endpoint_minute'::regclass) + pg_stat_get_xact_tuples_fetched('bm_webhook.endpoint_minute'::regclass); COMMIT"),
	"50|25000|false|1\n0", 'the whole hour of all endpoints, by what each dispatcher has sent');

# Of an owner each answer has as many whole minutes as 20,000 rows of endpoint_minute have, and says where to go on.
$bmw->sql(q{CREATE ROLE shop; INSERT INTO bm_webhook.application (name) VALUES ('shop'); SELECT bm_webhook.grant_owner('shop', 'shop');
	INSERT INTO bm_webhook.endpoint (url, application, event_types) SELECT 'https://example.com/' || n, 'shop', '{*}' FROM generate_series(1, 500) n;
	DELETE FROM bm_webhook.endpoint_minute; INSERT INTO bm_webhook.endpoint_minute
	SELECT id, date_trunc('minute', now()) - m * interval '1 min', 1, 0, 0, 0, '1 ms', '[0:0]={1}' FROM bm_webhook.endpoint, generate_series(1, 50) m WHERE application = 'shop'});
is($bmw->sql(q{SET ROLE shop; SELECT jsonb_array_length(n -> 'minutes'), n -> 'delivered', n -> 'is_partial', jsonb_array_length(b -> 'minutes'), b -> 'delivered', b -> 'next'
	FROM bm_webhook.console_hour('{}') n, bm_webhook.console_hour(jsonb_build_object('until', n -> 'next')) b}), '40|20000|false|10|5000|null',
	'an owner of many endpoints asks for the whole hour in parts');
$bmw->finish;

# Deliveries of a day that is over are still retried, and updated: autovacuum removes what that leaves behind, and freezes
# the partition, although these are few of its rows.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new(conf => "autovacuum_naptime = 1\nautovacuum_vacuum_cost_delay = 0\n");
my $endpoint = $bmw->endpoint('/ok/ok');

$bmw->sql('CREATE EXTENSION pg_visibility');
$bmw->sql("SELECT bm_webhook_internal.create_partition('delivery', (now() AT TIME ZONE 'UTC')::date - 2)");
my $partition = 'bm_webhook_internal.' . $bmw->sql("SELECT name FROM bm_webhook.partition_list WHERE log = 'delivery' AND until < now()");
$bmw->node->reload;    # it looks now, and not within a minute
$bmw->wait_for_sql('the partition is closed', "SELECT reloptions::text LIKE '%insert_threshold=1,%' FROM pg_class WHERE oid = '$partition'::regclass");

$bmw->sql("INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts, next_attempt_at, last_attempt_at)
	SELECT (left(bm_webhook.uuid_floor(date_trunc('day', now(), 'UTC') - interval '36 hours')::text, 24) || lpad(to_hex(n), 12, '0'))::uuid, $endpoint,
		CASE WHEN n % 20 = 0 THEN 'pending' ELSE 'delivered' END, 1, CASE WHEN n % 20 = 0 THEN timestamptz 'infinity' END, now() FROM generate_series(1, 4000) n");
$bmw->wait_for_sql('what came in is frozen', "SELECT all_frozen = pg_relation_size('$partition') / 8192 FROM pg_visibility_map_summary('$partition')");

# 5 % of the rows are updated.
$bmw->sql("UPDATE bm_webhook.delivery SET status = 'delivered', next_attempt_at = NULL, attempts = 2 WHERE status = 'pending'");
is($bmw->sql("SELECT all_frozen < pg_relation_size('$partition') / 8192 FROM pg_visibility_map_summary('$partition')"), 't', 'updates leave pages that are not');
$bmw->wait_for_sql('what was updated is frozen', "SELECT all_frozen = pg_relation_size('$partition') / 8192 FROM pg_visibility_map_summary('$partition')");
pass('autovacuum has looked at it again');

$bmw->finish;

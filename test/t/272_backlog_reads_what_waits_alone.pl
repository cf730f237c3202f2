# backlog names the oldest event that waits and the next that is due for each endpoint, in whichever partition they are,
# with rows that have ended and rows that are locked between them; it locks no partition in which nothing waits; and who
# may see some endpoints alone, sees no other.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new(conf => "bm_webhook.enabled = off\n");
my ($endpoints, $rows, $days) = (300, 4000, 30);
my $url = $bmw->receiver->url('/ok/e');

$bmw->sql(q{INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('bank')});
$bmw->sql("INSERT INTO bm_webhook.endpoint (url, application)
	SELECT '$url/' || n, (ARRAY['shop', 'bank'])[1 + n % 2] FROM generate_series(1, $endpoints) n");
for my $day (1 .. $days)
{
	$bmw->sql("SELECT bm_webhook_internal.create_partition(p, (now() AT TIME ZONE 'UTC')::date - $day)
		FROM unnest('{event,delivery,failed_attempt}'::text[]) p");
}

# In six of the days, and in one that has no partition; half has ended; a few endpoints have nothing. Much in a row is one endpoint's.
$bmw->sql("SELECT setseed(0.5); INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts, next_attempt_at)
	SELECT (left(bm_webhook.uuid_floor(date_trunc('day', now(), 'UTC') - (ARRAY[0, 3, 4, 11, 25, 29, 400])[1 + (random() * 6)::int]
			* interval '1 day' + random() * (now() - date_trunc('day', now(), 'UTC')))::text, 24) || lpad(to_hex(n), 12, '0'))::uuid,
		1 + CASE WHEN n % 4 = 0 THEN 17 ELSE (power(random(), 3) * ($endpoints - 20))::int END, 'pending', n % 2,
		CASE WHEN n % 50 = 0 THEN 'infinity' ELSE now() + random() * interval '1 day' END
	FROM generate_series(1, $rows) n");
$bmw->sql("UPDATE bm_webhook.delivery SET status = 'delivered', next_attempt_at = NULL WHERE get_byte(uuid_send(event_id), 15) % 2 = 0");
my $by_hand = q{SELECT endpoint_id, bm_webhook.uuid_time(min(event_id::text)::uuid) AS oldest, min(next_attempt_at) AS next_attempt_at
	FROM bm_webhook.delivery WHERE status = 'pending' GROUP BY endpoint_id};
my $shown = q{SELECT endpoint_id, oldest, next_attempt_at FROM bm_webhook.backlog WHERE oldest IS NOT NULL};

sub compare_by_hand
{
	my ($when) = @_;
	is($bmw->sql("($by_hand EXCEPT $shown) UNION ALL ($shown EXCEPT $by_hand)"), '', "as by hand: $when");
	return;
}

cmp_ok($bmw->sql("SELECT count(*) FROM ($shown) b"), '>', 100, 'something waits for many');
compare_by_hand('as it was written');
$bmw->sql('VACUUM bm_webhook.delivery');
compare_by_hand('after a vacuum');
$bmw->sql("DELETE FROM bm_webhook.delivery d USING bm_webhook.backlog b WHERE d.endpoint_id = b.endpoint_id AND d.endpoint_id % 3 = 0
	AND bm_webhook.uuid_time(d.event_id) = b.oldest");
compare_by_hand('after the oldest have gone');
is($bmw->sql("BEGIN ISOLATION LEVEL SERIALIZABLE; UPDATE bm_webhook.delivery SET status = 'canceled', next_attempt_at = NULL WHERE endpoint_id = 18;
	SELECT count(*) FROM ($shown) b WHERE endpoint_id = 18; ROLLBACK"), 0, 'one sees what one has changed oneself');
compare_by_hand('after a rollback');

my $locks = q{SELECT count(DISTINCT relation) FROM pg_locks l JOIN pg_inherits i ON i.inhrelid = l.relation
	WHERE l.pid = pg_backend_pid() AND i.inhparent = 'bm_webhook.delivery'::regclass};
cmp_ok($bmw->sql("BEGIN; SELECT count(oldest) FROM bm_webhook.backlog; $locks; COMMIT") =~ s/.*\n//r, '<=', 15, 'other partitions are not locked');

# With the rights of the caller.
$bmw->sql(q{CREATE ROLE shop; GRANT USAGE ON SCHEMA bm_webhook, bm_webhook_internal TO shop; UPDATE bm_webhook.application SET owner = 'shop' WHERE name = 'shop';
	GRANT SELECT ON bm_webhook.backlog, bm_webhook.application, bm_webhook.endpoint, bm_webhook.cursor, bm_webhook.event TO shop});
is($bmw->sqlstate('SET ROLE shop; SELECT * FROM bm_webhook.backlog'), '42501', 'who may not read deliveries, cannot here');
is($bmw->sqlstate('SET ROLE shop; SELECT * FROM bm_webhook_internal.first_pending()'), '42501', 'nor by the function');
$bmw->sql('GRANT SELECT ON bm_webhook.delivery TO shop');
is($bmw->sql("SET ROLE shop; SELECT count(*), count(*) FILTER (WHERE application = 'shop') FROM bm_webhook.backlog"), '150|150',
	'of others nothing is shown');
$bmw->sql(q{ALTER TABLE bm_webhook.delivery ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON bm_webhook.delivery FOR SELECT TO shop USING (
	EXISTS (SELECT FROM bm_webhook.endpoint e WHERE e.id = endpoint_id))});
is($bmw->sql("SET ROLE shop; SELECT count(*) FROM bm_webhook_internal.first_pending() f WHERE NOT EXISTS (SELECT FROM bm_webhook.endpoint e
	WHERE e.id = f.endpoint_id)"), 0, 'where rows are hidden, the function shows none of others');
cmp_ok($bmw->sql('SET ROLE shop; SELECT count(*) FROM bm_webhook_internal.first_pending()'), '>', 10, 'but its own');
$bmw->finish;

# Rows of the default partitions are moved into partitions of their days while a dispatcher reads. What it began to read before,
# and plans after, would be in neither: it sees that the partitions have changed, and reads again. Nothing is missed.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $DAYS = 6;
my $EVENTS = 5;

my $bmw = BmWebhook->new;
my $endpoint = $bmw->endpoint('/ok/moved', event_types => '{test.never}');
$bmw->sql(q{UPDATE bm_webhook.endpoint SET events_since = '2000-01-01'});
$bmw->wait_for_delivery($bmw->emit('test.first', endpoint => $endpoint));
my $mover = $bmw->session;

# Committed, in the default partitions, and due in a second, when nothing but these rows is read.
sub fill
{
	my ($day) = @_;
	$bmw->sql("WITH e AS (INSERT INTO bm_webhook.event (id, xid, type, occurred_at, created_at, data)
			SELECT bm_webhook.uuid_floor(at), '3', 'test.moved', at, at, '{}' FROM (SELECT date_trunc('day', clock_timestamp(), 'UTC')
				- interval '$day days' + n * interval '1 min' FROM generate_series(1, $EVENTS) n) t (at) RETURNING id)
		INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts, next_attempt_at)
			SELECT id, $endpoint, 'pending', 0, clock_timestamp() + interval '1 s' FROM e;
		INSERT INTO bm_webhook_internal.pending_change SELECT $endpoint, $EVENTS, 0");
	return;
}

# As the keeper does, but the transaction is left open.
sub move
{
	my ($day) = @_;
	$mover->query_safe("BEGIN; SELECT bm_webhook_internal.empty_default(p, p || to_char(day, '_YYYYMMDD'), day AT TIME ZONE 'UTC', (day + interval '1 day') AT TIME ZONE 'UTC')
		FROM (SELECT 'event' AS p, date_trunc('day', clock_timestamp() AT TIME ZONE 'UTC') - interval '$day days' AS day) d");
	return;
}

# At once, as dispatchers do not wait for long. Returns 0 if the move was too late: they had read everything before.
sub commit_when_waited_for
{
	return $mover->query_safe(qq{DO \$\$
		DECLARE
			is_met boolean;
		BEGIN
			LOOP
				SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.backend_type = 'bm_webhook dispatcher' AND NOT l.granted) INTO is_met;
				EXIT WHEN is_met OR NOT EXISTS (SELECT FROM bm_webhook.delivery WHERE endpoint_id = $endpoint AND status = 'pending');
				PERFORM pg_sleep(0.001), pg_stat_clear_snapshot();
			END LOOP;
			PERFORM set_config('test.is_met', is_met::integer::text, false);
		END \$\$; COMMIT; SHOW test.is_met});
}

my ($day, $met) = (9, 0);
while ($met < $DAYS)
{
	$day++;
	$bmw->sql("SELECT bm_webhook.pause(endpoint => $endpoint)");
	fill($day);
	$bmw->sql("SELECT bm_webhook.resume(endpoint => $endpoint)");
	$bmw->settle;
	move($day);
	$met += commit_when_waited_for();
	$bmw->wait_for_sql("what was moved of day $day is sent", "SELECT count(*) = ($day - 9) * $EVENTS FROM bm_webhook.delivery d
		JOIN bm_webhook.event e ON e.id = d.event_id WHERE e.type = 'test.moved' AND d.status = 'delivered'");
}
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.delivery WHERE status <> 'delivered'}), 0, 'and nothing else has become of it');
is($bmw->receiver->count('moved', 'requests'), 1 + ($day - 9) * $EVENTS, 'each was sent once');
$mover->quit;
$bmw->finish;

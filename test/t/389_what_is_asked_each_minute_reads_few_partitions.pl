# A dispatcher asks each minute whether there is upkeep: with many partitions that reads the bounds of few, and it is
# said of each kind of work all the same. What it asks for events that it knows, and
# wait_for_delivery(), does not touch days that they are not of; nor does the lag of the dispatchers read them.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new(conf => "bm_webhook.enabled = off\nbm_webhook.count_days = off\n");
my $may = sub { $bmw->sql("SELECT bm_webhook_internal.may_have_upkeep('$_[0]')") };

# Days that are over and closed, as the keeper leaves them.
$bmw->sql(q{DO $$
	DECLARE
		parent text;
		at timestamptz;
		name text;
	BEGIN
		FOREACH parent IN ARRAY '{event,delivery,failed_attempt}'::text[] LOOP
			FOR n IN 3..62 LOOP
				at = date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - n * interval '1 day';
				name = parent || to_char(at AT TIME ZONE 'UTC', '_YYYYMMDD');
				PERFORM bm_webhook_internal.create_partition_table(parent, name, bm_webhook.uuid_floor(at),
					bm_webhook.uuid_floor(at + interval '1 day'));
				PERFORM bm_webhook_internal.attach_partition(parent, name, bm_webhook.uuid_floor(at), bm_webhook.uuid_floor(at + interval '1 day'));
				PERFORM bm_webhook_internal.close_partition(name);
			END LOOP;
		END LOOP;
	END $$});
is($may->('0'), 'f', 'nothing without retention');
is($may->('100 days'), 'f', 'nor when no day is that old');
is($may->('30 days'), 't', 'days have expired');
is($bmw->sql("SELECT bm_webhook_internal.is_upkeep_due('100 days'), bm_webhook_internal.is_upkeep_due('30 days')"), 'f|t', 'and so the answer is');
is($bmw->sql(q{BEGIN; SET LOCAL track_functions = 'all'; SELECT bm_webhook_internal.may_have_upkeep('100 days');
	SELECT calls < 30 FROM pg_stat_xact_user_functions WHERE funcname = 'partition_end'; COMMIT}), "f\nt", 'few bounds are read of 180');

my $open = $bmw->sql(q{SELECT name FROM bm_webhook_internal.partitions() WHERE parent = 'event' AND until < now() - interval '5 days' ORDER BY since DESC LIMIT 1});
$bmw->sql("ALTER TABLE bm_webhook_internal.$open RESET (autovacuum_vacuum_insert_threshold)");
is($may->('0'), 't', 'a day that is over is not closed');
$bmw->sql("SELECT bm_webhook_internal.close_partition('$open')");
is($may->('0'), 'f', 'it is');
$bmw->sql(q{INSERT INTO bm_webhook.event (id, xid, type, occurred_at, created_at, data)
	VALUES (bm_webhook.uuid_floor('2001-01-01'), '3', 'test.event', now(), now(), '{}')});
is($may->('0'), 't', 'there is something in a default partition');

# A plan for all partitions would have to lock each of them: here is somebody who has locked all that are over.
my $session = $bmw->session;
my $over = $bmw->sql(q{SELECT string_agg('bm_webhook_internal.' || name, ', ') FROM bm_webhook_internal.partitions() WHERE parent IN ('event', 'failed_attempt') AND until < now()});
my $id = $bmw->endpoint('/fail/2/retried', event_types => '{test.retried}', retry_delays => '{100 ms,100 ms}');
$session->query_safe("BEGIN; LOCK TABLE $over IN ACCESS EXCLUSIVE MODE");
$bmw->set('bm_webhook.enabled', 'on');
$bmw->emit('test.retried');
$bmw->wait_for_sql('what is new is taken, fetched, sent and recorded', "SELECT count(*) = 1 FROM bm_webhook.delivery WHERE endpoint_id = $id AND status = 'delivered' AND attempts = 3");
$session->query_safe('COMMIT');

# Who waits for an event reads its day alone, of deliveries too.
$over = $bmw->sql(q{SELECT string_agg('bm_webhook_internal.' || name, ', ') FROM bm_webhook_internal.partitions() WHERE parent IN ('event', 'delivery') AND until < now()});
my $event = $bmw->sql('SELECT bm_webhook.emit(type => \'test.retried\', data => \'{}\')');
$bmw->wait_for_sql('it is delivered', "SELECT count(*) = 1 FROM bm_webhook.delivery WHERE event_id = '$event' AND status = 'delivered'");
$session->query_safe("BEGIN; LOCK TABLE $over IN ACCESS EXCLUSIVE MODE");
is($bmw->sql("SET lock_timeout = '10 s'; SELECT string_agg(bm_webhook.wait_for_delivery('$event', '1 s')::text, ' ') FROM generate_series(1, 7)"),
	join(' ', ('true') x 7), 'wait_for_delivery() touches no other day, however often it is called');
$session->query_safe('COMMIT');
$session->quit;

# Monitoring asks for the lag of the dispatchers: what they have taken is of other days than what they have not.
$bmw->set('bm_webhook.enabled', 'off');
$bmw->wait_for_sql('nothing is taken', q{SELECT reason LIKE 'bm\_webhook.enabled is off%' FROM bm_webhook.stat_dispatcher});
$bmw->emit('test.not_taken');
my @read = grep { /Scan using event_\w+ on event_\w+ x/ } split /\n/, $bmw->sql('EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT lag_seconds FROM bm_webhook.stat_dispatcher');
cmp_ok(scalar @read, '>', 60, 'the plan has all partitions');
my @days = grep { !/never executed/ } @read;
cmp_ok(scalar @days, '<', 10, 'and reads those of the last day, and of the days to come') or diag(join "\n", @days);
cmp_ok($bmw->sql('SELECT lag_seconds FROM bm_webhook.stat_dispatcher'), '>', 0, 'in which it finds what was not taken');
$bmw->finish;

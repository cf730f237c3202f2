# status() and backlog say how much waits without reading it: the numbers are those of a count by hand,
# whoever has changed what: receivers that fail and recover, kill -9 of the dispatcher and a crash of the
# server, redeliver(), cancel(), deleted endpoints, rows that a user deletes, changes by hand or truncates.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

my $COUNTED = <<'END';
SELECT coalesce(string_agg(format('%s %s/%s', endpoint_id, pending, retrying), ', ' ORDER BY endpoint_id), '') FROM bm_webhook.backlog WHERE pending > 0
END
my $BY_HAND = <<'END';
SELECT coalesce(string_agg(format('%s %s/%s', endpoint_id, pending, retrying), ', ' ORDER BY endpoint_id), '') FROM (
	SELECT endpoint_id, count(*) AS pending, count(*) FILTER (WHERE attempts > 0) AS retrying
	FROM bm_webhook.delivery WHERE status = 'pending' GROUP BY endpoint_id) d
END

# With one snapshot, because both change all the time.
sub equal
{
	my ($when) = @_;
	my ($counted, $by_hand, $all, $all_by_hand) = split /\|/, $bmw->sql(
		"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT ($COUNTED), ($BY_HAND), (SELECT max(pending) FROM bm_webhook.status()), (SELECT count(*) FROM bm_webhook.delivery WHERE status = 'pending'); COMMIT"
	), -1;

	is($counted, $by_hand, "backlog: $when");
	is($all, $all_by_hand, "status(): $when");
	return;
}

my $busy = $bmw->endpoint('/fail/2/busy', event_types => '{busy.*}', retry_delays => '{200ms,200ms,200ms,200ms,200ms}');
my $down = $bmw->endpoint('/status/500/down', event_types => '{down.*}', retry_delays => '{1h}');
my $gone = $bmw->endpoint('/status/500/gone', event_types => '{gone.*}', retry_delays => '{1h}');
my $off = $bmw->endpoint('/ok/off', event_types => '{off.*}');
my $once = $bmw->endpoint('/status/500/once', event_types => '{once.*}', retry_delays => '{}');

equal('at the beginning');
$bmw->sql("SELECT bm_webhook.emit(type || '.x', '{}') FROM unnest('{busy,down,gone,off,once}'::text[]) type, generate_series(1, 200)");
equal('while all is under way') for 1 .. 5;
$bmw->wait_for_sql('all that fails waits', <<"END");
SELECT count(*) FILTER (WHERE endpoint_id = $busy AND status = 'delivered') = 200 AND count(*) FILTER (WHERE endpoint_id IN ($down, $gone) AND attempts = 1) = 400
	AND count(*) FILTER (WHERE endpoint_id = $once AND status = 'failed') = 200 FROM bm_webhook.delivery
END
equal('with receivers that fail');
is($bmw->sql("SELECT pending || ' ' || retrying FROM bm_webhook.backlog WHERE endpoint_id = $down"), '200 200', 'what waits for one that is down');
is($bmw->sql("SELECT (d.oldest = bm_webhook.uuid_time(x.first)) AND d.next_attempt_at = x.due FROM bm_webhook.backlog d, LATERAL (SELECT min(event_id::text)::uuid AS first, "
	  . "min(next_attempt_at) AS due FROM bm_webhook.delivery WHERE endpoint_id = $down AND status = 'pending') x WHERE d.endpoint_id = $down"), 't', 'the oldest of it, and when it is tried again');

# Crashes.
$bmw->sql("SELECT bm_webhook.emit(type || '.y', '{}') FROM unnest('{busy,down}'::text[]) type, generate_series(1, 300)");
$bmw->kill_and_recover($bmw->dispatcher);
equal('after kill -9 of a dispatcher');
$bmw->node->stop('immediate');
$bmw->start;
equal('after a crash of the server');
$bmw->wait_for_sql('all is tried once more', "SELECT count(*) = 500 FROM bm_webhook.delivery WHERE endpoint_id = $down AND attempts >= 1");
equal('after all of it was tried');

# What SQL functions change.
my $event = $bmw->sql("SELECT event_id FROM bm_webhook.delivery WHERE endpoint_id = $once LIMIT 1");
$bmw->sql("BEGIN; SELECT bm_webhook.redeliver('$event'); ROLLBACK");
equal('after a redeliver() that was rolled back');
$bmw->sql("SELECT bm_webhook.redeliver('$event')");
$bmw->sql("SELECT bm_webhook.redeliver(event_id, endpoint_id) FROM bm_webhook.delivery WHERE endpoint_id IN ($once, $down) LIMIT 250");
equal('right after redeliver()');
$bmw->sql("SELECT bm_webhook.redeliver($once, now() - interval '1 hour')");
$bmw->wait_for_sql('all was sent again', "SELECT count(*) = 0 FROM bm_webhook.delivery WHERE endpoint_id = $once AND (status = 'pending' OR attempts < 2)");
equal('after redeliver() of many');
$bmw->sql("SELECT bm_webhook.delete_endpoint($gone)");
$bmw->wait_for_sql('what waited for a deleted endpoint is canceled', "SELECT count(*) = 0 FROM bm_webhook.delivery WHERE endpoint_id = $gone AND status = 'pending'");
equal('after an endpoint was deleted');

# What a superuser does to the log.
$bmw->sql("DELETE FROM bm_webhook.delivery WHERE ctid IN (SELECT ctid FROM bm_webhook.delivery WHERE endpoint_id = $down AND status = 'pending' LIMIT 100)");
equal('after rows were deleted');
$bmw->sql("UPDATE bm_webhook.delivery SET status = 'canceled', next_attempt_at = NULL WHERE event_id IN (SELECT event_id FROM bm_webhook.delivery WHERE endpoint_id = $down AND status = 'pending' LIMIT 77)");
wait_until('changes by hand are counted within a minute or so', sub { $bmw->sql("SELECT ($COUNTED) = ($BY_HAND)") eq 't' }, 150);
$bmw->sql('TRUNCATE bm_webhook.delivery');
equal('after the log was emptied');
is($bmw->sql('SELECT count(*) FROM bm_webhook.backlog WHERE pending > 0'), 0, 'nothing waits');

# Numbers are for those who may see deliveries.
$bmw->sql('CREATE ROLE reader; GRANT USAGE ON SCHEMA bm_webhook, bm_webhook_internal TO reader');
$bmw->sql("SELECT bm_webhook.emit('down.z', '{}')");
$bmw->wait_for_sql('something waits again', "SELECT count(*) = 1 FROM bm_webhook.delivery WHERE endpoint_id = $down AND attempts = 1");
is($bmw->sql('SET ROLE reader; SELECT count(*) FROM bm_webhook_internal.pending'), 0, 'not for others');
is($bmw->sqlstate("SET ROLE reader; INSERT INTO bm_webhook_internal.pending_change VALUES ($down, 5, 5)"), '42501', 'who may not change them either');
$bmw->sql('GRANT SELECT ON bm_webhook.delivery TO reader');
is($bmw->sql('SET ROLE reader; SELECT sum(pending) FROM bm_webhook_internal.pending'), 1, 'but for who may read deliveries');
equal('at the end');
$bmw->finish(expected => qr{dispatcher" \(PID \d+\) was terminated by signal 9});

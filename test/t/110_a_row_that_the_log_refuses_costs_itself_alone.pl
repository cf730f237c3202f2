# A constraint or a trigger of the administrator refuses some rows of the log:
# their outcomes are set aside, visibly, and all others are recorded. Nothing is
# sent again, by a new dispatcher or a new server either, and retry_set_aside()
# records them when the log takes them.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use PostgreSQL::Test::Utils ();
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my @names = qw(one two three);
my %id = map { $_ => $bmw->endpoint("/ok/$_", event_types => '{test.event}') } @names;
my $failing = $bmw->endpoint('/status/500/failing', event_types => '{test.failing}', retry_delays => '{}');
my $retried = $bmw->endpoint('/fail/1/retried', event_types => '{test.retried}', retry_delays => '{300ms}');
my $told = $bmw->endpoint('/ok/told', event_types => '{delivery.exhausted}');
my $all = q{SELECT id FROM bm_webhook.event WHERE type = 'test.event'};
my $events = 2000;

$bmw->sql(q{CREATE TABLE bad (event_id uuid, endpoint_id bigint, status text DEFAULT 'delivered');
GRANT SELECT ON bad TO bm_webhook;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (SELECT FROM public.bad b WHERE b.event_id = NEW.event_id AND b.status = NEW.status
		AND (b.endpoint_id IS NULL OR b.endpoint_id = NEW.endpoint_id)) THEN
		RAISE 'the auditor does not like it';
	END IF;
	RETURN NEW;
END
$$});

sub emit_with_bad
{
	my ($count, $bad_sql, $type) = @_;
	$type //= 'test.event';
	return $bmw->sql("WITH new AS MATERIALIZED (SELECT n, bm_webhook.emit('$type', jsonb_build_object('n', n)) AS id
			FROM generate_series(1, $count) n),
		refused AS (INSERT INTO bad $bad_sql RETURNING 1)
		SELECT count(*) FROM refused");
}

# By a trigger: two of 6,000, of one endpoint and of another.
$bmw->sql('CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON bm_webhook.delivery FOR EACH ROW EXECUTE FUNCTION refuse()');
emit_with_bad($events, "SELECT id, $id{one} FROM new WHERE n = 700 UNION ALL SELECT id, $id{two} FROM new WHERE n = 1999");
$bmw->wait_for_requests($_, $events) for @names;
$bmw->wait_for_sql('all others are recorded', "SELECT count(*) = 3 * $events - 2 FROM bm_webhook.delivery WHERE status = 'delivered'");
$bmw->wait_for_sql('two are set aside', 'SELECT count(*) = 2 FROM bm_webhook.set_aside');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.set_aside s JOIN bad USING (event_id, endpoint_id)
	WHERE s.status = 'delivered' AND s.attempts = 1 AND s.http_status = 204 AND s.duration > '0' AND s.sqlstate = 'P0001'
		AND s.cause = 'the auditor does not like it' AND s.since > now() - interval '5 min'}),
	2, 'with the outcome and the cause');
wait_until('the log says so', sub { $bmw->lines_logged('bm_webhook set aside the outcome') >= 2 });
is($bmw->lines_logged('bm_webhook set aside the outcome'), 2, 'one line in the log for each');
is($bmw->status('state'), 'running', 'the dispatcher runs');
is($bmw->status('set_aside'), 2, 'and status() counts them');

# An attempt that fails, as an UPDATE of the row that waits, and one that was the last.
emit_with_bad(1, q{SELECT id, NULL, 'failed' FROM new}, 'test.failing');
emit_with_bad(1, 'SELECT id, NULL FROM new', 'test.retried');
$bmw->wait_for_sql('both are set aside', 'SELECT count(*) = 4 FROM bm_webhook.set_aside');
is($bmw->sql("SELECT status, attempts, is_failed_attempt, is_exhausted FROM bm_webhook.set_aside WHERE endpoint_id = $failing"),
	'failed|1|t|t', 'what was given up');
is($bmw->sql("SELECT s.status, s.attempts, d.status, d.attempts FROM bm_webhook.set_aside s JOIN bm_webhook.delivery d
	USING (event_id, endpoint_id) WHERE endpoint_id = $retried"), 'delivered|2|pending|1', 'what was tried again, beside its row');

# By a constraint, everything.
$bmw->sql('DROP TRIGGER refuse ON bm_webhook.delivery;
	ALTER TABLE bm_webhook.delivery ADD CONSTRAINT refuse CHECK (endpoint_id <> ' . $id{three} . ') NOT VALID');
$bmw->sql("SELECT count(bm_webhook.emit('test.event', '{}')) FROM generate_series(1, 1000)");
$bmw->wait_for_requests($_, $events + 1000) for @names;
$bmw->wait_for_sql('the others are recorded', "SELECT count(*) = 2 * ($events + 1000) - 2
	FROM bm_webhook.delivery WHERE endpoint_id IN ($id{one}, $id{two}) AND status = 'delivered'");
$bmw->wait_for_sql('all of one endpoint are set aside', "SELECT count(*) = 1000 FROM bm_webhook.set_aside WHERE endpoint_id = $id{three}");
cmp_ok($bmw->lines_logged('bm_webhook set aside the outcome'), '<=', 30, 'and do not flood the log');

# Neither a dispatcher that is killed, nor a server that is, sends anything again.
$bmw->settle;
$bmw->sql('SELECT pg_terminate_backend(' . $bmw->dispatcher . ', 60000)');
$bmw->settle;
$bmw->kill_and_recover($bmw->dispatcher);
$bmw->settle;
$bmw->arrived_exactly_once($_, $all, "nothing is sent again: $_") for @names;
is($receiver->count('failing', 'requests'), 1, 'nor what had failed');
is($bmw->sql('SELECT count(*) FROM bm_webhook.set_aside'), 1004, 'all are still set aside');
is($bmw->sqlstate("SELECT bm_webhook.redeliver(event_id, endpoint_id) FROM bm_webhook.set_aside WHERE endpoint_id = $id{one}"), '42704',
	'redeliver() refuses what is set aside');

# When the log takes them again, all get there; before, each by itself.
is($bmw->sqlstate('SELECT bm_webhook.retry_set_aside(endpoint => -1)'), '42704', 'nothing of this endpoint');
is($bmw->sql("SELECT bm_webhook.retry_set_aside(endpoint => $id{three})"), 0, 'they are still refused');
is($bmw->sql("SELECT bm_webhook.retry_set_aside(event => event_id) FROM bm_webhook.set_aside WHERE endpoint_id = $id{one}"), 1, 'one event');
is($bmw->sql('SELECT bm_webhook.retry_set_aside()'), 3, 'whatever is not refused any more');
$bmw->sql('ALTER TABLE bm_webhook.delivery DROP CONSTRAINT refuse; TRUNCATE bad');
is($bmw->sql('SELECT bm_webhook.retry_set_aside()'), 1000, 'the rest');
is($bmw->sql('SELECT bm_webhook.retry_set_aside()'), 0, 'and nothing more');
$bmw->wait_for_sql('all deliveries are there', "SELECT count(*) = 3 * ($events + 1000) FROM bm_webhook.delivery
	WHERE endpoint_id IN ($id{one}, $id{two}, $id{three}) AND status = 'delivered' AND http_status = 204");
is($bmw->sql("SELECT count(*) FROM bm_webhook.failed_attempt WHERE endpoint_id = $failing AND attempt = 1 AND response IS NOT NULL"), 1,
	'with the attempt that failed');
$bmw->wait_for_requests('told', 1);
$bmw->wait_for_requests('retried', 2);
$bmw->wait_for_sql('what was retried is recorded', "SELECT status = 'delivered' FROM bm_webhook.delivery WHERE endpoint_id = $retried");
$bmw->settle;
$bmw->arrived_exactly_once($_, $all, "once, also now: $_") for @names;
is($receiver->count('retried', 'requests'), 2, 'an attempt that was recorded later is not made again');
is($receiver->count('told', 'requests'), 1, 'delivery.exhausted came once');

$bmw->finish(expected => qr/terminated by signal 9|exit code 2|exited with exit code/);

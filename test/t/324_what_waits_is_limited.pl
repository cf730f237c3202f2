# While as many deliveries to an application's endpoints wait as its max_waiting, no more events of it are emitted, by
# whomever. What its watched tables capture is recorded, and marked instead of being sent; what was accepted is sent. Other
# applications are not held up, and when enough has been delivered events are accepted again by themselves.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
$bmw->sql(q{CREATE ROLE shop; CREATE ROLE platform;
	INSERT INTO bm_webhook.application (name, max_waiting) VALUES ('shop', 20), ('bank', 20), ('many', NULL);
	INSERT INTO bm_webhook.application (name) VALUES ('other');
	SELECT bm_webhook.grant_owner('shop', 'shop'), bm_webhook.grant_writer('platform');
	CREATE TABLE ticket (id int PRIMARY KEY, state text);
	SELECT bm_webhook.watch('ticket', 'ticket.opened', application => 'shop')});
is($bmw->sql(q{SELECT max_waiting FROM bm_webhook.application WHERE name = 'other'}), 10_000_000, 'the default');

my %id = map { $_ => $bmw->endpoint("/ok/$_", application => $_) } qw(shop bank many);
my $platform = $bmw->endpoint('/ok/all');
$bmw->sql("SELECT bm_webhook.pause($_)") for $platform, @id{qw(shop many)};

my $emit = q{SELECT bm_webhook.emit('ticket.noted', '{}', 'shop')};
sub emit_to { return "SELECT count(bm_webhook.emit('ticket.noted', '{}', '$_[0]')) FROM generate_series(1, $_[1])" }
sub wait_for_refusal { wait_until('it is refused', sub { $bmw->sqlstate($emit) eq '53400' }); return }
sub wait_for_acceptance { wait_until($_[0], sub { $bmw->sqlstate($emit) eq '' }); return }
sub events { return $bmw->sql("SELECT count(*) FROM bm_webhook.event WHERE $_[0]") }

# Two endpoints share it.
my $second = $bmw->endpoint('/ok/second', application => 'shop');
$bmw->sql("SELECT bm_webhook.pause($second)");
is($bmw->sqlstate(emit_to('shop', 10)), '', 'up to it events are accepted');
wait_for_refusal();
my $before = events(q{application = 'shop'});
my ($stdout, $stderr);
$bmw->node->psql('postgres', $emit, stderr => \$stderr);
like($stderr, qr/ERROR:  too many deliveries of the application wait\nHINT:  At most 20 may wait .* its max_waiting, which an administrator/, 'with a hint');
is($bmw->sqlstate("SET ROLE platform; $emit"), '53400', 'a writer');
is($bmw->sqlstate("SET ROLE shop; SELECT bm_webhook.ping($id{shop})"), '53400', 'a ping by the owner');
is($bmw->sqlstate("SELECT bm_webhook.emit('ticket.noted', '{}', endpoint => $id{shop})"), '53400', 'an event for an endpoint of its own');
is($bmw->sqlstate(q{SELECT bm_webhook.message_status('sent', 'shop', 'sms', 'm-1', '+33123456789', '+33698765432')}), '53400', 'a message');
is(events(q{application = 'shop'}), $before, 'none of them is there');

# What is watched.
is($bmw->sqlstate(q{INSERT INTO ticket SELECT i, 'open' FROM generate_series(1, 500) i}), '', 'a watched table is written');
is(events(q{type = 'ticket.opened' AND application = 'shop'}), 500, 'and each row is an event');
my $canceled = "FROM bm_webhook.delivery d JOIN bm_webhook.event e ON e.id = d.event_id WHERE d.status = 'canceled'";
wait_until('soon what is captured is marked', sub {
	$bmw->sql(q{INSERT INTO ticket SELECT max(id) + 1, 'open' FROM ticket});
	return $bmw->sql("SELECT count(*) $canceled") > 0;
});
$bmw->wait_for_sql('for both endpoints', "SELECT count(DISTINCT d.endpoint_id) = 2 $canceled");
is($bmw->sqlstate(q{INSERT INTO ticket SELECT max(id) + i, 'late' FROM ticket, generate_series(1, 300) i GROUP BY i}), '', 'it is written on');
$bmw->wait_for_sql('all of that is marked', qq{SELECT count(*) = 600 $canceled AND e.data->>'state' = 'late'});
$bmw->wait_for_sql('and waits for the endpoint of no application', qq{SELECT count(*) = 300 FROM bm_webhook.delivery d
	JOIN bm_webhook.event e ON e.id = d.event_id WHERE e.data->>'state' = 'late' AND d.endpoint_id = $platform AND d.status = 'pending'});
my $full = 'as much waits as max_waiting of the application allows';
is($bmw->sql("SELECT DISTINCT d.error, d.attempts, e.type, e.application $canceled"), "$full|0|ticket.opened|shop", 'nothing that was accepted');
my $late = $bmw->sql(qq{SELECT e.id $canceled AND e.data->>'state' = 'late' LIMIT 1});
is($bmw->sql(qq{SELECT gets_it, reason, status FROM bm_webhook.explain_delivery('$late') WHERE endpoint_id = $second}), "t|$full|canceled", 'it is explained');
my $ping = $bmw->sql("SELECT bm_webhook.ping($second)");
$bmw->wait_for_sql('what an administrator asks for waits', "SELECT status = 'pending' FROM bm_webhook.delivery WHERE event_id = '$ping'");

# Others: what waits for the platform's own endpoint is not theirs.
is($bmw->sqlstate(emit_to('bank', 100)), '', 'another application');
$bmw->wait_for_sql('sends', "SELECT count(*) = 100 FROM bm_webhook.delivery WHERE endpoint_id = $id{bank} AND status = 'delivered'");
is($bmw->sqlstate(emit_to('many', 500)), '', 'one without a limit');
is($bmw->sqlstate(q{SELECT bm_webhook.emit('ticket.noted', '{}') FROM generate_series(1, 100)}), '', 'events of none');
$bmw->wait_for_sql('all of that is counted', "SELECT sum(pending) >= 600 FROM bm_webhook_internal.pending_count WHERE endpoint_id IN ($platform, $id{many})");
is($bmw->sqlstate(emit_to($_, 1)), '', "$_ goes on") for qw(bank many);

# Who is near it, as the documentation tells.
is($bmw->sql(q{SELECT a.name, sum(s.pending) > 20, a.max_waiting
	FROM bm_webhook.application a JOIN bm_webhook.stat_endpoint s ON s.application = a.name
	GROUP BY a.name HAVING sum(s.pending) > a.max_waiting / 2}), 'shop|t|20', 'the operator sees it');

# Full it is for an endpoint with trouble of its own, too, whose state says so first.
my $calm = $bmw->endpoint('/ok/calm', application => 'shop', event_types => '{calm.none}');
my $is_full = 'count(*) FILTER (WHERE application_full_since < clock_timestamp()), count(*)';
is($bmw->sql("SET ROLE shop; SELECT $is_full FROM bm_webhook.stat_endpoint"), '3|3', 'its owner sees it');
is($bmw->sql("SELECT application, $is_full FROM bm_webhook.stat_endpoint WHERE application IS NOT NULL GROUP BY application ORDER BY application"),
	"bank|0|1\nmany|0|1\nshop|3|3", 'and of nobody else');
sub health { return $bmw->sql("SET ROLE shop; SELECT state, reason, since = (SELECT max(application_full_since) FROM bm_webhook.stat_endpoint) FROM bm_webhook.endpoint_health WHERE endpoint_id = $_[0]") }
is(health($second), 'paused|it is paused|f', 'one that is paused');
is(health($calm), "full|$full|t", 'one that is well');

# It goes on by itself, and after a change.
my $session = $bmw->session;
$session->query_safe(q{DO $$ BEGIN PERFORM bm_webhook.emit('ticket.noted', '{}', 'shop'); EXCEPTION WHEN configuration_limit_exceeded THEN END $$});
$bmw->sql(q{UPDATE bm_webhook.application SET max_waiting = 1000000000 WHERE name = 'shop'});
wait_for_acceptance('more are allowed');
$session->query_safe(q{DO $$ BEGIN
	LOOP
		BEGIN
			PERFORM bm_webhook.emit('ticket.free', '{}', 'shop');
			RETURN;
		EXCEPTION WHEN configuration_limit_exceeded THEN
			PERFORM pg_sleep(0.05);
		END;
	END LOOP;
END $$});
is(events(q{type = 'ticket.free'}), 1, 'in a session that knew the old one, too');
$session->quit;
$bmw->sql(q{UPDATE bm_webhook.application SET max_waiting = 20 WHERE name = 'shop'});
wait_for_refusal();
$bmw->sql("SELECT bm_webhook.resume($_)") for $id{shop}, $second;
wait_for_acceptance('when it is delivered it is accepted again');
is($bmw->sql('SELECT count(application_full_since) FROM bm_webhook.stat_endpoint'), 0, 'it is full no more');
is(health($calm), 'healthy||', 'and all is well');
is($bmw->sql("SELECT bm_webhook.redeliver('$late', $second)"), 1, 'what was marked can be sent');
$bmw->wait_for_sql('it is', "SELECT status = 'delivered' FROM bm_webhook.delivery WHERE event_id = '$late' AND endpoint_id = $second");
is($bmw->sql("SELECT count(*) $canceled AND e.type <> 'ticket.opened'"), 0, 'and all that was accepted was sent');
$bmw->sql(q{INSERT INTO ticket VALUES (0, 'fresh')});
$bmw->wait_for_sql('what is captured is sent as before', qq{SELECT count(*) = 2 FROM bm_webhook.delivery d JOIN bm_webhook.event e ON e.id = d.event_id
	WHERE e.data->>'state' = 'fresh' AND d.status = 'delivered' AND d.endpoint_id IN ($id{shop}, $second)});

is($bmw->sqlstate(q{SET ROLE shop; UPDATE bm_webhook.application SET max_waiting = NULL}), '42501', 'its owner cannot change it');
is($bmw->sqlstate("UPDATE bm_webhook.application SET max_waiting = $_ WHERE name = 'shop'"), '22023', "$_ is refused") for 0, -1, 1000000001;
$bmw->finish;

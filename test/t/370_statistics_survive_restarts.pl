# stat_endpoint, stat_dispatcher and endpoint_minute count what the receiver counts: by what became of each attempt, over a
# restart; endpoint_health says how an endpoint is in a word; owners see what is theirs, pg_monitor the numbers alone.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

$bmw->sql(q{CREATE ROLE shop; CREATE ROLE bank; CREATE ROLE monitor IN ROLE pg_monitor; CREATE ROLE stranger;
	INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('bank');
	SELECT bm_webhook.grant_owner('shop', 'shop'), bm_webhook.grant_owner('bank', 'bank')});
my %id = (
	fine => $bmw->endpoint('/ok/fine?token=hush', application => 'shop', event_types => '{test.fine}'),
	gives_up => $bmw->endpoint('/status/500/gives_up', application => 'shop', event_types => '{test.gives_up}', retry_delays => '{50 ms,50 ms}'),
	waits => $bmw->endpoint('/status/404/waits', application => 'bank', event_types => '{test.waits}', retry_delays => '{1 h}'),
	gone => $bmw->endpoint('/ok/gone', application => 'bank', event_types => '{test.gone}', enabled => 'false'));
my %count = (fine => 40, gives_up => 3, waits => 5);
$receiver->set_secrets('fine', $bmw->sql("SELECT bm_webhook.secret($id{fine})"));

sub stat_of { return $bmw->sql("SELECT $_[1] FROM bm_webhook.stat_endpoint WHERE endpoint_id = $id{$_[0]}") }

sub send_all
{
	for my $name (sort keys %count)
	{
		my $application = $name eq 'waits' ? 'bank' : 'shop';
		$bmw->sql("SELECT count(bm_webhook.emit('test.$name', '{}', application => '$application')) FROM generate_series(1, $count{$name})");
	}
	$bmw->wait_for_sql('all have been tried', qq{SELECT count(*) = 0 FROM bm_webhook.event e WHERE e.type LIKE 'test.%' AND NOT EXISTS
		(SELECT FROM bm_webhook.delivery d WHERE d.event_id = e.id AND (d.status <> 'pending' OR d.endpoint_id = $id{waits} AND d.attempts > 0))});
	return;
}

send_all();
$bmw->node->restart;    # which writes what is counted
my $numbers = 'attempts, delivered, failed_attempts, retries, given_up, canceled, pending';
is(stat_of('fine', $numbers), '40|40|0|0|0|0|0', 'all delivered');
is(stat_of('gives_up', $numbers), '9|0|9|6|3|0|0', 'attempts, retries, given up');
is(stat_of('waits', $numbers), '5|0|5|0|0|0|5', 'waits after its first attempts');
is(stat_of('gives_up', q{failures}), '{"http_status": 9}', 'failures by their cause');
is(stat_of('fine', 'last_success_at IS NOT NULL AND last_failure_at IS NULL AND since IS NOT NULL'), 't', 'when it last succeeded');
is(stat_of('waits', 'lag_seconds > 0'), 't', 'how long the oldest has waited');
is(stat_of('fine', 'lag_seconds'), 0, 'nothing waits');
is($bmw->sql("SELECT sum(delivered), sum(failed_attempts), sum(given_up), (SELECT sum(n) FROM bm_webhook.endpoint_minute x, unnest(x.histogram) n
	WHERE x.endpoint_id = $id{fine}) FROM bm_webhook.endpoint_minute WHERE endpoint_id IN ($id{fine}, $id{gives_up})"), '40|9|3|40', 'endpoint_minute');
is($bmw->sql('SELECT sum(delivered), sum(failed_attempts), sum(given_up), (SELECT sum(n) FROM bm_webhook.dispatcher_minute x, unnest(x.histogram) n) FROM bm_webhook.dispatcher_minute'),
	'40|14|3|40', 'dispatcher_minute has those of all');
is($bmw->sql(qq{SELECT count(*) <= 3 FROM bm_webhook.endpoint_minute WHERE endpoint_id = $id{fine}}), 't', 'a row for each minute');
is($bmw->sql(qq{SELECT bm_webhook.latency($id{fine}, now() - interval '1 hour', 0.95) BETWEEN '1 ms' AND '1 min'}), 't', 'how long it takes');
is($bmw->sql(qq{SELECT bool_and(abs(extract(epoch FROM bm_webhook.latency($id{fine}, now() - interval '1 hour', f)) /
		greatest((SELECT extract(epoch FROM percentile_disc(f) WITHIN GROUP (ORDER BY duration)) FROM bm_webhook.delivery WHERE endpoint_id = $id{fine}), 0.001) - 1) <= 0.101)
	FROM unnest('{0.1,0.5,0.9,1}'::float8[]) f}), 't', 'within a tenth of what the log says');
$bmw->dispatcher;
is($bmw->sql(q{SELECT state, delivered >= 40, failed_attempts, given_up, records >= 48, flushes > 0, largest_flush > 0 FROM bm_webhook.stat_dispatcher}),
	'running|t|14|3|t|t|t', 'stat_dispatcher');

send_all();
$bmw->node->restart;
is(stat_of('fine', $numbers), '80|80|0|0|0|0|0', 'counters go on over restarts');
is($bmw->sql("SELECT sum(delivered), (SELECT sum(n) FROM bm_webhook.endpoint_minute x, unnest(x.histogram) n WHERE x.endpoint_id = $id{fine})
	FROM bm_webhook.endpoint_minute WHERE endpoint_id = $id{fine}"), '80|80', 'the minute, too, which was added to');

# What was written on time, without a restart.
$bmw->dispatcher;
send_all();
wait_until('a minute has ended', sub { stat_of('fine', 'delivered') == 120 }, 150);

# In a word.
sub health { return $bmw->sql("SELECT $_[1] FROM bm_webhook.endpoint_health WHERE endpoint_id = $id{$_[0]}") }
is(health('fine', "state, since IS NULL, reason IS NULL, url LIKE '%/ok/fine'"), 'healthy|t|t|t', 'healthy; the query of its URL is not shown');
is(health('waits', 'state, since IS NOT NULL, reason, pending, lag_seconds > 0, advice IS NOT NULL'),
	'failing|t|its last attempts have failed: http_status|15|t|t', 'failing, and why');
is(health('gone', 'state, since IS NOT NULL, reason'), 'disabled|t|somebody has set enabled to false', 'disabled');
$bmw->sql("SELECT bm_webhook.pause($id{fine})");
is(health('fine', 'state, reason'), 'paused|it is paused', 'paused');
$bmw->sql("SELECT bm_webhook.resume($id{fine}); SELECT bm_webhook.pause(application => 'shop')");
is(health('fine', 'state, reason'), 'paused|its application is paused', 'with its application');
$bmw->sql("SELECT bm_webhook.resume(application => 'shop'); SELECT bm_webhook.pause(everything => true, reason => 'move')");
is(health('fine', 'state, reason'), 'paused|everything is paused: move', 'with everything');
$bmw->sql("SELECT bm_webhook.resume(everything => true)");

# Who sees what.
for my $view (qw(stat_endpoint endpoint_health endpoint_minute))
{
	my $list = "SELECT string_agg(DISTINCT endpoint_id::text, ',' ORDER BY endpoint_id::text) FROM bm_webhook.$view";
	is($bmw->sql("SET ROLE shop; $list"), "$id{fine},$id{gives_up}", "$view: an owner sees its own");
	is($bmw->sql("SET ROLE monitor; $list"), $bmw->sql($list), "$view: pg_monitor sees all");
	is($bmw->sqlstate("SET ROLE stranger; $list"), '42501', "$view: others see nothing");
}
is($bmw->sql('SET ROLE monitor; SELECT count(*) FROM bm_webhook.endpoint_health WHERE url ~ $$//[^/]*/$$'), 0, 'paths of URLs, which may have a token, it does not see');
is($bmw->sql('SET ROLE shop; SELECT count(*) FROM bm_webhook.endpoint_health WHERE url !~ $$//[^/]*/$$'), 0, 'an owner sees his own');
is($bmw->sql('SET ROLE monitor; SELECT count(*) FROM bm_webhook.stat_dispatcher'), 1, 'pg_monitor sees the dispatchers');
is($bmw->sql('SET ROLE monitor; SELECT sum(delivered) FROM bm_webhook.dispatcher_minute'), $bmw->sql('SELECT sum(delivered) FROM bm_webhook.endpoint_minute'), 'and what they sent');
is($bmw->sql('SET ROLE shop; SELECT count(*) FROM bm_webhook.dispatcher_minute'), 0, 'an owner does not');
is($bmw->sql('SET ROLE monitor; SELECT sum(pending) FROM bm_webhook.stat_endpoint'), 15, 'and what waits');
is($bmw->sqlstate("SET ROLE monitor; SELECT * FROM bm_webhook.$_ LIMIT 1"), '42501', "but not $_") for qw(event delivery failed_attempt endpoint_secret endpoint);

# Anew.
# At once, because a minute may end.
is($bmw->sql("SELECT bm_webhook.stat_reset($id{gives_up}); SELECT attempts, failures FROM bm_webhook.stat_endpoint WHERE endpoint_id = $id{gives_up}"),
	"\n0|{}", 'one endpoint begins anew');
is(stat_of('fine', 'attempts'), 120, 'another one does not');
is($bmw->sql('SELECT bm_webhook.stat_reset(); SELECT sum(attempts), (SELECT sum(records) FROM bm_webhook.stat_dispatcher) FROM bm_webhook.stat_endpoint'),
	"\n0|0", 'all do, and the dispatcher');

# What no dispatcher has taken is nobody's delivery yet: its age is the dispatcher's lag.
sub lag { return $bmw->sql("SET ROLE monitor; SELECT lag_seconds > 0 FROM bm_webhook.stat_dispatcher") }
$bmw->wait_for_sql('everything is taken', 'SELECT bool_and(lag_seconds = 0) FROM bm_webhook.stat_dispatcher');
$bmw->set('bm_webhook.enabled', 'off');
$bmw->wait_for_sql('nothing is sent', q{SELECT reason LIKE 'bm\_webhook.enabled is off%' FROM bm_webhook.stat_dispatcher});
is(lag(), 'f', 'nothing waits to be taken');
my $last = $bmw->sql("SELECT bm_webhook.emit('test.fine', '{}', application => 'shop')");
is(lag(), 't', 'an event does');
is(stat_of('fine', 'lag_seconds'), 0, 'for no endpoint yet');
$bmw->set('bm_webhook.enabled', 'on');
$bmw->wait_for_delivery($last);
$bmw->wait_for_sql('it is taken', 'SELECT bool_and(lag_seconds = 0) FROM bm_webhook.stat_dispatcher');
$bmw->finish;

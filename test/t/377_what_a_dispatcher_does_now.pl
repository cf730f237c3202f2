# stat_endpoint says how many requests of an endpoint are in flight, how many may be, and until when it is held;
# stat_dispatcher what a dispatcher does with its time, over restarts, and how the keeper of the log fared. pg_monitor sees it,
# an owner his own endpoints.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;
use Time::HiRes qw(time);

my $started = time;
my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my @phases = map { "${_}_seconds" } qw(intake fetch send record upkeep idle);

$bmw->sql(q{CREATE ROLE shop; CREATE ROLE bank; CREATE ROLE monitor IN ROLE pg_monitor;
	INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('bank');
	SELECT bm_webhook.grant_owner('shop', 'shop'), bm_webhook.grant_owner('bank', 'bank')});
my %id = (
	hangs => $bmw->endpoint('/hang/hangs', application => 'shop', event_types => '{test.hangs}', timeout => '1 min'),
	waits => $bmw->endpoint('/retry-after/100/waits', application => 'bank', event_types => '{test.waits}', retry_delays => '{1 h}'));

sub stat_of { return $bmw->sql("SET ROLE monitor; SELECT $_[1] FROM bm_webhook.stat_endpoint WHERE endpoint_id = $id{$_[0]}") }
sub wait_for_stat { return $bmw->wait_for_sql("$_[0]: $_[1]", "SELECT coalesce(($_[1]), false) FROM bm_webhook.stat_endpoint WHERE endpoint_id = $id{$_[0]}") }

is(stat_of('hangs', 'in_flight IS NULL, allowed_in_flight IS NULL, held_until IS NULL'), 't|t|t', 'nothing was sent yet');
$bmw->sql(q{SELECT count(bm_webhook.emit('test.hangs', '{}', application => 'shop')) FROM generate_series(1, 3)});
$bmw->sql(q{SELECT bm_webhook.emit('test.waits', '{}', application => 'bank')});
$bmw->wait_for_requests('hangs', 3);
wait_for_stat('hangs', 'in_flight = 3 AND allowed_in_flight >= 3 AND held_until IS NULL');
wait_for_stat('waits', q{in_flight = 0 AND held_until > now() + '50 s'});
is($bmw->sql("SELECT in_flight FROM bm_webhook.endpoint_pace WHERE endpoint_id = $id{hangs}"), 3, 'as in endpoint_pace');
is($bmw->sql('SELECT in_flight FROM bm_webhook.stat_dispatcher'), 3, 'and of the dispatcher');

is($bmw->sql("SET ROLE shop; SELECT string_agg(endpoint_id || ': ' || in_flight, ',') FROM bm_webhook.stat_endpoint"), "$id{hangs}: 3", 'an owner sees his own');

$receiver->behave('hangs', 'ok');
$receiver->release('hangs');
wait_for_stat('hangs', 'in_flight = 0');

# Phases: all together no more than the time that has passed; what it did took some; most of it was spent waiting.
sub seconds { return split /\|/, $bmw->sql('SET ROLE monitor; SELECT ' . join(', ', @phases) . ' FROM bm_webhook.stat_dispatcher') }
sub sum { my $sum = 0; $sum += $_ for @_; return $sum }
$bmw->settle;
$bmw->node->restart;    # which writes what is counted
my $pid = $bmw->dispatcher;
my @first = seconds();
ok($first[$_] > 0, "$phases[$_] are counted") for 0 .. $#phases;
cmp_ok(sum(@first), '<=', time - $started, 'no moment is counted twice');
cmp_ok($first[-1], '>', sum(@first[ 0 .. 4 ]), 'a dispatcher with nothing to do waits');

# A dispatcher to which nothing happens counts that it waits, once it does.
$bmw->wait_for_sql('it waits', "SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = $pid");
$bmw->node->restart;
$bmw->dispatcher;
my @second = seconds();
ok($second[$_] >= $first[$_], "$phases[$_] go on over a restart") for 0 .. $#phases;
cmp_ok($second[-1], '>', $first[-1], 'it has waited longer');

# Hard work is seen where it is done.
# At once, because a minute may end.
is($bmw->sql('SELECT bm_webhook.stat_reset(); SELECT ' . join(' + ', @phases) . ' FROM bm_webhook.stat_dispatcher'), "\n0", 'they begin anew');
$bmw->endpoint('/ok/works', event_types => '{test.works}');
$bmw->emit_many(5000, 'test.works');
$bmw->wait_for_requests('works', 5000);
$bmw->settle;
$bmw->node->restart;
$bmw->dispatcher;
my %works; @works{@phases} = seconds();
cmp_ok($works{send_seconds}, '>', $works{fetch_seconds}, 'to send 5000 requests takes longer than to fetch none');
cmp_ok($works{record_seconds}, '>', 0, 'what was written took time');
is($bmw->sql('SELECT events >= 5000, longest_flush_seconds > 0, largest_flush > 1 FROM bm_webhook.stat_dispatcher'), 't|t|t', 'so are events and flushes');
cmp_ok($bmw->sql('SELECT longest_flush_seconds FROM bm_webhook.stat_dispatcher'), '<=', sum(@works{@phases}), 'a flush is part of it');
is($bmw->sql('SELECT bm_webhook.stat_reset(); SELECT events, longest_flush_seconds FROM bm_webhook.stat_dispatcher'), "\n0|0", 'they begin anew, too');

# The keeper of the log: one that meets what waits, and one that is allowed to drop it.
sub keeper { return $bmw->sql("SET ROLE $_[0]; SELECT $_[1] FROM bm_webhook.stat_dispatcher WHERE shard = 0") }
is(keeper('monitor', 'keeper_ended_at IS NULL, keeper_seconds IS NULL, keeper_problem IS NULL'), 't|t|t', 'there was nothing to do for a keeper');
$bmw->sql(q{CREATE ROLE night; SELECT bm_webhook.grant_operator('night');
	SELECT bm_webhook_internal.create_partition(p, (clock_timestamp() AT TIME ZONE 'UTC')::date - 40) FROM unnest('{event,delivery,failed_attempt}'::text[]) p;
	WITH e AS (INSERT INTO bm_webhook.event (id, xid, type, occurred_at, created_at, data)
		SELECT bm_webhook.uuid_floor(at), '3', 'test.old', at, at, '{}' FROM (SELECT clock_timestamp() - interval '40 days') t (at) RETURNING id)
	INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts, next_attempt_at) SELECT id, } . $id{waits} . q{, 'pending', 1, now() + interval '1 day' FROM e});
$bmw->set('bm_webhook.retention', '30 d');
$bmw->wait_for_sql('a keeper says what it left', q{SELECT keeper_problem LIKE '%expired stay, the first is delivery\_%' FROM bm_webhook.stat_dispatcher WHERE shard = 0});
is(keeper('monitor', q{keeper_ended_at BETWEEN now() - interval '10 min' AND now(), keeper_seconds BETWEEN 0 AND 600, keeper_problem IS NOT NULL}), 't|t|t',
	'when it was done, and how long that took');
is(keeper('night', 'keeper_seconds IS NOT NULL, keeper_problem IS NULL'), 't|t', 'an operator sees no text of errors, as in status()');
my $first = keeper('monitor', 'keeper_ended_at');
$bmw->sql(q{SELECT bm_webhook.drop_before(now() - interval '30 days', with_waiting => true)});
$bmw->wait_for_sql('the next one has done everything', qq{SELECT keeper_problem IS NULL AND keeper_ended_at > '$first' FROM bm_webhook.stat_dispatcher WHERE shard = 0});
$bmw->finish;

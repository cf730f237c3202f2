# redeliver_each() and cancel_each() do what can be done with the deliveries that are named, and say of each other why
# not; what matches the filters of the console is done as it was counted, whatever comes meanwhile.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use JSON::PP;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my $json = JSON::PP->new->allow_nonref;
$bmw->sql(q{CREATE ROLE operator; CREATE ROLE shop; CREATE ROLE bank;
	INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('bank');
	SELECT bm_webhook.grant_operator('operator'), bm_webhook.grant_owner('shop', 'shop'), bm_webhook.grant_owner('bank', 'bank')});

sub as { my ($role, $query) = @_; return $bmw->sql("SET SESSION AUTHORIZATION $role; $query") }
sub state_as { my ($role, $query) = @_; return $bmw->sqlstate("SET SESSION AUTHORIZATION $role; $query") }

sub ask
{
	my ($role, $name, $a) = @_;
	return $json->decode(as($role, sprintf q{SELECT bm_webhook.console_%s('%s')}, $name, $json->encode($a)));
}

# What became of these deliveries, in the order in which they are named.
sub each_of
{
	my ($role, $kind, $pairs, $more) = @_;
	my @pairs = map { [ split ' ' ] } @$pairs;
	return as($role, sprintf q{SELECT string_agg(coalesce(problem, CASE WHEN operation IS NULL THEN 'would' ELSE 'done' END), ', ') FROM bm_webhook.%s_each('{%s}', '{%s}'%s)},
		$kind, join(',', map { $_->[0] } @pairs), join(',', map { $_->[1] } @pairs), $more // '');
}

my $none = '01990f3c-5d1a-7c3e-8f00-0242ac120002';
my $count = q{SELECT count(*) FROM bm_webhook.operation WHERE kind IN ('redeliver', 'cancel')};
my $ended = q{SELECT bool_and(ended_at IS NOT NULL) FROM bm_webhook.operation};

###############################################################################
# Those that are named
###############################################################################

my $ok = $bmw->endpoint('/ok/ok', application => 'shop', event_types => '{a.*}');
my $down = $bmw->endpoint('/status/500/down', application => 'shop', event_types => '{a.*}', retry_delays => '{1 h}');
my $over = $bmw->endpoint('/status/500/over', application => 'shop', event_types => '{a.*}', retry_delays => '{}');
my $his = $bmw->endpoint('/status/500/his', application => 'bank', event_types => '{a.*}', retry_delays => '{1 h}');
my @events = map { $bmw->emit('a.b', application => 'shop') } 1 .. 3;
my $of_bank = $bmw->emit('a.b', application => 'bank');
$bmw->wait_for_sql('all was tried', q{SELECT count(*) = 10 AND bool_and(attempts = 1) FROM bm_webhook.delivery});
my @mixed = ("$events[0] $ok", "$events[0] $over", "$events[0] $down", "$of_bank $his", "$none $ok", "$events[0] 99999", "$events[0] $his");

is(each_of('shop', 'cancel', \@mixed, ', dry_run => true'), 'it was delivered, it was given up, would' . ', there is no such delivery' x 4, 'what could be canceled, and what not');
is(each_of('shop', 'redeliver', \@mixed, ', dry_run => true'), 'would, would, would' . ', there is no such delivery' x 4, 'what could be sent again: another\'s is as unknown as what does not exist');
is($bmw->sql($count), 0, 'a dry run leaves nothing behind');
is(each_of('bank', 'redeliver', \@mixed, ', dry_run => true'), join(', ', ('there is no such delivery') x 3, 'would', ('there is no such delivery') x 3), 'for the other likewise');
is(each_of($bmw->sql('SELECT current_user'), 'cancel', \@mixed, ', dry_run => true'), 'it was delivered, it was given up, would, would' . ', there is no such delivery' x 3, 'an administrator may change all');
is(state_as('operator', "SELECT bm_webhook.${_}_each('{}', '{}')"), '42501', "an operator changes nothing: $_") for qw(redeliver cancel);

is(each_of('shop', 'cancel', \@mixed), 'it was delivered, it was given up, done' . ', there is no such delivery' x 4, 'what waits is canceled');
$bmw->wait_for_sql('and nothing else', "SELECT ($ended) AND (SELECT string_agg(endpoint_id || status, ' ' ORDER BY endpoint_id) FROM bm_webhook.delivery WHERE event_id = '$events[0]') = '${ok}delivered ${down}canceled ${over}failed'");
is($bmw->sql("SELECT kind, endpoint_id, events, matched, done, asked_by, acting_as, application FROM bm_webhook.operation WHERE kind = 'cancel'"),
	"cancel|$down|{$events[0]}|1|1|shop|shop|shop", 'it is known who did what');
is(each_of('shop', 'cancel', ["$events[0] $down"]), 'it was canceled', 'once');

$receiver->behave($_, "ok/$_") for qw(down over);
is(each_of('shop', 'redeliver', [ @mixed, $mixed[0] ]), 'done, done, done' . ', there is no such delivery' x 4, 'what was delivered, given up or canceled is sent again, each once');
$bmw->wait_for_sql('they arrive', "SELECT count(*) = 3 FROM bm_webhook.delivery WHERE event_id = '$events[0]' AND status = 'delivered'");
is($receiver->count('ok', 'requests'), 4, 'the receiver saw it again');
is($bmw->sql("SELECT string_agg(endpoint_id || status || asked_by, ' ' ORDER BY endpoint_id) FROM bm_webhook.redelivery"), "${ok}deliveredshop ${down}canceledshop ${over}failedshop", 'the delivery of before is recorded');
is(each_of('shop', 'redeliver', [ map { "$_ $down" } @events[ 1, 2 ] ], ', max_rows => 1'), 'done, there were more than max_rows', 'no more than max_rows');
$bmw->wait_for_sql('what waits is sent at once', "SELECT status = 'delivered' FROM bm_webhook.delivery WHERE event_id = '$events[1]' AND endpoint_id = $down");
is($bmw->sql("SELECT status FROM bm_webhook.delivery WHERE event_id = '$events[2]' AND endpoint_id = $down"), 'pending', 'and the other waits on');

as('shop', "SELECT bm_webhook.set_aside('$events[2]', $down)");
$bmw->wait_for_sql('one is set aside', 'SELECT count(*) = 1 FROM bm_webhook.set_aside');
is(each_of('shop', $_, ["$events[2] $down"]), 'it is set aside', "what is set aside stays so: $_") for qw(redeliver cancel);
as('shop', "SELECT bm_webhook.delete_endpoint($over)");
is(each_of('shop', $_, ["$events[0] $over"]), 'its endpoint was deleted', "an endpoint that was deleted: $_") for qw(redeliver cancel);
my $ordered = $bmw->endpoint('/status/500/ordered', application => 'shop', event_types => '{c.*}', ordering => 'by_message', retry_delays => '{1 h}');
my @ordered = map { $bmw->emit('c.d', application => 'shop', message_id => 'm') } 1, 2;
$bmw->wait_for_sql('one waits for the other', "SELECT count(*) = 1 FROM bm_webhook.delivery WHERE endpoint_id = $ordered AND next_attempt_at = 'infinity'");
is(each_of('shop', 'redeliver', [ map { "$_ $ordered" } @ordered ], ', dry_run => true'), 'would, it waits for an earlier event of its message', 'none is sent out of turn');

is(state_as('shop', "SELECT * FROM bm_webhook.redeliver_each($_->[0])"), $_->[1], "refused: $_->[0]") for [ q{NULL, '{}'}, '22004' ], [ q{'{}', NULL}, '22004' ],
	[ qq{'{$none}', '{1,2}'}, '22023' ], [ q{'{}', '{}', 0}, '22023' ], [ qq{array_fill('$none'::uuid, '{10001}'), array_fill(1::bigint, '{10001}')}, '54000' ];

###############################################################################
# What is in flight is not called back
###############################################################################

my $slow = $bmw->endpoint('/hang/slow', application => 'shop', event_types => '{slow.*}', max_in_flight => 1, timeout => '60 s', retry_delays => '{1 h}');
$bmw->sql("SELECT bm_webhook.pause($slow)");
$bmw->sql(q{SELECT count(bm_webhook.emit('slow.a', '{}', 'shop')) FROM generate_series(1, 5)});
$bmw->wait_for_sql('all have rows', "SELECT count(*) = 5 FROM bm_webhook.delivery WHERE endpoint_id = $slow AND status = 'pending'");
$bmw->sql("SELECT bm_webhook.resume($slow)");
wait_until('one hangs', sub { $receiver->count('slow', 'in_flight') == 1 });
my $all = "FROM bm_webhook.delivery WHERE endpoint_id = $slow";
is(as('shop', "SELECT count(*) FROM bm_webhook.cancel_each(ARRAY(SELECT event_id $all ORDER BY 1 DESC), ARRAY(SELECT endpoint_id $all)) WHERE problem IS NULL"), 5, 'all wait');
$bmw->wait_for_sql('those that are not in flight are canceled', "SELECT count(*) >= 4 $all AND status = 'canceled'");
$receiver->release('slow');
$bmw->wait_for_sql('and the one in flight is delivered', "SELECT string_agg(status, ' ' ORDER BY event_id) = 'delivered canceled canceled canceled canceled' $all");
$bmw->wait_for_sql('it ends', $ended);

###############################################################################
# What matches
###############################################################################

my $many = $bmw->endpoint('/ok/many', application => 'shop', event_types => '{many.*}');
as('shop', "SELECT bm_webhook.pause($many)");
$bmw->sql(q{SELECT count(bm_webhook.emit('many.' || CASE WHEN n % 4 = 0 THEN 'rare' ELSE 'often' END, '{}', 'shop')) FROM generate_series(1, 1200) n});
$bmw->wait_for_sql('all wait', "SELECT count(*) = 1200 FROM bm_webhook.delivery WHERE endpoint_id = $many");
my %filter = (type => 'many.*', status => 'pending', application => 'shop');
my $counted = ask('shop', 'count_deliveries', \%filter);
is_deeply([ @$counted{qw(matched is_more)} ], [ 1200, JSON::PP::false ], 'what matches is counted');
is(ask('shop', 'count_deliveries', { %filter, type => 'many.rare' })->{matched}, 300, 'by type');
is(ask($_, 'count_deliveries', \%filter)->{matched}, 0, "$_ may change none of them") for qw(bank operator);
is(ask('shop', 'count_deliveries', { endpoint => $his })->{matched}, ask('shop', 'count_deliveries', { endpoint => 99999 })->{matched}, 'what is another\'s is as unknown as what does not exist');
my %matching = (matching => { %filter, %$counted{qw(since until)} });
my $dry = ask('shop', 'cancel', { %matching, dry_run => JSON::PP::true });
is_deeply($dry, { matched => 1200, problems => [] }, 'a dry run says the same');

# In between some more come, in the period as well: a transaction that has begun before, and what is due again.
$bmw->emit('many.often', application => 'shop') for 1 .. 5;
$bmw->wait_for_sql('more wait', "SELECT count(*) = 1205 FROM bm_webhook.delivery WHERE endpoint_id = $many");
$bmw->sql("INSERT INTO bm_webhook.event (id, xid, type, application, occurred_at, created_at, data)
	SELECT bm_webhook.uuid_floor(now() - interval '1 hour' - n * interval '1 s'), '3', 'many.late', 'shop', now(), now(), '{}' FROM generate_series(1, 3) n");
$bmw->sql("INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts, next_attempt_at) SELECT id, $many, 'pending', 0, now() FROM bm_webhook.event WHERE type = 'many.late'");
is(ask('shop', 'count_deliveries', { %filter, %$counted{qw(since until)} })->{matched}, 1203, 'more match by now, in the same period');
is_deeply(ask('shop', 'cancel', { %matching, max_rows => 1200 }), { matched => 1200, problems => [ { problem => 'there were more than max_rows', n => 3 } ] }, 'what was counted is what is done');
$bmw->wait_for_sql('it ends', $ended);
is($bmw->sql("SELECT count(*) FILTER (WHERE status = 'canceled'), count(*) FILTER (WHERE status = 'pending') FROM bm_webhook.delivery WHERE endpoint_id = $many"), '1200|8', 'and nothing more');
is($bmw->sql("SELECT count(*), max(cardinality(events)), sum(matched), sum(done) FROM bm_webhook.operation WHERE kind = 'cancel' AND endpoint_id = $many"), '3|500|1200|1200', 'in pieces');

my %canceled = (matching => { type => 'many.rare', status => 'canceled', %$counted{qw(since until)} });
is(ask('shop', 'redeliver', { %canceled, max_rows => 300 })->{matched}, 300, 'those of a type are sent again');
as('shop', "SELECT bm_webhook.resume($many)");
$bmw->wait_for_sql('they arrive, and what waited', "SELECT count(*) = 308 FROM bm_webhook.delivery WHERE endpoint_id = $many AND status = 'delivered'");
is($receiver->count('many', 'delivered'), 308, 'at the receiver');
is(ask('shop', 'redeliver', { %canceled, max_rows => 300 })->{matched}, 0, 'none is left');

is(state_as('shop', sprintf q{SELECT bm_webhook.console_redeliver('%s')}, $json->encode($_->[0])), $_->[1], 'refused: ' . $json->encode($_->[0]))
	for [ {}, '22004' ], [ { matching => {} }, '22004' ], [ { matching => { until => '2020-01-01' } }, '22004' ], [ { matching => {}, max_rows => 1 }, '22004' ];

###############################################################################
# More than can be done or read
###############################################################################

# So many deliveries of the last hour, of one event after another.
$bmw->sql("INSERT INTO bm_webhook.event (id, xid, type, application, occurred_at, created_at, data)
	SELECT bm_webhook.uuid_floor(now() - n * interval '20 ms'), '3', 'bulk.a', 'bank', now(), now(), '{}' FROM generate_series(1, 110000) n");
$bmw->sql("INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts) SELECT id, $his, 'delivered', 1 FROM bm_webhook.event WHERE type = 'bulk.a'");
$bmw->sql('ANALYZE bm_webhook.event, bm_webhook.delivery');
$counted = ask('bank', 'count_deliveries', { type => 'bulk.*' });
is_deeply([ @$counted{qw(matched is_more)} ], [ 10000, JSON::PP::true ], 'more than 10000');
is(ask('bank', 'redeliver', { matching => { type => 'bulk.*', %$counted{qw(since until)} }, dry_run => JSON::PP::true })->{matched}, 10000, 'no more than these at a time');
is(ask('bank', 'count_deliveries', { status => 'pending' })->{matched}, 1, 'what waits is found wherever it is');
for my $role (qw(bank shop))
{
	my $a = $json->encode({ type => 'none.*' });
	is(state_as($role, "SELECT bm_webhook.console_$_"), '54000', "$role: what would take too long is refused")
		for "count_deliveries('$a')", "redeliver('{\"matching\": $a, \"dry_run\": true}')";
}
is(ask('shop', 'count_deliveries', { type => 'none.*', since => $bmw->sql(q{SELECT now() - interval '10 min'}) })->{matched}, 0, 'and a shorter period is not');
$bmw->finish;

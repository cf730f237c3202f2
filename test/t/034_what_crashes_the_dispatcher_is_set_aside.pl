# A request of which the dispatcher crashes, with the whole server, is sent three times and then set aside: it alone,
# although others were under way each time. Everything else arrives, also the next events of its message.
# retry_set_aside() sends it again. An endpoint that any request crashes for is disabled after two, and one whose challenge
# does after three crashes. Who is only
# stopped at once, however often, blames nobody.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use File::Spec::Functions qw(rel2abs);
use PostgreSQL::Test::Utils ();
use Test::More;

my $folder = PostgreSQL::Test::Utils::tempdir('crash');
my $library = "$folder/preload.so";
my $poison = "$folder/poison";

plan skip_all => 'there is no compiler'
  unless PostgreSQL::Test::Utils::run_log([ 'cc', '-shared', '-fPIC', '-o', $library, rel2abs('test/crash/preload.c'), '-ldl' ]);

# What a process that sends one of these dies of, from now on.
sub set_poison
{
	my (@lines) = @_;
	open my $file, '>', "$poison.new" or die "could not write $poison.new: $!";
	print $file map { "$_\n" } @lines;
	close $file;
	rename "$poison.new", $poison or die "could not rename: $!";
	return;
}

set_poison();
my $bmw;
{
	local %ENV = (%ENV, BMW_TEST_POISON => $poison, LD_PRELOAD => join ' ', grep { length } $ENV{LD_PRELOAD} // '', $library);
	$bmw = BmWebhook->new;
}
my $receiver = $bmw->receiver;

# The server comes and goes: its answer to a query, '' while there is none.
sub ask
{
	my ($query) = @_;
	my @psql = ('psql', '-XAtq', '-d', $bmw->node->connstr('postgres'), '-c', $query);
	IPC::Run::run(\@psql, '<', \undef, '>', \my $answer, '2>', \my $error);
	return $answer =~ s/\n\z//r;
}
sub wait_for_answer { my ($what, $query) = @_; return wait_until($what, sub { ask($query) eq 't' }) }

sub crashes { return $bmw->lines_logged(qr/background worker "bm_webhook dispatcher" \(PID \d+\) was terminated by signal 11/) }

my $ordered = $bmw->endpoint('/ok/ordered', event_types => '{test.*}', ordering => 'by_message');
my $other = $bmw->endpoint('/ok/other', event_types => '{test.*}', filter => '$.data.to == "all"');
my $slow = $bmw->endpoint('/slow/200/slow', event_types => '{test.*}');
my $hangs = $bmw->endpoint('/hang/hangs', event_types => '{test.held}', timeout => '2s');

# One of many, some of which hang, so that they are under way in each crash.
set_poison('poison-of-an-event');
my $transaction = join '; ', map({ 'SELECT ' . $bmw->emit_call('test.held', data => '{"to": "all"}') } 1 .. 3),
  'SELECT ' . $bmw->emit_call('test.first', message_id => 'm', data => '{"to": "all"}'),
  'SELECT ' . $bmw->emit_call('test.bad', message_id => 'm', data => '{"to": "one", "is": "poison-of-an-event"}'),
  'SELECT ' . $bmw->emit_call('test.last', message_id => 'm', data => '{"to": "all"}'),
  q{SELECT count(bm_webhook.emit(type => 'test.many', data => '{"to": "all"}')) FROM generate_series(1, 300)};
$bmw->sql("UPDATE bm_webhook.endpoint SET event_types = '{test.held,test.first,test.last,test.many}' WHERE id = $slow");
$bmw->sql("BEGIN; $transaction; COMMIT");

wait_for_answer('it is set aside', 'SELECT count(*) = 1 FROM bm_webhook.set_aside');
wait_for_answer('all others are delivered', q{SELECT count(*) = 3 * 305 FROM bm_webhook.delivery d
	JOIN bm_webhook.event e ON e.id = d.event_id WHERE d.status = 'delivered' AND e.type LIKE 'test.%'});
is(ask(q{SELECT string_agg(concat_ws('|', e.type, s.endpoint_id, s.cause, s.sqlstate, s.asked_by, d.status, d.error_class, d.error), ',')
	FROM bm_webhook.set_aside s JOIN bm_webhook.event e ON e.id = s.event_id JOIN bm_webhook.delivery d ON d.event_id = s.event_id AND d.endpoint_id = s.endpoint_id}),
	"test.bad|$ordered|the dispatcher has crashed three times in a row while this was being sent|57P02|failed|crash"
	  . '|the dispatcher has crashed three times in a row while this was being sent', 'it alone, and it says why');
is(crashes(), 3, 'after three crashes');
is($bmw->lines_logged(qr/bm_webhook set aside event/), 1, 'one line of the log');
is(ask('SELECT sum(enabled::integer) FROM bm_webhook.endpoint'), 4, 'its endpoint goes on');
is(ask(qq{SELECT sum(pending) FROM bm_webhook.backlog WHERE endpoint_id <> $hangs}) || 0, 0, 'what waits is counted right');

# A new dispatcher sends it no more; when the cause is gone, it is sent.
my $pid = $bmw->dispatcher;
$bmw->sql("SELECT pg_terminate_backend($pid)");
wait_until('a new one runs', sub { $bmw->dispatcher != $pid });
$bmw->emit('test.many', data => '{"to": "all"}');
$bmw->settle;
is(crashes(), 3, 'it is not sent again');
set_poison();
is($bmw->sql('SELECT bm_webhook.retry_set_aside()'), 1, 'it is tried again');
$bmw->wait_for_sql('and delivered', q{SELECT status = 'delivered' AND attempts = 1 AND error IS NULL FROM bm_webhook.delivery d
	JOIN bm_webhook.event e ON e.id = d.event_id WHERE e.type = 'test.bad'});
is($bmw->sql('SELECT count(*) FROM bm_webhook.set_aside'), 0, 'it is not set aside any more');

# Any request to an endpoint.
my $cursed = $bmw->endpoint('/ok/cursed', event_types => '{test.cursed}');
my $sane = $bmw->endpoint('/ok/sane', event_types => '{test.cursed}');
set_poison('POST /ok/cursed');
$bmw->emit_many(20, 'test.cursed');
wait_for_answer('it is disabled', "SELECT NOT enabled FROM bm_webhook.endpoint WHERE id = $cursed");
wait_for_answer('the others get all', "SELECT count(*) = 20 FROM bm_webhook.delivery WHERE endpoint_id = $sane AND status = 'delivered'");
is(ask("SELECT disabled_reason FROM bm_webhook.endpoint_state WHERE endpoint_id = $cursed"), 'requests to it crash the dispatcher', 'and why');
is(ask("SELECT string_agg(DISTINCT endpoint_id::text, ' ') FROM bm_webhook.set_aside"), $cursed, 'nothing else is blamed');
my $crashes = crashes();
$bmw->settle;
is(crashes(), $crashes, 'it is over');
set_poison();
$bmw->sql("UPDATE bm_webhook.endpoint SET enabled = true WHERE id = $cursed;
	SELECT bm_webhook.retry_set_aside(); SELECT bm_webhook.recover(endpoint => $cursed, since => now() - interval '1 hour')");
$bmw->wait_for_sql('it gets all when it is repaired', "SELECT count(*) = 20 FROM bm_webhook.delivery WHERE endpoint_id = $cursed AND status = 'delivered'");

# The challenge by which an endpoint proves its URL.
$bmw->set('bm_webhook.verify_endpoints', 'on');
$bmw->wait_for_sql('challenges are sent', q{SELECT current_setting('bm_webhook.verify_endpoints') = 'on'});
my $challenged = $bmw->endpoint('/challenge/plain/challenged', event_types => '{test.challenged}', enabled => 'false');
set_poison('POST /challenge/plain/challenged');
ask("UPDATE bm_webhook.endpoint SET enabled = true WHERE id = $challenged");    # the server may crash before it answers
wait_for_answer('it is disabled', "SELECT NOT enabled AND EXISTS (SELECT FROM bm_webhook.endpoint_state s WHERE s.endpoint_id = p.id AND s.disabled_reason ~ 'crash')
	FROM bm_webhook.endpoint p WHERE id = $challenged");
is(ask("SELECT disabled_reason FROM bm_webhook.endpoint_state WHERE endpoint_id = $challenged"), 'requests to it crash the dispatcher', 'a challenge: why');
is(crashes(), $crashes + 3, 'a challenge: after three crashes');
is(ask('SELECT count(*) FROM bm_webhook.set_aside'), 0, 'a challenge: no event is blamed');
$bmw->dispatcher;
my $others = $bmw->emit('test.many', data => '{"to": "all"}');
$bmw->wait_for_sql('the others get what there is', "SELECT count(*) = 3 FROM bm_webhook.delivery WHERE event_id = '$others' AND status = 'delivered'");
$bmw->settle;
is(crashes(), $crashes + 3, 'a challenge: it is over');
set_poison();
$bmw->sql("UPDATE bm_webhook.endpoint SET enabled = true WHERE id = $challenged");
$bmw->wait_for_sql('it proves its URL when it is repaired', "SELECT unverified_since IS NULL AND verified_at IS NOT NULL FROM bm_webhook.endpoint_state WHERE endpoint_id = $challenged");
$bmw->set('bm_webhook.verify_endpoints', 'off');

# Stopped at once while something hangs.
$bmw->sql("UPDATE bm_webhook.endpoint SET timeout = '60s' WHERE id = $hangs");
my $before = $bmw->lines_logged(qr/bm_webhook sends \d+ requests with care/);
cmp_ok($before, '>=', 3, 'the log says that there is care');
my $requests = $receiver->count('hangs', 'requests');
$bmw->emit('test.held', data => '{"to": "none"}');
for (1 .. 4)
{
	$bmw->wait_for_requests('hangs', $requests + 1);
	$bmw->node->stop('immediate');
	$requests = $receiver->count('hangs', 'requests');
	local %ENV = (%ENV, BMW_TEST_POISON => $poison, LD_PRELOAD => join ' ', grep { length } $ENV{LD_PRELOAD} // '', $library);
	$bmw->start;
}
$bmw->dispatcher;
is($bmw->sql('SELECT count(*) FROM bm_webhook.set_aside'), 0, 'nothing is set aside');
is($bmw->lines_logged(qr/bm_webhook sends \d+ requests with care/), $before, 'and nothing suspected');
$bmw->finish(expected => qr/crash|was terminated by signal|terminating background worker|exit code|immediate shutdown/);

# set_aside() takes one delivery out of what waits, wherever it is: in the table, in memory, in
# flight, not taken yet. The later events of its message go on past it, nothing sends it, and
# put_back() makes it due again. With a crash in the middle; for owners, each for his own.
use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
$bmw->sql(q{CREATE ROLE shop; CREATE ROLE bank; CREATE ROLE admin BYPASSRLS;
	GRANT USAGE ON SCHEMA bm_webhook TO shop, bank, admin;
	GRANT EXECUTE ON FUNCTION bm_webhook.set_aside, bm_webhook.put_back, bm_webhook.explain_delivery TO shop, bank, admin;
	INSERT INTO bm_webhook.application (name, owner) VALUES ('shop', 'shop'), ('bank', 'bank')});
my $endpoint = $bmw->endpoint('/status/500/order', application => 'shop', ordering => 'by_message', event_types => '{test.*}', retry_delays => '{1 h,1 h}');

sub emit { my ($message, %more) = @_; return $bmw->emit('test.event', application => 'shop', message_id => $message, %more) }
sub state_of { my ($event, $of) = @_; $of //= $endpoint; return $bmw->sql("SELECT status FROM bm_webhook.delivery WHERE event_id = '$event' AND endpoint_id = $of") }
sub explained { my ($event) = @_; return $bmw->sql("SELECT gets_it, reason, status FROM bm_webhook.explain_delivery('$event') WHERE endpoint_id = $endpoint") }
sub aside { my ($event, $of, $role) = @_; $of //= $endpoint; return $bmw->sql(($role ? "SET ROLE $role; " : '') . "SELECT operation IS NOT NULL, matched FROM bm_webhook.set_aside('$event', $of, 'a wrong price')") }
sub pending { return $bmw->sql(q{SELECT (SELECT coalesce(sum(pending), 0) FROM bm_webhook_internal.pending) - (SELECT count(*) FROM bm_webhook.delivery WHERE status = 'pending')}) }

# What may not.
my $first = emit('m');
is($bmw->sqlstate("SELECT bm_webhook.set_aside(NULL, $endpoint)"), '22004', 'no event');
is($bmw->sqlstate("SELECT bm_webhook.set_aside('$first', NULL)"), '22004', 'no endpoint');
is($bmw->sqlstate("SELECT bm_webhook.set_aside('$first', -1)"), '42704', 'an unknown endpoint');
is($bmw->sqlstate("SELECT bm_webhook.put_back('$first', -1)"), '42704', 'likewise');
is($bmw->sqlstate("SET ROLE bank; SELECT bm_webhook.$_('$first', $endpoint)"), '42704', "$_() of another's endpoint") for qw(set_aside put_back);
is($bmw->sql("SELECT bm_webhook.put_back('$first', $endpoint)"), 0, 'what nobody has set aside is not put back');
is($bmw->sql("SELECT operation, matched FROM bm_webhook.set_aside(gen_random_uuid(), $endpoint)"), '|0', 'of an unknown event nothing waits');

# One that holds back the others of its message.
$bmw->wait_for_sql('it has failed once', "SELECT attempts = 1 FROM bm_webhook.delivery WHERE event_id = '$first' AND status = 'pending'");
my @later = map { emit('m') } 1 .. 2;
$bmw->wait_for_sql('and others wait behind it', q{SELECT count(*) = 2 FROM bm_webhook.delivery WHERE next_attempt_at = 'infinity'});
$receiver->behave('order', 'ok');
is(aside($first, $endpoint, 'shop'), 't|1', 'its owner sets it aside');
$bmw->wait_for_sql('the others are delivered', "SELECT count(*) = 2 FROM bm_webhook.delivery WHERE endpoint_id = $endpoint AND status = 'delivered'");
is(join(' ', map { $_->{headers}{'webhook-id'} } grep { $_->{headers}{'webhook-id'} ne $first } $receiver->requests('order')), "@later", 'in order');
is(state_of($first), 'canceled', 'it has ended for all that counts');
is(explained($first), 't|set aside by ' . $bmw->sql('SELECT session_user') . ': a wrong price|set aside', 'explain_delivery() says it');
is($bmw->sql("SELECT kind, event_id, matched, done, reason, acting_as, ended_at IS NOT NULL, error FROM bm_webhook.operation WHERE kind !~ '^create_'"), "set_aside|$first|1|1|a wrong price|shop|t|", 'it is recorded');
is(aside($first), 'f|0', 'once more: nothing to do');
is($bmw->sqlstate("SELECT bm_webhook.redeliver('$first')"), '42704', 'redeliver() leaves it');
my $again = $bmw->sql("SELECT operation FROM bm_webhook.redeliver($endpoint, '2000-01-01', status => '{canceled}')");
$bmw->wait_for_sql('by condition', "SELECT ended_at IS NOT NULL AND done = 0 FROM bm_webhook.operation WHERE id = $again");
is(state_of($first), 'canceled', 'neither');
is($bmw->sql('SELECT bm_webhook.retry_set_aside()'), 0, 'retry_set_aside() as well');
is($bmw->status('set_aside'), 0, 'status() counts what the log refused');
is(pending(), 0, 'what waits is counted right');

# A new dispatcher knows.
my $pid = $bmw->dispatcher;
$bmw->sql("SELECT pg_terminate_backend($pid)");
wait_until('a new one runs', sub { $bmw->dispatcher != $pid });
push @later, emit('m');
$bmw->settle;
is(state_of($first), 'canceled', 'it stays aside');
is(state_of($later[-1]), 'delivered', 'and holds nobody back');

# Put back.
is($bmw->sql("SET ROLE shop; SELECT bm_webhook.put_back('$first', $endpoint, 'it was right')"), 1, 'its owner puts it back');
$bmw->wait_for_sql('it is delivered', "SELECT status = 'delivered' AND attempts = 2 FROM bm_webhook.delivery WHERE event_id = '$first'");
is($bmw->sql("SELECT bm_webhook.put_back('$first', $endpoint)"), 0, 'once more: nothing to do');
is(explained($first), 't||delivered', 'and says so');
is($bmw->sql("SELECT string_agg(kind || ' ' || done, ', ' ORDER BY id) FROM bm_webhook.operation WHERE kind !~ '^create_'"), 'set_aside 1, redeliver 0, put_back 1', 'both are recorded');
is(aside($first), 'f|0', 'what was delivered does not wait');
is(pending(), 0, 'what waits is counted right');

# In memory and in flight: one at a time hangs, others are queued behind it.
my $slow = $bmw->endpoint('/hang/slow', event_types => '{slow.*}', max_in_flight => 1, timeout => '60 s', retry_delays => '{1 h}');
my @slow = split /\n/, $bmw->sql(q{SELECT bm_webhook.emit('slow.event', '{}') FROM generate_series(1, 5)});
wait_until('the first hangs', sub { $receiver->count('slow', 'in_flight') == 1 });
is(aside($slow[3], $slow, 'admin'), 't|1', 'the administrator sets one aside that is in memory alone');
$bmw->wait_for_sql('that is done', "SELECT EXISTS (SELECT FROM bm_webhook.set_aside WHERE event_id = '$slow[3]' AND attempts = 0)");
is(aside($slow[0], $slow), 't|1', 'and the one that is in flight');
is($bmw->sql("SELECT ended_at IS NULL FROM bm_webhook.operation ORDER BY id DESC LIMIT 1"), 't', 'which is not called back');
$receiver->behave('slow', 'ok');
$receiver->release('slow');
$bmw->wait_for_sql('it is delivered', "SELECT status = 'delivered' FROM bm_webhook.delivery WHERE event_id = '$slow[0]'");
$bmw->wait_for_sql('and the operation has ended', 'SELECT count(*) = 0 FROM bm_webhook.operation WHERE ended_at IS NULL');
$bmw->settle;
is($bmw->sql("SELECT count(*) FROM bm_webhook.delivery WHERE endpoint_id = $slow AND status = 'delivered'"), 4, 'the others are delivered');
is($bmw->sql(q{SELECT done FROM bm_webhook.operation ORDER BY id DESC LIMIT 1}), 0, 'there was nothing left to set aside');
is($bmw->sql("SELECT bm_webhook.put_back('$slow[3]', $slow)"), 1, 'the one is put back');
$bmw->wait_for_sql('and delivered', "SELECT status = 'delivered' AND attempts = 1 FROM bm_webhook.delivery WHERE event_id = '$slow[3]'");

# A crash of the server between the call and the dispatcher's step.
$receiver->behave('order', 'status/500');
my $crash = emit('c');
$bmw->wait_for_sql('it has failed once', "SELECT attempts = 1 FROM bm_webhook.delivery WHERE event_id = '$crash'");
my @after = map { emit('c') } 1 .. 2;
$bmw->wait_for_sql('others wait', q{SELECT count(*) = 2 FROM bm_webhook.delivery WHERE next_attempt_at = 'infinity'});
$bmw->set('bm_webhook.enabled', 'off');
$bmw->wait_for_sql('nothing is sent', q{SELECT bool_and(reason LIKE 'bm_webhook.enabled is off%') FROM bm_webhook.status()});
is(aside($crash), 't|1', 'set aside while nobody does it');
my $late = emit('late');
is(aside($late), 't|1', 'and one that nobody has taken');
$bmw->node->stop('immediate');
$receiver->behave('order', 'ok');
$bmw->start;
$bmw->set('bm_webhook.enabled', 'on');
$bmw->wait_for_sql('the others are delivered after the crash', "SELECT count(*) = 2 FROM bm_webhook.delivery d JOIN bm_webhook.event e ON e.id = d.event_id WHERE message_id = 'c' AND status = 'delivered'");
$bmw->wait_for_sql('both operations have ended', 'SELECT count(*) = 0 FROM bm_webhook.operation WHERE ended_at IS NULL');
is(state_of($crash), 'canceled', 'the one is set aside');
like(state_of($late), qr/canceled|delivered/, 'what was not taken is set aside, or was sent before');
is($bmw->sql("SELECT bm_webhook.put_back('$crash', $endpoint)"), 1, 'it is put back');
$bmw->sql("SELECT bm_webhook.put_back('$late', $endpoint)");
$bmw->wait_for_sql('and all is delivered', q{SELECT count(*) = 0 FROM bm_webhook.delivery WHERE status <> 'delivered'});
$bmw->settle;
is($bmw->sql('SELECT count(*) FROM bm_webhook.set_aside'), 0, 'nothing is left aside');
is(pending(), 0, 'what waits is counted right');
$bmw->finish(expected => qr/terminating|exit code/);

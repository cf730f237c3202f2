# An endpoint that keeps the order of each message, and a log that refuses some
# outcomes. One that has ended is past, although it is not recorded: the next
# event of its message is sent. One that is to be tried again holds the others
# of its message back, also for a new dispatcher, until it is recorded and sent.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my $endpoint = $bmw->endpoint('/ok/order', ordering => 'by_message', event_types => '{test.*}', retry_delays => '{100ms,100ms}');

$bmw->sql(q{CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.attempts > 0 AND (SELECT type FROM bm_webhook.event WHERE id = NEW.event_id) = 'test.bad' THEN
		RAISE 'bad';
	END IF;
	RETURN NEW;
END
$$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON bm_webhook.delivery FOR EACH ROW EXECUTE FUNCTION refuse()});

# The events of a message, each in a transaction of its own.
sub emit
{
	my ($message, @types) = @_;
	return map { $bmw->emit("test.$_", message_id => $message) } @types;
}

sub arrived
{
	my ($message) = @_;
	my %is_of = map { $_ => 1 } split /\n/, $bmw->sql("SELECT id FROM bm_webhook.event WHERE message_id = '$message'");
	return join ' ', map { $_->{id} } grep { $is_of{ $_->{id} } && $_->{status} =~ /^2/ }
	  sort { $a->{at_us} <=> $b->{at_us} } $receiver->arrivals('order');
}

# What was delivered is past.
my @past = emit('past', qw(good bad good bad good));
$bmw->wait_for_requests('order', 5);
is(arrived('past'), "@past", 'all are sent, in order');
$bmw->wait_for_sql('two are set aside', q{SELECT count(*) = 2 FROM bm_webhook.set_aside WHERE status = 'delivered'});
$bmw->wait_for_sql('three are recorded', "SELECT count(*) = 3 FROM bm_webhook.delivery WHERE endpoint_id = $endpoint AND status = 'delivered'");

# What is to be sent again, is not, and what comes after it waits.
$receiver->behave('order', 'status/500');
my @held = emit('held', 'bad');
$bmw->wait_for_sql('its failure is set aside', "SELECT status = 'pending' AND attempts = 1 FROM bm_webhook.set_aside WHERE event_id = '$held[0]'");
$receiver->behave('order', 'ok');
push @held, emit('held', qw(good good));
my @other = emit('other', qw(good));
$bmw->wait_for_sql('they are held back', q{SELECT count(*) = 2 FROM bm_webhook.delivery d JOIN bm_webhook.event e ON e.id = d.event_id
	WHERE e.message_id = 'held' AND d.next_attempt_at = 'infinity'});
$bmw->settle;
is(arrived('held'), '', 'nothing of the message is sent');
is(arrived('other'), "@other", 'another message is');

my $pid = $bmw->dispatcher;
$bmw->sql("SELECT pg_terminate_backend($pid)");
wait_until('a new one runs', sub { $bmw->dispatcher != $pid });
push @held, emit('held', 'good');
$bmw->settle;
is(arrived('held'), '', 'nor by a new dispatcher');
is(arrived('past'), "@past", 'which sends nothing again');

$bmw->sql('DROP TRIGGER refuse ON bm_webhook.delivery');
is($bmw->sql('SELECT bm_webhook.retry_set_aside()'), 3, 'all are recorded');
$bmw->wait_for_sql('and delivered', "SELECT count(*) = 10 FROM bm_webhook.delivery WHERE endpoint_id = $endpoint AND status = 'delivered'");
is(arrived('held'), "@held", 'in order');

$bmw->finish(expected => qr/terminating background worker|exit code/);

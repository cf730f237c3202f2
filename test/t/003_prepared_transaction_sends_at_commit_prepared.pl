# Two-phase commit: nothing at PREPARE TRANSACTION, one request at COMMIT
# PREPARED, none after ROLLBACK PREPARED; also across a crash of the server.
# COMMIT PREPARED wakes the dispatcher: the request comes at once, not at the
# next periodic look.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;
use Time::HiRes qw(time);

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

$bmw->endpoint('/ok/all');
my $session = $bmw->session;

sub prepare
{
	my ($name) = @_;
	return $session->query_safe("BEGIN; SELECT " . $bmw->emit_call("two.$name") . "; PREPARE TRANSACTION '$name'");
}

my $committed = prepare('committed');
my $undone = prepare('undone');
my $survivor = prepare('survivor');
$bmw->settle;
is($receiver->count('all', 'requests'), 0, 'nothing at PREPARE TRANSACTION');

$session->query_safe(q{ROLLBACK PREPARED 'undone'});
$session->query_safe(q{COMMIT PREPARED 'committed'});
$bmw->wait_for_delivery($committed);
$bmw->settle;
$bmw->arrived_exactly_once('all', "SELECT '$committed'", 'COMMIT PREPARED sends, ROLLBACK PREPARED does not');

# Twelve times, each when all is quiet. Without a wake-up the median would be
# half of the interval of the periodic look.
my @latencies;
for my $i (1 .. 12)
{
	my $event = prepare("wake$i");
	my $before = time;
	$session->query_safe("COMMIT PREPARED 'wake$i'");
	$bmw->wait_for_delivery($event);
	my ($arrival) = grep { $_->{id} eq $event } $receiver->arrivals('all');
	push @latencies, $arrival->{at_us} / 1000 - $before * 1000;
}
my $median = percentile(50, @latencies);
note("ms from before COMMIT PREPARED to the arrival: @latencies");
cmp_ok($median, '<', 1000, 'COMMIT PREPARED wakes the dispatcher');    # the look is after five seconds

$session->quit;
$bmw->node->stop('immediate');
$bmw->start;
$bmw->settle;
is((grep { $_->{id} eq $survivor } $receiver->arrivals('all')), 0, 'nothing after a crash while it is prepared');
$bmw->sql(q{COMMIT PREPARED 'survivor'});
$bmw->wait_for_delivery($survivor);
$bmw->settle;
is((grep { $_->{id} eq $survivor } $receiver->arrivals('all')), 1, 'once when it is committed after the crash');
is((grep { $_->{id} eq $undone } $receiver->arrivals('all')), 0, 'never when it was rolled back');

$bmw->finish;

# BmWebhook::Crash - what must hold when something is killed again and again
# under load.
#
# An event may be sent twice only when a kill lies between: its first request was
# answered before, and at most $unrecorded_s before, because what is answered is
# recorded within milliseconds. So there are few of them.

package BmWebhook::Crash;

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;
use Time::HiRes qw(time);

my $rate = 300;    # transactions a second; each event goes to three endpoints
my $unrecorded_s = 1;
my $repeated_a_kill = 0.2 * $rate;    # on average, at one endpoint

# Asynchronous commits reach the operating system within three of these.
our $conf = "wal_writer_delay = 10ms\n";

my $load = q{
	\set end random(1, 10)
	BEGIN;
	INSERT INTO app SELECT bm_webhook.emit('test.load', '{"text": "under load"}');
	\if :end = 1
	ROLLBACK;
	\else
	COMMIT;
	\endif
};

# Calls $kill->(process id of the dispatcher), and $revive->() if the server does
# not come back by itself, so many times, and tests what the head of this file says.
sub survives
{
	my ($bmw, $times, $kill, $revive) = @_;
	my $receiver = $bmw->receiver;
	my @names = qw(fast flaky slow);
	my @kills;

	$bmw->sql('CREATE TABLE app (event uuid)');
	$bmw->endpoint('/ok/fast');
	$bmw->endpoint('/fail/1/flaky', retry_delays => '{' . join(',', ('50ms') x 50) . '}');
	$bmw->endpoint('/slow/40/slow');

	for my $i (1 .. $times)
	{
		my $pid = $bmw->dispatcher;
		my $before = $receiver->count('fast', 'delivered');
		my $pgbench = $bmw->pgbench($load, '-c', 4, '-R', $rate, '-T', 100);

		# each time at another moment
		$bmw->wait_for_requests('fast', $before + 60 + 11 * $i, 'delivered');
		push @kills, { from => time };
		$kill->($pid);
		$pgbench->finish;    # it loses its connections
		$receiver->catch_up;
		$kills[-1]{to} = time;
		$revive->() if $revive;
		$bmw->wait_until_up;
	}
	# The more kills, the more waits for the slow ones: that may take long, if only there is less and less.
	for (my ($left, $before) = (1, '+inf'); $left; $before = $left)
	{
		wait_until('more is recorded as delivered', sub {
			$left = $bmw->sql(q{SELECT count(*) FROM bm_webhook.event e CROSS JOIN bm_webhook.endpoint p
				LEFT JOIN bm_webhook.delivery d ON d.event_id = e.id AND d.endpoint_id = p.id
				WHERE d.status IS DISTINCT FROM 'delivered'});
			return $left < $before;
		});
	}
	$bmw->settle;

	is($bmw->sql('SELECT count(*) FROM (SELECT id FROM bm_webhook.event WHERE type = \'test.load\' '
		  . 'EXCEPT SELECT event FROM app) e'), 0, 'no event without its transaction');
	is($bmw->sql('SELECT count(*) FROM (SELECT event FROM app EXCEPT SELECT id FROM bm_webhook.event) e'),
		0, 'no transaction without its event');
	cmp_ok($bmw->sql('SELECT count(*) FROM app'), '>', 60 * $times, 'there was a load');

	for my $name (@names)
	{
		my $comparison = $bmw->compare($name, 'SELECT event FROM app');
		my $repeated = @{ $comparison->{repeated} };

		note("$name: $repeated sent twice in $times kills");
		is_deeply($comparison->{missing}, [], "$name: nothing is lost");
		is_deeply($comparison->{foreign}, [], "$name: nothing else arrives");
		is_deeply([ _unexplained(\@kills, $receiver->arrivals($name)) ], [],
			"$name: no duplicate but of what was answered shortly before a kill");
		cmp_ok($repeated, '<=', $repeated_a_kill * $times, "$name: and few of those");
	}
	return;
}

# Requests that were answered with success although the same event had been,
# shortly before a kill that came in between, on a connection from before that
# kill.
sub _unexplained
{
	my ($kills, @arrivals) = @_;
	my (%earlier, @unexplained);

	for my $arrival (sort { $a->{at_us} <=> $b->{at_us} } grep { $_->{status} =~ /^2/ } @arrivals)
	{
		my $before = $earlier{ $arrival->{id} };
		my ($at, $at_before, $opened) = map { $_ / 1e6 } $arrival->{at_us}, $before ? @$before{qw(at_us opened_us)} : (0, 0);

		push @unexplained, sprintf('%s at %.3f (connection of %.3f) and %.3f; kills: %s', $arrival->{id}, $at_before, $opened, $at,
			join(' ', map { sprintf '%.3f-%.3f', @$_{qw(from to)} } @$kills))
		  if $before
		  && !grep { $opened < $_->{to} && $_->{from} < $at && $_->{from} - $at_before < $unrecorded_s } @$kills;
		$earlier{ $arrival->{id} } = $arrival;
	}
	return @unexplained;
}

1;

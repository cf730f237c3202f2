# The number of shards is raised and lowered under load, by ALTER SYSTEM and a reload: every
# event arrives, and once, and the order of a message holds. A crash in the middle of a change
# loses nothing and keeps the order.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $MESSAGES = 40;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my @plain = map { "p$_" } 1 .. 6;
my @ordered = map { "o$_" } 1 .. 4;
my $events = q{SELECT id FROM bm_webhook.event WHERE type = 'message.changed'};

$bmw->endpoint("/slow/20/$_", event_types => '{message.*}') for @plain;
$bmw->endpoint("/fail/1/$_", event_types => '{message.*}', ordering => 'by_message', retry_delays => '{200ms,200ms,200ms}')
	for @ordered;
$bmw->sql(q{CREATE TABLE message (id int PRIMARY KEY, status int NOT NULL);
SELECT bm_webhook.watch('message', 'message.changed', message_id => 'm{id}', columns => '{id,status}')});
$bmw->sql("INSERT INTO message SELECT id, 1 FROM generate_series(1, $MESSAGES) id");

# Row locks order the events of a message.
my $script = "\\set id random(1, $MESSAGES)\nUPDATE message SET status = status + 1 WHERE id = :id;\n";

sub load { return $bmw->pgbench($script, '-c', 2, '-R', 60, '-T', 600) }

sub dispatchers
{
	return [ split /\n/, $bmw->sql(q{SELECT shard FROM bm_webhook.status()
		WHERE database = 'postgres' AND state = 'running' AND pid IS NOT NULL ORDER BY shard}) ];
}

# Until so many dispatchers serve, and each endpoint has got something more.
sub reshard
{
	my ($shards) = @_;
	my $is_running = sub { return "@{ dispatchers() }" eq join ' ', 0 .. $shards - 1 };
	my %before;

	$bmw->set('bm_webhook.shards', $shards);
	wait_until("$shards run", $is_running);
	$before{$_} = $receiver->count($_, 'delivered') for @plain, @ordered;
	$bmw->wait_for_requests($_, $before{$_} + 5, 'delivered') for @plain, @ordered;
	ok($is_running->(), "$shards shards");
	is($bmw->sql('SELECT count(*), min(shards), max(shards) FROM bm_webhook.cursor'), "$shards|$shards|$shards", 'and as many cursors');
	return;
}

sub all_arrive
{
	$bmw->wait_for_sql('everything is delivered',
		"SELECT count(*) = 10 * (SELECT count(*) FROM ($events) e) FROM bm_webhook.delivery WHERE status = 'delivered' AND event_id IN ($events)");
	$bmw->settle;
	return;
}

# How many arrived for the first time before an earlier one of their message was answered.
sub early
{
	my ($name) = @_;
	my (%before, %earlier, %done, %seen);
	my $early = 0;

	for (split /\n/, $bmw->sql("SELECT id, message_id FROM bm_webhook.event WHERE id IN ($events) ORDER BY id"))
	{
		my ($id, $message) = split /\|/;
		$earlier{$id} = $before{$message};
		$before{$message} = $id;
	}
	for my $arrival (sort { $a->{at_us} <=> $b->{at_us} } $receiver->arrivals($name))
	{
		my $earlier = $earlier{ $arrival->{id} };
		$early++ if !$seen{ $arrival->{id} }++ && defined $earlier && !$done{$earlier};
		$done{ $arrival->{id} } = 1 if $arrival->{status} == 204;
	}
	return $early;
}

my $load = load();
reshard($_) for 4, 2, 3, 1;
$load->signal('INT');
$load->finish;
all_arrive();
$bmw->arrived_exactly_once($_, $events, "$_ gets everything once") for @plain, @ordered;
is(early($_), 0, "$_: in order") for @ordered;

# an endpoint that is made while the dispatchers change gets what follows it
$bmw->set('bm_webhook.shards', 5);
my $id = $bmw->endpoint('/ok/new', event_types => '{test.new}');
my $event = $bmw->emit('test.new');
$bmw->wait_for_delivery($event);

# dispatchers that begin wait for each other, also where that takes a while, and none of them fails
my $session = $bmw->session;
$session->query_safe('BEGIN; LOCK TABLE bm_webhook.cursor IN EXCLUSIVE MODE');
$bmw->set('bm_webhook.shards', 3);
$bmw->wait_for_sql('one waits for longer than a statement may', q{SELECT bool_or(clock_timestamp() > waitstart + interval '300 ms') FROM pg_locks
	WHERE relation = 'bm_webhook.cursor'::regclass AND NOT granted});
$session->query_safe('COMMIT');
$session->quit;
wait_until('three run', sub { "@{ dispatchers() }" eq '0 1 2' });
is($bmw->lines_logged(qr/could not read bm_webhook's tables/), 0, 'none failed');

# a crash in the middle: one dispatcher waits for a receiver that hangs, the others have gone
$bmw->endpoint('/hang/hanging', event_types => '{test.hang}', timeout => '60 s');
$bmw->emit('test.hang');
$load = load();
for my $shards (2, 4)
{
	$bmw->wait_for_requests('hanging', $shards == 2 ? 1 : 2);
	my @pids = split /\n/, $bmw->sql(q{SELECT pid FROM bm_webhook.status() WHERE database = 'postgres'});
	$bmw->set('bm_webhook.shards', $shards);
	wait_until('one is left', sub { (@pids = grep { kill 0, $_ } @pids) == 1 });
	ok($bmw->kill_and_recover(@pids), 'killed in the middle of a change');
	eval { $load->finish };
	$load = load();
	wait_until("$shards run after a crash", sub { "@{ dispatchers() }" eq join ' ', 0 .. $shards - 1 });
}
$load->signal('INT');
$load->finish;
$receiver->behave('hanging', 'ok');
$receiver->release('hanging');
all_arrive();
for my $name (@plain, @ordered)
{
	my $comparison = $bmw->compare($name, $events);
	is_deeply([ map { scalar @{ $comparison->{$_} } } qw(missing foreign) ], [ 0, 0 ], "$name: nothing is lost in crashes");
}
is(early($_), 0, "$_: in order also then") for @ordered;

$bmw->finish(expected => qr/crash|was terminated by signal|exited/);

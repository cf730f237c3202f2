# An application with max_in_flight has no more requests in flight to all its endpoints together, whichever dispatcher
# serves them, and each dispatcher has its part; those of others are not held up; endpoints say why they wait; a
# dispatcher that dies leaves no places taken, and a change takes effect at once.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new(conf => "bm_webhook.shards = 2\n");
my $receiver = $bmw->receiver;

$bmw->sql(q{INSERT INTO bm_webhook.application (name, max_in_flight) VALUES ('shop', 5), ('bank', NULL)});
my @names = map { "e$_" } 1 .. 8;
my %id = map { $_ => $bmw->endpoint("/hang/$_", application => 'shop', timeout => '1 min') } @names;
$bmw->endpoint('/ok/bank', application => 'bank');
wait_until('two dispatchers run', sub {
	$bmw->sql(q{SELECT count(*) = 2 FROM bm_webhook.status() WHERE database = 'postgres' AND state = 'running'}) eq 't';
});

sub emit
{
	my ($n, $application) = @_;
	$bmw->sql("SELECT count(bm_webhook.emit('test.event', '{}', application => '$application')) FROM generate_series(1, $n)");
	return;
}

sub in_flight
{
	return $bmw->sql(q{SELECT sum(in_flight) FROM bm_webhook.status() WHERE database = 'postgres'});
}

sub wait_for_in_flight
{
	my ($count, $what) = @_;
	wait_until($what, sub { in_flight() == $count });
	return;
}

emit(20, 'shop');
wait_for_in_flight(5, 'five are in flight');
emit(50, 'bank');
$bmw->wait_for_sql('another application goes on', q{SELECT count(*) = 50 FROM bm_webhook.delivery JOIN bm_webhook.event ON id = event_id
	WHERE application = 'bank' AND status = 'delivered'});
is(in_flight(), 5, 'still five');
sub came { my $sum = 0; $sum += $receiver->count($_, 'requests') for @names; return $sum }
wait_until('what is in flight has come', sub { came() >= 5 });
is(came(), 5, 'five requests have come');
$bmw->wait_for_sql('endpoints say why they wait', q{SELECT count(*) > 0 FROM bm_webhook.endpoint_pace
	WHERE reason = 'its application has as many requests in flight as it may'});
$bmw->wait_for_sql('and how they are', q{SELECT count(*) > 0 FROM bm_webhook.endpoint_health
	WHERE state = 'slowed' AND reason = 'its application has as many requests in flight as it may'});

$bmw->sql(q{UPDATE bm_webhook.application SET max_in_flight = 8 WHERE name = 'shop'});
wait_for_in_flight(8, 'more are allowed');

my @pids = split /\n/, $bmw->sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'bm_webhook dispatcher'});
is(scalar @pids, 2, 'two dispatchers');
$bmw->sql("SELECT pg_terminate_backend($_)") for @pids;
wait_until('both have ended', sub {
	$bmw->sql('SELECT count(*) FROM pg_stat_activity WHERE pid IN (' . join(',', @pids) . ')') == 0;
});
wait_for_in_flight(8, 'as many again when they are back');

for my $name (@names)
{
	$receiver->behave($name, 'ok');
	$receiver->release($name);
}
$bmw->wait_for_sql('everything arrives', q{SELECT count(*) = 160 FROM bm_webhook.delivery JOIN bm_webhook.event ON id = event_id
	WHERE application = 'shop' AND status = 'delivered'});
wait_for_in_flight(0, 'nothing is in flight');
$bmw->finish;

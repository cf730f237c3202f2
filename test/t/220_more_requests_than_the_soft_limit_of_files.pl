# A server that was started with a soft limit of 1024 open files has hundreds of requests in
# flight: the dispatcher raises its own limit, and nobody else's. Where the hard limit
# forbids that, it does with what PostgreSQL lends, and says so. Descriptors do not leak.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $hard_limit = `sh -c 'ulimit -Hn'`;
plan skip_all => 'the hard limit of open files is too low here' if $hard_limit =~ /^\d+$/ && $hard_limit < 16_384;

my $ENDPOINTS = 200;

my $bmw = BmWebhook->new(files => [ 1024, 16_384 ]);
my $receiver = $bmw->receiver;
my @names = map { "e$_" } 1 .. $ENDPOINTS;

$bmw->sql("INSERT INTO bm_webhook.endpoint (url, event_types, timeout, max_in_flight)
	SELECT '" . $receiver->url('/hang/e') . "' || n, '{test.load}', '60 s', 10 FROM generate_series(1, $ENDPOINTS) n");

# Soft limit of open files of a process.
sub soft_limit
{
	my ($pid) = @_;
	my ($limit) = PostgreSQL::Test::Utils::slurp_file("/proc/$pid/limits") =~ /^Max open files\s+(\d+)/m;
	return $limit;
}

sub descriptors
{
	my ($pid) = @_;
	my @descriptors = glob("/proc/$pid/fd/*");
	return scalar @descriptors;
}

sub in_flight { return $bmw->status('in_flight') }

sub delivered
{
	return $bmw->sql(q{SELECT count(*) FROM bm_webhook.delivery WHERE status = 'delivered'});
}

# All endpoints get so many events while none answers; then all do. Returns what was in flight.
sub round_of
{
	my ($events, $at_least) = @_;
	my $before = delivered();
	my $most;

	$receiver->behave($_, undef) for @names;
	$bmw->emit_many($events, 'test.load');
	wait_until("$at_least requests are in flight", sub { in_flight() >= $at_least });
	wait_until('no more come', sub {
		$most = in_flight();
		Time::HiRes::usleep(300_000);
		return $most == in_flight();
	});
	$receiver->behave($_, 'ok') for @names;
	wait_until('all have been delivered', sub {
		$receiver->release($_) for @names;
		return delivered() == $before + $events * $ENDPOINTS;
	});
	return $most;
}

my $dispatcher = $bmw->dispatcher;
my $most = round_of(4, 600);
my $descriptors = descriptors($dispatcher);
note("$most requests were in flight, $descriptors descriptors are open");

is($bmw->status('reason'), '', 'nothing is amiss');
cmp_ok(soft_limit($dispatcher), '>', 1024, "the dispatcher's own limit is raised");
is(soft_limit($bmw->sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'})), 1024, "the server's is not");
cmp_ok(soft_limit($bmw->sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'bm_webhook launcher'})), '==', 1024, "nor the launcher's");

round_of(4, 600) for 1 .. 2;
cmp_ok(descriptors($dispatcher), '<=', $descriptors + 20, 'descriptors do not leak');
is($bmw->dispatcher, $dispatcher, 'it is the same process');

# only the descriptors that PostgreSQL has for everybody
$bmw->node->stop;
$bmw->{files} = [ 1024, 1024 ];
$bmw->start;
$dispatcher = $bmw->dispatcher;
is(soft_limit($dispatcher), 1024, 'a limit that cannot be raised stays');
like($bmw->status('reason'), qr/max_in_flight is cut to 1\d\d\b/, 'status() says what that means');
like(PostgreSQL::Test::Utils::slurp_file($bmw->node->logfile), qr/max_in_flight is 2000, but there are file descriptors for 1\d\d\b/,
	'and so does the log');
$most = round_of(2, 50);
note("$most requests were in flight");
cmp_ok($most, '<=', 330, 'no more are in flight than descriptors are lent');
cmp_ok(descriptors($dispatcher), '<', 1000, 'nor are they taken');
$bmw->set('bm_webhook.max_in_flight', 100);
wait_until('with fewer nothing is amiss', sub { $bmw->status('reason') eq '' });
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.failed_attempt}), 0, 'nothing has failed');

$bmw->finish;

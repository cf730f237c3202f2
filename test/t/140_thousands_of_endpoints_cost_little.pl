# With 20,000 endpoints every event still arrives soon after its commit, also
# while endpoints change all the time, and an event that is committed right after
# its endpoint finds it. The dispatcher began with few endpoints, so that what it
# planned then must be right for many. A statement that changes no row costs
# nothing.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use POSIX ();
use Test::More;
use Time::HiRes qw(time usleep);

my $bmw = BmWebhook->new;
my $many = 20_000;

# Seconds of processor time that the process has used.
sub cpu_of
{
	my ($pid) = @_;
	my @fields = split ' ', PostgreSQL::Test::Utils::slurp_file("/proc/$pid/stat") =~ s/.*\) //sr;
	return ($fields[11] + $fields[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

# From the commit (or just before) to the arrival, in ms, of so many events, one after the other.
sub latencies_of
{
	my ($type, $count) = @_;

	for (1 .. $count)
	{
		$bmw->emit("test.$type", application => 'bank');
		usleep(50_000);
	}
	wait_until("$type: all arrive", sub { $bmw->latencies('bank', "test.$type") == $count });
	my @latencies = $bmw->latencies('bank', "test.$type");
	note(sprintf '%s: median %.1f ms, maximum %.1f ms', $type, percentile(50, @latencies), percentile(100, @latencies));
	return @latencies;
}

$bmw->sql("INSERT INTO bm_webhook.application (name, max_endpoints) VALUES ('bank', NULL), ('shop', NULL)");
$bmw->endpoint('/ok/bank', application => 'bank');
my $pid = $bmw->dispatcher;
latencies_of('few', 5);

my $url = $bmw->receiver->url('/ok/shop');
my $began = time;
$bmw->sql("INSERT INTO bm_webhook.endpoint (url, application) SELECT '$url', 'shop' FROM generate_series(1, $many)");
note(sprintf '%d endpoints registered in %.1f s', $many, time - $began);
cmp_ok(percentile(100, latencies_of('many', 10)), '<', 10_000, "beside $many endpoints");

my $before = cpu_of($pid);
$bmw->sql("UPDATE bm_webhook.endpoint SET description = 'again' WHERE application = 'bank'");
latencies_of('once', 1);
note(sprintf 'one change costs the dispatcher %.2f s', cpu_of($pid) - $before);

# Every 20 ms or so somebody changes an endpoint.
my $changes = $bmw->pgbench(<<'SQL', '-c', 1, '-R', 50, '-T', 30);
\set n random(1, 20000)
UPDATE bm_webhook.endpoint SET description = :n::text WHERE id = (SELECT min(id) + :n FROM bm_webhook.endpoint);
SQL
($before, $began) = (cpu_of($pid), time);
cmp_ok(percentile(100, latencies_of('changing', 40)), '<', 10_000, 'while endpoints change all the time');

for my $n (1 .. 10)
{
	my $id = $bmw->endpoint("/ok/new$n", application => 'bank', event_types => '{test.new}');
	my $event = $bmw->emit('test.new', endpoint => undef, application => 'bank', data => qq({"n": $n}));
	$bmw->wait_for_requests("new$n", 1);
	is_deeply([ grep { $_->{id} eq $event } $bmw->receiver->arrivals("new$n") ]->[0]{id}, $event,
		"event $n arrives at the endpoint that was committed just before");
}
my $share = (cpu_of($pid) - $before) / (time - $began);
note(sprintf 'the dispatcher uses %.0f %% of a processor meanwhile', 100 * $share);
ok($changes->finish, 'the changes');
$bmw->settle;

# All of them get an event, and all of them go at once.
$bmw->emit('test.shop', application => 'shop');
cmp_ok(percentile(100, latencies_of('all', 20)), '<', 10_000, 'while an event goes to all of them');
$bmw->wait_for_requests('shop', $many);
$bmw->sql(q{DELETE FROM bm_webhook.endpoint WHERE application = 'shop'});
cmp_ok(percentile(100, latencies_of('deleted', 20)), '<', 10_000, 'while all of them are deleted');
$bmw->settle;

# What so many runs of a statement, and an event after them, cost the dispatcher,
# which has nothing else to do.
sub cost_of
{
	my ($runs, $statement) = @_;
	my $now;

	wait_until('the dispatcher has nothing to do', sub {
		my $earlier = cpu_of($pid);
		usleep(500_000);
		$now = cpu_of($pid);
		return $now - $earlier < 0.03;
	});
	my $running = $bmw->pgbench($statement, '-c', 1, '-t', $runs);
	ok($running->finish, "$runs times: $statement");
	$bmw->wait_for_delivery($bmw->emit('test.last', application => 'bank'));
	note(sprintf '%.2f s of the dispatcher', cpu_of($pid) - $now);
	return cpu_of($pid) - $now;
}

my $one = cost_of(500, q{UPDATE bm_webhook.endpoint SET description = random()::text WHERE application = 'bank';});
my $none = cost_of(500, q{UPDATE bm_webhook.endpoint SET description = 'x' WHERE id = -1;});
cmp_ok($none, '<', $one / 2, 'statements that change no row cost little of what changes cost');

$bmw->finish;

# What very many endpoints cost a dispatcher, in figures: memory at rest, a start, a
# change of one, an event while they change, a change of all, the views. Not part of
# make test: run it as one of test/t in a private server. BMW_BENCH_ENDPOINTS says how
# many there are (100000).

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use POSIX ();
use Test::More;
use Time::HiRes qw(time usleep);

my $many = $ENV{BMW_BENCH_ENDPOINTS} // 100_000;
my $applications = $many / 10;
my $bmw = BmWebhook->new(conf => "shared_buffers = 256MB\nmax_wal_size = 4GB\n");
my $pid = $bmw->dispatcher;

sub say_figure { my ($what, $format, @values) = @_; note(sprintf '%-66s %s', $what, sprintf $format, @values); return }

sub cpu_of
{
	my ($process) = @_;
	my @fields = split ' ', PostgreSQL::Test::Utils::slurp_file("/proc/$process/stat") =~ s/.*\) //sr;
	return ($fields[11] + $fields[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

sub memory_of
{
	my ($process) = @_;
	return PostgreSQL::Test::Utils::slurp_file("/proc/$process/status") =~ /RssAnon:\s+(\d+)/ ? $1 * 1024 : 0;
}

# From the commit to the arrival, of so many events one after the other.
sub latencies_of
{
	my ($type, $count) = @_;

	for (1 .. $count)
	{
		$bmw->emit("test.$type", application => 'a1');
		usleep(20_000);
	}
	wait_until("$type: all arrive", sub { $bmw->latencies('probe', "test.$type") == $count });
	my @latencies = $bmw->latencies('probe', "test.$type");
	say_figure("event -> arrival, $type: median, 99th percentile, longest", '%.1f ms, %.1f ms, %.1f ms',
		map { percentile($_, @latencies) } 50, 99, 100);
	return;
}

sub seconds_of
{
	my ($sql) = @_;
	my $began = time;
	$bmw->sql($sql);
	return time - $began;
}

$bmw->sql("INSERT INTO bm_webhook.application (name) SELECT 'a' || n FROM generate_series(1, $applications) n");
$bmw->endpoint('/ok/probe', application => 'a1', event_types => '{test.*}');
latencies_of('alone', 50);
my $empty = memory_of($pid);

my $url = $bmw->receiver->url('/ok/other');
say_figure("INSERT of $many endpoints", '%.1f s', seconds_of("INSERT INTO bm_webhook.endpoint (url, application, event_types)
	SELECT '$url/' || n, 'a' || 1 + n % $applications, '{message.*,order.paid}' FROM generate_series(1, $many) n"));
my $began = time;
wait_until('the last of them is known', sub {
	my $probe = $bmw->emit('order.paid', endpoint => $many);
	$bmw->settle;
	return $bmw->sql("SELECT count(*) FROM bm_webhook.delivery WHERE event_id = '$probe'") > 0;
});
$bmw->settle;
say_figure('and until they are known to the dispatcher', '%.1f s', time - $began);
say_figure('memory of an endpoint at rest, as they came', '%.0f bytes', (memory_of($pid) - $empty) / $many);
$bmw->sql('VACUUM ANALYZE bm_webhook.endpoint');

my $cpu = cpu_of($pid);
sleep 10;
say_figure('processor time of the dispatcher at rest', '%.1f ms a second', (cpu_of($pid) - $cpu) * 100);

$bmw->sql("SELECT pg_terminate_backend($pid)");
$began = time;
wait_until('a new one runs', sub { ($bmw->status('pid') || $pid) != $pid });
$pid = $bmw->dispatcher;
$bmw->settle;
say_figure('from its end until a new dispatcher has read all and delivers', '%.1f s, %.1f s of processor', time - $began, cpu_of($pid));
say_figure('memory of an endpoint at rest, after a start', '%.0f bytes', (memory_of($pid) - $empty) / $many);

$cpu = cpu_of($pid);
my $changes = $bmw->pgbench("\\set n random(1, $many)\nUPDATE bm_webhook.endpoint SET description = :n::text WHERE id = :n + 1;\n", '-c', 1, '-R', 50, '-t', 1000);
latencies_of('one_changes_every_20_ms', 300);
ok($changes->finish, 'the changes');
say_figure('processor time for a change of one, with 300 events, mean of 1000', '%.2f ms', (cpu_of($pid) - $cpu));
$cpu = cpu_of($pid);
$changes = $bmw->pgbench("\\set n random(1, $many)\nUPDATE bm_webhook.endpoint SET description = :n::text WHERE id = :n + 1;\n", '-c', 1, '-R', 50, '-t', 1000);
ok($changes->finish, 'the changes');
say_figure('processor time for a change of one, mean of 1000', '%.2f ms', (cpu_of($pid) - $cpu));

$cpu = cpu_of($pid);
my $all = $bmw->pgbench("UPDATE bm_webhook.endpoint SET description = 'all';", '-c', 1, '-t', 1);
latencies_of('all_are_changed', 300);
ok($all->finish, 'all are changed');
latencies_of('all_are_read', 300);
say_figure('processor time for a change of all', '%.1f s', cpu_of($pid) - $cpu);

my $event = $bmw->emit('message.sent', application => 'a7');
$bmw->wait_for_delivery($event);
say_figure('wait_for_delivery() of what was delivered', '%.0f ms', 1000 * seconds_of("SELECT bm_webhook.wait_for_delivery('$event', '1 s')"));
say_figure('backlog, all endpoints', '%.0f ms', 1000 * seconds_of('SELECT count(*), sum(pending), sum(not_taken) FROM bm_webhook.backlog'));
say_figure('backlog of an application', '%.0f ms', 1000 * seconds_of("SELECT * FROM bm_webhook.backlog WHERE application = 'a7'"));
$bmw->set('bm_webhook.enabled', 'off');
$bmw->sql("SELECT bm_webhook.emit('message.sent', '{}', application => 'a' || n) FROM generate_series(1, 1000) n");
say_figure('backlog, 1,000 events not taken', '%.0f ms', 1000 * seconds_of('SELECT count(*), sum(pending), sum(not_taken) FROM bm_webhook.backlog'));
$bmw->set('bm_webhook.enabled', 'on');
$bmw->sql("CREATE ROLE tenant; GRANT USAGE ON SCHEMA bm_webhook TO tenant; GRANT SELECT ON bm_webhook.endpoint, bm_webhook.application TO tenant;
	UPDATE bm_webhook.application SET owner = 'tenant' WHERE name = 'a9'");
say_figure('an owner reads all his endpoints', '%.0f ms', 1000 * seconds_of('SET ROLE tenant; SELECT count(*) FROM bm_webhook.endpoint'));
say_figure('an owner reads those of his application', '%.0f ms', 1000 * seconds_of("SET ROLE tenant; SELECT count(*) FROM bm_webhook.endpoint WHERE application = 'a9'"));

$bmw->finish(expected => qr/exit code|terminating background worker/);

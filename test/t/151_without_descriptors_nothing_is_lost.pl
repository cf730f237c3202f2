# When a process has no file descriptor left, sockets, the look-up of names and the certificates of authorities fail. For no
# delivery that is an attempt, no receiver is blamed, the log says it once, and when there are descriptors everything is sent.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use File::Spec;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'there is no prlimit' unless run_log([ 'prlimit', '--version' ]);

my $dir = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir('tls'));
system_or_bail('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=receiver', '-addext', 'subjectAltName=IP:127.0.0.1',
	'-keyout', "$dir/key", '-out', "$dir/crt");
my $has_hosts = BmWebhook::can_set_hosts();
my $bmw = BmWebhook->new(receiver => { tls_key => "$dir/key", tls_cert => "$dir/crt" }, conf => "bm_webhook.ca_file = '$dir/crt'\n",
	hosts => $has_hosts ? "127.0.0.1 localhost good.example.com\n" : undef);
my $receiver = $bmw->receiver;
my $pid = $bmw->dispatcher;
my $lack = 'dispatcher 0 of bm_webhook cannot connect: no descriptor or memory for a connection';

# From the next number on that is free, the process may open so many.
sub leave
{
	my ($room) = @_;
	my %open = map { m{(\d+)$} ? ($1 => 1) : () } glob "/proc/$pid/fd/*";
	my $limit = 0;

	while ($open{$limit} || $room-- > 0) { $limit++ }
	system_or_bail('prlimit', '--pid', $pid, "--nofile=$limit:");
	return;
}
my ($limit) = slurp_file("/proc/$pid/limits") =~ /^Max open files\s+(\d+)/m;

# A single attempt each: one that was used up would be the last. What PostgreSQL has open itself, it lets go if it must.
my $events = 0;
for my $room (0, 1, 2, 4)
{
	my %url = (
		"literal$room" => $receiver->url("/ok/literal$room"),
		"tls$room" => $receiver->tls_url("/ok/tls$room"),
		$has_hosts ? ("name$room" => 'http://good.example.com:' . $receiver->port . "/ok/name$room") : ());
	$bmw->endpoint($url{$_}, event_types => "{test.room$room}", retry_delays => '{}', max_in_flight => 10) for sort keys %url;
	$events += 20 * keys %url;

	my $since = $bmw->sql("SELECT clock_timestamp() + interval '2 s'");    # it has tried more than once
	leave($room);
	$bmw->emit_many(20, "test.room$room");
	$bmw->wait_for_sql("with $room descriptors status() says what is lacking, or nothing is",
		"SELECT last_error LIKE 'no descriptor or memory%' AND last_error_at > '$since' FROM bm_webhook.status() WHERE database = 'postgres'
		UNION ALL SELECT count(*) = $events AND $room > 0 FROM bm_webhook.delivery ORDER BY 1 DESC LIMIT 1");
	is($bmw->lines_logged($lack), 1, 'the log says so once') if $room == 0;
	system_or_bail('prlimit', '--pid', $pid, "--nofile=$limit:");
	$bmw->wait_for_requests($_, 20, 'delivered') for sort keys %url;
	$bmw->wait_for_sql('everything is recorded', "SELECT count(*) = $events FROM bm_webhook.delivery WHERE status = 'delivered' AND attempts = 1");
	is($receiver->count($_, 'requests'), 20, "$_: each once") for sort keys %url;
	is($bmw->dispatcher, $pid, 'it is the same process');

	# the next one has no connection yet
	$bmw->sql("SELECT pg_terminate_backend($pid)");
	my $before = $pid;
	wait_until('a new one runs', sub { ($pid = $bmw->dispatcher) != $before });
}
is($bmw->sql('SELECT count(*) FROM bm_webhook.failed_attempt'), 0, 'none of that was an attempt');
$bmw->finish;

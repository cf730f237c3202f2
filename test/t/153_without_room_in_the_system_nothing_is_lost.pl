# When the system has no room for another file, socket or watch, of whomever, no delivery is attempted, no receiver and no name
# server is blamed, the log says it once, and when there is room everything is sent. (Test 151: of the process.)
# A library of this test refuses it to the dispatcher.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Errno qw(ENFILE ENOBUFS ENOSPC);
use File::Spec::Functions qw(rel2abs);
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = rel2abs(PostgreSQL::Test::Utils::tempdir('refuse'));
my $refused = "$dir/refused";
plan skip_all => 'there is no compiler' unless run_log([ 'cc', '-shared', '-fPIC', '-o', "$dir/refuse.so", rel2abs('test/crash/refuse.c'), '-ldl' ]);

system_or_bail('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=receiver', '-addext', 'subjectAltName=IP:127.0.0.1',
	'-keyout', "$dir/key", '-out', "$dir/crt");
my $bmw;
{
	local %ENV = (%ENV, BMW_TEST_REFUSED => $refused, LD_PRELOAD => join ' ', grep { length } $ENV{LD_PRELOAD} // '', "$dir/refuse.so");
	$bmw = BmWebhook->new(receiver => { tls_key => "$dir/key", tls_cert => "$dir/crt" }, conf => "bm_webhook.ca_file = '$dir/crt'\n");
}
my $receiver = $bmw->receiver;
my $lack = 'dispatcher 0 of bm_webhook cannot connect: no descriptor or memory for a connection';

# What is refused, and to which kinds of endpoints that is an obstacle.
my %lacks = (
	files => [ { socket => ENFILE, local => ENFILE, fopen => ENFILE, getaddrinfo => ENFILE }, qw(literal name tls) ],
	files_from_then_on => [ { local => ENFILE, fopen => ENFILE, getaddrinfo => ENFILE }, qw(name tls) ],    # the socket was the last
	buffers => [ { socket => ENOBUFS }, qw(literal name tls) ],
	watches => [ { watch => ENOSPC }, qw(literal name tls) ]);

# A single attempt each: one that was used up would be the last.
my $events = 0;
for my $lack (sort keys %lacks)
{
	my ($functions, @obstructed) = @{ $lacks{$lack} };
	my $pid = $bmw->dispatcher;
	my %url = (
		literal => $receiver->url("/ok/${lack}_literal"),
		name => 'http://good.example.com:' . $receiver->port . "/ok/${lack}_name",
		tls => $receiver->tls_url("/ok/${lack}_tls"));
	my %id = map { $_ => $bmw->endpoint($url{$_}, event_types => "{test.$lack}", retry_delays => '{}') } sort keys %url;
	my $since = $bmw->sql("SELECT clock_timestamp() + interval '2 s'");    # it has tried more than once

	append_to_file($refused, "$pid $_ $functions->{$_}\n") for sort keys %$functions;
	$bmw->emit_many(20, "test.$lack");
	$bmw->wait_for_sql("$lack: status() says what is lacking",
		"SELECT last_error LIKE 'no descriptor or memory%' AND last_error_at > '$since' FROM bm_webhook.status() WHERE database = 'postgres'");
	is($receiver->count("${lack}_$_", 'requests'), 0, "$lack: nothing got to $_") for @obstructed;
	unlink $refused;
	$bmw->wait_for_requests("${lack}_$_", 20, 'delivered') for sort keys %url;
	$events += 60;
	$bmw->wait_for_sql('everything is recorded', "SELECT count(*) = $events FROM bm_webhook.delivery WHERE status = 'delivered' AND attempts = 1");
	is($receiver->count("${lack}_$_", 'requests'), 20, "$lack: each once to $_") for sort keys %url;
	is($bmw->dispatcher, $pid, 'it is the same process');

	# the next one has no connection yet
	$bmw->sql("SELECT pg_terminate_backend($pid)");
	wait_until('a new one runs', sub { $bmw->dispatcher != $pid });
}
is($bmw->lines_logged($lack), keys %lacks, 'the log says each once');
is($bmw->sql('SELECT count(*) FROM bm_webhook.failed_attempt'), 0, 'none of that was an attempt');
$bmw->finish;

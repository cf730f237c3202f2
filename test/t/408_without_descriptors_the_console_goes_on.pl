# When the console has no file descriptor left, who has signed in goes on, who signs in is told to try again, and a browser
# waits until another one has closed its connection; its log says what is lacking. With more, all is as before. So it is when
# the system has no room to watch another socket: a library of this test refuses it.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use BmWebhook::Console;
use Errno qw(ENOSPC);
use File::Spec::Functions qw(rel2abs);
use IO::Select;
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'bm_webhook_console is not built: it needs libmicrohttpd' unless BmWebhook::Console::is_built();
plan skip_all => 'there is no prlimit' unless run_log([ 'prlimit', '--version' ]);

my $bmw = BmWebhook->new(conf => $BmWebhook::Console::conf);
$bmw->sql(q{CREATE ROLE olga LOGIN PASSWORD 'olga'; SELECT bm_webhook.grant_operator('olga')});
$bmw->sql(join ';', map { "CREATE ROLE user$_ LOGIN PASSWORD 'x'" } 1 .. 20);
BmWebhook::Console::ask_for_passwords($bmw);
my $console = BmWebhook::Console->new($bmw);
my $session = $console->session('olga', 'olga');
sub limit { return system_or_bail('prlimit', '--pid', $console->pid, "--nofile=$_[0]:") }

# A browser that asks, and keeps its connection.
sub browse
{
	my $browser = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $console->port) or die "connect: $!";
	$browser->syswrite("GET /api/session HTTP/1.1\r\nHost: 127.0.0.1:" . $console->port . "\r\n\r\n");
	return $browser;
}
sub is_answered { return IO::Select->new($_[0])->can_read($_[1]) }

my ($allowed, $most) = slurp_file('/proc/' . $console->pid . '/limits') =~ /^Max open files +(\d+) +(\d+)/m;
is($allowed, $most, 'it may have as many as it can');

# Each session has a connection to the server: the one for which there is no more is refused.
limit(20);
my ($user, $status, $said) = (0, 200);
($status, $said) = $console->sign_in('user' . ++$user, 'x') while $status == 200;
is("$status $said->{message}", '503 the database does not answer', 'a session for which there is no descriptor is refused');
like($console->log, qr/no connection to the database: .*Too many open files/, 'the log says why');
is(($session->get('overview'))[0], 200, 'who has signed in goes on');

my @browsers;
do { push @browsers, browse() } while is_answered($browsers[-1], 3);
cmp_ok(scalar @browsers, '>', 1, 'so do browsers for which there is one');
my $waiting = pop @browsers;
close $_ for splice @browsers;
ok(is_answered($waiting, 60), 'another is answered when they have closed their connections');
close $waiting;

limit($allowed);
is(($console->sign_in('olga', 'olga'))[0], 200, 'with more, users sign in again');
is($console->stop, 0, 'it ends as ever');

SKIP: {
	my $dir = rel2abs(PostgreSQL::Test::Utils::tempdir('refuse'));
	my $refused = "$dir/refused";
	skip 'there is no compiler', 5 unless run_log([ 'cc', '-shared', '-fPIC', '-o', "$dir/refuse.so", rel2abs('test/crash/refuse.c'), '-ldl' ]);
	{
		# Where the console is built with a sanitizer, its library would be the first.
		local %ENV = (%ENV, BMW_TEST_REFUSED => $refused, ASAN_OPTIONS => join(':', $ENV{ASAN_OPTIONS} // (), 'verify_asan_link_order=0'), LD_PRELOAD => join ' ', grep { length } $ENV{LD_PRELOAD} // '', "$dir/refuse.so");
		$console = BmWebhook::Console->new($bmw);
	}
	$session = $console->session('olga', 'olga');
	my $browser = browse();
	$browser->sysread(my $answer, 4096);
	append_to_file($refused, join ' ', $console->pid, 'watch', ENOSPC);
	my $login = '{"user": "olga", "password": "olga"}';
	$browser->syswrite(join "\r\n", 'POST /api/login HTTP/1.1', 'Host: 127.0.0.1:' . $console->port, 'Content-Type: application/json', 'Content-Length: ' . length $login, '', $login);
	$browser->sysread($answer = '', 4096);
	like($answer, qr/^HTTP.* 503 .*no room to watch/s, 'a session that cannot be watched is refused');
	like($console->log, qr/a connection cannot be watched: /, 'the log says why');
	unlink $refused;
	is(($session->get('overview'))[0], 200, 'who has signed in goes on');
	is(($console->sign_in('olga', 'olga'))[0], 200, 'and others sign in when there is room');
	is($console->stop, 0, 'it ends as ever');
}
$bmw->finish;

# The console's HTTP server: signing in is PostgreSQL's, and no page of another site, no wrong host,
# no flood of nonsense and no lost server gets more than a clear answer.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use BmWebhook::Console;
use IO::Select;
use IO::Socket::INET;
use IPC::Run ();
use Test::More;

plan skip_all => 'bm_webhook_console is not built: it needs libmicrohttpd' unless BmWebhook::Console::is_built();

my $bmw = BmWebhook->new(conf => $BmWebhook::Console::conf);
my $node = $bmw->node;
$bmw->sql(q{
	CREATE ROLE olga LOGIN PASSWORD 'o"lg\ä';
	CREATE ROLE olaf LOGIN PASSWORD 'olaf';
	CREATE ROLE anna LOGIN PASSWORD 'anna';
	CREATE ROLE boss LOGIN SUPERUSER PASSWORD 'boss';
	CREATE ROLE open LOGIN;
	INSERT INTO bm_webhook.application (name) VALUES ('shop');
	SELECT bm_webhook.grant_operator('olga'), bm_webhook.grant_operator('olaf'), bm_webhook.grant_owner('shop', 'anna')});
BmWebhook::Console::ask_for_passwords($bmw, "host all open 127.0.0.1/32 trust\n");

my $console = BmWebhook::Console->new($bmw, '--max-sessions', 6);
my $port = $console->port;
sub ask { return $console->ask(@_) }
sub sign_in { return $console->sign_in(@_) }

sub run_and_fail
{
	my @options = @_;
	my $h = IPC::Run::start([ BmWebhook::Console::command($bmw, @options) ], '<', \undef, '>', \my $out, '2>', \my $error);
	$h->finish;
	return ($h->result(0), $error);
}

###############################################################################
# Starting
###############################################################################

my ($code, $error) = run_and_fail('--listen', '0.0.0.0');
is($code, 2, 'another address is refused without TLS');
like($error, qr/passwords would cross the network in the clear/, 'and why');
($code, $error) = run_and_fail('--dbhost', $node->host);
like($error, qr/lets "postgres" in with a wrong password/, 'a server that trusts everybody is refused');

###############################################################################
# Signing in
###############################################################################

my ($status, $json, $cookie, $headers) = sign_in('olga', 'o\"lg\\\\\u00e4');
is($status, 200, 'signed in with the password of PostgreSQL, escapes and all');
my $csrf = $json->{csrf};
like($csrf, qr/^[0-9a-f]{64}$/, 'the answer has a token');
like($headers->{'set-cookie'}, qr/^s=[0-9a-f]{64}; Path=\/; HttpOnly; SameSite=Strict$/, 'the cookie');
like($headers->{'content-security-policy'}, qr/default-src 'none'.*frame-ancestors 'none'.*require-trusted-types-for/,
	'the policy of contents');
is($headers->{$_->[0]}, $_->[1], $_->[0])
  for [ 'cache-control', 'no-store' ], [ 'x-content-type-options', 'nosniff' ], [ 'referrer-policy', 'no-referrer' ];

is_deeply([ (sign_in('boss', 'boss'))[0] ], [403], 'a superuser is refused');
($status, $json) = sign_in('open', 'whatever');
is($status, 403, 'a user whom the server trusts is refused');
like($json->{message}, qr/did not ask for the password/, 'and why');

my @wrong = map { [ @{$_}[ 0, 1 ] ] } map { [ sign_in(@$_) ] } [ 'olga', 'x' ], [ 'nobody', 'x' ],
  [ 'olga dbname=x host=evil', 'x' ], [ 'x' x 5000, 'x' ], [ 'olga', '' ];
is($_->[0], 401, 'a wrong user or password') for @wrong;
is_deeply($_->[1], $wrong[0][1], 'with the same words') for @wrong;
is((ask('POST', '/api/login', '{"user": "olga"'))[0], 401, 'a broken body signs nobody in');
ask('POST', '/api/login', q({"user": "x\nbm_webhook_console: forged", "password": "p"}));

my @statuses = map { (sign_in('anna', "wrong$_"))[0] } 1 .. 6;
is_deeply(\@statuses, [ (401) x 5, 429 ], 'the sixth try within a minute is not tried');
is((sign_in('anna', 'anna'))[0], 429, 'not even the right one');

# Behind a proxy, which says from where a request comes.
my $proxied = BmWebhook::Console->new($bmw, '--behind-proxy', '--public-name', '127.0.0.1:PORT');
for my $addresses ([ 'an address', sub { '192.0.2.1' }, '192.0.2.2' ],
	[ 'a network of IPv6', sub { sprintf '2001:db8::%x', $_[0] }, '2001:db8:0:1::1' ],
	[ 'an address after what the client says', sub { "203.0.113.$_[0], 192.0.2.3" }, '192.0.2.4' ],
	[ 'an address in another header than the client\'s', sub { [ "203.0.113.$_[0]", '192.0.2.5' ] }, '192.0.2.6' ])
{
	my ($what, $address_of, $other) = @$addresses;
	my $try = sub { my ($user, $password, $from) = @_; ($proxied->sign_in($user, $password, 'x-forwarded-for' => $from))[0] };
	my %count;
	$count{ $try->("name$_", 'x', $address_of->($_)) }++ for 1 .. 31;
	is_deeply(\%count, { 401 => 30, 429 => 1 }, "$what has so many tries in all, whatever the names");
	is($try->('olaf', 'olaf', $address_of->(99)), 429, 'and no right one either');
	is($try->('olaf', 'olaf', $other), 200, 'others go on');
}
$proxied->stop;

###############################################################################
# Calls
###############################################################################

my %with = (cookie => $cookie, 'x-csrf' => $csrf);
($status, $json) = ask('GET', '/api/session', undef, cookie => $cookie);
is($status, 200, 'the session');
is($json->{csrf}, $csrf, 'has its token');
is($json->{session}{user}, 'olga', 'and the user');
is((ask('GET', '/api/overview?a=%7B%7D', undef, cookie => $cookie))[0], 200, 'a question');
is((ask('GET', '/api/overview', undef, cookie => 's=' . '0' x 64))[0], 401, 'not with another cookie');
is((ask('GET', '/api/overview', undef))[0], 401, 'not without');
is((ask('GET', '/api/nothing', undef, cookie => $cookie))[0], 404, 'no such function');
is((ask('GET', '/api/_secret', undef, cookie => $cookie))[0], 404, 'nor a private one');
is((ask('GET', '/api/ping', undef, cookie => $cookie))[0], 405, 'an action is no question');
is((ask('GET', '/api/overview?a=%7B', undef, cookie => $cookie))[0], 400, 'what is no JSON');
is((ask('POST', '/api/ping', '{"endpoint": 4711}', %with))[0], 403, 'what its user may not do');
($status, $json) = ask('GET', '/api/endpoint?a={"id":4711,"endpoint":4711}', undef, cookie => $cookie);
is($status, 404, 'an error of the database by its SQLSTATE');
is($json->{sqlstate}, '42704', 'which is there');
ok($json->{message} && $json->{hint}, 'with message and hint');

is((ask('POST', '/api/ping', '{}', cookie => $cookie))[0], 403, 'no action without the token');
is((ask('POST', '/api/ping', '{}', %with, 'x-csrf' => '0' x 64))[0], 403, 'nor with another');
is((ask('POST', '/api/ping', '{}', %with, 'sec-fetch-site' => 'cross-site'))[0], 403, 'nor from another site');
is((ask('POST', '/api/ping', '{}', %with, origin => 'http://evil.example'))[0], 403, 'nor from another origin');
is((ask('POST', '/api/ping', '{}', %with, 'content-type' => 'text/plain'))[0], 415, 'nor by a form');
is((ask('POST', '/api/ping', 'x' x 70_000, %with))[0], 413, 'nor with a body without end');

sub raw
{
	my ($text) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 60) or return '';
	local $SIG{PIPE} = 'IGNORE';
	print $socket $text;
	$socket->shutdown(1);
	return <$socket> // '';
}
like(raw("GET /api/overview HTTP/1.1\r\nHost: evil.example\r\nCookie: $cookie\r\nConnection: close\r\n\r\n"), qr/ 421 /,
	'another host leads nowhere');
like(raw("GET /api/overview HTTP/1.0\r\nCookie: $cookie\r\n\r\n"), qr/ (400|421) /, 'nor does none');

# Where a request ends, and for whom it is, a proxy may read in another way than we do: then the next one is not answered.
my $of_session = "Host: 127.0.0.1:$port\r\nCookie: $cookie\r\n";
my $second = "GET /api/session HTTP/1.1\r\n${of_session}Connection: close\r\n\r\n";
for my $first ("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Content-Length: 2\r\nContent-Length: 20\r\n\r\n{}",
	"Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", "Host: evil.example\r\n\r\n")
{
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
	print $socket "POST /api/nothing HTTP/1.1\r\n${of_session}$first$second";
	is_deeply([ join('', <$socket>) =~ m{^HTTP/1\.1 (\d+)}mg ], [400], (split /\r\n\r\n/, $first)[0] =~ s/\r\n/, /r);
}

###############################################################################
# Live and export
###############################################################################

my $stream = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
print $stream "GET /api/live?a={} HTTP/1.1\r\nHost: 127.0.0.1:$port\r\nCookie: $cookie\r\n\r\n";
my $seen = '';
$stream->blocking(0);
my $event;
wait_until('an event is told of', sub {
	$event = $bmw->sql(q{SELECT bm_webhook.emit('live.one', '{}')});
	sysread $stream, $seen, 65536, length $seen;
	return $seen =~ /event: tail\r?\ndata: .*live\.one/;
});
like($seen, qr/^id: /m, 'with the cursor to go on from');
close $stream;

my ($csv_status, undef, $csv_headers, $csv) =
  ask('GET', '/api/export?a={"what":"delivery_rates","format":"csv"}', undef, cookie => $cookie);
is($csv_status, 200, 'an export');
like($csv_headers->{'content-type'}, qr{^text/csv}, 'is CSV');
is((ask('GET', '/api/export?a={"what":"nonsense"}', undef, cookie => $cookie))[0], 422, 'an error before its first row');

###############################################################################
# Trouble
###############################################################################

# By name: what is sent, and what is answered; without an answer it is left open, as a slow client does. Any path that is
# none of the console's is a page of it, and a stream begins now where it cannot tell from when.
my @hostile = (
	[ 'half a head', "GET / HTTP/1.1\r\n" ],
	[ 'zeros', "\0\0\0\0" ],
	[ 'half a body', "POST /api/login HTTP/1.1\r\nHost: 127.0.0.1:$port\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{" ],
	[ 'an endless path', "GET /" . 'a' x 40_000 . " HTTP/1.1\r\n\r\n", 414 ],
	[ 'an endless body', "POST /api/login HTTP/1.1\r\nHost: 127.0.0.1:$port\r\nContent-Length: 99999999999\r\n\r\n{" ],
	[ 'an endless chunk', "POST /api/login HTTP/1.1\r\nHost: 127.0.0.1:$port\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\nx" ],
	[ 'no JSON', "GET /api/overview?a=%00%ff HTTP/1.1\r\nHost: 127.0.0.1:$port\r\nCookie: $cookie; s=; s\r\n\r\n", 400 ],
	[ 'another method', "PUT /api/ping HTTP/1.1\r\nHost: 127.0.0.1:$port\r\n\r\n", 405 ],
	[ 'a way out', "GET /../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1:$port\r\n\r\n", 200 ],
	[ 'SQL', "GET /api/live HTTP/1.1\r\nHost: 127.0.0.1:$port\r\nCookie: $cookie\r\nLast-Event-ID: '; DROP TABLE x\r\n\r\n", 200 ],
	[ 'another site', "POST /api/ping HTTP/1.1\r\nHost: 127.0.0.1:$port\r\nOrigin: http://evil\r\nCookie: $cookie\r\nContent-Length: 2\r\n\r\n{}", 403 ]);
my (@slow, %sent, %answered);

# The console takes 128 connections of one address, and may still be closing some.
sub connect_and_send
{
	my ($text) = @_;
	my $socket;
	local $SIG{PIPE} = 'IGNORE';

	wait_until('a connection', sub { $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) });
	# Of what is too long the rest may find the door shut.
	my $written = syswrite $socket, $text;
	return defined $written && ($written == length $text || $written > 32_768) ? $socket : undef;
}

for my $i (0 .. 10_999)
{
	my ($name, $text, $answer) = @{ $hostile[ $i % @hostile ] };
	my $socket = connect_and_send($text) // next;
	$sent{$name}++;
	if (!defined $answer)
	{
		push @slow, $socket;
		shift @slow if @slow > 50;
		next;
	}
	my $is_ready = IO::Select->new($socket)->can_read(60);
	my $line = $is_ready && <$socket> // '';
	$answered{$name}{ $line =~ m{^HTTP/1\.1 (\d+)} ? $1 : 'nothing' }++;
}
@slow = ();
is_deeply(\%sent, { map { $_->[0] => 1000 } @hostile }, 'so many of each kind were sent');
is_deeply(\%answered, { map { $_->[0] => { $_->[2] => 1000 } } grep { $_->[2] } @hostile }, 'and refused by what is wrong with them');
wait_until('it serves after eleven thousand hostile requests',
	sub { (ask('GET', '/api/overview', undef, cookie => $cookie))[0] == 200 });

# As many connections as it takes, from many addresses: each sends a part of a request, and the next part when it is asked to.
my @idle;
for my $i (0 .. 599)
{
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, LocalAddr => '127.0.0.' . (2 + $i % 6)) or next;
	print $socket "GET / HTTP/1.1\r\nX";
	push @idle, $socket;
}
cmp_ok(scalar @idle, '>=', 512, 'half-open connections');
is((HTTP::Tiny->new(timeout => 10)->get("http://127.0.0.1:$port/"))->{status}, 200, 'whoever asks something is answered at once') for 1 .. 3;
is((ask('GET', '/api/session', undef, cookie => $cookie))[0], 200, 'and sessions go on');
@idle = ();

my @cookies = map { (sign_in('olga', 'o\"lg\\\\\u00e4'))[2] } 1 .. 3;
is((ask('GET', '/api/session', undef, cookie => $cookie))[0], 200, 'a user has four sessions');
push @cookies, (sign_in('olga', 'o\"lg\\\\\u00e4'))[2];
is((ask('GET', '/api/session', undef, cookie => $cookies[0]))[0], 401, 'with the fifth the one that was unused for longest ends');
like((ask('GET', '/api/session', undef, cookie => shift @cookies))[1]{message}, qr/signed in elsewhere/, 'and its user learns why');
is((ask('GET', '/api/session', undef, cookie => $_))[0], 200, 'and no other') for $cookie, @cookies;
is((sign_in('olaf', 'olaf'))[0], 200, 'another user has sessions of his own') for 1 .. 2;
($status, $json) = sign_in('olaf', 'olaf');
is($status, 503, 'but all of them have no more than allowed');
like($json->{message}, qr/too many sessions/, 'in words');
is((ask('POST', '/api/logout', '{}', %with))[0], 200, 'signed out');
is((ask('GET', '/api/session', undef, cookie => $cookie))[0], 401, 'the cookie is worth nothing');
is((sign_in('olga', 'o\"lg\\\\\u00e4'))[0], 200, 'another may sign in');

$bmw->sql(q{SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'bm_webhook_console'});
wait_until('a killed backend is a session that is over',
	sub { ($status, $json) = ask('GET', '/api/session', undef, cookie => $cookies[0]); $status == 401 });
is("$json->{sqlstate} $json->{message}", '08003 the connection to the database is lost: sign in again', 'and why is said');
is((sign_in('olga', 'o\"lg\\\\\u00e4'))[0], 200, 'and the next begins');

$node->stop;
($status, $json) = sign_in('olga', 'o\"lg\\\\\u00e4');
is($status, 503, 'without a server');
like($json->{message}, qr/does not answer/, 'it says so');
$node->start;
is((sign_in('olga', 'o\"lg\\\\\u00e4'))[0], 200, 'and signs in when it is back');

is($console->stop, 0, 'it ends cleanly');
unlike($console->log, qr/^bm_webhook_console: forged/m, 'nobody writes lines into its log');
$bmw->finish;

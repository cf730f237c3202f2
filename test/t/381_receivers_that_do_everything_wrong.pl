# Whatever a receiver does, on any layer, its attempt ends in time and has its class, nothing of it stays open, and another
# endpoint gets what is its own. Test 340 has answers that are no HTTP, 332 names, 305 and 029 certificates.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Compress::Zlib ();
use File::Spec;
use IO::Socket::INET;
use POSIX ();
use PostgreSQL::Test::Utils;
use Socket qw(SO_LINGER SOL_SOCKET);
use Test::More;

my $dir = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir('receivers'));
my @children;
END { local $?; kill 'TERM', @children }

# A server that takes what is sent and then calls $do->(connection); with $at_once before it has read anything.
sub serve
{
	my ($do, $at_once) = @_;
	my $server = IO::Socket::INET->new(Listen => 50, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die "listen: $!";
	my $pid = fork // die "fork: $!";
	return $server->sockport if $pid && push @children, $pid;
	@SIG{qw(TERM CHLD PIPE)} = ('DEFAULT', 'IGNORE', 'IGNORE');
	while (my $client = $server->accept)
	{
		next if fork;
		my $got = '';
		until ($at_once || is_whole($got)) { $client->sysread($got, 65536, length $got) or last }
		eval { $do->($client) };
		close $client;
		POSIX::_exit(0);
	}
	POSIX::_exit(0);
}

sub is_whole
{
	my ($request) = @_;
	my ($length) = $request =~ /^content-length: (\d+)/mi;
	return $request =~ /\r\n\r\n/ && length($request) - $+[0] >= $length;
}

# Writes until nobody reads any more.
sub write_on
{
	my ($client, $text) = @_;
	1 while $client->syswrite($text);
	return;
}
sub write_all
{
	my ($client, $text) = @_;
	while (length $text)
	{
		my $count = $client->syswrite($text) or return;
		substr $text, 0, $count, '';
	}
	return;
}
sub say_and_wait
{
	my ($client, $text) = @_;
	$client->syswrite($text);
	1 while $client->sysread(my $more, 65536);
	return;
}
sub reset_connection { setsockopt($_[0], SOL_SOCKET, SO_LINGER, pack('ii', 1, 0)); close $_[0]; return }

# A port at which connections are neither accepted nor refused: the queue of a server that accepts none is full.
my $full = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "listen: $!";
my @waiting = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $full->sockport, Blocking => 0) } 1 .. 5;

# openssl s_server with these arguments, until the test ends: it sends zeros.
sub serve_tls
{
	my ($name, @arguments) = @_;
	my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', ReuseAddr => 1);
	my $port = $socket->sockport;
	close $socket;
	my $pid = fork // die "fork: $!";
	if ($pid == 0)
	{
		open STDIN, '<', '/dev/zero';
		open STDOUT, '>', "$dir/$name.out";
		open STDERR, '>&', \*STDOUT;
		exec 'openssl', 's_server', '-quiet', '-accept', "127.0.0.1:$port", @arguments or POSIX::_exit(1);
	}
	push @children, $pid;
	wait_until("$name listens", sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) });
	return $port;
}
# A certificate that signs itself, and is trusted; valid between these times.
sub certificate
{
	my ($name, $from, $to) = @_;
	append_to_file("$dir/$name.cnf", "[ca]\ndefault_ca=a\n[a]\ndatabase=$dir/$name.db\nnew_certs_dir=$dir\nserial=$dir/$name.serial\ndefault_md=sha256\npolicy=p\n"
		  . "x509_extensions=x\n[p]\ncommonName=supplied\n[x]\nsubjectAltName=IP:127.0.0.1\nbasicConstraints=CA:true\n");
	append_to_file("$dir/$name.db", '');
	append_to_file("$dir/$name.serial", "01\n");
	system_or_bail('openssl', 'req', '-new', '-newkey', 'rsa:2048', '-nodes', '-subj', "/CN=$name", '-keyout', "$dir/$name.key", '-out', "$dir/$name.csr");
	system_or_bail('openssl', 'ca', '-batch', '-notext', '-selfsign', '-config', "$dir/$name.cnf", '-keyfile', "$dir/$name.key", '-in', "$dir/$name.csr",
		'-startdate', $from, '-enddate', $to, '-out', "$dir/$name.crt");
	append_to_file("$dir/authorities", slurp_file("$dir/$name.crt"));
	return ('-key', "$dir/$name.key", '-cert', "$dir/$name.crt");
}
my @valid = certificate('valid', '20200101000000Z', '20990101000000Z');
my @expired = certificate('expired', '20200101000000Z', '20210101000000Z');
my @early = certificate('early', '20980101000000Z', '20990101000000Z');

my $ok = "HTTP/1.1 200 OK\r\n";
my $bomb = Compress::Zlib::memGzip('0' x 50_000_000);

# [how the attempt must end, scheme, port]
my %receiver = (
	'a connection that is never accepted' => [ qr/^(timeout|connect)\|$/, 'http', $full->sockport ],
	# Who reads late learns of it while it connects.
	'reset at once' => [ qr/^(reset|connect)\|$/, 'http', serve(\&reset_connection, 1) ],
	'closed without an answer' => [ qr/^reset\|$/, 'http', serve(sub { }) ],
	'reset in the body' => [ qr/^reset\|200$/, 'http', serve(sub { $_[0]->syswrite("${ok}content-length: 9\r\n\r\nhalf"); reset_connection($_[0]) }) ],
	'truncated body' => [ qr/^(reset|protocol)\|200$/, 'http', serve(sub { $_[0]->syswrite("${ok}content-length: 9\r\n\r\nhalf") }) ],
	'headers a byte at a time' => [ qr/^timeout\|/, 'http', serve(sub { for my $c (split //, "${ok}x: " . 'y' x 999) { $_[0]->syswrite($c) or last; select undef, undef, undef, 0.02 } }) ],
	'body a byte at a time' => [ qr/^timeout\|200$/, 'http', serve(sub { $_[0]->syswrite("${ok}content-length: 999\r\n\r\n"); for (1 .. 999) { $_[0]->syswrite('b') or last; select undef, undef, undef, 0.02 } }) ],
	'endless headers' => [ qr/^response_too_large\||^protocol\|/, 'http', serve(sub { $_[0]->syswrite($ok); write_on($_[0], "x-more: @{[ 'h' x 1000 ]}\r\n") }) ],
	'one header without end' => [ qr/^response_too_large\||^protocol\|/, 'http', serve(sub { $_[0]->syswrite("${ok}x: "); write_on($_[0], 'h' x 10_000) }) ],
	'endless body in chunks' => [ qr/^response_too_large\|200$/, 'http', serve(sub { $_[0]->syswrite("${ok}transfer-encoding: chunked\r\n\r\n"); write_on($_[0], "1000\r\n@{[ 'b' x 4096 ]}\r\n") }) ],
	'100 Continue without end' => [ qr/^response_too_large\||^protocol\||^timeout\|/, 'http', serve(sub { write_on($_[0], "HTTP/1.1 100 Continue\r\n\r\n" x 100) }) ],
	'101 and silence' => [ qr/^(timeout|protocol|http_status)\|/, 'http', serve(sub { say_and_wait($_[0], "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n") }) ],
	'103 and silence' => [ qr/^timeout\|/, 'http', serve(sub { say_and_wait($_[0], "HTTP/1.1 103 Early Hints\r\n\r\n") }) ],
	'an SSH banner and silence' => [ qr/^(protocol|timeout)\|$/, 'http', serve(sub { say_and_wait($_[0], "SSH-2.0-OpenSSH_9.2\r\n") }, 1) ],
	'413 before it has read the body' => [ qr/^http_status\|413$/, 'http', serve(sub { $_[0]->syswrite("HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"); 1 while $_[0]->sysread(my $rest, 65536) }, 1) ],
	'compressed beyond measure' => [ qr/^\|200$/, 'http', serve(sub { write_all($_[0], "${ok}content-encoding: gzip\r\ncontent-length: @{[ length $bomb ]}\r\nconnection: close\r\n\r\n$bomb") }) ],
	'status 999' => [ qr/^http_status\|999$/, 'http', serve(sub { $_[0]->syswrite("HTTP/1.1 999 What\r\ncontent-length: 0\r\nconnection: close\r\n\r\n") }) ],
	'status 099' => [ qr/^(protocol|http_status)\|/, 'http', serve(sub { $_[0]->syswrite("HTTP/1.1 099 What\r\ncontent-length: 0\r\nconnection: close\r\n\r\n") }) ],
	'no status' => [ qr/^protocol\|/, 'http', serve(sub { $_[0]->syswrite("HTTP/1.1 \r\ncontent-length: 0\r\nconnection: close\r\n\r\n") }) ],
	'TLS that never answers' => [ qr/^(timeout|tls)\|$/, 'https', serve(sub { say_and_wait($_[0], '') }, 1) ],
	'plain HTTP where TLS is expected' => [ qr/^tls\|$/, 'https', serve(sub { $_[0]->syswrite("${ok}content-length: 0\r\n\r\n") }, 1) ],
	'an expired certificate' => [ qr/^tls\|$/, 'https', serve_tls('expired', @expired) ],
	'a certificate that is not valid yet' => [ qr/^tls\|$/, 'https', serve_tls('early', @early) ],
	'TLS 1.1' => [ qr/^tls\|$/, 'https', serve_tls('old', @valid, '-tls1_1', '-cipher', 'DEFAULT@SECLEVEL=0') ],
	'TLS that is good, and then not HTTP' => [ qr/^(protocol|response_too_large|timeout)\|/, 'https', serve_tls('zeros', @valid) ],
);
my $bmw = BmWebhook->new(conf => "bm_webhook.ca_file = '$dir/authorities'\n");
sub descriptors { return scalar(my @open = glob '/proc/' . $bmw->dispatcher . '/fd/*') }

my $fine = $bmw->endpoint('/ok/fine', event_types => '{test.fine}');
my $pid = $bmw->dispatcher;
my $n = 0;
# Who is not waited for in vain has as long as a busy machine may take, and 5 s who is to begin an answer in time.
sub timeout_for { return $_[0] !~ /timeout/ ? '30 s' : $_[0] =~ /200/ ? '5 s' : '1 s' }
my %id = map { my ($expected, $scheme, $port) = @{ $receiver{$_} };
	$_ => $bmw->endpoint("$scheme://127.0.0.1:$port/e" . $n++, event_types => '{test.wrong}', retry_delays => '{}', timeout => timeout_for($expected)) } sort keys %receiver;

# Bodies that do not fit into what the kernel takes before anybody reads.
my $rounds = 0;
sub send_to_all
{
	$rounds++;
	$bmw->sql(q{SELECT bm_webhook.emit(type => 'test.wrong', data => jsonb_build_object('text', repeat('long', 60000))) FROM generate_series(1, 3)});
	$bmw->wait_for_delivery($bmw->emit('test.fine'));
	return $bmw->wait_for_sql('all have ended', "SELECT count(*) = 3 * $n * $rounds FROM bm_webhook.delivery WHERE endpoint_id <> $fine AND status <> 'pending'");
}

send_to_all();
my $open_before = descriptors();
send_to_all();
cmp_ok(descriptors(), '<=', $open_before + 5, 'no descriptor stays open');
for my $what (sort keys %receiver)
{
	my $outcome = $bmw->sql("SELECT DISTINCT error_class, http_status FROM bm_webhook.delivery WHERE endpoint_id = $id{$what}");
	is(join(', ', grep { $_ !~ $receiver{$what}[0] } split /\n/, $outcome || 'none'), '', $what);
}
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.failed_attempt f JOIN bm_webhook.endpoint p ON p.id = f.endpoint_id
	WHERE f.total_time > p.timeout + interval '10 s'}), 0, 'none took much longer than its timeout');

# Whoever asks to wait for a thousand years waits for a day.
my $port = serve(sub { $_[0]->syswrite("HTTP/1.1 429 No\r\nretry-after: 99999999999999\r\ncontent-length: 0\r\nconnection: close\r\n\r\n") });
my $asking = $bmw->endpoint("http://127.0.0.1:$port/asks", event_types => '{test.asks}', retry_delays => '{1 s}');
$bmw->emit('test.asks');
$bmw->wait_for_sql('it is to wait', "SELECT count(*) = 1 FROM bm_webhook.delivery WHERE endpoint_id = $asking AND attempts = 1
	AND next_attempt_at BETWEEN now() + interval '1 hour' AND now() + interval '25 hours'");
pass('a Retry-After beyond measure is cut');
is($bmw->dispatcher, $pid, 'the dispatcher is the same process');

$bmw->finish;

# What a receiver or a proxy answers leads to no other address: redirects, alternative services, upgrades and
# whatever else an HTTP client could follow; nor does it get credentials of the proxy out of us, or the headers of an
# endpoint to the proxy. And spellings of addresses that another test does not have.
#
# 127.0.0.2 is open. What must not be reached listens on the same port of all other addresses of 127/8.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use IO::Socket::INET;
use MIME::Base64 qw(encode_base64);
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;

my $bmw = BmWebhook->new(conf => "bm_webhook.allowed_networks = '127.0.0.2'\n");

# A server that writes what it was sent to a file, and answers with what $answer->(path or target) returns.
my $dir = PostgreSQL::Test::Utils::tempdir('scripted');
my @children;
sub serve
{
	my ($name, $answer) = @_;
	my $server = IO::Socket::INET->new(Listen => 50, LocalAddr => '0.0.0.0', ReuseAddr => 1) or die "listen: $!";
	append_to_file("$dir/$name", '');
	my $pid = fork // die "fork: $!";
	return $server->sockport if $pid && push @children, $pid;
	$SIG{TERM} = 'DEFAULT';
	$SIG{PIPE} = 'IGNORE';
	eval { answer($name, $server, $answer) };
	warn $@;
	POSIX::_exit(1);    # without what the end of a test does
}
sub answer
{
	my ($name, $server, $answer) = @_;
	while (my $client = $server->accept)
	{
		my $got = '';
		while ($client->sysread($got, 65536, length $got))
		{
			next unless $got =~ /\r\n\r\n/;
			last if length($got) - $+[0] >= ($got =~ /^content-length: (\d+)/mi ? $1 : 0);
		}
		append_to_file("$dir/$name", $client->sockhost . " $got\n\n");
		$client->syswrite($answer->($got =~ /^\S+ (\S+)/) =~ s/PORT/$server->sockport/ger);
		close $client;
	}
	return;
}
END { local $?; kill 'TERM', @children }
sub seen { return PostgreSQL::Test::Utils::slurp_file("$dir/$_[0]") }

my $end = "content-length: 0\r\nconnection: close\r\n\r\n";
my %answers = (
	(map { ("moved$_" => [ "HTTP/1.1 $_ Moved\r\nlocation: http://127.0.0.1:PORT/inside\r\n$end", "failed|http_status|$_" ]) } 300 .. 308),
	protocol => [ "HTTP/1.1 302 Moved\r\nlocation: file:///etc/passwd\r\n$end", 'failed|http_status|302' ],
	service => [ "HTTP/1.1 200 OK\r\nalt-svc: h1=\"127.0.0.1:PORT\", http/1.1=\"127.0.0.1:PORT\", h2=\"127.0.0.1:PORT\", h2c=\":PORT\"; persist=1\r\n$end", 'delivered||200' ],
	refresh => [ "HTTP/1.1 200 OK\r\nrefresh: 0; url=http://127.0.0.1:PORT/inside\r\ncontent-location: http://127.0.0.1:PORT/\r\nlink: <http://127.0.0.1:PORT/>; rel=preconnect\r\n"
		  . "strict-transport-security: max-age=99999\r\nset-cookie: a=b; domain=.0.0.2\r\n$end", 'delivered||200' ],
	upgrade => [ "HTTP/1.1 426 Upgrade\r\nupgrade: h2c, TLS/1.2\r\nconnection: upgrade, close\r\ncontent-length: 0\r\n\r\n", 'failed|http_status|426' ],
	useproxy => [ "HTTP/1.1 305 Use Proxy\r\nlocation: http://127.0.0.1:PORT/\r\n$end", 'failed|http_status|305' ],
	proxyauth => [ "HTTP/1.1 407 Who\r\nproxy-authenticate: Basic realm=x\r\n$end", 'failed|http_status|407' ],
	who => [ "HTTP/1.1 401 Who\r\nwww-authenticate: Negotiate\r\nwww-authenticate: NTLM\r\nwww-authenticate: Basic realm=x\r\n$end", 'failed|http_status|401' ],
);
my $port = serve('receiver', sub { my ($word) = $_[0] =~ m{([^/]*)$}; return $answers{$word}[0] // "HTTP/1.1 200 OK\r\n$end" });

sub outcome
{
	my ($type, $url, %columns) = @_;
	my $id = $bmw->sql("INSERT INTO bm_webhook.endpoint (url, event_types, retry_delays, headers) VALUES ('$url', '{test.$type}', '{}', "
		  . quote($columns{headers} // '{}') . ') RETURNING id');
	my $event = $bmw->emit("test.$type");
	$bmw->wait_for_sql("$type has ended", "SELECT count(*) = 1 FROM bm_webhook.delivery WHERE event_id = '$event' AND status IN ('delivered', 'failed')");
	$bmw->sql("SELECT bm_webhook.delete_endpoint($id)");
	return $bmw->sql("SELECT status, error_class, http_status FROM bm_webhook.delivery WHERE event_id = '$event'");
}
for my $word (sort keys %answers)
{
	is(outcome($word, "http://127.0.0.2:$port/$word"), $answers{$word}[1], "a receiver answers: $word");
}
is(outcome('service2', "http://127.0.0.2:$port/again"), 'delivered||200', 'and is sent to as before');
my $requests = seen('receiver');
is_deeply([ grep { $_ ne '127.0.0.2' } $requests =~ /^(\S+) (?=POST|GET|CONNECT|PRI|HEAD)/mg ], [], 'no request to another address');
unlike($requests, qr{inside|^(?:authorization|proxy-authorization|cookie|upgrade):}mi, 'nor what was asked for with it');
is(scalar(() = $requests =~ m{^\S+ POST }mg), 1 + keys %answers, 'each event was sent once');

# A proxy that is hostile. It is told the credentials that are for it, in the way that was configured, and nothing of the endpoint.
append_to_file("$dir/credentials", 'gate:keeper');
chmod 0600, "$dir/credentials" or die "chmod: $!";
my %connects = (
	1 => [ "HTTP/1.1 302 Moved\r\nlocation: http://127.0.0.1:PORT/inside\r\n$end", 302 ],
	2 => [ "HTTP/1.1 407 Who\r\nproxy-authenticate: Negotiate\r\nproxy-authenticate: NTLM\r\nproxy-authenticate: Digest realm=\"x\", nonce=\"y\"\r\n$end", 407 ],
	3 => [ "HTTP/1.1 401 Who\r\nwww-authenticate: Basic realm=x\r\n$end", 401 ],
	4 => [ "HTTP/1.1 204 No\r\nx: " . 'y' x 200000 . "\r\n\r\n", undef ],
	5 => [ 'SSH-2.0-OpenSSH_9.2', undef ],
	6 => [ '', undef ],
	7 => [ "HTTP/1.1 999 Odd\r\n$end", 999 ],
	8 => [ "HTTP/1.1 503 No\r\nretry-after: 99999999\r\ncontent-length: 999999\r\n\r\nx", 503 ],
);
my $gate = serve('proxy', sub { my ($number) = $_[0] =~ /:1000(\d)$/; return $connects{$number}[0] });
my $pid = $bmw->dispatcher;
$bmw->sql("ALTER SYSTEM SET bm_webhook.proxy_credentials_file = '$dir/credentials'");
$bmw->set('bm_webhook.proxy', "http://127.0.0.1:$gate");
wait_until('another dispatcher runs', sub { $bmw->dispatcher != $pid });
for my $number (sort keys %connects)
{
	is(outcome("gate$number", "http://127.0.0.2:1000$number/path?key=query", headers => '{"x-token": "of the endpoint", "authorization": "Basic b2Y="}'), 'failed|proxy|',
		"a proxy answers: $number");
}
my $seen = seen('proxy');
is_deeply([ $seen =~ /^\S+ (\S+ \S+) HTTP/mg ], [ map { "CONNECT 127.0.0.2:1000$_" } sort keys %connects ], 'it is asked for a tunnel once each, to the address');
is_deeply([ $seen =~ /^proxy-authorization: (.*?)\r$/mgi ], [ ('Basic ' . encode_base64('gate:keeper', '')) x keys %connects ], 'with its credentials');
unlike($seen, qr/x-token|of the endpoint|b2Y=|webhook-signature|query|POST/, 'and told nothing else');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.failed_attempt WHERE error_class = 'proxy' AND (response IS NOT NULL OR error ~ 'keeper|127')}), 0, 'what it answers is not shown');
is(seen('receiver'), $requests, 'nor did anything get to the receiver');

# Spellings.
like($bmw->sqlstate('INSERT INTO bm_webhook.endpoint (url) VALUES (' . quote($_) . ')'), qr/^(22023|42501)$/, "refused: $_")
  for map { ("http://$_/", "https://$_:8443/x") } '127.0.0.1', '0x7f.0x0.0x0.0x1', '00000177.0.0.1', '017700000001', '0x7f000001', '127.0.1', '127.0.0.1.', '127.0.0.1..', '127.0.0.1%00.example.com',
  '127.0.0.1%2eexample.com', 'example.com@127.0.0.1', 'example.com%40127.0.0.1', '127.0.0.1%23.example.com', '[::ffff:7f00:1]', '[0:0:0:0:0:ffff:127.0.0.1]', '[::ffff:169.254.169.254]', '[::ffff:0:127.0.0.1]',
  '[64:ff9b::169.254.169.254]', '[64:ff9b:1::7f00:1]', '[2001:0:7f00:1::]', '[2002:a9fe:a9fe::]', '[::169.254.169.254]', '[fd00:ec2::254]', '[fe80::a9fe:a9fe]', '169.254.169.254', '169.254.43518', '0xa9fea9fe', '2852039166',
  '0251.0376.0251.0376', "127\x{e3}\x{80}\x{82}0.0.1", "\x{ef}\x{bc}\x{91}27.0.0.1", "loc\x{c2}\x{ad}alhost", 'localhost', 'localhost.', 'ip6-localhost', 'metadata', 'x.localhost', '0', '0.0.0.0', '[::]', '[::1]', '[0000::0001]', '[::1%25lo]', '';

$bmw->finish;

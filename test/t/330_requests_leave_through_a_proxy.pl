# With bm_webhook.proxy all requests leave through it (tinyproxy with CONNECT, microsocks with
# SOCKS5), http as well as https. Names are resolved and judged here: the proxy is told an address
# that was judged, and the server's certificate is verified for the name. What a proxy refuses has
# a class of its own. Variables of the environment, and files of libcurl's that they lead to, change nothing, with and
# without a proxy; nor are the keys of TLS written where one asks for it.
#
# Names: the server has an /etc/hosts of its own, which the proxies do not see; where that
# cannot be, those parts are skipped.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use BmWebhook::Proxy;
use File::Spec;
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir('tls'));
append_to_file("$dir/ext", "subjectAltName=DNS:good.example.com,IP:127.0.0.1\n");
system_or_bail('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=authority', '-keyout', "$dir/ca.key", '-out', "$dir/ca.crt");
system_or_bail('openssl', 'req', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=server', '-keyout', "$dir/server.key", '-out', "$dir/server.csr");
system_or_bail('openssl', 'x509', '-req', '-in', "$dir/server.csr", '-CA', "$dir/ca.crt", '-CAkey', "$dir/ca.key", '-CAcreateserial', '-days', '2', '-extfile', "$dir/ext", '-out', "$dir/server.crt");

# Whatever the environment says: it leads to something that would count a connection.
my $trap = IO::Socket::INET->new(Listen => 20, LocalAddr => '127.0.0.1', Blocking => 0) or die "listen: $!";
my $elsewhere = 'http://127.0.0.1:' . $trap->sockport;
my $home = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir('home'));
append_to_file("$home/.netrc", "default login somebody password netrc\n");
append_to_file("$home/.curlrc", "header = \"x-curlrc: read\"\nproxy = $elsewhere\n");
my %environment = (
	(map { $_ => $elsewhere } qw(http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY)), no_proxy => '*', NO_PROXY => '*',
	HOME => $home, CURL_HOME => $home, XDG_CONFIG_HOME => $home, NETRC => "$home/.netrc", SSLKEYLOGFILE => "$home/keys");
my %before = map { $_ => $ENV{$_} } keys %environment;
@ENV{ keys %environment } = values %environment;

my $has_hosts = BmWebhook::can_set_hosts();
my $bmw = BmWebhook->new(
	receiver => { host => '0.0.0.0', tls_key => "$dir/server.key", tls_cert => "$dir/server.crt" },
	hosts => $has_hosts ? "127.0.0.1 localhost\n127.0.0.2 good.example.com wrong.example.com\n10.1.2.3 inside.example.com\n"
	  . "127.0.0.2 mixed.example.com\n10.1.2.3 mixed.example.com\n" : undef,
	conf => "bm_webhook.ca_file = '$dir/ca.crt'\n");
defined $before{$_} ? $ENV{$_} = $before{$_} : delete $ENV{$_} for keys %before;
my $receiver = $bmw->receiver;
my ($port, $tls_port) = ($receiver->port, $receiver->tls_url('') =~ /:(\d+)$/);
my $number = 0;

# Registers an endpoint for one event and returns how that ended.
sub outcome
{
	my ($name, $url) = @_;
	$bmw->endpoint($url, event_types => "{test.$name}", retry_delays => '{}', timeout => '20 s');
	return again($name);
}
sub again
{
	my ($name) = @_;
	my $event = $bmw->emit("test.$name");
	$bmw->wait_for_sql("$name has ended", "SELECT count(*) = 1 FROM bm_webhook.delivery WHERE event_id = '$event' AND status <> 'pending'");
	return $bmw->sql("SELECT status, error_class, http_status FROM bm_webhook.delivery WHERE event_id = '$event'");
}
# The dispatcher that uses the new settings is a new process.
sub set
{
	my %settings = @_;
	my $pid = $bmw->dispatcher;
	$bmw->sql("ALTER SYSTEM SET $_ = " . quote($settings{$_})) for sort keys %settings;
	$bmw->node->reload;
	wait_until('another dispatcher runs', sub { $bmw->dispatcher != $pid });
	return;
}

is(outcome('direct', $receiver->url('/ok/direct')), 'delivered||204', 'without a proxy: delivered');
is(outcome('direct_tls', $receiver->tls_url('/ok/direct_tls')), 'delivered||204', 'and with TLS');
for my $name (qw(direct direct_tls))
{
	my ($request) = $receiver->requests($name);
	is_deeply([ grep { /^(?:authorization|x-curlrc)$/ } keys %{ $request->{headers} } ], [], "$name: no header is from a file of libcurl's");
}

for my $kind (qw(tinyproxy microsocks))
{
	my $proxy = BmWebhook::Proxy->new($kind);
	set('bm_webhook.proxy' => $proxy->url);

	is(outcome("${kind}_literal", $receiver->url("/ok/${kind}_literal")), 'delivered||204', "$kind: delivered");
	is_deeply([ $proxy->tunnels ], ["127.0.0.1:$port"], 'through it, also without TLS');
	is(again("${kind}_literal"), 'delivered||204', 'and again');
	is_deeply([ $proxy->tunnels ], ["127.0.0.1:$port"], 'through the same tunnel');
	my ($request) = $receiver->requests("${kind}_literal");
	is(join(' ', grep { /proxy/i } keys %{ $request->{headers} }), '', 'the receiver is told nothing of it');

	is(outcome("${kind}_500", $receiver->url("/status/500/${kind}_500")), 'failed|http_status|500', 'an answer of the receiver is one');
	is(outcome("${kind}_refused", 'http://127.0.0.1:' . PostgreSQL::Test::Cluster::get_free_port() . '/'), 'failed|proxy|', 'nobody listens there');
	$bmw->set('bm_webhook.denied_networks', '127.0.0.1');
	$bmw->wait_for_sql('the network is closed', q{SELECT current_setting('bm_webhook.denied_networks') = '127.0.0.1'});
	is(again("${kind}_literal"), 'failed|blocked_address|', 'no request through a tunnel whose end is denied now');
	is($receiver->count("${kind}_literal", 'requests'), 2, 'and none arrived');
	$bmw->set('bm_webhook.denied_networks', '');
	$bmw->wait_for_sql('it is open again', q{SELECT current_setting('bm_webhook.denied_networks') = ''});
  SKIP:
	{
		skip 'an unprivileged user cannot have an /etc/hosts of his own here', 1 unless $has_hosts;
		my $before = () = $proxy->tunnels;
		is(outcome("${kind}_name", "http://good.example.com:$port/ok/${kind}_name"), 'delivered||204', 'a name');
		is(outcome("${kind}_tls", "https://good.example.com:$tls_port/ok/${kind}_tls"), 'delivered||204', 'a name, with TLS');
		is_deeply([ ($proxy->tunnels)[ $before .. $before + 1 ] ], [ "127.0.0.2:$port", "127.0.0.2:$tls_port" ], 'the proxy was told the address');
		is(($receiver->requests("${kind}_name"))[0]{headers}{host}, "good.example.com:$port", 'the receiver the name');
		is(outcome("${kind}_wrong", "https://wrong.example.com:$tls_port/ok/${kind}_wrong"), 'failed|tls|', 'the certificate is verified for the name');
		$before = () = $proxy->tunnels;
		is(outcome("${kind}_$_", "http://$_.example.com:$port/ok/${kind}_$_"), 'failed|blocked_address|', "$_: blocked") for qw(inside mixed);
		is(outcome("${kind}_unknown", "http://unknown.example.com:$port/"), 'failed|name_resolution|', 'a name that nobody knows');
		is(scalar(() = $proxy->tunnels), $before, 'the proxy was not asked for any of them');
	}
	$proxy->stop;
	is(again("${kind}_literal"), 'failed|proxy|', 'a proxy that is not there');

	# With credentials, from a file that only the server can read.
	my $credentials = $kind eq 'tinyproxy' ? 'bank:pass_20' : 'bank:p@ss/w%20r:d%';
	my $guarded = BmWebhook::Proxy->new($kind, credentials => $credentials);
	my $file = "$dir/$kind";
	append_to_file($file, "$credentials\n");
	chmod 0644, $file or die "chmod: $!";
	set('bm_webhook.proxy' => $guarded->url);
	is(again("${kind}_literal"), 'failed|proxy|', 'a proxy that wants to know who it is');
	is($bmw->sqlstate("ALTER SYSTEM SET bm_webhook.proxy_credentials_file = '$file'"), '22023', 'a file that others can read is refused');
	chmod 0600, $file or die "chmod: $!";
	set('bm_webhook.proxy_credentials_file' => $file);
	is(again("${kind}_literal"), 'delivered||204', 'with the credentials it goes through');
	set('bm_webhook.proxy_credentials_file' => '', 'bm_webhook.proxy' => '');
	is(again("${kind}_literal"), 'delivered||204', 'and without a proxy');
}
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.failed_attempt WHERE error ~ 'p[@a]ss' OR response IS NOT NULL AND error_class = 'proxy'}), 0, 'no credentials and no answer of the proxy in the log');

is($bmw->sql(qq{SELECT string_agg(DISTINCT error, ', ' ORDER BY error) FROM bm_webhook.failed_attempt WHERE error_class = 'proxy'}), join(', ',
	'the proxy answered CONNECT with HTTP status 407', 'the proxy answered CONNECT with HTTP status 500', 'the proxy could not be reached',
	'the proxy did not accept our credentials', "the proxy made no connection (proxy handshake error)"), 'the log says why, but not where the proxy is');

# An endpoint may be left out, by an administrator alone.
{
	my $proxy = BmWebhook::Proxy->new('tinyproxy');
	set('bm_webhook.proxy' => $proxy->url);
	my $id = $bmw->named_endpoint('inner', use_proxy => 'false');
	is(again('inner'), 'delivered||204', 'an endpoint that is left out is delivered');
	is(scalar(() = $proxy->tunnels), 0, 'around the proxy');
	$bmw->sql("UPDATE bm_webhook.endpoint SET use_proxy = true WHERE id = $id");
	is(again('inner'), 'delivered||204', 'then it is not left out');
	is(scalar(() = $proxy->tunnels), 1, 'and goes through it, although a connection was open');
	$bmw->sql("UPDATE bm_webhook.endpoint SET use_proxy = false WHERE id = $id");
	is(again('inner'), 'delivered||204', 'left out again');
	is($receiver->count('inner', 'connections'), 2, 'over the connection of before');

	$bmw->sql(q{CREATE ROLE tenant LOGIN; INSERT INTO bm_webhook.application (name) VALUES ('shop'); SELECT bm_webhook.grant_owner('shop', 'tenant')});
	my $as = 'SET ROLE tenant; ';
	my $own = $bmw->sql($as . q{INSERT INTO bm_webhook.endpoint (application, url) VALUES ('shop', 'http://127.0.0.1/') RETURNING id});
	is($bmw->sql($as . "SELECT use_proxy FROM bm_webhook.endpoint WHERE id = $own"), 't', 'a tenant sees that it is not');
	is($bmw->sqlstate($as . "UPDATE bm_webhook.endpoint SET use_proxy = $_ WHERE id = $own"), '42501', "but cannot set it to $_") for qw(false true DEFAULT);
	is($bmw->sqlstate($as . q{INSERT INTO bm_webhook.endpoint (application, url, use_proxy) VALUES ('shop', 'http://127.0.0.1/', false)}), '42501', 'nor from the beginning');
}

# A proxy whose name cannot be resolved, and one that does not answer like one.
set('bm_webhook.proxy' => 'http://proxy.invalid:3128');
is(outcome('invalid', $receiver->url('/ok/invalid')), 'failed|proxy|', 'a proxy whose name nobody knows');
set('bm_webhook.proxy' => "http://127.0.0.1:$port");
is(outcome('nonsense', $receiver->url('/ok/nonsense')), 'failed|proxy|', 'something that is no proxy');
set('bm_webhook.proxy' => "socks5://127.0.0.1:$port");
is(again('nonsense'), 'failed|proxy|', 'nor of the other kind');
is($receiver->count('nonsense', 'requests'), 0, 'and nothing was sent to it');

# What is refused when it is set.
is($bmw->sqlstate("ALTER SYSTEM SET bm_webhook.proxy = " . quote($_)), '22023', "no proxy: $_")
  for 'proxy', 'proxy:3128', 'http://proxy', 'https://proxy:3128', 'socks5h://proxy:1080', 'socks4://proxy:1080', 'http://u:p@proxy:3128', 'http://proxy:3128/',
  'http://proxy:0', 'http://proxy:65536', 'http://proxy:031', 'http://:3128', 'http://[::1:3128', 'http://[x]:3128', 'http://pro xy:3128', 'http://proxy:3128 ', 'ftp://proxy:21',
  'http://[]:1', 'http://[', 'HTTP://proxy:1', "http://proxy\n:1", 'http://' . 'x' x 300 . ':1', 'socks5://localhost/tmp/socket:1';
is($bmw->sqlstate("ALTER SYSTEM SET bm_webhook.proxy = " . quote($_)), '', "a proxy: $_") for 'http://[fd00::1]:3128', 'socks5://proxy.internal:1080', '';
for my $text ('', "\n", 'user', ':password', 'user:', "us\ner:password", 'u:' . 'x' x 256, 'x' x 700)
{
	unlink "$dir/bad";
	append_to_file("$dir/bad", $text);
	chmod 0600, "$dir/bad" or die "chmod: $!";
	is($bmw->sqlstate("ALTER SYSTEM SET bm_webhook.proxy_credentials_file = '$dir/bad'"), '22023', 'no credentials: ' . substr($text, 0, 20) =~ s/\n/\\n/r);
}
is($bmw->sqlstate("ALTER SYSTEM SET bm_webhook.proxy_credentials_file = '$_'"), '22023', "no file: $_") for $dir, "$dir/none", 'relative';

is($trap->accept, undef, 'no connection was made to what the environment names');
ok(!-e "$home/keys", 'no key of TLS was written');
$bmw->finish;

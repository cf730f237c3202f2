# The console with a certificate of its own, and behind nginx with the site that is shipped; its unit for systemd; and what
# is said when the server has no connection left or goes away during a question.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use BmWebhook::Console;
use IPC::Run ();
use JSON::PP qw(decode_json);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils qw(append_to_file slurp_file);
use Test::More;

plan skip_all => 'bm_webhook_console is not built: it needs libmicrohttpd' unless BmWebhook::Console::is_built();

my $bmw = BmWebhook->new(conf => "$BmWebhook::Console::conf\nmax_connections = 16\n");
my $node = $bmw->node;
$bmw->sql(q{
	CREATE ROLE olga LOGIN PASSWORD 'olga';
	CREATE ROLE anna LOGIN PASSWORD 'anna';
	INSERT INTO bm_webhook.application (name) VALUES ('shop');
	SELECT bm_webhook.grant_operator('olga'), bm_webhook.grant_owner('shop', 'anna')});
BmWebhook::Console::ask_for_passwords($bmw);
my $console;

my $dir = PostgreSQL::Test::Utils::tempdir('tls');
my $name = 'webhooks.example.com';
my @quiet = ('>', '/dev/null', '2>', '/dev/null');
append_to_file("$dir/ext", "subjectAltName=DNS:$name");
for my $command ([ qw(openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout), "$dir/ca.key", '-out', "$dir/ca.crt" ],
	[ qw(openssl req -newkey rsa:2048 -nodes -subj /CN=console -keyout), "$dir/key", '-out', "$dir/csr" ],
	[ qw(openssl x509 -req -days 2 -CAcreateserial -in), "$dir/csr", '-CA', "$dir/ca.crt", '-CAkey', "$dir/ca.key", '-extfile', "$dir/ext", '-out', "$dir/crt" ])
{
	IPC::Run::run($command, @quiet) or die "openssl failed";
}

# By curl, as browsers do it; the options of curl come last: the status, the headers and the content.
sub browse
{
	my ($port, $path, @options) = @_;
	my ($out, $error) = ('', '');
	IPC::Run::run([ 'curl', '-sS', '-i', '--noproxy', '*', '--cacert', "$dir/ca.crt", '--resolve', "$name:$port:127.0.0.1",
		@options, "https://$name:$port$path" ], '<', \undef, '>', \$out, '2>', \$error) or return (0, $error, '');
	my ($headers, $content) = split /\r\n\r\n/, $out, 2;
	return ($headers =~ m{^HTTP/\S+ (\d+)}, $headers, $content);
}

sub sign_in
{
	my ($port, $user, $password, @options) = @_;
	my ($status, $headers, $content) = browse($port, '/api/login', '-H', 'content-type: application/json',
		'-d', qq({"user": "$user", "password": "$password"}), @options);
	return ($status, $headers, eval { decode_json($content) } // {}, $headers =~ /^set-cookie: ([^;]*)/mi);
}

# Why the server lets nobody in.
sub is_refused
{
	my ($why, $what) = @_;
	my ($status, $said) = $console->sign_in('anna', 'anna');
	return is("$status $said->{message}", "503 $why", $what);
}

# Until an event is told of; what came by then.
sub follow
{
	my ($port, $cookie) = @_;
	my ($out, $error) = ('', '');
	my $h = IPC::Run::start([ 'curl', '-sS', '-N', '--noproxy', '*', '--cacert', "$dir/ca.crt", '--resolve', "$name:$port:127.0.0.1",
		'-H', "cookie: $cookie", "https://$name:$port/api/live?a=%7B%7D" ], '<', \undef, '>', \$out, '2>', \$error);
	wait_until('an event is told of', sub {
		$bmw->emit('live.one', application => 'shop');
		$h->pump_nb;
		return $out =~ /^event: tail\r?\ndata: .*live\.one/m;
	});
	$h->kill_kill;
	return ok(1, 'events arrive when they happen');
}

###############################################################################
# A certificate of its own
###############################################################################

$console = BmWebhook::Console->new($bmw, '--certificate', "$dir/crt", '--key', "$dir/key", '--public-name', "$name:PORT");
my $port = $console->port;
my ($status, $headers) = browse($port, '/');
is($status, 200, 'a page over TLS') or diag($headers);
like($headers, qr/^strict-transport-security: max-age=\d+/mi, 'which browsers are to keep to');
my ($code, undef, $said, $cookie) = sign_in($port, 'anna', 'anna', '-H', "origin: https://$name:$port");
is($code, 200, 'signed in');
like($cookie, qr/^__Host-s=[0-9a-f]{64}$/, 'the cookie is bound to the host');
like((sign_in($port, 'olga', 'olga'))[1], qr/^set-cookie: .*; Secure/mi, 'and never sent without TLS');
is((browse($port, '/api/session', '-H', "cookie: $cookie"))[0], 200, 'the session');
is((browse($port, '/api/session', '-H', 'cookie: ' . $cookie =~ s/__Host-//r))[0], 401, 'not by a cookie that another host may set');
follow($port, $cookie);
unlike((browse($port, '/', '--max-time', 5, '--proto', '=http', '-k'))[1], qr/200/, 'nothing without TLS');
for my $version (qw(tls1 tls1_1))
{
	IPC::Run::run([ qw(openssl s_client -cipher DEFAULT@SECLEVEL=0 -connect), "127.0.0.1:$port", "-$version" ], '<', \'', '>', \my $out, '2>&1');
	unlike($out, qr/Cipher is [A-Z]{3}.*-/, "$version is refused");
}
is($console->stop, 0, 'it ends');

IPC::Run::run([ BmWebhook::Console::command($bmw, '--certificate', "$dir/crt", '--key', "$dir/ca.key", '--public-name', $name, '--port', $port) ],
	'<', \undef, '>', \my $out, '2>', \my $error);
like($error, qr/cannot listen|certificate/, 'a key of another certificate is refused at the start');

###############################################################################
# Behind nginx, with the site that is shipped
###############################################################################

$console = BmWebhook::Console->new($bmw, '--behind-proxy', '--public-name', $name);
SKIP:
{
	my ($nginx) = grep { -x } map { "$_/nginx" } split(/:/, $ENV{PATH}), '/usr/sbin';
	skip('nginx is not installed', 11) unless $nginx;
	my $tls_port = PostgreSQL::Test::Cluster::get_free_port();
	my $site = slurp_file('console/nginx.conf');
	for ([ 'listen 443 ssl', "listen 127.0.0.1:$tls_port ssl" ], [ '/etc/ssl/certs/webhooks.example.com.pem', "$dir/crt" ],
		[ '/etc/ssl/private/webhooks.example.com.key', "$dir/key" ], [ '127.0.0.1:8088', '127.0.0.1:' . $console->port ])
	{
		my ($from, $to) = @$_;
		ok($site =~ s/\Q$from\E/$to/, "the site has $from");
	}
	append_to_file("$dir/site", $site);
	append_to_file("$dir/nginx.conf", "daemon off; pid $dir/pid; error_log $dir/error;\nevents {}\n"
		  . "http { access_log off; " . join('', map { "${_}_temp_path $dir/$_; " } qw(client_body proxy fastcgi uwsgi scgi)) . "include $dir/site; }\n");
	my $proxy = IPC::Run::start([ $nginx, '-e', "$dir/error", '-c', "$dir/nginx.conf" ], '<', \undef, '>', \my $said_by_nginx, '2>&1');
	wait_until('nginx listens', sub { $proxy->pump_nb; (browse($tls_port, '/'))[0] == 200 });
	($code, $headers, $said, $cookie) = sign_in($tls_port, 'anna', 'anna', '-H', "origin: https://$name");
	is($code, 200, 'signed in through nginx');
	is((browse($tls_port, '/api/session', '-H', "cookie: $cookie"))[0], 200, 'the session');
	follow($tls_port, $cookie);
	is((browse($tls_port, '/', '-H', 'host: evil.example'))[0], 421, 'another host leads nowhere');
	append_to_file("$dir/large", 'x' x 70_000);
	is((browse($tls_port, '/api/ping', '-H', "cookie: $cookie", '--data-binary', "\@$dir/large"))[0], 413, 'nor does a body without end');
	is((sign_in($tls_port, 'nobody', 'x', '-H', 'x-forwarded-for: 203.0.113.9'))[0], 401, 'a wrong password');
	like($console->log, qr/sign-in of "nobody" from 127\.0\.0\.1 refused/, 'is counted for the address that nginx has seen');
	$proxy->signal('TERM');
	$proxy->finish;
}

###############################################################################
# The unit for systemd
###############################################################################

SKIP:
{
	skip('systemd-analyze is not installed', 1) unless grep { -x "$_/systemd-analyze" } split /:/, $ENV{PATH};
	IPC::Run::run([ 'systemd-analyze', 'verify', 'console/bm_webhook_console.service' ], '<', \undef, '>', \my $text, '2>&1');
	is($text, '', 'systemd has nothing to say against the unit');
}
my ($options) = slurp_file('console/bm_webhook_console.service') =~ /^ExecStart=\S+ bm_webhook_console (.*)/m;
IPC::Run::run([ 'bm_webhook_console', split(/ /, $options), '--help' ], '<', \undef, '>', \my $help, '2>', \$error);
like($help, qr/^usage:/, 'and the program takes its options') or diag($error);
$console->stop;

###############################################################################
# A server in trouble
###############################################################################

$console = BmWebhook::Console->new($bmw);
my $session = $console->session('anna', 'anna');
my $endpoint = $bmw->endpoint('/ok/shop', application => 'shop');
$bmw->sql(q{CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()), pg_sleep(600); END';
	CREATE TRIGGER die BEFORE UPDATE ON bm_webhook.endpoint FOR EACH STATEMENT EXECUTE FUNCTION die()});
my ($killed, $reason) = $session->post('pause', { endpoint => $endpoint });
like("$killed $reason->{message}", qr/^503 the connection to the database is lost: sign in again$/, 'a question during which its backend is killed');
$bmw->sql('DROP FUNCTION die() CASCADE');

# Each is in, or refused, before the next one comes; with that of $watcher, no more than these can be.
my $watcher = $bmw->session;
my @others;
until ($watcher->query_safe(q{SELECT count(*) = current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer - 1
	FROM pg_stat_activity WHERE usename = 'olga'}) eq 't')
{
	my $out = '';
	push @others, IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') . ' user=olga', '-c', q{SELECT 'in'}, '-c', 'SELECT pg_sleep(600)' ],
		'<', \undef, '>', \$out, '2>', \my $refusal);
	1 while $out !~ /in/ && $others[-1]->pumpable && $others[-1]->pump;
}
is_refused('the server has no connection left: try again later', 'a server without a connection left');
$watcher->query_safe(q{SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = 'olga'});
$_->finish for @others;
is(($console->sign_in('anna', 'anna'))[0], 200, 'when it has, it is used');
for (['ROLE anna', 'this user has as many connections as its role may have: end another, or try again later'],
	['DATABASE postgres', 'the database has as many connections as it may have: try again later'])
{
	my ($of, $said_of_it) = @$_;
	$watcher->query_safe("ALTER $of CONNECTION LIMIT 0");
	is_refused($said_of_it, "a limit of $of is not called the server's");
	$watcher->query_safe("ALTER $of CONNECTION LIMIT -1");
}
$watcher->quit;
is(($console->sign_in('x:  53300', 'x'))[0], 401, 'a name is not taken for what the server says');

$session = $console->session('anna', 'anna');
$node->restart;
my ($after, $sentence) = $session->get('overview');
like("$after $sentence->{message}", qr/^(401|503) the connection to the database is lost: sign in again$/, 'a session of before a restart');
is($console->session('anna', 'anna')->cookie ? 1 : 0, 1, 'the next one begins');

is($console->stop, 0, 'it ends');
$bmw->finish;

# BmWebhook::Console - bm_webhook_console as a process of this test, and what browsers send it.
#
#   my $bmw = BmWebhook->new(conf => $BmWebhook::Console::conf);
#   BmWebhook::Console::ask_for_passwords($bmw);
#   my $console = BmWebhook::Console->new($bmw);
#   my ($status, $json, $headers, $content) = $console->ask('GET', '/api/session', undef, cookie => $cookie);
#   my $session = $console->session('anna', 'password');
#   my ($status, $json, $content) = $session->get('overview', { n => 1 });

package BmWebhook::Console;

use strict;
use warnings FATAL => 'all';

use BmWebhook qw(wait_until);
use HTTP::Tiny;
use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils ();
use Test::More;

our $conf = "listen_addresses = '127.0.0.1'\npassword_encryption = 'scram-sha-256'\n";

my $json = JSON::PP->new->utf8->allow_nonref;

sub is_built { return grep { -x "$_/bm_webhook_console" } split /:/, $ENV{PATH} }

# Over TCP, from all but those who are to be trusted (lines of pg_hba.conf).
sub ask_for_passwords
{
	my ($bmw, $trusted) = @_;
	my $file = $bmw->node->data_dir . '/pg_hba.conf';

	unlink $file;
	PostgreSQL::Test::Utils::append_to_file($file,
		"local all all trust\n" . ($trusted // '') . "host all all 127.0.0.1/32 scram-sha-256\n");
	$bmw->node->reload;
	return;
}

sub command
{
	my ($bmw, @options) = @_;
	return ('bm_webhook_console', '--dbhost', '127.0.0.1', '--dbport', $bmw->node->port, '--dbname', 'postgres', @options);
}

# With these options; "PORT" in them becomes the port that it listens on.
sub new
{
	my ($class, $bmw, @options) = @_;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $self = bless { port => $port, url => "http://127.0.0.1:$port", log => '' }, $class;

	$self->{harness} = IPC::Run::start([ command($bmw, '--port', $port, map { s/PORT/$port/r } @options) ],
		'<', \undef, '>', \$self->{out}, '2>', \$self->{log});
	wait_until('the console listens', sub { $self->{harness}->pump_nb; $self->{log} =~ /listening/ });
	return $self;
}

# "make console", once it has said what to do: its process, which SIGTERM ends, and what it has printed.
sub start_demo
{
	my ($out, $err) = ('', '');

	local $ENV{CONSOLE_PORT} = PostgreSQL::Test::Cluster::get_free_port();
	my $demo = IPC::Run::start(['examples/console/run'], '<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(300));
	wait_until('it says what to do', sub { $demo->pump_nb; $out =~ /Ctrl-C/ || !$demo->pumpable });
	diag($err) if $err;
	return ($demo, $out);
}

# Returns its exit status.
sub stop_demo
{
	my ($demo) = @_;
	$demo->signal('TERM');
	$demo->finish;
	return $demo->result(0);
}

# Runs a script of test/console in a browser, whose checks become those of this test; config: see page.mjs. Returns what is missing for
# that, if something is, before any check. Without $bmw the script sees no database.
sub run_in_browser
{
	my ($bmw, $script, %config) = @_;
	my $tap = '';

	$config{database} = $bmw && { PGHOST => $bmw->node->host, PGPORT => $bmw->node->port, PGDATABASE => 'postgres' };
	eval { IPC::Run::run([ 'node', "test/console/$script", JSON::PP->new->encode(\%config) ], '<', \undef, '>', \$tap, IPC::Run::timeout(540)) } or diag($@);
	return $1 if $tap =~ /^(missing .*)/;
	for (split /\n/, $tap)
	{
		/^(not )?ok \d+ - (.*)/ ? ok(!$1, $2) : /^note: (.*)/ ? note($1) : /^#/ ? diag($_) : ();
	}
	like($tap, qr/^1\.\.\d+$/m, 'the browser came to its end');
	return;
}

# One that somebody else has started.
sub at
{
	my ($class, $url) = @_;
	return bless { url => $url }, $class;
}

sub pid { return $_[0]->{harness}{KIDS}[0]{PID} }
sub port { return $_[0]->{port} }
sub url { return $_[0]->{url} }

# What it has written by now.
sub log
{
	my ($self) = @_;
	$self->{harness}->pump_nb if $self->{harness}->pumpable;
	return $self->{log};
}

# Ends it; returns its exit status.
sub stop
{
	my ($self) = @_;
	$self->{harness}->signal('TERM');
	$self->{harness}->finish;
	return $self->{harness}->result(0);
}

# ask METHOD PATH BODY HEADER => VALUE...: the status, what the JSON says, the headers, the content
sub ask
{
	my ($self, $method, $path, $body, %headers) = @_;
	my $answer;

	# Without an answer (599) the console has as many connections of ours as it takes from one address.
	wait_until("an answer to $path", sub {
		$answer = HTTP::Tiny->new(timeout => 60)->request($method, $self->{url} . $path,
			{ headers => { 'content-type' => 'application/json', %headers }, defined $body ? (content => $body) : () });
		return $answer->{status} != 599;
	});
	return ($answer->{status}, eval { $json->decode($answer->{content}) } // {}, $answer->{headers}, $answer->{content});
}

# The status, what the JSON says, the cookie, the headers. The password may have escapes of JSON.
sub sign_in
{
	my ($self, $user, $password, %headers) = @_;
	my ($status, $said, $headers) = $self->ask('POST', '/api/login', qq({"user": "$user", "password": "$password"}), %headers);
	my ($cookie) = ($headers->{'set-cookie'} // '') =~ /^([^;]*)/;
	return ($status, $said, $cookie, $headers);
}

# Somebody who has signed in.
sub session
{
	my ($self, $user, $password) = @_;
	my ($status, $said, $cookie) = $self->sign_in($user, $password);

	die "$user could not sign in: $status $said->{message}\n" if $status != 200;
	return bless { console => $self, cookie => $cookie, csrf => $said->{csrf} }, 'BmWebhook::Console::Session';
}

package BmWebhook::Console::Session;

use strict;
use warnings FATAL => 'all';

# A question or an action, with this argument: the status, what the JSON says, the content.
sub get
{
	my ($self, $name, $argument) = @_;
	my $query = HTTP::Tiny->new->www_form_urlencode({ a => $json->encode($argument // {}) });
	return ($self->{console}->ask('GET', "/api/$name?$query", undef, cookie => $self->{cookie}))[ 0, 1, 3 ];
}

sub post
{
	my ($self, $name, $argument) = @_;
	return ($self->{console}->ask('POST', "/api/$name", $json->encode($argument // {}), cookie => $self->{cookie}, 'x-csrf' => $self->{csrf}))[ 0, 1, 3 ];
}

sub cookie { return $_[0]->{cookie} }
sub csrf { return $_[0]->{csrf} }

1;

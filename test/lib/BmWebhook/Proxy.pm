# BmWebhook::Proxy - a proxy as a process of this test: tinyproxy (HTTP) or microsocks (SOCKS5).
#
#   my $proxy = BmWebhook::Proxy->new('tinyproxy', credentials => 'user:password');
#   $proxy->url; $proxy->tunnels;
#
# It listens on 127.0.0.1 and ends with the test, however that ends.

package BmWebhook::Proxy;

use strict;
use warnings FATAL => 'all';

use IO::Socket::INET;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils ();
use Time::HiRes qw(time usleep);

sub new
{
	my ($class, $program, %options) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir('proxy');
	my $self = bless { program => $program, log => "$dir/log", port => PostgreSQL::Test::Cluster::get_free_port() }, $class;
	my @command = $program eq 'tinyproxy' ? _tinyproxy($self, $dir, %options) : _microsocks($self, %options);

	PostgreSQL::Test::Utils::append_to_file($self->{log}, '');
	$self->{process} = IPC::Run::start(\@command, '<', \undef, '>>', $self->{log}, '2>>', $self->{log});
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
	until (IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port}))
	{
		die "$program does not listen" if time > $deadline;
		usleep(20_000);
	}
	return $self;
}

sub _tinyproxy
{
	my ($self, $dir, %options) = @_;
	my ($user, $password) = split /:/, $options{credentials} // '', 2;
	PostgreSQL::Test::Utils::append_to_file("$dir/conf", "Port $self->{port}\nListen 127.0.0.1\nLogLevel Info\nTimeout 60\nMaxClients 50\n"
		  . ($options{to} ? "ConnectPort $options{to}\n" : '') . ($user ? "BasicAuth $user $password\n" : ''));
	return ('tinyproxy', '-d', '-c', "$dir/conf");
}

sub _microsocks
{
	my ($self, %options) = @_;
	my ($user, $password) = split /:/, $options{credentials} // '', 2;
	return ('microsocks', '-i', '127.0.0.1', '-p', $self->{port}, $user ? ('-u', $user, '-P', $password) : ());
}

sub port { return $_[0]{port} }

sub url
{
	my ($self) = @_;
	return ($self->{program} eq 'tinyproxy' ? 'http' : 'socks5') . "://127.0.0.1:$self->{port}";
}

# Where it was asked to connect to, as address:port or name:port, in order.
sub tunnels
{
	my ($self) = @_;
	my $log = $self->log;
	return $log =~ /CONNECT (\S+) HTTP/g if $self->{program} eq 'tinyproxy';
	return $log =~ /connected to (\S+)/g;
}

sub log { return PostgreSQL::Test::Utils::slurp_file($_[0]{log}) }

sub stop
{
	my ($self) = @_;
	$self->{process}->kill_kill if $self->{process};
	delete $self->{process};
	return;
}

sub DESTROY { $_[0]->stop }

1;

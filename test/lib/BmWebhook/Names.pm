# BmWebhook::Names - a name server as a process of this test (test/names/server.mjs).
#
#   my $names = BmWebhook::Names->new;
#   { local %ENV = (%ENV, $names->environment); $bmw = BmWebhook->new(...) }
#
# What is started with that environment asks it for names that are not in /etc/hosts.

package BmWebhook::Names;

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IPC::Run ();
use PostgreSQL::Test::Utils ();
use Time::HiRes qw(time usleep);

my $sources = abs_path(dirname(__FILE__) . '/../../names');

sub new
{
	my ($class) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir('names');
	my $self = bless { input => '', output => '', library => "$dir/preload.so" }, $class;

	PostgreSQL::Test::Utils::system_or_bail($ENV{CC} // 'cc', '-shared', '-fPIC', '-o', $self->{library}, "$sources/preload.c", '-ldl', '-lresolv');
	$self->{process} = IPC::Run::start([ 'node', "$sources/server.mjs", "$dir/port" ], '<', \$self->{input}, '>', \$self->{output});
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
	until (-s "$dir/port")
	{
		die 'the name server did not start' if time > $deadline;
		usleep(20_000);
	}
	($self->{port}) = PostgreSQL::Test::Utils::slurp_file("$dir/port") =~ /(\d+)/;
	return $self;
}

# What is preloaded already stays.
sub environment
{
	my ($self) = @_;
	return (BMW_TEST_NAME_SERVER => $self->{port}, LD_PRELOAD => join ' ', grep { length } $ENV{LD_PRELOAD} // '', $self->{library});
}

# How often it was asked for the IPv4 addresses of the name with this first label.
sub asked
{
	my ($self, $word) = @_;
	$self->{process}->pump_nb;
	return scalar(() = $self->{output} =~ /^$word 1$/mg);
}

sub DESTROY
{
	my ($self) = @_;
	local $?;
	$self->{process}->kill_kill if $self->{process};
	return;
}

1;

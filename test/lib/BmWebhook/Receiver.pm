# BmWebhook::Receiver - a receiver of webhooks (test/receiver/receiver.mjs) as a
# process of this test, and its control API.
#
# It counts by the last segment of the path it is asked at ("/fail/2/shop" is
# "shop"). Started again after stop() it has the same port and knows the same
# secrets, but has forgotten what arrived. It ends with the test, however that ends.

package BmWebhook::Receiver;

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Utils ();
use Time::HiRes qw(time usleep);

my $program = abs_path(dirname(__FILE__) . '/../../receiver/receiver.mjs');

# host: where it listens; tls_key, tls_cert: files, to listen for HTTPS as well; tls_client_ca: of whom
# clients must have a certificate; log: a file that gets a line of JSON for each request.
sub new
{
	my ($class, %options) = @_;
	my $self = bless {
		arguments => [],
		secrets => {},
		port => 0,
		port_file => PostgreSQL::Test::Utils::tempdir('receiver') . '/port',
		# what leads elsewhere in the environment is not for us
		client => HTTP::Tiny->new(timeout => 60, proxy => undef, http_proxy => undef, https_proxy => undef),
	}, $class;

	push @{ $self->{arguments} }, '--host', $options{host} if $options{host};
	push @{ $self->{arguments} }, '--tls-key', $options{tls_key}, '--tls-cert', $options{tls_cert}
	  if $options{tls_key};
	push @{ $self->{arguments} }, '--tls-client-ca', $options{tls_client_ca} if $options{tls_client_ca};
	push @{ $self->{arguments} }, '--log', $options{log} if $options{log};
	$self->start;
	return $self;
}

sub start
{
	my ($self) = @_;

	unlink $self->{port_file};
	$self->{pid} = open($self->{stdin}, '|-', 'node', $program, '--until-stdin-closes',
		'--port', $self->{port}, '--port-file', $self->{port_file}, @{ $self->{arguments} })
	  or die "could not start the receiver: $!";

	my $deadline = time + 30;
	until (-s $self->{port_file})
	{
		die "the receiver ended at its start" if waitpid($self->{pid}, 1) != 0;
		die "the receiver did not start" if time > $deadline;
		usleep(10_000);
	}
	($self->{port}, $self->{tls_port}) = split /\n/, PostgreSQL::Test::Utils::slurp_file($self->{port_file});
	$self->_tell_secrets($_) for keys %{ $self->{secrets} };
	return;
}

# From now on a connection is refused.
sub stop
{
	my ($self) = @_;
	my $pid = delete $self->{pid} or return;

	# close() waits for the process, and must not change what the test exits with
	local ($?, $!);
	kill 'TERM', $pid;
	close delete $self->{stdin};
	return;
}

sub DESTROY
{
	my ($self) = @_;
	$self->stop;
	return;
}

sub port { return $_[0]->{port} }
sub url { return "http://127.0.0.1:$_[0]->{port}$_[1]" }
sub tls_url { return "https://127.0.0.1:$_[0]->{tls_port}$_[1]" }

# All counts of a name (see receiver.mjs), or one of them.
sub counts { return $_[0]->_control('counts', name => $_[1]) }
sub count { return $_[0]->counts($_[1])->{ $_[2] } }

# What it has counted, by name.
sub all_counts { return $_[0]->_control('counts') }

# Connections that have brought no request.
sub silent { return $_[0]->_control('silent')->{silent} }

# The first 100 requests: at_us, method, path, headers, body, verified, from, to (the
# address that it came to).
sub requests { return @{ $_[0]->_control('requests', name => $_[1]) } }

# Every request: id, at_us, status (0: not answered), opened_us (its connection).
sub arrivals
{
	my ($self, $name) = @_;
	return map {
		my ($id, $at_us, $status, $opened_us) = split / /;
		{ id => $id, at_us => $at_us, status => $status, opened_us => $opened_us }
	} split /\n/, $self->_get('arrivals', name => $name);
}

# Until everything has been counted that had been sent before: connections are
# accepted in their order, so when a new one of ours has been answered, those
# before it have been accepted, and a round later read.
sub catch_up
{
	my ($self) = @_;
	my $client = HTTP::Tiny->new(keep_alive => 0, timeout => 60, proxy => undef, http_proxy => undef);

	for (1 .. 2)
	{
		my $answer = $client->get("http://127.0.0.1:$self->{port}/_control/silent");
		die "receiver: $answer->{status} $answer->{content}" unless $answer->{success};
	}
	return;
}

# From now on the name behaves as this path says, e.g. "status/500"; undef: as
# the path of the request says.
sub behave
{
	my ($self, $name, $as) = @_;
	$self->_control('behave', name => $name, defined $as ? (as => $as) : ());
	return;
}

# Answers what hangs with 204; returns how many requests that were.
sub release { return $_[0]->_control('release', name => $_[1])->{released} }

# Switches the faults of faults.mjs on or off; the receiver may refuse this request, too.
sub set_faults
{
	my ($self, $is_on) = @_;
	my $deadline = time + 30;

	until (eval { $self->_control('faults', on => $is_on) })
	{
		die $@ if time > $deadline;
		usleep(50_000);
	}
	return;
}

# From now on every signature of the name is verified, with each of these.
sub set_secrets
{
	my ($self, $name, @secrets) = @_;
	$self->{secrets}{$name} = [@secrets];
	$self->_tell_secrets($name);
	return;
}

# Forgets what arrived, for this name or for all.
sub reset
{
	my ($self, $name) = @_;
	$self->_control('reset', defined $name ? (name => $name) : ());
	return;
}

sub _tell_secrets
{
	my ($self, $name) = @_;
	$self->_control('secret', name => $name, secret => $self->{secrets}{$name});
	return;
}

sub _control
{
	my ($self, @command) = @_;
	return decode_json($self->_get(@command));
}

sub _get
{
	my ($self, $command, @query) = @_;
	my $answer = $self->{client}->get("http://127.0.0.1:$self->{port}/_control/$command?"
		  . $self->{client}->www_form_urlencode([@query]));

	die "receiver: $command: $answer->{status} $answer->{content}" unless $answer->{success};
	return $answer->{content};
}

1;

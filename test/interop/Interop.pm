# Interop - runs the examples and the programs of others beside a BmWebhook.

package Interop;

use strict;
use warnings FATAL => 'all';

use BmWebhook qw(wait_until);
use Cwd qw(abs_path);
use Exporter 'import';
use File::Basename qw(dirname);
use File::Copy ();
use File::Spec;
use HTTP::Tiny;
use IPC::Run ();
use JSON::PP;
use PostgreSQL::Test::Utils ();
use Test::More;

our @EXPORT = qw(example has_program run_psql run_node start_program bodies_are_valid post);

my $here = abs_path(dirname(__FILE__));
my $examples = abs_path("$here/../../examples");
my $node_modules = abs_path("$here/../node_modules");

sub example { return "$examples/$_[0]" }

sub has_program
{
	my ($name) = @_;
	return scalar grep { -x "$_/$name" } File::Spec->path;
}

# Runs a psql script of the examples in this database and returns what it
# prints; variables as named. The test ends when it fails.
sub run_psql
{
	my ($bmw, $database, $script, %variables) = @_;
	my ($output, $errors);
	my @command = ('psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', map { ('-v', "$_=$variables{$_}") } sort keys %variables);

	IPC::Run::run([ @command, '-d', $bmw->node->connstr($database), '-f', example($script) ],
		'<', \undef, '>', \$output, '2>', \$errors)
	  or die "$script failed: $errors";
	note("$script: $errors") if $errors;
	chomp $output;
	return $output;
}

# Runs a program of test/interop with this as JSON, and returns what it answers.
sub run_node
{
	my ($program, $input) = @_;
	my ($output, $errors);
	my $json = JSON::PP->new->utf8->canonical;

	IPC::Run::run([ 'node', "$here/$program" ], '<', \$json->encode($input), '>', \$output, '2>', \$errors)
	  or die "$program failed: $errors";
	return $json->decode($output);
}

# Starts a program that says at which http://127.0.0.1:PORT it listens, in a
# folder of its own; ends with what is returned: { url, folder, output }.
# environment: more variables. copy: examples that it needs in its folder.
sub start_program
{
	my ($command, %options) = @_;
	my $folder = PostgreSQL::Test::Utils::tempdir('program');
	my $self = bless { folder => $folder, output => '' }, 'Interop::Program';
	my %environment = (PORT => 0, %{ $options{environment} // {} });

	File::Copy::copy(example($_), $folder) or die "could not copy $_: $!" for @{ $options{copy} // [] };
	# where Node looks for packages: beside the program
	symlink $node_modules, "$folder/node_modules" or die "could not link: $!";
	local @ENV{ keys %environment } = values %environment;
	$self->{harness} = IPC::Run::start($command, '<', \undef, '>&', \$self->{output}, init => sub { chdir $folder or die "chdir: $!" });
	wait_until("@$command listens", sub {
		$self->{harness}->pump_nb;
		die "@$command ended: $self->{output}" unless $self->{harness}->pumpable;
		($self->{url}) = $self->{output} =~ m{(http://127\.0\.0\.1:\d+)};
	});
	return $self;
}

# Sends a request as the receiver kept it, perhaps changed; returns the status.
sub post
{
	my ($url, $headers, $body) = @_;
	my %headers = map { $_ => $headers->{$_} } grep { /^(webhook-|content-type$)/ } keys %$headers;
	my $client = HTTP::Tiny->new(timeout => 60, proxy => undef, http_proxy => undef, https_proxy => undef);

	utf8::encode($body);
	return $client->post($url, { headers => \%headers, content => $body })->{status};
}

# One test: these bodies are what event_type.schema says of their types. At
# least one of each of the types.
sub bodies_are_valid
{
	my ($bmw, $database, $description, $types, @bodies) = @_;
	my $schemas = decode_json($bmw->sql(
		'SELECT coalesce(jsonb_object_agg(name, schema), \'{}\') FROM bm_webhook.event_type WHERE schema IS NOT NULL', $database));
	my $result = run_node('validate.mjs', { schemas => $schemas, bodies => \@bodies });
	my %count = %{ $result->{types} };
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is_deeply($result->{errors}, [], "$description: " . @bodies . ' bodies are what the schemas say');
	is_deeply([ grep { !$count{$_} } @$types ], [], "$description: of each type, " . join ' ', @$types);
	return;
}

package Interop::Program;

use strict;
use warnings FATAL => 'all';

sub url { return $_[0]{url} . ($_[1] // '') }
sub folder { return $_[0]{folder} }

# What it has printed so far.
sub output
{
	my ($self) = @_;
	$self->{harness}->pump_nb if $self->{harness}->pumpable;
	return $self->{output};
}

sub stop
{
	my ($self) = @_;
	my $harness = delete $self->{harness} or return;

	local ($?, $!, $@);
	$harness->kill_kill(grace => 5);
	return;
}

sub DESTROY
{
	my ($self) = @_;
	$self->stop;
	return;
}

1;

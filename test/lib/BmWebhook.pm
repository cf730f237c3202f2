# BmWebhook - one server that preloads the extension and one receiver, for one
# TAP test; both end with it.
#
#   my $bmw = BmWebhook->new;
#   $bmw->endpoint('/ok/shop');
#   my $event = $bmw->emit('order.paid');
#   $bmw->wait_for_requests('shop', 1);
#   $bmw->finish;
#
# Nothing here sleeps for a fixed time: what is expected is waited for, and what
# must not happen is looked for after settle(), when it would have happened.

package BmWebhook;

use strict;
use warnings FATAL => 'all';

# Before the modules below read it: a test that waits for longer has failed.
BEGIN { $ENV{PG_TEST_TIMEOUT_DEFAULT} ||= 60 }

use BmWebhook::Receiver;
use Exporter 'import';
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils ();
use Scalar::Util qw(weaken);
use Test::More;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(wait_until percentile quote);

my $last;    # the one of this test, for _explain()

my $conf = q{
restart_after_crash = on
log_statement = none
max_prepared_transactions = 10
max_worker_processes = 16
bm_webhook.shards = 1
bm_webhook.allowed_networks = '127.0.0.0/8'
bm_webhook.require_https = off
};

# conf: lines for postgresql.conf
# preload => 0: the library is not preloaded
# extension => 0: it is not created in the database postgres
# hosts: what the server finds in /etc/hosts (see set_hosts)
# receiver: options of BmWebhook::Receiver
# files => [soft, hard]: the limits of open files that it is started with
# install_path: of another PostgreSQL
# streaming: a standby can be made of it
sub new
{
	my ($class, %options) = @_;
	my $self = bless {
		node => PostgreSQL::Test::Cluster->new('main', $options{install_path} ? (install_path => $options{install_path}) : ()),
		receiver => BmWebhook::Receiver->new(%{ $options{receiver} // {} }),
	}, $class;

	weaken($last = $self);
	$self->{node}->init(allows_streaming => $options{streaming} // 0);
	$self->{node}->append_conf('postgresql.conf',
		$conf . "shared_preload_libraries = ''\n" . ($options{conf} // ''));
	$self->preload($options{preload} // 1);
	$self->set_hosts($options{hosts}) if $options{hosts};
	$self->{files} = $options{files};
	$self->start;
	$self->sql('CREATE EXTENSION bm_webhook') if $options{extension} // 1;
	return $self;
}

sub node { return $_[0]->{node} }
sub receiver { return $_[0]->{receiver} }

###############################################################################
# The server
###############################################################################

# Whether the library is preloaded from the next start on.
sub preload
{
	my ($self, $is_on) = @_;
	$self->{node}->adjust_conf('postgresql.conf', 'shared_preload_libraries', $is_on ? "'bm_webhook'" : "''");
	return;
}

sub start
{
	my ($self) = @_;
	my $node = $self->{node};

	return $node->start unless $self->{hosts} || $self->{files};

	# What Cluster::start does, in a mount namespace of its own or with limits of its own.
	my @around;
	@around = (_unshare(), 'sh', '-c', 'mount --bind "$1" /etc/hosts && shift && exec "$@"', 'sh', $self->{hosts})
	  if $self->{hosts};
	push @around, 'sh', '-c', 'ulimit -Sn "$1" && ulimit -Hn "$2" && shift 2 && exec "$@"', 'sh', @{ $self->{files} }
	  if $self->{files};
	local $ENV{PGAPPNAME};
	delete $ENV{PGAPPNAME};
	PostgreSQL::Test::Utils::system_or_bail(@around,
		'pg_ctl', '-w', '-D', $node->data_dir, '-l', $node->logfile, 'start');
	$node->_update_pid(1);
	return;
}

# The server, and only the server, finds this in /etc/hosts, at once.
sub set_hosts
{
	my ($self, $text) = @_;
	$self->{hosts} //= PostgreSQL::Test::Utils::tempdir('hosts') . '/hosts';
	open my $file, '>', $self->{hosts} or die "could not write $self->{hosts}: $!";
	print $file $text;
	close $file;
	return;
}

# Can an unprivileged user have an /etc/hosts of his own here?
sub can_set_hosts
{
	return PostgreSQL::Test::Utils::run_log([ _unshare(), 'mount', '--bind', '/etc/hosts', '/etc/hosts' ]);
}

sub _unshare { return qw(unshare --user --mount --map-current-user --keep-caps --) }

# Sets a setting of the server, for all and from now on.
sub set
{
	my ($self, $name, $value) = @_;
	$self->sql("ALTER SYSTEM SET $name = " . quote($value));
	$self->{node}->reload;
	return;
}

sub sql
{
	my ($self, $sql, $database) = @_;
	return $self->{node}->safe_psql($database // 'postgres', $sql);
}

# The SQLSTATE that the command fails with; '' when it succeeds.
sub sqlstate
{
	my ($self, $sql, $database) = @_;
	my $stderr;

	$self->{node}->psql($database // 'postgres', $sql, stderr => \$stderr,
		extra_params => [ '-v', 'VERBOSITY=sqlstate' ]);
	return $stderr =~ /(?:ERROR|FATAL):\s+(\w{5})/ ? $1 : $stderr;
}

# A session that stays; it may last as long as the test.
sub session
{
	my ($self, $database) = @_;
	return $self->{node}->background_psql($database // 'postgres', timeout => 300);
}

# Makes a cluster to which pg_upgrade can take this one: from 18 on, a new one has checksums unless told otherwise.
sub init_successor
{
	my ($self, $new) = @_;
	my $differs = $self->{node}->pg_version < 18 && $new->pg_version >= 18;

	$new->init(extra => $differs ? ['--no-data-checksums'] : []);
	return;
}

# Kills this process of the server, which has a crash then, and waits until it
# takes connections again. The process is there until the server knows of its
# end: before that a connection would be accepted, to break soon.
sub kill_and_recover
{
	my ($self, $pid) = @_;
	kill 'KILL', $pid or die "could not kill process $pid: $!";
	wait_until('the server knows that the process has ended', sub { !kill 0, $pid });
	return $self->wait_until_up;
}

# After a crash: until the server takes connections again.
sub wait_until_up
{
	my ($self) = @_;
	my @psql = ('psql', '-XAtq', '-d', $self->{node}->connstr('postgres'), '-c', 'SELECT');

	# not by psql(): what it writes to a psql that has ended already kills the test
	return wait_until('the server is up', sub { IPC::Run::run(\@psql, '<', \undef, '>', \my $out, '2>', \my $err) });
}

# Starts pgbench with this script; finish() what is returned.
sub pgbench
{
	my ($self, $script, @arguments) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir('pgbench') . '/script';
	my $node = $self->{node};
	my $output = '';

	PostgreSQL::Test::Utils::append_to_file($file, $script);
	return IPC::Run::start(
		[ 'pgbench', '-n', '-f', $file, '-h', $node->host, '-p', $node->port, @arguments, 'postgres' ],
		'<', \undef, '>&', sub { $output .= $_[0] });
}

sub quote
{
	my ($value) = @_;
	return 'NULL' unless defined $value;
	return "'" . $value =~ s/'/''/gr . "'";
}

###############################################################################
# The extension
###############################################################################

# Registers an endpoint at this path of the receiver (or whole URL), tells the
# receiver its secrets, and returns its id. database and columns as named.
sub endpoint
{
	my ($self, $path, %columns) = @_;
	my $database = delete $columns{database};

	$columns{url} = $path =~ /^http/ ? $path : $self->{receiver}->url($path);
	my @names = sort keys %columns;
	my $id = $self->sql('INSERT INTO bm_webhook.endpoint (' . join(', ', @names)
		  . ') VALUES (' . join(', ', map { quote($columns{$_}) } @names) . ') RETURNING id', $database);
	$self->share_secrets($id, $path =~ s{.*/}{}r, $database);
	return $id;
}

# The same at /ok/NAME, for events test.NAME; its secret may be stored encrypted.
sub named_endpoint
{
	my ($self, $name, %columns) = @_;
	my $id = $self->endpoint("/ok/$name", event_types => "{test.$name}", %columns);
	$self->{receiver}->set_secrets($name, $self->sql("SELECT bm_webhook.secret($id)"));
	return $id;
}

# The receiver verifies the name's requests with all secrets of the endpoint.
sub share_secrets
{
	my ($self, $id, $name, $database) = @_;
	my @secrets = split /\n/,
	  $self->sql("SELECT secret FROM bm_webhook.endpoint_secret WHERE endpoint_id = $id ORDER BY id", $database);
	$self->{receiver}->set_secrets($name, @secrets);
	return;
}

# The SQL of a call of emit(), with these arguments beside the type.
sub emit_call
{
	my ($self, $type, %arguments) = @_;
	$arguments{data} //= '{}';
	return 'bm_webhook.emit(type => ' . quote($type)
	  . join('', map { ", $_ => " . quote($arguments{$_}) } sort keys %arguments) . ')';
}

# Emits an event in a transaction of its own and returns its id.
sub emit
{
	my ($self, $type, %arguments) = @_;
	my $database = delete $arguments{database};
	return $self->sql('SELECT ' . $self->emit_call($type, %arguments), $database);
}

# Emits so many in one transaction.
sub emit_many
{
	my ($self, $count, $type, $database) = @_;
	$self->sql("SELECT count(bm_webhook.emit(type => '$type', data => jsonb_build_object('n', n))) "
		  . "FROM generate_series(1, $count) n", $database);
	return;
}

# One column of status() for the database.
sub status
{
	my ($self, $column, $database) = @_;
	$database //= 'postgres';
	return $self->sql("SELECT $column FROM bm_webhook.status() WHERE database = " . quote($database), $database);
}

# Returns the process id of the dispatcher of the database (of several that of
# one), once it runs (all of them).
sub dispatcher
{
	my ($self, $database) = @_;
	my $pid;
	wait_until('a dispatcher runs', sub {
		$pid = $self->status("CASE WHEN bool_and(state = 'running') THEN min(pid) END", $database);
	});
	return $pid;
}

# Stops the dispatcher where it waits, so that it holds no lock that others need,
# and returns its process id: kill CONT makes it go on.
sub freeze_dispatcher
{
	my ($self) = @_;
	my $pid = $self->dispatcher;

	wait_until('the dispatcher is stopped where it waits', sub {
		kill STOP => $pid;
		return 1 if $self->sql("SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = $pid") eq 't';
		kill CONT => $pid;
		return 0;
	});
	return $pid;
}

###############################################################################
# Waiting
###############################################################################

# Until the condition is true; returns its value. Ends the test when it is not
# within a minute.
sub wait_until
{
	my ($what, $condition, $seconds) = @_;
	my $deadline = time + ($seconds // $PostgreSQL::Test::Utils::timeout_default);
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	while (1)
	{
		my $value = $condition->();
		return $value if $value;
		if (time > $deadline)
		{
			fail("in time: $what");
			_explain();
			die "timed out waiting until $what\n";
		}
		usleep(20_000);
	}
}

# Until the query returns true.
sub wait_for_sql
{
	my ($self, $what, $query, $database) = @_;
	return wait_until($what, sub { $self->sql($query, $database) eq 't' });
}

# Until the receiver has got so many requests for the name, or so much of another count.
sub wait_for_requests
{
	my ($self, $name, $count, $kind) = @_;
	$kind //= 'requests';
	return wait_until("$name has $count $kind", sub { $self->{receiver}->count($name, $kind) >= $count });
}

# Until these events have been delivered everywhere.
sub wait_for_delivery
{
	my ($self, $event, $database) = @_;
	my $seconds = $PostgreSQL::Test::Utils::timeout_default;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is($self->sql("SELECT bm_webhook.wait_for_delivery('$event', '$seconds s')", $database), 't',
		'delivered');
	return;
}

# Until everything that was committed before has been taken in and, but for what
# waits for a later attempt, sent and recorded. Then nothing more is to come, but
# what waits in the table for its turn after others of its message.
# in_flight: so many requests stay open; others may wait behind them.
sub settle
{
	my ($self, %options) = @_;
	my $database = $options{database} // 'postgres';
	my $in_flight = $options{in_flight} // 0;

	$self->{settled}{$database} //=
	  $self->endpoint('/ok/settled', event_types => '{test.settled}', database => $database);
	my $event = $self->emit('test.settled', endpoint => $self->{settled}{$database}, database => $database);
	$self->wait_for_sql('a last event is delivered',
		"SELECT bm_webhook.wait_for_delivery('$event', '1 s')", $database);
	$self->wait_for_sql("$in_flight are in flight, and the others are recorded",
		"SELECT sum(in_flight) = $in_flight AND ($in_flight > 0 OR sum(queued) = 0) AND sum(unrecorded) = 0 "
		  . "FROM bm_webhook.status() WHERE database = '$database'", $database);
	return;
}

###############################################################################
# Judging
###############################################################################

# One test: the events whose ids the query returns are those that the name
# answered with success, and each of them once.
sub arrived_exactly_once
{
	my ($self, $name, $query, $description, $database) = @_;
	my $comparison = $self->compare($name, $query, $database);
	my %wrong = map { $_ => scalar @{ $comparison->{$_} } } qw(missing foreign repeated);
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is_deeply(\%wrong, { missing => 0, foreign => 0, repeated => 0 }, $description) and return 1;
	diag("$_: " . join ' ', grep { defined } @{ $comparison->{$_} }[0 .. 4]) for qw(missing foreign repeated);
	return 0;
}

# What arrived with success against the ids of the query: ids that are missing,
# ids that were not expected, and ids that arrived more than once.
sub compare
{
	my ($self, $name, $query, $database) = @_;
	my %expected = map { $_ => 1 } split /\n/, $self->sql($query, $database);
	my %arrived;

	$arrived{ $_->{id} }++ for grep { $_->{status} =~ /^2/ } $self->{receiver}->arrivals($name);
	return {
		missing => [ grep { !$arrived{$_} } sort keys %expected ],
		foreign => [ grep { !$expected{$_} } sort keys %arrived ],
		repeated => [ grep { $arrived{$_} > 1 } sort keys %arrived ],
	};
}

# How many messages of the level LOG the server has logged that begin like this.
sub lines_logged
{
	my ($self, $pattern) = @_;
	return scalar(() = PostgreSQL::Test::Utils::slurp_file($self->{node}->logfile) =~ /LOG:  $pattern/g);
}

# From end of emit() to arrival, in ms, of the events of this type at this name.
sub latencies
{
	my ($self, $name, $type) = @_;
	my %at;

	$at{ $_->{id} } //= $_->{at_us} for $self->{receiver}->arrivals($name);
	return map {
		my ($id, $emitted_us) = split /\|/;
		defined $at{$id} ? ($at{$id} - $emitted_us) / 1000 : ()
	} split /\n/, $self->sql("SELECT id, (extract(epoch FROM created_at) * 1e6)::bigint FROM bm_webhook.event "
		  . 'WHERE type = ' . quote($type));
}

# percentile(50, @values) is the median.
sub percentile
{
	my ($percent, @values) = @_;
	@values = sort { $a <=> $b } @values;
	return $values[ int($percent / 100 * $#values + 0.5) ];
}

# The last tests of a script: every signature that ever arrived was right, and
# the server's log has no crash and no error of a background process, but for
# lines that match `expected`.
sub finish
{
	my ($self, %options) = @_;
	my $expected = $options{expected} // qr/(?!)/;
	my $all = $self->{receiver}->all_counts;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is_deeply([ grep { $all->{$_}{bad_signatures} } sort keys %$all ], [], 'every signature was right');
	$self->{node}->stop('fast');

	# Lines of sessions have the application's name before the level.
	my @wrong = grep {
		/^\S+ \S+ \S+ \[\d+\] (ERROR|FATAL|PANIC|WARNING):/
		  || /was terminated by signal|exited with exit code [^01]|TRAP:|Sanitizer|stack smashing|runtime error:|^==\d+== +\S/
	} split /\n/, PostgreSQL::Test::Utils::slurp_file($self->{node}->logfile);
	@wrong = grep { !/$expected/ && !/autovacuum|due to administrator command|the database system is/ } @wrong;
	is_deeply(\@wrong, [], 'the log has no error that nobody expected');
	done_testing();
	return;
}

# Why something waited for did not come.
sub _explain
{
	my $self = $last or return;
	my $status = '';

	$self->{node}->psql('postgres', 'SELECT * FROM bm_webhook.status()', stdout => \$status);
	diag("status: $status");
	my @log = split /\n/, PostgreSQL::Test::Utils::slurp_file($self->{node}->logfile);
	diag(join "\n", 'end of the log:', @log > 15 ? @log[ -15 .. -1 ] : @log);
	return;
}

1;

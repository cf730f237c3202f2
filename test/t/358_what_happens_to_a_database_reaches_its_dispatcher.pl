# Owner, settings and limits of a database, and what becomes of roles, leave its dispatcher at work, now and when it is
# started anew. One that nobody may connect to, or that is a template now, is served no longer, and is again when that is
# over. With max_worker_processes = 1 events are captured, and sent after a restart with more. The log has no line about
# each attempt.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;

my $bmw = BmWebhook->new(conf => "max_worker_processes = 1\n");
my $node = $bmw->node;
my $receiver = $bmw->receiver;

# No worker at all.
$bmw->endpoint('/ok/first');
my $waiting = $bmw->emit('test.event');
is($bmw->status('state, reason'), 'not running|the launcher is not running: max_worker_processes may be used up', 'status() says what is missing');
$node->adjust_conf('postgresql.conf', 'max_worker_processes', '16');
$node->restart;
$bmw->wait_for_delivery($waiting);

$bmw->sql('CREATE DATABASE second');
$bmw->sql('CREATE EXTENSION bm_webhook', 'second');
$bmw->endpoint('/ok/second', database => 'second');

# Its process, once it runs; asked in another database.
sub dispatcher
{
	my $pid;
	wait_until('a dispatcher runs', sub {
		$pid = $bmw->sql(q{SELECT pid FROM bm_webhook.status() WHERE database = 'second' AND state = 'running'});
	});
	return $pid;
}

sub is_served
{
	my ($how) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $pid = dispatcher();
	$bmw->wait_for_delivery($bmw->emit('test.event', database => 'second'), 'second');
	$bmw->sql("SELECT pg_terminate_backend($pid, 10000)");
	wait_until("$how: it is started anew", sub { dispatcher() != $pid });
	$bmw->wait_for_delivery($bmw->emit('test.event', database => 'second'), 'second');
	return is($bmw->status('last_error', 'second'), '', "$how: there was no error");
}

# What is set for a database or a role, unfriendly as it may be.
my %settings = (
	default_transaction_read_only => 'on', default_transaction_isolation => 'serializable', default_transaction_deferrable => 'on',
	statement_timeout => '1ms', lock_timeout => '1ms', idle_in_transaction_session_timeout => '1ms', search_path => 'nowhere',
	TimeZone => 'Asia/Kathmandu', DateStyle => 'SQL, DMY', IntervalStyle => 'iso_8601', bytea_output => 'escape', row_security => 'off',
	standard_conforming_strings => 'off', client_min_messages => 'error', log_statement => 'none', default_tablespace => 'pg_default', xmloption => 'document',
	session_replication_role => 'replica', synchronous_commit => 'off', extra_float_digits => '-15', enable_indexscan => 'off',
	transform_null_equals => 'on', array_nulls => 'off', quote_all_identifiers => 'on', role => 'nobody', temp_tablespaces => '',
	check_function_bodies => 'off', from_collapse_limit => '1', force_parallel_mode => 'on', plan_cache_mode => 'force_custom_plan', exit_on_error => 'on');
my %known = map { $_ => 1 } split /\n/, $bmw->sql('SELECT lower(name) FROM pg_settings');
$bmw->sql('CREATE ROLE nobody; CREATE ROLE admin SUPERUSER LOGIN');
for my $name (grep { $known{ lc $_ } || $_ eq 'role' } sort keys %settings)
{
	my $value = $name eq 'search_path' || $name eq 'DateStyle' ? $settings{$name} : quote($settings{$name});
	$bmw->sql("ALTER DATABASE second SET $name = $value");
}
$bmw->sql("ALTER ROLE bm_webhook SET $_ = " . quote($settings{$_})) for qw(default_transaction_read_only statement_timeout);
my $superuser = $bmw->sql('SELECT rolname FROM pg_roles WHERE oid = 10');
my $pid = dispatcher();
$bmw->sql("SELECT pg_terminate_backend($pid, 10000)");
wait_until('it is started with these settings', sub { dispatcher() != $pid });
$bmw->sql('ALTER DATABASE second RESET ALL');
# The transaction that emits has none of them any more, but the dispatcher has.
$bmw->wait_for_delivery($bmw->emit('test.event', database => 'second'), 'second');
is($bmw->status('last_error', 'second'), '', 'settings: there was no error');

# Owners and roles.
$bmw->sql('CREATE ROLE keeper; ALTER DATABASE second OWNER TO keeper');
is_served('another owner');
$bmw->sql("ALTER DATABASE second OWNER TO nobody; DROP ROLE keeper; ALTER DATABASE second CONNECTION LIMIT 0");
is_served('the owner dropped, no connections left');
$bmw->sql('REVOKE ALL ON DATABASE second FROM PUBLIC; ALTER ROLE bm_webhook CONNECTION LIMIT 0');
is_served('nobody has the right to connect');
$bmw->sql(q{CREATE ROLE shop; INSERT INTO bm_webhook.application (name, owner) VALUES ('shop', 'shop'); DROP ROLE shop}, 'second');
is_served('the owner of an application dropped');
isnt($bmw->sqlstate('DROP ROLE bm_webhook'), '', 'the role of the log cannot be dropped');
is_served('nor is that noticed');

# Nobody may connect; a template.
for my $command ('ALLOW_CONNECTIONS', 'IS_TEMPLATE')
{
	my $value = $command eq 'IS_TEMPLATE' ? 'true' : 'false';
	my $back = $command eq 'IS_TEMPLATE' ? 'false' : 'true';

	$bmw->sql("ALTER DATABASE second $command $value");
	$bmw->wait_for_sql("$command: it is served no longer", q{SELECT count(*) = 0 FROM bm_webhook.status() WHERE database = 'second'});
	$bmw->sql("ALTER DATABASE second $command $back");
	is_served("$command again");
}

my $log = slurp_file($node->logfile);
is(scalar(() = $log =~ /FATAL/g), scalar(() = $log =~ /FATAL:  terminating (background worker|connection)/g), 'no dispatcher was started in vain');
$bmw->finish(expected => qr/too many background workers/);

# Settings, rights and limits of the database that a dispatcher works in, changed by an administrator who thinks of other
# things: what it can do without, it does without; what it needs, it waits for, and says so. Everything arrives, once. (Outcomes
# that it may not write may be set aside, like others that the log refuses.)

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
$bmw->sql('CREATE ROLE app SUPERUSER LOGIN');

sub settings
{
	my ($whose, @settings) = @_;
	my @undo = map { "ALTER $whose RESET " . (split)[0] } @settings;
	return { bring => join('; ', map { "ALTER $whose SET " . join(' = ', split / /, $_, 2) } @settings), undo => join('; ', @undo) };
}
my @odd = ('default_transaction_read_only on', q{default_transaction_isolation 'serializable'}, 'default_transaction_deferrable on', 'statement_timeout 1',
	'lock_timeout 1', 'idle_in_transaction_session_timeout 1', 'idle_session_timeout 1', 'row_security off', 'enable_indexscan off', 'enable_seqscan off',
	'work_mem 64', q{search_path 'nowhere'}, q{session_replication_role 'replica'}, 'check_function_bodies off', q{bytea_output 'escape'},
	q{DateStyle 'SQL, DMY'}, q{IntervalStyle 'sql_standard'}, q{TimeZone 'Asia/Kathmandu'}, 'extra_float_digits -15', 'transform_null_equals on',
	'xmloption document', 'quote_all_identifiers on', 'escape_string_warning off', 'standard_conforming_strings off', 'array_nulls off', 'commit_delay 100000', 'exit_on_error on');
my $revoked = join ', ', map { "bm_webhook.$_" } qw(delivery failed_attempt cursor endpoint endpoint_secret application);

# bring and undo: SQL; is_stopped: it cannot work meanwhile; is_closed: nor can anybody else connect.
my %trouble = (
	'settings of the database' => settings('DATABASE postgres', @odd),
	'settings of the role' => settings('ROLE bm_webhook', @odd),
	'settings of the role in this database' => settings('ROLE bm_webhook IN DATABASE postgres', @odd),
	'settings of all roles' => settings('ROLE ALL', @odd),
	'a limit of connections' => { bring => 'ALTER ROLE bm_webhook CONNECTION LIMIT 0; ALTER DATABASE postgres CONNECTION LIMIT 0',
		undo => 'ALTER ROLE bm_webhook CONNECTION LIMIT -1; ALTER DATABASE postgres CONNECTION LIMIT -1' },
	'a database that takes no connections' => { bring => 'UPDATE pg_database SET datallowconn = false WHERE datname = \'postgres\'', is_closed => 1,
		undo => 'UPDATE pg_database SET datallowconn = true WHERE datname = \'postgres\'' },
	'no right to write the log' => { bring => 'REVOKE INSERT, UPDATE ON bm_webhook.delivery FROM bm_webhook', is_stopped => 1,
		undo => 'GRANT INSERT, UPDATE ON bm_webhook.delivery TO bm_webhook' },
	'no right to any table' => { bring => "REVOKE ALL ON $revoked FROM bm_webhook", is_stopped => 1, undo => "GRANT ALL ON $revoked TO bm_webhook" },
	'the role has another name' => { bring => 'ALTER ROLE bm_webhook RENAME TO another', undo => 'ALTER ROLE another RENAME TO bm_webhook' },
);

$bmw->sql('CREATE DATABASE outside');
sub outside { return $bmw->sql($_[0], 'outside') }

my $nth = 0;
for my $name (sort keys %trouble)
{
	for my $how ('goes on', 'starts anew')
	{
		my $trouble = $trouble{$name};
		my $to = 't' . ++$nth;
		my $session = $bmw->session;    # it was there before, and emits with what it began with
		my $id = $bmw->endpoint("/ok/$to", event_types => "{test.$to}");
		my $pid = $bmw->dispatcher;

		$trouble->{is_closed} ? outside($trouble->{bring}) : $bmw->sql($trouble->{bring});
		if ($how eq 'starts anew')
		{
			kill 'TERM', $pid;
			wait_until('the dispatcher has ended', sub { !kill 0, $pid });
		}
		$session->query_safe("SELECT count(bm_webhook.emit(type => 'test.$to', data => '{}')) FROM generate_series(1, 20)");
		if ($trouble->{is_stopped})
		{
			wait_until("$name: it says so", sub { $bmw->status('last_error') =~ /permission denied/ });
			pass("$name, and a dispatcher $how: status() says so");
		}
		elsif (!$trouble->{is_closed})
		{
			$bmw->wait_for_requests($to, 20);
			pass("$name, and a dispatcher $how: it works nevertheless");
		}
		$trouble->{is_closed} ? outside($trouble->{undo}) : $session->query_safe($trouble->{undo});
		$session->quit;
		wait_until('all are recorded', sub {
			$bmw->sql('SELECT bm_webhook.retry_set_aside()');
			$bmw->sql("SELECT count(*) = 20 FROM bm_webhook.delivery WHERE endpoint_id = $id AND status = 'delivered' AND attempts = 1") eq 't';
		});
		$bmw->settle;
		$bmw->arrived_exactly_once($to, "SELECT id FROM bm_webhook.event WHERE type = 'test.$to'", "$name, and a dispatcher $how: everything arrives once");
	}
}

$bmw->finish(expected => qr/permission denied|could not read bm_webhook.s tables|not currently accepting|exited/);

# What keeps the dispatchers of a database from working is one line of the server's log at its beginning and one at its end,
# however many of them there are, and whatever they cannot do.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new(conf => "bm_webhook.shards = 2\n");

sub wait_until_both
{
	my ($what, $condition) = @_;
	return $bmw->wait_for_sql("both: $what", "SELECT count(*) = 2 FROM bm_webhook.status() WHERE database = 'postgres' AND $condition");
}

wait_until_both('run', q{state = 'running'});
my @ids = map { $bmw->endpoint("/ok/e$_", event_types => '{test.event}') } 1 .. 8;    # some of each dispatcher
my $sent = 0;
sub emit
{
	$bmw->emit_many(20, 'test.event');
	$sent += 20;
	$bmw->wait_for_requests("e$_", $sent) for 1 .. 8;
	return;
}
sub all_are_recorded
{
	$bmw->wait_for_sql('all are recorded', "SELECT count(*) = 8 * $sent FROM bm_webhook.delivery WHERE endpoint_id IN ("
		  . join(',', @ids) . ") AND status = 'delivered' AND attempts = 1");
	$bmw->settle;
	return;
}

$bmw->sql(q{CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused: %', TG_ARGV[0] USING ERRCODE = 'disk_full'; END $$});
sub refuse { return $bmw->sql("CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON bm_webhook.$_[0] FOR EACH STATEMENT EXECUTE FUNCTION refuse('$_[0]')") }
sub allow
{
	$bmw->sql("DROP TRIGGER IF EXISTS refuse ON bm_webhook.$_") for qw(delivery failed_attempt cursor);
	return;
}

# First the log, then what only says how far they have got as well.
my $times = 0;
for my $tables ([ 'delivery', 'failed_attempt' ], ['cursor'])
{
	$times++;
	refuse($_) for @$tables;
	emit();
	wait_until_both('say so', "last_error = 'refused: $tables->[0]'");
	refuse('cursor') if $tables->[0] ne 'cursor';
	is($bmw->lines_logged('bm_webhook could not work on its tables: refused'), $times, "$tables->[0]: one line for both");
	is($bmw->lines_logged('bm_webhook works on its tables again'), $times - 1, 'it is not over');
	allow();
	all_are_recorded();
	wait_until('the log says when it is over', sub { $bmw->lines_logged('bm_webhook works on its tables again') >= $times });
	$bmw->settle;
	is($bmw->lines_logged('bm_webhook works on its tables again'), $times, 'and one when it is over');
}
is($bmw->lines_logged('bm_webhook could not work on its tables'), $times, 'no other line');

# Both dispatchers look after partitions.
my $session = $bmw->session;
my $day = $bmw->sql(q{SELECT to_char((clock_timestamp() AT TIME ZONE 'UTC')::date + 4, 'YYYYMMDD')});
$bmw->sql("ALTER EXTENSION bm_webhook DROP TABLE bm_webhook_internal.event_$day; DROP TABLE bm_webhook_internal.event_$day");
$session->query_safe('BEGIN; LOCK TABLE bm_webhook.event IN SHARE UPDATE EXCLUSIVE MODE');
$bmw->sql('SELECT pg_reload_conf()');
wait_until('the log says that a partition is not made', sub { $bmw->lines_logged("bm_webhook could not make partitions: event_$day\n") });
$session->query_safe('COMMIT');
$session->quit;
$bmw->sql('SELECT pg_reload_conf()');
wait_until('the log says that they are made', sub { $bmw->lines_logged('bm_webhook has made all partitions') });
$bmw->settle;
is($bmw->lines_logged('bm_webhook could not make partitions'), 1, 'one line for a partition');
is($bmw->lines_logged('bm_webhook has made all partitions'), 1, 'and one when it is made');
$bmw->finish(expected => qr/refused: /);

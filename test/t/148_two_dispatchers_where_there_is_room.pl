# By default two dispatchers serve a database where the machine has two processors, as long as that takes no more than half
# of max_worker_processes, and workers are there. Otherwise there is one; the server's log says once why; nothing is lost.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $ENDPOINTS = 8;
my $default = 'bm_webhook.shards = 0';
my $room = `nproc` > 1 ? 2 : 1;
my $notice = 'bm_webhook serves each database with one dispatcher';

sub wait_for_dispatchers
{
	my ($bmw, $expected, $database) = @_;
	$bmw->wait_for_sql("$expected dispatchers in $database",
		"SELECT count(*) = $expected AND bool_and(state = 'running') FROM bm_webhook.status() WHERE database = '$database'");
	return pass("$database has $expected");
}

sub all_arrive
{
	my ($bmw, $database) = @_;
	$bmw->wait_for_delivery($bmw->emit('order.paid', database => $database), $database);
	return is($bmw->sql(q{SELECT count(*) FROM bm_webhook.delivery WHERE status <> 'delivered'}, $database), 0, 'all endpoints got the event');
}

sub create
{
	my ($bmw, $database) = @_;
	$bmw->sql("CREATE DATABASE $database");
	$bmw->sql('CREATE EXTENSION bm_webhook', $database);
	$bmw->endpoint("/ok/$database", database => $database);
	return;
}

# A query that sleeps in each of its parallel workers.
sub occupy_workers
{
	my ($session, $count) = @_;
	$session->query_safe(qq{SET client_min_messages = error; CREATE TABLE wide AS SELECT g FROM generate_series(1, 100000) g; ALTER TABLE wide SET (parallel_workers = $count);
		SET max_parallel_workers_per_gather = $count; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET parallel_leader_participation = off});
	$session->query_until(qr/asked/, "\\echo asked\nSELECT count(*) FROM wide WHERE pg_sleep(600) IS NULL;\n");
	return;
}

# Half of sixteen workers are enough for two databases, not for three.
my $bmw = BmWebhook->new(conf => "$default\n");

is($bmw->sql('SHOW bm_webhook.shards'), '0', 'by default');
$bmw->endpoint("/ok/e$_") for 1 .. $ENDPOINTS;
wait_for_dispatchers($bmw, $room, 'postgres');
all_arrive($bmw, 'postgres');
create($bmw, 'second');
wait_for_dispatchers($bmw, $room, $_) for 'postgres', 'second';
is($bmw->lines_logged($notice), 0, 'the log says nothing');

create($bmw, 'third');
wait_for_dispatchers($bmw, 1, $_) for 'postgres', 'second', 'third';
all_arrive($bmw, $_) for 'postgres', 'second', 'third';
is($bmw->lines_logged($notice), $room - 1, 'the log says it once');
$bmw->set('bm_webhook.shards', 2);
wait_for_dispatchers($bmw, 2, $_) for 'postgres', 'second', 'third';
all_arrive($bmw, 'postgres');

# The second one of a database finds no worker.
$bmw->sql("DROP DATABASE $_ WITH (FORCE)") for 'second', 'third';
$bmw->sql('ALTER SYSTEM SET max_worker_processes = 8');
$bmw->set('bm_webhook.shards', 1);
$bmw->node->restart;
wait_for_dispatchers($bmw, 1, 'postgres');
my $others = $bmw->session;
occupy_workers($others, 5);
$bmw->wait_for_sql('all workers are taken', q{SELECT count(*) = 5 FROM pg_stat_activity WHERE backend_type = 'parallel worker'});
$bmw->set('bm_webhook.shards', 0);
wait_until('the log says that there is one', sub { $bmw->lines_logged($notice) == 2 }) if $room == 2;
wait_for_dispatchers($bmw, 1, 'postgres');
all_arrive($bmw, 'postgres');
is($bmw->sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker'}), 5, 'the others were left alone');
$bmw->sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()});

$bmw->finish;

# Whoever starts a second dispatcher, which only code in the server can, gets none: it ends at once, and the one that is
# there stays, sends, and is shown by status() as before. Nothing is sent twice.
# A library of this test starts it.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use File::Spec;
use Test::More;

my $folder = PostgreSQL::Test::Utils::tempdir('second');

PostgreSQL::Test::Utils::append_to_file("$folder/second.c", <<'C');
#include "postgres.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"

PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(second);

Datum
second(PG_FUNCTION_ARGS)
{
	BackgroundWorker worker = {
		.bgw_name = "second",
		.bgw_type = "second",
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = BGW_NEVER_RESTART,
		.bgw_library_name = "bm_webhook",
		.bgw_function_name = "bmw_worker_main",
		.bgw_main_arg = Int32GetDatum(PG_GETARG_INT32(0)),
		.bgw_notify_pid = MyProcPid,
	};
	BackgroundWorkerHandle *handle;

	if (!RegisterDynamicBackgroundWorker(&worker, &handle))
		elog(ERROR, "no worker");
	PG_RETURN_BOOL(WaitForBackgroundWorkerShutdown(handle) == BGWH_STOPPED);
}
C
chomp(my $include = `pg_config --includedir-server`);
$include =~ s/^\Q$ENV{BMW_STAGE}\E//;    # a private server has no headers of its own
plan skip_all => 'there is no compiler, or no header of the server'
  unless PostgreSQL::Test::Utils::run_log([ 'cc', '-shared', '-fPIC', '-I', $include, '-o', "$folder/second.so", "$folder/second.c" ]);

my $bmw = BmWebhook->new(conf => "bm_webhook.shards = 2\n");
$bmw->wait_for_sql('both run', q{SELECT count(*) = 2 FROM bm_webhook.status() WHERE state = 'running'});
my @names = map { "e$_" } 1 .. 8;    # some of each dispatcher
$bmw->endpoint("/ok/$_", event_types => '{test.event}') for @names;
$bmw->sql("CREATE FUNCTION second(slot integer) RETURNS boolean LANGUAGE c AS '" . File::Spec->rel2abs($folder) . "/second', 'second'");
my $state = q{SELECT string_agg(concat_ws(' ', shard, pid, state, reason, last_error), ', ' ORDER BY shard) FROM bm_webhook.status()};
my $before = $bmw->sql($state);

for my $round (1 .. 5)
{
	$bmw->emit_many(20, 'test.event');
	is($bmw->sql("SELECT second($_)"), 't', "a second dispatcher of shard $_ ends") for 0, 1;
	is($bmw->sql($state), $before, 'those that are there stay what they are');
}
$bmw->wait_for_requests($_, 100, 'delivered') for @names;
$bmw->settle;
is($bmw->receiver->count($_, 'requests'), 100, "$_: everything once") for @names;
is($bmw->lines_logged("process \\d+ is the dispatcher of bm_webhook here already"), 10, 'the log says so');
$bmw->finish;

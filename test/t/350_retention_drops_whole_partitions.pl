# What is older than bm_webhook.retention goes, by whole partitions and into an archive first; what waits does
# not, which status() says; drop_before() does the same when asked, also with what waits. Whoever writes meanwhile,
# behind a reader who stays, does not wait for long.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $archive = PostgreSQL::Test::Utils::tempdir('archive');

# What was captured so many days ago, and delivered but for some that wait, which are counted as what a dispatcher writes.
sub make_day
{
	my ($days, $events, $waiting) = @_;
	$bmw->sql("SELECT bm_webhook_internal.create_partition(p, (clock_timestamp() AT TIME ZONE 'UTC')::date - $days)
			FROM unnest('{event,delivery,failed_attempt}'::text[]) p");
	fill_day($days, $events, $waiting);
	return;
}

sub fill_day
{
	my ($days, $events, $waiting) = @_;
	$bmw->sql("WITH e AS (INSERT INTO bm_webhook.event (id, xid, type, occurred_at, created_at, data)
			SELECT bm_webhook.uuid_floor(at), '3', 'test.old', at, at, E'{\"n\": \"a \\\\\\\\ \\\\\"quote\\\\\" b\",\n \"day\": $days}'
			FROM generate_series(1, $events) n, LATERAL (SELECT date_trunc('day', clock_timestamp(), 'UTC') - interval '$days days' + n * interval '1 s') t (at)
			RETURNING id), d AS (INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts, next_attempt_at)
			SELECT id, 1000, CASE WHEN row_number() OVER () <= $waiting THEN 'pending' ELSE 'delivered' END, 1, now() + interval '1 day' FROM e),
			c AS (INSERT INTO bm_webhook_internal.pending_change VALUES (1000, $waiting, $waiting))
		INSERT INTO bm_webhook.failed_attempt (event_id, endpoint_id, attempt, attempted_at, error_class)
			SELECT id, 1000, 1, now(), 'timeout' FROM e");
	return;
}

# The days of the past that have partitions.
sub days
{
	my ($log) = @_;
	return $bmw->sql("SELECT string_agg(((clock_timestamp() AT TIME ZONE 'UTC')::date - (since AT TIME ZONE 'UTC')::date)::text, ' ' ORDER BY since)
			FROM bm_webhook.partition_list WHERE log = '$log' AND until < now()");
}

$bmw->sql(q{INSERT INTO bm_webhook.endpoint (id, url, enabled) OVERRIDING SYSTEM VALUE VALUES (1000, 'http://127.0.0.1:9/', false)});
make_day(40, 100, 1);
make_day($_, 100, 0) for 39, 38, 37, 10, 1;
is(days('event'), '40 39 38 37 10 1', 'the view has them');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.partition_list WHERE bytes > 0 AND (age >= '0' OR until > now() OR since IS NULL)}),
	$bmw->sql('SELECT count(*) FROM bm_webhook.partition_list'), 'with their size and age');

###############################################################################
# A reader who stays, and whoever writes
###############################################################################

my $reader = $bmw->session;
$reader->query_safe('BEGIN; SELECT count(*) FROM bm_webhook.event');
$bmw->set('bm_webhook.archive_command', "cat > $archive/%f.part && mv $archive/%f.part $archive/%f && echo %d >> $archive/database");
$bmw->set('bm_webhook.retention', '30d');
wait_until('deliveries are dropped', sub { days('delivery') eq '40 10 1' });
is(days('event'), '40 39 38 37 10 1', 'events, which somebody reads, are not');
my @waited;
for (1 .. 100)
{
	$bmw->sql("SELECT bm_webhook.drop_before(now() - interval '30 days')") if $_ % 20 == 1;
	push @waited, $_ if $bmw->sqlstate("SET lock_timeout = '1500 ms'; SELECT bm_webhook.emit('test.meanwhile', '{}')") ne '';
}
is("@waited", '', 'whoever writes has not waited for long');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.operation WHERE kind = 'drop_before' AND ended_at IS NULL}), 5, 'what was asked for goes on');
$reader->query_safe('COMMIT');
$reader->quit;
$bmw->sql("SELECT bm_webhook.drop_before(now() - interval '30 days')");
wait_until('events are dropped when they can be', sub { days('event') eq '40 10 1' });
is(days('failed_attempt'), '40 10 1', 'and failed attempts');

###############################################################################
# What waits is not dropped
###############################################################################

$bmw->wait_for_sql('status() says what stays', q{SELECT reason LIKE '%3 partitions that have expired stay, the first is delivery\_%: deliveries wait' FROM bm_webhook.status()});
$bmw->wait_for_sql('all that was asked for has ended', q{SELECT count(*) FILTER (WHERE ended_at IS NULL) = 0 FROM bm_webhook.operation WHERE kind = 'drop_before'});
is($bmw->sql(q{SELECT error FROM bm_webhook.operation WHERE kind = 'drop_before' ORDER BY id DESC LIMIT 1}),
	'3 partitions stay, as something in them waits: deliveries wait', 'and why it did not do all');
wait_until('the log says so', sub { $bmw->lines_logged('bm_webhook cannot keep its log in order: 3 partitions') });
is($bmw->lines_logged('bm_webhook cannot keep its log in order: 3 partitions'), 1, 'the log says so once');
my $counted = 'SELECT sum(pending), sum(retrying) FROM bm_webhook_internal.pending WHERE endpoint_id = 1000';
is($bmw->sql($counted), '1|1', 'it is counted as before');

my ($operation, $matched) = split /\|/, $bmw->sql("SELECT * FROM bm_webhook.drop_before(now() - interval '30 days', with_waiting => true, dry_run => true)");
is("$operation|$matched", '|3', 'a dry run only counts');
is($bmw->sql("SELECT matched FROM bm_webhook.drop_before(now() - interval '30 days', with_waiting => true)"), 3, 'asked to, it drops what waits');
wait_until('it is gone', sub { days('event') eq '10 1' && days('delivery') eq '10 1' });
$bmw->wait_for_sql('it has ended', q{SELECT done = 3 AND error IS NULL AND ended_at IS NOT NULL FROM bm_webhook.operation ORDER BY id DESC LIMIT 1});
is($bmw->sql($counted), '0|0', 'and not counted any more');
$bmw->wait_for_sql('status() says no more', q{SELECT reason IS NULL FROM bm_webhook.status()});
wait_until('the log says so', sub { $bmw->lines_logged('bm_webhook keeps its log in order again') });
is($bmw->lines_logged('bm_webhook keeps its log in order again'), 1, 'the log says so');
is($bmw->sqlstate($_->[0]), $_->[1], $_->[0])
  for [ 'SELECT bm_webhook.drop_before(NULL)', '22004' ], [ q{SELECT bm_webhook.drop_before('infinity')}, '22023' ],
	[ q{SELECT bm_webhook.drop_before(now(), NULL)}, '22004' ], [ q{SET bm_webhook.retention = 1}, '55P02' ];

###############################################################################
# The archive
###############################################################################

my @files = sort map { s{.*/}{}r } glob "$archive/*.jsonl";
is(scalar @files, 12, 'each partition that had rows has a file') or diag("@files");
my $file = PostgreSQL::Test::Utils::slurp_file("$archive/" . (grep { /^event/ } @files)[1]);
is(() = $file =~ /\n/g, 100, 'a line for each row');
$bmw->sql('CREATE TABLE archived (line json)');
$bmw->sql("COPY archived FROM '$archive/$_' (FORMAT csv, DELIMITER e'\\x02', QUOTE e'\\x01')") for grep { /^event/ } @files;
is($bmw->sql(q{SELECT count(*), min(line->'data'->>'n') FROM archived WHERE line->>'type' = 'test.old'}), '400|a \ "quote" b', 'which is JSON, as it was');
like(PostgreSQL::Test::Utils::slurp_file("$archive/database"), qr/\A(postgres\n){12,}\z/, 'it was told of which database');

# One that fails keeps the partition.
$bmw->set('bm_webhook.archive_format', 'csv');
$bmw->set('bm_webhook.archive_command', 'exit 7');
$bmw->wait_for_sql('a new process has it', q{SELECT current_setting('bm_webhook.archive_command') = 'exit 7'});
make_day(41, 10, 0);
$bmw->set('bm_webhook.retention', '31d');
$bmw->wait_for_sql('status() says why', q{SELECT reason LIKE '%could not archive delivery\_%: program "exit 7" failed' FROM bm_webhook.status()});
is(days('event'), '41 10 1', 'nothing is dropped that could not be archived');
$bmw->set('bm_webhook.archive_command', "cat > $archive/%f");
wait_until('then it goes', sub { days('event') eq '10 1' && days('delivery') eq '10 1' });
my ($csv) = glob "$archive/event_*.csv";
like(PostgreSQL::Test::Utils::slurp_file($csv), qr/\Aid,xid,type,.*test\.old/s, 'as CSV');
is($bmw->sqlstate(q{ALTER SYSTEM SET bm_webhook.archive_command = 'cat > %x'}), '22023', 'an unknown % is refused');

###############################################################################
# A month without a dispatcher
###############################################################################

$bmw->set('bm_webhook.archive_command', '');
fill_day($_, 20, 5) for 20, 21, 22;
fill_day(50, 20, 0);
$bmw->sql("SELECT bm_webhook.drop_before('2000-01-01')");
$bmw->node->reload;
wait_until('the days of the default partitions get theirs, and the oldest is dropped', sub { days('event') eq '22 21 20 10 1' && days('failed_attempt') eq '22 21 20 10 1' });
is($bmw->sql("SELECT (SELECT count(*) FROM bm_webhook_internal.${_}_default), (SELECT count(*) FROM bm_webhook.$_ WHERE tableoid::regclass::text ~ '_default')"), '0|0', "nothing is left in ${_}_default")
  for qw(event delivery failed_attempt);
is($bmw->sql(q{SELECT count(*), count(*) FILTER (WHERE status = 'pending') FROM bm_webhook.delivery WHERE endpoint_id = 1000}), '260|15', 'and nothing is lost');
is($bmw->sql($counted), '15|15', 'nor counted twice');

# Small tables.
$bmw->sql(q{INSERT INTO bm_webhook.operation (kind, matched, asked_by, acting_as, asked_at, ended_at) VALUES ('pause', 1, 'me', 'me', now() - interval '32 days', now() - interval '32 days');
	INSERT INTO bm_webhook.redelivery (event_id, endpoint_id, status, attempts) SELECT bm_webhook.uuid_floor(now() - d * interval '1 day'), 1, 'failed', 1 FROM unnest('{1,33,34}'::integer[]) d});
$bmw->node->reload;
$bmw->wait_for_sql('small tables lose what has expired', q{SELECT (SELECT count(*) = 0 FROM bm_webhook.operation WHERE asked_by = 'me') AND (SELECT count(*) = 1 FROM bm_webhook.redelivery)});

$bmw->settle;
$bmw->finish;

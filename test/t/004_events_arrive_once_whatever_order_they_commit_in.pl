# 20,000 events of one transaction, and those of 16 concurrent writers who commit
# in another order than they emit (a quarter of them rolls back): each arrives
# exactly once. All the while two transactions are open that emitted before all
# others; their events arrive when they commit, also across a new start of the
# dispatcher.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new(conf => "track_commit_timestamp = on\n");
my $receiver = $bmw->receiver;

$bmw->endpoint('/ok/all');
my @writers = map { $bmw->session } 1 .. 2;
my @late;
for my $writer (@writers)
{
	$writer->query_safe('BEGIN; SAVEPOINT a');
	push @late, $writer->query_safe('SELECT ' . $bmw->emit_call('test.late'));
	$writer->query_safe('RELEASE a');
}

$bmw->emit_many(20_000, 'test.bulk');
$bmw->wait_for_requests('all', 20_000);
$bmw->settle;
$bmw->arrived_exactly_once('all', q{SELECT id FROM bm_webhook.event WHERE type = 'test.bulk'},
	'20,000 events of one transaction');

my $pgbench = $bmw->pgbench(q{
	\set pause random(0, 8)
	\set end random(1, 4)
	BEGIN;
	SELECT bm_webhook.emit('test.writers', '{}');
	\sleep :pause ms
	SELECT bm_webhook.emit('test.writers', '{}');
	\if :end = 1
	ROLLBACK;
	\else
	COMMIT;
	\endif
}, '-c', 16, '-j', 2, '-t', 150);

# The first late one commits amid the load, the second after a new start.
$bmw->wait_for_requests('all', 20_500);
$writers[0]->query_safe('COMMIT');
ok($pgbench->finish, 'the writers ran');
$bmw->wait_for_delivery($late[0]);
$bmw->settle;
$bmw->arrived_exactly_once('all', q{SELECT id FROM bm_webhook.event WHERE type <> 'test.settled'},
	'and those of 16 concurrent writers');
cmp_ok($bmw->sql(q{SELECT count(*) FROM bm_webhook.event WHERE type = 'test.writers'}), '>', 3000, 'which were many');
cmp_ok($bmw->sql(q{SELECT count(*) FROM (
		SELECT pg_xact_commit_timestamp(xid::xid) < lag(pg_xact_commit_timestamp(xid::xid)) OVER (ORDER BY id) AS is_overtaken
		FROM bm_webhook.event WHERE type = 'test.writers') e WHERE is_overtaken}), '>', 500,
	'and committed in another order than that of their ids');

my $pid = $bmw->dispatcher;
$bmw->sql("SELECT pg_terminate_backend($pid, 10000)");
wait_until('another dispatcher runs', sub { $bmw->dispatcher != $pid });
$bmw->settle;
is((grep { $_->{id} eq $late[1] } $receiver->arrivals('all')), 0, 'what is still open was not sent');
$writers[1]->query_safe('COMMIT');
$bmw->wait_for_delivery($late[1]);
$bmw->settle;
$bmw->arrived_exactly_once('all', q{SELECT id FROM bm_webhook.event WHERE type <> 'test.settled'},
	'and that of a writer who was open all the time');
is($receiver->count('all', 'duplicates'), 0, 'no duplicate in all');

$_->quit for @writers;
$bmw->finish;

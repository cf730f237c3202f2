# With bm_webhook.shards = 3 three dispatchers serve a database: every endpoint
# is served by exactly one of them, everything arrives once, and one that is
# killed is replaced. With fewer shards after a new start nothing is lost or
# repeated either.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new(conf => "bm_webhook.shards = 3\n");
my $receiver = $bmw->receiver;
my @names = map { "e$_" } 1 .. 8;
my $of_load = q{SELECT id FROM bm_webhook.event WHERE type = 'test.load'};

$bmw->endpoint("/fail/1/$_", retry_delays => '{200ms,200ms,200ms}', event_types => '{test.load}') for @names;
wait_until('three dispatchers run', sub {
	$bmw->sql(q{SELECT count(DISTINCT pid) FROM bm_webhook.status() WHERE database = 'postgres' AND state = 'running'}) == 3;
});

sub all_arrive
{
	my ($count, $description) = @_;
	$bmw->wait_for_requests($_, $count, 'delivered') for @names;
	$bmw->settle;
	$bmw->arrived_exactly_once($_, $of_load, "$description: $_ gets everything once") for @names;
	return;
}

$bmw->emit_many(300, 'test.load');
all_arrive(300, 'three shards');
cmp_ok($bmw->sql(q{SELECT count(*) FROM bm_webhook.status() WHERE database = 'postgres' AND sent > 0}), '>', 1,
	'more than one of them sends');

$bmw->emit_many(100, 'test.load');
$bmw->sql(q{SELECT pg_terminate_backend(pid) FROM bm_webhook.status() WHERE database = 'postgres' AND shard = 1});
all_arrive(400, 'one ended');

$bmw->emit_many(100, 'test.load');
$bmw->node->append_conf('postgresql.conf', 'bm_webhook.shards = 1');
$bmw->node->restart;
all_arrive(500, 'one shard after three');

$bmw->emit_many(100, 'test.load');
$bmw->node->append_conf('postgresql.conf', 'bm_webhook.shards = 2');
$bmw->node->restart;
all_arrive(600, 'two shards after one');

$bmw->finish;

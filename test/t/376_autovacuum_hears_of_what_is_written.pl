# What a dispatcher inserts and updates is counted in pg_stat_user_tables, by which autovacuum goes, while it runs, and not
# only when it ends.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $count = 20;
my $id = $bmw->endpoint('/status/500/fails', event_types => '{test.event}', retry_delays => '{1 h}');

# The log's tables: their partitions together.
sub counted
{
	my ($table, $what) = @_;
	return "SELECT sum(s.$what) FROM pg_stat_all_tables s WHERE s.relid = 'bm_webhook.$table'::regclass"
	  . " OR s.relid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'bm_webhook.$table'::regclass)";
}

$bmw->emit_many($count, 'test.event');
$bmw->wait_for_requests('fails', $count);
$bmw->wait_for_sql("what the dispatcher inserts into $_", "SELECT (" . counted($_, 'n_tup_ins') . ") = $count") for qw(delivery failed_attempt);
$bmw->wait_for_sql('what it updates', 'SELECT (' . counted('cursor', 'n_tup_upd') . ') > 0');

$bmw->receiver->behave('fails', 'ok');
$bmw->sql("SELECT count(bm_webhook.redeliver(event_id, $id)) FROM bm_webhook.delivery");
$bmw->wait_for_requests('fails', 2 * $count);
# redeliver() has updated each once
$bmw->wait_for_sql('of deliveries, too', 'SELECT (' . counted('delivery', 'n_tup_upd') . ") = 2 * $count");
$bmw->wait_for_sql('and what is dead of it', 'SELECT (' . counted('delivery', 'n_dead_tup') . ') > 0');
isnt($bmw->sql('SELECT state FROM bm_webhook.status()'), 'failed', 'while it runs');

$bmw->finish;

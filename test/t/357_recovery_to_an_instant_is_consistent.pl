# Recovery to an instant (PITR), in the middle of writes and deliveries: the restored server has each row with its event and
# no event without its row; what had been delivered is recorded as delivered, and all else waits. It sends nothing before
# adopt(), and then exactly what waits, under the ids of before; what receivers have got after that instant is among it.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils qw(append_to_file);
use Test::More;

my $archive = PostgreSQL::Test::Utils::tempdir('archive');
my $bmw = BmWebhook->new(streaming => 1, conf => "archive_mode = on\narchive_command = 'cp \"%p\" \"$archive/%f\"'\n");
my $original = $bmw->node;
my $receiver = $bmw->receiver;

$bmw->sql(q{CREATE TABLE orders (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), note text)});
$bmw->sql(q{SELECT bm_webhook.watch('orders', 'order.made')});
$bmw->endpoint('/ok/fast', event_types => '{order.*}');
my $down = $bmw->endpoint('/status/503/down', event_types => '{test.*}', retry_delays => '{1 h}');
$original->backup('backup');
my $waiting = $bmw->emit('test.waiting');
$bmw->wait_for_sql('one waits for its next attempt', "SELECT attempts = 1 FROM bm_webhook.delivery WHERE event_id = '$waiting'");

my $pgbench = $bmw->pgbench(q{INSERT INTO orders (note) VALUES ('under load');}, '-c', 4, '-R', 300, '-t', 500);
$bmw->wait_for_requests('fast', 300, 'delivered');
$bmw->sql(q{SELECT pg_create_restore_point('the instant')});
$bmw->wait_for_requests('fast', 600, 'delivered');
ok($pgbench->finish, 'writes go on');
$bmw->sql(q{UPDATE bm_webhook.delivery SET status = 'canceled', next_attempt_at = NULL WHERE status = 'pending'});
$bmw->wait_for_requests('fast', 2000, 'delivered');
$bmw->settle;
my %id_of = map { split /\|/ } split /\n/, $bmw->sql(q{SELECT message_id, id FROM bm_webhook.event WHERE type = 'order.made'});
my $last = $bmw->sql('SELECT pg_walfile_name(pg_current_wal_lsn())');
$bmw->sql('SELECT pg_switch_wal()');
$bmw->wait_for_sql('all is archived', qq{SELECT last_archived_wal >= '$last' FROM pg_stat_archiver});
$original->stop;

my $restored = PostgreSQL::Test::Cluster->new('restored');
$restored->init_from_backup($original, 'backup');
$restored->append_conf('postgresql.conf', qq{
archive_mode = off
restore_command = 'cp "$archive/%f" "%p"'
recovery_target_name = 'the instant'
recovery_target_action = 'promote'
});
append_to_file($restored->data_dir . '/recovery.signal', '');
$restored->start;
$bmw->{node} = $restored;
delete $bmw->{settled};
$bmw->wait_until_up;
$bmw->wait_for_sql('recovery is over', 'SELECT NOT pg_is_in_recovery()');
$bmw->wait_for_sql('it is known that it is a copy', q{SELECT state = 'not adopted' AND reason ~ '^the server was started from a backup' FROM bm_webhook.status()});

my $count = $bmw->sql('SELECT count(*) FROM orders');
cmp_ok($count, '>=', 300, 'the rows of before are there');
cmp_ok($count, '<', 2000, 'those of later are not');
is($bmw->sql(q{SELECT count(*) FROM orders o FULL JOIN (SELECT * FROM bm_webhook.event WHERE type = 'order.made') e ON e.message_id = o.id::text
	WHERE o.id IS NULL OR e.id IS NULL}), 0, 'each row has its event, and each event its row');
is_deeply([ grep { my ($order, $event) = split /\|/; ($id_of{$order} // '') ne $event }
	split /\n/, $bmw->sql(q{SELECT message_id, id FROM bm_webhook.event WHERE type = 'order.made'}) ], [], 'under the ids that it had');
my %arrived = map { $_->{id} => 1 } grep { $_->{status} =~ /^2/ } $receiver->arrivals('fast');
is_deeply([ grep { !$arrived{$_} } split /\n/, $bmw->sql(q{SELECT event_id FROM bm_webhook.delivery WHERE status = 'delivered'}) ], [],
	'what is recorded as delivered had arrived');
is($bmw->sql("SELECT status, attempts FROM bm_webhook.delivery WHERE event_id = '$waiting'"), 'pending|1', 'what was canceled later waits as before');

# What waits is sent, each once, to where this server's endpoint is.
my $to_come = q{SELECT e.id FROM bm_webhook.event e WHERE e.type = 'order.made'
	AND NOT EXISTS (SELECT FROM bm_webhook.delivery d WHERE d.event_id = e.id AND d.status = 'delivered')};
my @to_come = split /\n/, $bmw->sql($to_come);
$bmw->sql('UPDATE bm_webhook.endpoint SET url = ' . quote($receiver->url('/ok/restored')) . " WHERE event_types = '{order.*}'");
$bmw->share_secrets(1, 'restored');
my $requests = $receiver->count('fast', 'requests');
$bmw->sql(q{INSERT INTO orders (note) VALUES ('in the restored one')});
$bmw->wait_for_sql('what waits is taken', 'SELECT not_taken = 0 FROM bm_webhook.backlog WHERE endpoint_id = 1');
is($receiver->count('restored', 'requests'), 0, 'nothing is sent before adopt()');
$bmw->sql('SELECT bm_webhook.adopt()');
$bmw->wait_for_requests('restored', @to_come + 1, 'delivered');
$bmw->settle;
my $list = join ',', @to_come;
$bmw->arrived_exactly_once('restored', "SELECT unnest('{$list}'::text[]) UNION SELECT e.id::text FROM bm_webhook.event e JOIN orders o ON o.id::text = e.message_id
	WHERE o.note = 'in the restored one'", 'adopted, it sends what waits and what is new, once');
is($bmw->sql($to_come), '', 'and nothing waits any more');
is($receiver->count('fast', 'requests'), $requests, 'the old receiver gets nothing more');
$bmw->finish(expected => qr/cp: cannot stat/);

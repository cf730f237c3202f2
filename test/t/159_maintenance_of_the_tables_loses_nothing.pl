# Somebody rewrites the tables of the extension, rebuilds their indexes and makes some of his own, while events come
# in all the time: the same dispatcher goes on, and everything arrives once.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use IPC::Run ();
use Test::More;

my $bmw = BmWebhook->new;
my @endpoints = qw(unordered ordered);
$bmw->endpoint('/ok/unordered', event_types => '{test.event}');
$bmw->endpoint('/ok/ordered', event_types => '{test.event}', ordering => 'by_message');
$bmw->endpoint('/status/500/failing', event_types => '{test.event}', retry_delays => '{1 s}');
$bmw->sql('CREATE TABLE emitted (id uuid); CREATE TABLE go_on ()');
my $dispatcher = $bmw->dispatcher;

# Five events in every fiftieth of a second.
my $emitter = IPC::Run::start([ 'psql', '-XAtq', '-d', $bmw->node->connstr('postgres'), '-c', q{DO $$ BEGIN
	WHILE EXISTS (SELECT FROM pg_class WHERE relname = 'go_on') LOOP
		INSERT INTO emitted SELECT bm_webhook.emit('test.event', '{}', message_id => 'm' || n) FROM generate_series(1, 5) n;
		COMMIT;
		PERFORM pg_sleep(0.02);
	END LOOP; END $$} ], '<', \undef, '>', \my $output, '2>', \my $error);

my $tables = q{SELECT c.oid::regclass FROM pg_class c WHERE relnamespace::regnamespace::text ~ '^bm_webhook' AND %s ORDER BY 1};
my %commands = (
	q{relkind = 'r'} => [ 'VACUUM FULL %s', 'REINDEX TABLE CONCURRENTLY %s' ],
	q{relkind IN ('r', 'p') AND NOT relispartition} => [ 'CREATE INDEX ON %s ((true))' ]);
for my $which (sort keys %commands)
{
	my @tables = split /\n/, $bmw->sql(sprintf $tables, $which);
	for my $command (@{ $commands{$which} })
	{
		my @refused = grep { $bmw->node->psql('postgres', sprintf $command, $_) } @tables;
		is("@refused", '', $command);
	}
}
$bmw->sql('DROP TABLE go_on');
$emitter->finish;
is($error, '', 'events were emitted meanwhile');
$bmw->wait_for_sql('everything is sent in its turn', q{SELECT count(*) = 3 * (SELECT count(*) FROM emitted) FROM bm_webhook.delivery d
	JOIN emitted e ON e.id = d.event_id WHERE d.status <> 'pending'});
$bmw->settle;
cmp_ok($bmw->sql('SELECT count(*) FROM emitted'), '>', 100, 'many');
$bmw->arrived_exactly_once($_, 'SELECT id FROM emitted', $_) for @endpoints;
is($bmw->dispatcher, $dispatcher, 'the dispatcher is the same');
is($bmw->sql('SELECT count(*) FROM bm_webhook.set_aside'), 0, 'nothing was set aside');
$bmw->finish;

# Copies of a database, which wait for adopt(), take background workers that nobody else needs: a database that is made later,
# one that is adopted, and the keeper of a log have theirs before them. status() says of each copy what it waits for.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my @COPIES = map { "copy$_" } 1 .. 4;

# one for PostgreSQL itself, one for the launcher, two for dispatchers
my $bmw = BmWebhook->new(extension => 0, conf => "max_worker_processes = 4\n");

sub create
{
	my ($database) = @_;
	$bmw->sql("CREATE DATABASE $database");
	$bmw->sql('CREATE EXTENSION bm_webhook', $database);
	return $bmw->endpoint("/ok/$database", database => $database);
}

sub states { return $bmw->sql(q{SELECT string_agg(database || ' ' || state, ', ' ORDER BY database) FROM bm_webhook.status()}, 'shop') }

sub wait_for_states
{
	my ($what, %states) = @_;
	my $expected = join ', ', map { "$_ $states{$_}" } sort keys %states;
	wait_until($what, sub { states() eq $expected }) or diag(states());
	return pass($what);
}

sub is_delivered
{
	my ($database, $how) = @_;
	$bmw->wait_for_delivery($bmw->emit('test.event', database => $database), $database);
	return pass($how);
}

create('shop');
is_delivered('shop', 'the original sends');
$bmw->sql("CREATE DATABASE $_ TEMPLATE shop") for @COPIES;
my %states = (shop => 'running', map { $_ => 'not adopted' } @COPIES);
wait_for_states('each copy has been looked at', %states);
$bmw->wait_for_sql('there is a worker for one copy, and status() says of the others why not', q{SELECT count(pid) = 1
	AND count(*) FILTER (WHERE reason LIKE 'this database is a copy%; its background worker is needed elsewhere') = 3 FROM bm_webhook.status() WHERE state = 'not adopted'}, 'shop');

create('late');
is_delivered('late', 'a database that comes later has a worker');
wait_for_states('none is left for copies', %states, late => 'running');
$bmw->node->restart;
wait_for_states('nor after a restart, when each has been looked at again', %states, late => 'running');

my ($notice, $event) = ('', $bmw->emit('test.waits', database => 'copy3'));
$bmw->node->psql('copy3', "SELECT bm_webhook.wait_for_delivery('$event', '10 ms')", stderr => \$notice);
like($notice, qr/nothing is sent before adopt\(\) is called/, 'nor does what is written there');
$bmw->sql('DROP DATABASE late');
wait_until('a copy has the worker again', sub { $bmw->sql(q{SELECT count(pid) FROM bm_webhook.status() WHERE state = 'not adopted'}, 'shop') == 1 });

# One that has none is adopted while another has the last.
sub idle_copy { return (split /\n/, $bmw->sql(q{SELECT database FROM bm_webhook.status() WHERE state = 'not adopted' AND pid IS NULL ORDER BY database DESC}, 'shop'))[0] }
my $idle = idle_copy();
$bmw->sql("UPDATE bm_webhook.endpoint SET url = " . quote($bmw->receiver->url('/ok/adopted')), $idle);
$bmw->share_secrets(1, 'adopted', $idle);
$bmw->sql('SELECT bm_webhook.adopt(drop => true)', $idle);
is_delivered($idle, "$idle, which is adopted, has the worker");
wait_for_states('and no other copy', %states, $idle => 'running');

# One in which the extension is created anew is no copy any more; and the keeper of a log.
sub drop
{
	my ($database) = @_;
	$bmw->sql("DROP DATABASE $database");
	delete $states{$database};
	wait_until('a copy has the worker again', sub { $bmw->sql(q{SELECT count(pid) FROM bm_webhook.status() WHERE state = 'not adopted'}, 'shop') == 1 });
	return;
}
drop($idle);
my $anew = idle_copy();
$bmw->sql('DROP EXTENSION bm_webhook; CREATE EXTENSION bm_webhook', $anew);
$bmw->endpoint('/ok/anew', database => $anew);
is_delivered($anew, 'one with a new extension sends at once');
drop($anew);
my $kept = q{SELECT coalesce(max(keeper_ended_at), '-infinity') FROM bm_webhook.stat_dispatcher};
my $before = $bmw->sql($kept, 'shop');
$bmw->sql('SELECT bm_webhook_internal.create_partition(l, current_date - 9) FROM unnest(\'{event,delivery,failed_attempt}\'::text[]) l', 'shop');
$bmw->set('bm_webhook.retention', '5d');
$bmw->wait_for_sql('the keeper has run', "SELECT ($kept) > '$before'", 'shop');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.partition_list WHERE until < now() - interval '6 days'}, 'shop'), 0, 'the keeper has a worker as well');
wait_for_states('all is as it was', %states);

# Nothing is started in one that is dropped, whether it has a worker or not.
$bmw->sql("DROP DATABASE $_") for grep { $_ ne 'shop' } sort keys %states;
wait_for_states('the copies are gone', shop => 'running');

$bmw->finish;

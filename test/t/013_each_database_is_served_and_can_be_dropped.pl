# Every database of the cluster that has the extension is served, also one where
# it was created a moment ago and one made from a template that has it. While a
# request hangs, a served database can be dropped, renamed and used as a template
# within five seconds; the others go on.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;
use Time::HiRes qw(time);

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

sub is_served
{
	my ($database, $name) = @_;
	$bmw->endpoint("/ok/$name", database => $database, event_types => '{test.served}');
	$bmw->wait_for_delivery($bmw->emit('test.served', database => $database), $database);
	is($receiver->count($name, 'requests'), 1, "$database is served");
	return;
}

# Leaves requests of the database hanging.
sub hang
{
	my ($database, $name) = @_;
	$bmw->endpoint("/hang/$name", database => $database, event_types => '{test.hang}', timeout => '60 s', max_in_flight => 2);
	$bmw->emit_many(5, 'test.hang', $database);
	$bmw->wait_for_requests($name, 2);
	return;
}

# As in a script: from a session to another database, in one command.
sub in_time
{
	my ($sql) = @_;
	my $before = time;
	is($bmw->sqlstate($sql), '', $sql);
	cmp_ok(time - $before, '<', 20, 'in under twenty seconds');
	return;
}

is_served('postgres', 'first');
$bmw->sql('CREATE DATABASE second');
$bmw->sql('CREATE EXTENSION bm_webhook', 'second');
is_served('second', 'second');
is($bmw->sql(q{SELECT string_agg(database || ' ' || state, ', ' ORDER BY database) FROM bm_webhook.status()}),
	'postgres running, second running', 'status() has both');

# Events stay in their database.
$bmw->emit('test.served');
$bmw->wait_for_requests('first', 2);
is($receiver->count('second', 'requests'), 1, 'an event of one is not sent by the other');

# As a template, while it is served and a request hangs.
hang('second', 'hang2');
in_time('CREATE DATABASE third TEMPLATE second');
in_time('DROP DATABASE third WITH (FORCE)');
$bmw->wait_for_delivery($bmw->emit('test.served', database => 'second'), 'second');

# From a template of the site, without endpoints.
$bmw->sql('CREATE DATABASE site');
$bmw->sql('CREATE EXTENSION bm_webhook', 'site');
in_time('CREATE DATABASE fourth TEMPLATE site');
$bmw->sql('SELECT bm_webhook.adopt()', 'fourth');
is_served('fourth', 'fourth');

# Renamed.
hang('fourth', 'hang4');
in_time('ALTER DATABASE fourth RENAME TO renamed');
$bmw->wait_for_delivery($bmw->emit('test.served', database => 'renamed'), 'renamed');
is($receiver->count('fourth', 'requests'), 2, 'the renamed one is served');

# A command that fails leaves it served.
is($bmw->sqlstate('ALTER DATABASE second RENAME TO postgres'), '42P04', 'RENAME to a name that is taken fails');
$bmw->wait_for_delivery($bmw->emit('test.served', database => 'second'), 'second');

# Dropped.
in_time('DROP DATABASE second');
my $gone = $receiver->count('hang2', 'requests');
$bmw->wait_for_delivery($bmw->emit('test.served'));
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.status() WHERE database = 'second'}), 0, 'status() forgets it');
$bmw->settle;
is($receiver->count('hang2', 'requests'), $gone, 'nothing is sent for a database that is gone');
is($bmw->sql('SELECT pg_postmaster_start_time() < now()'), 't', 'the server runs');
in_time('DROP DATABASE renamed');
in_time('DROP DATABASE site');

$bmw->finish;

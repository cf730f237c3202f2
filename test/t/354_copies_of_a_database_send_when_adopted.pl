# A database that was made from another one, or restored from a dump, sends nothing until adopt() is called in it; what
# waits is then sent, or dropped. status() and the log say so. The original goes on, also renamed.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new(extension => 0);
my $node = $bmw->node;
my $receiver = $bmw->receiver;
my $waiting = q{SELECT id FROM bm_webhook.event WHERE type = 'test.waiting'};

$bmw->sql('CREATE DATABASE shop');
$bmw->sql('CREATE EXTENSION bm_webhook; CREATE TABLE app (n int)', 'shop');
$bmw->endpoint('/ok/shop', database => 'shop');
$bmw->dispatcher('shop');

# Of a copy: its requests are counted apart.
sub redirect
{
	my ($database, $name) = @_;
	$bmw->sql("UPDATE bm_webhook.endpoint SET url = " . quote($receiver->url("/ok/$name")), $database);
	$bmw->share_secrets(1, $name, $database);
	return;
}

sub is_held
{
	my ($database, $how) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$bmw->wait_for_sql("$how: it is found to be a copy",
		"SELECT count(*) = 1 FROM bm_webhook.status() WHERE database = '$database' AND state = 'not adopted'", $database);
	return is($bmw->status('reason', $database), 'this database is a copy, or from a dump: nothing is sent until adopt() is called in it', "$how: status() says why");
}

# The receiver knows the secrets of one endpoint of a name at a time.
sub settle
{
	my ($database) = @_;
	delete $bmw->{settled};
	$bmw->settle(database => $database);
	return;
}

###############################################################################
# CREATE DATABASE ... TEMPLATE, while events wait
###############################################################################

$bmw->set('bm_webhook.enabled', 'off');
$bmw->wait_for_sql('nothing is sent', q{SELECT bool_and(reason LIKE 'bm_webhook.enabled is off%') FROM bm_webhook.status()}, 'shop');
$bmw->emit_many(20, 'test.waiting', 'shop');
$bmw->sql("CREATE DATABASE $_ TEMPLATE shop") for qw(kept dropped);
redirect($_, $_) for qw(kept dropped);
$bmw->set('bm_webhook.enabled', 'on');
$bmw->wait_for_requests('shop', 20);
is_held($_, $_) for qw(kept dropped);
my $later = $bmw->emit('test.later', database => 'kept');
my $notice;
$node->psql('kept', "SELECT bm_webhook.wait_for_delivery('$later', '10 ms')", stderr => \$notice);
like($notice, qr/nothing is sent before adopt\(\) is called in this database/, 'wait_for_delivery() says so');
is($bmw->sql(q{SELECT state, advice FROM bm_webhook.endpoint_health}, 'kept'), 'paused|Call adopt(), if it is to send.', 'endpoint_health as well');
is($bmw->sql("SELECT gets_it, reason FROM bm_webhook.explain_delivery('$later')", 'kept'), 't|paused', 'and explain_delivery()');
$bmw->wait_for_sql('what waits has been taken', q{SELECT pending = 21 AND not_taken = 0 FROM bm_webhook.backlog}, 'kept');

$node->restart;
is_held($_, "$_, after a restart") for qw(kept dropped);
$bmw->sql('ALTER DATABASE kept RENAME TO renamed');
is_held('renamed', 'renamed');
settle('shop');
is($receiver->count($_, 'requests'), 0, "$_: nothing was sent") for qw(kept dropped);

is($bmw->sql('SELECT bm_webhook.adopt()', 'renamed'), 0, 'adopt() drops nothing');
$bmw->wait_for_requests('kept', 21);
settle('renamed');
$bmw->arrived_exactly_once('kept', "$waiting OR id = '$later'", 'adopted, it sends what waits, under the same ids', 'renamed');
is($bmw->status('state, reason', 'renamed'), 'running|', 'and status() says that it runs');
$node->psql('renamed', 'SELECT bm_webhook.adopt(drop => true)', stderr => \$notice);
like($notice, qr/NOTICE:  this database sends already/, 'a second adopt() changes nothing');
is($bmw->sql(q{SELECT kind, matched, asked_by = session_user FROM bm_webhook.operation WHERE kind = 'adopt'}, 'renamed'), 'adopt|0|t', 'who did it is recorded');
is($bmw->lines_logged('bm_webhook sends from database "renamed"'), 1, 'the log says once that it sends');

# Nothing is sent before all is dropped; what comes after is sent.
$bmw->set('bm_webhook.enabled', 'off');
$bmw->wait_for_sql('nothing is sent', q{SELECT count(*) > 0 FROM bm_webhook.status() WHERE reason LIKE 'bm_webhook.enabled is off%'}, 'shop');
is($bmw->sql('SELECT bm_webhook.adopt(drop => true)', 'dropped'), 20, 'adopt() says how much it drops');
my $after = $bmw->emit('test.after', database => 'dropped');
$bmw->wait_for_sql('status() says what it waits for', q{SELECT state = 'not adopted' AND reason LIKE 'adopt() drops what waits%'
	FROM bm_webhook.status() WHERE database = 'dropped'}, 'dropped');
$bmw->set('bm_webhook.enabled', 'on');
$bmw->wait_for_delivery($after, 'dropped');
settle('dropped');
$bmw->arrived_exactly_once('dropped', "SELECT '$after'", 'what waited has been dropped, what came later was sent', 'dropped');
is($bmw->sql(q{SELECT status, error, count(*) FROM bm_webhook.delivery WHERE error IS NOT NULL GROUP BY 1, 2}, 'dropped'),
	'canceled|dropped by adopt()|20', 'dropped is canceled, with the reason');
is($bmw->sql(q{SELECT kind, matched, error FROM bm_webhook.operation WHERE kind = 'adopt' AND ended_at IS NOT NULL}, 'dropped'), 'adopt|20|', 'as an operation');
is($bmw->status('state', 'dropped'), 'running', 'it runs');

###############################################################################
# Dumps
###############################################################################

my $dump = PostgreSQL::Test::Utils::tempdir('dump') . '/shop';
$node->command_ok([ 'pg_dump', '-Fd', '-f', $dump, 'shop' ], 'pg_dump');
$bmw->sql("CREATE DATABASE $_ TEMPLATE template0") for qw(restored parallel);
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', 'restored', $dump ], 'pg_restore');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-j', 3, '-d', 'parallel', $dump ], 'pg_restore in parallel');
$node->command_ok([ 'pg_restore', '--exit-on-error', '--clean', '-d', 'renamed', $dump ], 'pg_restore into a database that sends');
for my $database (qw(restored parallel renamed))
{
	is_held($database, "$database from a dump");
	redirect($database, "of_$database");
	$bmw->emit_many(5, 'test.waiting', $database);
}
settle('shop');
for my $database (qw(restored parallel renamed))
{
	is($receiver->count("of_$database", 'requests'), 0, "$database: nothing was sent");
	$bmw->sql('SELECT bm_webhook.adopt()', $database);
	$bmw->wait_for_requests("of_$database", 5);
	settle($database);
	$bmw->arrived_exactly_once("of_$database", $waiting, "$database: adopted, it sends", $database);
}

# The same database, dropped and restored under its name.
$bmw->sql('DROP DATABASE restored');
$bmw->sql('CREATE DATABASE restored TEMPLATE template0');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', 'restored', $dump ], 'pg_restore under the name of before');
is_held('restored', 'restored again');

###############################################################################
# The original
###############################################################################

is($bmw->status('state', 'shop'), 'running', 'the original has sent all the time');
$bmw->sql('ALTER DATABASE shop RENAME TO store');
$bmw->wait_for_delivery($bmw->emit('test.event', database => 'store'), 'store');
$bmw->sql('DELETE FROM bm_webhook_internal.home', 'store');
is_held('store', 'without what says that it is the original');
$bmw->sql('SELECT bm_webhook.adopt()', 'store');
$bmw->wait_for_delivery($bmw->emit('test.event', database => 'store'), 'store');
$bmw->sql('DROP EXTENSION bm_webhook; CREATE EXTENSION bm_webhook', 'store');
$bmw->wait_for_delivery($bmw->emit('test.event', endpoint => $bmw->endpoint('/ok/anew', database => 'store'), database => 'store'), 'store');
is($bmw->lines_logged('bm_webhook does not send from database "store"'), 1, 'the log says once what does not send');
$bmw->finish;

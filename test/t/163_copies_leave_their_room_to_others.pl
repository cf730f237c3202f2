# The server has room for 256 dispatchers. Those of copies, which wait for adopt() and have no worker, leave theirs to a database
# that is made later; and one that is adopted gets it back.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new(extension => 0, conf => "max_worker_processes = 40\nmax_connections = 60\nbm_webhook.shards = 16\n");
my @copies = map { "copy$_" } 1 .. 15;

sub create
{
	my ($database) = @_;
	$bmw->sql("CREATE DATABASE $database");
	$bmw->sql('CREATE EXTENSION bm_webhook', $database);
	$bmw->endpoint("/ok/$database", database => $database);
	return;
}

# In the template no dispatcher has to be stopped for each copy.
create('shop');
$bmw->sql('CREATE DATABASE model TEMPLATE shop ALLOW_CONNECTIONS false');
$bmw->sql("CREATE DATABASE $_ TEMPLATE model") for @copies;
wait_until('all of them have been looked at', sub { $bmw->sql(q{SELECT count(*) FILTER (WHERE state = 'not adopted') FROM bm_webhook.status()}, 'shop') == 15 * 16 });
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.status()}, 'shop'), 256, 'there is no room');

create('late');
$bmw->wait_for_delivery($bmw->emit('test.event', database => 'late'), 'late');
$bmw->wait_for_sql('but for a database that comes later', q{SELECT count(*) = 16 FROM bm_webhook.status() WHERE database = 'late' AND state = 'running'}, 'late');

my $lost = (split /\n/, $bmw->sql(q{SELECT d.datname FROM pg_database d LEFT JOIN bm_webhook.status() s ON s.database = d.datname WHERE d.datname LIKE 'copy%'
	GROUP BY d.datname ORDER BY count(s.state), d.datname}, 'shop'))[0];
$bmw->sql('SELECT bm_webhook.adopt()', $lost);
$bmw->sql('DROP DATABASE late');
$bmw->wait_for_delivery($bmw->emit('test.event', database => $lost), $lost);
pass("$lost, which had left its room, sends when it is adopted");

# so many that start at once may wait for one another's locks
$bmw->finish(expected => qr/could not read bm_webhook's tables/);

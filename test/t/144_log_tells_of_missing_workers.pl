# When max_worker_processes leaves no place for the dispatchers of a database, the server's log says
# so once, with the database's name, and says once when they have one.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

# one for PostgreSQL itself, one for the launcher, two for dispatchers
my $bmw = BmWebhook->new(conf => "max_worker_processes = 4\nbm_webhook.shards = 2\n");

$bmw->endpoint('/ok/first');
$bmw->wait_for_delivery($bmw->emit('test.first'));
$bmw->sql('CREATE DATABASE second');
$bmw->sql('CREATE EXTENSION bm_webhook', 'second');
$bmw->endpoint('/ok/second', database => 'second');
my $event = $bmw->emit('test.second', database => 'second');

wait_until('the log says that it has no worker', sub { $bmw->lines_logged('bm_webhook has no background worker for database "second"') });
is($bmw->status('DISTINCT state', 'second'), 'no worker', 'as status() does');
is($bmw->lines_logged('bm_webhook has got a background worker'), 0, 'it has none');

$bmw->sql('DROP EXTENSION bm_webhook CASCADE');
$bmw->wait_for_delivery($event, 'second');
$bmw->wait_for_sql('both run', q{SELECT count(*) = 2 FROM bm_webhook.status() WHERE database = 'second' AND state = 'running'}, 'second');
is($bmw->lines_logged('bm_webhook has got a background worker for database "second"'), 1, 'the log says when it has one');
is($bmw->lines_logged('bm_webhook has no background worker'), 1, 'and said once that it had none');

$bmw->finish;

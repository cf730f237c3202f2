# When max_worker_processes leaves no place for a dispatcher, the server's log says
# so once, with the database's name, and says when there is one.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

# one for PostgreSQL itself, one for the launcher, one for a dispatcher
my $bmw = BmWebhook->new(conf => "max_worker_processes = 3\n");

sub lines
{
	my ($pattern) = @_;
	return scalar(() = PostgreSQL::Test::Utils::slurp_file($bmw->node->logfile) =~ /LOG:  $pattern/g);
}

$bmw->endpoint('/ok/first');
$bmw->wait_for_delivery($bmw->emit('test.first'));
$bmw->sql('CREATE DATABASE second');
$bmw->sql('CREATE EXTENSION bm_webhook', 'second');
$bmw->endpoint('/ok/second', database => 'second');
my $event = $bmw->emit('test.second', database => 'second');

wait_until('the log says that it has no worker', sub { lines('bm_webhook has no background worker for database "second"') });
is($bmw->status('state', 'second'), 'no worker', 'as status() does');
is(lines('bm_webhook has got a background worker'), 0, 'it has none');

$bmw->sql('DROP EXTENSION bm_webhook CASCADE');
$bmw->wait_for_delivery($event, 'second');
is(lines('bm_webhook has got a background worker for database "second"'), 1, 'the log says when it has one');
is(lines('bm_webhook has no background worker'), 1, 'and said once that it had none');

$bmw->finish;

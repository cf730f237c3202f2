# A server that is started from a base backup sends nothing until adopt() is called in each of its databases, also after
# it has crashed or was stopped. Adopted, it sends what waits under the same ids. A crash of the original holds nothing.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils qw(append_to_file slurp_file);
use Test::More;

my $bmw = BmWebhook->new(streaming => 1);
my $original = $bmw->node;
my $receiver = $bmw->receiver;

$bmw->endpoint('/ok/original');
$bmw->sql('CREATE DATABASE second');
$bmw->sql('CREATE EXTENSION bm_webhook', 'second');
$bmw->wait_for_delivery($bmw->emit('test.first'));
$bmw->set('bm_webhook.enabled', 'off');
$bmw->wait_for_sql('nothing is sent', q{SELECT bool_and(reason LIKE 'bm_webhook.enabled is off%') FROM bm_webhook.status() WHERE database = 'postgres'});
$bmw->emit_many(20, 'test.waiting');
$original->backup('backup');
$bmw->set('bm_webhook.enabled', 'on');
$bmw->wait_for_requests('original', 21);

# The server of the test is now one that was started from this backup of this server.
sub copy
{
	my ($name, $of, $backup) = @_;
	my $copy = PostgreSQL::Test::Cluster->new($name);

	$copy->init_from_backup($of, $backup);
	append_to_file($copy->data_dir . '/postgresql.auto.conf', "bm_webhook.enabled = on\n");
	$copy->start;
	$bmw->{node} = $copy;
	return $copy;
}

sub is_held
{
	my ($database, $how) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$bmw->wait_for_sql("$how: it is known that it is a copy",
		"SELECT count(*) = 1 FROM bm_webhook.status() WHERE database = '$database' AND state = 'not adopted'", $database);
	return like($bmw->status('reason', $database),
		qr/^the server was started from a backup \(\S+ \S+ UTC\): nothing is sent until adopt\(\) is called in this database$/, "$how: status() says why");
}

my $copy = copy('copy', $original, 'backup');
$bmw->sql("UPDATE bm_webhook.endpoint SET url = " . quote($receiver->url('/ok/copy')));
$bmw->share_secrets(1, 'copy');
is_held('postgres', 'started');
$copy->stop('immediate');
$copy->start;
is_held('postgres', 'crashed');
$copy->restart;
is_held('postgres', 'stopped');
my $later = $bmw->emit('test.later');
$bmw->wait_for_sql('what waits has been taken', q{SELECT pending = 21 AND not_taken = 0 FROM bm_webhook.backlog});
is($receiver->count('copy', 'requests'), 0, 'nothing was sent');

is($bmw->sql('SELECT bm_webhook.adopt()'), 0, 'adopt()');
$bmw->wait_for_requests('copy', 21);
$bmw->settle;
$bmw->arrived_exactly_once('copy', q{SELECT id FROM bm_webhook.event WHERE type ~ 'waiting|later'}, 'it sends what waits, under the same ids');
is_held('second', 'the other database');
$copy->stop('immediate');
$copy->start;
$bmw->wait_for_delivery($bmw->emit('test.event'));
is($bmw->status('state'), 'running', 'a crash of the copy that was adopted holds nothing');

# Of a copy that was adopted.
$copy->backup('again');
my $second = copy('second', $copy, 'again');
is_held('postgres', 'a copy of the copy');
my $dropped = $bmw->emit('test.dropped');
is($bmw->sql('SELECT bm_webhook.adopt(drop => true)'), 1, 'what waits is dropped');
$bmw->wait_for_sql('it has been', qq{SELECT status = 'canceled' AND error = 'dropped by adopt()' FROM bm_webhook.delivery WHERE event_id = '$dropped'});
$bmw->wait_for_delivery($bmw->emit('test.event'));
is(scalar(grep { $_->{id} eq $dropped } $receiver->arrivals('copy')), 0, 'and was not sent');
is(scalar(() = slurp_file($second->logfile) =~ /LOG:  bm_webhook does not send from database "postgres"/g), 1, 'the log says once that it does not send');
$second->stop;
$copy->stop;

# The original.
$bmw->{node} = $original;
$original->stop('immediate');
$original->start;
my $event = $bmw->emit('test.original');
$bmw->wait_for_delivery($event);
is($bmw->status('state'), 'running', 'a crash of the original holds nothing');
$bmw->arrived_exactly_once('original', q{SELECT id FROM bm_webhook.event}, 'it has sent each event once');
$bmw->finish;

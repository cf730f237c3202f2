# While bm_webhook.fence_command does not end with 0, nothing is sent: status() says so, the log once, and it is asked
# again. It is asked at each start, and not while a dispatcher runs. One that hangs holds up neither the end of the server
# nor commands on the database, and leaves nothing behind.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use PostgreSQL::Test::Utils qw(append_to_file slurp_file);
use Test::More;
use Time::HiRes qw(time);

my $folder = PostgreSQL::Test::Utils::tempdir('fence');
my $bmw = BmWebhook->new(conf => "bm_webhook.fence_command = 'echo >> $folder/asked; test -e $folder/allowed'\n");
my $node = $bmw->node;
my $receiver = $bmw->receiver;

sub asked { return -e "$folder/asked" ? slurp_file("$folder/asked") =~ tr/\n// : 0 }
$bmw->sql('CREATE DATABASE second');
$bmw->sql('CREATE EXTENSION bm_webhook', 'second');
$bmw->endpoint('/ok/first');
$bmw->emit_many(10, 'test.event');
$bmw->wait_for_sql('it is fenced', q{SELECT count(*) = 2 FROM bm_webhook.status() WHERE state = 'fenced'});
is($bmw->status('reason'), 'bm_webhook.fence_command does not allow this server to send: it is asked again every 10 seconds', 'status() says why');
like($bmw->status('last_error'), qr/^bm_webhook\.fence_command: .*exited with exit code 1$/, 'and what the command has said');
my $before = asked();
wait_until('it is asked again', sub { asked() > $before });
is($receiver->count('first', 'requests'), 0, 'nothing is sent');
is($bmw->lines_logged('bm_webhook does not send from database "postgres"'), 1, 'the log says so once');

# A reload asks at once.
append_to_file("$folder/allowed", '');
$node->reload;
$bmw->wait_for_requests('first', 10);
$bmw->settle;
$bmw->arrived_exactly_once('first', q{SELECT id FROM bm_webhook.event WHERE type = 'test.event'}, 'allowed, it sends what waits');
is($bmw->status('state, reason'), 'running|', 'status() says that it runs');
is($bmw->lines_logged('bm_webhook sends from database "postgres": bm_webhook.fence_command allows it'), 1, 'the log says so');

# Not while it runs, but at each start.
unlink "$folder/allowed";
$bmw->wait_for_delivery($bmw->emit('test.event'));
is($bmw->status('state'), 'running', 'one that runs goes on');
$node->stop('immediate');
$node->start;
$bmw->wait_for_sql('after a start it is fenced', q{SELECT state = 'fenced' FROM bm_webhook.status() WHERE database = 'postgres'});
my $event = $bmw->emit('test.event');

# A command that hangs.
$bmw->set('bm_webhook.fence_command', "echo \$\$ >> $folder/pids; sleep 1000 & sleep 1000");
wait_until('it is asked', sub { -e "$folder/pids" && slurp_file("$folder/pids") =~ tr/\n// >= 2 });
my $start = time;
$bmw->sql('DROP DATABASE second');
cmp_ok(time - $start, '<', 5, 'DROP DATABASE does not wait for it');
$bmw->wait_for_sql('it is ended', q{SELECT last_error = 'bm_webhook.fence_command: it had not ended after 10 seconds' FROM bm_webhook.status() WHERE database = 'postgres'});
my $count = slurp_file("$folder/pids") =~ tr/\n//;
wait_until('it is asked again', sub { slurp_file("$folder/pids") =~ tr/\n// > $count });
$start = time;
$node->stop('fast');
cmp_ok(time - $start, '<', 5, 'a fast shutdown does not wait for it');
wait_until('nothing is left of it', sub { !grep { kill 0, -$_ } split /\n/, slurp_file("$folder/pids") });

$node->append_conf('postgresql.auto.conf', "bm_webhook.fence_command = ''\n");
$node->start;
$bmw->wait_for_delivery($event);
$bmw->finish;

# With no dispatcher running, capture works as ever and loses nothing: switched
# off, no background worker to be had, and the library not even preloaded. What
# was captured is sent once when a dispatcher runs again; status() says why none
# does.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

$bmw->endpoint('/ok/all');
$bmw->sql(q{CREATE TABLE message (id int PRIMARY KEY, status text);
	SELECT bm_webhook.watch('message', 'message.{status}')});
$bmw->settle;

my $number = 0;

sub capture
{
	$bmw->emit_many(100, 'test.emitted');
	$number++;
	$bmw->sql("INSERT INTO message SELECT $number * 1000 + n, 'sent' FROM generate_series(1, 100) n");
	is($bmw->sql(q{SELECT count(*) FROM bm_webhook.event WHERE type <> 'test.settled'}), 200 * $number,
		'capture works');
	return;
}

# Switched off, once the dispatcher has read it.
my $pid = $bmw->freeze_dispatcher;
$bmw->set('bm_webhook.enabled', 'off');
is($bmw->status('reason'), '', 'status() does not say so before the dispatcher knows');
kill CONT => $pid;
wait_until('nothing is sent', sub { $bmw->status('reason') =~ /bm_webhook.enabled/ });
capture();
like($bmw->status('reason'), qr/bm_webhook.enabled/, 'status() says that it is switched off');
is($receiver->count('all', 'requests'), 0, 'nothing is sent while switched off');
$bmw->set('bm_webhook.enabled', 'on');
$bmw->wait_for_requests('all', 200);

# No worker to be had: the launchers of the extension and of logical replication
# take the only two.
$bmw->node->append_conf('postgresql.conf', 'max_worker_processes = 2');
$bmw->node->restart;
wait_until('status() says what is missing', sub { $bmw->status('state || reason') =~ /^(?!running).*max_worker_processes/ });
capture();
like($bmw->status('reason'), qr/max_worker_processes/, 'and still does');
$bmw->node->adjust_conf('postgresql.conf', 'max_worker_processes', '16');
$bmw->node->restart;
$bmw->wait_for_requests('all', 400);

# Not preloaded.
$bmw->preload(0);
$bmw->node->restart;
capture();
isnt($bmw->status('state'), 'running', 'status() does not say running without the library');
like($bmw->status('reason'), qr/shared_preload_libraries/, 'but why not');
is($receiver->count('all', 'requests'), 400, 'nothing is sent without the library');
$bmw->preload(1);
$bmw->node->restart;
$bmw->wait_for_requests('all', 600);

# Told to end: another takes its place.
$pid = $bmw->dispatcher;
$bmw->sql("SELECT pg_terminate_backend($pid, 10000)");
capture();
wait_until('another dispatcher runs', sub { $bmw->dispatcher != $pid });
$bmw->settle;
$bmw->arrived_exactly_once('all', q{SELECT id FROM bm_webhook.event WHERE type <> 'test.settled'},
	'everything arrives once');
is($receiver->count('all', 'requests'), 800, 'no request beside them');

$bmw->finish(expected => qr/too many background workers|max_worker_processes/);

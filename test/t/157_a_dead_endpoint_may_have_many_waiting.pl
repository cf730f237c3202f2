# 100,000 events of one transaction for an endpoint that refuses connections: others get theirs meanwhile, the dispatcher does not
# keep them all in memory, the log says little, and each is there, also for the dispatcher that comes next, and is sent when somebody answers.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;

my $EVENTS = 100_000;
my $bmw = BmWebhook->new(conf => "fsync = off\n");
my $dead = $bmw->endpoint('http://127.0.0.1:' . PostgreSQL::Test::Cluster::get_free_port() . '/dead', event_types => '{test.many}', retry_delays => '{1 h}');
$bmw->endpoint('/ok/other', event_types => '{test.other}');

sub memory_kb { return (slurp_file('/proc/' . $bmw->dispatcher . '/status') =~ /RssAnon:\s+(\d+)/)[0] }
sub others_get_theirs { return $bmw->wait_for_delivery($bmw->emit('test.other')) }

others_get_theirs();
my $memory = memory_kb();
my $lines = () = slurp_file($bmw->node->logfile) =~ /\n/g;
$bmw->emit_many($EVENTS, 'test.many');
others_get_theirs() for 1 .. 20;
my $all_wait = "SELECT pending = $EVENTS FROM bm_webhook.backlog WHERE endpoint_id = $dead";
$bmw->wait_for_sql('all have a row that says that they wait', $all_wait);
cmp_ok(memory_kb() - $memory, '<', 50_000, 'the dispatcher has not taken a kilobyte for each, nor half of it');
note(memory_kb() - $memory . ' kB for them');
cmp_ok((() = slurp_file($bmw->node->logfile) =~ /\n/g) - $lines, '<', 50, 'few lines of the log');

$bmw->node->restart;
others_get_theirs() for 1 .. 5;
is($bmw->sql($all_wait), 't', 'they wait for the next dispatcher as well');
is($bmw->sql("SELECT matched FROM bm_webhook.cancel(endpoint => $dead, dry_run => true)"), $EVENTS, 'all could be canceled');
is($bmw->sql("SELECT count(DISTINCT event_id) FROM bm_webhook.delivery WHERE endpoint_id = $dead"), $EVENTS, 'none is lost');
$bmw->sql("UPDATE bm_webhook.endpoint SET url = '" . $bmw->receiver->url('/ok/dead') . "' WHERE id = $dead");
$bmw->share_secrets($dead, 'dead');
$bmw->wait_for_requests('dead', 100, 'delivered');
others_get_theirs();
is($bmw->receiver->count('other', 'requests'), 27, 'and the other endpoint got each of its events once');
$bmw->finish;

# CREATE EXTENSION where the library is not preloaded works and warns, with a
# hint; nothing is sent, and status() says why. After the server has started with
# the library, what was captured until then is sent.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new(preload => 0, extension => 0);
my ($stdout, $stderr);

is($bmw->node->psql('postgres', 'CREATE EXTENSION bm_webhook', stderr => \$stderr), 0, 'CREATE EXTENSION works');
like($stderr, qr/WARNING:.*\n(.*\n)*HINT:.*shared_preload_libraries/, 'it warns, with a hint');
$bmw->endpoint('/ok/all');
my $event = $bmw->emit('test.early');
is($bmw->sql('SELECT count(*) FROM bm_webhook.event'), 1, 'capture works');
like($bmw->sql('SELECT state, reason FROM bm_webhook.status()'), qr/shared_preload_libraries/, 'status() says why nothing is sent');
is($bmw->sql("SELECT bm_webhook.wait_for_delivery('$event', '100 ms')"), 'f', 'it is not delivered');

$bmw->preload(1);
$bmw->node->restart;
$bmw->wait_for_delivery($event);
$bmw->settle;
is($bmw->receiver->count('all', 'requests'), 1, 'what was captured is sent once');
is($bmw->status('state'), 'running', 'status() says running');

# With the library there is no warning.
$bmw->sql('CREATE DATABASE other');
$bmw->node->psql('other', 'CREATE EXTENSION bm_webhook', stderr => \$stderr);
is($stderr, '', 'no warning with the library');

$bmw->finish;

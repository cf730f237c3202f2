# Ten times under load the dispatcher is killed with SIGKILL, which also takes
# all sessions of the server along: nothing committed is lost, nothing else is
# sent, and the only duplicates are of what was in flight or not yet recorded.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use BmWebhook::Crash;
use Test::More;

my $bmw = BmWebhook->new(conf => $BmWebhook::Crash::conf);

BmWebhook::Crash::survives($bmw, 10, sub {
	kill 'KILL', $_[0];
});
$bmw->finish(expected => qr/crash|was terminated by signal|exited/);

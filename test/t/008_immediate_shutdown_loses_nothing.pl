# Ten times under load the server is shut down with mode immediate and started
# again: nothing committed is lost, nothing else is sent, and the only duplicates
# are of what was in flight or not yet recorded.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use BmWebhook::Crash;
use Test::More;

my $bmw = BmWebhook->new(conf => $BmWebhook::Crash::conf);

BmWebhook::Crash::survives($bmw, 10,
	sub { $bmw->node->stop('immediate') },
	sub { $bmw->start });
$bmw->finish(expected => qr/immediate shutdown|crash/);

# wait_for_delivery() is false for several reasons, and says which; and a
# standby says that it is one.
use strict;
use warnings;

use lib 'test/lib';
use BmWebhook;
use PostgreSQL::Test::Cluster;
use Test::More;

my $bmw = BmWebhook->new(streaming => 1);
my $node = $bmw->node;

# What the call says, when it is false.
sub reason
{
	my ($event) = @_;
	my ($out, $err) = ('', '');

	$node->psql('postgres', "SELECT bm_webhook.wait_for_delivery('$event', '200 ms')", stdout => \$out, stderr => \$err);
	is($out, 'f', 'not delivered');
	return $err;
}

my $shop = $bmw->endpoint('/ok/shop', event_types => '{order.*}');
my $hangs = $bmw->endpoint('/hang/hangs', event_types => '{hang.*}');
$bmw->endpoint('/status/500/broken', event_types => '{broken.*}', retry_delays => '{}');

$bmw->dispatcher;
like(reason($bmw->emit('nobody.wants')), qr/NOTICE:  no enabled endpoint matches/, 'nobody wants it');
like(reason($bmw->emit('hang.now')), qr/NOTICE:  a delivery of the event still waits/, 'it waits');
my $broken = $bmw->emit('broken.now');
$bmw->wait_for_sql('it fails', "SELECT count(*) = 1 FROM bm_webhook.delivery WHERE event_id = '$broken' AND status = 'failed'");
like(reason($broken), qr/NOTICE:  a delivery of the event failed or was canceled/, 'it failed');
$bmw->set('bm_webhook.enabled', 'off');
$bmw->wait_for_sql('nothing is sent', q{SELECT bool_and(reason LIKE 'bm_webhook.enabled is off%') FROM bm_webhook.status()});
like(reason($bmw->emit('order.paid')), qr/NOTICE:  nothing is sent while bm_webhook.enabled is off/, 'switched off');
my $unknown = '01900000-0000-7000-8000-000000000000';
$node->psql('postgres', "SELECT bm_webhook.wait_for_delivery('$unknown', '1 s')", stderr => \my $error);
like($error, qr/event $unknown does not exist/, 'an unknown event is named');

$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
$standby->psql('postgres', q{SELECT bm_webhook.emit('order.paid', '{}')}, stderr => \$error, extra_params => [ '-v', 'VERBOSITY=sqlstate' ]);
like($error, qr/ERROR:\s+25006/, 'a standby takes no event');
$standby->stop;

$bmw->finish;

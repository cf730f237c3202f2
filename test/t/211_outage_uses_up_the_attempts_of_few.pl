# While nobody answers single deliveries are tried. The others wait without using up their attempts, and arrive
# when the receiver is back. So it is with refused connections, with 503 to everything, and with requests that hang.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my $count = 400;

sub outcome
{
	my ($type) = @_;
	return split /\|/, $bmw->sql(qq{SELECT count(*) FILTER (WHERE status = 'failed'), count(*) FILTER (WHERE status = 'pending' AND attempts = 0)
		FROM bm_webhook.delivery JOIN bm_webhook.event ON id = event_id WHERE type = '$type'});
}

sub all_end
{
	my ($type) = @_;
	$bmw->wait_for_sql("$type: all have ended", qq{SELECT count(*) = $count FROM bm_webhook.delivery JOIN bm_webhook.event ON id = event_id
		WHERE type = '$type' AND status IN ('delivered', 'failed')});
	my ($failed) = outcome($type);
	cmp_ok($failed, '<', $count / 4, "$type: most are delivered");
}

# With two attempts, a second apart, each would have failed for good after it.
$bmw->endpoint('/status/503/refused', event_types => '{test.refused}', retry_delays => '{1 s}');
$bmw->endpoint('/hang/hangs', event_types => '{test.hangs}', retry_delays => '{1 s}', timeout => '3 s', max_in_flight => 64);
$bmw->emit_many($count, "test.$_") for qw(refused hangs);
$bmw->wait_for_sql('some have failed', q{SELECT count(*) > 10 FROM bm_webhook.delivery JOIN bm_webhook.event ON id = event_id
	WHERE type = 'test.refused' AND status = 'failed'});
$bmw->wait_for_sql('some have timed out', q{SELECT count(*) > 4 FROM bm_webhook.failed_attempt WHERE error_class = 'timeout'});
cmp_ok($receiver->count('refused', 'requests'), '<', $count, 'not everything has been tried');
cmp_ok($receiver->count('hangs', 'in_flight'), '<=', 16, 'few places hang');
$receiver->behave($_, 'ok') for qw(refused hangs);
all_end('test.refused');
all_end('test.hangs');

$bmw->endpoint('/ok/away', event_types => '{test.away}', retry_delays => '{1 s}');
$receiver->stop;
$bmw->emit_many($count, 'test.away');
$bmw->wait_for_sql('some have failed', q{SELECT count(*) > 10 FROM bm_webhook.delivery JOIN bm_webhook.event ON id = event_id
	WHERE type = 'test.away' AND status = 'failed'});
$receiver->start;
all_end('test.away');

$bmw->finish;

# With bm_webhook.source_address all connections come from there, also those to a proxy; a family
# of which no address is named is not used. An address that this machine does not have is a fault
# of ours: no attempt, and status() says so.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use BmWebhook::Proxy;
use IO::Socket::IP;
use Test::More;

my $bmw = BmWebhook->new(receiver => { host => '0.0.0.0' }, conf => "bm_webhook.source_address = '127.0.0.2'\n");
my $receiver = $bmw->receiver;
my $port = $receiver->port;

sub set
{
	my ($name, $value) = @_;
	my $pid = $bmw->dispatcher;
	$bmw->set($name, $value);
	wait_until('another dispatcher runs', sub { $bmw->dispatcher != $pid });
	return;
}
sub from { return [ map { s/^::ffff://r } map { $_->{from} } $receiver->requests($_[0]) ] }

$bmw->named_endpoint('one');
$bmw->wait_for_delivery($bmw->emit('test.one')) for 1 .. 2;
is_deeply(from('one'), [ '127.0.0.2', '127.0.0.2' ], 'from the address of the setting');
set('bm_webhook.source_address', ' 127.0.0.3 , ::1');
$bmw->wait_for_delivery($bmw->emit('test.one'));
is(from('one')->[2], '127.0.0.3', 'from another, once it is set, although a connection was open');

my $proxy = BmWebhook::Proxy->new('tinyproxy');
set('bm_webhook.proxy', $proxy->url);
$bmw->wait_for_delivery($bmw->emit('test.one'));
like($proxy->log, qr/127\.0\.0\.3/, 'so do those to a proxy');
set('bm_webhook.proxy', '');

# An address that is not ours: no attempt is counted, and it goes on by itself.
set('bm_webhook.source_address', '192.0.2.1');
my $event = $bmw->emit('test.one');
wait_until('status() says why', sub { $bmw->status('last_error') =~ /source_address/ });
is($bmw->sql("SELECT count(*) FROM bm_webhook.failed_attempt WHERE event_id = '$event'"), 0, 'no attempt of the endpoint');
set('bm_webhook.source_address', '127.0.0.4');
$bmw->wait_for_delivery($event);
is(from('one')->[4], '127.0.0.4', 'delivered when it is');

# A family without an address is not used.
set('bm_webhook.source_address', '::1');
$bmw->sql(q{UPDATE bm_webhook.endpoint SET retry_delays = '{}'});
$event = $bmw->emit('test.one');
$bmw->wait_for_sql('it has failed', "SELECT count(*) = 1 FROM bm_webhook.delivery WHERE event_id = '$event' AND status = 'failed'");
is($bmw->sql("SELECT error_class FROM bm_webhook.delivery WHERE event_id = '$event'"), 'connect', 'an IPv4 address is not connected to from an IPv6 one');
is($receiver->count('one', 'requests'), 5, 'nothing was sent');

SKIP:
{
	my $six = IO::Socket::IP->new(Listen => 1, LocalHost => '::1') or skip 'there is no IPv6 here', 1;
	close $six;
	my $other = BmWebhook::Receiver->new(host => '::');
	$bmw->set('bm_webhook.allowed_networks', '127.0.0.0/8,::1');
	$bmw->wait_for_sql('it is allowed', q{SELECT current_setting('bm_webhook.allowed_networks') ~ '::1'});
	$bmw->endpoint('http://[::1]:' . $other->port . '/ok/six', event_types => '{test.six}');
	$bmw->wait_for_delivery($bmw->emit('test.six'));
	is(($other->requests('six'))[0]{from}, '::1', 'from the IPv6 address');
}

is($bmw->sqlstate("ALTER SYSTEM SET bm_webhook.source_address = " . quote($_)), '22023', "refused: '$_'")
  for 'eth0', 'if!lo', 'host!127.0.0.1', 'example.com', '127.1', '0.0.0.0', '::', '224.0.0.1', '255.255.255.255', 'ff02::1', '::ffff:127.0.0.1', '127.0.0.1/32', '127.0.0.1:80',
  '127.0.0.1,127.0.0.2', '::1,fd00::1', ',', '127.0.0.1,', ',::1', '127.0.0.1 ::1', 'fe80::1%lo', '[::1]', 'x' x 500;
is($bmw->sqlstate("ALTER SYSTEM SET bm_webhook.source_address = " . quote($_)), '', "accepted: '$_'") for '198.51.100.7', '2001:db8::7,198.51.100.7', '';

$bmw->finish;

# Whatever the name server answers: only addresses that are open are connected to, the outcome has
# its class. Directly, and through a proxy, which is told an address.
# 127.0.0.2 is open and 127.0.0.1 is not; the receiver listens on both.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use BmWebhook::Names;
use BmWebhook::Proxy;
use Test::More;

my $names = BmWebhook::Names->new;
my $bmw;
{
	local %ENV = (%ENV, $names->environment);
	$bmw = BmWebhook->new(receiver => { host => '0.0.0.0' }, conf => "bm_webhook.allowed_networks = '127.0.0.2'\n");
}
my $receiver = $bmw->receiver;
my $port = $receiver->port;

# The first label; how it ends directly, and through a proxy. Of a mixed answer the open address may
# be reached first, or the other one seen: never connected to.
my @lines = (
	(map { [ $_ => qr/^delivered\|$/ ] } qw(good slow huge chain)),
	(map { [ $_ => qr/^failed\|blocked_address$/ ] } qw(loopback zero metadata private six mapped nat64 sixtofour local inward localhost hugeinside)),
	(map { [ $_ => qr/^(delivered\||failed\|blocked_address)$/, qr/^failed\|blocked_address$/ ] } qw(mixed mixedback mixedsix)),
	(map { [ $_ => qr/^failed\|name_resolution$/ ] } qw(nxdomain servfail refused notimp empty dangling loop other garbage never)),
);

sub register
{
	my ($word, $prefix, $host) = @_;
	$host //= "$word.names.example.com";
	my $id = $bmw->sql("INSERT INTO bm_webhook.endpoint (url, event_types, retry_delays, timeout)
		VALUES ('http://$host:$port/ok/$prefix$word', '{test.$prefix}', '{}', '8 s') RETURNING id");
	$bmw->share_secrets($id, "$prefix$word");
	return $id;
}
sub ended
{
	my ($event, $count) = @_;
	$bmw->wait_for_sql('all have ended', 'SELECT count(*) = ' . ($count // 1)
		  . " FROM bm_webhook.delivery WHERE event_id = '$event' AND status IN ('delivered', 'failed')");
	return map { split /=/ } split /\n/, $bmw->sql("SELECT endpoint_id || '=' || status || '|' || coalesce(error_class, '')
		FROM bm_webhook.delivery WHERE event_id = '$event'");
}
sub restart_dispatcher
{
	my $pid = $bmw->dispatcher;
	$bmw->sql("SELECT pg_terminate_backend($pid, 10000)");
	wait_until('another dispatcher runs', sub { $bmw->dispatcher != $pid });
	return;
}

my $proxy = BmWebhook::Proxy->new('tinyproxy');
for my $way (qw(direct proxied))
{
	if ($way eq 'proxied')
	{
		my $pid = $bmw->dispatcher;
		$bmw->set('bm_webhook.proxy', $proxy->url);
		wait_until('another dispatcher runs', sub { $bmw->dispatcher != $pid });
	}
	my %id = map { $_->[0] => register($_->[0], $way) } @lines;
	my %outcome = ended($bmw->emit("test.$way"), scalar @lines);
	for my $line (@lines)
	{
		my ($word, $direct, $proxied) = @$line;
		like($outcome{ $id{$word} }, $way eq 'proxied' && $proxied || $direct, "$way: $word");
	}
	is_deeply([ grep { !/127\.0\.0\.2$/ } map { $_->{to} } map { $receiver->requests("$way$_->[0]") } @lines ], [], "$way: only the open address was connected to");
}
is_deeply([ grep { $_ ne "127.0.0.2:$port" } $proxy->tunnels ], [], 'the proxy was told no other, and no name');
cmp_ok(scalar(() = $proxy->tunnels), '>', 0, 'but that');
$bmw->sql('ALTER SYSTEM RESET bm_webhook.proxy');
my $pid = $bmw->dispatcher;
$bmw->node->reload;
wait_until('another dispatcher runs', sub { $bmw->dispatcher != $pid });

# The first answer is open, all others lead to the loopback address.
my $rebinding = register('rebind', 'again');
is({ ended($bmw->emit('test.again')) }->{$rebinding}, 'delivered|', 'a name is delivered to');
wait_until('the name server was asked', sub { $names->asked('rebind') == 1 });
is({ ended($bmw->emit('test.again')) }->{$rebinding}, 'delivered|', 'and again, over the connection that is open');
is($names->asked('rebind'), 1, 'without another look-up');
restart_dispatcher();
is({ ended($bmw->emit('test.again')) }->{$rebinding}, 'failed|blocked_address', 'a name that has been rebound is blocked');
wait_until('there was another look-up', sub { $names->asked('rebind') == 2 });

# An address that was remembered is judged anew.
my $good = register('good', 'later', 'good.names.example.com');
is({ ended($bmw->emit('test.later')) }->{$good}, 'delivered|', 'an open address');
$bmw->set('bm_webhook.allowed_networks', '');
$bmw->wait_for_sql('it is closed', q{SELECT current_setting('bm_webhook.allowed_networks') = ''});
is({ ended($bmw->emit('test.later')) }->{$good}, 'failed|blocked_address', 'is none, once it is closed, although it is remembered');
is($receiver->count('latergood', 'requests'), 1, 'and nothing was sent');
is($receiver->silent, 0, 'there was no connection without a request');

$bmw->finish;

# An address that is refused is never connected to, however an endpoint came to
# it: a literal address whose network the administrator has closed since, also
# when a connection to it was being kept alive, and a name that resolves to a
# refused address, alone or among others. The attempt is recorded with class
# blocked_address, and no response.
#
# Names: the server runs with an /etc/hosts of its own, in a mount namespace that
# an unprivileged user can make; where he cannot, that part is skipped. The
# receiver listens on all of 127/8, so a connection that should not be would
# succeed and be counted.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $can_set_hosts = BmWebhook::can_set_hosts();
my $bmw = BmWebhook->new(
	receiver => { host => '0.0.0.0' },
	hosts => $can_set_hosts ? "127.0.0.1 localhost good.example.com\n127.0.0.2 bad.example.com mixed.example.com\n"
	  . "127.0.0.1 mixed.example.com\n::1 six.example.com\n::ffff:127.0.0.1 mapped.example.com\n" : undef);
my $receiver = $bmw->receiver;
my $port = $receiver->port;

sub last_delivery
{
	my ($endpoint) = @_;
	return $bmw->sql("SELECT status, error_class FROM bm_webhook.delivery WHERE endpoint_id = $endpoint
		ORDER BY event_id DESC LIMIT 1");
}

# A literal address, with a connection that is kept alive.
my $literal = $bmw->endpoint('/ok/literal', event_types => '{test.literal}', retry_delays => '{200ms,200ms,200ms,200ms,30s}');
$bmw->wait_for_delivery($bmw->emit('test.literal'));
is($receiver->count('literal', 'open_connections'), 1, 'a connection is kept alive');

$bmw->set('bm_webhook.allowed_networks', '');
wait_until('the network is closed', sub { $bmw->sqlstate(
		q{BEGIN; INSERT INTO bm_webhook.endpoint (url) VALUES ('http://127.0.0.1/'); ROLLBACK}) eq '42501' });
my $event = $bmw->emit('test.literal');
$bmw->wait_for_sql('an attempt is blocked',
	"SELECT EXISTS (SELECT FROM bm_webhook.failed_attempt WHERE event_id = '$event')");
is(last_delivery($literal), 'pending|blocked_address', 'blocked, with its class');
is($bmw->sql('SELECT count(*) FROM bm_webhook.failed_attempt WHERE response IS NOT NULL OR http_status IS NOT NULL'),
	0, 'and without a response');
is($receiver->count('literal', 'requests'), 1, 'nothing is sent over the connection that was kept alive');
is($receiver->count('literal', 'connections'), 1, 'nor over another');

$bmw->set('bm_webhook.allowed_networks', '127.0.0.1');
$bmw->wait_for_delivery($event);
is($receiver->count('literal', 'requests'), 2, 'delivered when the network is open again');

SKIP:
{
	skip 'an unprivileged user cannot have an /etc/hosts of his own here', 1 unless $can_set_hosts;

	my %endpoint = map { $_ => $bmw->endpoint("http://$_.example.com:$port/ok/$_", event_types => '{test.name}', retry_delays => '{}') }
	  qw(good bad mixed six mapped);
	$event = $bmw->emit('test.name');
	$bmw->wait_for_sql('all have ended', 'SELECT count(*) = 5 FROM bm_webhook.delivery '
		  . "WHERE event_id = '$event' AND status IN ('failed', 'delivered')");
	is(last_delivery($endpoint{good}), 'delivered|', 'a name with an open address is delivered');
	for my $name (qw(bad six mapped))
	{
		is(last_delivery($endpoint{$name}), 'failed|blocked_address', "$name: blocked, with its class");
		is($receiver->count($name, 'requests'), 0, "$name: nothing was sent");
	}

	is($receiver->silent, 0, 'nor was there any connection');

	# Of several addresses the open one may be used, a refused one never.
	my @to = map { $_->{to} } $receiver->requests('mixed');
	is_deeply([ grep { !/127\.0\.0\.1$/ } @to ], [], 'mixed: only the open address was connected');
	is(last_delivery($endpoint{mixed}), @to ? 'delivered|' : 'failed|blocked_address', 'mixed: recorded accordingly');

	# The name becomes bad after the endpoint was registered and used.
	$bmw->set_hosts("127.0.0.2 good.example.com\n");
	my $pid = $bmw->dispatcher;
	$bmw->sql("SELECT pg_terminate_backend($pid, 10000)");
	wait_until('another dispatcher runs', sub { $bmw->dispatcher != $pid });
	$bmw->wait_for_sql('it has ended', "SELECT NOT bm_webhook.wait_for_delivery('" . $bmw->emit('test.name') . "', '1 s')");
	$bmw->wait_for_sql('it is recorded',
		"SELECT count(*) = 2 FROM bm_webhook.delivery WHERE endpoint_id = $endpoint{good}");
	is(last_delivery($endpoint{good}), 'failed|blocked_address', 'a name that turned bad is blocked');
	is($receiver->count('good', 'requests'), 1, 'and nothing more was sent');
}

$bmw->finish;

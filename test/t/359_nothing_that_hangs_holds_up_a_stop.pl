# Receivers, a name server and a proxy that do not answer hold up neither a fast shutdown, nor the end of a dispatcher, nor
# DROP DATABASE. What is answered in that time is recorded, and not sent again; the rest is.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use BmWebhook::Names;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time);

my $names = BmWebhook::Names->new;
my $bmw;
{
	local %ENV = (%ENV, $names->environment);
	$bmw = BmWebhook->new;
}
my $receiver = $bmw->receiver;
my $node = $bmw->node;
# Connections are taken by the kernel, and never answered.
my $proxy = IO::Socket::INET->new(Listen => 50, LocalAddr => '127.0.0.1') or die "listen: $!";
my $port = $receiver->port;

sub in_time
{
	my ($what, $do) = @_;
	my $before = time;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$do->();
	note(sprintf '%s: %.2f s', $what, time - $before);
	return cmp_ok(time - $before, '<', 5, "$what in under five seconds");
}

# So many requests that are answered half a second after they came, in flight.
sub send_slow
{
	my ($count, $database) = @_;
	my $before = $receiver->count('slow', 'requests');
	$bmw->emit_many($count, 'test.slow', $database);
	return $bmw->wait_for_requests('slow', $before + $count);
}

$bmw->sql('CREATE DATABASE second');
$bmw->sql('CREATE EXTENSION bm_webhook', 'second');
my %hang = (postgres => 'hang', second => 'other');
for my $database (sort keys %hang)
{
	$bmw->endpoint("/hang/$hang{$database}", event_types => '{test.hang}', timeout => '60 s', database => $database);
	$bmw->endpoint("http://never.names.example.com:$port/ok/never", event_types => '{test.hang}', timeout => '60 s', database => $database);
}
$bmw->endpoint('/slow/500/slow', event_types => '{test.slow}');
$bmw->settle;

sub hang
{
	my ($database) = @_;
	my $before = $names->asked('never');
	$bmw->emit_many(20, 'test.hang', $database);
	$bmw->wait_for_requests($hang{$database}, 4);
	return wait_until('the name server was asked', sub { $names->asked('never') > $before });
}
hang($_) for qw(postgres second);
in_time('DROP DATABASE', sub { $bmw->sql('DROP DATABASE second') });
send_slow(5);
my $pid = $bmw->dispatcher;
in_time('the end of the dispatcher', sub { $bmw->sql("SELECT pg_terminate_backend($pid, 10000)") });
wait_until('another one runs', sub { $bmw->dispatcher != $pid });
send_slow(5);
in_time('a fast shutdown', sub { $node->stop('fast') });
$bmw->start;
$bmw->dispatcher;
$bmw->wait_for_sql('what was answered was recorded',
	q{SELECT count(*) = 10 FROM bm_webhook.delivery d JOIN bm_webhook.event e ON e.id = d.event_id WHERE e.type = 'test.slow' AND d.status = 'delivered'});
is($receiver->count('slow', 'requests'), 10, 'and is not sent again');

# Through the proxy that hangs.
$bmw->set('bm_webhook.proxy', 'http://127.0.0.1:' . $proxy->sockport);
$bmw->wait_for_sql('the proxy is set', q{SELECT current_setting('bm_webhook.proxy') <> ''});
$bmw->emit_many(10, 'test.slow');
my $connection = $proxy->accept;
ok(<$connection>, 'the proxy is asked to connect');
in_time('a fast shutdown with a proxy that hangs', sub { $node->stop('fast') });
$node->append_conf('postgresql.auto.conf', "bm_webhook.proxy = ''\n");
$bmw->start;

# Now everything is answered, but for the name.
$bmw->sql("UPDATE bm_webhook.endpoint SET url = " . quote($receiver->url('/ok/never')) . " WHERE url LIKE '%never%'");
$bmw->share_secrets(2, 'never');
$receiver->behave('hang', 'ok');
wait_until('all are delivered', sub {
	$receiver->release('hang');
	$bmw->sql(q{SELECT count(*) FROM bm_webhook.delivery WHERE status <> 'delivered'}) == 0;
});
$bmw->settle;
$bmw->arrived_exactly_once($_->[0], "SELECT id FROM bm_webhook.event WHERE type = 'test.$_->[1]'", "$_->[0]: everything arrives once")
  for [ 'slow', 'slow' ], [ 'hang', 'hang' ], [ 'never', 'hang' ];
$bmw->finish;

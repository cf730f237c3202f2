# However many names, endpoints, applications and dispatchers lead to one address: no more requests are open to it than
# bm_webhook.max_in_flight_per_address. What one application leaves hanging there leaves room for others, to other
# addresses everything goes on, waiting is no attempt, endpoints say why they wait, a dispatcher that dies leaves no
# places taken, and a change takes effect at once.
#
# Names: as in 015; where that cannot be, all endpoints have the same one.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $limit = 6;
my $can_set_hosts = BmWebhook::can_set_hosts();
my $bmw = BmWebhook->new(
	conf => "bm_webhook.shards = 2\nbm_webhook.max_in_flight_per_address = $limit\n",
	receiver => { host => '0.0.0.0' },
	hosts => $can_set_hosts ? join('', "127.0.0.1 localhost\n", map { "127.0.0.1 n$_.example.com\n" } 1 .. 40) : undef);
my $receiver = $bmw->receiver;
my $port = $receiver->port;
my $why = 'as many requests go to its address as may';
my $names = 0;
my @hanging;

# Another name for the same address each time.
sub endpoint
{
	my ($path, %columns) = @_;
	my $host = $can_set_hosts ? 'n' . ++$names . '.example.com' : '127.0.0.1';
	return $bmw->endpoint("http://$host:$port$path", timeout => '2 min', %columns);
}

sub hang
{
	my ($name, $application) = @_;
	push @hanging, $name;
	return endpoint("/hang/$name", application => $application, event_types => '{test.event}');
}

sub emit
{
	my ($n, $application) = @_;
	$bmw->sql("SELECT count(bm_webhook.emit('test.event', '{}', application => '$application')) FROM generate_series(1, $n)");
	return;
}

sub delivered
{
	my ($application) = @_;
	return "(SELECT count(*) FROM bm_webhook.delivery JOIN bm_webhook.event ON id = event_id
		WHERE application = '$application' AND status = 'delivered')";
}

sub in_flight
{
	return $bmw->sql(q{SELECT sum(in_flight) FROM bm_webhook.status() WHERE database = 'postgres'});
}

sub wait_for_in_flight
{
	my ($count, $what) = @_;
	wait_until($what, sub { in_flight() == $count });
	return;
}

$bmw->sql(q{INSERT INTO bm_webhook.application (name) SELECT unnest('{flood,bank,a,b,c,d,e,f,g,h}'::text[])});
hang("flood$_", 'flood') for 1 .. 10;
wait_until('two dispatchers run', sub {
	$bmw->sql(q{SELECT count(*) = 2 FROM bm_webhook.status() WHERE database = 'postgres' AND state = 'running'}) eq 't';
});

# One application.
emit(5, 'flood');
$bmw->wait_for_sql('endpoints say why they wait', "SELECT count(*) > 0 FROM bm_webhook.endpoint_pace WHERE reason = '$why'");
$bmw->wait_for_sql('and how they are', "SELECT count(*) > 0 FROM bm_webhook.endpoint_health
	WHERE state = 'slowed' AND reason = '$why'");
cmp_ok(in_flight(), '<', $limit, 'one application leaves room');
cmp_ok(in_flight(), '>=', $limit / 2, 'and has half of it');
endpoint('/ok/bank', application => 'bank');
emit(50, 'bank');
$bmw->wait_for_sql('another one sends to the same address', 'SELECT ' . delivered('bank') . ' = 50');
$bmw->endpoint("http://127.0.0.2:$port/ok/elsewhere", application => 'flood', event_types => '{test.elsewhere}');
$bmw->sql(q{SELECT bm_webhook.emit('test.elsewhere', '{}', 'flood') FROM generate_series(1, 20)});
$bmw->wait_for_sql('the first one to another', 'SELECT ' . delivered('flood') . ' = 20');

# Many.
for my $application ('a' .. 'h')
{
	hang("$application$_", $application) for 1 .. 2;
	emit(3, $application);
}
wait_for_in_flight($limit, 'the address gets as many as it may');
sub came { my $sum = 0; $sum += $receiver->count($_, 'requests') for @hanging; return $sum }
wait_until('what is in flight has come', sub { came() >= $limit });
is(came(), $limit, 'and has got no more');
is($bmw->sql('SELECT count(*) FROM bm_webhook.failed_attempt'), 0, 'waiting is no attempt');

# A challenge is a request, too: it is put off, which is no failure.
$bmw->set('bm_webhook.verify_endpoints', 'on');
$bmw->wait_for_sql('endpoints are to prove their URL', q{SELECT current_setting('bm_webhook.verify_endpoints') = 'on'});
my $new = endpoint('/challenge/plain/new', application => 'a', event_types => '{test.new}');

$bmw->set('bm_webhook.max_in_flight_per_address', $limit + 4);
wait_for_in_flight($limit + 4, 'more are allowed');

my @pids = split /\n/, $bmw->sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'bm_webhook dispatcher'});
is(scalar @pids, 2, 'two dispatchers');
$bmw->sql("SELECT pg_terminate_backend($_)") for @pids;
wait_until('both have ended', sub {
	$bmw->sql('SELECT count(*) FROM pg_stat_activity WHERE pid IN (' . join(',', @pids) . ')') == 0;
});
wait_for_in_flight($limit + 4, 'as many again when they are back');

for my $name (@hanging)
{
	$receiver->behave($name, 'ok');
	$receiver->release($name);
}
$bmw->wait_for_sql('what was not asked proves its URL', "SELECT verified_at IS NOT NULL FROM bm_webhook.endpoint_state WHERE endpoint_id = $new");
$bmw->wait_for_sql('everything arrives', 'SELECT ' . join(' AND ', delivered('flood') . ' = 70', map { delivered($_) . ' = 6' } 'a' .. 'h'));
wait_for_in_flight(0, 'nothing is in flight');
$bmw->finish;

# Behind a proxy the limit of requests to an address is that of the receiver, which was judged here, and not of the
# proxy: so many are open to one receiver, over all shards, and others behind the same proxy are not held up by it.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use BmWebhook::Proxy;
use Test::More;

my $limit = 4;
my $bmw = BmWebhook->new(
	conf => "bm_webhook.shards = 2\nbm_webhook.max_in_flight_per_address = $limit\n",
	receiver => { host => '0.0.0.0' });
my $receiver = $bmw->receiver;
my $port = $receiver->port;

sub dispatchers
{
	return $bmw->sql(q{SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM bm_webhook.status()
		WHERE database = 'postgres' AND state = 'running' HAVING count(*) = 2});
}
wait_until('two dispatchers run', sub { dispatchers() ne '' });

for my $kind (qw(tinyproxy microsocks))
{
	my $proxy = BmWebhook::Proxy->new($kind);
	my %before = map { $_ => 1 } split / /, dispatchers();
	$bmw->set('bm_webhook.proxy', $proxy->url);
	wait_until('two others run', sub {
		my @now = split / /, dispatchers();
		return @now == 2 && !grep { $before{$_} } @now;
	});

	my @names = map { "$kind$_" } 1 .. 6;
	$bmw->sql("INSERT INTO bm_webhook.application (name) VALUES ('$_')") for @names, "$kind-other";
	$bmw->endpoint("http://127.0.0.2:$port/hang/$_", application => $_, timeout => '2 min') for @names;
	$bmw->sql("SELECT bm_webhook.emit('test.event', '{}', '$_') FROM generate_series(1, 3)") for @names;
	$bmw->wait_for_sql("$kind: a receiver gets as many as it may",
		"SELECT sum(in_flight) = $limit FROM bm_webhook.status() WHERE database = 'postgres'");
	$bmw->wait_for_sql('what is for it waits', q{SELECT count(*) > 0 FROM bm_webhook.endpoint_pace
		WHERE reason = 'as many requests go to its address as may'});

	$bmw->endpoint("http://127.0.0.3:$port/ok/$kind-other", application => "$kind-other");
	$bmw->sql("SELECT bm_webhook.emit('test.event', '{}', '$kind-other') FROM generate_series(1, 20)");
	my $delivered = 'SELECT count(*) = %d FROM bm_webhook.delivery JOIN bm_webhook.event ON id = event_id
		WHERE application ~ %s AND status = \'delivered\'';
	$bmw->wait_for_sql('another one behind the same proxy gets all', sprintf($delivered, 20, "'^$kind-other'"));
	my $came = sub { my $sum = 0; $sum += $receiver->count($_, 'requests') for @names; return $sum };
	wait_until('what is in flight has come', sub { $came->() >= $limit });
	is($came->(), $limit, 'the first has got no more');
	my %ends = map { $_ => 1 } $proxy->tunnels;
	is_deeply([ sort keys %ends ], [ "127.0.0.2:$port", "127.0.0.3:$port" ], 'all of it through the proxy');

	for my $name (@names)
	{
		$receiver->behave($name, 'ok');
		$receiver->release($name);
	}
	$bmw->wait_for_sql('everything arrives', sprintf($delivered, 38, "'^$kind'"));
	is($bmw->sql('SELECT count(*) FROM bm_webhook.failed_attempt'), 0, 'waiting is no attempt');
}
$bmw->finish;

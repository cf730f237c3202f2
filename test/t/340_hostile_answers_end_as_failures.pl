# Whatever bytes a receiver answers, the attempt ends, the dispatcher stays the same
# process, and the others get what is theirs.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use MIME::Base64 qw(encode_base64url);
use Test::More;

my $bmw = BmWebhook->new;

my %answer = (
	(map { ("folded$_" => "HTTP/1.1 200 OK\r\n\tfolded, after none" . ('x' x (20 * $_)) . "\r\n\tagain\r\nA: b\r\n\r\n") } 1 .. 9),
	nul => "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
	lengths => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk",
	length => "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok",
	(map { ("length_$_->[0]" => "HTTP/1.1 200 OK\r\nContent-Length: $_->[1]\r\n\r\nok") }
		[ below => -2 ], [ far_below => '-99999999999999999999' ], [ word => 'two' ], [ hex => 'x2' ], [ none => '' ], [ sign => '--2' ]),
	(map { ("beyond_$_->[0]" => "HTTP/1.1 200 OK\r\nContent-Length: $_->[1]\r\n\r\nok") }
		[ 31 => 2**31 ], [ 32 => 2**32 + 2 ], [ 63 => '9223372036854775807' ], [ 64 => '18446744073709551618' ], [ many => '9' x 1000 ]),
	chunk => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nok",
	switch => "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
	interim => "HTTP/1.1 103 Early Hints\r\n\r\n" x 50,
	retry => "HTTP/1.1 503 No\r\nRetry-After: -99999999999999999999\r\nRetry-After: Fri, 99 Foo 99999\r\nContent-Length: 0\r\n\r\n",
	status => "HTTP/1.1 2000 OK\r\n\r\n",
	text => "HTTP/1.1 500 No\r\nContent-Length: 8\r\n\r\n\xff\xfe\xed\xa0\x80\0\x1b[",
	version => "HTTP/22221.1 \nContent-Length: 0\r\n\r\n",
	negative => "HTTP/2-5\r\nContent-Length: 0\r\n\r\n",
	tls => "\x15\x03\x01\x00\x02\x02\x28",
	nothing => '');
my $fine = $bmw->endpoint('/ok/fine');
my %hostile = map { $_ => $bmw->endpoint('/bytes/' . encode_base64url($answer{$_}) . "/$_", retry_delays => '{}') } sort keys %answer;
my $dispatcher = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'bm_webhook dispatcher'};

sub send_to
{
	my ($endpoint) = @_;
	my $event = $bmw->emit('test.event', endpoint => $endpoint);

	return $bmw->wait_for_sql("endpoint $endpoint has answered",
		"SELECT status <> 'pending' FROM bm_webhook.delivery WHERE event_id = '$event'");
}

send_to($fine);
my $pid = $bmw->sql($dispatcher);

# One after the other: what the engine keeps of an answer is there when the next one comes.
for my $name (sort keys %hostile)
{
	for (1 .. 4)
	{
		send_to($hostile{$name});
		send_to($fine);
	}
}
# All at once.
$bmw->sql(qq{SELECT bm_webhook.emit(type => 'test.event', data => '{}', endpoint => e.id) FROM bm_webhook.endpoint e, generate_series(1, 10)});
$bmw->wait_for_sql('all have ended', q{SELECT count(*) = 0 FROM bm_webhook.delivery WHERE status = 'pending'});

is($bmw->sql($dispatcher), $pid, 'the dispatcher is the same process');
is($bmw->sql(qq{SELECT DISTINCT status FROM bm_webhook.delivery WHERE endpoint_id = $fine}), 'delivered', 'the others got what is theirs');
is($bmw->sql(qq{SELECT count(*) FROM bm_webhook.delivery
		WHERE endpoint_id IN ($hostile{folded1}, $hostile{folded9}, $hostile{nul}) AND status = 'delivered'}),
	0, 'what is no answer of HTTP is no success');
is($bmw->sql("SELECT DISTINCT status, error_class, error FROM bm_webhook.delivery WHERE endpoint_id = $hostile{lengths}"),
	'failed|protocol|the answer has two lengths', 'nor is one of two lengths');
is($bmw->sql("SELECT count(*) FROM bm_webhook.delivery WHERE endpoint_id IN ($hostile{chunk}, $hostile{tls}, $hostile{nothing}) AND status = 'delivered'"),
	0, 'nor one that breaks off, or is of another protocol');
is($bmw->sql("SELECT string_agg(DISTINCT status || ' ' || error_class, ', ') FROM bm_webhook.delivery WHERE endpoint_id IN ("
		  . join(', ', @hostile{ grep { /^length_/ } keys %hostile }) . ')'), 'failed protocol', 'a length that is no number is no answer of HTTP');
is($bmw->sql("SELECT count(*) FROM bm_webhook.delivery WHERE endpoint_id IN (" . join(', ', @hostile{ grep { /^beyond_/ } keys %hostile }) . ") AND status = 'delivered'"),
	0, 'nor is an answer that ends before its length a success');
# libcurl after 7.88 takes any line that begins with HTTP for a 200
is($bmw->sql(q{SELECT bool_and(http_status IS NULL OR http_status BETWEEN 100 AND 999) FROM bm_webhook.delivery}), 't',
	'a status has three digits, or is none');

$bmw->finish;

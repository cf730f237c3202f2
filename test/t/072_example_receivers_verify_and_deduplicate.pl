# The receivers in examples/receivers, with real requests of the extension and
# with these changed: what is signed and of now is taken, once for each
# webhook-id; a changed body, an old timestamp, another secret are refused. A
# challenge is answered.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/../interop";
use BmWebhook;
use Interop;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my $secret = 'whsec_' . 'c2VjcmV0IG9mIHRoZSByZWNlaXZlcnMgb2Ygb3RoZXJz';
my $other_secret = 'whsec_' . 'YW5vdGhlciBzZWNyZXQgdGhhdCBub2JvZHkgaGFzIGdpdmVu';

# An endpoint with this secret.
sub endpoint_with
{
	my ($secret, @endpoint) = @_;
	my $id = $bmw->endpoint(@endpoint);
	$bmw->sql("UPDATE bm_webhook.endpoint_secret SET secret = '$secret' WHERE endpoint_id = $id");
	return $id;
}

# The headers of a request for this, signed now or some seconds from now.
sub sign
{
	my ($secret, $id, $seconds, $body) = @_;
	utf8::encode($body);
	my ($timestamp, $signature) = split /\|/,
	  $bmw->sql("SELECT floor(extract(epoch FROM t))::bigint, bm_webhook.sign('$secret', '$id', t, convert_to("
		  . quote($body) . ", 'UTF8')) FROM (SELECT now() + interval '$seconds s') AS now (t)");
	return {
		'content-type' => 'application/json',
		'webhook-id' => $id,
		'webhook-timestamp' => $timestamp,
		'webhook-signature' => $signature,
	};
}

# The same events come to this receiver, which keeps them.
endpoint_with($secret, '/ok/witness', event_types => '{test.event}');
$receiver->set_secrets('witness', $secret);

# url: where it listens. count: how many events it has taken.
sub verifies_and_deduplicates
{
	my ($url, $count) = @_;
	my $data = '{"text": "Größe ☎ \"quoted\" \\\\ "}';

	my $endpoint = endpoint_with($secret, $url, event_types => '{test.event}', retry_delays => '{}');
	my $same = endpoint_with($secret, $url, event_types => '{test.event}', retry_delays => '{}');
	my $stranger = endpoint_with($other_secret, $url, event_types => '{test.event}', retry_delays => '{}');
	$receiver->reset('witness');
	my $event = $bmw->emit('test.event', data => $data);
	$bmw->settle;
	$bmw->wait_for_sql('the outcomes are recorded', "SELECT count(*) = 3 FROM bm_webhook.delivery
		WHERE event_id = '$event' AND endpoint_id IN ($endpoint, $same, $stranger) AND status <> 'pending'");
	is($bmw->sql("SELECT status, http_status FROM bm_webhook.delivery WHERE event_id = '$event'
		AND endpoint_id IN ($endpoint, $same, $stranger) ORDER BY endpoint_id"),
		"delivered|204\ndelivered|204\nfailed|401", 'taken, taken again, and refused from one with another secret');
	is($count->(), 1, 'the event that came twice is counted once');

	my ($request) = $receiver->requests('witness');
	my ($headers, $body) = @$request{qw(headers body)};
	is(post($url, $headers, $body), 204, 'the request itself, once more: accepted');
	is(post($url, sign($secret, $event, 0, $body), $body), 204, 'the event sent again later: accepted');
	is($count->(), 1, 'and still counted once');

	is(post($url, $headers, $body =~ s/quoted/Quoted/r), 401, 'a tampered body');
	is(post($url, $headers, "$body "), 401, 'a body with a blank more');
	is(post($url, $headers, ''), 401, 'no body');
	is(post($url, { %$headers, 'webhook-id' => 'another' }, $body), 401, 'under another id');
	is(post($url, { %$headers, 'webhook-timestamp' => $headers->{'webhook-timestamp'} + 1 }, $body), 401, 'with another timestamp');
	is(post($url, sign($secret, 'old', -600, $body), $body), 401, 'signed ten minutes ago');
	is(post($url, sign($secret, 'ahead', 600, $body), $body), 401, 'signed ten minutes ahead');
	is(post($url, sign($other_secret, 'wrong', 0, $body), $body), 401, 'with another secret');
	is(post($url, { %{ sign($secret, 'bad', 0, $body) }, %$_ }, $body), 401, 'with ' . join ' ', %$_)
	  for { 'webhook-timestamp' => 'now' }, { 'webhook-signature' => 'v1,' }, { 'webhook-signature' => 'x' };
	for my $name (qw(id timestamp signature))
	{
		my %without = %{ sign($secret, 'without', 0, $body) };
		delete $without{"webhook-$name"};
		is(post($url, \%without, $body), 401, "without webhook-$name");
	}
	is($count->(), 1, 'nothing of this was taken');

	my $next = sign($secret, 'next', 0, $body);
	$next->{'webhook-signature'} = "v1a,AAAA " . sign($other_secret, 'next', 0, $body)->{'webhook-signature'} . " $next->{'webhook-signature'}";
	is(post($url, $next, $body), 204, 'one of several signatures is right: accepted');
	is($count->(), 2, 'and taken');

	$bmw->sql("DELETE FROM bm_webhook.endpoint WHERE id IN ($endpoint, $same, $stranger)");
	return;
}

sub set_verify
{
	my ($value) = @_;
	$bmw->node->safe_psql('postgres', "ALTER SYSTEM SET bm_webhook.verify_endpoints = $value");
	$bmw->node->reload;
	$bmw->wait_for_sql("verify_endpoints is $value", "SELECT current_setting('bm_webhook.verify_endpoints') = '$value'");
	return;
}

# A challenge is answered, is no event, and is not answered for somebody else.
sub proves_its_url
{
	my ($url, $count) = @_;
	my $before = $count->();
	my $challenge = '{"type":"webhook.verification","data":{"endpoint_id":1,"challenge":"' . 'a' x 64 . '"}}';
	is(post($url, sign($other_secret, 'forged', 0, $challenge), $challenge), 401, 'a challenge with another secret is refused');

	my $id = endpoint_with($secret, $url, event_types => '{test.proof}');
	set_verify('on');
	$bmw->sql("SELECT bm_webhook.verify_endpoint($id)");
	$bmw->wait_for_sql('the challenge has an outcome', "SELECT verified_at IS NOT NULL OR verification_error IS NOT NULL
		FROM bm_webhook.endpoint_state WHERE endpoint_id = $id");
	is($bmw->sql("SELECT verification_error FROM bm_webhook.endpoint_state WHERE endpoint_id = $id"), '', 'it proves its URL');
	is($count->(), $before, 'the challenge is not kept as an event');
	set_verify('off');
	$bmw->sql("DELETE FROM bm_webhook.endpoint WHERE id = $id");
	return;
}

# Those that keep one file for each event in the folder inbox.
sub files_in
{
	my ($program) = @_;
	return sub { scalar(my @files = glob $program->folder . '/inbox/*.json') };
}

subtest 'Node' => sub {
	my $program = start_program([qw(node receiver.mjs)],
		copy => ['receivers/node/receiver.mjs'], environment => { WEBHOOK_SECRET => $secret });
	verifies_and_deduplicates($program->url('/'), files_in($program));
	proves_its_url($program->url('/'), files_in($program));
	is(scalar(() = $program->output =~ /^new event test\.event$/mg), 2, 'the work is done once for each');
};

subtest 'Python' => sub {
	plan skip_all => 'python3 is not installed' unless has_program('python3');
	my $program = start_program([ 'python3', example('receivers/python/receiver.py') ],
		environment => { WEBHOOK_SECRET => $secret });
	verifies_and_deduplicates($program->url('/'), files_in($program));
	proves_its_url($program->url('/'), files_in($program));
	is(scalar(() = $program->output =~ /^new event test\.event$/mg), 2, 'the work is done once for each');
};

subtest 'PHP' => sub {
	plan skip_all => 'php is not installed (Debian: php-cli)' unless has_program('php');
	my $program = start_program([ 'php', '-S', '127.0.0.1:0', example('receivers/php/receiver.php') ],
		environment => { WEBHOOK_SECRET => $secret });
	verifies_and_deduplicates($program->url('/'), files_in($program));
	proves_its_url($program->url('/'), files_in($program));
	is(scalar(() = $program->output =~ /new event test\.event$/mg), 2, 'the work is done once for each');
};

subtest 'PostgreSQL' => sub {
	plan skip_all => 'python3 is not installed' unless has_program('python3');
	run_psql($bmw, 'postgres', 'receivers/postgresql/inbox.sql', secret => $secret);
	my $program = start_program([ 'python3', example('receivers/postgresql/front.py'), 'receiver.receive' ],
		environment => { PGHOST => $bmw->node->host, PGPORT => $bmw->node->port, PGDATABASE => 'postgres' });
	my $count = sub { $bmw->sql('SELECT count(*) FROM receiver.inbox') };
	verifies_and_deduplicates($program->url('/receiver.receive'), $count);
	proves_its_url($program->url('/receiver.receive'), $count);
	is($bmw->sql("SELECT body #>> '{data,text}' FROM receiver.inbox ORDER BY received_at LIMIT 1"), "Größe ☎ \"quoted\" \\ ",
		'the text survives');
	is(post($program->url('/pg_catalog.now'), {}, '{}'), 404, 'no other function can be called');

	# Two secrets while the sender moves from one to the next.
	$bmw->sql("INSERT INTO receiver.sender VALUES ('platform', '$other_secret')");
	is(post($program->url('/receiver.receive'), sign($other_secret, 'rotated', 0, '{}'), '{}'), 204, 'the next secret');
	is(post($program->url('/receiver.receive'), sign($secret, 'rotating', 0, '{}'), '{}'), 204, 'and the one before');
	is(post($program->url('/receiver.receive'), sign($secret, 'broken', 0, '{'), '{'), 500, 'what cannot be stored is to be sent again');
	is($bmw->sql('SELECT count(*) FROM receiver.inbox'), 4, 'and is not taken');
};

$bmw->finish;

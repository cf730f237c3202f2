# Interop both ways with the npm packages standardwebhooks and svix: they accept
# what we send, verify() accepts what they sign, and all three agree with the
# published vectors. The bodies are what the schemas of their types say.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/../interop";
use BmWebhook;
use Interop;
use JSON::PP;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my @packages = qw(standardwebhooks svix);

# verify() of these headers and this body, passed as bytea, as text, or as a
# literal without a type.
sub verify
{
	my ($headers, $body, $secret, $tolerance_s, $type) = @_;
	my $json = JSON::PP->new->utf8->encode($headers);
	my $value = $type eq 'bytea' ? "'\\x" . unpack('H*', $body) . q{'::bytea} : quote($body);

	$value .= '::text' if $type eq 'text';
	return $bmw->sql('SELECT bm_webhook.verify(' . quote($json) . "::jsonb, $value, '$secret', interval '$tolerance_s s')");
}

###############################################################################
# What we send, they verify
###############################################################################

my %endpoint = map { $_ => $bmw->endpoint("/ok/$_") } qw(one two);
$bmw->sql("INSERT INTO bm_webhook.endpoint_secret (endpoint_id, secret) VALUES ($endpoint{two}, 'whsec_" . ('QUFB' x 20) . "')");
$bmw->share_secrets($endpoint{two}, 'two');

my @events = map { $bmw->emit('test.event', %$_) } (
	{},
	{ data => '{"text": "Größe ☎ 🙂 \"quoted\" \\\\ \u2028 </script> \u0001"}', application => undef },
	{ data => '{"number": 12345678901234567890.120, "list": [1, null, true, {}], "": ""}', channel => 'whatsapp', message_id => 'm 1' },
	{ data => '{"text": "' . ('long ' x 4000) . '"}', occurred_at => '1999-12-31 23:59:59.999999+00' },
);
$bmw->wait_for_delivery($_) for @events;
$bmw->wait_for_delivery($bmw->sql("SELECT bm_webhook.ping($endpoint{one})"));

my (@requests, @descriptions);
for my $name (qw(one two))
{
	for my $secret (split /\n/, $bmw->sql("SELECT secret FROM bm_webhook.endpoint_secret WHERE endpoint_id = $endpoint{$name} ORDER BY id"))
	{
		push @requests, map { { headers => $_->{headers}, body => $_->{body}, secret => $secret } } $receiver->requests($name);
	}
}
is(scalar @requests, 5 + 2 * 4, 'requests: five with one secret, four with each of two');

my @answers = @{ run_node('verify.mjs', \@requests) };
for my $package (@packages)
{
	is_deeply([ map { $_->{$package} } @answers ], [ ('verified') x @requests ], "$package verifies what we send");
}

my @changed = map { { %$_, body => $_->{body} =~ s/"type"/"Type"/r } } @requests[ 0 .. 3 ];
push @changed, { %{ $requests[0] }, secret => 'whsec_' . ('QUFB' x 8) };
push @changed, { %{ $requests[0] }, headers => { %{ $requests[0]{headers} }, 'webhook-id' => 'another' } };
@answers = @{ run_node('verify.mjs', \@changed) };
for my $package (@packages)
{
	is(scalar(grep { $_->{$package} eq 'No matching signature found' } @answers), @changed, "$package refuses what is changed");
}

# And so does our own verify().
for my $request (@requests)
{
	utf8::encode(my $body = $request->{body});
	is(verify($request->{headers}, $body, $request->{secret}, 300, $_), 't', "verify() accepts it as $_") for qw(bytea text);
}

###############################################################################
# What they sign, we verify
###############################################################################

my $spec_secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
my @messages = map { { timestamp => time, %$_ } } (
	# the examples of the specification, with line breaks and without
	{ id => 'msg_2KWPBgLlAfxdpx2AI54pPJ85f4W', secret => $spec_secret,
		body => qq({\n  "type": "contact.created",\n  "timestamp": "2022-11-03T20:26:10.344522Z",\n  "data": {\n)
		  . qq(    "id": "1f81eb52-5198-4599-803e-771906343485"\n  }\n}) },
	{ id => 'msg_2KWPBgLlAfxdpx2AI54pPJ85f4W', secret => $spec_secret,
		body => '{"type":"contact.created","timestamp":"2022-11-03T20:26:10.344522Z","data":{"id":"1f81eb52-5198-4599-803e-771906343485"}}' },
	{ id => 'a', body => '', secret => 'whsec_' . ('QUFB' x 8) },
	{ id => 'msg_1', body => "\x{1F642} \\ ' \" \x{a0} \x{2028}", secret => 'whsec_' . ('//8A' x 21) . '/w==' },
	{ id => 'x' x 200, body => 'y' x 100_000, secret => $spec_secret },
	{ id => 'early', body => '{}', secret => $spec_secret, timestamp => time - 200 },
	{ id => 'ahead', body => '{}', secret => $spec_secret, timestamp => time + 200 },
);
@answers = @{ run_node('sign.mjs', \@messages) };
for my $n (0 .. $#messages)
{
	my $message = $messages[$n];
	my $what = substr($message->{id}, 0, 40) . " ($n)";
	utf8::encode(my $body = $message->{body});

	is($answers[$n]{standardwebhooks}, $answers[$n]{svix}, "$what: the packages agree");
	is($bmw->sql("SELECT bm_webhook.sign('$message->{secret}', '$message->{id}', to_timestamp($message->{timestamp}), '\\x" . unpack('H*', $body) . q{')}),
		$answers[$n]{svix}, "$what: and sign() with them");
	for my $package (@packages)
	{
		my %headers = (
			'webhook-id' => $message->{id},
			'webhook-timestamp' => "$message->{timestamp}",
			'webhook-signature' => $answers[$n]{$package});
		for my $type (qw(bytea text))
		{
			is(verify(\%headers, $body, $message->{secret}, 300, $type), 't', "$what: verify() accepts $package, as $type");
			is(verify(\%headers, "$body ", $message->{secret}, 300, $type), 'f', "$what: and not another body, as $type");
		}
		is(verify({ map { uc $_ => $headers{$_} } keys %headers }, $body, $message->{secret}, 300, 'bytea'), 't', "$what: names of headers in any case");
		is(verify({ %headers, 'webhook-signature' => "v1,AAAA v1a,BBBB $answers[$n]{$package}" }, $body, $message->{secret}, 300, 'bytea'),
			't', "$what: among other signatures");
		is(verify(\%headers, $body, 'whsec_' . ('QkJC' x 8), 300, 'bytea'), 'f', "$what: not with another secret");
		is(verify(\%headers, $body, $message->{secret}, 100, 'bytea'), 'f', "$what: not when it is older than allowed")
		  if abs($message->{timestamp} - time) > 150;
	}
}

###############################################################################
# What is published, all agree with
###############################################################################

my @vectors = (
	# the reference implementations of the specification
	{ id => 'msg_p5jXN8AQM9LWM0D4loKWxJek', timestamp => 1614265330, body => '{"test": 2432232314}', secret => $spec_secret,
		signature => 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=' },
	# Svix's documentation of its signatures
	{ id => 'msg_27UH4WbU6Z5A5EzD8u03UvzRbpk', timestamp => 1649367553, body => '{"email":"test@example.com","username":"test_user"}',
		secret => 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD', signature => 'v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=' },
);
@answers = @{ run_node('sign.mjs', \@vectors) };
for my $n (0 .. $#vectors)
{
	my $vector = $vectors[$n];
	my %headers = (
		'webhook-id' => $vector->{id},
		'webhook-timestamp' => "$vector->{timestamp}",
		'webhook-signature' => $vector->{signature});

	is($answers[$n]{$_}, $vector->{signature}, "$vector->{id}: $_ signs it so") for @packages;
	is($bmw->sql("SELECT bm_webhook.sign('$vector->{secret}', '$vector->{id}', to_timestamp($vector->{timestamp}), '$vector->{body}')"),
		$vector->{signature}, "$vector->{id}: sign() signs it so");
	for my $type (qw(bytea text literal))
	{
		is(verify(\%headers, $vector->{body}, $vector->{secret}, 1e9, $type), 't', "$vector->{id}: verify() accepts it, as $type");
		is(verify(\%headers, $vector->{body}, $vector->{secret}, 300, $type), 'f', "$vector->{id}: but not today, as $type");
	}
}

###############################################################################
# The schemas
###############################################################################

my @bodies = split /\n/, $bmw->sql(q{SELECT example::text FROM bm_webhook.event_type ORDER BY name});
utf8::decode($_) for @bodies;
bodies_are_valid($bmw, 'postgres', 'examples of event_type',
	[ split /\n/, $bmw->sql('SELECT name FROM bm_webhook.event_type') ], @bodies);

$receiver->reset;
for my $status (qw(accepted sent delivered read failed expired canceled))
{
	my $error = $status =~ /failed|expired/ ? q{, error => '{"code": "undeliverable", "title": "Message undeliverable", "permanent": true, "provider_code": "131026"}'} : '';
	$bmw->wait_for_delivery($bmw->sql(qq{SELECT bm_webhook.message_status('$status', 'app', 'whatsapp', 'm-$status', '+33123456789', '+33698765432'$error)}));
}
# with everything that can be said
$bmw->wait_for_delivery($bmw->sql(q{SELECT bm_webhook.message_status('failed', 'app', 'sms', 'm-full', '+33123456789', '+33698765432',
	occurred_at => '2026-01-02 03:04:05.6+00', provider => 'twilio', provider_message_id => 'SM1', client_ref => 'order-1', conversation_id => 'c-1',
	content => '{"type": "text", "text": "Grüße"}', segments => 2,
	price => '{"amount": "0.0075", "currency": "EUR", "category": "utility", "billable": true}',
	error => '{"code": "undeliverable", "title": "Undeliverable", "detail": "no such number", "permanent": true, "provider_code": "30003"}',
	metadata => '{"campaign": "spring"}', sender_name => 'Shop', recipient_name => 'Ana')}));
for my $content (
	'{"type": "text", "text": "Merci !"}',
	'{"type": "image", "media": [{"url": "https://media.example/1", "mime_type": "image/jpeg", "size": 1234, "sha256": "' . ('ab' x 32) . '", "caption": "Moi"}]}',
	'{"type": "location", "location": {"latitude": 48.85, "longitude": 2.35, "name": "Paris"}}',
	'{"type": "button", "button": {"id": "yes", "text": "Yes"}}')
{
	$bmw->wait_for_delivery($bmw->sql("SELECT bm_webhook.message_received(" . quote($content) . ", 'app', 'whatsapp', 'in-' || md5(" . quote($content) . ')'
		. q{, '+33698765432', '+33123456789', context => '{"message_id": "m-read"}', sender_name => 'Ana', conversation_id => 'c-1', client_ref => 'r', metadata => '{"a": "b"}', provider_message_id => 'wamid.1')}));
}
$bmw->wait_for_delivery($bmw->sql(q{SELECT bm_webhook.message_clicked('{"id": "yes", "text": "Oui"}', 'app', 'rcs', 'm-read', '+33698765432', 'agent-7')}));
$bmw->wait_for_delivery($bmw->sql("SELECT bm_webhook.ping($endpoint{one})"));
bodies_are_valid($bmw, 'postgres', 'sent by the typed functions',
	[ 'webhook.ping', map { "message.$_" } qw(accepted sent delivered read failed expired canceled received clicked) ],
	map { $_->{body} } $receiver->requests('one'));

# A schema that accepts everything would prove nothing.
my ($good) = map { $_->{body} } grep { $_->{body} =~ /"message.delivered"/ } $receiver->requests('one');
for my $change (
	[ 'another status', sub { $_[0]{data}{status} = 'read' } ],
	[ 'no channel', sub { delete $_[0]{channel} } ],
	[ 'no recipient', sub { delete $_[0]{data}{to} } ],
	[ 'a time that is none', sub { $_[0]{data}{occurred_at} = 'yesterday' } ],
	[ 'no id', sub { delete $_[0]{id} } ])
{
	my ($what, $do) = @$change;
	my $body = JSON::PP->new->decode($good);
	$do->($body);
	my $schema = decode_json($bmw->sql("SELECT schema FROM bm_webhook.event_type WHERE name = 'message.delivered'"));
	my $result = run_node('validate.mjs', { schemas => { 'message.delivered' => $schema }, bodies => [ JSON::PP->new->encode($body) ] });
	is(scalar @{ $result->{errors} }, 1, "the schema refuses: $what");
}

$bmw->finish;

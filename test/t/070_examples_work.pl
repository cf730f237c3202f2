# The six uses in examples/, each in a database of its own, run as its README
# says: what the receiver saw, what it did about it, and what the views say.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/../interop";
use BmWebhook;
use Interop;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;

plan skip_all => 'python3 is not installed' unless has_program('python3');

my $bmw = BmWebhook->new(extension => 0);
my $receiver = $bmw->receiver;

# A database for one use. Its witness gets everything and keeps the bodies.
sub database
{
	my ($name) = @_;
	$bmw->sql("CREATE DATABASE $name");
	$bmw->sql('CREATE EXTENSION bm_webhook', $name);
	$bmw->endpoint("/ok/witness-$name", event_types => '{*,webhook.*,endpoint.*,delivery.*}', database => $name);
	$receiver->_control('keep', name => "witness-$name", requests => 2000);
	return $name;
}

sub environment
{
	my ($database, %more) = @_;
	return { PGHOST => $bmw->node->host, PGPORT => $bmw->node->port, PGDATABASE => $database, PGUSER => getpwuid($<) . '', %more };
}

# The door between HTTP and the functions of a use.
sub front
{
	my ($database, @functions) = @_;
	return start_program([ 'python3', example('receivers/postgresql/front.py'), @functions ], environment => environment($database));
}

# A search path whose psql writes a line to the second file for each start.
sub counting_psql
{
	my $folder = PostgreSQL::Test::Utils::tempdir('psql');
	PostgreSQL::Test::Utils::append_to_file("$folder/psql", "#!/bin/sh\necho start >>$folder/starts\nPATH=\${PATH#*:}\nexec psql \"\$@\"\n");
	chmod 0755, "$folder/psql" or die "could not make psql executable: $!";
	return ("$folder:$ENV{PATH}", "$folder/starts");
}

# The last tests of a use: the witness has seen all, and it is as documented.
sub all_is_as_documented
{
	my ($database, @types) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$bmw->settle(database => $database);
	$bmw->arrived_exactly_once("witness-$database", 'SELECT id FROM bm_webhook.event WHERE endpoint_id IS NULL',
		'every event has arrived exactly once', $database);
	my @bodies = map { $_->{body} } $receiver->requests("witness-$database");
	bodies_are_valid($bmw, $database, $database, \@types, @bodies);
	return @bodies;
}

subtest 'order-updates' => sub {
	my $database = database('order_updates');
	my $front = front($database, 'shop.receive');
	my $url = $front->url('/shop.receive');

	run_psql($bmw, $database, 'order-updates/setup.sql', url => $url);
	run_psql($bmw, $database, 'order-updates/play.sql');
	is(run_psql($bmw, $database, 'order-updates/check.sql'), "order-1|arrived|sms\norder-2|sent|whatsapp\norder-3|sent|whatsapp",
		'what has arrived is noted, what has failed goes out on another channel');
	is($bmw->sql('SELECT client_ref, status FROM shop.message WHERE channel = \'whatsapp\' ORDER BY 1', $database),
		"order-2|accepted\norder-3|accepted", 'one message more for each that failed');

	run_psql($bmw, $database, 'order-updates/play-whatsapp.sql');
	is(run_psql($bmw, $database, 'order-updates/check.sql'), "order-1|arrived|sms\norder-2|arrived|whatsapp\norder-3|failed|whatsapp",
		'and of these as well');

	# The same again changes nothing: no third message to order-3.
	my ($request) = grep { $_->{body} =~ /"message.failed"/ } $receiver->requests("witness-$database");
	my ($timestamp, $signature) = split /\|/, $bmw->sql("SELECT floor(extract(epoch FROM now()))::bigint,
		bm_webhook.sign((SELECT secret FROM shop.secret), '$request->{headers}{'webhook-id'}', now(), convert_to("
		  . quote($request->{body}) . ", 'UTF8'))", $database);
	my $headers = { %{ $request->{headers} }, 'webhook-timestamp' => $timestamp, 'webhook-signature' => $signature };
	is(post($url, $headers, $request->{body}), 204, 'the same event again: accepted');
	is($bmw->sql('SELECT count(*) FROM shop.message', $database), 5, 'and nothing is sent because of it');
	is(post($url, $headers, $request->{body} =~ s/order-/Order-/r), 401, 'a forged one is not');

	all_is_as_documented($database, qw(message.accepted message.sent message.delivered message.failed));
	is($bmw->sql(q{SELECT m.client_ref, s.channel, s.state, s.error_code FROM bm_webhook.message_state s JOIN shop.message m ON m.id = s.message_id
		ORDER BY 1, 2}, $database), join("\n", 'order-1|sms|delivered|', 'order-2|sms|failed|undeliverable', 'order-2|whatsapp|delivered|',
		'order-3|sms|failed|undeliverable', 'order-3|whatsapp|failed|not_on_whatsapp'), 'and the view knows each message');
};

subtest 'banking-alerts' => sub {
	my $database = database('banking_alerts');
	my ($path, $starts) = counting_psql();
	my $front = start_program([ 'python3', example('receivers/postgresql/front.py'), 'bank.receive' ],
		environment => environment($database, PATH => $path));

	run_psql($bmw, $database, 'banking-alerts/setup.sql', url => $front->url('/bank.receive'));
	run_psql($bmw, $database, 'banking-alerts/play.sql');
	is(scalar(split /\n/, run_psql($bmw, $database, 'banking-alerts/check.sql')), 40, 'every callback, with its delivery');
	cmp_ok(scalar(split /\n/, slurp_file($starts)), '<=', 4, 'a few psql took them all');
	$bmw->settle(database => $database);

	is($bmw->sql('SELECT type, count(*) FROM bank.callback GROUP BY type ORDER BY type', $database),
		"message.delivered|19\nmessage.failed|1\nmessage.sent|20", 'the callbacks are kept');
	is($bmw->sql(q{SELECT count(*) FROM bank.callback c, bank.secret s WHERE NOT bm_webhook.verify(
		jsonb_build_object('webhook-id', c.id, 'webhook-timestamp', split_part(c.signature, ' ', 1), 'webhook-signature', split_part(c.signature, ' ', 2)),
		c.body, s.secret, '10 years')}, $database), 0, 'and can still be verified');
	# A second is what is wanted; asserted is that they are there before anything
	# could have been tried again with the default schedule: machines are noisy.
	my ($is_soon, $median) = split /\|/, $bmw->sql(q{SELECT m < interval '4 s', m FROM (
		SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY c.received_at - e.created_at)
		FROM bank.callback c JOIN bm_webhook.event e ON e.id = c.id::uuid) AS median (m)}, $database);
	is($is_soon, 't', 'they arrive at once');
	note("half of them within $median");

	# The bank is away for a moment. The schedule of its endpoint is a short one: it
	# is tried again before an ordinary endpoint would be.
	my $ordinary = $bmw->endpoint('/status/500/ordinary', event_types => '{message.failed}', database => $database);
	my $port = $front->{url} =~ s/.*://r;
	$front->stop;
	$bmw->sql(q{UPDATE bank.one_time_code SET status = 'failed', error = '{"code": "unreachable", "title": "Unreachable", "permanent": false}' WHERE id = 'otp-1'}, $database);
	my $event = $bmw->sql(q{SELECT id FROM bm_webhook.event WHERE type = 'message.failed' AND message_id = 'otp-1'}, $database);
	$bmw->wait_for_sql('both are to be tried again', qq{SELECT count(*) = 2 FROM bm_webhook.delivery
		WHERE event_id = '$event' AND status = 'pending' AND attempts > 0}, $database);
	my $due = $bmw->sql("SELECT next_attempt_at FROM bm_webhook.delivery WHERE event_id = '$event' AND endpoint_id = $ordinary", $database);
	$front = start_program([ 'python3', example('receivers/postgresql/front.py'), 'bank.receive' ], environment => environment($database, PORT => $port));
	$bmw->wait_for_sql('the bank has heard of it', "SELECT EXISTS (SELECT FROM bank.callback WHERE id = '$event')", $database);
	$bmw->wait_for_sql('that is recorded', qq{SELECT status = 'delivered' AND attempts > 1 FROM bm_webhook.delivery
		WHERE event_id = '$event' AND endpoint_id <> $ordinary AND endpoint_id IN (SELECT id FROM bm_webhook.endpoint WHERE url LIKE '%/bank.receive')}, $database);
	cmp_ok($bmw->sql(qq{SELECT count(*) FROM bm_webhook.attempt a JOIN bm_webhook.endpoint p ON p.id = a.endpoint_id
		WHERE a.event_id = '$event' AND p.url LIKE '%/bank.receive' AND a.attempted_at < '$due'}, $database), '>', 1, 'a short schedule of retries');

	my @bodies = all_is_as_documented($database, qw(message.accepted message.sent message.delivered message.failed));
	is(scalar(grep { /secret code/ } @bodies), 0, 'the code is in no body');
	is($bmw->sql(q{SELECT count(*) FROM bm_webhook.event WHERE data::text LIKE '%secret code%'}, $database), 0, 'nor in the log of events');
};

subtest 'campaigns' => sub {
	my $database = database('campaigns');
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $secret = run_psql($bmw, $database, 'campaigns/setup.sql', url => "http://127.0.0.1:$port/");
	my $program = start_program([qw(node receiver.mjs)], copy => ['receivers/node/receiver.mjs'],
		environment => { WEBHOOK_SECRET => $secret, PORT => $port });

	run_psql($bmw, $database, 'campaigns/play.sql');
	my @bodies = all_is_as_documented($database, qw(message.sent message.delivered message.read message.failed));
	is(scalar @bodies, $bmw->sql('SELECT count(*) + count(*) FILTER (WHERE is_read) + count(*)
		+ count(*) FILTER (WHERE is_delivered AND message_id LIKE \'%1\') FROM campaign.recipient', $database), 'every report was sent');

	# What the marketing department counts from its inbox.
	my %seen;
	for my $file (glob $program->folder . '/inbox/*.json')
	{
		my $event = decode_json(PostgreSQL::Test::Utils::slurp_file($file));
		$seen{"$event->{data}{metadata}{campaign} $event->{channel} $event->{type}"}{ $event->{message_id} } = 1;
	}
	my %planned = map { split /\|/ } split /\n/, $bmw->sql(q{
		SELECT campaign || ' ' || channel || ' message.delivered', count(*) FROM campaign.recipient WHERE is_delivered GROUP BY campaign, channel
		UNION ALL
		SELECT campaign || ' ' || channel || ' message.read', count(*) FROM campaign.recipient WHERE is_read GROUP BY campaign, channel}, $database);
	is_deeply({ map { $_ => scalar keys %{ $seen{$_} } } keys %seen }, \%planned, 'the receiver saw what was delivered and read, and nothing else');

	my @rates = map { [ split /\|/ ] } split /\n/, run_psql($bmw, $database, 'campaigns/check.sql');
	is_deeply([ map { join ' ', @$_[ 0 .. 8 ] } @rates ], [
		'spring sms 50 50 45 0 5 0.9000 0.0000', 'spring whatsapp 50 50 45 20 5 0.9000 0.4444',
		'summer sms 50 50 45 0 5 0.9000 0.0000', 'summer whatsapp 50 50 45 15 5 0.9000 0.3333' ], 'the rates');
	is_deeply([ map { [ @$_[ 3, 4, 5, 7, 8 ] ] } @rates ], [ map { [ @$_[ 11 .. 15 ] ] } @rates ], 'equal to what is counted');
	is_deeply([ map { join ' ', @$_[ 9, 10 ] } @rates ],
		[ '00:00:10 ', '00:00:10 00:10:00', '00:00:10 ', '00:00:10 00:10:00' ], 'and the times that the provider told of');
	is($bmw->sql(q{SELECT count(*) FROM bm_webhook.message_state s JOIN campaign.recipient r USING (message_id)
		WHERE s.state <> CASE WHEN r.is_read THEN 'read' WHEN r.is_delivered THEN 'delivered' ELSE 'failed' END}, $database),
		0, 'each message is in the state that it should be in, whatever came last');
	is($bmw->sql(q{SELECT sum(events), sum(delivered), sum(failed), sum(retries) FROM bm_webhook.delivery_rate r
		JOIN bm_webhook.endpoint p ON p.id = r.endpoint_id WHERE p.application = 'marketing'}, $database),
		"235|235|0|0", 'every event was delivered at once');
};

subtest 'support' => sub {
	my $database = database('support');
	my $front = front($database, map { "support.$_" } qw(whatsapp sms replies));

	run_psql($bmw, $database, 'support/setup.sql', url => $front->url);
	run_psql($bmw, $database, 'support/play.sql');
	is(run_psql($bmw, $database, 'support/check.sql'), join("\n",
		'whatsapp|+33698765431|out-1|out||t', 'whatsapp|+33698765431|out-2|out||f',
		'whatsapp|+33698765431|in-1|in|out-1|f', 'sms|+33698765432|in-2|in||f'),
		'the reply is where its question is, the other message is a ticket of its team');
	all_is_as_documented($database, qw(message.received));
	is($bmw->sql(q{SELECT team, body ->> 'channel', body ->> 'message_id', body ->> 'type', body #>> '{data,context,message_id}'
		FROM support.inbox ORDER BY team}, $database),
		"replies|whatsapp|in-1|message.received|out-1\nsms|sms|in-2|message.received|\nwhatsapp|whatsapp|in-1|message.received|out-1",
		'each channel has its own URL, answers have one too; nobody asked for the third channel');
};

subtest 'chatbot' => sub {
	my $database = database('chatbot');
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $url = "http://127.0.0.1:$port/";
	my $secret = run_psql($bmw, $database, 'chatbot/setup.sql', url => $url);
	my $bot = start_program([qw(node bot.mjs)], copy => ['chatbot/bot.mjs'],
		environment => environment($database, WEBHOOK_SECRET => $secret, PORT => $port));
	my $answers = join "\n",
		'in-1|whatsapp|+33698765431|Please send me the number of your parcel.',
		'in-2|sms|+33698765432|Parcel 4412 is in Nantes.',
		'in-3|rcs|+33698765433|Please send me the number of your parcel.',
		'in-4|whatsapp|+33698765431|Parcel 4411 is in Lyon.';

	run_psql($bmw, $database, 'chatbot/play.sql');
	is(run_psql($bmw, $database, 'chatbot/check.sql'), $answers, 'each is answered, once');

	# The same event once more, by an endpoint of the same URL and secret.
	my $same = $bmw->sql("INSERT INTO bm_webhook.endpoint (application, event_types, url) VALUES ('bot', '{message.received}', '$url') RETURNING id", $database);
	$bmw->sql("UPDATE bm_webhook.endpoint_secret SET secret = '$secret' WHERE endpoint_id = $same", $database);
	my $event = $bmw->sql(q{SELECT bm_webhook.message_received('{"type": "text", "text": "4412?"}', 'bot', 'sms', 'in-5', '+33698765432', '+33123456789')}, $database);
	$bmw->wait_for_delivery($event, $database);
	is($bmw->sql("SELECT count(*) FROM bot.answer WHERE webhook_id = '$event'", $database), 1, 'what came twice is answered once');
	is(scalar(() = $bot->output =~ /^answered before$/mg), 1, 'and the bot knew');

	my ($request) = grep { $_->{headers}{'webhook-id'} eq $event } $receiver->requests("witness-$database");
	is(post($url, $request->{headers}, $request->{body}), 401, 'signed with another secret: refused');

	my @bodies = map { JSON::PP->new->decode($_) } all_is_as_documented($database, qw(message.received message.accepted));
	is_deeply([ sort map { $_->{data}{content}{text} } grep { $_->{type} eq 'message.accepted' } @bodies ],
		[ sort map({ s/.*\|//r } split /\n/, $answers), 'Parcel 4412 is in Nantes.' ], 'the platform heard of each answer');
};

subtest 'audit' => sub {
	my $database = database('audit');
	my %period = (since => '2020-01-01', until => 'tomorrow');
	my $start = $bmw->sql('SELECT now()', $database);
	run_psql($bmw, $database, 'audit/setup.sql', well => $receiver->url('/ok/audit-well'),
		unwell => $receiver->url('/fail/2/audit-unwell'), dead => $receiver->url('/status/500/audit-dead'));
	run_psql($bmw, $database, 'audit/play.sql');
	my @now = split /\n/, run_psql($bmw, $database, 'audit/period.sql', since => 'yesterday', until => 'tomorrow');
	is(scalar(grep { /,message\./ && !/,witness/ } @now), 3 * (1 + 3 + 3) + 3, 'the first report has all attempts already');
	all_is_as_documented($database, qw(message.sent message.delivered message.failed delivery.exhausted));

	# Of one message: its two events, and of each all attempts and all ends.
	my @history = map { [ split /\|/ ] } split /\n/, run_psql($bmw, $database, 'audit/message.sql', message => 'policy-1');
	my %lines;
	$lines{ join ' ', map { $_ // '' } @$_[ 1 .. 6 ] }++ for grep { $_->[3] !~ /^$/ || $_->[1] eq 'event' } @history;
	my %expected = map { ("event message.$_   captured " => 1,
		"attempt message.$_ well 1 succeeded 204" => 1, "delivery message.$_ well 1 delivered 204" => 1,
		"attempt message.$_ unwell 1 failed 500" => 1, "attempt message.$_ unwell 2 failed 500" => 1,
		"attempt message.$_ unwell 3 succeeded 204" => 1, "delivery message.$_ unwell 3 delivered 204" => 1,
		"attempt message.$_ dead 1 failed 500" => 1, "attempt message.$_ dead 2 failed 500" => 1,
		"attempt message.$_ dead 3 failed 500" => 1, "delivery message.$_ dead 3 failed 500" => 1) } qw(sent delivered);
	$expected{$_} = 2 for 'event delivery.exhausted   captured ', 'attempt delivery.exhausted well 1 succeeded 204',
		'delivery delivery.exhausted well 1 delivered 204';
	is_deeply(\%lines, \%expected, 'the history of a message: every event, attempt and end');
	my @at = map { $_->[0] } @history;
	is_deeply(\@at, [ sort @at ], 'in time order');
	is(scalar(grep { $_->[5] eq 'failed' && $_->[1] eq 'attempt' && !$_->[8] } @history), 0, 'with a reason for each failure');

	# Of a period, as CSV.
	my ($head, @attempts) = split /\n/, run_psql($bmw, $database, 'audit/period.sql', %period);
	is($head, 'attempted_at,event_id,type,message_id,endpoint,attempt,succeeded,http_status,error_class,error,duration', 'CSV with a head');
	@attempts = grep { /,message\./ } @attempts;
	is(scalar @attempts, 3 * (1 + 3 + 3) + 3, 'all attempts, the witness\'s too') or diag(join "\n", @attempts);
	is(scalar(grep { /,f,500,[a-z_]+,/ } @attempts), 3 * (2 + 3), 'those that failed, with status and error');
	my @none = split /\n/, run_psql($bmw, $database, 'audit/period.sql', since => '2020-01-01', until => $start);
	is_deeply(\@none, [$head], 'nothing in the time before');

	# What was given up.
	my @given_up = map { [ split /\|/ ] } split /\n/, run_psql($bmw, $database, 'audit/given-up.sql', %period);
	@given_up = grep { $_->[0] ne '' } @given_up;
	is_deeply([ map { join ' ', @$_[ 0 .. 4, 7 ] } @given_up ], [
		'policy-1 message.sent dead failed 3 500', 'policy-1 message.delivered dead failed 3 500',
		'policy-2 message.failed dead failed 3 500' ], 'what was given up');
	is(scalar(grep { !$_->[8] || !$_->[9] } @given_up), 0, 'and why');
	is($receiver->count('audit-dead', 'requests'), $bmw->sql(q{SELECT count(*) FROM bm_webhook.attempt WHERE endpoint_id =
		(SELECT id FROM bm_webhook.endpoint WHERE description = 'dead')}, $database), 'the dead one was asked as often as is recorded');
	is($bmw->sql(q{SELECT p.description, sum(r.delivered), sum(r.failed), sum(r.retries) FROM bm_webhook.delivery_rate r
		JOIN bm_webhook.endpoint p ON p.id = r.endpoint_id WHERE p.description IN ('dead', 'unwell') GROUP BY 1 ORDER BY 1}, $database),
		"dead|0|3|9\nunwell|3|0|6", 'and the view says so');
};

$bmw->finish;

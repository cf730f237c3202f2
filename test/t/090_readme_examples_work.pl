# The README and docs/ are right: every block ```sql runs as written, page by page,
# in one database; what they make of the events arrives; the receivers in
# JavaScript and Python accept our requests, and refuse others; the reference has
# everything once; links lead somewhere.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use JSON::PP ();
use FindBin;
use IPC::Run ();
use PostgreSQL::Test::Utils ();
use Test::More;

my $root = "$FindBin::RealBin/../..";
# The last block of the last page removes the extension.
my @pages = qw(README.md docs/endpoints.md docs/watching.md docs/receivers.md docs/delivery.md docs/messaging.md
  docs/reporting.md docs/security.md docs/performance.md docs/reference.md docs/howto.md docs/promises.md docs/faults.md docs/console.md
  docs/console-screens.md docs/operations.md);
# Blocks of this one are run where there is what they are about: test 372.
my @apart = qw(docs/runbook.md);
my (%text, %blocks);
for my $file (@pages, @apart)
{
	$text{$file} = PostgreSQL::Test::Utils::slurp_file("$root/$file");
	while ($text{$file} =~ /^([ ]*)```(\w+)\n(.*?)^\1```$/gms)
	{
		my ($indent, $language, $code) = ($1, $2, $3);
		my $line = 2 + (substr($text{$file}, 0, $-[0]) =~ tr/\n//);
		$code =~ s/^$indent//gm;
		push @{ $blocks{$file}{$language} }, { code => $code, name => "$file:$line" };
	}
}
my $all_text = join '', values %text;
is_deeply([ sort map { s{.*/docs/}{docs/}r } glob("$root/docs/*.md") ], [ sort grep { m{^docs/} } @pages, @apart ], 'no page is missing here');
cmp_ok($text{'README.md'} =~ tr/\n//, '<', 250, 'the README is short');

# Nothing may leave this machine: what the blocks register is sent later, to our receiver.
my $bmw = BmWebhook->new(extension => 0, conf => "bm_webhook.enabled = off\n");
my $receiver = $bmw->receiver;

my @sql = map { @{ $blocks{$_}{sql} // [] } } @pages;
my @removal = grep { $_->{code} =~ /DROP EXTENSION/ } @sql;
is(scalar @removal, 1, 'one block removes the extension');
is($sql[-1], $removal[0], 'the last one');
pop @{ $blocks{ $pages[-1] }{sql} };

# One session for each file, because psql variables go from block to block; the
# name of a block has its file and line, for what goes wrong.
my $dir = PostgreSQL::Test::Utils::tempdir('readme');
sub run_sql
{
	my (@what) = @_;
	my $file = "$dir/blocks.sql";
	open my $out, '>', $file or die "could not write $file: $!";
	print $out "\\echo block at $_->{name}\n$_->{code}" for @what;
	close $out;
	my ($stdout, $stderr) = ('', '');
	IPC::Run::run([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $bmw->node->connstr('postgres'), '-f', $file ],
		'<', \undef, '>', \$stdout, '2>', \$stderr);
	my $is_right = $? == 0 && $stderr !~ /ERROR|WARNING/;
	my ($last) = $stdout =~ /.*^(block at \S+)$/ms;
	diag(($last // 'before the first block'), ": $stderr") unless $is_right;
	return ($is_right, $stdout);
}

my $output = '';
for my $file (@pages)
{
	my @of_page = @{ $blocks{$file}{sql} // [] } or next;
	my ($is_right, $printed) = run_sql(@of_page);
	ok($is_right, "$file: " . scalar(@of_page) . ' blocks of SQL run as written');
	$output .= $printed;
}
cmp_ok(scalar @sql, '>=', 50, 'there are so many');

# What a block printed.
sub output_of
{
	my ($pattern) = @_;
	my ($block) = grep { $_->{code} =~ $pattern } map { @{ $_->{sql} // [] } } values %blocks or return 'no such block';
	return $output =~ /^block at \Q$block->{name}\E\n(.*?)(?=^block at |\z)/ms ? $1 : '';
}
like(output_of(qr/FROM request;/), qr/\At\n\z/, 'verify() accepts what sign() made');
like(output_of(qr/bm_webhook\.secret\(:id\);\s*\z/), qr/^whsec_\S+\n\z/m, 'secret() shows a secret');
like(output_of(qr/\A\S+ bm_webhook\.exponential_backoff\('5 s'/), qr/\A\{00:00:05,00:00:20,00:01:20,/, 'exponential_backoff()');
like(output_of(qr/watch_list/), qr/^contact\|contact\.opted_out\|\|statement\|\{UPDATE\}\|t$/m,
	'the watches are listed');
is($bmw->sql(q{SELECT string_agg(concat_ws(' ', type, channel, message_id, n), ', ' ORDER BY first) FROM
		(SELECT type, channel, CASE WHEN message_id LIKE 'in_%' THEN 'in_' ELSE message_id END AS message_id,
			count(*) AS n, min(id::text) AS first
		FROM bm_webhook.event WHERE type !~ '^(webhook|endpoint|delivery)\.' AND application IS DISTINCT FROM 'app_7' GROUP BY 1, 2, 3) e}),
	'order.paid 1 1, order.shipped 1 1, price.changed A-7 2, message.sent whatsapp 1 1, message.received whatsapp in_ 1, '
	  . 'contact.opted_out 1 1, contact.opted_out 2 1, campaign.large spring 1, message.deleted 1 1, '
	  . 'campaign.finished sms campaign-17 1, campaign.started 1, order.refunded 1, price.sent offer-1 1, price.offered offer-2 1',
	'the events that the text promises');
like(output_of(qr/message_state WHERE message_id = 'm_01J9'/), qr/\Afailed\|.*\|undeliverable\n\z/, 'the state of a message');
like(output_of(qr/message_history\('m_01J9', 'app_7'\);/), qr/\|event\|message\.sent\|.*\|event\|message\.failed\|/s, 'its history');
like(output_of(qr/message_rate\(now\(\) - interval '7 days'\)/), qr/^spring\|whatsapp\|\S+\|1\|0\.0000\|/m, 'the rates of a campaign');

# What docs/howto.md promises.
like(output_of(qr/bm_webhook\.set_aside\(event => :'event'/), qr/\A\d+\|1\n\z/, 'a delivery is set aside');
like(output_of(qr/explain_delivery\(:'offer'\)/), qr/\A\d+\|f\|filter\n\z/, 'the filter decides');
like(output_of(qr/bm_webhook\.recover\(endpoint => :endpoint, since => now\(\) - interval '4 hours', dry_run => true\)/), qr/\A\|[01]\n\z/, 'what it kept can be recovered');
like(output_of(qr/preview\(:'event', :endpoint\);/), qr/\A\{"id":"[^"]*","type":"price\.sent","timestamp":"[^"]*","message_id":"offer-1"\}\n\z/, 'a thin body');

# What docs/messaging.md promises.
is($bmw->sql(q{SELECT string_agg(concat_ws(' ', type, channel, message_id, reply_to), ', ' ORDER BY id)
		FROM bm_webhook.event WHERE application = 'app_7'}),
	'message.sent whatsapp m_01J9, message.failed whatsapp m_01J9, message.received whatsapp in_77 m_01J9, message.clicked rcs m_01J9, '
	  . 'message.delivered sms m_01JB, message.accepted sms m_1, message.sent sms m_1, message.delivered sms m_1, '
	  . 'message.accepted sms otp_7, message.failed sms otp_7, message.received sms in_78 m_1, message.received sms in_79',
	'the events of docs/messaging.md');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.event WHERE data::text LIKE '%123456"%'}), 0, 'the codes have not left');
like(output_of(qr/reply_to IS NOT NULL/), qr/\Ain_77\|m_01J9\nin_78\|m_1\n\z/, 'the replies');
my ($payload) = map { $_->{code} } @{ $blocks{'docs/messaging.md'}{json} };
is($bmw->sql("SELECT (\$\$$payload\$\$::jsonb -> 'data') - 'occurred_at' = data::jsonb - 'occurred_at' FROM bm_webhook.event
		WHERE application = 'app_7' AND type = 'message.failed' AND message_id = 'm_01J9'"), 't', 'the payload that is shown');
is($bmw->sql(q{SELECT string_agg(p.url, ', ' ORDER BY p.url) FROM bm_webhook.endpoint p, bm_webhook.event_type t
		WHERE t.name = 'delivery.exhausted' AND bm_webhook_internal.matches(p.event_types, t.name)}),
	'https://archive.example.com/hooks, https://oncall.example.com/hooks', 'who is told of trouble');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.event WHERE type = 'webhook.capture_failed'}), 0, 'every row became an event');

# The documented columns and arguments are those of the tables and functions, and the settings those of the server.
sub undocumented
{
	my ($names) = @_;
	return join ' ', grep { $all_text !~ /`\Q$_\E`/ && $all_text !~ /`[^`\n]*\b\Q$_\E\b[^`\n]*`/ } split /\n/, $bmw->sql($names);
}
for my $relation (split /\n/, $bmw->sql(q{SELECT relname FROM pg_class
	WHERE relnamespace = 'bm_webhook'::regnamespace AND relkind IN ('r', 'p', 'v') AND NOT relispartition}))
{
	is(undocumented("SELECT attname FROM pg_attribute WHERE attrelid = 'bm_webhook.$relation'::regclass AND attnum > 0 AND NOT attisdropped"),
		'', "every column of $relation is documented");
}
is(undocumented(q{SELECT DISTINCT unnest(proargnames) FROM pg_proc
		WHERE pronamespace = 'bm_webhook'::regnamespace}), '', 'every argument and result of a function');
my %page_of = ((map { $_ => 'docs/messaging.md' } qw(watch_messages watch_replies message_status message_received message_clicked)),
	watch => 'docs/watching.md', status => 'docs/reference.md', message_rate => 'docs/reporting.md', delivery_rate => 'docs/reporting.md',
	message_history => 'docs/reporting.md');
for my $function (sort keys %page_of)
{
	my @missing = grep { $text{ $page_of{$function} } !~ /`\Q$_\E`/ && $text{ $page_of{$function} } !~ /`$function\([^)]*\b\Q$_\E\b/ } split /\n/,
	  $bmw->sql("SELECT unnest(proargnames) FROM pg_proc WHERE oid = 'bm_webhook.$function'::regproc EXCEPT SELECT 'relation'");
	is("@missing", '', "every argument and result of $function() is in $page_of{$function}");
}
is(undocumented(q{SELECT name FROM bm_webhook.event_type WHERE shipped AND name !~ '^order\.'}), '', 'every event type');

# The reference has each setting, relation, function and error once.
sub in_reference
{
	my ($heading) = @_;
	my ($section) = $text{'docs/reference.md'} =~ /^## \Q$heading\E\n(.*?)(?=^#|\z)/ms;
	return [ sort $section =~ /^\| `?([\w.]+)`? \| (?!---)/gm ];
}
my $ours = q{pronamespace = 'bm_webhook'::regnamespace};
is_deeply([ grep { $_ ne 'setting' } @{ in_reference('Settings') } ],
	[ split /\n/, $bmw->sql(q{SELECT name FROM pg_settings WHERE name LIKE 'bm\_webhook.%' ORDER BY name COLLATE "C"}) ], 'every setting, once');
is_deeply([ grep { $_ ne 'relation' } @{ in_reference('Tables and views') } ],
	[ split /\n/, $bmw->sql(q{SELECT relname FROM pg_class WHERE relnamespace = 'bm_webhook'::regnamespace
		AND relkind IN ('r', 'p', 'v') AND NOT relispartition ORDER BY relname COLLATE "C"}) ], 'every table and view, once');
my @functions = split /\n/, $bmw->sql(qq{SELECT DISTINCT proname COLLATE "C" FROM pg_proc WHERE $ours ORDER BY 1});
is_deeply([ grep { $_ ne 'function' } @{ in_reference('Functions') } ], [ grep { !/^console_/ } @functions ], 'every function, once');
is_deeply([ sort $text{'docs/console.md'} =~ /^\| `(console_\w+)` \|/gm ], [ grep { /^console_/ } @functions ], 'those of the console on its page');
my %errors = map { $_ => 1 } @{ in_reference('Errors') };
is(scalar(() = $text{'docs/reference.md'} =~ /^\| [0-9A-Z]{5} \|/gm), scalar(grep { /^[0-9A-Z]{5}\z/ } keys %errors), 'no error twice');
my @raised = split /\n/, $bmw->sql(qq{SELECT DISTINCT m[1] FROM pg_proc p,
		regexp_matches(obj_description(p.oid, 'pg_proc'), '\\m(?=\\d*[A-Z]?\\d)([0-9][0-9A-Z]{4})\\M', 'g') m WHERE $ours});
cmp_ok(scalar @raised, '>=', 12, 'functions raise so many');
is(join(' ', grep { !$errors{$_} } @raised), '', 'every error');
is(join(' ', $all_text =~ /\bbm_webhook(?:\._|_internal\.)\w+/g), '', 'no internal function is shown');
for my $type ($text{'docs/messaging.md'} =~ /^\| `([a-z]+\.[a-z_]+)` \|/gm)
{
	is($bmw->sql("SELECT shipped FROM bm_webhook.event_type WHERE name = '$type'"), 't', "$type is shipped");
}

# Links lead to a file, and to a heading of it.
for my $file (sort keys %text)
{
	my $dir = $file =~ m{(.*/)} ? $1 : '';
	my @broken;
	for my $link ($text{$file} =~ /\]\(([^):\s]+)\)/g)
	{
		my ($path, $anchor) = split /#/, $link, 2;
		my $target = $path eq '' ? $file : $dir . $path;
		$target =~ s{^docs/\.\./}{};
		$target =~ s{/+\z}{};
		# what is not in the stage is in the checkout only
		next if $target =~ m{^(LICENSE|SECURITY\.md|CHANGELOG\.md|src/README\.md)\z};
		my %headings = map { my $h = lc; $h =~ s/[^\w -]//g; $h =~ tr/ /-/; ($h => 1) } ($text{$target} // '') =~ /^#+ (.*)$/gm;
		push @broken, $link if !-e "$root/$target" || defined $anchor && !$headings{$anchor};
	}
	is("@broken", '', "$file has no broken link");
}

# The roles can do what the text says, and no more.
sub as
{
	my ($role, $sql) = @_;
	return $bmw->sqlstate("SET ROLE $role; $sql");
}
is(as('shop_app', q{SELECT bm_webhook.emit('role.test', '{}')}), '', 'shop_app may emit');
is(as('shop_app', q{CREATE TEMP TABLE t (); SELECT * FROM bm_webhook.event}), '42501', 'but not read');
$bmw->sql('CREATE TABLE shop_table (id int PRIMARY KEY); ALTER TABLE shop_table OWNER TO shop_app');
is(as('shop_app', q{SELECT bm_webhook.watch('shop_table', 'shop.changed'); INSERT INTO shop_table VALUES (1);
	SELECT bm_webhook.unwatch('shop_table')}), '', 'and watch its own table');
is(as('shop_admin', q{INSERT INTO bm_webhook.endpoint (url, application, enabled) VALUES ('https://shop.example.com/', 'shop', false);
	SELECT bm_webhook.secret(max(id)) FROM bm_webhook.endpoint;
	INSERT INTO bm_webhook.endpoint_secret (endpoint_id, secret) SELECT max(id), bm_webhook.secret(max(id)) FROM bm_webhook.endpoint;
	UPDATE bm_webhook.endpoint SET description = 'ours';
	SELECT bm_webhook.delete_secret(max(id)) FROM bm_webhook.endpoint_secret;
	SELECT bm_webhook.delete_endpoint(id) FROM (SELECT * FROM bm_webhook.endpoint) e}), '', 'shop_admin manages its endpoints');
is(as('shop_admin', q{INSERT INTO bm_webhook.endpoint (url) VALUES ('https://shop.example.com/')}), '42501', 'but no other');
is(as('webhook_monitor', q{SELECT * FROM bm_webhook.backlog; SELECT * FROM bm_webhook.attempt; SELECT * FROM bm_webhook.status()}), '',
	'webhook_monitor sees all');
is(as('shop_app', q{SELECT bm_webhook.message_status('undelivered', 'role', 'sms', 'm', '+33123456789', '+33698765432', provider => 'twilio',
	error => '{"code": "x", "title": "X", "permanent": true}')}), '', 'shop_app may report what became of a message');
$bmw->sql('CREATE SCHEMA of_migration AUTHORIZATION migration');
is(as('migration', q{CREATE TABLE of_migration.sent (id int PRIMARY KEY, channel text, status text, sender text, recipient text, error jsonb, content text);
	SELECT bm_webhook.watch_messages('of_migration.sent');
	SELECT bm_webhook.watch_replies('of_migration.sent', condition => 'false');
	INSERT INTO of_migration.sent VALUES (1, 'sms', 'sent', '+33123456789', '+33698765432');
	SELECT bm_webhook.unwatch('of_migration.sent');
	DROP TABLE of_migration.sent}), '', 'migration watches its own table');
is(as('analyst', q{SELECT * FROM bm_webhook.message_state; SELECT * FROM bm_webhook.message_rate; SELECT * FROM bm_webhook.delivery_rate;
	SELECT * FROM bm_webhook.message_history('m_17')}), '', 'analyst reads the reports');
is(as('analyst', q{SELECT headers FROM bm_webhook.endpoint}), '42501', 'but no header of an endpoint');
is(as('webhook_monitor', q{SELECT id, url FROM bm_webhook.endpoint e
	WHERE NOT EXISTS (SELECT FROM bm_webhook.endpoint_secret s WHERE s.endpoint_id = e.id)}), '', 'endpoints without a secret as well');
is(as('webhook_monitor', q{SELECT * FROM bm_webhook.endpoint_secret}), '42501', 'but secrets');

# Now it is sent: the endpoint of the first page gets all that it should.
$bmw->set('bm_webhook.allowed_networks', '127.0.0.0/8');
$bmw->set("bm_webhook.$_", '') for qw(proxy proxy_credentials_file source_address);
$bmw->set('bm_webhook.verify_endpoints', 'off');
my $first = $bmw->sql(q{SELECT id FROM bm_webhook.endpoint WHERE url = 'http://127.0.0.1:8080/webhooks'});
$bmw->sql("DELETE FROM bm_webhook.endpoint WHERE id <> $first");
$bmw->sql(q{UPDATE bm_webhook.endpoint SET url = '} . $receiver->url('/ok/readme') . "' WHERE id = $first");
$bmw->share_secrets($first, 'readme');
$bmw->set('bm_webhook.enabled', 'on');
$bmw->wait_for_sql('nothing waits', 'SELECT bool_and(pending + not_taken = 0) FROM bm_webhook.backlog');
$bmw->arrived_exactly_once('readme', qq{SELECT e.id FROM bm_webhook.event e, bm_webhook.endpoint p WHERE p.id = $first AND e.created_at >= p.created_at
		AND (e.endpoint_id = p.id OR e.endpoint_id IS NULL AND e.type !~ '^(webhook|endpoint|delivery)\\.')}, 'all events arrive, each once');
is($receiver->count('readme', 'verified'), $receiver->count('readme', 'requests'), 'every signature is right');

# The request that is shown has the headers and fields of a real one, in order.
my ($request) = grep { $_->{body} =~ /"order\.shipped"/ } $receiver->requests('readme');
my ($shown) = map { $_->{code} } @{ $blocks{'README.md'}{http} };
my ($shown_headers) = $shown =~ /\A.*?\n(.*?)\n\n/s;
my %shown_headers = map { split /: /, $_, 2 } split /\n/, $shown_headers;
is_deeply([ grep { !exists $request->{headers}{$_} } sort keys %shown_headers ], [], 'the headers that are shown exist');
my $fields = sub { join ' ', $_[0] =~ /"(\w+)":/g };
is($fields->($shown), $fields->($request->{body}), 'the body that is shown has the fields of a real one');

# The receivers.
my $secret = $bmw->sql("SELECT bm_webhook.secret($first)");
sub start_program
{
	my ($code, $port, $output, $suffix, @command) = @_;

	# Beside the receiver of the tests, where node finds the package.
	my $program = "$FindBin::RealBin/../receiver/readme-$$.$suffix";
	open my $file, '>', $program or die "could not write $program: $!";
	print $file $code;
	close $file;
	my $process = IPC::Run::start([ @command, $program ], '<', \undef, '>&', $output);
	wait_until("$program listens", sub { my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port"); $socket });
	return ($process, $program);
}

# The one of the first page prints whatever it is sent.
sub try_first_receiver
{
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my ($code) = map { $_->{code} } @{ $blocks{'README.md'}{python} };
	my $output = '';
	my ($process, $program) = start_program($code =~ s/\b8080\b/$port/r, $port, \$output, 'py', 'python3');
	$bmw->sql("UPDATE bm_webhook.endpoint SET url = 'http://127.0.0.1:$port/webhooks' WHERE id = $first");
	$bmw->sql("INSERT INTO orders (item, status) VALUES ('pen', 'paid')");
	my $event = $bmw->sql('SELECT id FROM bm_webhook.event ORDER BY id DESC LIMIT 1');
	$bmw->wait_for_delivery($event);
	$process->pump_nb;
	$process->signal('TERM');
	$process->finish;
	$bmw->sql("UPDATE bm_webhook.endpoint SET enabled = false WHERE id = $first");
	like($output, qr/^webhook-id: $event\r?\n.*"type":"order\.paid".*"item":"pen"/ms, 'the receiver of the first page prints it');
	unlink $program;
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

sub proves_its_url
{
	my ($language, $id) = @_;
	set_verify('on');
	$bmw->sql("SELECT bm_webhook.verify_endpoint($id)");
	$bmw->wait_for_sql('the challenge has an outcome', "SELECT verified_at IS NOT NULL OR verification_error IS NOT NULL
		FROM bm_webhook.endpoint_state WHERE endpoint_id = $id");
	is($bmw->sql("SELECT verification_error FROM bm_webhook.endpoint_state WHERE endpoint_id = $id"), '', "$language: proves its URL");
	set_verify('off');
	return;
}

sub try_receiver
{
	my ($language, $suffix, @command) = @_;
	my ($block) = @{ $blocks{'docs/receivers.md'}{$language} };
	local $ENV{WEBHOOK_SECRET} = $secret;
	local $ENV{PORT} = my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $output = '';
	my ($process, $program) = start_program($block->{code}, $port, \$output, $suffix, @command);

	my $id = $bmw->endpoint("http://127.0.0.1:$port/hooks", event_types => "{readme.$language}", retry_delays => '{}');
	my $refused = $bmw->emit("readme.$language", message_id => 'refused');
	is($bmw->sql("SELECT bm_webhook.wait_for_delivery('$refused', '30 s')"), 'f', "$language: another secret is refused");
	is($bmw->sql("SELECT http_status FROM bm_webhook.delivery WHERE event_id = '$refused' AND endpoint_id = $id"), 401, "$language: with 401");
	$bmw->sql("UPDATE bm_webhook.endpoint_secret SET secret = '$secret' WHERE endpoint_id = $id");
	proves_its_url($language, $id);
	my @events = map { $bmw->emit("readme.$language", data => '{"text": "grüße ☎"}', message_id => "m$_") } 1 .. 3;
	$bmw->wait_for_delivery($_) for @events;
	$process->pump_nb;
	$process->signal('TERM');
	$process->finish;
	is($output, join('', map { "$events[$_ - 1] readme.$language m$_\n" } 1 .. 3), "$language: prints what it got");
	unlink $program;
	return;
}
require IO::Socket::INET;
try_receiver('js', 'mjs', 'node');
SKIP:
{
	skip 'no python3', 8 if !PostgreSQL::Test::Utils::run_log([ 'python3', '-c', 'import sys; sys.exit(sys.version_info < (3, 9))' ]);
	try_first_receiver();
	try_receiver('python', 'py', 'python3');
}

# With a public key: a function, which says what it says of whatever comes.
sub is_valid
{
	my ($program, $headers, $body) = @_;
	my ($out, $error) = PostgreSQL::Test::Utils::run_command([ 'node', $program, JSON::PP::encode_json([ $headers, $body ]) ]);
	return $out . $error;
}
{
	my (undef, $block) = @{ $blocks{'docs/receivers.md'}{js} };
	my $program = PostgreSQL::Test::Utils::tempdir() . '/with_key.mjs';
	my $id = $bmw->endpoint($bmw->receiver->url('/ok/keys'), event_types => '{readme.keys}');
	local $ENV{WEBHOOK_KEY} = $bmw->sql("SELECT bm_webhook.rotate_secret($id, kind => 'ed25519')");
	my ($time, $signature) = split /\|/, $bmw->sql("SELECT floor(extract(epoch FROM now())), bm_webhook.sign(secret, 'm1', now(), '{}') FROM bm_webhook.endpoint_secret WHERE endpoint_id = $id AND kind = 'ed25519'");
	my %headers = ('webhook-id' => 'm1', 'webhook-timestamp' => $time, 'webhook-signature' => "v1,AAAA $signature");

	PostgreSQL::Test::Utils::append_to_file($program, "$block->{code}\nconst [headers, body] = JSON.parse(process.argv[2]);\nconsole.log(isValid(headers, Buffer.from(body)));\n");
	is(is_valid($program, \%headers, '{}'), 'true', 'with a public key: a good signature among others');
	is(is_valid($program, \%headers, '{ }'), 'false', 'another body');
	is(is_valid($program, { %headers, 'webhook-signature' => 'v1a,AAAA' }, '{}'), 'false', 'another signature');
	is(is_valid($program, {}, '{}'), 'false', 'nothing at all');
}

# The end.
my ($is_right) = run_sql(@removal);
ok($is_right, 'the extension is removed as written');
is($bmw->sql(q{SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'bm\_webhook%'}), 0, 'the watches are gone');

$bmw->finish;

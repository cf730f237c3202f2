# The README and docs/ are right: every block ```sql runs as written, in order,
# in one database; what they make of the events arrives; the receivers in
# JavaScript and Python accept our requests, and refuse others; links lead somewhere.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use FindBin;
use IPC::Run ();
use PostgreSQL::Test::Utils ();
use Test::More;

my $root = "$FindBin::RealBin/../..";
my (%text, %blocks);
for my $file (qw(README.md docs/messaging.md docs/reporting.md))
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
my %readme = %{ $blocks{'README.md'} };

# Nothing may leave this machine: what the blocks register is sent later, to our receiver.
my $bmw = BmWebhook->new(extension => 0, conf => "bm_webhook.enabled = off\n");
my $receiver = $bmw->receiver;

my @sql = @{ $readme{sql} };
my @removal = grep { $_->{code} =~ /DROP EXTENSION/ } @sql;
is(scalar @removal, 1, 'one block removes the extension');
is($sql[-1], $removal[0], 'the last one');
pop @sql;

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

my ($is_right, $output) = run_sql(@sql);
ok($is_right, scalar(@sql) . ' blocks of SQL run as written');
cmp_ok(scalar @sql, '>=', 20, 'there are so many');
my $events_of_readme = $bmw->sql(q{SELECT string_agg(concat_ws(' ', type, channel, message_id, n), ', ' ORDER BY first) FROM
		(SELECT type, channel, CASE WHEN message_id LIKE 'in_%' THEN 'in_' ELSE message_id END AS message_id,
			count(*) AS n, min(id::text) AS first
		FROM bm_webhook.event WHERE type ~ '^(message|contact|campaign)' GROUP BY 1, 2, 3) e});
for my $file (sort grep { $_ ne 'README.md' } keys %blocks)
{
	my @docs = @{ $blocks{$file}{sql} };
	cmp_ok(scalar @docs, '>=', 10, "$file has many blocks of SQL");
	my ($runs, $printed) = run_sql(@docs);
	ok($runs, 'and they run as written');
	$output .= $printed;
}

# What a block printed.
sub output_of
{
	my ($pattern) = @_;
	my ($block) = grep { $_->{code} =~ $pattern } map { @{ $_->{sql} } } values %blocks or return 'no such block';
	return $output =~ /^block at \Q$block->{name}\E\n(.*?)(?=^block at |\z)/ms ? $1 : '';
}
like(output_of(qr/FROM request;/), qr/\At\n\z/, 'verify() accepts what sign() made');
like(output_of(qr/bm_webhook\.secret\(1\);\s*\z/), qr/\Awhsec_\S+\n\z/, 'secret() shows a secret');
like(output_of(qr/exponential_backoff\('5 s'/), qr/\A\{00:00:05,00:00:20,00:01:20,/, 'exponential_backoff()');
like(output_of(qr/watch_list/), qr/contact\|contact\.opted_out\|\|statement\|\{UPDATE\}\|t$/m,
	'the watches are listed');
is($events_of_readme,
	'message.sent sms 1 1, message.sent whatsapp 2 1, message.received whatsapp in_ 1, '
	  . 'contact.opted_out 1 1, contact.opted_out 2 1, campaign.large spring 1, message.deleted 1 1, '
	  . 'message.sent sms m_17 1, message.delivered sms m_17 1, message.failed whatsapp m_18 1, '
	  . 'campaign.finished sms campaign-17 1, campaign.started 1',
	'the events that the text promises');
like(output_of(qr/message_state WHERE message_id = 'm_17'/), qr/\Adelivered\|.*?\n\S.*\|event\|message\.sent\|/s, 'the state of a message, and its history');
like(output_of(qr/message_state WHERE message_id = 'm_17'/), qr/^spring\|sms\|\S+\|1\|1\.0000\|0\.0000\|/m, 'and the rates of a campaign');

# What docs/messaging.md promises.
is($bmw->sql(q{SELECT string_agg(concat_ws(' ', type, channel, message_id, reply_to), ', ' ORDER BY id)
		FROM bm_webhook.event WHERE application = 'app_7'}),
	'message.sent whatsapp m_01J9, message.failed whatsapp m_01J9, message.received whatsapp in_77 m_01J9, message.clicked rcs m_01J9, '
	  . 'message.delivered sms m_01JB, message.accepted sms m_1, message.sent sms m_1, message.delivered sms m_1, '
	  . 'message.accepted sms otp_7, message.failed sms otp_7, message.received sms in_78 m_1, message.received sms in_79, '
	  . 'message.translated whatsapp m_01J9',
	'the events of docs/messaging.md');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.event WHERE data::text LIKE '%123456"%'}), 0, 'the codes have not left');
like(output_of(qr/reply_to IS NOT NULL/), qr/\Ain_77\|m_01J9\nin_78\|m_1\n\z/, 'the replies');
my ($payload) = map { $_->{code} } @{ $blocks{'docs/messaging.md'}{json} };
is($bmw->sql("SELECT (\$\$$payload\$\$::jsonb -> 'data') - 'occurred_at' = data::jsonb - 'occurred_at' FROM bm_webhook.event
		WHERE application = 'app_7' AND type = 'message.failed' AND message_id = 'm_01J9'"), 't', 'the payload that is shown');
is($bmw->sql(q{SELECT string_agg(p.url, ', ' ORDER BY p.url) FROM bm_webhook.endpoint p, bm_webhook.event_type t
		WHERE t.name = 'delivery.exhausted' AND bm_webhook_internal.matches(p.event_types, t.name)}),
	'https://archive.example.com/hooks, https://oncall.example.com/hooks, https://oncall.example.com/hooks', 'who is told of trouble');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.event WHERE type = 'webhook.capture_failed'}), 0, 'every row became an event');

# The documented columns and arguments are those of the tables and functions, and the settings those of the server.
sub undocumented
{
	my ($names) = @_;
	return join ' ', grep { $all_text !~ /`\Q$_\E`/ && $all_text !~ /`[^`\n]*\b\Q$_\E\b[^`\n]*`/ } split /\n/, $bmw->sql($names);
}
for my $table (qw(application endpoint delivery failed_attempt event))
{
	my @missing = grep { $text{'README.md'} !~ /`\Q$_\E`/ } split /\n/,
	  $bmw->sql("SELECT attname FROM pg_attribute WHERE attrelid = 'bm_webhook.$table'::regclass AND attnum > 0 AND NOT attisdropped");
	is("@missing", '', "every column of $table is documented in the README");
}
for my $relation (qw(event_type status_map backlog message_state message_rate delivery_rate))
{
	is(undocumented("SELECT attname FROM pg_attribute WHERE attrelid = 'bm_webhook.$relation'::regclass AND attnum > 0 AND NOT attisdropped"),
		'', "every column of $relation is documented");
}
is(undocumented(q{SELECT DISTINCT unnest(proargnames) FROM pg_proc
		WHERE pronamespace = 'bm_webhook'::regnamespace}), '', 'every argument and result of a function');
for my $function (qw(watch_messages watch_replies message_status message_received message_clicked))
{
	my @missing = grep { $text{'docs/messaging.md'} !~ /`\Q$_\E`/ } split /\n/,
	  $bmw->sql("SELECT unnest(proargnames) FROM pg_proc WHERE oid = 'bm_webhook.$function'::regproc EXCEPT SELECT 'relation'");
	is("@missing", '', "every argument of $function() is in docs/messaging.md");
}
my @missing = grep { $text{'README.md'} !~ /`\Q$_\E`/ } split /\n/, $bmw->sql(q{SELECT DISTINCT unnest(proargnames)
	FROM pg_proc WHERE oid IN ('bm_webhook.watch'::regproc, 'bm_webhook.status'::regproc)});
is("@missing", '', 'every argument of watch() and column of status()');
is(undocumented(q{SELECT name FROM bm_webhook.event_type WHERE shipped}), '', 'every event type');
@missing = grep { $text{'README.md'} !~ /\b\Q$_\E\b/ } split /\n/, $bmw->sql(q{SELECT DISTINCT proname FROM pg_proc
	WHERE pronamespace = 'bm_webhook'::regnamespace});
is("@missing", '', 'every function is in the README');
@missing = grep { $text{'README.md'} !~ /`\Q$_\E`/ && $all_text !~ /\bbm_webhook\.\Q$_\E\b/ } split /\n/, $bmw->sql(q{SELECT relname FROM pg_class
	WHERE relnamespace = 'bm_webhook'::regnamespace AND relkind IN ('r', 'p', 'v') AND NOT relispartition});
is("@missing", '', 'every table and view');
my @documented = $text{'README.md'} =~ /^\| `(bm_webhook\.\w+)` \|/gm;
is_deeply([ sort @documented ],
	[ split /\n/, $bmw->sql(q{SELECT name FROM pg_settings WHERE name LIKE 'bm\_webhook.%' ORDER BY name COLLATE "C"}) ],
	'every setting is documented');
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
		# what is not in the stage is in the checkout only
		next if $target eq 'LICENSE';
		my %headings = map { my $h = lc; $h =~ s/[^\w -]//g; $h =~ tr/ /-/; ($h => 1) } ($text{$target} // '') =~ /^#+ (.*)$/gm;
		push @broken, $link if !-e "$root/$target" || defined $anchor && !$headings{$anchor};
	}
	is("@broken", '', "$file has no broken link");
}

# History is dropped by its block, and nothing else is.
my ($retention) = grep { $_->{code} =~ /DROP TABLE %/ } @sql;
my $partitions = q{SELECT count(*) FROM pg_inherits WHERE inhparent = 'bm_webhook.event'::regclass};
my $before = $bmw->sql($partitions);
$bmw->sql(q{SELECT bm_webhook_internal.create_partition('event', '2020-01-01')});
is($bmw->sql($partitions), $before + 1, 'there is an old partition');
($is_right) = run_sql($retention);
ok($is_right, 'history is dropped');
is($bmw->sql($partitions), $before, 'the old one is gone, the others are not');

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
for my $role (qw(sms_gateway gateway))
{
	is(as($role, q{SELECT bm_webhook.message_status('undelivered', 'role', 'sms', 'm', '+33123456789', '+33698765432', provider => 'twilio',
		error => '{"code": "x", "title": "X", "permanent": true}')}), '', "$role may report what became of a message");
	is(as($role, q{SELECT bm_webhook.emit('message.sent', '{}')}), '42501', 'but not emit');
}
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
$bmw->sql('DELETE FROM bm_webhook.endpoint WHERE id <> 1');
$bmw->sql(q{UPDATE bm_webhook.endpoint SET url = '} . $receiver->url('/ok/readme') . q{' WHERE id = 1});
$bmw->share_secrets(1, 'readme');
$bmw->set('bm_webhook.enabled', 'on');
$bmw->wait_for_sql('nothing waits', 'SELECT bool_and(pending + not_taken = 0) FROM bm_webhook.backlog');
$bmw->arrived_exactly_once('readme', q{SELECT e.id FROM bm_webhook.event e, bm_webhook.endpoint p WHERE p.id = 1 AND e.created_at >= p.created_at
		AND e.type !~ '^(webhook|endpoint|delivery)\.' AND (e.application = 'app_7' AND e.type IN ('message.accepted', 'message.read')) IS NOT TRUE
	UNION ALL SELECT id FROM bm_webhook.event WHERE endpoint_id = 1 AND type = 'webhook.ping'}, 'all events arrive, each once');
is($receiver->count('readme', 'verified'), $receiver->count('readme', 'requests'), 'every signature is right');

# The request that is shown has the headers and fields of a real one, in order.
my ($request) = grep { $_->{body} =~ /"message\.sent"/ } $receiver->requests('readme');
my ($shown) = map { $_->{code} } @{ $readme{http} };
my ($shown_headers) = $shown =~ /\A.*?\n(.*?)\n\n/s;
my %shown_headers = map { split /: /, $_, 2 } split /\n/, $shown_headers;
is_deeply([ grep { !exists $request->{headers}{$_} } sort keys %shown_headers ], [], 'the headers that are shown exist');
my $fields = sub { join ' ', $_[0] =~ /"(\w+)":/g };
is($fields->($shown), $fields->($request->{body}), 'the body that is shown has the fields of a real one');

# The receivers.
my $secret = $bmw->sql('SELECT bm_webhook.secret(1)');
sub try_receiver
{
	my ($language, $suffix, @command) = @_;
	my ($block) = @{ $readme{$language} };

	# Beside the receiver of the tests, where node finds the package.
	my $program = "$FindBin::RealBin/../receiver/readme-$$.$suffix";
	open my $file, '>', $program or die "could not write $program: $!";
	print $file $block->{code};
	close $file;

	local $ENV{WEBHOOK_SECRET} = $secret;
	local $ENV{PORT} = my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $output = '';
	my $process = IPC::Run::start([ @command, $program ], '<', \undef, '>&', \$output);
	wait_until("the receiver in $language listens",
		sub { my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port"); $socket });

	my $id = $bmw->endpoint("http://127.0.0.1:$port/hooks", event_types => "{readme.$language}", retry_delays => '{}');
	my $refused = $bmw->emit("readme.$language", message_id => 'refused');
	is($bmw->sql("SELECT bm_webhook.wait_for_delivery('$refused', '30 s')"), 'f', "$language: another secret is refused");
	is($bmw->sql("SELECT http_status FROM bm_webhook.delivery WHERE event_id = '$refused' AND endpoint_id = $id"), 401, "$language: with 401");
	$bmw->sql("UPDATE bm_webhook.endpoint_secret SET secret = '$secret' WHERE endpoint_id = $id");
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
	skip 'no python3', 6 if !PostgreSQL::Test::Utils::run_log([ 'python3', '-c', 'import sys; sys.exit(sys.version_info < (3, 9))' ]);
	try_receiver('python', 'py', 'python3');
}

# The end.
($is_right) = run_sql(@removal);
ok($is_right, 'the extension is removed as written');
is($bmw->sql(q{SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'bm\_webhook%'}), 0, 'the watches are gone');

$bmw->finish;

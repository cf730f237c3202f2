# The README is right: every block ```sql runs as written, in order, in one
# database; what it makes of the events arrives; its receivers in JavaScript and
# Python accept our requests, and refuse others.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use FindBin;
use IPC::Run ();
use PostgreSQL::Test::Utils ();
use Test::More;

my $readme = PostgreSQL::Test::Utils::slurp_file("$FindBin::RealBin/../../README.md");
my %blocks;
while ($readme =~ /^([ ]*)```(\w+)\n(.*?)^\1```$/gms)
{
	my ($indent, $language, $code) = ($1, $2, $3);
	my $line = 2 + (substr($readme, 0, $-[0]) =~ tr/\n//);
	$code =~ s/^$indent//gm;
	push @{ $blocks{$language} }, { code => $code, line => $line };
}

# Nothing may leave this machine: what the blocks register is sent later, to our receiver.
my $bmw = BmWebhook->new(extension => 0, conf => "bm_webhook.enabled = off\n");
my $receiver = $bmw->receiver;

my @sql = @{ $blocks{sql} };
my @removal = grep { $_->{code} =~ /DROP EXTENSION/ } @sql;
is(scalar @removal, 1, 'one block removes the extension');
is($sql[-1], $removal[0], 'the last one');
pop @sql;

# One session for all, because psql variables go from block to block; the
# number of the line is that of the README, for what goes wrong.
my $dir = PostgreSQL::Test::Utils::tempdir('readme');
sub run_sql
{
	my (@what) = @_;
	my $file = "$dir/blocks.sql";
	open my $out, '>', $file or die "could not write $file: $!";
	print $out "\\echo block at line $_->{line}\n$_->{code}" for @what;
	close $out;
	my ($stdout, $stderr) = ('', '');
	IPC::Run::run([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $bmw->node->connstr('postgres'), '-f', $file ],
		'<', \undef, '>', \$stdout, '2>', \$stderr);
	my $is_right = $? == 0 && $stderr !~ /ERROR|WARNING/;
	my ($last) = $stdout =~ /.*^(block at line \d+)$/ms;
	diag(($last // 'before the first block'), ": $stderr") unless $is_right;
	return ($is_right, $stdout);
}

my ($is_right, $output) = run_sql(@sql);
ok($is_right, scalar(@sql) . ' blocks of SQL run as written');
cmp_ok(scalar @sql, '>=', 20, 'there are so many');

# What a block printed.
sub output_of
{
	my ($pattern) = @_;
	my ($block) = grep { $_->{code} =~ $pattern } @sql or return 'no such block';
	return $output =~ /^block at line $block->{line}\n(.*?)(?=^block at line|\z)/ms ? $1 : '';
}
like(output_of(qr/FROM request;/), qr/\At\n\z/, 'verify() accepts what sign() made');
like(output_of(qr/bm_webhook\.secret\(1\);\s*\z/), qr/\Awhsec_\S+\n\z/, 'secret() shows a secret');
like(output_of(qr/exponential_backoff\('5 s'/), qr/\A\{00:00:05,00:00:20,00:01:20,/, 'exponential_backoff()');
like(output_of(qr/pg_get_triggerdef/), qr/message\|bm_webhook_.*contact\|bm_webhook_|contact\|bm_webhook_.*message\|bm_webhook_/s,
	'the watches are listed');
is($bmw->sql(q{SELECT string_agg(concat_ws(' ', type, channel, message_id, n), ', ' ORDER BY first) FROM
		(SELECT type, channel, CASE WHEN message_id LIKE 'in_%' THEN 'in_' ELSE message_id END AS message_id,
			count(*) AS n, min(id::text) AS first
		FROM bm_webhook.event WHERE type ~ '^(message|contact|campaign)' GROUP BY 1, 2, 3) e}),
	'message.sent sms 1 1, message.sent whatsapp 2 1, message.received whatsapp in_ 1, '
	  . 'contact.opted_out 1 1, contact.opted_out 2 1, message.deleted 1 1, campaign.finished sms campaign-17 1, campaign.started 1',
	'the events that the text promises');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.event WHERE type = 'webhook.capture_failed'}), 0, 'every row became an event');

# The documented columns are those of the tables, and the settings those of the server.
for my $table (qw(application endpoint delivery failed_attempt event))
{
	my @missing = grep { $readme !~ /`\Q$_\E`/ } split /\n/,
	  $bmw->sql("SELECT attname FROM pg_attribute WHERE attrelid = 'bm_webhook.$table'::regclass AND attnum > 0 AND NOT attisdropped");
	is("@missing", '', "every column of $table is documented");
}
my @missing = grep { $readme !~ /`\Q$_\E`/ } split /\n/, $bmw->sql(q{SELECT DISTINCT unnest(proargnames)
	FROM pg_proc WHERE oid IN ('bm_webhook.watch'::regproc, 'bm_webhook.status'::regproc)});
is("@missing", '', 'every argument of watch() and column of status()');
@missing = grep { $readme !~ /\b\Q$_\E\b/ } split /\n/, $bmw->sql(q{SELECT proname FROM pg_proc
	WHERE pronamespace = 'bm_webhook'::regnamespace AND proname !~ '^_'});
is("@missing", '', 'every function is documented');
my @documented = $readme =~ /^\| `(bm_webhook\.\w+)` \|/gm;
is_deeply([ sort @documented ],
	[ split /\n/, $bmw->sql(q{SELECT name FROM pg_settings WHERE name LIKE 'bm\_webhook.%' ORDER BY name COLLATE "C"}) ],
	'every setting is documented');
for my $type (qw(webhook.ping webhook.capture_failed endpoint.disabled))
{
	is($bmw->sql("SELECT count(*) FROM bm_webhook.event_type WHERE name = '$type'"), 1, "$type is shipped");
}

# History is dropped by its block, and nothing else is.
my ($retention) = grep { $_->{code} =~ /DROP TABLE %/ } @sql;
my $partitions = q{SELECT count(*) FROM pg_inherits WHERE inhparent = 'bm_webhook.event'::regclass};
my $before = $bmw->sql($partitions);
$bmw->sql(q{SELECT bm_webhook._create_partition('event', '2020-01-01')});
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
	DELETE FROM bm_webhook.endpoint}), '', 'shop_admin manages its endpoints');
is(as('shop_admin', q{INSERT INTO bm_webhook.endpoint (url) VALUES ('https://shop.example.com/')}), '42501', 'but no other');
is(as('webhook_monitor', q{SELECT * FROM bm_webhook.backlog; SELECT * FROM bm_webhook.attempt; SELECT * FROM bm_webhook.status()}), '',
	'webhook_monitor sees all');
is(as('webhook_monitor', q{SELECT * FROM bm_webhook.endpoint_secret}), '42501', 'but secrets');

# Now it is sent: the endpoint of the first page gets all that it should.
$bmw->set('bm_webhook.allowed_networks', '127.0.0.0/8');
$bmw->sql(q{UPDATE bm_webhook.endpoint SET url = '} . $receiver->url('/ok/readme') . q{' WHERE id = 1});
$bmw->share_secrets(1, 'readme');
$bmw->set('bm_webhook.enabled', 'on');
$bmw->wait_for_sql('nothing waits', 'SELECT bool_and(pending + not_taken = 0) FROM bm_webhook.backlog');
$bmw->arrived_exactly_once('readme', 'SELECT id FROM bm_webhook.event WHERE created_at >= '
	  . '(SELECT created_at FROM bm_webhook.endpoint WHERE id = 1)', 'all events arrive, each once');
is($receiver->count('readme', 'verified'), $receiver->count('readme', 'requests'), 'every signature is right');

# The request that is shown has the headers and fields of a real one, in order.
my ($request) = grep { $_->{body} =~ /"message\.sent"/ } $receiver->requests('readme');
my ($shown) = map { $_->{code} } @{ $blocks{http} };
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
	my ($block) = @{ $blocks{$language} };

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

# Arbitrary arguments for every function of the extension, arbitrary values for every
# column that users write, and rows of tables that are watched with arbitrary arguments:
# the server answers each statement, with a result or with an SQLSTATE that says what is
# wrong. XX000 would be an assumption of ours that does not hold.
#
# BMW_FUZZ_STATEMENTS=20000 BMW_FUZZ_SEED=7: more of them, and which; a run says its seed.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $seed = $ENV{BMW_FUZZ_SEED} // int(rand(1 << 30));
my $statements = $ENV{BMW_FUZZ_STATEMENTS} // 1500;
srand($seed);

my $bmw = BmWebhook->new;

# As superuser, because privileges would answer most of it.
$bmw->sql(q{
	CREATE SCHEMA "Od'd";
	CREATE DOMAIN public.short AS text CHECK (length(VALUE) < 5);
	CREATE TYPE public.pair AS (a int, b text);
	CREATE TABLE public.message (id bigint PRIMARY KEY, status text, sender text, recipient text, channel text, content jsonb,
		error jsonb, price numeric, segments int, occurred_at timestamptz, "we""ird {col}" text, pair public.pair, short public.short, bytes bytea, "?" text[]);
	CREATE TABLE "Od'd"."ta{b}le" (a int, b text NOT NULL, PRIMARY KEY (a, b)) PARTITION BY LIST (a);
	CREATE TABLE "Od'd".part1 PARTITION OF "Od'd"."ta{b}le" DEFAULT;
	CREATE TABLE public.no_key (x json, y xml, z float8);
	CREATE FUNCTION public.data(public.message) RETURNS jsonb LANGUAGE sql AS $$SELECT to_jsonb($1)$$;
	CREATE FUNCTION public.other(public.no_key) RETURNS text LANGUAGE sql AS $$SELECT 'x'$$;
	CREATE ROLE tenant;
	INSERT INTO bm_webhook.application (name) VALUES ('shop');
	INSERT INTO bm_webhook.endpoint (url, application, event_types) VALUES ('http://127.0.0.1:9999/a', 'shop', '{a.b}'), ('http://127.0.0.1:9999/b', NULL, '{*}');
	INSERT INTO bm_webhook.event_type (name, description) VALUES ('a.b', '');
	SELECT bm_webhook.emit('a.b', '{}', application => 'shop');
});

my $secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
my @texts = ('', ' ', 'a', 'a.b', 'message.sent', 'message.{status}', '{status}', '{id}', '{we"ird {{col}}}', '{', '}', '{}', '{{', '{nope}', '{data.a}', '{content}',
	'*', 'a.*', '*.a', 'webhook.ping', 'shop', 'sms', 'tenant', 'postgres', 'bm_webhook', 'row', 'statement', 'INSERT', 'hmac', 'ed25519', 'client_certificate', 'thin',
	'sha256', 'stripe', 'hex', 'x-sig', 'webhook-id', "a\r\nb: c", 'NEW.id > 0', 'NEW.nope', 'OLD.id = NEW.id', 'true', 'NULL', '1/0 = 1', 'true) OR (true', '(SELECT 1)', ';', '--',
	"'", '"', '\\', '$$', '%s %n %1$s', "\x{e4}\x{20ac}\x{1f600}", 'x' x 200, '{a}' x 100, 'http://127.0.0.1:9999/x', 'https://example.com/?a=b', 'http://[::1]/', 'ftp://x/', 'http://127.1/',
	$secret, 'whsk_AAAA', 'whpk_', 'whsec_', 'v1,AAAA', '$.data.a == 1', '$.**', '$[', '$ ? (@ like_regex "(a+)+b")', '0', '-1', '99999999999999999999', '1e400', 'NaN', '10.0.0.0/8',
	"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 'failed', 'pending', 'delivered', 'http_status', 'en_US', '{"a":1}', "\x01\x1b[0m");
my @jsons = ('{}', '[]', 'null', '1', '"a"', '{"a":1}', '{"a":{"b":[1,2,{"c":null}]}}', '{"status":"sent"}', '{"id":1,"text":"\ud83d\ude00"}', '{"authorization":"x"}', '{"host":"x"}',
	'{"a":"b\r\nc"}', '{"":""}', '{"a":["b"]}', '1e130000', '[' x 50 . ']' x 50, '{"type":"text","text":"a"}');
my @intervals = ('0', '1 s', '-1 s', '1 month -30 days', '10 years', '00:00:00.000001', '-178000000 years', '178000000 years', '24 h', '30 days', '1200 months -36000 days 1 s');
my @times = ('now', 'infinity', '-infinity', '2000-01-01', '294276-12-31', '4713-01-01 BC', 'tomorrow');
my @numbers = (0, 1, 2, 3, -1, 100, 2147483647, -2147483648, '9223372036854775807', '-9223372036854775808');
my @relations = ('public.message', q{"Od'd"."ta{b}le"}, q{"Od'd".part1}, 'public.no_key', 'bm_webhook.endpoint', 'pg_class', 'bm_webhook.status_view', 'bm_webhook.event', 'public.message_pkey');
my @functions = ('public.data(public.message)', 'public.other(public.no_key)', 'pg_catalog.to_jsonb(anyelement)', 'pg_catalog.now()');

sub one_of { return $_[ int rand @_ ] }

sub literal
{
	my ($text, $type) = @_;
	return "'" . $text =~ s/'/''/gr . "'::$type";
}

sub value
{
	my ($type) = @_;
	return "NULL::$type" if rand() < 0.06;
	if ($type =~ /^(.*)\[\]$/)
	{
		my $item = $1;
		return one_of("'{}'::$type", "'{NULL}'::$type", "'{{1,2},{3,4}}'::$type", 'array_fill(' . value($item) . ', ARRAY[200])') if rand() < 0.15;
		return 'ARRAY[' . join(',', map { value($item) } 1 .. 1 + int rand 3) . "]::$type";
	}
	return one_of('true', 'false') if $type eq 'boolean';
	return literal(one_of(@jsons), $type) if $type =~ /^jsonb?$/;
	return literal(one_of(@intervals), $type) if $type eq 'interval';
	return literal(one_of(@times), $type) if $type =~ /^timestamp|^date|^time/;
	return literal(one_of(@numbers), $type) if $type =~ /^(bigint|integer|smallint|numeric|real|double precision|oid)$/;
	return literal(one_of(@relations), $type) if $type eq 'regclass';
	return literal(one_of(@functions), $type) if $type eq 'regprocedure';
	return literal(one_of('tenant', 'postgres', 'nobody', '0', '-'), $type) if $type =~ /^regrole/;
	return one_of('(SELECT min(id::text)::uuid FROM bm_webhook.event)', "'00000000-0000-0000-0000-000000000000'::uuid") if $type eq 'uuid';
	return literal(one_of('', '\x00', '\xff00', 'abc'), $type) if $type eq 'bytea';
	return literal(rand() < 0.1 ? join('', map { one_of(@texts) } 1 .. 3) : one_of(@texts), $type) if $type =~ /^(text|name|character varying|"char"|jsonpath)/;
	return "NULL::$type";
}

# What there is of the extension: every function that can be called, the columns that are written.
my @calls = map { [ split /\|/ ] } split /\n/, $bmw->sql(q{
	SELECT p.oid::regproc, p.provariadic <> 0, array_to_string(ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY a(t, n) ORDER BY n), ';'), p.pronargdefaults
	FROM pg_proc p WHERE p.pronamespace IN ('bm_webhook'::regnamespace, 'bm_webhook_internal'::regnamespace)
		AND p.prorettype <> 'trigger'::regtype AND p.prokind IN ('f', 'p')
		AND NOT 'internal'::regtype = ANY (p.proargtypes) ORDER BY 1, 3});
my %table;
push @{ $table{ $_->[0] } }, [ $_->[1], $_->[2] ] for map { [ split /\|/ ] } split /\n/, $bmw->sql(q{
	SELECT a.attrelid::regclass, quote_ident(a.attname), format_type(a.atttypid, NULL) FROM pg_attribute a
	WHERE a.attrelid = ANY (ARRAY['bm_webhook.endpoint', 'bm_webhook.endpoint_secret', 'bm_webhook.application', 'bm_webhook.event_type']::regclass[])
		AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, a.attnum});

sub call
{
	my ($name, undef, $types, $defaults) = @{ one_of(@calls) };
	my @types = split /;/, $types // '';
	my $least = @types - $defaults;
	my $count = $least + int rand($defaults + 1);

	return "SELECT * FROM $name(" . join(', ', map { value($_) } @types[ 0 .. $count - 1 ]) . ') LIMIT 100';
}

sub write_row
{
	my $table = one_of(sort keys %table);
	my %chosen = map { $_->[0] => value($_->[1]) } map { one_of(@{ $table{$table} }) } 1 .. 1 + int rand 4;
	my @names = sort keys %chosen;

	return "UPDATE $table SET " . join(', ', map { "$_ = $chosen{$_}" } @names) if rand() < 0.4;
	$chosen{url} //= "'http://127.0.0.1:9999/x'", @names = sort keys %chosen if $table eq 'bm_webhook.endpoint';
	return "INSERT INTO $table (" . join(', ', @names) . ') OVERRIDING SYSTEM VALUE VALUES (' . join(', ', map { $chosen{$_} } @names) . ')';
}

# What the application does to the tables, watched or not.
sub write_watched
{
	my $id = int rand 5;
	return one_of(
		"DELETE FROM public.message",
		qq{INSERT INTO "Od'd"."ta{b}le" VALUES ($id, } . value('text') . ')',
		qq{DELETE FROM "Od'd"."ta{b}le"},
		'INSERT INTO public.no_key (x, z) VALUES (' . value('json') . ', ' . value('double precision') . ')',
		map { "INSERT INTO public.message (id, status, sender, recipient, channel, content, error, price, occurred_at) VALUES ($id, " . join(', ', map { value($_) } qw(text text text text jsonb jsonb numeric timestamptz)) . q{) ON CONFLICT (id) DO UPDATE SET status = EXCLUDED.status, content = EXCLUDED.content} } 1 .. 4);
}

sub watch
{
	my $name = one_of('watch', 'watch_messages', 'watch_replies');
	my %type = (message_id => 'text', application => 'text', channel => 'text', occurred_at => 'text', condition => 'text', level => 'text');
	%type = (%type, operations => 'text[]', changed => 'text[]', columns => 'text[]', function => 'regprocedure', old => 'boolean') if $name eq 'watch';
	%type = (%type, map { $_ => 'text' } qw(sender recipient content metadata provider)) if $name ne 'watch';
	my %chosen = map { $_ => value($type{$_}) } map { one_of(sort keys %type) } 1 .. int rand 4;

	$chosen{event_type} = value('text') if $name eq 'watch';
	return "SELECT bm_webhook.$name(" . join(', ', literal(one_of(@relations), 'regclass'), map { "$_ => $chosen{$_}" } sort keys %chosen) . ')';
}

sub statement
{
	my $dice = rand();
	return $dice < 0.45 ? call() : $dice < 0.65 ? write_row() : $dice < 0.8 ? watch() : $dice < 0.97 ? write_watched()
	  : one_of("SELECT bm_webhook.unwatch('public.message')", 'DELETE FROM bm_webhook.endpoint WHERE random() < 0.5', "SELECT bm_webhook.emit('a.b', '{}', application => 'shop')");
}

my @statements = map { statement() =~ s/[\r\n]/ /gr } 1 .. $statements;
my $postmaster = $bmw->sql('SELECT pg_postmaster_start_time()');
my $script = join '', map { "$_;\n" } 'SET statement_timeout = \'3s\'', 'SET client_min_messages = error', @statements;
my ($out, $err) = ('', '');
{
	local $ENV{PGCLIENTENCODING} = 'UTF8';
	utf8::encode($script);
	IPC::Run::run([ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $bmw->node->connstr('postgres'), '-f', '-' ], '<', \$script, '>', \$out, '2>', \$err);
}
my (%states, @wrong);
while ($err =~ /^psql:<stdin>:(\d+): ERROR:  (\w{5}): (.*)$/mg)
{
	$states{$2}++;
	push @wrong, "$2 $3\n  in: $statements[$1 - 3]" if $2 =~ /^XX|^58|^F0/;
}
note(join ' ', map { "$_=$states{$_}" } sort keys %states);
ok(!@wrong, "no error of ours in $statements statements of seed $seed") or diag(join "\n", @wrong > 20 ? @wrong[ 0 .. 19 ] : @wrong);
unlike($err, qr/server closed the connection|connection to server/, 'the session is the same') or diag(substr $err, -2000);
is($bmw->sql('SELECT pg_postmaster_start_time()'), $postmaster, 'the server is the same');
unlike(PostgreSQL::Test::Utils::slurp_file($bmw->node->logfile), qr/terminated by signal|TRAP:|PANIC/, 'no process died');

# And it still works.
$bmw->sql(q{SELECT bm_webhook.unwatch(c) FROM unnest('{public.message}'::regclass[]) c; DELETE FROM bm_webhook.endpoint});
my $fine = $bmw->endpoint('/ok/fine', event_types => '{after.it_all}');
$bmw->sql('SELECT bm_webhook.resume(everything => true)');
$bmw->emit('after.it_all', endpoint => $fine);
$bmw->wait_for_requests('fine', 1);

done_testing();

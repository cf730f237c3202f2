# Whose browser leaves while the database works for it: a question and an export are canceled, and the session goes on; what was
# pressed is done.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use BmWebhook::Console;
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'bm_webhook_console is not built: it needs libmicrohttpd' unless BmWebhook::Console::is_built();

my $bmw = BmWebhook->new(conf => $BmWebhook::Console::conf);
$bmw->sql(q{CREATE ROLE olga LOGIN PASSWORD 'olga'; SELECT bm_webhook.grant_operator('olga')});

# They take as long as they may: 10 seconds, and 5 minutes. What is pressed waits for a lock.
$bmw->sql(q{CREATE TABLE public.done (what text); GRANT INSERT ON public.done TO olga;
	CREATE OR REPLACE FUNCTION bm_webhook.console_overview(a jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT to_jsonb(pg_sleep(600)::text)';
	CREATE OR REPLACE FUNCTION bm_webhook_internal.console_export_sql(a jsonb) RETURNS text LANGUAGE sql AS
		'SELECT CASE a ->> ''what'' WHEN ''slow'' THEN ''SELECT pg_sleep(600)'' ELSE ''SELECT repeat($$x$$, 1000) AS x FROM pg_class a, pg_class b, pg_class c'' END';
	CREATE OR REPLACE FUNCTION bm_webhook.console_pause(a jsonb) RETURNS jsonb LANGUAGE sql SET lock_timeout = 0 AS
		'SELECT pg_advisory_xact_lock(1); INSERT INTO public.done VALUES (''paused''); SELECT ''{}''::jsonb'});
BmWebhook::Console::ask_for_passwords($bmw);
my $console = BmWebhook::Console->new($bmw);
my $session = $console->session('olga', 'olga');

# What the server does for the session.
sub runs
{
	my ($name) = @_;
	return $bmw->sql(qq{SELECT count(*) FROM pg_stat_activity WHERE usename = 'olga' AND state = 'active' AND query ~ '$name'});
}

# A browser that asks.
sub browse
{
	my ($method, $name) = @_;
	my $browser = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $console->port) or die "connect: $!";
	$browser->syswrite(join "\r\n", "$method /api/$name HTTP/1.1", 'Host: 127.0.0.1:' . $console->port, 'Cookie: ' . $session->cookie,
		'X-Csrf: ' . $session->csrf, 'Content-Type: application/json', 'Content-Length: 0', '', '');
	return $browser;
}

sub canceled { return scalar(() = slurp_file($bmw->node->logfile) =~ /ERROR:  canceling statement due to (?:$_[0])/g) }

my $waiting = browse('GET', 'overview');
wait_until('the server works for a question', sub { runs('overview') });
my $queued = browse('GET', 'overview');
close $_ for $waiting, $queued;
is(($session->get('session'))[0], 200, 'a question is not waited for when its browser has left');
is(runs('overview'), 0, 'nor is the one after it');

my $download = browse('GET', 'export?a={}');
my $lines = '';
1 while $lines !~ /xxx/ && $download->sysread($lines, 4096, length $lines);
like($lines, qr/^HTTP.*200 OK.*xxx/s, 'the first lines of an export come before it has all');
close $download;
is(($session->get('session'))[0], 200, 'it ends with its browser');
my $waits = browse('GET', 'export?a={"what":"slow"}');
wait_until('the server works for an export that has no line yet', sub { runs('FETCH') });
close $waits;
is(($session->get('session'))[0], 200, 'it ends with its browser, too');
my $canceled = canceled('user request');
cmp_ok($canceled, '>=', 2, 'they were canceled');
is(canceled('statement timeout'), 0, 'and nothing took as long as it may');

# It takes longer than it is until who has left is looked for.
my $holder = $bmw->session;
$holder->query_safe('SELECT pg_advisory_lock(1)');
my $pressed = browse('POST', 'pause');
wait_until('the server does what was pressed', sub { runs('pause') });
close $pressed;
sleep 3;
is(runs('pause'), 1, 'what was pressed goes on');
$holder->quit;
wait_until('what was pressed is done, whoever has left', sub { $bmw->sql('SELECT count(*) FROM public.done') == 1 });
is(canceled('.*'), $canceled, 'and was not canceled');

is($console->stop, 0, 'it ends as ever');
$bmw->finish;

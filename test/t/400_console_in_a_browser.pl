# The console's pages in a real browser: a tenant registers an endpoint, breaks and repairs it; every screen as tenant
# and as operator, light and dark, as wide as a phone. Where the console's program is not built, test/console/serve.mjs
# stands in for it.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use BmWebhook::Console;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use Test::More;

my $is_as_it_was = system('cd console/web/vendor && sha256sum --quiet -c SHA256SUMS') == 0;
plan skip_all => 'chromium is not installed' unless grep { -x } map { "/usr/bin/$_" } qw(chromium chromium-browser google-chrome);

my $bmw = BmWebhook->new(conf => $BmWebhook::Console::conf);
my $node = $bmw->node;
$bmw->sql(q{CREATE ROLE operator LOGIN PASSWORD 'secret'; CREATE ROLE shop LOGIN PASSWORD 'secret'; CREATE ROLE bank LOGIN PASSWORD 'secret';
	INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('bank');
	SELECT bm_webhook.grant_operator('operator'), bm_webhook.grant_owner('shop', 'shop'), bm_webhook.grant_owner('bank', 'bank')});

BmWebhook::Console::ask_for_passwords($bmw);

my $port = PostgreSQL::Test::Cluster::get_free_port();
my %database = (PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres');
local @ENV{ keys %database } = values %database;
my ($program) = grep { -x } map { "$_/bm_webhook_console" } split /:/, $ENV{PATH};
my @command = $program ? ($program, '--dbhost', '127.0.0.1', '--dbport', $node->port, '--dbname', 'postgres', '--port', $port) : ('node', 'test/console/serve.mjs', $port);
diag("served by $command[0]");
my $out = '';
my $console = IPC::Run::start(\@command, '<', \undef, '>', \$out, '2>', \$out, IPC::Run::timeout(600));
wait_until('the console listens', sub { $console->pump_nb; $out =~ /listening/ });

my $missing = BmWebhook::Console::run_in_browser($bmw, 'browser.mjs', url => "http://127.0.0.1:$port", receiver => $bmw->receiver->url(''),
	is_stand_in => !$program, screenshots => $ENV{BMW_SCREENSHOTS});
$console->kill_kill;
plan skip_all => $missing if $missing;
ok($is_as_it_was, 'what comes from others is as it was');

# Two pings, three that failed, those again, one of them once more, and what came while it was looked at.
cmp_ok($bmw->receiver->count('shop', 'requests'), '>=', 10, 'the receiver saw all of it');

$bmw->finish;

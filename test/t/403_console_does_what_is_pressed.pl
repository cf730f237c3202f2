# Every action of the console is pressed in a browser, and the database and the receiver see what it says; what 400 presses is not
# pressed again.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use BmWebhook::Console;
use IPC::Run ();
use JSON::PP;
use Test::More;

plan skip_all => 'bm_webhook_console is not built: it needs libmicrohttpd' unless BmWebhook::Console::is_built();

my $bmw = BmWebhook->new(conf => "$BmWebhook::Console::conf");
my $node = $bmw->node;
$bmw->sql(q{CREATE ROLE shop LOGIN PASSWORD 'secret'; CREATE ROLE operator LOGIN PASSWORD 'secret'; INSERT INTO bm_webhook.application (name) VALUES ('shop');
	SELECT bm_webhook.grant_owner('shop', 'shop'), bm_webhook.grant_operator('operator')});
BmWebhook::Console::ask_for_passwords($bmw);
my $console = BmWebhook::Console->new($bmw);
my $config = JSON::PP->new->encode({ url => $console->url, database => { PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres' },
	receiver => $bmw->receiver->url('') });
my $tap = '';
eval { IPC::Run::run([ 'node', 'test/console/actions.mjs', $config ], '<', \undef, '>', \$tap, IPC::Run::timeout(240)) } or diag($@);
$console->stop;
plan skip_all => $1 if $tap =~ /^(missing .*)/;
for (split /\n/, $tap)
{
	/^(not )?ok \d+ - (.*)/ ? ok(!$1, $2) : /^#/ ? diag($_) : ();
}
like($tap, qr/^1\.\.\d+$/m, 'the browser came to its end');
is($bmw->receiver->count('switches', 'delivered'), 1, 'the receiver got what waited while it was paused');
$bmw->finish;

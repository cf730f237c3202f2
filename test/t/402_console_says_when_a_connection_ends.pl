# What a browser shows when a backend is killed, the server is restarted, or has no connection left; and that who signs in again
# is where they were, with what they had typed.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use BmWebhook::Console;
use Test::More;

plan skip_all => 'bm_webhook_console is not built: it needs libmicrohttpd' unless BmWebhook::Console::is_built();

my $bmw = BmWebhook->new(conf => "$BmWebhook::Console::conf\nmax_connections = 12\n");
my $node = $bmw->node;
$bmw->sql(q{CREATE ROLE shop LOGIN PASSWORD 'secret'; CREATE ROLE bank LOGIN PASSWORD 'secret'; INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('bank');
	SELECT bm_webhook.grant_owner('shop', 'shop'), bm_webhook.grant_owner('bank', 'bank')});
$bmw->endpoint('/ok/shop', application => 'shop');
BmWebhook::Console::ask_for_passwords($bmw);
my $console = BmWebhook::Console->new($bmw);
my $missing = BmWebhook::Console::run_in_browser($bmw, 'ended.mjs', url => $console->url, restart => join ' ', 'pg_ctl', '-w', '-m', 'fast', '-D', $node->data_dir, '-l', $node->logfile, 'restart');
$console->stop;
plan skip_all => $missing if $missing;
$node->_update_pid(1);
$bmw->finish;

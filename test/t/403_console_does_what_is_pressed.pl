# Every action of the console is pressed in a browser, and the database and the receiver see what it says; what 400 presses is not
# pressed again.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use BmWebhook::Console;
use Test::More;

plan skip_all => 'bm_webhook_console is not built: it needs libmicrohttpd' unless BmWebhook::Console::is_built();

my $bmw = BmWebhook->new(conf => $BmWebhook::Console::conf);
$bmw->sql(q{CREATE ROLE shop LOGIN PASSWORD 'secret'; CREATE ROLE operator LOGIN PASSWORD 'secret'; INSERT INTO bm_webhook.application (name) VALUES ('shop');
	SELECT bm_webhook.grant_owner('shop', 'shop'), bm_webhook.grant_operator('operator')});
BmWebhook::Console::ask_for_passwords($bmw);
my $console = BmWebhook::Console->new($bmw);
my $missing = BmWebhook::Console::run_in_browser($bmw, 'actions.mjs', url => $console->url, receiver => $bmw->receiver->url(''));
$console->stop;
plan skip_all => $missing if $missing;
is($bmw->receiver->count('switches', 'delivered'), 1, 'the receiver got what waited while it was paused');
$bmw->finish;

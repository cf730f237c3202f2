# Deliveries are selected in a browser, row by row and all that match; what is done with them the database and the receiver see.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use BmWebhook::Console;
use Test::More;

plan skip_all => 'bm_webhook_console is not built: it needs libmicrohttpd' unless BmWebhook::Console::is_built();

my $bmw = BmWebhook->new(conf => $BmWebhook::Console::conf);
$bmw->sql(q{CREATE ROLE shop LOGIN PASSWORD 'secret'; CREATE ROLE operator LOGIN PASSWORD 'secret'; CREATE ROLE watcher LOGIN PASSWORD 'secret';
	INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('bank');
	SELECT bm_webhook.grant_owner('shop', 'shop'), bm_webhook.grant_owner('bank', 'operator'), bm_webhook.grant_operator('operator'), bm_webhook.grant_operator('watcher')});
BmWebhook::Console::ask_for_passwords($bmw);
my $console = BmWebhook::Console->new($bmw);
my $missing = BmWebhook::Console::run_in_browser($bmw, 'selects.mjs', url => $console->url, receiver => $bmw->receiver->url(''));
$console->stop;
plan skip_all => $missing if $missing;
is($bmw->receiver->count($_->[0], 'requests'), $_->[1], "the receiver saw what was sent, and again: $_->[0]") for [ rows => 6 ], [ cancels => 2 ], [ matches => 121 ], [ operators => 2 ];
$bmw->finish;

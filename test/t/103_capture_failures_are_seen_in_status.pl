# Rows that could not be captured are counted in status(), for who has not
# subscribed to webhook.capture_failed.
use strict;
use warnings;

use lib 'test/lib';
use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;

$bmw->dispatcher;
is($bmw->status('capture_failures'), '0', 'none at first');
$bmw->sql(q{
	CREATE TABLE item (id int PRIMARY KEY, kind text);
	SELECT bm_webhook.watch('item', 'item.{kind}');
	INSERT INTO item VALUES (1, 'NOT A TYPE'), (2, 'good'), (3, NULL)});
is($bmw->status('capture_failures'), '1', 'then those that failed');
like($bmw->status('last_capture_error'), qr/^public\.item: invalid event type$/, 'and why');
is($bmw->status("last_capture_error_at > now() - interval '5 min'"), 't', 'and when');
$bmw->finish;

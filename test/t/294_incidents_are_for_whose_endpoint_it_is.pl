# That a delivery was given up is told to those whose endpoint it was for, and not to those whose event it was: what an
# administrator's endpoint answers is no business of an application.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
$bmw->sql(q{INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('bank')});
my $all = $bmw->endpoint('/status/500/all', event_types => '{order.*}', retry_delays => '{}');
my $own = $bmw->endpoint('/status/500/own', event_types => '{order.*}', retry_delays => '{}', application => 'shop');
$bmw->endpoint("/ok/told-$_", event_types => '{delivery.exhausted}', application => $_) for qw(shop bank);
$bmw->endpoint('/ok/told-all', event_types => '{delivery.exhausted}');

$bmw->emit('order.paid', application => 'shop');
$bmw->wait_for_requests('told-all', 2);
$bmw->settle;
my $told = q{SELECT string_agg(concat_ws(' ', application, data->>'endpoint_id'), ', ' ORDER BY application) FROM bm_webhook.event WHERE type = 'delivery.exhausted'};
is($bmw->sql($told), "shop $own, $all", 'each is of the application of its endpoint');
is($bmw->receiver->count("told-$_->[0]", 'requests'), $_->[1], "$_->[0] is told of so many") for [ shop => 1 ], [ bank => 0 ], [ all => 2 ];

# The same, when it was set aside first.
$bmw->sql(q{DELETE FROM bm_webhook.event WHERE type = 'delivery.exhausted'});
$bmw->sql('ALTER TABLE bm_webhook.delivery ADD CONSTRAINT none CHECK (status <> \'failed\') NOT VALID');
$bmw->emit('order.paid', application => 'shop');
$bmw->wait_for_sql('they are set aside', 'SELECT count(*) = 2 FROM bm_webhook.set_aside');
$bmw->sql('ALTER TABLE bm_webhook.delivery DROP CONSTRAINT none; SELECT bm_webhook.retry_set_aside()');
$bmw->wait_for_requests('told-all', 4);
is($bmw->sql($told), "shop $own, $all", 'what is recorded later, too');

$bmw->finish(expected => qr/violates check constraint|none/);

# erase() looks at what an event says, and not at a mark that its sender can make himself; the owner of an
# application finds what was erased in it, whoever did it.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
$bmw->sql(q{CREATE ROLE shop; CREATE ROLE bank;
	INSERT INTO bm_webhook.application (name, owner) VALUES ('shop', 'shop'), ('outlet', 'shop'), ('bank', 'bank');
	GRANT USAGE ON SCHEMA bm_webhook TO shop, bank; GRANT EXECUTE ON FUNCTION bm_webhook.erase TO shop, bank;
	GRANT SELECT (name, owner) ON bm_webhook.application TO shop, bank;
	GRANT SELECT (id, application) ON bm_webhook.endpoint TO shop, bank;
	GRANT SELECT (id, kind, application, matched, done) ON bm_webhook.operation TO shop, bank});
my $data = q{'{"erased": true, "name": "Ana"}'};
$bmw->sql(qq{SELECT bm_webhook.emit('order.paid', $data, a, message_id => 'm1') FROM unnest('{shop,outlet,bank}'::text[]) a;
	SELECT bm_webhook.emit('message.sent', '{"erased": true, "status": "sent", "name": "Ana"}', 'shop', message_id => 'm1')});

is($bmw->sql(q{SET ROLE shop; SELECT events, is_complete FROM bm_webhook.erase('m1')}), '3|t', 'what only says that it is erased is erased');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.event WHERE data->>'name' = 'Ana'}), 1, 'nothing is left of it, but of another');
is($bmw->sql(q{SET ROLE shop; SELECT events, is_complete FROM bm_webhook.erase('m1')}), '0|t', 'once');
my $seen = q{SELECT string_agg(concat_ws(' ', application, done), ', ' ORDER BY application) FROM bm_webhook.operation WHERE kind = 'erase'};
is($bmw->sql("SET ROLE shop; $seen"), 'outlet 1, shop 2', 'its owner sees the record');
$bmw->sql(q{SELECT bm_webhook.erase('m1')});
is($bmw->sql("SET ROLE bank; $seen"), 'bank 1', 'also of what the administrator has erased');
is($bmw->sql("SET ROLE shop; $seen"), 'outlet 1, shop 2', 'and nobody sees that of others');
is($bmw->sql("SELECT count(*) FROM bm_webhook.operation o WHERE o::text ~ 'Ana|m1'"), 0, 'nothing says whom');

$bmw->finish;

# delete_endpoint() ends an endpoint like DELETE: nothing more is sent to it, and what
# waits is canceled. But what the log has of it stays its owner's: the row is kept,
# erased, also in a dump, and neither its id nor its application's name comes back.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use PostgreSQL::Test::Utils ();
use Test::More;

my $bmw = BmWebhook->new;
my $node = $bmw->node;
my $receiver = $bmw->receiver;

$bmw->sql(q{CREATE ROLE shop_admin; INSERT INTO bm_webhook.application (name, owner) VALUES ('shop', 'shop_admin');
	GRANT USAGE ON SCHEMA bm_webhook TO shop_admin;
	GRANT SELECT ON bm_webhook.application, bm_webhook.endpoint, bm_webhook.endpoint_secret TO shop_admin;
	GRANT INSERT (url, application) ON bm_webhook.endpoint TO shop_admin;
	GRANT EXECUTE ON FUNCTION bm_webhook.delete_endpoint TO shop_admin});

my $fails = $bmw->endpoint('/status/500/fails', application => 'shop', retry_delays => '{1 h}', event_types => '{test.event}');
my $hangs = $bmw->endpoint('/hang/hangs', application => 'shop', max_in_flight => 2, timeout => '60 s', event_types => '{test.event}');
my $stays = $bmw->endpoint('/ok/stays', event_types => '{test.event}');
my $unused = $bmw->endpoint('/ok/unused', application => 'shop', event_types => '{other.event}');

$bmw->sql(q{SELECT count(bm_webhook.emit('test.event', '{}', 'shop')) FROM generate_series(1, 20)});
$bmw->wait_for_requests('hangs', 2);
$bmw->wait_for_sql('each has failed once', "SELECT count(*) = 20 FROM bm_webhook.delivery WHERE endpoint_id = $fails AND attempts = 1");
$bmw->settle(in_flight => 2);

$bmw->sql("SET ROLE shop_admin; SELECT bm_webhook.delete_endpoint(id) FROM bm_webhook.endpoint WHERE id IN ($fails, $hangs, $unused)");
is($bmw->sql("SELECT string_agg(id::text, ' ' ORDER BY id) FROM bm_webhook.endpoint WHERE deleted_at IS NOT NULL"), "$fails $hangs",
	'those in the log are marked, the other is removed');
is($bmw->sql("SELECT count(*) FROM bm_webhook.endpoint e LEFT JOIN bm_webhook.endpoint_secret s ON s.endpoint_id = e.id
	WHERE e.deleted_at IS NOT NULL AND (url IS NOT NULL OR headers <> '{}' OR s.id IS NOT NULL)"), 0, 'and erased');
$bmw->wait_for_sql('what waited is canceled', "SELECT count(*) >= 38 AND count(*) FILTER (WHERE status = 'pending') = 0
	FROM bm_webhook.delivery WHERE endpoint_id IN ($fails, $hangs)");
$receiver->release('hangs');
$bmw->wait_for_sql('all have ended', "SELECT count(*) = 40 FROM bm_webhook.delivery WHERE endpoint_id IN ($fails, $hangs)");

my $event = $bmw->emit('test.event', application => 'shop');
$bmw->wait_for_delivery($event);
$bmw->settle;
is($bmw->sql("SELECT string_agg(endpoint_id::text, ' ') FROM bm_webhook.delivery WHERE event_id = '$event'"), $stays, 'nothing new is for them');
is($receiver->count('fails', 'requests'), 20, 'nor sent');
is($bmw->sqlstate("SELECT bm_webhook.redeliver(event_id, $fails) FROM bm_webhook.delivery WHERE endpoint_id = $fails LIMIT 1"), '42704',
	'nor sent again');
is($bmw->sql('SET ROLE shop_admin; SELECT count(*) FROM bm_webhook.endpoint'), 2, 'their owner still sees them');

# Whose application is deleted, registers no more.
$bmw->sql(q{SELECT bm_webhook.delete_application('shop')});
is($bmw->sql(q{SET ROLE shop_admin; SELECT deleted_at IS NOT NULL FROM bm_webhook.application}), 't', 'and the application');
is($bmw->sqlstate(q{SET ROLE shop_admin; INSERT INTO bm_webhook.endpoint (url, application) VALUES ('https://shop.example.com/', 'shop')}), '42501',
	'which has no new endpoints');
is($bmw->sqlstate(q{INSERT INTO bm_webhook.application (name) VALUES ('shop')}), '23505', 'and keeps its name');

# A dump keeps the marks.
$bmw->sql('CREATE DATABASE restored');
my $file = PostgreSQL::Test::Utils::tempdir('dump') . '/dump.sql';
$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', $file ], 'a dump');
$node->command_ok([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f', $file ], 'is restored');
my $marks = q{SELECT string_agg(concat_ws(' ', e.id, e.url, e.deleted_at, s.endpoint_id), ', ' ORDER BY e.id)
	FROM bm_webhook.endpoint e LEFT JOIN bm_webhook.endpoint_secret s ON s.endpoint_id = e.id WHERE deleted_at IS NOT NULL};
is($bmw->sql($marks, 'restored'), $bmw->sql($marks), 'with the marks, and without new secrets');

# Who may DELETE removes the row.
$bmw->sql(q{DELETE FROM bm_webhook.endpoint WHERE application = 'shop'; DELETE FROM bm_webhook.application});
is($bmw->sql('SELECT count(*) FROM bm_webhook.endpoint WHERE deleted_at IS NOT NULL'), 0, 'a superuser removes them');

$bmw->finish;

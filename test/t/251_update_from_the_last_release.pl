# From the last release to this version: what only this release has (operations, filters, thin bodies, rotated secrets,
# what was set aside and put back) goes on, what users were granted stays theirs, and the result is,
# catalog by catalog, what CREATE EXTENSION makes.
use strict;
use warnings FATAL => 'all';

use lib 'test/lib';
use BmWebhook;
use BmWebhook::Catalog;
use BmWebhook::Release;
use PostgreSQL::Test::Utils qw(run_command);
use Test::More;

my $release = BmWebhook::Release->new('0.3.0');
my $bmw = BmWebhook->new(conf => "fsync = off\n", install_path => $release->install_path);
my $node = $bmw->node;

is($bmw->sql(q{SELECT extversion FROM pg_extension WHERE extname = 'bm_webhook'}), '0.3.0', 'the release is installed');
$bmw->sql('CREATE DATABASE updated');
$bmw->sql('CREATE EXTENSION bm_webhook', 'updated');
$bmw->sql(q{
	CREATE ROLE shop;
	CREATE ROLE watching;
	INSERT INTO bm_webhook.application (name) VALUES ('shop');
	SELECT bm_webhook.grant_owner('shop', 'shop');
	SELECT bm_webhook.grant_operator('watching');
	GRANT USAGE ON SCHEMA bm_webhook TO shop WITH GRANT OPTION;
	GRANT SELECT ON bm_webhook.event, bm_webhook.operation TO shop WITH GRANT OPTION;
	GRANT EXECUTE ON FUNCTION bm_webhook.redeliver(uuid, bigint) TO shop;
	CREATE TABLE orders (id text PRIMARY KEY, status text NOT NULL);
	SELECT bm_webhook.watch('orders', 'order.{status}', application => 'shop');
});
my $filtered = $bmw->endpoint('/ok/filtered', event_types => '{order.*}', application => 'shop',
	filter => '$.data.id starts with "late"');
my $thin = $bmw->endpoint('/ok/thin', event_types => '{order.*}', application => 'shop', payload => 'thin');
my $failed = $bmw->endpoint('/status/500/failed', event_types => '{order.*}', application => 'shop', retry_delays => '{}');
my $unused = $bmw->endpoint('/ok/unused', event_types => '{unused.*}', application => 'shop');
$bmw->sql("SELECT bm_webhook.rotate_secret($thin, '1 h')");
$bmw->share_secrets($thin, 'thin');
$bmw->sql(q{INSERT INTO orders SELECT i, 'made' FROM generate_series(1, 5) i});
$bmw->wait_for_sql('all was tried', "SELECT count(*) = 5 FROM bm_webhook.delivery WHERE endpoint_id = $failed AND status = 'failed'");
$bmw->wait_for_requests('thin', 5);
$bmw->sql("SELECT bm_webhook.pause($thin)");
$bmw->sql(q{INSERT INTO orders SELECT 'late ' || i, 'made' FROM generate_series(1, 5) i});
$bmw->wait_for_requests('filtered', 5);

###############################################################################
# New files, restart, and an operation that was asked for before the update
###############################################################################

$release->replace;
is($bmw->sqlstate('ALTER EXTENSION bm_webhook UPDATE'), '55000', 'without restart there is no update');
$node->restart;
$bmw->wait_for_sql('it is outdated', q{SELECT bool_and(state = 'outdated') FROM bm_webhook.status()});
$bmw->sql("UPDATE bm_webhook.endpoint SET url = '" . $bmw->receiver->url('/ok/failed') . "' WHERE id = $failed");
$bmw->sql("SELECT bm_webhook.redeliver($failed, since => '-infinity')");
$bmw->sql("SELECT bm_webhook.delete_endpoint($unused)");
$bmw->sql(q{INSERT INTO orders VALUES ('late outdated', 'made')});
$bmw->sql('ALTER EXTENSION bm_webhook UPDATE');
my ($version) = PostgreSQL::Test::Utils::slurp_file('bm_webhook.control') =~ /default_version = '(.*)'/;
is($bmw->sql(q{SELECT extversion FROM pg_extension WHERE extname = 'bm_webhook'}), $version, 'it has the version of the library');
$bmw->sql("SELECT bm_webhook.resume($thin)");
$bmw->sql(q{INSERT INTO orders VALUES ('after', 'made')});
$bmw->wait_for_sql('all has ended', q{SELECT count(*) = 0 FROM bm_webhook.delivery WHERE status = 'pending'})
	and $bmw->wait_for_sql('and been taken', 'SELECT sum(not_taken) = 0 FROM bm_webhook.backlog');
$bmw->wait_for_requests('failed', 12);
$bmw->settle;
$bmw->arrived_exactly_once('filtered', q{SELECT id FROM bm_webhook.event WHERE message_id LIKE 'late%' AND type LIKE 'order.%'},
	'the filter goes on');
$bmw->arrived_exactly_once('thin', q{SELECT id FROM bm_webhook.event WHERE type LIKE 'order.%'}, 'what waited for a paused endpoint arrived');
$bmw->arrived_exactly_once('failed', q{SELECT id FROM bm_webhook.event WHERE type LIKE 'order.%'}, 'what was asked for was sent again');

###############################################################################
# What users were granted, and what the catalogs say
###############################################################################

is($bmw->sql(q{SELECT bool_and(has_table_privilege('shop', 'bm_webhook.' || t, 'SELECT WITH GRANT OPTION'))
	FROM unnest('{event,operation}'::text[]) t}), 't', 'grants stay');
my ($dump) = run_command([ 'pg_dump', '-d', $node->connstr('postgres') ]);
like($dump, qr/GRANT SELECT ON TABLE bm_webhook\.$_ TO shop WITH GRANT OPTION/, "also in a dump: $_") for qw(event operation);
like($dump, qr/GRANT .*ON FUNCTION bm_webhook\.redeliver\(event uuid, endpoint bigint\) TO shop/, 'what the update grants on, too');
like($dump, qr/GRANT USAGE ON SCHEMA bm_webhook TO shop WITH GRANT OPTION/, 'and the schema');
$bmw->sql('CREATE DATABASE fresh');
$bmw->sql('CREATE EXTENSION bm_webhook', 'fresh');
$bmw->sql('ALTER EXTENSION bm_webhook UPDATE', 'updated');
my ($fresh, $updated) = map { catalog($bmw, $_) } qw(fresh updated);
is(differences($fresh, $updated), '', 'updated is the same as newly installed (-: only when newly installed, +: only when updated)');
$bmw->finish(expected => qr/extension "bm_webhook" has version 0\.3\.0, its library/);

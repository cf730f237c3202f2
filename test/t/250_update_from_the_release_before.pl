# From release 0.2.0 to this version: new files, restart, ALTER EXTENSION UPDATE.
# What waits arrives, once, what happens meanwhile too; watches go on; what users
# were granted stays theirs, also in a dump; no table is rewritten; and the result
# is, catalog by catalog, what CREATE EXTENSION makes.
use strict;
use warnings FATAL => 'all';

use lib 'test/lib';
use BmWebhook;
use BmWebhook::Catalog;
use BmWebhook::Release;
use PostgreSQL::Test::Utils qw(run_command);
use Test::More;

my $release = BmWebhook::Release->new('0.2.0');
my $bmw = BmWebhook->new(conf => "fsync = off\n", install_path => $release->install_path);
my $node = $bmw->node;

is($bmw->sql(q{SELECT extversion FROM pg_extension WHERE extname = 'bm_webhook'}), '0.2.0', 'the release is installed');
$bmw->sql('CREATE DATABASE updated');
$bmw->sql('CREATE EXTENSION bm_webhook', 'updated');

###############################################################################
# What a database that is in use has
###############################################################################

$bmw->sql(q{
	CREATE ROLE app;
	CREATE ROLE "Tenant 1";
	GRANT USAGE ON SCHEMA bm_webhook TO app, "Tenant 1";
	GRANT EXECUTE ON FUNCTION bm_webhook.watch, bm_webhook.unwatch TO app WITH GRANT OPTION;
	GRANT EXECUTE ON FUNCTION bm_webhook.emit, bm_webhook.delete_endpoint TO app, "Tenant 1";
	GRANT EXECUTE ON FUNCTION bm_webhook.watch TO "Tenant 1";
	CREATE ROLE leaving;
	GRANT EXECUTE ON FUNCTION bm_webhook.watch, bm_webhook_internal.wants TO leaving;
	GRANT SELECT ON bm_webhook.redelivery TO leaving;
	GRANT SELECT ON bm_webhook.redelivery, bm_webhook.watch_list, bm_webhook.backlog, bm_webhook.event, bm_webhook.delivery TO app;
	GRANT SELECT, INSERT, UPDATE ON bm_webhook.application, bm_webhook.endpoint TO "Tenant 1";
	CREATE VIEW backlog_of_mine AS SELECT endpoint_id, not_taken FROM bm_webhook.backlog;
	CREATE VIEW watches_of_mine AS SELECT * FROM bm_webhook.watch_list;
	CREATE ROLE gone;
	INSERT INTO bm_webhook.application (name, owner) VALUES ('shop', 'Tenant 1'), ('other', 'app'), ('of nobody', 'gone');
	DROP ROLE gone;
	INSERT INTO bm_webhook.event_type (name, description) VALUES ('order.made', 'our own');
	INSERT INTO bm_webhook.status_map (provider, provider_status, status) VALUES ('twilio', 'sent', 'delivered');
	CREATE TABLE orders (id text PRIMARY KEY, status text NOT NULL);
	SELECT bm_webhook.watch('orders', 'order.{status}', application => 'shop');
	CREATE TABLE sms (id text PRIMARY KEY, recipient text, sender text, content text, status text NOT NULL);
	SELECT bm_webhook.watch_messages('sms', application => 'shop', channel => 'sms');
	CREATE TABLE reply (id text PRIMARY KEY, recipient text, sender text, content text, channel text DEFAULT 'sms');
	SELECT bm_webhook.watch_replies('reply', application => 'shop');
});
$bmw->endpoint('/ok/all', event_types => '{order.*,message.*}', application => 'shop');
my $chain = $bmw->endpoint('/status/503/chain', event_types => '{message.*}', application => 'shop', ordering => 'by_message',
	retry_delays => '{100 ms,1 h}');
my $failing = $bmw->endpoint('/status/500/failed', event_types => '{order.*}', retry_delays => '{}');
my $off = $bmw->endpoint('/ok/off', event_types => '{order.*}', enabled => 'false');
my $extra = $bmw->sql("INSERT INTO bm_webhook.endpoint_secret (endpoint_id, secret) VALUES ($chain, "
	. 'bm_webhook_internal.random_secret()) RETURNING secret');
$bmw->share_secrets($chain, 'chain');

change('before');
$bmw->wait_for_requests('all', 4);
$bmw->wait_for_sql('one has failed, one waits for its next attempt and one behind it', "SELECT
	(SELECT count(*) = 1 FROM bm_webhook.delivery WHERE endpoint_id = $failing AND status = 'failed')
	AND (SELECT count(*) = 2 FROM bm_webhook.delivery WHERE endpoint_id = $chain AND status = 'pending' AND attempts = 2)");
$bmw->sql("BEGIN; INSERT INTO orders VALUES ('o-prepared', 'made'); PREPARE TRANSACTION 'made before'");
$bmw->set('bm_webhook.enabled', 'off');
$bmw->wait_for_sql('nothing is sent', q{SELECT bool_and(reason LIKE 'bm_webhook.enabled is off%') FROM bm_webhook.status()});
change('waiting');

###############################################################################
# New files while the server of before runs: it goes on, and is not updated
###############################################################################

$release->replace;
is($bmw->sqlstate('ALTER EXTENSION bm_webhook UPDATE'), '55000', 'without restart there is no update');
my (undef, undef, $stderr) = $node->psql('postgres', 'ALTER EXTENSION bm_webhook UPDATE');
like($stderr, qr/HINT:.*Restart the server/, 'a hint says so');
$bmw->set('bm_webhook.enabled', 'on');
$bmw->wait_for_requests('all', 8);
change('new files');
$bmw->wait_for_requests('all', 12);
pass('delivery goes on');

###############################################################################
# Restart: events are captured, and wait
###############################################################################

my $requests = $bmw->receiver->count('all', 'requests');
$node->restart;
$bmw->wait_for_sql('it is outdated', q{SELECT bool_and(state = 'outdated') AND count(*) = 2 FROM bm_webhook.status()});
like($bmw->status('reason'), qr/ALTER EXTENSION bm_webhook UPDATE/, 'status() says what to do');
is($bmw->sql(q{SELECT count(*) > 30 FROM (SELECT fmgr_c_validator(p.oid) FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
	WHERE l.lanname = 'c' AND p.pronamespace::regnamespace::text ~ '^bm_webhook' OFFSET 0) f}), 't',
	'the library has every function of the release: pg_upgrade needs them');
change('outdated');
my $registered = $bmw->sql("INSERT INTO bm_webhook.endpoint (url, application, event_types) VALUES ('"
	. $bmw->receiver->url('/ok/late') . "', 'shop', '{order.*}') RETURNING id");
$bmw->share_secrets($registered, 'late');
$bmw->sql("UPDATE bm_webhook.endpoint SET description = 'changed' WHERE id = $chain");
$bmw->sql(q{UPDATE bm_webhook.application SET description = 'changed' WHERE name = 'other'});
$bmw->sql(q{CREATE TABLE late (id text PRIMARY KEY); SELECT bm_webhook.watch('late', 'order.late', application => 'shop');
	INSERT INTO late VALUES ('l-1')});
is($bmw->sql("SELECT bm_webhook.delete_endpoint($off)"), '', 'endpoints can be registered, changed and deleted');
is($bmw->receiver->count('all', 'requests'), $requests, 'nothing is sent');
my $session = $bmw->session;
$session->query_safe("INSERT INTO orders VALUES ('o-session-1', 'made'); UPDATE bm_webhook.endpoint SET description = 'changed again'");

###############################################################################
# The update
###############################################################################

my $deliveries = $bmw->sql(q{SELECT max(oid::regclass::text) FROM pg_class WHERE relname ~ '^delivery_\d+$'});
$bmw->sql("CREATE INDEX CONCURRENTLY made_before ON $deliveries (endpoint_id, event_id) WHERE status = 'pending'");
my $events = $bmw->sql(q{SELECT max(oid::regclass::text) FROM pg_class WHERE relname ~ '^event_\d+$'});
$bmw->sql("CREATE INDEX CONCURRENTLY ON $events (message_id, application, id) WHERE message_id IS NOT NULL");
is($bmw->sqlstate(q{SET lock_timeout = '100ms'; ALTER EXTENSION bm_webhook UPDATE}), '55P03', 'it waits for who has captured, if wanted not for long');
is($bmw->sql(q{SELECT extversion FROM pg_extension WHERE extname = 'bm_webhook'}), '0.2.0', 'and then nothing has changed');
$bmw->sql(q{COMMIT PREPARED 'made before'});
my $files = files();
delete @{$files}{ grep { /^bm_webhook\.application|message_id_id_idx$|event_message_id_idx$/ } keys %$files };
is($bmw->sql(q{BEGIN; ALTER EXTENSION bm_webhook UPDATE;
	SELECT coalesce(sum(seq_scan), 0) FROM pg_stat_xact_all_tables WHERE relname ~ '^failed_attempt_(\d+|default)$' OR relid = '} . $events . q{'::regclass; COMMIT}),
	0, 'the log is not read, but for two indexes, if they were not made before');
my ($version) = PostgreSQL::Test::Utils::slurp_file('bm_webhook.control') =~ /default_version = '(.*)'/;
is($bmw->sql(q{SELECT extversion FROM pg_extension WHERE extname = 'bm_webhook'}), $version, 'it has the version of the library');
is_deeply(kept(files(), $files), $files, 'but for applications and the index on messages, no table and no index was rewritten');
is($bmw->sql("SELECT count(*) FROM pg_index WHERE indrelid = '$deliveries'::regclass AND pg_get_indexdef(indexrelid) ~ 'event_id. WHERE .*pending'"),
	1, 'an index that was made before is used');
is($bmw->sql("SELECT count(*) FROM pg_index WHERE indrelid = '$events'::regclass AND pg_get_indexdef(indexrelid) ~ 'message_id'"), 1, 'and that on messages is the only one');
$bmw->wait_for_sql('it runs', q{SELECT bool_or(state = 'running' AND database = current_database()) FROM bm_webhook.status()});
$bmw->sql(q{INSERT INTO late VALUES ('l-2')});
change('after');
is($bmw->sql(q{SELECT (SELECT sum(pending) FROM bm_webhook_internal.pending) - count(*) FROM bm_webhook.delivery WHERE status = 'pending'}), 0,
	'what waits has been counted');
$session->query_safe("INSERT INTO orders VALUES ('o-session-2', 'made'); UPDATE bm_webhook.endpoint SET url = '"
	. $bmw->receiver->url('/ok/failed') . "' WHERE id = $failing");
$bmw->wait_for_sql('what can be tried has been tried', "SELECT sum(not_taken) = 0 FROM bm_webhook.backlog") and
	$bmw->wait_for_sql('and waits', "SELECT count(*) = 0 FROM bm_webhook.delivery WHERE endpoint_id = $chain AND status = 'pending'
		AND attempts < 2 AND next_attempt_at < 'infinity'");
$bmw->sql("UPDATE bm_webhook.endpoint SET url = '" . $bmw->receiver->url('/ok/chain') . "' WHERE id = $chain");
$bmw->sql("UPDATE bm_webhook.delivery SET next_attempt_at = now() WHERE next_attempt_at < 'infinity'");
$bmw->wait_for_sql('all has ended', q{SELECT count(*) = 0 FROM bm_webhook.delivery WHERE status = 'pending'});
$bmw->settle;
$bmw->arrived_exactly_once('all', q{SELECT id FROM bm_webhook.event WHERE type ~ '^(order|message)'},
	'everything arrived, once: sent before, waiting, captured meanwhile, prepared, and after');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.event WHERE type ~ '^(order|message)'}), 25, 'which is what was written');
$bmw->arrived_exactly_once('chain', q{SELECT id FROM bm_webhook.event WHERE type LIKE 'message.%'}, 'what had failed and waited, too');
$bmw->sql("SELECT bm_webhook.redeliver(event_id, endpoint_id) FROM bm_webhook.delivery WHERE status = 'failed'");
$bmw->sql("SELECT bm_webhook.wait_for_delivery(event_id, '60 s') FROM bm_webhook.redelivery");
$bmw->arrived_exactly_once('failed', q{SELECT id FROM bm_webhook.event WHERE type LIKE 'order.%'},
	'what had failed, after a change by a session that was there before the update');
$session->quit;
$bmw->arrived_exactly_once('late', "SELECT e.id FROM bm_webhook.event e, bm_webhook.endpoint p WHERE p.id = $registered
	AND e.type LIKE 'order.%' AND e.created_at >= p.created_at", 'what came for an endpoint of meanwhile');
is($bmw->sql("SELECT count(*) FROM (SELECT d.last_attempt_at, lag(d.last_attempt_at) OVER (PARTITION BY e.message_id ORDER BY e.id)
	AS before FROM bm_webhook.delivery d JOIN bm_webhook.event e ON e.id = d.event_id WHERE d.endpoint_id = $chain) a
	WHERE last_attempt_at < before"), 0, 'in order');

###############################################################################
# What users were granted
###############################################################################

is($bmw->sql(q{SELECT count(*) FILTER (WHERE has_function_privilege('app', f, 'EXECUTE WITH GRANT OPTION')),
		count(*) FILTER (WHERE has_function_privilege('Tenant 1', f, 'EXECUTE'))
	FROM pg_proc p, LATERAL (SELECT p.oid) o (f) WHERE p.pronamespace = 'bm_webhook'::regnamespace AND proname IN ('watch', 'unwatch')}),
	'2|1', 'they may call what they could call');
is($bmw->sql(q{SELECT bool_and(has_table_privilege('app', 'bm_webhook.' || t, 'SELECT')) AND has_table_privilege('Tenant 1', 'bm_webhook.endpoint', 'INSERT')
	FROM unnest('{redelivery,watch_list,backlog,event,delivery}'::text[]) t}), 't', 'and read and write what they could');
is($bmw->sql(q{SELECT string_agg(concat_ws(' ', name, owner), ', ' ORDER BY name) FROM bm_webhook.application}),
	'of nobody -, other app, shop "Tenant 1"', 'applications belong to whom they belonged to');
is($bmw->sql(q{SET ROLE app; SELECT count(*) > 30 FROM bm_webhook.event}), 't', 'who could read the whole log can');
is($bmw->sql('SELECT count(*) FROM watches_of_mine, backlog_of_mine LIMIT 1') > 0, 1, 'their views are there');
my ($dump) = run_command([ 'pg_dump', '-d', $node->connstr('postgres') ]);
like($dump, qr/GRANT .*ON FUNCTION bm_webhook\.watch\(.* TO app WITH GRANT OPTION/, 'a dump has grants on what was replaced');
like($dump, qr/GRANT .*ON FUNCTION bm_webhook\.watch\(.* TO "Tenant 1"/, 'of each');
like($dump, qr/GRANT SELECT ON TABLE bm_webhook\.redelivery TO app/, 'and on what the extension itself got a grant on');
unlike($dump, qr/(GRANT|REVOKE) .* bm_webhook\.redelivery (TO|FROM) (?!app|leaving)/, 'and no others');
is($bmw->sql(q{REVOKE ALL ON FUNCTION bm_webhook.watch, bm_webhook_internal.wants FROM leaving;
	REVOKE ALL ON bm_webhook.redelivery FROM leaving; DROP ROLE leaving}), '', 'a role that has lost its grants can be dropped');
is($bmw->sql(q{SELECT status FROM bm_webhook.status_map WHERE provider = 'twilio' AND provider_status = 'sent'}), 'delivered',
	'rows that users have changed stay theirs');

###############################################################################
# What the catalogs say
###############################################################################

$bmw->sql('ALTER EXTENSION bm_webhook UPDATE', 'updated');
$bmw->sql('CREATE DATABASE fresh');
$bmw->sql('CREATE EXTENSION bm_webhook', 'fresh');
my ($fresh, $updated) = map { catalog($bmw, $_) } qw(fresh updated);
cmp_ok($fresh =~ tr/\n//, '>', 1000, 'there is much to compare');
is(differences($fresh, $updated), '', 'updated is the same as newly installed (-: only when newly installed, +: only when updated)');
$bmw->sql(q{DROP VIEW backlog_of_mine, watches_of_mine; DROP EXTENSION bm_webhook CASCADE});
is($bmw->sql(q{SELECT count(*) FROM pg_namespace WHERE nspname ~ '^bm_webhook'}), 0, 'it can be dropped');
$bmw->finish(expected => qr/extension "bm_webhook" has version 0\.2\.0, its library/);

# What users write at each stage: four events.
sub change
{
	my ($stage) = @_;
	my $id = $stage =~ s/ /-/r;
	$bmw->sql("INSERT INTO orders VALUES ('o-$id', 'made');
		INSERT INTO sms VALUES ('m-$id', '+33612345678', '+33123456789', 'Hello', 'accepted');
		UPDATE sms SET status = 'sent' WHERE id = 'm-$id';
		INSERT INTO reply VALUES ('r-$id', '+33123456789', '+33612345678', 'Thanks')");
	return;
}

# table or index => its file
sub files
{
	return { map { split /\|/ } split /\n/, $bmw->sql(q{SELECT oid::regclass, pg_relation_filenode(oid) FROM pg_class
		WHERE relnamespace IN ('bm_webhook'::regnamespace, 'bm_webhook_internal'::regnamespace) AND relkind IN ('r', 'i')}) };
}

sub kept
{
	my ($is, $was) = @_;
	return { map { $_ => $is->{$_} } grep { $is->{$_} } keys %$was };
}

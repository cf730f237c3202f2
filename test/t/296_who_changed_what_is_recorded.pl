# Who creates, changes and deletes endpoints, applications and secrets is recorded in `operation`, once for a statement: who it
# was, what, and of a change the names of the columns. What a dump restores, what is replicated and what dispatchers do is not.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use PostgreSQL::Test::Utils qw(run_command);
use Test::More;

my $bmw = BmWebhook->new;
my $node = $bmw->node;
my $admin = $bmw->sql('SELECT session_user');
my $seen = 0;

# What has been recorded since the last time.
sub recorded
{
	my ($expected, $name) = @_;
	is($bmw->sql(qq{SELECT concat_ws(' ', kind, coalesce(application, '-'), matched, array_to_string(changed_columns, ','), asked_by || '/' || acting_as)
		FROM bm_webhook.operation WHERE id > $seen ORDER BY id}), $expected, $name);
	is($bmw->sql("SELECT count(*) FROM bm_webhook.operation WHERE id > $seen AND kind ~ '^(create|change|delete)_' AND (ended_at IS NULL OR done <> matched)"), 0, 'and has ended');
	$seen = $bmw->sql('SELECT coalesce(max(id), 0) FROM bm_webhook.operation');
	return;
}

sub as_shop
{
	my ($sql) = @_;
	return $bmw->sql("SET SESSION AUTHORIZATION shop; $sql");
}

###############################################################################
# One by one
###############################################################################

$bmw->sql(q{CREATE ROLE shop; CREATE ROLE bank; CREATE ROLE watching; CREATE ROLE deputy; CREATE ROLE support IN ROLE shop});
$bmw->sql(q{INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('bank')});
recorded("create_application bank 1 $admin/$admin\ncreate_application shop 1 $admin/$admin", 'applications are made');
$bmw->sql(q{SELECT bm_webhook.grant_owner('shop', 'shop'), bm_webhook.grant_owner('bank', 'bank'), bm_webhook.grant_operator('watching')});
recorded("change_application shop 1 owner $admin/$admin\nchange_application bank 1 owner $admin/$admin", 'and given away');
$bmw->sql(q{UPDATE bm_webhook.application SET max_endpoints = 10, max_emit_rate = 7 WHERE name = 'bank'});
recorded("change_application bank 1 max_endpoints,max_emit_rate $admin/$admin", 'limits are set');
$bmw->sql(q{UPDATE bm_webhook.application SET max_endpoints = NULL, max_emit_rate = NULL WHERE name = 'bank'});
recorded("change_application bank 1 max_endpoints,max_emit_rate $admin/$admin", 'and taken away');

my $endpoint = as_shop(q{INSERT INTO bm_webhook.endpoint (application, url, headers) VALUES ('shop', 'https://example.com/token?key=word', '{"x-key": "value"}') RETURNING id});
recorded('create_endpoint shop 1 shop/shop', 'an endpoint is registered by its owner, with its first secret');
is($bmw->sql("SELECT count(*) FROM bm_webhook.endpoint_secret WHERE endpoint_id = $endpoint"), 1, 'which it has');
is($bmw->sql('SELECT endpoint_id FROM bm_webhook.operation ORDER BY id DESC LIMIT 1'), $endpoint, 'it is this one');
as_shop(qq{UPDATE bm_webhook.endpoint SET url = 'https://example.com/token?key=else', headers = '{"x-key": "other value"}', enabled = true WHERE id = $endpoint});
recorded('change_endpoint shop 1 url,headers shop/shop', 'of a change the columns that differ');
$bmw->sql("SET ROLE support; UPDATE bm_webhook.endpoint SET ttl = '1 h' WHERE id = $endpoint");
recorded("change_endpoint shop 1 ttl $admin/support", 'as whom it was done');
$bmw->sql(qq{CREATE FUNCTION describe(text) RETURNS void LANGUAGE sql SECURITY DEFINER AS 'UPDATE bm_webhook.endpoint SET description = \$1 WHERE id = $endpoint';
	GRANT shop TO deputy; ALTER FUNCTION describe OWNER TO deputy});
as_shop("SELECT describe('tills')");
recorded('change_endpoint shop 1 description shop/deputy', 'and for whom');
as_shop("UPDATE bm_webhook.endpoint SET description = 'tills', ttl = '60 min' WHERE id = $endpoint");
recorded('', 'what is as it was is no change');
as_shop("UPDATE bm_webhook.endpoint SET description = 'x' WHERE id = -1");
recorded('', 'nor is nothing');
$bmw->sql("BEGIN; UPDATE bm_webhook.endpoint SET description = 'undone' WHERE id = $endpoint; ROLLBACK");
recorded('', 'nor what is undone');

as_shop("INSERT INTO bm_webhook.endpoint_secret (endpoint_id) VALUES ($endpoint)");
recorded('create_secret shop 1 shop/shop', 'a secret is made');
my ($first, $second) = split /\n/, $bmw->sql("SELECT id FROM bm_webhook.endpoint_secret WHERE endpoint_id = $endpoint ORDER BY id");
$bmw->sql("UPDATE bm_webhook.endpoint_secret SET expires_at = now() + interval '1 day' WHERE id = $first");
recorded("change_secret shop 1 expires_at $admin/$admin", 'expires');
as_shop("SELECT bm_webhook.delete_secret($first)");
recorded('delete_secret shop 1 shop/shop', 'is deleted');
$bmw->sql("DELETE FROM bm_webhook.endpoint_secret WHERE id = $second");
recorded("delete_secret shop 1 $admin/$admin", 'another by an administrator');
is($bmw->sql("SELECT array_agg(DISTINCT endpoint_id) FROM bm_webhook.operation WHERE kind ~ '_secret\$'"), "{$endpoint}", 'all of them of this endpoint');

# What has a row of its own has no second one.
as_shop("SELECT bm_webhook.rotate_secret($endpoint); SELECT bm_webhook.rotate_secret($endpoint, '1 h'); SELECT bm_webhook.secret($endpoint)");
recorded("rotate_secret shop 0 shop/shop\nrotate_secret shop 1 shop/shop\nshow_secret shop 1 shop/shop", 'secrets are rotated and shown');
as_shop("SELECT bm_webhook.pause($endpoint, reason => 'tea'); SELECT bm_webhook.resume($endpoint)");
$bmw->sql("SELECT bm_webhook.pause(application => 'shop'); SELECT bm_webhook.resume(application => 'shop')");
recorded("pause - 1 shop/shop\nresume - 1 shop/shop\npause shop 1 $admin/$admin\nresume shop 1 $admin/$admin", 'pauses');
unlike($bmw->sql("SELECT string_agg(o::text, ' ') FROM bm_webhook.operation o"), qr/token|word|else|value|x-key|whsec|tills/, 'no value is in the record');

as_shop("SELECT bm_webhook.delete_endpoint($endpoint)");
recorded('delete_endpoint shop 1 shop/shop', 'an endpoint is deleted, with its secrets');
is($bmw->sql('SELECT endpoint_id FROM bm_webhook.operation ORDER BY id DESC LIMIT 1'), $endpoint, 'it is this one');

###############################################################################
# What dispatchers do
###############################################################################

my $gone = $bmw->endpoint('/status/410/gone', application => 'shop', event_types => '{order.*}');
my $late = $bmw->endpoint('/ok/late', event_types => '{order.*}', enabled => 'off');
my $event = $bmw->emit('order.paid', application => 'shop');
$bmw->wait_for_sql('the dispatcher disables an endpoint that is gone', "SELECT NOT enabled FROM bm_webhook.endpoint WHERE id = $gone");
$bmw->sql("UPDATE bm_webhook.endpoint SET enabled = true WHERE id = $late");
is($bmw->sql("SELECT matched FROM bm_webhook.recover($late, '-infinity')"), 1, 'another recovers what it missed');
$bmw->wait_for_requests('late', 1);
$bmw->sql("UPDATE bm_webhook.endpoint_secret SET expires_at = now() WHERE endpoint_id = $gone");
$bmw->wait_for_sql('an expired secret is removed', "SELECT count(*) = 0 FROM bm_webhook.endpoint_secret WHERE endpoint_id = $gone");
recorded("create_endpoint shop 1 $admin/$admin\ncreate_endpoint - 1 $admin/$admin\nchange_endpoint - 1 enabled $admin/$admin\nrecover - 1 $admin/$admin\nchange_secret shop 1 expires_at $admin/$admin",
	'what people did is recorded, and nothing else');

# With a log, the row is marked and goes later.
as_shop("SELECT bm_webhook.delete_endpoint($gone)");
is($bmw->sql("SELECT deleted_at IS NOT NULL FROM bm_webhook.endpoint WHERE id = $gone"), 't', 'an endpoint with a log is deleted');
$bmw->sql("DELETE FROM bm_webhook.endpoint WHERE id = $gone");
recorded('delete_endpoint shop 1 shop/shop', 'once');

###############################################################################
# Many at once
###############################################################################

my $rows = 3000;
$bmw->sql(q{UPDATE bm_webhook.application SET max_endpoints = NULL});
$seen = $bmw->sql('SELECT max(id) FROM bm_webhook.operation');
$bmw->sql(qq{INSERT INTO bm_webhook.endpoint (application, url, enabled) SELECT CASE n % 3 WHEN 0 THEN 'shop' WHEN 1 THEN 'bank' END, 'https://example.com/' || n, false
	FROM generate_series(1, $rows) n});
recorded(join("\n", map { "create_endpoint $_ " . $rows / 3 . " $admin/$admin" } qw(bank shop -)), 'many are made: a row for each application');
is($bmw->sql('SELECT count(endpoint_id) FROM bm_webhook.operation WHERE matched > 1'), 0, 'which names none of them');
$bmw->sql(q{UPDATE bm_webhook.endpoint SET rate_limit = CASE WHEN application = 'bank' AND id % 2 = 0 THEN 5 END,
	description = CASE WHEN application = 'shop' THEN 'x' END WHERE url ~ '^https://example.com/'});
recorded("change_endpoint bank " . $rows / 6 . " rate_limit $admin/$admin\nchange_endpoint shop " . $rows / 3 . " description $admin/$admin",
	'many are changed: the columns of each application');
is($bmw->sql(q{WITH c AS (UPDATE bm_webhook.endpoint SET enabled = false WHERE NOT enabled RETURNING 1) SELECT count(*) FROM c}), $rows, 'all are written');
recorded('', 'as they are');
$bmw->sql(q{UPDATE bm_webhook.endpoint_secret SET expires_at = now() + interval '1 day' WHERE endpoint_id IN (SELECT id FROM bm_webhook.endpoint WHERE application = 'bank')});
recorded('change_secret bank ' . $rows / 3 . " expires_at $admin/$admin", 'their secrets');
$bmw->sql(q{DELETE FROM bm_webhook.endpoint WHERE url ~ '^https://example.com/' AND application IS DISTINCT FROM 'bank'});
recorded(join("\n", map { "delete_endpoint $_ " . $rows / 3 . " $admin/$admin" } qw(shop -)), 'many are deleted: their secrets go with them');
$bmw->sql(q{DELETE FROM bm_webhook.endpoint WHERE application = 'bank' AND id <> (SELECT min(id) FROM bm_webhook.endpoint WHERE application = 'bank')});
$seen = $bmw->sql('SELECT max(id) FROM bm_webhook.operation');
$bmw->sql(q{INSERT INTO bm_webhook.endpoint (application, url) VALUES ('bank', 'https://example.com/more')});
$bmw->sql(q{SELECT bm_webhook.delete_application('bank')});
recorded("create_endpoint bank 1 $admin/$admin\n" . "delete_endpoint bank 1 $admin/$admin\n" x 2 . "delete_application bank 1 $admin/$admin", 'an application is deleted with its endpoints');

###############################################################################
# Who sees it
###############################################################################

is(as_shop(q{SELECT count(*) > 10, bool_and(application = 'shop') FROM bm_webhook.operation}), 't|t', 'an owner sees what was done to its own');
is($bmw->sql('SET ROLE watching; SELECT count(*) FROM bm_webhook.operation'), $bmw->sql('SELECT count(*) FROM bm_webhook.operation'), 'an operator all');
is($bmw->sqlstate("SET ROLE $_; SELECT bm_webhook_internal.note_changes('endpoint', '{1}', '{shop}', '{0}', NULL, 'me')"), '42501', "$_ writes no record")
	for qw(shop watching);

###############################################################################
# What was not done here
###############################################################################

my $kept = as_shop(q{INSERT INTO bm_webhook.endpoint (application, url) VALUES ('shop', 'https://example.com/kept') RETURNING id});
my $directory = PostgreSQL::Test::Utils::tempdir('dump');
$bmw->set('bm_webhook.enabled', 'off');
$bmw->sql("CREATE DATABASE $_ TEMPLATE template0") for qw(restored parallel inserted);
$node->command_ok([ 'pg_dump', '-Fd', '-f', "$directory/dump", 'postgres' ], 'pg_dump');
$node->command_ok([ 'pg_dump', '--inserts', '-f', "$directory/dump.sql", 'postgres' ], 'pg_dump of statements');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', 'restored', "$directory/dump" ], 'pg_restore');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-j', 2, '-d', 'parallel', "$directory/dump" ], 'in parallel');
$node->command_ok([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-f', "$directory/dump.sql", 'inserted' ], 'by statements');
for my $database (qw(restored parallel inserted))
{
	is($bmw->sql("SELECT count(*) FROM bm_webhook.endpoint p JOIN bm_webhook.endpoint_secret s ON s.endpoint_id = p.id WHERE p.id = $kept", $database), 1, "$database has its endpoints");
	is($bmw->sql('SELECT count(*) FROM bm_webhook.operation', $database), 0, 'and nothing is recorded of that');
	$bmw->sql("UPDATE bm_webhook.endpoint SET ttl = '1 h' WHERE id = $kept", $database);
	is($bmw->sql("SELECT kind, changed_columns FROM bm_webhook.operation WHERE endpoint_id = $kept", $database), 'change_endpoint|{ttl}', 'a change there is');
}
$seen = $bmw->sql('SELECT max(id) FROM bm_webhook.operation');
$bmw->sql(qq{SET session_replication_role = replica; UPDATE bm_webhook.endpoint SET ttl = '2 h' WHERE id = $kept;
	INSERT INTO bm_webhook.endpoint (url, application) VALUES ('https://example.com/replicated', 'shop')});
recorded('', 'what is replicated is recorded where it was done');

$bmw->finish;

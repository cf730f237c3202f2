# What an administrator who is no superuser, an operator, a member of pg_monitor, a writer and an owner try, beyond what
# they may: all that they can read and call is read and called, and has nothing in it that is not theirs; and a table of
# attempts, with the SQLSTATE of each.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils;
use Test::More;

my $bmw = BmWebhook->new;
my $dir = PostgreSQL::Test::Utils::tempdir('keys');
append_to_file("$dir/keys", 'k1:' . encode_base64('k' x 32, '') . "\n");
chmod 0600, "$dir/keys" or die "chmod: $!";
$bmw->set('bm_webhook.secret_key_file', "$dir/keys");
$bmw->wait_for_sql('there is a key', q{SELECT bm_webhook_internal.secret_key() = 'k1'});

###############################################################################
# Two applications, of which one has what nobody else may see, and everybody
###############################################################################

$bmw->sql(q{
	CREATE ROLE dba BYPASSRLS; CREATE ROLE operator; CREATE ROLE spy IN ROLE pg_monitor; CREATE ROLE writer; CREATE ROLE tenant; CREATE ROLE shop;
	INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('bank');
	SELECT bm_webhook.grant_operator('operator'), bm_webhook.grant_writer('writer'), bm_webhook.grant_owner('bank', 'tenant'), bm_webhook.grant_owner('shop', 'shop');
	GRANT USAGE ON SCHEMA bm_webhook, bm_webhook_internal TO dba;
	GRANT ALL ON ALL TABLES IN SCHEMA bm_webhook TO dba;
	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA bm_webhook TO dba;
	CREATE SCHEMA mine; GRANT ALL ON SCHEMA mine TO dba, operator, spy, writer, tenant; GRANT USAGE ON SCHEMA mine TO PUBLIC;
	CREATE TABLE mine.loot (who text, what text); GRANT ALL ON mine.loot TO PUBLIC});
system_or_bail('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=client', '-keyout', "$dir/key", '-out', "$dir/crt");
my %id = map { $_ => $bmw->endpoint("/status/500/$_?key=HIDDEN-$_", application => $_, event_types => '{order.*}', retry_delays => '{}', channel => 'sms',
		description => "HIDDEN-$_", metadata => qq({"a": "HIDDEN-$_"}), headers => qq({"authorization": "HEADER-$_"})) } qw(shop bank);
$bmw->sql("INSERT INTO bm_webhook.endpoint_secret (endpoint_id, kind, secret) VALUES ($id{shop}, 'client_certificate', " . quote(slurp_file("$dir/crt") . slurp_file("$dir/key")) . ')');
my %event = map { $_ => $bmw->emit('order.paid', application => $_, channel => 'sms', message_id => "m-$_", data => qq({"a": "HIDDEN-$_"}), idempotency_key => "HIDDEN-$_") } qw(shop bank);
$bmw->wait_for_sql('both have failed', q{SELECT count(*) = 2 FROM bm_webhook.failed_attempt});
$bmw->sql("SELECT bm_webhook.redeliver('$event{$_}', $id{$_}), bm_webhook.pause($id{$_}, reason => 'HIDDEN-$_') FROM (VALUES (1)) x") for qw(shop bank);
$bmw->wait_for_sql('shared memory knows of both', 'SELECT count(*) = 2 FROM bm_webhook.endpoint_pace');
my $secret = $bmw->sql("SELECT id FROM bm_webhook.endpoint_secret WHERE endpoint_id = $id{shop} AND kind = 'hmac_sha256'");

###############################################################################
# All that can be read and called
###############################################################################

# Each function with these arguments; what it has changed is undone, and the text of an error is read, too.
$bmw->sql(q{CREATE FUNCTION public.result_of(query text) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		result text;
	BEGIN
		EXECUTE query INTO result;
		RAISE EXCEPTION USING ERRCODE = 'ZZZZZ';
	EXCEPTION WHEN SQLSTATE 'ZZZZZ' THEN
		RETURN result;
	WHEN OTHERS THEN
		RETURN sqlerrm;
	END $$;
	CREATE FUNCTION public.all_seen(endpoint bigint, event uuid, message text, secret bigint) RETURNS SETOF text LANGUAGE sql AS $$
		SELECT public.result_of(format('SELECT string_agg(to_jsonb(x)::text, E''\n'') FROM (SELECT %s FROM %s) x', string_agg(quote_ident(a.attname), ', '), c.oid::regclass))
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE c.relnamespace IN ('bm_webhook'::regnamespace, 'bm_webhook_internal'::regnamespace) AND c.relkind IN ('r', 'p', 'v')
			AND has_schema_privilege(c.relnamespace, 'USAGE') AND has_column_privilege(c.oid, a.attnum, 'SELECT')
		GROUP BY c.oid
		UNION ALL
		SELECT public.result_of(format('SELECT string_agg(x::text, E''\n'') FROM %s(%s) x', p.oid::regproc, (SELECT string_agg(CASE t::regtype::text
				WHEN 'bigint' THEN CASE p.proname WHEN 'delete_secret' THEN secret ELSE endpoint END::text WHEN 'uuid' THEN quote_literal(event)
				WHEN 'jsonb' THEN quote_literal(jsonb_build_object('endpoint', endpoint, 'event', event, 'message_id', message, 'secret', secret, 'what', 'message',
					'id', endpoint, 'since', now() - interval '1 hour', 'cursor', '1:1: 0'))
				WHEN 'text' THEN quote_literal(message) WHEN 'timestamp with time zone' THEN quote_literal(now() - interval '1 hour')
				WHEN 'interval' THEN quote_literal('1 s') WHEN 'boolean' THEN 'true' WHEN 'regclass' THEN quote_literal('bm_webhook.endpoint_secret')
				ELSE 'NULL' END || '::' || t::regtype, ', ' ORDER BY n) FROM unnest(p.proargtypes) WITH ORDINALITY AS u (t, n))))
		FROM pg_proc p WHERE p.pronamespace IN ('bm_webhook'::regnamespace, 'bm_webhook_internal'::regnamespace)
			AND has_schema_privilege(p.pronamespace, 'USAGE') AND has_function_privilege(p.oid, 'EXECUTE') AND p.prorettype <> 'trigger'::regtype $$});

sub seen { my ($role) = @_; return $bmw->sql("SET client_min_messages = error; SET ROLE $role; SELECT * FROM public.all_seen($id{shop}, '$event{shop}', 'm-shop', $secret)") }

my $hidden = qr/whsec_[A-Za-z0-9+\/]{20}|PRIVATE KEY|HEADER-/;
my $of_owner = seen('shop');
like($of_owner, $_, "the owner sees $_") for qr/HIDDEN-shop/, qr/whsec_[A-Za-z0-9+\/]{20}/, qr/\*{8}/;
unlike($of_owner, qr/PRIVATE KEY|HEADER-/, 'but neither the key of the certificate nor the value of a header');
my $of_operator = seen('operator');
like($of_operator, qr/HIDDEN-$_/, "an operator sees what is of $_") for qw(shop bank);
unlike($of_operator, $hidden, 'and no secret');
my %others = map { $_ => seen($_) } qw(tenant spy writer);
like($others{tenant}, qr/HIDDEN-bank/, 'another owner sees his own');
unlike($others{$_}, qr/HIDDEN-shop|$hidden/, "nothing of it is for the $_") for sort keys %others;

###############################################################################
# Attempts
###############################################################################

sub attempt
{
	my ($role, $sql, $state) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($bmw->sqlstate("SET client_min_messages = error; SET SESSION AUTHORIZATION $role; $sql"), $state, "$role: " . substr($sql =~ s/\s+/ /gr, 0, 100));
}

# What none of them may, however they came by their other rights.
for my $role (qw(dba operator spy writer tenant))
{
	attempt($role, $_, '42501') for
	  'SET ROLE bm_webhook', 'GRANT bm_webhook TO ' . $role, 'ALTER ROLE bm_webhook LOGIN', 'ALTER ROLE bm_webhook SET search_path = mine',
	  "ALTER SYSTEM SET bm_webhook.archive_command = 'touch /tmp/x'", "ALTER SYSTEM SET bm_webhook.fence_command = 'touch /tmp/x'",
	  "ALTER SYSTEM SET bm_webhook.secret_key_file = '/etc/passwd'", "ALTER SYSTEM SET bm_webhook.ca_file = '/etc/passwd'",
	  "ALTER SYSTEM SET bm_webhook.proxy = 'http://127.0.0.1:1'", "ALTER SYSTEM SET bm_webhook.proxy_credentials_file = '/etc/passwd'",
	  "ALTER SYSTEM SET bm_webhook.allowed_networks = '0.0.0.0/0'", 'SET bm_webhook.max_payload = 67108864', 'SET bm_webhook.idempotency_window = 1',
	  "ALTER ROLE $role SET bm_webhook.max_payload = 67108864",
	  'CREATE TRIGGER t BEFORE INSERT ON bm_webhook.event FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()',
	  'CREATE POLICY p ON bm_webhook.endpoint_secret USING (true)', 'ALTER TABLE bm_webhook.endpoint_secret DISABLE ROW LEVEL SECURITY',
	  'CREATE OR REPLACE FUNCTION bm_webhook.capture() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$',
	  'CREATE FUNCTION bm_webhook.more() RETURNS integer LANGUAGE sql AS $$SELECT 1$$', 'CREATE TABLE bm_webhook_internal.event_29990101 ()',
	  'CREATE INDEX ON bm_webhook.event ((pg_catalog.lower(type)))', 'CREATE STATISTICS mine.s ON id, secret FROM bm_webhook.endpoint_secret',
	  'ALTER TABLE bm_webhook.endpoint_secret ALTER COLUMN secret SET STATISTICS 100',
	  "SELECT bm_webhook.grant_owner('shop', '$role')", "SELECT bm_webhook.grant_operator('$role')", "SELECT bm_webhook.revoke_owner('shop')",
	  (map { "SELECT bm_webhook_internal.$_" } "opens($id{shop}, 1, 'hmac_sha256', 'x', 'k1')", 'secret_key()', "public_part('whsk_x')", 'random_secret()',
		  "rotate_secret($id{shop}, '0', 'hmac_sha256', '$role')", "set_paused(true, $id{shop}, NULL, NULL, '$role')", "set_verified(true, $id{shop}, '$role')",
		  "begin_operation('cancel', $id{shop}, NULL, NULL, NULL, NULL, NULL, NULL, false, '$role')", "erase(NULL, 'x', 'shop', 0, true, '$role')",
		  "drop_partition('event', 'event_default', now(), now(), true, false)", "create_partition('event', '2999-01-01')", 'forget_expired(\'1 s\', 1)',
		  "empty_default('event', 'x', now(), now())", "close_partition('event_default')", 'forget_keys(1)', "adopt(true, '$role')", 'settle(false)',
		  'operation_step(1, 1, false, \'{}\')', "begin_drop(now(), true, false, '$role')", "begin_rekey('k1', false, '$role')");
}
# What is for superusers and for roles with BYPASSRLS, of those who are neither.
for my $role (qw(operator spy writer tenant))
{
	attempt($role, "SELECT bm_webhook.$_", '42501') for 'adopt(true)', "drop_before(now())", 'rekey()', "delete_application('shop')", "mark_verified($id{shop})",
	  'retry_set_aside()', "redeliver('$event{shop}')", "wait_for_delivery('$event{shop}', '1 s')", 'stat_reset()';
	attempt($role, $_, '42501') for 'SELECT secret FROM bm_webhook.endpoint_secret', 'SELECT to_jsonb(s) FROM bm_webhook.endpoint_secret s', 'TABLE bm_webhook.endpoint_secret',
	  'COPY bm_webhook.endpoint_secret TO STDOUT', 'SELECT count(*) FROM bm_webhook.endpoint_secret WHERE secret > \'w\'',
	  'SELECT key FROM bm_webhook_internal.idempotency_key', 'SELECT FROM bm_webhook_internal.home', 'DELETE FROM bm_webhook.paused', 'INSERT INTO bm_webhook.paused DEFAULT VALUES',
	  'INSERT INTO bm_webhook.operation (kind, matched, asked_by, acting_as) VALUES (\'rekey\', 1, \'x\', \'x\')', 'UPDATE bm_webhook.delivery SET status = \'pending\'',
	  'INSERT INTO bm_webhook_internal.pending_change VALUES (1, 1000000, 0)', 'SELECT nextval(\'bm_webhook.endpoint_id_seq\')', "SELECT bm_webhook_internal.look($id{shop})",
	  'BEGIN; LOCK TABLE bm_webhook.endpoint IN SHARE MODE';
}

# What an administrator without SUPERUSER writes is checked as what anybody writes.
attempt('dba', "UPDATE bm_webhook.endpoint SET url = '$_' WHERE id = $id{shop}", '42501') for 'https://169.254.169.254/', 'https://[::ffff:169.254.169.254]/', 'https://[64:ff9b::a9fe:a9fe]/', 'https://10.0.0.1/';
attempt('dba', "UPDATE bm_webhook.endpoint SET credentials = 'x' WHERE id = $id{shop}", '42501');
attempt('dba', "INSERT INTO bm_webhook.endpoint_secret (endpoint_id, secret, key_id) VALUES ($id{shop}, 'x', 'k1')", '42501');
attempt('dba', "INSERT INTO bm_webhook.endpoint (id, url) OVERRIDING SYSTEM VALUE VALUES (1000, 'https://hooks.example.com/')", '42501');

# An operator changes nothing, and is shown no request.
attempt('operator', "SELECT bm_webhook.$_", '42501') for "secret($id{shop})", "rotate_secret($id{shop})", "preview('$event{shop}', $id{shop})", "ping($id{shop})", "pause($id{shop})",
  "cancel(everything => true)", "erase('HIDDEN-shop')", "emit('a.b', '{}')", "verify_endpoint($id{shop})", "delete_endpoint($id{shop})", (map { "${_}_each('{$event{shop}}', '{$id{shop}}')" } qw(redeliver cancel)),
  (map { "console_$_('{\"endpoint\": $id{shop}, \"event\": \"$event{shop}\"}')" } qw(secret rotate_secret preview ping pause redeliver cancel)),
  (map { "console_save_endpoint('{$_\"url\": \"https://hooks.example.com/\"}')" } '', "\"id\": $id{shop}, ");

# An owner: what is another's does not exist.
attempt('tenant', "SELECT bm_webhook.$_", '42704') for "secret($id{shop})", "rotate_secret($id{shop})", "preview('$event{shop}', $id{shop})", "preview('$event{shop}', $id{bank})", "ping($id{shop})",
  "pause($id{shop})", "pause(application => 'shop')", "cancel(endpoint => $id{shop})", "recover($id{shop}, '-infinity')", "redeliver($id{shop}, '-infinity')", "erase('x', application => 'shop')",
  "delete_endpoint($id{shop})", "delete_secret($secret)", "set_aside('$event{shop}', $id{shop})", "put_back('$event{shop}', $id{shop})", "explain_delivery('$event{shop}')",
  "public_key($id{shop})", "jwks($id{shop})", (map { "console_$_('{\"endpoint\": $id{shop}, \"event\": \"$event{shop}\", \"message_id\": \"m-shop\", \"secret\": $secret}')" }
	  qw(endpoint causes delivery event message preview ping set_aside put_back secret rotate_secret delete_secret delete_endpoint));
attempt('tenant', $_, '42501') for "INSERT INTO bm_webhook.endpoint (url, application) VALUES ('https://hooks.example.com/', 'shop')", "INSERT INTO bm_webhook.endpoint (url) VALUES ('https://hooks.example.com/')",
  "INSERT INTO bm_webhook.endpoint_secret (endpoint_id) VALUES ($id{shop})", "UPDATE bm_webhook.endpoint SET application = 'shop'", 'SELECT bm_webhook.pause(everything => true)';

# What operators read in lists has a limit.
attempt('tenant', $_, '54000') for "UPDATE bm_webhook.endpoint SET description = repeat('x', 4097) WHERE id = $id{bank}",
  "UPDATE bm_webhook.endpoint SET metadata = jsonb_build_object('a', repeat('x', 65536)) WHERE id = $id{bank}",
  "INSERT INTO bm_webhook.endpoint (url, application, description) VALUES ('https://hooks.example.com/', 'bank', repeat('x', 100000000))",
  (map { "SELECT bm_webhook.$_, reason => repeat('x', 1025))" } "pause($id{bank}", "resume(application => 'bank'", "set_aside('$event{bank}', $id{bank}", "put_back('$event{bank}', $id{bank}");
attempt('tenant', "UPDATE bm_webhook.endpoint SET description = repeat('x', 4096), metadata = jsonb_build_object('a', repeat('x', 60000)) WHERE id = $id{bank}; SELECT bm_webhook.pause($id{bank}, reason => repeat('x', 1024))", '');

# A writer makes events, and only for an endpoint that is his own, which is none.
attempt('writer', "SELECT bm_webhook.emit('order.paid', '{}', endpoint => $id{$_})", '42704') for qw(shop bank);
attempt('writer', "SELECT bm_webhook.emit('order.paid', '{}', 'shop', idempotency_key => 'HIDDEN-shop', message_id => 'another')", '');
attempt('writer', "SELECT bm_webhook.emit('order.paid', jsonb_build_object('a', repeat('x', 300000)), 'shop')", '54000');

###############################################################################
# Names that lead elsewhere
###############################################################################

$bmw->sql(q{CREATE SCHEMA spies; GRANT ALL ON SCHEMA spies TO spy; GRANT USAGE ON SCHEMA spies TO PUBLIC;
	SET ROLE spy;
	CREATE FUNCTION spies.same(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$
		BEGIN IF current_user <> 'spy' THEN INSERT INTO mine.loot VALUES (current_user, 'an operator of spy'); END IF; RETURN int8eq($1, $2); END $$;
	CREATE OPERATOR spies.= (FUNCTION = spies.same, LEFTARG = bigint, RIGHTARG = bigint)});
$bmw->sql("SET search_path = spies, pg_catalog; SET ROLE $_; SELECT FROM bm_webhook.stat_endpoint; SELECT FROM bm_webhook.endpoint_health") for 'spy', 'operator', $bmw->sql('SELECT current_user');
is($bmw->sql('SELECT string_agg(DISTINCT who || \': \' || what, \', \') FROM mine.loot'), '', 'whoever reads statistics runs nothing of others, and nothing as others');

$bmw->finish;

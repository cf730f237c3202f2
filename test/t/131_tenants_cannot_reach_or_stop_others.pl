# Roles with the rights of docs/security.md: none can lock a table, choose an
# id, or write what the extension writes; an owner deletes its endpoints and secrets
# by function, and those of others are as unknown as those that do not exist. A dump
# that a superuser restores keeps its ids.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use FindBin;
use PostgreSQL::Test::Utils ();
use Test::More;

my $bmw = BmWebhook->new;
my $node = $bmw->node;
my $page = PostgreSQL::Test::Utils::slurp_file("$FindBin::RealBin/../../docs/security.md");
my ($grants) = grep { /CREATE ROLE shop_admin/ } $page =~ /^```sql\n(.*?)^```$/gms;
my ($owner) = grep { /CREATE ROLE shop_admin/ } split /\n\n/, $grants;

$bmw->sql(q{INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('bank')});
$bmw->sql($grants);
$bmw->sql($owner =~ s/shop_admin/bank_admin/gr =~ s/'shop'/'bank'/r);

sub as
{
	my ($role, $sql) = @_;
	return $bmw->sqlstate("SET ROLE $role; $sql");
}

# Locks, in every mode, on every table.
$bmw->sql(q{CREATE FUNCTION locks(role name) RETURNS SETOF text LANGUAGE plpgsql AS $$
	DECLARE
		relation regclass;
		mode text;
	BEGIN
		EXECUTE format('SET LOCAL ROLE %I', role);
		FOR relation IN SELECT oid FROM pg_class WHERE relnamespace::regnamespace::text ~ '^bm_webhook' AND relkind IN ('r', 'p') LOOP
			FOREACH mode IN ARRAY '{access share,row share,row exclusive,share update exclusive,share,share row exclusive,exclusive,access exclusive}'::text[] LOOP
				BEGIN
					EXECUTE format('LOCK TABLE %s IN %s MODE', relation, mode);
					RETURN NEXT relation || ' in ' || mode;
				EXCEPTION WHEN insufficient_privilege THEN
				END;
			END LOOP;
		END LOOP;
		RESET ROLE;
	END $$});
is($bmw->sql("SELECT * FROM locks('$_')"), '', "$_ can lock no table") for qw(shop_app migration shop_admin bank_admin);
unlike($bmw->sql(q{SELECT * FROM locks('webhook_monitor')}), qr/in (?!access share)/, 'webhook_monitor can only lock as a query does');
my $rights = 'INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER' . ($bmw->sql('SHOW server_version_num') >= 170000 ? ',MAINTAIN' : '');
is($bmw->sql(qq{SELECT DISTINCT r.rolname FROM pg_roles r, pg_class c WHERE c.relnamespace::regnamespace::text ~ '^bm_webhook' AND c.relkind IN ('r', 'p')
	AND r.rolname IN ('shop_app', 'migration', 'shop_admin', 'bank_admin', 'webhook_monitor') AND has_table_privilege(r.oid, c.oid, '$rights')}), '',
	'and none has a right to write on a whole table');

# What an owner may do, and what not.
my $bank = $bmw->sql(q{SET ROLE bank_admin; INSERT INTO bm_webhook.endpoint (url, application) VALUES ('https://bank.example.com/', 'bank') RETURNING id});
my $shop = $bmw->sql(q{SET ROLE shop_admin; INSERT INTO bm_webhook.endpoint (url, application) VALUES ('https://shop.example.com/', 'shop') RETURNING id});
my $all = $bmw->sql(q{INSERT INTO bm_webhook.endpoint (url) VALUES ('https://all.example.com/') RETURNING id});
is(as('shop_admin', "UPDATE bm_webhook.endpoint SET $_ WHERE id = $shop"), '42501', "no SET $_")
  for "application = 'bank'", 'created_at = now()', 'deleted_at = now()', 'id = DEFAULT';
is(as('shop_admin', "UPDATE bm_webhook.endpoint_state SET $_ WHERE endpoint_id = $shop"), '42501', "no SET $_ in the state")
  for 'failing_since = now()', "disabled_reason = 'forged'", 'disabled_at = now()';
is($bmw->sql(q{SET ROLE shop_admin; SELECT endpoint_id FROM bm_webhook.endpoint_state}), $shop, 'it sees the state of its own');
is(as('shop_admin', "DELETE FROM bm_webhook.$_"), '42501', "no DELETE of $_") for qw(endpoint endpoint_secret application);

# Ids, also for a role that was given rights on the whole tables.
$bmw->sql(q{CREATE ROLE careless IN ROLE shop_admin; GRANT INSERT, UPDATE, DELETE, SELECT ON bm_webhook.endpoint, bm_webhook.endpoint_secret TO careless});
for my $role (qw(shop_admin careless))
{
	my $insert = "INSERT INTO bm_webhook.endpoint (id, url, application) OVERRIDING SYSTEM VALUE";
	is(as($role, "$insert VALUES ($_, 'https://shop.example.com/', 'shop')"), '42501', "$role cannot choose the id $_") for 1000, -1, $bank;
	is(as($role, "$insert SELECT g, 'https://shop.example.com/', 'shop' FROM generate_series(1000, 1049) g"), '42501', 'nor many');
	like(as($role, "COPY bm_webhook.endpoint (id, url, application) FROM STDIN;\n1000\thttps://shop.example.com/\tshop\n\\.\n"), qr/42501|0A000/, 'nor by COPY');
	is(as($role, "INSERT INTO bm_webhook.endpoint_secret (id, endpoint_id, secret) OVERRIDING SYSTEM VALUE
		VALUES (1000, $shop, 'whsec_' || encode(repeat('x', 24)::bytea, 'base64'))"), '42501', 'nor that of a secret');
}
is(as('careless', q{DO $$ DECLARE last bigint; BEGIN
	INSERT INTO bm_webhook.endpoint (url, application) VALUES ('https://shop.example.com/', 'shop') RETURNING id INTO last;
	DELETE FROM bm_webhook.endpoint WHERE id = last;
	INSERT INTO bm_webhook.endpoint (id, url, application) OVERRIDING SYSTEM VALUE VALUES (last, 'https://shop.example.com/', 'shop'); END $$}),
	'42501', 'not even the one that it had last');
is(as('careless', q{INSERT INTO bm_webhook.endpoint (url, application, created_at) SELECT 'https://shop.example.com/', 'shop', 'infinity'
	FROM generate_series(1, 3) g ORDER BY random(); INSERT INTO bm_webhook.endpoint (url, application) VALUES
	('https://shop.example.com/', 'shop'), ('https://shop.example.com/', 'shop')}), '', 'what is generated is taken');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.endpoint WHERE created_at > now()}), 0, 'and nothing was created in the future');
is(as('bank_admin', q{INSERT INTO bm_webhook.endpoint (url, application) VALUES ('https://bank.example.com/', 'bank')}), '', 'others register as before');

# Deleting by function.
my %secret = map { $_ => $bmw->sql("SELECT id FROM bm_webhook.endpoint_secret WHERE endpoint_id = $_") } $bank, $shop, $all;
sub error_of
{
	my ($role, $sql) = @_;
	my $stderr = '';
	$node->psql('postgres', "SET ROLE $role; $sql", stderr => \$stderr);
	return $stderr =~ s/^psql:\S+ //mgr =~ s/\d+/N/gr;
}
for my $foreign ($bank, $all)
{
	is(error_of('shop_admin', "SELECT bm_webhook.delete_endpoint($foreign)"), error_of('shop_admin', 'SELECT bm_webhook.delete_endpoint(99999)'),
		'an endpoint of somebody else is as unknown as any');
	is(error_of('shop_admin', "SELECT bm_webhook.delete_secret($secret{$foreign})"), error_of('shop_admin', 'SELECT bm_webhook.delete_secret(99999)'),
		'so is its secret');
	is(as('shop_admin', "SELECT bm_webhook.delete_endpoint($foreign)"), '42704', 'unknown');
	is(as('shop_admin', "SELECT bm_webhook.delete_secret($secret{$foreign})"), '42704', 'unknown');
}
is($bmw->sql("SELECT count(*) FROM bm_webhook.endpoint_secret WHERE endpoint_id IN ($bank, $all)"), 2, 'both are still there');
is(as('shop_admin', "SELECT bm_webhook.secret($_)"), '42704', 'so is the text of its secret') for $bank, 99999;
is(as('shop_app', "SELECT bm_webhook.delete_endpoint($shop)"), '42501', 'who has no right to the function cannot call it');
is(as('shop_admin', "SELECT bm_webhook.delete_secret($secret{$shop}); SELECT bm_webhook.delete_endpoint($shop)"), '', 'its own it may');
$bmw->sql('CREATE ROLE of_bank IN ROLE bank_admin');
is(as('of_bank', "SELECT bm_webhook.delete_endpoint($bank)"), '', 'so may a member of the owner');
is($bmw->sql("SELECT bm_webhook.delete_endpoint($all); SELECT count(*) FROM bm_webhook.endpoint WHERE id IN ($bank, $shop, $all)"), "\n0",
	'and a superuser any');

# A dump keeps the ids, and goes on behind them.
$bmw->sql('CREATE DATABASE restored');
my $file = PostgreSQL::Test::Utils::tempdir('dump') . '/dump.sql';
$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', $file ], 'a dump');
$node->command_ok([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f', $file ], 'is restored');
my $ids = q{SELECT string_agg(concat_ws(' ', id, application, created_at), ', ' ORDER BY id) FROM bm_webhook.endpoint};
is($bmw->sql($ids, 'restored'), $bmw->sql($ids), 'with the same ids');
is($bmw->sql(q{SET ROLE shop_admin; INSERT INTO bm_webhook.endpoint (url, application) VALUES ('https://shop.example.com/', 'shop');
	RESET ROLE; SELECT count(*) FROM bm_webhook.endpoint_secret s RIGHT JOIN bm_webhook.endpoint e ON e.id = s.endpoint_id WHERE s.id IS NULL}, 'restored'), 0,
	'and goes on behind them');

$bmw->finish;

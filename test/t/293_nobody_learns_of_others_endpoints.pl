# What a role does with an endpoint that is not its own fails in the same way, and for the same reason, whatever that
# endpoint has; what is not its own tells it nothing.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use PostgreSQL::Test::Utils ();
use Test::More;

my $bmw = BmWebhook->new;
my $node = $bmw->node;
$bmw->sql(q{CREATE ROLE shop LOGIN; CREATE ROLE bank LOGIN;
	INSERT INTO bm_webhook.application (name, owner) VALUES ('shop', 'shop'), ('bank', 'bank'), ('closing', 'shop');
	GRANT USAGE ON SCHEMA bm_webhook, bm_webhook_internal TO shop, bank;
	GRANT EXECUTE ON FUNCTION bm_webhook.delete_endpoint TO shop, bank;
	GRANT SELECT (name, owner, deleted_at) ON bm_webhook.application TO shop, bank;
	GRANT SELECT (id, application, url), INSERT (application, url, event_types) ON bm_webhook.endpoint TO shop, bank;
	GRANT SELECT (id, endpoint_id), INSERT (endpoint_id, secret) ON bm_webhook.endpoint_secret TO shop, bank});
my $url = 'https://hooks.example.com/';
my ($bank, $shop) = map { $bmw->sql("SET ROLE $_; INSERT INTO bm_webhook.endpoint (url, application) VALUES ('$url', '$_') RETURNING id") } qw(bank shop);

sub error_of
{
	my ($role, $sql) = @_;
	my $stderr = '';
	$node->psql('postgres', "SET ROLE $role; $sql", stderr => \$stderr, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	return $stderr =~ s/^psql:\S+ //mgr =~ s/\b(?:$bank|99999)\b/N/gr;
}

# Secrets: the limit.
my $insert = q{INSERT INTO bm_webhook.endpoint_secret (endpoint_id, secret) SELECT %s, 'whsec_' || encode(repeat('x', 24)::bytea, 'base64') FROM generate_series(1, %s)};
$bmw->sql(sprintf $insert, $bank, 15);
like(error_of('bank', sprintf $insert, $bank, 1), qr/54000/, 'an endpoint has so many secrets at most');
is(error_of('shop', sprintf $insert, $bank, 1), error_of('shop', sprintf $insert, 99999, 1), 'others do not learn that it has them');
is($bmw->sqlstate("SET ROLE shop; " . sprintf $insert, $shop, 16), '54000', 'of its own it does');

# Secrets of what is deleted.
$bmw->sql(q{SELECT count(bm_webhook.emit('order.paid', '{}', 'shop')) FROM generate_series(1, 5)});
$bmw->sql("SET ROLE shop; SELECT bm_webhook.delete_endpoint($shop)");
is($bmw->sql("SELECT deleted_at IS NOT NULL FROM bm_webhook.endpoint WHERE id = $shop"), 't', 'a deleted endpoint that keeps its log');
is($bmw->sqlstate("SET ROLE shop; " . sprintf $insert, $shop, 1), '42704', 'gets no secret any more');
is($bmw->sqlstate(sprintf $insert, $shop, 1), '42704', 'from nobody');

# What is deleted by its id is first asked for its owner, then for its log: with a log that cannot be read.
my $session = $bmw->session;
$session->query_safe('BEGIN; LOCK TABLE bm_webhook.set_aside IN ACCESS EXCLUSIVE MODE');
is($bmw->sqlstate("SET lock_timeout = '2s'; SET ROLE shop; SELECT bm_webhook.delete_endpoint($bank)"), '42704',
	'the log of an endpoint of others is not looked at');
$session->query_safe('ROLLBACK');

# An application that is being deleted, and an endpoint that is just being registered in it.
$bmw->sql(q{SELECT bm_webhook.emit('order.paid', '{}', 'closing')});
$session->query_safe(q{BEGIN; SELECT bm_webhook.delete_application('closing')});
my $late = $node->background_psql('postgres', on_error_stop => 0, timeout => 300);
$late->query_until(qr/^begun$/m, "\\echo begun\nINSERT INTO bm_webhook.endpoint (url, application) VALUES ('$url', 'closing');\n");
$bmw->wait_for_sql('it waits', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT%'});
$session->query_safe('COMMIT');
$late->query('SELECT 1');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.endpoint WHERE application = 'closing' AND deleted_at IS NULL}), 0, 'it does not survive the application');
$late->quit;
is($bmw->sqlstate("INSERT INTO bm_webhook.endpoint (url, application) VALUES ('$url', 'closing')"), '42704', 'nor can one be registered later');
$bmw->sql(q{INSERT INTO bm_webhook.application (name) VALUES ('opening')});
$session->query_safe(qq{BEGIN; INSERT INTO bm_webhook.endpoint (url, application) VALUES ('$url', 'opening')});
$late = $node->background_psql('postgres', on_error_stop => 0, timeout => 300);
$late->query_until(qr/^begun$/m, "\\echo begun\nSELECT bm_webhook.delete_application('opening');\n");
$bmw->wait_for_sql('who deletes it waits', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%delete_application%' AND pid <> pg_backend_pid()});
$session->query_safe('COMMIT');
$late->query('SELECT 1');
$late->quit;
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.endpoint WHERE application = 'opening' AND deleted_at IS NULL}), 0, 'and deletes the endpoint, too');

# One that is deleted while an event of it is not committed yet: nobody else gets its name, and with that the event.
$bmw->sql(q{INSERT INTO bm_webhook.application (name) VALUES ('busy'), ('idle')});
$session->query_safe(q{BEGIN; SELECT bm_webhook.emit('order.paid', '{}', 'busy')});
$bmw->sql(q{SELECT bm_webhook.delete_application('busy')});
$session->query_safe('COMMIT');
is($bmw->sqlstate(q{INSERT INTO bm_webhook.application (name) VALUES ('busy')}), '23505', 'what is being captured keeps the name as well');
$bmw->sql(q{SELECT bm_webhook.delete_application('idle')});
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.application WHERE name = 'idle'}), 0, 'one that nobody has used is gone');

# Who may name the tables can stop nobody by a command that would be refused.
$bmw->sql('CREATE SCHEMA of_shop AUTHORIZATION shop');
$bmw->sql('CREATE TABLE of_shop.mine (id uuid, endpoint_id bigint, name text); ALTER TABLE of_shop.mine OWNER TO shop;
	CREATE FUNCTION of_shop.t() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$');
$session->query_safe('BEGIN; LOCK TABLE bm_webhook.event, bm_webhook.endpoint IN ROW EXCLUSIVE MODE');
for my $command ('CREATE RULE r AS ON INSERT TO bm_webhook.event DO NOTHING', 'CREATE RULE r AS ON INSERT TO bm_webhook.endpoint DO NOTHING',
	'CREATE TRIGGER t AFTER INSERT ON bm_webhook.event FOR EACH ROW EXECUTE FUNCTION of_shop.t()',
	'CREATE TABLE of_shop.more PARTITION OF bm_webhook.event DEFAULT',
	'CREATE TABLE of_shop.more (id bigint REFERENCES bm_webhook.endpoint (id))',
	'CREATE TABLE of_shop.more (id bigint, FOREIGN KEY (id) REFERENCES bm_webhook.endpoint (id))',
	'ALTER TABLE of_shop.mine ADD FOREIGN KEY (endpoint_id) REFERENCES bm_webhook.endpoint (id)',
	'ALTER TABLE of_shop.mine ADD COLUMN other bigint REFERENCES bm_webhook.endpoint (id)',
	'ALTER TABLE of_shop.mine INHERIT bm_webhook.event', 'ALTER TABLE bm_webhook.event ADD COLUMN x int',
	'CREATE INDEX ON bm_webhook.event (type)', 'CREATE POLICY p ON bm_webhook.event', 'TRUNCATE bm_webhook.event', 'DROP TABLE bm_webhook.event')
{
	is($bmw->sqlstate("SET lock_timeout = '500ms'; SET ROLE shop; $command"), '42501', "$command waits for no lock");
}
$session->query_safe('ROLLBACK');
$session->quit;
is($bmw->sqlstate('BEGIN; CREATE TABLE of_admin (id bigint REFERENCES bm_webhook.endpoint (id)); ROLLBACK'), '', 'who owns the table can refer to it');

# TRIGGER and REFERENCES would have code of theirs run as the owner of the tables.
$bmw->sql('CREATE ROLE careful; GRANT ALL ON ALL TABLES IN SCHEMA bm_webhook TO careful; GRANT USAGE ON SCHEMA bm_webhook TO careful;
	CREATE SCHEMA of_careful AUTHORIZATION careful; CREATE TABLE ran_as (role text); GRANT ALL ON ran_as TO PUBLIC; SET ROLE careful;
	CREATE FUNCTION of_careful.t() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO ran_as VALUES (current_user); RETURN NEW; END$$;
	CREATE TYPE of_careful.number AS ENUM (\'one\');
	CREATE FUNCTION of_careful.cast(of_careful.number) RETURNS bigint LANGUAGE plpgsql AS $$BEGIN INSERT INTO ran_as VALUES (current_user); RETURN 1; END$$;
	CREATE CAST (of_careful.number AS bigint) WITH FUNCTION of_careful.cast AS IMPLICIT');
is($bmw->sqlstate("SET ROLE careful; $_"), '42501', 'who is given ALL cannot: ' . substr($_, 0, 60)) for
  'CREATE TRIGGER t BEFORE INSERT ON bm_webhook.operation FOR EACH ROW EXECUTE FUNCTION of_careful.t()',
  'CREATE TRIGGER t BEFORE INSERT ON bm_webhook.event FOR EACH STATEMENT EXECUTE FUNCTION of_careful.t()',
  "CREATE TABLE of_careful.child (n of_careful.number REFERENCES bm_webhook.endpoint (id)); INSERT INTO of_careful.child VALUES ('one')";
$bmw->sql("SELECT bm_webhook.pause($bank), bm_webhook.resume($bank)");
is($bmw->sql('SELECT string_agg(DISTINCT role, \', \') FROM ran_as'), '', 'so nothing of theirs runs as the extension');

# Which types there are is told to those who may read them.
sub notice
{
	my ($role) = @_;
	my $stderr = '';
	$node->psql('postgres', "SET ROLE $role; INSERT INTO bm_webhook.endpoint (url, application, event_types) VALUES ('$url', 'bank', '{no.such}')", stderr => \$stderr);
	return $stderr;
}
is(notice('bank'), '', 'who may not read the types is not told which there are not');
$bmw->sql('GRANT SELECT (name) ON bm_webhook.event_type TO bank');
like(notice('bank'), qr/NOTICE:  no known event type matches "no.such"/, 'who may, is');

# A dump is restored whatever the settings of the other server allow.
$bmw->endpoint('/ok/plain', enabled => 'false');
my $file = PostgreSQL::Test::Utils::tempdir('dump') . '/dump.sql';
$bmw->sql('DROP OWNED BY shop, bank CASCADE');
$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', $file ], 'a dump');
$bmw->set('bm_webhook.require_https', 'on');
$bmw->set('bm_webhook.allowed_networks', '');
$bmw->wait_for_sql('settings are read', q{SELECT current_setting('bm_webhook.require_https') = 'on' AND current_setting('bm_webhook.allowed_networks') = ''});
$bmw->sql('CREATE DATABASE restored');
$node->command_ok([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f', $file ], 'is restored');
my $urls = q{SELECT string_agg(concat_ws(' ', id, url), ', ' ORDER BY id) FROM bm_webhook.endpoint};
is($bmw->sql($urls, 'restored'), $bmw->sql($urls), 'with the same URLs');
is($bmw->sqlstate(q{INSERT INTO bm_webhook.endpoint (url) VALUES ('http://example.com/')}, 'restored'), '22023', 'a new one must be allowed');

$bmw->finish;

# After pg_upgrade everything is as it was: applications, endpoints, secrets, the
# log, what the extension consists of and what roles may do with it, in each
# database. Watches go on, order is kept, partitions are made, and DROP EXTENSION
# leaves nothing. With BMW_OLD_BINDIR the old server is one of another version.
use strict;
use warnings FATAL => 'all';

use lib 'test/lib';
use BmWebhook;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils qw(command_ok);
use Test::More;

my ($bindir) = split /\n/, qx(pg_config --bindir);
my $old_bindir = $ENV{BMW_OLD_BINDIR} || $bindir;
my $bmw = BmWebhook->new(conf => "fsync = off\n", install_path => $old_bindir =~ s{/bin$}{}r);
my $old = $bmw->node;

# What is registered, and what was not sent because the receiver of a chain was away.
$bmw->sql(q{
	CREATE ROLE tenant;
	CREATE ROLE operator;
	GRANT USAGE ON SCHEMA bm_webhook, bm_webhook_internal TO tenant, operator;
	GRANT SELECT, INSERT ON bm_webhook.application, bm_webhook.endpoint TO tenant;
	GRANT SELECT ON bm_webhook.event, bm_webhook.delivery TO operator;
	INSERT INTO bm_webhook.application (name, owner, muted_event_types) VALUES ('shop', 'tenant', '{order.muted}');
	INSERT INTO bm_webhook.event_type (name, description) VALUES ('order.made', 'our own');
	INSERT INTO bm_webhook.status_map (provider, provider_status, status) VALUES ('acme', 'done', 'delivered');
	CREATE DATABASE second;
	CREATE DATABASE third;
	CREATE TABLE orders (id text PRIMARY KEY, status text NOT NULL, note text);
	CREATE SCHEMA "My app";
	CREATE FUNCTION "My app".payload(o orders) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('made by', o.note) $$;
	SELECT bm_webhook.watch('orders', 'order.{status}', application => 'shop', condition => 'NEW.note IS NOT NULL', function => '"My app".payload(orders)');
	CREATE TABLE sms (id text PRIMARY KEY, recipient text, sender text, content text, status text NOT NULL);
	SELECT bm_webhook.watch_messages('sms', application => 'shop', channel => 'sms', level => 'statement');
});
$bmw->sql('CREATE EXTENSION bm_webhook', 'second');
$bmw->endpoint('/ok/second', event_types => '{*}', database => 'second');
$bmw->endpoint('/ok/orders', event_types => '{order.*}', application => 'shop', headers => '{"X-Key": "a b"}');
my $chain = $bmw->endpoint('/status/500/chain', event_types => '{message.*}', ordering => 'by_message',
	retry_delays => '{100 ms,1 h,1 h}');
$bmw->sql(q{INSERT INTO orders VALUES ('o-1', 'made', 'Ana'), ('o-2', 'muted', 'Ben')});
$bmw->sql(q{INSERT INTO sms VALUES ('m-1', '+33612345678', '+33123456789', 'Hello', 'accepted')});
$bmw->sql(q{UPDATE sms SET status = 'sent'});
$bmw->wait_for_requests('orders', 1);
$bmw->wait_for_sql('the first of the chain waits for its third attempt', "SELECT count(*) = 1 FROM bm_webhook.delivery
	WHERE endpoint_id = $chain AND status = 'pending' AND attempts = 2");
$bmw->sql(q{SELECT bm_webhook.redeliver((SELECT event_id FROM bm_webhook.delivery WHERE status = 'delivered'))});
$bmw->wait_for_requests('orders', 2);
$bmw->wait_for_delivery($bmw->emit('order.made', database => 'second'), 'second');
my $url = $bmw->receiver->url('/ok/chain');
$bmw->sql("UPDATE bm_webhook.endpoint SET url = '$url' WHERE id = $chain");
$bmw->set('bm_webhook.enabled', 'off');
$bmw->wait_for_sql('nothing is sent', q{SELECT bool_and(in_flight = 0 AND coalesce(reason, '') LIKE 'bm_webhook.enabled is off%') FROM bm_webhook.status()});
$bmw->sql("UPDATE bm_webhook.delivery SET next_attempt_at = now() WHERE status = 'pending'");

my %content = map { $_ => content($_) } qw(postgres second);
my %objects = map { $_ => objects($_) } qw(postgres second);
my @requests = map { $bmw->receiver->count($_, 'requests') } qw(orders chain second);
my $conf = PostgreSQL::Test::Utils::slurp_file($old->data_dir . '/postgresql.conf');
$bmw->sql('ALTER SYSTEM RESET bm_webhook.enabled');
$old->stop('fast');

my $new = PostgreSQL::Test::Cluster->new('new');
$bmw->init_successor($new);
$new->append_conf('postgresql.conf', join "\n", grep { /bm_webhook|max_prepared|max_worker/ } split /\n/, $conf);
my $folder = PostgreSQL::Test::Utils::tempdir_short();
my $here = $ENV{TESTDIR};
chdir $folder or die "chdir: $!";
command_ok([ 'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $old_bindir, '-B', $bindir,
	'-p', $old->port, '-P', $new->port, '-s', $new->host ], 'pg_upgrade succeeds');
chdir $here or die "chdir: $!";

# First without delivery, which would change the log.
$bmw->{node} = $new;
$new->append_conf('postgresql.conf', 'bm_webhook.enabled = off');
$bmw->start;
for my $database (qw(postgres second))
{
	is_deeply(content($database), $content{$database}, "$database: every row is there");
	is_deeply(objects($database), $objects{$database}, "$database: the extension has the same objects, rights and comments");
}
is($bmw->sql(q{SELECT count(*) FROM pg_extension WHERE extname = 'bm_webhook'}, 'third'), 0, 'a database without it has none');
is_deeply([ map { $bmw->receiver->count($_, 'requests') } qw(orders chain second) ], \@requests, 'nothing was sent');

# Then with it.
$new->adjust_conf('postgresql.conf', 'bm_webhook.enabled', 'on');
$new->reload;
$bmw->sql(q{INSERT INTO orders VALUES ('o-3', 'made', 'Cleo'), ('o-4', 'muted', 'Dan'), ('o-5', 'made', NULL)});
$bmw->sql(q{UPDATE sms SET status = 'delivered'});
$bmw->wait_for_delivery($bmw->emit('order.made', database => 'second'), 'second');
$bmw->wait_for_requests('orders', 3);
$bmw->wait_for_sql('the chain has gone on', "SELECT count(*) = 3 FROM bm_webhook.delivery WHERE endpoint_id = $chain AND status = 'delivered'");
$bmw->settle;
is($bmw->receiver->count('orders', 'requests'), 3, 'the watch goes on, the muted type and the condition count');
is($bmw->sql(q{SELECT e.data FROM bm_webhook.event e WHERE e.type LIKE 'order.%' ORDER BY id DESC OFFSET 1 LIMIT 1}),
	'{"made by": "Cleo"}', 'with its payload function');
is($bmw->sql("SELECT string_agg(e.type, ' ' ORDER BY d.last_attempt_at) FROM bm_webhook.delivery d JOIN bm_webhook.event e ON e.id = d.event_id
	WHERE d.endpoint_id = $chain"), 'message.accepted message.sent message.delivered', 'the messages arrive in order');

# A day without partition is made when it comes near; here by dropping the last.
my $last = $bmw->sql(q{SELECT max(relname) FROM pg_class WHERE relname ~ '^event_\d+' AND relnamespace::regnamespace::text ~ '^bm_webhook' AND relkind = 'r'});
my $day = $bmw->sql("SELECT to_char(to_date(substring('$last' FROM '\\d+'), 'YYYYMMDD') + 1, 'YYYY-MM-DD')");
is($bmw->sql("SELECT bm_webhook_internal.create_partition('event', '$day')"), 't', 'a partition can be made');
is($bmw->sql(q{SELECT count(*) FROM pg_class c WHERE c.relnamespace::regnamespace::text ~ '^bm_webhook' AND c.relkind = 'r'
	AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')}), 0, 'and all are of the extension');
for my $database (qw(postgres second))
{
	$bmw->sql('DROP EXTENSION bm_webhook CASCADE', $database);
	is($bmw->sql(q{SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'bm_webhook%'}, $database), 0, "$database: it can be dropped");
}
$bmw->finish;

# table => a hash of all its rows. Not of what moves on also when nothing is sent: the cursor, notes of changes that have
# been read, and changes of what is counted; their sum stays.
# Without what dispatchers write when they stop.
sub content
{
	my ($database) = @_;
	my @tables = split /\n/, $bmw->sql(q{SELECT oid::regclass FROM pg_class WHERE relnamespace::regnamespace::text ~ '^bm_webhook'
		AND (relkind = 'r' AND relname NOT IN ('cursor', 'endpoint_change', 'pending_count', 'pending_change',
			'endpoint_minute', 'dispatcher_minute', 'endpoint_total', 'endpoint_failure', 'dispatcher_total') OR relname = 'pending')}, $database);
	return { map { $_ => $bmw->sql("SELECT count(*), md5(string_agg(t::text, ' ' ORDER BY t::text)) FROM $_ t", $database) } @tables };
}

# Objects of the extension (without row types, which PostgreSQL 17 counts and 15 does not) with their comments, grants to others than the owner, policies, triggers and partitions' bounds.
sub objects
{
	my ($database) = @_;
	return [ split /\n/, $bmw->sql(q{
		SELECT pg_describe_object(d.classid, d.objid, 0) || ' ' || coalesce(obj_description(d.objid, c.relname), '') AS object
			FROM pg_depend d JOIN pg_class c ON c.oid = d.classid
			WHERE d.deptype = 'e' AND d.classid <> 'pg_type'::regclass AND d.refclassid = 'pg_extension'::regclass
				AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'bm_webhook')
		UNION ALL
		SELECT format('%s: %s to %s', c.oid::regclass, a.privilege_type, a.grantee::regrole)
			FROM pg_class c, aclexplode(c.relacl) a WHERE c.relnamespace::regnamespace::text ~ '^bm_webhook' AND a.grantee <> c.relowner
		UNION ALL
		SELECT format('%s: %s to %s', p.oid::regprocedure, a.privilege_type, a.grantee)
			FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE p.pronamespace::regnamespace::text ~ '^bm_webhook' AND a.grantee <> p.proowner
		UNION ALL
		SELECT format('%s %s %s', polrelid::regclass, polname, pg_get_expr(polqual, polrelid)) FROM pg_policy
		UNION ALL
		SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
		UNION ALL
		SELECT format('%s %s', oid::regclass, pg_get_expr(relpartbound, oid)) FROM pg_class
			WHERE relispartition AND relnamespace::regnamespace::text ~ '^bm_webhook'
		ORDER BY 1}, $database) ];
}

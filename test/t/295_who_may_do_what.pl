# The whole table of rights: each function is called, and each table and view read, as each role; every object that the
# catalogs have must be here. What belongs to another is refused as what does not exist, in the same words.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new(conf => "max_wal_senders = 0\n");
my @roles = qw(administrator operator owner other writer watcher stranger);

###############################################################################
# Two applications with a log, and everybody
###############################################################################

$bmw->sql(q{CREATE ROLE administrator SUPERUSER; CREATE ROLE operator; CREATE ROLE owner; CREATE ROLE other; CREATE ROLE writer; CREATE ROLE watcher; CREATE ROLE stranger;
	INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('bank');
	SELECT bm_webhook.grant_operator('operator'), bm_webhook.grant_owner('shop', 'owner'), bm_webhook.grant_owner('bank', 'other'),
		bm_webhook.grant_writer('writer'), bm_webhook.grant_watcher('watcher');
	GRANT USAGE ON SCHEMA bm_webhook, bm_webhook_internal TO stranger;
	CREATE SCHEMA of_watcher AUTHORIZATION watcher; CREATE TABLE of_watcher.sms (id text PRIMARY KEY, channel text, status text, sender text, recipient text, content text, error jsonb);
	ALTER TABLE of_watcher.sms OWNER TO watcher;
	SELECT bm_webhook.watch('of_watcher.sms', 'sms.changed')});
my %endpoint = map { $_ => $bmw->endpoint("/status/500/$_", application => $_, event_types => '{order.*,message.*}', retry_delays => '{}') } qw(shop bank);
my $all = $bmw->endpoint('/status/500/all', event_types => '{order.*}', retry_delays => '{}');
my %event = map { $_ => $bmw->emit('order.paid', application => $_, message_id => "m-$_") } qw(shop bank);
$bmw->emit('order.paid');
$bmw->sql(qq{SELECT bm_webhook.ping($_)}) for values %endpoint;
$bmw->sql(qq{SELECT bm_webhook.message_status('sent', '$_', 'sms', 'm2-$_', '+33612345678', '+33123456789')}) for qw(shop bank);
$bmw->wait_for_sql('all has failed', q{SELECT count(*) = 9 AND count(*) FILTER (WHERE status = 'failed') = 9 FROM bm_webhook.delivery});
$bmw->sql("UPDATE bm_webhook.endpoint SET enabled = false");
$bmw->sql("SELECT bm_webhook.redeliver('$event{$_}', $endpoint{$_}), bm_webhook.pause($endpoint{$_}), bm_webhook.pause(application => '$_')") for qw(shop bank);
$bmw->sql("SELECT bm_webhook.redeliver('$event{shop}', $all)");
$bmw->sql("UPDATE bm_webhook.endpoint SET enabled = true WHERE application IS NOT NULL");    # paused: nothing is sent
$bmw->sql(qq{INSERT INTO bm_webhook.set_aside (event_id, endpoint_id, cause, sqlstate, status, attempts, is_failed_attempt, is_exhausted)
	SELECT id, e, 'c', '23514', 'failed', 1, false, false FROM bm_webhook.event, unnest('{$endpoint{shop},$endpoint{bank},$all}'::bigint[]) e WHERE type = 'webhook.ping'});
$bmw->sql('DELETE FROM bm_webhook_internal.counted_day; SELECT bm_webhook_internal.count_day()');
my %secret = map { $_ => $bmw->sql("SELECT id FROM bm_webhook.endpoint_secret WHERE endpoint_id = $endpoint{$_}") } qw(shop bank);

# What it ends with, undone; and the message.
$bmw->sql(q{CREATE FUNCTION attempt(role text, command text) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		message text;
		state text;
	BEGIN
		EXECUTE format('SET LOCAL ROLE %I', role);
		EXECUTE command;
		RAISE EXCEPTION USING ERRCODE = 'ZZZZZ';
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
		RETURN CASE WHEN state = 'ZZZZZ' THEN 'ok' ELSE state || ' ' || message END;
	END $$});

sub attempts
{
	my ($command, @as) = @_;
	my $list = join ',', @as;
	return split /\n/, $bmw->sql("SELECT attempt(r, " . quote($command) . ") FROM unnest('{$list}'::text[]) WITH ORDINALITY AS u (r, n) ORDER BY n");
}

###############################################################################
# Functions
###############################################################################

# Only now: those that there are need not prove anything.
$bmw->node->safe_psql('postgres', 'ALTER SYSTEM SET bm_webhook.verify_endpoints = on');
$bmw->node->reload;
$bmw->wait_for_sql('it is on', q{SELECT current_setting('bm_webhook.verify_endpoints') = 'on'});

# Who may: administrator, operator, owner of shop, owner of bank, writer, watcher, anybody. y: yes; n: 42501; u: 42704.
my %rights = (administrators => 'ynnnnnn', owners => 'ynyunnn', owners_all => 'ynyynnn', readers => 'yyyynnn', readers_of_endpoint => 'yuyunnn', operators => 'yynnnnn',
	explains => 'yyyunnn', writers => 'ynnnynn', watchers => 'ynnnnyn', everybody => 'yyyyyyy');
my @functions = (
	[ "secret(:endpoint)", 'owners' ], [ "rotate_secret(:endpoint)", 'owners' ], [ "public_key(:signing)", 'readers_of_endpoint' ],
	[ "jwks(:endpoint)", 'readers_of_endpoint' ], [ "delete_endpoint(:endpoint)", 'owners' ], [ "delete_secret(:secret)", 'owners' ],
	[ "verify_endpoint(:endpoint)", 'owners' ], [ "mark_verified(:endpoint)", 'administrators' ], [ "ping(:endpoint)", 'owners' ], [ "preview(:event, :endpoint)", 'owners' ], [ "pause(endpoint => :endpoint)", 'owners' ],
	[ "pause(application => :application)", 'owners' ], [ "resume(endpoint => :endpoint)", 'owners' ], [ "resume(application => :application)", 'owners' ],
	[ "pause(everything => true)", 'administrators' ], [ "resume(everything => true)", 'administrators' ],
	[ "cancel(endpoint => :endpoint)", 'owners' ], [ "cancel(event => :event)", 'owners_all' ], [ "cancel(everything => true)", 'owners_all' ],
	[ "recover(:endpoint, '-infinity')", 'owners' ], [ "redeliver(:endpoint, '-infinity'::timestamptz)", 'owners' ],
	[ "set_aside(:delivered, :endpoint)", 'owners' ], [ "put_back(:delivered, :endpoint)", 'owners' ],
	[ "erase('m-shop', application => :application)", 'owners' ], [ "erase('m-shop')", 'owners_all' ],
	[ "explain_delivery(:event)", 'explains' ], [ "message_history('m-shop')", 'readers' ], [ "message_rate()", 'readers' ], [ "latency(:endpoint, '-infinity')", 'readers' ], [ "stat_reset()", 'administrators' ], [ "delivery_rate()", 'readers' ],
	[ "status()", 'operators' ],
	[ "emit('a.b', '{}', :application)", 'writers' ], [ "message_status('sent', :application, 'sms', 'm', '+33612345678', '+33123456789')", 'writers' ],
	[ "message_received('{\"type\": \"text\", \"text\": \"x\"}', :application, 'sms', 'm', '+33612345678', '+33123456789')", 'writers' ],
	[ "message_clicked('{\"id\": \"1\", \"text\": \"x\"}', :application, 'sms', 'm', '+33612345678', '+33123456789')", 'writers' ],
	[ "watch('of_watcher.sms', 'sms.made')", 'watchers' ], [ "unwatch('of_watcher.sms')", 'watchers' ], [ "watch_messages('of_watcher.sms')", 'watchers' ],
	[ "watch_replies('of_watcher.sms')", 'watchers' ],
	(map { [ "$_(ARRAY[:event], ARRAY[:endpoint])", 'owners_all' ] } qw(redeliver_each cancel_each)),
	(map { [ "console_$_('{}')", 'readers' ] } qw(session overview hour endpoints deliveries count_deliveries event_types operations message_rates delivery_rates)), [ "console_system('{}')", 'operators' ],
	(map { [ "console_$_(jsonb_build_object('endpoint', :endpoint))", 'explains' ] } qw(endpoint causes)), [ "console_event(jsonb_build_object('event', :event))", 'explains' ],
	[ "console_delivery(jsonb_build_object('event', :event, 'endpoint', :endpoint))", 'explains' ], [ "console_message(jsonb_build_object('message_id', 'm-shop'))", 'explains' ],
	[ "console_export(jsonb_build_object('what', 'deliveries'))", 'readers' ], [ "console_tail('{}')", 'readers' ], [ "console_listen('{}')", 'readers' ],
	(map { [ "console_$_(jsonb_build_object('event', :event, 'endpoint', :endpoint, 'since', '-infinity'))", 'owners' ] }
		qw(preview ping redeliver_since recover pause resume secret rotate_secret delete_endpoint verify_endpoint)),
	(map { [ "console_$_(jsonb_build_object('deliveries', jsonb_build_array(jsonb_build_array(:event, :endpoint))))", 'owners_all' ] } qw(redeliver cancel)),
	[ "console_delete_secret(jsonb_build_object('secret', :secret))", 'owners' ],
	(map { [ "console_$_(jsonb_build_object('event', :delivered, 'endpoint', :endpoint))", 'owners' ] } qw(set_aside put_back)),
	[ "console_save_endpoint(jsonb_build_object('id', :endpoint, 'description', 'x'))", 'owners' ],
	[ "redeliver(:event)", 'administrators' ], [ "retry_set_aside()", 'administrators' ], [ "rekey()", 'administrators' ], [ "wait_for_delivery(:event, '1 ms')", 'administrators' ],
	[ "delete_application(:application)", 'administrators' ],
	[ "drop_before('2000-01-01')", 'administrators' ], [ "adopt()", 'administrators' ],
	[ "grant_owner(:application, 'owner')", 'administrators' ], [ "revoke_owner(:application)", 'administrators' ],
	(map { ([ "grant_$_('stranger')", 'administrators' ], [ "revoke_$_('$_')", 'administrators' ]) } qw(operator writer watcher)),
	[ "grant_owner_group('stranger')", 'administrators' ], [ "revoke_owner_group('stranger')", 'administrators' ],
	[ "sign('whsec_' || encode(repeat('x', 24)::bytea, 'base64'), 'a', now(), '')", 'everybody' ], [ "verify('{}', 'x'::text, 'whsec_' || encode(repeat('x', 24)::bytea, 'base64'))", 'everybody' ],
	[ "verify('{}', 'x'::bytea, 'whsec_' || encode(repeat('x', 24)::bytea, 'base64'))", 'everybody' ], [ "exponential_backoff('1 s', 2, '1 min', 3)", 'everybody' ],
	[ "uuid_floor(now())", 'everybody' ], [ "uuid_time(:event)", 'everybody' ],
);
# A key of its own, so that there is a public one; deliveries that put_back() finds.
$bmw->sql("SELECT bm_webhook.rotate_secret($_, kind => 'ed25519')") for values %endpoint;

my %is = (administrator => 0, operator => 1, owner => 2, other => 3, writer => 4, watcher => 5, stranger => 6);
my %of = (
	shop => { endpoint => $endpoint{shop}, signing => $endpoint{shop}, secret => $secret{shop}, event => "'$event{shop}'::uuid", delivered => "'$event{shop}'::uuid", application => "'shop'" },
	none => { endpoint => 99999, signing => 99999, secret => 99999, event => "'00000000-0000-7000-8000-000000000000'::uuid", delivered => "'00000000-0000-7000-8000-000000000000'::uuid", application => "'none'" },
);

sub call
{
	my ($function, $values) = @_;
	return "SELECT * FROM bm_webhook." . $function =~ s/:(\w+)\b(?<!::\w)/exists $values->{$1} ? $values->{$1} : ":$1"/ger;
}

for (@functions)
{
	my ($function, $kind) = @$_;
	my @got = attempts(call($function, $of{shop}), @roles);
	my $got = join '', map { /^ok/ ? 'y' : /^42501/ ? 'n' : /^42704/ ? 'u' : "[$_]" } @got;
	# that of a delivery may have ended, and there is no key file: what matters is that it was asked for
	$got =~ s/\[(?:55000|42704|22023|P0002)[^\]]*\]/y/g if $function =~ /put_back|set_aside\(|rekey/;
	is($got, $rights{$kind}, "$function: for $kind");
	next unless $function =~ /:(endpoint|secret|event|application|signing|delivered)\b/ && $kind =~ /owners$|explains|readers_of_endpoint/;
	my ($foreign) = attempts(call($function, $of{shop}), 'other');
	my ($unknown) = attempts(call($function, $of{none}), 'other');
	s/\b(?:99999|$endpoint{shop}|$secret{shop})\b/N/g, s/"(?:shop|none)"/"x"/g, s/[0-9a-f]{8}-[0-9a-f-]{27}/U/g for $foreign, $unknown;
	is($foreign, $unknown, "$function: what is another's is unknown, in the same words");
}
my %called = map { $_->[0] =~ /^(\w+)/ => 1 } @functions;
my $called = join ',', sort keys %called;
is($bmw->sql(qq{SELECT string_agg(DISTINCT proname, ', ') FROM pg_proc WHERE pronamespace = 'bm_webhook'::regnamespace AND prorettype <> 'trigger'::regtype
	AND proname <> ALL ('{$called}')}), '', 'every function is in the table');

# emit() to an endpoint: with the right to emit, and only to one's own.
is((attempts("SELECT bm_webhook.emit('a.b', '{}', endpoint => $endpoint{shop})", 'writer'))[0] =~ s/\d+ does/N does/r,
	(attempts("SELECT bm_webhook.emit('a.b', '{}', endpoint => 99999)", 'writer'))[0] =~ s/\d+ does/N does/r, 'a writer cannot name endpoints');

###############################################################################
# Tables and views
###############################################################################

# Which rows an owner sees; NULL: all, empty: none.
my $by_endpoint = 'endpoint_id IN (SELECT id FROM bm_webhook.endpoint WHERE application = :a)';
my %rows = (
	application => 'name = :a', endpoint => 'application = :a', (map { $_ => $by_endpoint } qw(endpoint_state endpoint_secret delivery failed_attempt redelivery set_aside attempt
		delivery_rate delivery_day endpoint_pace endpoint_minute stat_endpoint endpoint_health)),
	event => "application = :a OR $by_endpoint", operation => "application = :a OR $by_endpoint", backlog => 'application = :a',
	message_state => 'application = :a', message_day => 'application = :a', message_rate => 'application = :a', event_type => 'true', cursor => 'true', dispatcher_minute => 'false', paused => '', status_map => '', watch_list => '', stat_dispatcher => '', partition_list => '');
my @relations = split /\n/, $bmw->sql(q{SELECT relname FROM pg_class WHERE relnamespace = 'bm_webhook'::regnamespace AND relkind IN ('r', 'p', 'v') ORDER BY 1});
is_deeply(\@relations, [ sort keys %rows ], 'every table and view is in the table');
$bmw->sql(q{CREATE FUNCTION rows_for(role text, query text) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		found text;
	BEGIN
		EXECUTE format('SET LOCAL ROLE %I', role);
		EXECUTE query INTO found;
		RESET ROLE;
		RETURN found;
	EXCEPTION WHEN insufficient_privilege THEN
		RETURN 'no';
	END $$});
for my $relation (@relations)
{
	my $md5 = "SELECT concat_ws(' ', count(*), md5(string_agg(s, ',' ORDER BY s))) FROM (SELECT %s AS s FROM bm_webhook.$relation r WHERE %s) x";
	# a secret cannot be read by all, and lags grow: rows are compared by what can be
	my $what = $relation eq 'endpoint_secret' ? 'id::text' : $relation eq 'stat_dispatcher' ? 'shard::text' : $relation =~ /^(?:stat_endpoint|endpoint_health)$/ ? 'endpoint_id::text' : 'r::text';
	my %own = (owner => 'shop', other => 'bank');
	my %expected = (operator => 'true', watcher => $relation eq 'watch_list' ? 'true' : '', map { $_ => $rows{$relation} =~ s/:a/'$own{$_}'/gr } keys %own);
	# of one snapshot: a dispatcher writes, too
	my @sees = split /\n/, $bmw->sql(join '; ', 'BEGIN ISOLATION LEVEL REPEATABLE READ',
		map({ ("SELECT rows_for('$_', " . quote(sprintf $md5, $what, 'true') . ')', $expected{$_} ? sprintf($md5, $what, $expected{$_}) : q{SELECT 'no'}) } @roles[ 1 .. 6 ]), 'COMMIT');
	while (my ($is, $should) = splice @sees, 0, 2) { is($is, $should, "$relation: what the $roles[6 - @sees / 2] sees") }
}
like($bmw->sql("SELECT rows_for('owner', 'SELECT count(*) FROM bm_webhook.$_')"), qr/^[1-9]/, "the owner has rows in $_")
  for grep { $rows{$_} && $rows{$_} ne 'false' && !/^endpoint_(?:pace|minute)$/ } @relations;
is($bmw->sql(q{SELECT rows_for('operator', 'SELECT secret FROM bm_webhook.endpoint_secret')}), 'no', 'an operator reads no secret');
is($bmw->sql(q{SELECT rows_for(r, 'SELECT count(*) FROM ' || c.oid::regclass) FROM unnest('{operator,owner,writer,watcher,stranger}'::text[]) r, pg_class c
	WHERE relnamespace = 'bm_webhook_internal'::regnamespace AND relkind IN ('r', 'p') AND relname !~ '^pending_' GROUP BY 1}), 'no', 'nobody reads partitions, or what is internal');

# Who may write, on a whole table or on columns.
is($bmw->sql(q{SELECT string_agg(concat_ws(' ', r, p, relname), ', ' ORDER BY r, relname, p) FROM pg_class c, unnest('{operator,owner,writer,watcher,stranger}'::text[]) r,
	unnest('{INSERT,UPDATE,REFERENCES}'::text[]) p WHERE relnamespace = 'bm_webhook'::regnamespace AND relkind IN ('r', 'p', 'v') AND has_any_column_privilege(r, c.oid, p)}),
	'owner INSERT endpoint, owner UPDATE endpoint, owner INSERT endpoint_secret', 'owners write columns of endpoints and secrets');
is($bmw->sql(q{SELECT count(*) FROM pg_class c, unnest('{operator,owner,writer,watcher,stranger}'::text[]) r
	WHERE relnamespace::regnamespace::text ~ '^bm_webhook' AND relkind IN ('r', 'p', 'v') AND has_table_privilege(r, c.oid, 'INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER')}), 0, 'nobody a whole table');
is((attempts("UPDATE bm_webhook.endpoint SET description = 'x' WHERE id = $endpoint{shop}", 'owner'))[0], 'ok', 'an owner changes its endpoint');
is($bmw->sql("SELECT rows_for('owner', 'WITH c AS (UPDATE bm_webhook.endpoint SET description = ''x'' RETURNING 1) SELECT count(*) FROM c')"), 1, 'and no other');
like((attempts("INSERT INTO bm_webhook.endpoint (url, application) VALUES ('https://hooks.example.com/', $_)", 'owner'))[0], qr/^42501/, "it registers none of $_") for "'bank'", 'NULL', "'none'";

###############################################################################
# Granting
###############################################################################

my $acl = q{SELECT md5(string_agg(concat_ws(' ', s, o, a), ',' ORDER BY s, o, a::text)) FROM (
	SELECT 'class' AS s, oid::regclass::text AS o, x.grantee::regrole::text || x.privilege_type AS a FROM pg_class c, aclexplode(c.relacl) x WHERE x.grantee <> 0
	UNION ALL SELECT 'column', attrelid::regclass || attname, x.grantee::regrole::text || x.privilege_type FROM pg_attribute t, aclexplode(t.attacl) x WHERE x.grantee <> 0
	UNION ALL SELECT 'proc', oid::regprocedure::text, x.grantee::regrole::text FROM pg_proc p, aclexplode(p.proacl) x WHERE x.grantee <> 0
	UNION ALL SELECT 'schema', nspname, x.grantee::regrole::text || x.privilege_type FROM pg_namespace n, aclexplode(n.nspacl) x WHERE x.grantee <> 0) g};
my $before = $bmw->sql($acl);
$bmw->sql(q{SELECT bm_webhook.grant_operator('operator'), bm_webhook.grant_owner('shop', 'owner'), bm_webhook.grant_writer('writer'), bm_webhook.grant_watcher('watcher')});
is($bmw->sql($acl), $before, 'to grant again changes nothing');
$bmw->sql(q{SELECT bm_webhook.grant_operator('owner'), bm_webhook.grant_writer('owner'), bm_webhook.grant_watcher('owner')});
like($bmw->sql(q{SELECT rows_for('owner', 'SELECT count(*) FROM bm_webhook.endpoint')}), qr/^[3-9]/, 'an owner who is an operator, too, sees all');
is($bmw->sql(q{SELECT rows_for('owner', 'SELECT secret FROM bm_webhook.endpoint_secret')}), 'no', 'but no secret');
$bmw->sql('GRANT SELECT (secret) ON bm_webhook.endpoint_secret TO owner');    # as owners of version 0.2.0 have it
is($bmw->sql(q{SELECT rows_for('owner', 'SELECT count(DISTINCT endpoint_id) FROM bm_webhook.endpoint_secret')}), 1, 'nor, who may read secrets, those of others');
$bmw->sql('REVOKE SELECT (secret) ON bm_webhook.endpoint_secret FROM owner');
is($bmw->sql(q{SELECT rows_for('owner', 'WITH c AS (UPDATE bm_webhook.endpoint SET description = ''x'' RETURNING 1) SELECT count(*) FROM c')}), 1, 'and changes only its own');
$bmw->sql(q{SELECT bm_webhook.revoke_writer('owner'), bm_webhook.revoke_operator('owner'), bm_webhook.revoke_watcher('owner')});
is($bmw->sql($acl), $before, 'what is revoked leaves what was granted otherwise');

# A plan that was made for one who saw all is not used when he does not any more.
my $session = $bmw->session;
$bmw->sql('CREATE ROLE operators; CREATE ROLE both IN ROLE owner, operators'=~ s/both/"both"/r);
$bmw->sql(q{SELECT bm_webhook.grant_operator('operators')});
$session->query_safe('SET ROLE "both"; PREPARE seen AS SELECT count(*) FROM bm_webhook.event; PREPARE known AS SELECT count(*) FROM bm_webhook.endpoint');
$session->query_safe("EXECUTE seen; EXECUTE known") for 1 .. 6;
my ($all_events, $all_endpoints) = map { $bmw->sql("SELECT count(*) FROM bm_webhook.$_") } qw(event endpoint);
is($session->query_safe('EXECUTE seen; EXECUTE known'), "$all_events\n$all_endpoints", 'a member of the operators sees all');
$bmw->sql('REVOKE operators FROM "both"');
my $own = $bmw->sql(q{SELECT rows_for('owner', 'SELECT count(*) FROM bm_webhook.event')});
is($session->query_safe('EXECUTE seen; EXECUTE known'), "$own\n1", 'and its own when it is none any more');
$bmw->sql('GRANT operators TO "both"');
is($session->query_safe('EXECUTE seen; EXECUTE known'), "$all_events\n$all_endpoints", 'all again');
$bmw->sql(q{SELECT bm_webhook.revoke_operator('operators')});
is($session->query_safe('EXECUTE seen; EXECUTE known'), "$own\n1", 'and its own when the operators are none');
# Nor one that was made before an application or an endpoint came or went.
my $both = $bmw->sql(q{SELECT count(*) FROM bm_webhook.event e WHERE application IN ('shop', 'bank')
	OR endpoint_id IN (SELECT id FROM bm_webhook.endpoint WHERE application IN ('shop', 'bank'))});
$bmw->sql(q{UPDATE bm_webhook.application SET owner = 'owner'});
is($session->query_safe('EXECUTE seen; EXECUTE known'), "$both\n2", 'it sees what it is given');
$session->query_safe('PREPARE delivered AS SELECT count(*) FROM bm_webhook.delivery');
my $delivered = $session->query_safe('EXECUTE delivered');
my $new = $bmw->endpoint('https://hooks.example.com/new', application => 'shop', enabled => 'false');
$bmw->sql("INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts) VALUES ('$event{shop}', $new, 'canceled', 0)");
is($session->query_safe('EXECUTE delivered'), $delivered + 1, 'and what is for an endpoint that is new');
$bmw->sql(q{UPDATE bm_webhook.application SET owner = 'other' WHERE name = 'bank'});
is($session->query_safe('EXECUTE seen; EXECUTE known'), "$own\n2", 'what it lost it sees no more');
$bmw->sql("BEGIN; UPDATE bm_webhook.application SET owner = 'other' WHERE name = 'shop'; PREPARE TRANSACTION 'given away'");
is($session->query_safe('EXECUTE seen; EXECUTE known'), "$own\n2", 'nothing has changed yet');
$bmw->sql("COMMIT PREPARED 'given away'");
is($session->query_safe('EXECUTE seen; EXECUTE known'), "0\n0", 'now it has');
$session->query_safe("RESET ROLE; BEGIN; UPDATE bm_webhook.application SET owner = 'owner' WHERE name = 'shop'; SET LOCAL ROLE \"both\"");
is($session->query_safe('EXECUTE seen; EXECUTE known'), "$own\n2", 'in the transaction itself');
$session->query_safe('ROLLBACK; SET ROLE "both"');
is($session->query_safe('EXECUTE seen; EXECUTE known'), "0\n0", 'and not when that is undone');
$bmw->sql(q{UPDATE bm_webhook.application SET owner = name::regrole FROM (VALUES ('shop', 'owner'), ('bank', 'other')) v (a, r) WHERE name = a} =~ s/name::regrole/r::regrole/r);
$session->quit;

$bmw->sql(q{SELECT bm_webhook.revoke_operator('operator'), bm_webhook.revoke_owner('shop'), bm_webhook.revoke_owner('bank'), bm_webhook.revoke_writer('writer'), bm_webhook.revoke_watcher('watcher');
	DROP SCHEMA of_watcher CASCADE; REVOKE ALL ON SCHEMA bm_webhook, bm_webhook_internal FROM stranger; DROP ROLE "both", operators, operator, owner, other, writer, watcher, stranger});
is($bmw->sql(q{SELECT string_agg(DISTINCT owner::text, ', ') FROM bm_webhook.application}), '-', 'all is revoked: the roles can be dropped');
is($bmw->sqlstate('SELECT bm_webhook.grant_writer(NULL)'), '22004', 'nobody is no role');
is($bmw->sqlstate("SELECT bm_webhook.grant_owner('none', current_user::regrole)"), '42704', 'there must be such an application');

$bmw->finish;

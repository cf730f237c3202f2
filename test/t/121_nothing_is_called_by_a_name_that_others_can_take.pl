# The owner of a database puts his own over every function, operator and type of
# PostgreSQL that he can, in a schema that is searched first: nothing of the
# extension calls one, whoever uses it and however.
use strict;
use warnings;

use lib 'test/lib';
use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new(extension => 0);

$bmw->sql(q{
	CREATE ROLE tenant LOGIN;
	CREATE ROLE clerk LOGIN;
	CREATE DATABASE trap OWNER tenant});
$bmw->sql('ALTER SCHEMA public OWNER TO tenant; GRANT USAGE ON SCHEMA public TO clerk', 'trap');

# Each says in the server's log that it was called, whatever becomes of the transaction.
my $made = $bmw->sql(q{
	SET SESSION AUTHORIZATION tenant;
	SET search_path = pg_catalog;
	CREATE FUNCTION public.make(sql text) RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog AS $$
		BEGIN EXECUTE sql; RETURN 1; EXCEPTION WHEN OTHERS THEN RETURN 0; END $$;

	WITH argument AS (
		SELECT p.oid, p.proname, p.proretset, p.prorettype, a.n,
			CASE WHEN t.oid = '"any"'::regtype THEN 'text' ELSE format_type(t.oid, NULL) END AS type,
			t.typtype = 'p' AND t.oid NOT IN ('anyelement'::regtype, 'anyarray'::regtype, 'anynonarray'::regtype, 'anycompatible'::regtype,
				'anycompatiblearray'::regtype, 'anycompatiblenonarray'::regtype, 'record'::regtype, '"any"'::regtype) AS is_impossible
		FROM pg_proc p LEFT JOIN unnest(p.proargtypes) WITH ORDINALITY a (type, n) ON true LEFT JOIN pg_type t ON t.oid = a.type
		WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND NOT (p.proname ~ '(in|out|recv|send)$' AND p.prorettype = 'cstring'::regtype)
	), signature AS (
		SELECT oid, proname, proretset, prorettype, array_remove(array_agg(type ORDER BY n), NULL) AS types
		FROM argument GROUP BY 1, 2, 3, 4 HAVING NOT bool_or(coalesce(is_impossible, false))
	), variant AS (	-- a better match than a polymorphic one
		SELECT DISTINCT proname, proretset, prorettype,
			(SELECT string_agg(CASE WHEN t IN ('anyelement', 'anynonarray', 'anycompatible', 'anycompatiblenonarray') THEN element
				WHEN t IN ('anyarray', 'anycompatiblearray') THEN element || '[]' ELSE t END, ', ' ORDER BY n) FROM unnest(types) WITH ORDINALITY u (t, n)) AS arguments
		FROM signature, unnest('{text,jsonb,bigint,integer,timestamptz,uuid,oid,smallint,name,interval}'::text[]) element
	)
	SELECT sum(public.make(format('CREATE FUNCTION public.%I(%s) RETURNS %s %s LANGUAGE plpgsql SET search_path = pg_catalog AS %L',
		proname, arguments, CASE WHEN proretset THEN 'SETOF' END,
		CASE WHEN prorettype = 'void'::regtype OR (SELECT typtype FROM pg_type WHERE oid = prorettype) = 'p' THEN 'text' ELSE format_type(prorettype, NULL) END,
		format('BEGIN RAISE LOG %L; RAISE EXCEPTION %1$L; END', format('hostile function %s(%s)', proname, arguments)))))
	FROM variant;

	WITH variant AS (
		SELECT DISTINCT oprname, replace(replace(format_type(oprleft, NULL), 'anyarray', element || '[]'), 'anycompatible', element) AS l,
			replace(replace(format_type(oprright, NULL), 'anyarray', element || '[]'), 'anycompatible', element) AS r, format_type(oprresult, NULL) AS result
		FROM pg_operator, unnest('{text,jsonb,bigint,integer,timestamptz,uuid,oid}'::text[]) element
		WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprleft <> 0
	), numbered AS (SELECT *, row_number() OVER () AS n FROM variant)
	SELECT sum(public.make(format('CREATE FUNCTION public.operator_%s(%s, %s) RETURNS %s LANGUAGE plpgsql SET search_path = pg_catalog AS %L',
			n, l, r, replace(replace(result, 'anyarray', l), 'anycompatiblearray', l), format('BEGIN RAISE LOG %L; RAISE EXCEPTION %1$L; END', format('hostile operator %s %s %s', l, oprname, r))))
		* public.make(format('CREATE OPERATOR public.%s (FUNCTION = public.operator_%s, LEFTARG = %s, RIGHTARG = %s)', oprname, n, l, r)))
	FROM numbered;

	CREATE FUNCTION public.second(anyelement, anyelement) RETURNS anyelement LANGUAGE plpgsql SET search_path = pg_catalog AS $$
		BEGIN RAISE LOG 'hostile aggregate'; RAISE EXCEPTION 'hostile aggregate'; END $$;
	SELECT sum(public.make(format('CREATE AGGREGATE public.%I(%s) (SFUNC = public.second, STYPE = %2$s)', name, type)))
	FROM unnest('{min,max,sum,count,array_agg,bool_or,avg}'::text[]) name,
		unnest('{text,text[],bigint,integer,timestamptz,interval,uuid,jsonb,boolean,oid,name}'::text[]) type;

	CREATE FUNCTION public.check_value(pg_catalog.text) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog AS $$
		BEGIN RAISE LOG 'hostile type'; RAISE EXCEPTION 'hostile type'; END $$;
	SELECT sum(public.make(format('CREATE DOMAIN public.%I AS pg_catalog.%1$I CHECK (public.check_value(value::pg_catalog.text))', name)))
	FROM unnest('{text,jsonb,json,uuid,timestamptz,name,oid,regclass,regprocedure,regtype,bytea,int4,int8,bool,float8,pg_type,pg_proc,pg_class,date,xid8}'::text[]) name;

	ALTER DATABASE trap SET search_path = public, pg_catalog;}, 'trap');
my @made = split /\n/, $made;
cmp_ok($made[0], '>', 2500, "$made[0] hostile functions");
cmp_ok($made[1], '>', 800, "$made[1] hostile operators");
cmp_ok($made[2], '>', 30, "$made[2] hostile aggregates");
cmp_ok($made[3], '>', 15, "$made[3] hostile types");

# What was called since the last question.
my $offset = 0;

sub nothing_hostile
{
	my ($what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $log = PostgreSQL::Test::Utils::slurp_file($bmw->node->logfile, $offset);
	my %called = map { $_ => 1 } $log =~ /LOG:\s+(hostile.*)/g;
	$offset += length $log;
	is(join("\n", sort keys %called), '', $what);
	return;
}

# Statements of this test in which nothing but the extension looks a name up.
sub run
{
	my ($sql, $role) = @_;
	my $err;
	$bmw->node->psql('trap', ($role ? "SET SESSION AUTHORIZATION $role; " : '') . $sql, stderr => \$err,
		extra_params => [ '-v', 'ON_ERROR_STOP=1' ]);
	my ($error) = $err =~ /(ERROR.*)/;
	is($error, undef, 'as ' . ($role // 'superuser') . ': ' . substr($sql =~ s/\s+/ /gr, 0, 60));
	return;
}

run('SELECT 1');
like($bmw->sqlstate(q{SELECT 'a' OPERATOR(public.||) 'b'}, 'trap'), qr/./, 'the traps work');
$offset = -s $bmw->node->logfile;

run('CREATE EXTENSION bm_webhook');
nothing_hostile('CREATE EXTENSION');

run(q{
	INSERT INTO bm_webhook.application (name) VALUES ('shop');
	INSERT INTO bm_webhook.endpoint (url, application, ordering) VALUES ('} . $bmw->receiver->url('/ok/trap') . q{', 'shop', 'by_message');
	UPDATE bm_webhook.endpoint SET description = 'trapped';
	INSERT INTO bm_webhook.status_map VALUES ('acme', 'done', 'delivered');
	UPDATE bm_webhook.application SET muted_event_types = '{nothing.here}';});
nothing_hostile('registration');

run(q{
	CREATE SCHEMA ours;
	GRANT USAGE ON SCHEMA ours TO clerk;
	CREATE TABLE ours.orders (id pg_catalog.int8 PRIMARY KEY, status pg_catalog.text, doc pg_catalog.json, at pg_catalog.timestamptz);
	CREATE TABLE ours.sms (id pg_catalog.int8 PRIMARY KEY, application pg_catalog.text, channel pg_catalog.text, status pg_catalog.text,
		sender pg_catalog.text, recipient pg_catalog.text, occurred_at pg_catalog.timestamptz, content pg_catalog.jsonb, error pg_catalog.jsonb);
	CREATE TABLE ours.replies (id pg_catalog.int8 PRIMARY KEY, application pg_catalog.text, channel pg_catalog.text,
		sender pg_catalog.text, recipient pg_catalog.text, content pg_catalog.text);
	GRANT ALL ON ours.orders, ours.sms, ours.replies TO clerk;
	CREATE FUNCTION ours.data(o ours.orders) RETURNS pg_catalog.jsonb LANGUAGE sql RETURN pg_catalog.to_jsonb(o);
	SELECT bm_webhook.watch('ours.orders', 'order.{status}', 'shop', changed => '{status,doc}', occurred_at => '{at}', condition => 'NEW.id > 0');
	SELECT bm_webhook.watch('ours.orders', 'bulk.{status}', 'shop', changed => '{status,doc}', condition => 'NEW.id > 0', level => 'statement', columns => '{id}');
	SELECT bm_webhook.watch('ours.orders', 'function.made', 'shop', function => 'ours.data(ours.orders)', operations => '{INSERT}');
	SELECT bm_webhook.watch_messages('ours.sms', provider => 'acme');
	SELECT bm_webhook.watch_replies('ours.replies', level => 'statement');});
nothing_hostile('watching');

for my $role (undef, 'clerk')
{
	my ($first, $second) = defined $role ? (10, 11) : (1, 2);
	run(qq{
		INSERT INTO ours.orders VALUES ($first, 'new', '{}', pg_catalog.now()), ($second, 'new', '{}', pg_catalog.now());
		UPDATE ours.orders SET status = 'paid';
		INSERT INTO ours.sms VALUES ($first, 'shop', 'sms', 'done', 'shop', '+33612345678', pg_catalog.now(), '{"type": "text", "text": "Hello"}');
		INSERT INTO ours.replies VALUES ($first, 'shop', 'sms', '+33612345678', 'shop', 'Yes');}, $role);
	nothing_hostile('writing as ' . ($role // 'superuser'));
}

run(q{
	SELECT bm_webhook.emit('order.counted', '{}', 'shop');
	SELECT bm_webhook.ping(1);
	SELECT bm_webhook.message_received(application => 'shop', channel => 'sms', message_id => 'm-2', sender => '+33612345678', recipient => 'shop', content => '{"type": "text", "text": "Yes"}');
	SELECT bm_webhook.sign(bm_webhook.secret(1), 'id', pg_catalog.now(), 'body');
	SELECT bm_webhook.verify('{}', 'body', bm_webhook.secret(1));
	SELECT bm_webhook.exponential_backoff('1 s', 2, '1 h', 5);
	SELECT bm_webhook.jwks(1), bm_webhook.rotate_secret(1);
	SELECT bm_webhook.preview(id, 1), bm_webhook.explain_delivery(id), bm_webhook.set_aside(id, 1), bm_webhook.put_back(id, 1)
	FROM bm_webhook.event LIMIT 1;
	SELECT bm_webhook.cancel(endpoint => 1, dry_run => true), bm_webhook.recover(1, pg_catalog.now()),
		bm_webhook.redeliver(1, pg_catalog.now(), dry_run => true), bm_webhook.pause(1), bm_webhook.resume(1);
	SELECT bm_webhook.grant_owner('shop', 'clerk'), bm_webhook.revoke_owner('shop');});
nothing_hostile('functions');

$bmw->wait_for_requests('trap', 20);
nothing_hostile('the dispatcher');

run(q{
	SELECT * FROM bm_webhook.status();
	SELECT * FROM bm_webhook.backlog;
	SELECT * FROM bm_webhook.endpoint_pace;
	SELECT * FROM bm_webhook.stat_endpoint;
	SELECT * FROM bm_webhook.stat_dispatcher;
	SELECT * FROM bm_webhook.endpoint_health;
	SELECT * FROM bm_webhook.partition_list;
	SELECT * FROM bm_webhook.watch_list;
	SELECT * FROM bm_webhook.attempt;
	SELECT * FROM bm_webhook.message_state;
	SELECT * FROM bm_webhook.message_rate;
	SELECT * FROM bm_webhook.message_rate('2000-01-01', '2100-01-01');
	SELECT * FROM bm_webhook.delivery_rate;
	SELECT * FROM bm_webhook.delivery_rate('2000-01-01', '2100-01-01');
	SELECT * FROM bm_webhook.message_history('m-2');
	DO 'BEGIN PERFORM bm_webhook.redeliver(event_id) FROM bm_webhook.delivery LIMIT 1; END'});
nothing_hostile('reports');

run(q{
	SELECT bm_webhook.console_session('{}'), bm_webhook.console_overview('{}'), bm_webhook.console_hour('{}'), bm_webhook.console_endpoints('{"q": "trap"}'),
		bm_webhook.console_endpoint('{"endpoint": 1}'), bm_webhook.console_causes('{"endpoint": 1}'), bm_webhook.console_event_types('{}'),
		bm_webhook.console_deliveries('{"status": "failed", "type": "order.*"}'), bm_webhook.console_deliveries('{"endpoint": 1, "application": "shop"}'),
		bm_webhook.console_count_deliveries('{"status": "failed", "type": "order.*"}'), bm_webhook.console_operations('{}'), bm_webhook.console_system('{}'), bm_webhook.console_message('{"message_id": "m-2"}'),
		bm_webhook.console_message_rates('{}'), bm_webhook.console_delivery_rates('{}'), bm_webhook.console_tail('{}');
	SELECT bm_webhook.console_tail(pg_catalog.jsonb_build_object('cursor', cursor)) FROM bm_webhook.console_tail('{}');
	SELECT bm_webhook.console_listen(pg_catalog.jsonb_build_object('cursor', cursor, 'endpoint', 1, 'event_types', '["a.b"]'::pg_catalog.jsonb))
		FROM bm_webhook.console_listen('{}');
	BEGIN; SELECT bm_webhook.console_export('{"what": "deliveries"}'); FETCH ALL FROM console_export; COMMIT;
	BEGIN; SELECT bm_webhook.console_export('{"what": "message_rates", "format": "jsonl"}'); FETCH ALL FROM console_export; COMMIT;
	SELECT bm_webhook.console_delivery(x), bm_webhook.console_event(x), bm_webhook.console_preview(x), bm_webhook.console_redeliver(x), bm_webhook.console_set_aside(x),
		bm_webhook.console_put_back(x), bm_webhook.console_cancel(x) FROM (SELECT pg_catalog.jsonb_build_object('event', event_id, 'endpoint', endpoint_id,
			'deliveries', pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_array(event_id, endpoint_id))) FROM bm_webhook.delivery LIMIT 1) AS d (x);
	SELECT bm_webhook.console_save_endpoint('{"id": 1, "description": "trapped again", "retry_delays": ["1 s"]}'), bm_webhook.console_delete_endpoint('{"endpoint": 1, "dry_run": true}'),
		bm_webhook.console_pause(x), bm_webhook.console_resume(x), bm_webhook.console_ping(x), bm_webhook.console_redeliver_since(x), bm_webhook.console_recover(x),
		bm_webhook.console_secret(x), bm_webhook.console_rotate_secret(x) FROM (VALUES ('{"endpoint": 1, "since": "2000-01-01"}'::pg_catalog.jsonb)) AS d (x)});
nothing_hostile('the console');

run(q{
	SELECT bm_webhook.unwatch('ours.orders');
	SELECT bm_webhook.unwatch('ours.sms');
	UPDATE bm_webhook.application SET description = 'store';
	SELECT bm_webhook.retry_set_aside();
	INSERT INTO bm_webhook.endpoint_secret (endpoint_id, secret) VALUES (1, bm_webhook.secret(1));
	SELECT bm_webhook.delete_secret(1);
	SELECT bm_webhook.delete_endpoint(1);
	DELETE FROM bm_webhook.endpoint;
	DELETE FROM bm_webhook.application;
	DROP EXTENSION bm_webhook CASCADE;
	CREATE EXTENSION bm_webhook;});
nothing_hostile('the end, and a second beginning');
is($bmw->sql(q{SELECT pg_catalog.string_agg(extname, ',') FROM pg_catalog.pg_extension WHERE extname OPERATOR(pg_catalog.=) 'bm_webhook'}, 'trap'), 'bm_webhook', 'it is there');

$bmw->finish;

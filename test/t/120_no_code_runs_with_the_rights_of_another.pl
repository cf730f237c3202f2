# What a role that owns a table, a schema or a database leaves there for others
# to run: it never runs as a superuser who installs, watches or writes.
use strict;
use warnings;

use lib 'test/lib';
use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new(extension => 0);

$bmw->sql(q{
	CREATE ROLE tenant LOGIN;
	CREATE DATABASE trap OWNER tenant});

# Whoever runs it says so in public.loot.
my $loot = q{
	CREATE TABLE IF NOT EXISTS public.loot (who text, what text);
	GRANT ALL ON public.loot TO PUBLIC;
	CREATE OR REPLACE FUNCTION public.seen(what text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		IF current_user <> 'tenant' THEN
			INSERT INTO public.loot VALUES (current_user, what);
		END IF;
	END $$;};

sub as_tenant { my ($sql, $database) = @_; return $bmw->sql("SET SESSION AUTHORIZATION tenant; $sql", $database) }

sub nothing_was_run
{
	my ($what, $database) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($bmw->sql("SELECT string_agg(who || ' ran ' || what, ', ') FROM public.loot", $database), '', $what);
	is($bmw->sql("SELECT rolsuper FROM pg_roles WHERE rolname = 'tenant'"), 'f', 'and gave no right away');
	return;
}

# The role of the extension must be its own.
for my $role ('LOGIN', 'BYPASSRLS', 'REPLICATION', 'CREATEROLE', 'CREATEDB', 'IN ROLE pg_read_all_data', 'ROLE tenant')
{
	$bmw->sql("CREATE ROLE bm_webhook $role");
	is($bmw->sqlstate('CREATE EXTENSION bm_webhook'), '42710', "a role bm_webhook with $role is refused");
	$bmw->sql('DROP ROLE bm_webhook');
}
$bmw->sql(q{CREATE ROLE bm_webhook; CREATE TABLE theirs (); ALTER TABLE theirs OWNER TO bm_webhook});
is($bmw->sqlstate('CREATE EXTENSION bm_webhook'), '42710', 'a role bm_webhook that owns something is refused');
$bmw->sql('DROP TABLE theirs; DROP ROLE bm_webhook');

# Better matches than those of pg_catalog, in the schema where names are looked for.
as_tenant(q{ALTER SCHEMA public OWNER TO tenant;} . $loot . q{
	CREATE FUNCTION public.unnest(text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
		BEGIN PERFORM public.seen('unnest'); RETURN QUERY SELECT pg_catalog.unnest($1); END $$;
	CREATE FUNCTION public.joined(text[], text[]) RETURNS text[] LANGUAGE plpgsql AS $$
		BEGIN PERFORM public.seen('||'); RETURN pg_catalog.array_cat($1, $2); END $$;
	CREATE OPERATOR public.|| (FUNCTION = public.joined, LEFTARG = text[], RIGHTARG = text[]);
	CREATE FUNCTION public.same(text[], text[]) RETURNS boolean LANGUAGE plpgsql AS $$
		BEGIN PERFORM public.seen('='); RETURN pg_catalog.array_eq($1, $2); END $$;
	CREATE OPERATOR public.= (FUNCTION = public.same, LEFTARG = text[], RIGHTARG = text[]);
	CREATE FUNCTION public.larger(text[], text[]) RETURNS text[] LANGUAGE plpgsql AS $$
		BEGIN PERFORM public.seen('max'); RETURN pg_catalog.array_larger($1, $2); END $$;
	CREATE AGGREGATE public.max(text[]) (SFUNC = public.larger, STYPE = text[]);
	CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$
		BEGIN PERFORM public.seen('clock_timestamp'); RETURN pg_catalog.clock_timestamp(); END $$;}, 'trap');
$bmw->sql('CREATE EXTENSION bm_webhook', 'trap');
nothing_was_run('installing runs nothing of schema public', 'trap');
$bmw->sql(q{
	SELECT bm_webhook.message_status(application => 'shop', message_id => 'm-1', status => 'sent', channel => 'sms',
		recipient => '+33612345678', sender => 'shop');
	SELECT * FROM bm_webhook.message_state;
	SELECT * FROM bm_webhook.backlog;
	SELECT * FROM bm_webhook.message_rate;
	SELECT * FROM bm_webhook.message_history('m-1');
	SELECT * FROM bm_webhook.delivery_rate;}, 'trap');
nothing_was_run('nor does reading the views', 'trap');
$bmw->sql('DROP DATABASE trap WITH (FORCE)');

# A second database finds the role as the first has left it.
$bmw->sql('CREATE EXTENSION bm_webhook');
$bmw->sql('CREATE DATABASE second');
$bmw->sql('CREATE EXTENSION bm_webhook', 'second');
pass('a second database can use the role');
$bmw->sql('DROP DATABASE second WITH (FORCE)');

# A domain whose CHECK watch() would run.
$bmw->sql($loot . q{CREATE SCHEMA tenant AUTHORIZATION tenant; CREATE SCHEMA shared; GRANT CREATE, USAGE ON SCHEMA shared TO tenant});
as_tenant(q{
	CREATE FUNCTION tenant.evil(text) RETURNS boolean LANGUAGE plpgsql AS $$
		BEGIN PERFORM public.seen('a CHECK'); RETURN true; END $$;
	CREATE DOMAIN tenant.d AS text CHECK (tenant.evil(value));
	CREATE TABLE tenant.msg (id bigint PRIMARY KEY, channel text, sender text, recipient text, content text, status tenant.d, error jsonb)});
$bmw->sql(q{
	SELECT bm_webhook.watch('tenant.msg', 'row.{status}', changed => '{status}');
	SELECT bm_webhook.watch('tenant.msg', 'bulk.{status}', changed => '{status}', level => 'statement');
	SELECT bm_webhook.watch_messages('tenant.msg');
	SELECT bm_webhook.unwatch('tenant.msg');});
nothing_was_run('watching runs no CHECK of a domain');

# A function in the place of the one that makes the payload.
$bmw->sql(q{
	CREATE TABLE shared.ev (id bigint PRIMARY KEY, at int) PARTITION BY RANGE (id);
	CREATE TABLE shared.ev1 PARTITION OF shared.ev FOR VALUES FROM (1) TO (100);
	CREATE FUNCTION shared.ev_data(e shared.ev) RETURNS jsonb LANGUAGE sql AS $$SELECT jsonb_build_object('id', e.id)$$;
	SELECT bm_webhook.watch('shared.ev', 'ev.made', function => 'shared.ev_data(shared.ev)')});
as_tenant(q{
	CREATE FUNCTION shared.ev_data(e shared.ev1) RETURNS jsonb LANGUAGE plpgsql AS $$
		BEGIN PERFORM public.seen('a payload function'); RETURN '{"evil": 1}'; END $$;});
$bmw->sql('INSERT INTO shared.ev VALUES (1)');
nothing_was_run(q{a function for the row type of a partition is not taken});
is($bmw->sql("SELECT data FROM bm_webhook.event WHERE type = 'ev.made'"), '{"id": 1}', 'but the one that was named');

$bmw->sql('DROP FUNCTION shared.ev_data(shared.ev)');
as_tenant(q{
	CREATE FUNCTION shared.ev_data(e shared.ev) RETURNS jsonb LANGUAGE plpgsql AS $$
		BEGIN PERFORM public.seen('another function of that name'); RETURN '{"evil": 2}'; END $$;});
$bmw->node->psql('postgres', 'INSERT INTO shared.ev VALUES (2)');
nothing_was_run('a function that does not belong to the owner of the table is not run');
is($bmw->sqlstate(q{SELECT bm_webhook.watch('shared.ev', 'ev.again', function => 'shared.ev_data(shared.ev)')}),
	'42501', 'nor can it be named');

# A function in the place of one that an earlier version made, with an owner of its own.
$bmw->sql('CREATE TABLE shared.sms (id bigint PRIMARY KEY, channel text, sender text, recipient text, status text, error jsonb)');
as_tenant(q{
	CREATE FUNCTION shared.bm_webhook_message(m shared.sms) RETURNS jsonb LANGUAGE plpgsql AS $$
		BEGIN PERFORM public.seen('a function that was there before'); RETURN '{}'; END $$;});
$bmw->node->psql('postgres', q{SELECT bm_webhook.watch_messages('shared.sms')});
as_tenant(q{
	CREATE OR REPLACE FUNCTION shared.bm_webhook_message(m shared.sms) RETURNS jsonb LANGUAGE plpgsql AS $$
		BEGIN PERFORM public.seen('a function that was there before'); RETURN '{}'; END $$;});
$bmw->sql(q{INSERT INTO shared.sms VALUES (1, 'sms', 'shop', '+33612345678', 'sent')});
nothing_was_run('what bears the name of a payload function is not run');

# A schema that is called as the quoted name of another.
$bmw->sql('GRANT CREATE ON DATABASE postgres TO tenant; CREATE SCHEMA "App"; CREATE TABLE "App".sms (id bigint PRIMARY KEY)');
$bmw->sql(q{CREATE FUNCTION "App".sms_data(s "App".sms) RETURNS jsonb LANGUAGE sql AS $$SELECT '{"good": 1}'::jsonb$$;
	GRANT USAGE ON SCHEMA "App" TO tenant});
as_tenant(q{
	CREATE SCHEMA """App""";
	GRANT USAGE ON SCHEMA """App""" TO PUBLIC;
	CREATE FUNCTION """App""".sms_data(s "App".sms) RETURNS jsonb LANGUAGE plpgsql AS $$
		BEGIN PERFORM public.seen('a function in a look-alike schema'); RETURN '{"evil": 3}'; END $$;});
$bmw->sql(q{
	SELECT bm_webhook.watch('"App".sms', 'sms.made', function => '"App".sms_data("App".sms)');
	INSERT INTO "App".sms VALUES (1)});
nothing_was_run('a name that must be quoted leads where it says');
is($bmw->sql("SELECT data FROM bm_webhook.event WHERE type = 'sms.made'"), '{"good": 1}', 'to the function that was named');

# What a stranger has made for the row type is not the owner's to drop.
as_tenant(q{CREATE FUNCTION tenant.bm_webhook_message(s "App".sms) RETURNS jsonb LANGUAGE sql AS $$SELECT '{}'::jsonb$$;});
$bmw->sql('CREATE ROLE owner_of_sms; GRANT USAGE ON SCHEMA "App", bm_webhook, bm_webhook_internal TO owner_of_sms; ALTER TABLE "App".sms OWNER TO owner_of_sms');
$bmw->sql('GRANT EXECUTE ON FUNCTION bm_webhook.unwatch(regclass, text) TO owner_of_sms');
is($bmw->sql(q{SET ROLE owner_of_sms; SELECT bm_webhook.unwatch('"App".sms')}), '1', 'the owner of a table can end its watches');

$bmw->finish;

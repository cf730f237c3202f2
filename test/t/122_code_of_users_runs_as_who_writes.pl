# Which code of users a watch runs, whose that may be, and as whom it runs: as
# the role that writes the row, and only what is of the table's owner.
use strict;
use warnings;

use lib 'test/lib';
use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;

$bmw->sql(q{
	CREATE ROLE stranger LOGIN;
	CREATE ROLE shop LOGIN;
	CREATE ROLE clerk LOGIN;
	CREATE SCHEMA stranger AUTHORIZATION stranger;
	CREATE SCHEMA shop AUTHORIZATION shop;
	GRANT USAGE, CREATE ON SCHEMA shop TO stranger;
	GRANT USAGE ON SCHEMA shop, stranger TO clerk, shop;
	GRANT USAGE ON SCHEMA bm_webhook, bm_webhook_internal TO shop;
	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA bm_webhook TO shop;
	CREATE TABLE public.ran (n int GENERATED ALWAYS AS IDENTITY, what text, as_role text);
	GRANT ALL ON public.ran TO PUBLIC;
	CREATE FUNCTION public.say(what text) RETURNS boolean LANGUAGE plpgsql AS $$
		BEGIN INSERT INTO public.ran (what, as_role) VALUES (what, current_user); RETURN true; END $$});

sub as { my ($role, $sql) = @_; return $bmw->sql("SET SESSION AUTHORIZATION $role; $sql") }

# What ran since the last question.
sub ran
{
	my ($expected, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($bmw->sql(q{WITH r AS (DELETE FROM public.ran RETURNING *)
		SELECT string_agg(DISTINCT what || ' as ' || as_role, ', ' ORDER BY what || ' as ' || as_role) FROM r}), $expected, $what);
	return;
}

sub data { my ($type) = @_; return $bmw->sql("SELECT data FROM bm_webhook.event WHERE type = '$type' ORDER BY id DESC LIMIT 1") }

###############################################################################
# As whom
###############################################################################

as('shop', q{
	CREATE TYPE shop.size AS ENUM ('small', 'large');
	CREATE FUNCTION shop.size_json(shop.size) RETURNS json LANGUAGE plpgsql AS $$
		BEGIN PERFORM public.say('cast'); RETURN to_json($1::text); END $$;
	CREATE CAST (shop.size AS json) WITH FUNCTION shop.size_json(shop.size);
	CREATE FUNCTION shop.check_note(text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN public.say('domain'); END $$;
	CREATE DOMAIN shop.note AS text NOT NULL CHECK (shop.check_note(value));
	CREATE TABLE shop.orders (id bigint PRIMARY KEY, size shop.size, note shop.note DEFAULT 'none');
	CREATE FUNCTION shop.order_data(o shop.orders) RETURNS jsonb LANGUAGE plpgsql AS $$
		BEGIN PERFORM public.say('function'); RETURN jsonb_build_object('id', o.id); END $$;
	CREATE FUNCTION shop.order_by_owner(id bigint) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
		BEGIN ATOMIC INSERT INTO shop.orders (id, size) VALUES (id, 'large'); END;
	GRANT INSERT, UPDATE, SELECT ON shop.orders TO clerk;
	GRANT EXECUTE ON FUNCTION shop.order_by_owner TO clerk;});
for my $watcher ('postgres', 'shop')
{
	my $as = $watcher eq 'shop' ? 'shop' : $bmw->sql('SELECT current_user');
	as($as, qq{
		SELECT bm_webhook.watch('shop.orders', '$watcher.row', changed => '{note,size}', condition => q.c, function => 'shop.order_data(shop.orders)'),
			bm_webhook.watch('shop.orders', '$watcher.bulk', changed => '{note,size}', condition => q.c, level => 'statement')
		FROM (VALUES ('public.say(''condition'')')) q (c)});
	ran('', "watching as $watcher runs nothing");
}
as('clerk', q{INSERT INTO shop.orders (id, size, note) VALUES (1, 'small', 'x')});
ran('cast as clerk, condition as clerk, domain as clerk, function as clerk', 'what a writer causes runs as the writer');
as('clerk', q{SELECT shop.order_by_owner(2)});
ran('cast as shop, condition as shop, domain as shop, function as shop', 'and as the owner in a function of the owner');
is($bmw->sql(q{SELECT count(*), count(*) FILTER (WHERE type = 'webhook.capture_failed') FROM bm_webhook.event}), '8|0', 'each is an event');
$bmw->endpoint('/ok/orders', event_types => '{webhook.*,*}');
as('clerk', q{UPDATE shop.orders SET size = 'large' WHERE id = 1});
ran('cast as clerk, condition as clerk, function as clerk', 'no value is checked again');
$bmw->wait_for_requests('orders', 4);
$bmw->settle;
$bmw->sql('SELECT * FROM bm_webhook.backlog; SELECT * FROM bm_webhook.attempt; SELECT * FROM bm_webhook.message_state');
ran('', 'the dispatcher and the reports run nothing');
as('shop', q{SELECT bm_webhook.unwatch('shop.orders')});
ran('', 'nor does the end of a watch');

# Triggers need no rights of who fires them, and their functions neither.
$bmw->sql('CREATE SCHEMA hidden AUTHORIZATION shop');
as('shop', q{
	CREATE FUNCTION hidden.order_data(o shop.orders) RETURNS jsonb LANGUAGE sql AS $$SELECT '{"from": "hidden"}'::jsonb$$;
	REVOKE ALL ON FUNCTION hidden.order_data FROM PUBLIC;
	SELECT bm_webhook.watch('shop.orders', 'hidden.made', function => 'hidden.order_data(shop.orders)')});
is($bmw->sqlstate(q{SET SESSION AUTHORIZATION clerk; INSERT INTO shop.orders VALUES (3, 'small', 'x')}), '', 'a writer can write');
is(data('hidden.made'), '{"from": "hidden"}', 'and needs no right on the function');
as('shop', q{SELECT bm_webhook.unwatch('shop.orders')});
$bmw->sql('TRUNCATE public.ran');

###############################################################################
# Whose
###############################################################################

as('stranger', q{
	CREATE TYPE stranger.mood AS ENUM ('glad', 'sad');
	CREATE TYPE stranger.pair AS (a int, j json);
	CREATE DOMAIN stranger.moods AS stranger.mood[];
	GRANT USAGE ON TYPE stranger.mood, stranger.pair TO PUBLIC;
	CREATE FUNCTION stranger.mood_json(stranger.mood) RETURNS json LANGUAGE plpgsql AS $$ BEGIN PERFORM public.say('a cast to json'); RETURN '"evil"'; END $$;
	CREATE FUNCTION stranger.pair_text(stranger.pair) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM public.say('a cast to text'); RETURN ''; END $$;
	CREATE CAST (stranger.pair AS text) WITH FUNCTION stranger.pair_text(stranger.pair);});
as('shop', q{
	CREATE TYPE shop.wrapped AS (mood stranger.mood);
	CREATE TABLE shop.letter (id bigint PRIMARY KEY, mood stranger.mood, moods stranger.moods, wrapped shop.wrapped, pair stranger.pair);
	GRANT INSERT, UPDATE, SELECT ON shop.letter TO clerk;
	SELECT bm_webhook.watch('shop.letter', 'letter.all');
	SELECT bm_webhook.watch('shop.letter', 'letter.row', changed => '{pair}', columns => '{id}');
	SELECT bm_webhook.watch('shop.letter', 'letter.bulk', changed => '{pair}', columns => '{id}', level => 'statement')});

my $session = $bmw->session;

# Whether it succeeds or not, in the session whose plans are made.
sub try_to { return $session->query_safe('DO $do$ BEGIN ' . $_[0] . '; EXCEPTION WHEN OTHERS THEN NULL; END $do$') }

$session->query_safe(q{INSERT INTO shop.letter VALUES (1, 'glad', '{sad}', '(glad)', '(1,{})')});
like(data('letter.all'), qr/"mood":"glad"/, 'types of others are read by their output functions');
$session->query_safe(q{UPDATE shop.letter SET pair = '(2,{})'});
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.event WHERE type IN ('letter.row', 'letter.bulk')}), '4', 'values are compared');
$session->query_safe(q{UPDATE shop.letter SET pair = '(2,{})'});
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.event WHERE type IN ('letter.row', 'letter.bulk')}), '4', 'an update that changes nothing is none');
$session->query_safe(q{UPDATE shop.letter SET pair = NULL});
$session->query_safe(q{UPDATE shop.letter SET pair = '(,)'});
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.event WHERE type IN ('letter.row', 'letter.bulk')}), '8', 'NULL is a value of its own');
ran('', 'a stranger\'s cast to text is not used to compare');

# What comes after a plan is made counts, in the same session too.
as('stranger', 'CREATE CAST (stranger.mood AS json) WITH FUNCTION stranger.mood_json(stranger.mood)');
try_to(q{INSERT INTO shop.letter VALUES (2, 'glad', '{sad}', '(glad)', '(1,{})')});
ran('', 'a stranger\'s cast to json is not run');
unlike(data('letter.all'), qr/evil/, 'nor is what it would give sent');
for my $column (qw(mood moods wrapped))
{
	is($bmw->sqlstate(qq{SELECT bm_webhook.watch('shop.letter', 'letter.$column', columns => '{$column}')}), '42501', "$column cannot be watched");
}
$bmw->sql('ALTER FUNCTION stranger.mood_json(stranger.mood) OWNER TO shop');
$session->query_safe(q{INSERT INTO shop.letter VALUES (3, 'glad', '{sad}', '(glad)', '(1,{})')});
ran('a cast to json as postgres', 'but one that the owner of the table has been given is');
like(data('letter.all'), qr/"moods":\["evil"\],"wrapped":\{"mood":"evil"\}/, 'in arrays and composites too');
as('shop', q{ALTER FUNCTION stranger.mood_json(stranger.mood) OWNER TO shop});
$bmw->sql('ALTER FUNCTION stranger.mood_json(stranger.mood) OWNER TO stranger');
try_to(q{INSERT INTO shop.letter VALUES (4, 'glad', '{sad}', '(glad)', '(1,{})')});
ran('', 'until it is given away');

# A composite type that gets such a field later.
as('shop', q{
	CREATE TABLE shop.parcel (id bigint PRIMARY KEY, pair stranger.pair);
	SELECT bm_webhook.watch('shop.parcel', 'parcel.made')});
$session->query_safe(q{INSERT INTO shop.parcel VALUES (1, '(1,{})')});
as('stranger', 'ALTER TYPE stranger.pair ADD ATTRIBUTE mood stranger.mood');
try_to(q{INSERT INTO shop.parcel VALUES (2, '(1,{},glad)')});
ran('', 'nor is it run for a field that a type has got later');

# A table that changes hands, with a partition whose rows have been captured.
as('shop', q{
	CREATE TABLE shop.parted (id bigint PRIMARY KEY) PARTITION BY RANGE (id);
	CREATE TABLE shop.part PARTITION OF shop.parted DEFAULT;
	CREATE FUNCTION shop.parted_data(p shop.parted) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN PERFORM public.say('function'); RETURN '{}'; END $$;
	SELECT bm_webhook.watch('shop.parted', 'parted.made', function => 'shop.parted_data(shop.parted)')});
$session->query_safe('INSERT INTO shop.parted VALUES (1)');
ran('function as postgres', 'the function of the owner is run');
$bmw->sql('ALTER TABLE shop.parted OWNER TO clerk');
try_to('INSERT INTO shop.parted VALUES (2)');
ran('', 'that of a former owner is not');
$bmw->sql('GRANT clerk TO shop');
$session->query_safe('INSERT INTO shop.parted VALUES (3)');
ran('function as postgres', 'that of a role with the rights of the owner is');
$bmw->sql('REVOKE clerk FROM shop');
try_to('INSERT INTO shop.parted VALUES (4)');
ran('', 'as long as it has them');
$session->quit;

# A condition at statement level: its text is looked up again, and a better match may have come, of a function or an operator.
$bmw->sql(q{CREATE OPERATOR public.<-> (FUNCTION = numeric_eq, LEFTARG = numeric, RIGHTARG = numeric)});
as('shop', q{
	CREATE TABLE shop.ticket (id integer PRIMARY KEY);
	CREATE FUNCTION shop.is_open(bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM public.say('is_open'); RETURN true; END $$;
	SELECT bm_webhook.watch('shop.ticket', 'ticket.made', condition => 'shop.is_open(NEW.id)', level => 'statement'),
		bm_webhook.watch('shop.ticket', 'ticket.same', condition => 'NEW.id OPERATOR(public.<->) NEW.id', level => 'statement')});
$session = $bmw->session;
$session->query_safe('INSERT INTO shop.ticket VALUES (1)');
ran('is_open as postgres', 'the function that was named is run');
as('stranger', q{
	CREATE FUNCTION shop.is_open(integer) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM public.say('a better match'); RETURN true; END $$;
	CREATE FUNCTION shop.same(integer, integer) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM public.say('a better operator'); RETURN true; END $$});
$bmw->sql('GRANT CREATE ON SCHEMA public TO stranger');
try_to('INSERT INTO shop.ticket VALUES (2)');
ran('', 'a better match of a stranger is not');
as('stranger', q{CREATE OPERATOR public.<-> (FUNCTION = shop.same, LEFTARG = integer, RIGHTARG = integer)});
try_to('INSERT INTO shop.ticket VALUES (3)');
ran('', 'nor is a better operator');
is($bmw->sql(q{SELECT count(*) FROM shop.ticket}), 3, 'but whoever writes can write');
is($bmw->sql(q{SELECT DISTINCT data ->> 'error' FROM bm_webhook.event WHERE type = 'webhook.capture_failed' AND data ->> 'relation' = 'shop.ticket' ORDER BY 1}),
	join("\n", map { "function $_, which \"condition\" calls, does not belong to the owner of \"ticket\"" } 'is_open', 'same'), 'and the log says why');
is($bmw->sqlstate(q{SELECT bm_webhook.watch('shop.ticket', 'ticket.again', condition => 'shop.is_open(NEW.id)', level => 'statement')}), '42501',
	'nor can it be watched so');
is($bmw->sqlstate(q{SELECT bm_webhook.watch('shop.ticket', 'ticket.equal', condition => 'NEW.id OPERATOR(public.<->) NEW.id', level => 'statement')}), '42501',
	'nor by the operator');
as('stranger', 'DROP FUNCTION shop.is_open(integer)');
$session->query_safe('INSERT INTO shop.ticket VALUES (4)');
ran('is_open as postgres', 'when it has gone, the one that was named is run again');
$session->quit;

# A function that only looks like one of ours, beside the table, and is not the owner's to drop.
as('stranger', q{CREATE FUNCTION shop.bm_webhook_message(o shop.orders) RETURNS jsonb LANGUAGE sql AS $$SELECT '{}'::jsonb$$});
as('shop', q{SELECT bm_webhook.watch('shop.orders', 'order.last', columns => '{id}')});
is(as('shop', q{SELECT bm_webhook.unwatch('shop.orders')}), '1', 'the owner of a table can end its watches');

$bmw->finish(expected => qr/does not belong to the owner/);

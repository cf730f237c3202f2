# What row-level security asks of a query of the log: nothing for the dispatcher and for those who see all, and of an owner
# the condition that he would write himself, by index.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
$bmw->sql(q{CREATE ROLE shop; CREATE ROLE operator; INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('bank');
	SELECT bm_webhook.grant_owner('shop', 'shop'), bm_webhook.grant_operator('operator')});
my $endpoint = $bmw->endpoint('/ok/shop', application => 'shop');
$bmw->endpoint('/ok/bank', application => 'bank');

sub explain_as
{
	my ($role, $query) = @_;
	return $bmw->sql("SET enable_seqscan = off; SET ROLE $role; EXPLAIN (COSTS OFF) $query");
}
my %query = (
	event => q{SELECT id FROM bm_webhook.event WHERE message_id = 'm'}, delivery => q{SELECT event_id FROM bm_webhook.delivery WHERE status = 'failed'},
	failed_attempt => 'SELECT response FROM bm_webhook.failed_attempt', redelivery => 'SELECT asked_by FROM bm_webhook.redelivery',
	set_aside => 'SELECT cause FROM bm_webhook.set_aside', operation => 'SELECT id FROM bm_webhook.operation', endpoint => 'SELECT id FROM bm_webhook.endpoint');
for my $table (sort keys %query)
{
	unlike(explain_as($_, $query{$table}), qr/(?:Filter|Cond): .*(?:application|endpoint_id|ANY)|InitPlan|SubPlan/, "$table: no condition for $_")
	  for qw(bm_webhook operator);
	is(explain_as('operator', $query{$table}), $bmw->sql("SET enable_seqscan = off; EXPLAIN (COSTS OFF) $query{$table}"), 'the plan of an operator is that of a superuser');
}
like(explain_as('shop', $query{event}), qr/Index Cond: \(\(message_id = 'm'::text\) AND \(application = 'shop'::text\)\)\s*$/m, 'an owner finds events by index, and sees his');
like(explain_as('shop', $query{delivery}), qr/Index Cond: \(endpoint_id = ANY \('\{$endpoint\}'::bigint\[\]\)\)/, 'and deliveries of his endpoints');
unlike(explain_as('shop', $query{$_}), qr/InitPlan|SubPlan/, "$_: nothing is asked for each row") for sort keys %query;

# What EXPLAIN estimates of a condition of the owner's tells nothing of the URLs of others, which may have credentials.
$bmw->sql(q{INSERT INTO bm_webhook.endpoint (url, application, enabled) SELECT format('https://%s%s.example.com/?key=%2$s', a, g), a, false
	FROM unnest('{shop,bank}'::text[]) a, generate_series(1, 300) g; ANALYZE bm_webhook.endpoint});
my ($some, $none) = map { explain_rows("SELECT id FROM bm_webhook.endpoint WHERE url < '$_'") } 'https://bank5', 'https://aaa';
is($some, $none, 'as many rows are expected whatever it is compared with');
sub explain_rows { my ($query) = @_; $bmw->sql("SET ROLE shop; EXPLAIN $query") =~ /rows=(\d+)/ or die; return $1 }
$bmw->sql(q{DELETE FROM bm_webhook.endpoint WHERE url LIKE '%key=%'});

# A session without row security, as that of a restore: what the functions read as the owner of the log is not the session's.
$bmw->sql(q{UPDATE bm_webhook.application SET max_emit_rate = 1000; CREATE ROLE writer; SELECT bm_webhook.grant_writer('writer')});
my $off = 'SET row_security = off;';
is($bmw->sqlstate("$off SET ROLE shop; SELECT id FROM bm_webhook.endpoint"), '42501', 'PostgreSQL refuses what a policy would leave out');
is($bmw->sqlstate("$off $_"), '', $_) for q{SELECT bm_webhook.emit('order.paid', '{}', 'shop')}, q{SET ROLE writer; SELECT bm_webhook.emit('order.paid', '{}', 'shop')},
  "SET ROLE shop; SELECT bm_webhook.ping($endpoint)", "SET ROLE shop; SELECT bm_webhook.rotate_secret($endpoint)", "SET ROLE shop; SELECT bm_webhook.pause($endpoint), bm_webhook.resume($endpoint)";
is($bmw->sql("$off SET ROLE writer; SELECT bm_webhook.emit('order.paid', '{}', 'shop') \\gset\nSHOW row_security"), 'off', 'it stays off');
is($bmw->sqlstate("$off SET ROLE shop; SELECT bm_webhook.ping(0)"), '42704', 'others');
$bmw->sql('DELETE FROM bm_webhook.event');

# What a function of the owner is shown, is his: conditions of users come after those of policies.
$bmw->sql(q{CREATE TABLE seen (application text); GRANT INSERT ON seen TO shop;
	CREATE FUNCTION peek(a text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$BEGIN INSERT INTO seen VALUES (a); RETURN true; END$$});
$bmw->emit('order.paid', application => $_) for qw(shop bank);
is($bmw->sql('SET ROLE shop; SELECT count(*) FROM bm_webhook.event WHERE peek(application)'), 1, 'an owner sees his events');
is($bmw->sql('SELECT string_agg(DISTINCT application, \',\') FROM seen'), 'shop', 'and so do his functions');

# What is kept of a role's applications is forgotten when something changes, also while a query has it: here, between one
# argument and the next.
$bmw->sql(q{INSERT INTO bm_webhook.application (name, owner) SELECT lpad(g::text, 120, 'x'), 'shop' FROM generate_series(1, 90) g;
	CREATE FUNCTION changed(living boolean) RETURNS text[] LANGUAGE plpgsql AS $$
		BEGIN INSERT INTO bm_webhook.endpoint (url, application) VALUES ('https://hooks.example.com/', 'shop');
		RETURN bm_webhook_internal.own_applications(living); END$$});
is($bmw->sql(q{SET ROLE shop; SELECT cardinality(bm_webhook_internal.own_applications(g > 0) || changed(g > 0)) FROM generate_series(0, 1) g}), "182\n182",
	'the list that a query has stays what it was');

# A superuser owns what every role does: until it is none, also in a session of before.
$bmw->sql(q{CREATE ROLE former LOGIN SUPERUSER; UPDATE bm_webhook.application SET owner = 'pg_database_owner' WHERE name = 'bank'});
my $session = $bmw->session;
$session->query_safe('SET SESSION AUTHORIZATION former');
my $seen = q{SELECT cardinality(bm_webhook_internal.own_applications(false))};
is($session->query_safe($seen), 92, 'a superuser owns all');
$bmw->sql(q{ALTER ROLE former NOSUPERUSER; GRANT USAGE ON SCHEMA bm_webhook_internal TO former});
is($session->query_safe($seen), 0, 'who is none any more, nothing');
$bmw->sql('ALTER DATABASE postgres OWNER TO former');
is($session->query_safe($seen), 1, 'the owner of the database, what is of pg_database_owner');
$bmw->sql('ALTER DATABASE postgres OWNER TO shop');
is($session->query_safe($seen), 0, 'as long as it is that');
$session->quit;

# Of who owns many, rows are looked up one by one: no plan has a list of thousands.
$bmw->sql(q{CREATE ROLE chain; SELECT bm_webhook.grant_owner('bank', 'chain');
	INSERT INTO bm_webhook.endpoint (url, application) SELECT 'https://hooks.example.com/', 'bank' FROM generate_series(1, 600);
	INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts)
		SELECT bm_webhook.uuid_floor(now()), id, 'failed', 1 FROM bm_webhook.endpoint});
for my $table (sort keys %query)
{
	unlike(explain_as('chain', $query{$table}), qr/ANY \('\{\d|InitPlan|SubPlan/, "$table: an owner of many has no list in his plans");
}
like(explain_as('chain', $query{delivery}), qr/status = 'failed'.*\s+Filter: .*is_endpoint_of\('\d+'::oid, endpoint_id\)/, 'but a condition for each row');
my $of_bank = q{SELECT count(*) FROM bm_webhook.delivery WHERE status = 'failed'};
is($bmw->sql("SET ROLE chain; $of_bank"), 601, 'he sees what is his');
is($bmw->sql("SET ROLE shop; $of_bank"), 3, 'and others what is theirs');
my $reader = $bmw->session;
$reader->query_safe('SET SESSION AUTHORIZATION chain');
$reader->query_safe("PREPARE of_bank AS $of_bank");
is($reader->query_safe('EXECUTE of_bank'), 601, 'with a plan that is kept, too');
$bmw->sql(q{UPDATE bm_webhook.application SET owner = 'shop' WHERE name = 'bank'});
is($reader->query_safe('EXECUTE of_bank'), 0, 'until it is another\'s');
$reader->quit;
is($bmw->sql("SET ROLE shop; $of_bank"), 604, 'who then owns many');
is($bmw->sql(q{SET ROLE chain; SELECT bm_webhook_internal.is_endpoint_of('shop'::regrole::oid, id) FROM generate_series(1, 9) id LIMIT 1}), 'f',
	'nobody learns what another role owns');
is($bmw->sql(q{GRANT chain TO shop; SET ROLE shop; INSERT INTO bm_webhook.endpoint (url, application) VALUES ('https://hooks.example.com/', 'bank') RETURNING application}),
	'bank', 'an owner of many registers endpoints');
is($bmw->sqlstate(q{SET ROLE chain; INSERT INTO bm_webhook.endpoint (url, application) VALUES ('https://hooks.example.com/', 'bank')}), '42501', 'and nobody else');

$bmw->finish;

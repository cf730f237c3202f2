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
like(explain_as('shop', $query{event}), qr/Index Cond: \(message_id = 'm'::text\)\s+Filter: \(\(application = ANY \('\{shop\}'::text\[\]\)\)/, 'an owner finds events by index, and sees his');
like(explain_as('shop', $query{delivery}), qr/Index Cond: \(endpoint_id = ANY \('\{$endpoint\}'::bigint\[\]\)\)/, 'and deliveries of his endpoints');
unlike(explain_as('shop', $query{$_}), qr/InitPlan|SubPlan/, "$_: nothing is asked for each row") for sort keys %query;

# What a function of the owner is shown, is his: conditions of users come after those of policies.
$bmw->sql(q{CREATE TABLE seen (application text); GRANT INSERT ON seen TO shop;
	CREATE FUNCTION peek(a text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$BEGIN INSERT INTO seen VALUES (a); RETURN true; END$$});
$bmw->emit('order.paid', application => $_) for qw(shop bank);
is($bmw->sql('SET ROLE shop; SELECT count(*) FROM bm_webhook.event WHERE peek(application)'), 1, 'an owner sees his events');
is($bmw->sql('SELECT string_agg(DISTINCT application, \',\') FROM seen'), 'shop', 'and so do his functions');

$bmw->finish;

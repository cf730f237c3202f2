# recover() counts what came just before an endpoint was enabled; times that cannot be meant are refused
# without the inside of the functions; nobody without rights to deliveries has the dispatcher look for them.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $id = $bmw->endpoint('/ok/back', event_types => '{test.missed}', enabled => 'false');
my $witness = $bmw->endpoint('/ok/witness', event_types => '{test.missed}');

# The dispatcher has passed them; what it has written of that is up to a second old.
my @matched;
for my $round (1 .. 5)
{
	$bmw->sql("UPDATE bm_webhook.endpoint SET enabled = false WHERE id = $id");
	$bmw->settle;
	$bmw->emit_many(100, 'test.missed');
	$bmw->wait_for_requests('witness', 100 * $round);
	push @matched, $bmw->sql("UPDATE bm_webhook.endpoint SET enabled = true WHERE id = $id;
		SELECT matched FROM bm_webhook.recover($id, '-infinity')");
	$bmw->wait_for_requests('back', 100 * $round);
	$bmw->settle;
}
is("@matched", '100 100 100 100 100', 'what was missed is counted, and sent');
$bmw->arrived_exactly_once('back', q{SELECT id FROM bm_webhook.event WHERE type = 'test.missed'}, 'once each');

# Times.
sub error_of
{
	my ($sql) = @_;
	my $stderr = '';
	$bmw->node->psql('postgres', $sql, stderr => \$stderr, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	return $stderr =~ s/^psql:\S+ //mgr;
}
for my $call ("recover($id, 'infinity')", "redeliver($id, since => 'infinity')", "redeliver($id, 'infinity', 'infinity')",
	"message_rate('infinity')", "message_rate(NULL, '-infinity')", "delivery_rate('infinity')", "delivery_rate('1960-01-01')")
{
	my $error = error_of("SELECT * FROM bm_webhook.$call");
	like($error, qr/ERROR:  22008: .*\nHINT: /, "$call is refused");
	unlike($error, qr/CONTEXT/, 'in one sentence');
}
is($bmw->sqlstate("SELECT * FROM bm_webhook.$_"), '', $_)
  for "recover($id, '-infinity', 'infinity')", "redeliver($id, '-infinity', 'infinity')", "cancel(before => 'infinity', dry_run => true)",
  "recover($id, '290000-01-01')", "message_rate('-infinity', 'infinity')";

# A look.
$bmw->sql('CREATE ROLE nobody_in_particular; GRANT USAGE ON SCHEMA bm_webhook, bm_webhook_internal TO nobody_in_particular');
is($bmw->sqlstate("SET ROLE nobody_in_particular; SELECT bm_webhook_internal.look(id) FROM generate_series(1, 65) id"), '42501',
	'who may not change deliveries has nobody look for them');
$bmw->sql('GRANT UPDATE (status) ON bm_webhook.delivery TO nobody_in_particular');
is($bmw->sqlstate("SET ROLE nobody_in_particular; SELECT bm_webhook_internal.look(id) FROM generate_series(1, 65) id"), '', 'who may, does');

$bmw->finish;

# An endpoint that fails without a break for bm_webhook.disable_after is disabled,
# which its state, an event and the server's log say; one that failed for long and
# then answers has recovered, and its own row was not touched. With disable_after = 0 nothing of that
# happens, and a failure that does not last leaves no trace in the state.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new(conf => "bm_webhook.disable_after = 0\n");
my $receiver = $bmw->receiver;

$bmw->sql(q{INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('bank')});
$bmw->endpoint('/ok/told', event_types => '{endpoint.*}');
$bmw->endpoint("/ok/told-$_", event_types => '{endpoint.*}', application => $_) for qw(shop bank);

# The transactions that wrote the rows of the endpoint last.
sub writers_of
{
	my ($id) = @_;
	return $bmw->sql("SELECT e.xmin, s.xmin FROM bm_webhook.endpoint e JOIN bm_webhook.endpoint_state s ON s.endpoint_id = e.id WHERE id = $id");
}

sub events
{
	my ($type) = @_;
	return $bmw->sql("SELECT count(*) FROM bm_webhook.event WHERE type = '$type'");
}

# never: the rows stay as they are
my $never = $bmw->endpoint('/fail/2/never', retry_delays => '{100 ms,100 ms,100 ms}', event_types => '{test.never}');
my $writers = writers_of($never);
$bmw->wait_for_delivery($bmw->emit('test.never'));
$bmw->settle;
is($receiver->count('never', 'requests'), 3, 'two attempts failed');
is(writers_of($never), $writers, 'nothing was written of them');
is(events("endpoint.$_"), 0, "and nothing is told as $_") for qw(failing recovered);

# a second: what lasts longer is written, and has an end. No jitter makes the first delay shorter.
$bmw->set('bm_webhook.disable_after', '1s');
my $recovers = $bmw->endpoint('/fail/2/recovers', retry_delays => '{1500 ms,1500 ms}', event_types => '{test.recovers}');
my ($registered) = split /\|/, writers_of($recovers);
my $event = $bmw->emit('test.recovers');
$bmw->wait_for_delivery($event);
$bmw->wait_for_sql('it is not any more',
	"SELECT failing_since IS NULL AND enabled FROM bm_webhook.endpoint JOIN bm_webhook.endpoint_state ON endpoint_id = id WHERE id = $recovers");
$bmw->wait_for_requests('told', 2);
is($bmw->sql("SELECT concat_ws(' ', data ->> 'endpoint_id', data ->> 'error_class', data ->> 'failing_since' IS NOT NULL)"
		  . " FROM bm_webhook.event WHERE type = 'endpoint.failing'"), "$recovers http_status t", 'endpoint.failing says which and why');
is($bmw->sql("SELECT data ->> 'endpoint_id' FROM bm_webhook.event WHERE type = 'endpoint.recovered'"), $recovers,
	'endpoint.recovered says which');
is($bmw->sql("SELECT count(DISTINCT data ->> 'failing_since') FROM bm_webhook.event WHERE type LIKE 'endpoint.%'"), 1, 'both since when');
like(writers_of($recovers), qr/^$registered\|/, 'the endpoint itself was not changed');

# Many failures for longer than that: disabled. It would be told of itself, which makes nothing further.
my $dead = $bmw->endpoint('/status/500/dead', retry_delays => '{' . join(',', ('200 ms') x 100) . '}',
	event_types => '{test.dead,endpoint.*}', application => 'shop');
my $waiting = $bmw->emit('test.dead', application => 'shop');
$bmw->wait_for_sql('it is disabled', "SELECT NOT enabled AND disabled_at IS NOT NULL AND failing_since IS NOT NULL"
	  . " AND disabled_reason LIKE '%disable_after%' FROM bm_webhook.endpoint JOIN bm_webhook.endpoint_state ON endpoint_id = id WHERE id = $dead");
$bmw->wait_for_requests('told', 4);
is($bmw->sql("SELECT data ->> 'endpoint_id' FROM bm_webhook.event WHERE type = 'endpoint.disabled'"), $dead,
	'endpoint.disabled says which');
my $log = PostgreSQL::Test::Utils::slurp_file($bmw->node->logfile);
is(() = $log =~ /LOG:  bm_webhook has disabled endpoint $dead: /g, 1, 'the log says it once');
is($bmw->sql("SELECT status FROM bm_webhook.delivery WHERE event_id = '$waiting'"), 'pending', 'what is for it waits');

my $missed = $bmw->emit('test.dead', application => 'shop');
$bmw->settle;
is($bmw->sql("SELECT count(*) FROM bm_webhook.delivery WHERE event_id = '$missed'"), 0, 'new events are not for it');

# Enabled again it begins anew.
$receiver->behave('dead', 'ok');
$bmw->sql("UPDATE bm_webhook.endpoint SET enabled = true WHERE id = $dead");
$bmw->wait_for_sql('what waited is delivered',
	"SELECT status = 'delivered' FROM bm_webhook.delivery WHERE event_id = '$waiting'");
$bmw->settle;
is($bmw->sql("SELECT failing_since IS NULL AND enabled FROM bm_webhook.endpoint JOIN bm_webhook.endpoint_state ON endpoint_id = id WHERE id = $dead"), 't',
	'it has no past');
is(events('endpoint.failing'), 2, 'that it fails was told once of each');
is($receiver->count("told-$_->[0]", 'requests'), $_->[1], "$_->[0] is told of so many") for [ shop => 2 ], [ bank => 0 ];

$bmw->finish;

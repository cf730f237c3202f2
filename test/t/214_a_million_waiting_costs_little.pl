# Very much waits for endpoints that do not answer, and next to nothing of it is due: it is neither
# counted nor read, other endpoints do not notice, and what becomes due is found: by the dispatcher
# that starts, by the one that is told which endpoint is meant, and by the one that nobody told.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $ROWS = 20_000;
my $ENDPOINTS = 300;
my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

my $shop = $bmw->endpoint('/ok/shop', event_types => '{shop.*}');
my @parked = map { $bmw->endpoint("/ok/parked$_", event_types => '{parked.*}', max_in_flight => 4, enabled => 'false') } 1 .. $ENDPOINTS;
my $list = '{' . join(',', @parked) . '}';

# Pending rows, due in a day, as a dispatcher would have written them. Who is disabled does not get the events as they come.
$bmw->sql(<<"END");
WITH made AS (
	INSERT INTO bm_webhook.event (id, xid, type, occurred_at, created_at, data)
		SELECT (encode(substring(uuid_send(bm_webhook.uuid_floor(now())) FOR 8), 'hex') || '8' || lpad(to_hex(n), 15, '0'))::uuid,
			pg_current_xact_id(), 'parked.x', now(), now(), '{}'
		FROM generate_series(1, $ROWS) n
		RETURNING id
)
INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts, next_attempt_at)
	SELECT id, ('$list'::bigint[])[1 + row_number() OVER () % $ENDPOINTS], 'pending', 1, now() + interval '1 day' FROM made
END
$bmw->wait_for_delivery($bmw->emit('shop.built'));
$bmw->sql("UPDATE bm_webhook.endpoint SET enabled = true WHERE id = ANY ('$list')");
$bmw->node->restart;
$bmw->wait_until_up;

# Others are served, and of what is not due nothing is sent.
$bmw->wait_for_delivery($bmw->emit('shop.opened'));
is($receiver->count('shop', 'requests'), 2, 'another endpoint gets its event');

# What the one who starts finds is due.
sub deliveries { return $bmw->sql("SELECT count(*) FROM bm_webhook.delivery WHERE status = 'delivered' AND endpoint_id = ANY ('$list')") }
is(deliveries(), 0, 'nothing that is not due is sent');
my @due = ($parked[0], $parked[150], $parked[-1]);
my $some = '{' . join(',', @due) . '}';
$bmw->sql("UPDATE bm_webhook.delivery d SET next_attempt_at = now() FROM (SELECT DISTINCT ON (endpoint_id) event_id, endpoint_id FROM bm_webhook.delivery "
	  . "WHERE endpoint_id = ANY ('$some') AND status = 'pending' ORDER BY endpoint_id, event_id) x WHERE x.event_id = d.event_id AND x.endpoint_id = d.endpoint_id");
$bmw->node->restart;
$bmw->wait_for_sql('what is due at the start is sent, to the last endpoint',
	"SELECT count(*) = 3 FROM bm_webhook.delivery WHERE status = 'delivered' AND endpoint_id = ANY ('$list')");

# A part is sent again by redeliver(), many of them at once, while others get events.
my $again = $bmw->sql("SELECT string_agg(event_id::text, ' ') FROM (SELECT DISTINCT ON (endpoint_id) event_id FROM bm_webhook.delivery "
	  . "WHERE status = 'pending' AND endpoint_id = ANY ('$list') ORDER BY endpoint_id, event_id LIMIT 100) x");
my @again = split / /, $again;
my @others;
for my $event (@again[0 .. 19])
{
	$bmw->sql("SELECT bm_webhook.redeliver('$event')");
	push @others, $bmw->emit('shop.sold');
}
$bmw->wait_for_delivery($_) for @others;
my $rest = join(', ', map { "'$_'" } @again[20 .. 99]);
is($bmw->sql("SELECT sum(bm_webhook.redeliver(id)) FROM bm_webhook.event WHERE id IN ($rest)"), 80, 'of more endpoints in one transaction than are told by name');
$bmw->wait_for_sql('what was asked for again is sent',
	"SELECT count(*) = 103 FROM bm_webhook.delivery WHERE status = 'delivered' AND endpoint_id = ANY ('$list')");
is($bmw->sql("SELECT count(*) FROM bm_webhook.delivery WHERE status = 'pending'"), $ROWS - 103, 'and nothing else');

# Nobody may start a look at everything, and who names an endpoint changes nothing.
$bmw->sql('CREATE ROLE nobody_in_particular; GRANT USAGE ON SCHEMA bm_webhook, bm_webhook_internal TO nobody_in_particular');
is($bmw->sqlstate('SET ROLE nobody_in_particular; SELECT bm_webhook_internal.look()'), '42883', 'nobody has everything looked at');
is($bmw->sqlstate("SET ROLE nobody_in_particular; SELECT bm_webhook_internal.look(id) FROM generate_series(1, 100000) id"), '42501', 'nor any that are named');
$bmw->sql("SELECT bm_webhook_internal.look(id) FROM generate_series(1, 100000) id");
$bmw->wait_for_delivery($bmw->emit('shop.closed'));
is(deliveries(), 103, 'a look sends nothing that is not due');
$bmw->finish;

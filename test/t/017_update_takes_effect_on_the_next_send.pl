# An UPDATE of an endpoint takes effect on the next send, without a restart: for
# events of the transaction that updates, for those after it, and for those that
# wait to be tried again. A rolled back one has no effect.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my $id = $bmw->endpoint('/ok/a', event_types => '{test.event}');
my %url = map { $_ => $receiver->url("/ok/$_") } qw(a b c);

$bmw->share_secrets($id, $_) for qw(a b c);

# Back and forth, with an event in the same transaction and one right after.
my %expected = (a => [], b => []);
for my $i (1 .. 15)
{
	my $to = $i % 2 ? 'b' : 'a';
	push @{ $expected{$to} }, split /\n/, $bmw->sql("BEGIN; UPDATE bm_webhook.endpoint SET url = '$url{$to}' WHERE id = $id; SELECT "
		  . $bmw->emit_call('test.event') . '; COMMIT; SELECT ' . $bmw->emit_call('test.event'));
}
$bmw->settle;
for my $name (qw(a b))
{
	$bmw->arrived_exactly_once($name, 'VALUES ' . join(',', map { "('$_')" } @{ $expected{$name} }),
		"$name: the events after the UPDATE to it");
}

$bmw->sql("BEGIN; UPDATE bm_webhook.endpoint SET url = '$url{c}' WHERE id = $id; ROLLBACK");
$bmw->wait_for_delivery($bmw->emit('test.event'));
is($receiver->count('c', 'requests'), 0, 'an UPDATE that is rolled back has no effect');

# What waits goes where the endpoint is now.
$receiver->behave('b', 'status/503');
$bmw->sql("UPDATE bm_webhook.endpoint SET retry_delays = '{1 s,1 s,1 s,1 s,1 s}' WHERE id = $id");
my $event = $bmw->emit('test.event');
$bmw->wait_for_sql('the first attempt has failed', "SELECT EXISTS (SELECT FROM bm_webhook.failed_attempt WHERE event_id = '$event')");
$bmw->sql("UPDATE bm_webhook.endpoint SET url = '$url{c}' WHERE id = $id");
$bmw->wait_for_delivery($event);
is($receiver->count('c', 'requests'), 1, 'a delivery that waits is sent to the new URL');

# Filters, headers and schedule.
$bmw->sql(qq(UPDATE bm_webhook.endpoint SET headers = '{"X-Tenant": "two"}' WHERE id = $id));
$bmw->wait_for_delivery($bmw->emit('test.event'));
is(($receiver->requests('c'))[-1]{headers}{'x-tenant'}, 'two', 'headers');
$bmw->sql("UPDATE bm_webhook.endpoint SET event_types = '{other.*}' WHERE id = $id");
$bmw->emit('test.event');
$bmw->wait_for_delivery($bmw->emit('other.type'));
$bmw->settle;
is($receiver->count('c', 'requests'), 3, 'event types');
$receiver->behave('c', 'status/500');
$bmw->sql("UPDATE bm_webhook.endpoint SET retry_delays = '{}' WHERE id = $id");
$event = $bmw->emit('other.type');
$bmw->wait_for_sql('it has failed', "SELECT EXISTS (SELECT FROM bm_webhook.delivery WHERE event_id = '$event' AND status = 'failed' AND attempts = 1)");
pass('schedule');

$bmw->finish;

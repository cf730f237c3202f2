# An interval of months and days that cancel each other is what it is in hours;
# and rows that came past the triggers, with values that nothing can be made of, do
# not keep an event from any other endpoint.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

$bmw->sql(q{INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('bank')});
my $bank = $bmw->endpoint('/ok/bank', application => 'bank', event_types => '{test.event}');

# Such a row passes for one of a second, and is one.
my $odd = $bmw->endpoint('/fail/1/odd', application => 'shop', event_types => '{test.odd}',
	timeout => '1200 months -36000 days 20 s', retry_delays => '{1200 months -36000 days 100 ms,-12 months 360 days 100 ms}');
is($bmw->sql("SELECT timeout, retry_delays FROM bm_webhook.endpoint WHERE id = $odd"), '00:00:20|{00:00:00.1,00:00:00.1}',
	'intervals are stored in one exact form');
$bmw->wait_for_delivery($bmw->emit('test.event', application => 'bank'));
$bmw->wait_for_delivery($bmw->emit('test.odd', application => 'shop'));
is($receiver->count('odd', 'requests'), 2, 'and its retries come when they say');

# Without triggers, as a superuser can.
my $n = 0;
for my $columns (
	{ timeout => '1200 months -36000 days 1 s', retry_delays => '{1200 months -36000 days}' },
	{ timeout => '170000000 years' }, { timeout => '-170000000 years' }, { timeout => '-1 s' },
	{ retry_delays => '{170000000 years,NULL,-1 s}' }, { retry_delays => '{{1 s,2 s},{3 s,4 s}}' },
	{ headers => '[1]' }, { headers => '"x"' }, { headers => '{"x": null, "y": {"z": 1}, "a b": "c", "v": "a\r\nb: c"}' },
	{ event_types => '{NULL,"",test.event}' }, { event_types => '{}' }, { metadata => '1' },
	{ max_in_flight => -5 }, { created_at => '-infinity' }, { created_at => 'infinity' })
{
	my @names = ('url', 'application', sort keys %$columns);
	$columns->{url} = $receiver->url('/ok/past' . $n++);
	$columns->{application} = 'shop';
	$bmw->sql('SET session_replication_role = replica; INSERT INTO bm_webhook.endpoint (' . join(', ', @names) . ') VALUES ('
		  . join(', ', map { BmWebhook::quote($columns->{$_}) } @names) . ')');
}
$bmw->sql(q{SET session_replication_role = replica;
	INSERT INTO bm_webhook.application (name, muted_event_types) VALUES ('odd', '{NULL,"",a}');
	INSERT INTO bm_webhook.endpoint_secret (endpoint_id, secret) SELECT id, 'no secret' FROM bm_webhook.endpoint WHERE application = 'shop'});
$bmw->sql("UPDATE bm_webhook.endpoint SET description = 'read again' WHERE id = $bank");
$bmw->wait_for_delivery($bmw->emit('test.event', application => 'bank'));
$bmw->emit('test.event', application => 'odd');
$bmw->emit('test.event', application => 'shop');
$bmw->sql("UPDATE bm_webhook.endpoint SET description = 'and again' WHERE id = $bank");
$bmw->wait_for_delivery($bmw->emit('test.event', application => 'bank'));
is($receiver->count('bank', 'delivered'), 3, 'the other endpoint gets all');
is($bmw->status('state'), 'running', 'the dispatcher works');

$bmw->finish;

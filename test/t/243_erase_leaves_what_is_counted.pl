# erase() takes a person's data out of events, responses and outcomes set aside: by
# message or by address, for an owner in his application alone. Ids, times, statuses
# and reports stay as they were; it is recorded, without what was erased.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
$bmw->sql(q{CREATE ROLE shop; CREATE ROLE bank;
	INSERT INTO bm_webhook.application (name, owner) VALUES ('shop', 'shop'), ('bank', 'bank');
	GRANT USAGE ON SCHEMA bm_webhook TO shop, bank; GRANT EXECUTE ON FUNCTION bm_webhook.erase TO shop, bank});
$bmw->receiver->behave('hooks', 'status/500/hooks');
$bmw->endpoint('/ok/hooks', retry_delays => '{1 h}');
my $ana = '+33698765432';
for my $application ('shop', 'bank')
{
	for my $message ('m1', 'm2', 'other')
	{
		my $to = $message eq 'other' ? '+33600000000' : $ana;
		$bmw->sql(qq{SELECT bm_webhook.message_status('delivered', '$application', 'sms', '$message', '+33123456789', '$to', '2026-02-03 04:05:06Z',
			metadata => '{"campaign": "spring", "name": "Ana"}', recipient_name => 'Ana', client_ref => 'Ana')});
	}
	$bmw->sql(qq{SELECT bm_webhook.message_received('{"type": "text", "text": "I am Ana"}', '$application', 'sms', 'in', '$ana', '+33123456789');
		SELECT bm_webhook.emit('order.paid', '{"name": "Ana"}', '$application', message_id => 'm1')});
}
$bmw->wait_for_sql('all have been tried', q{SELECT count(*) = 10 FROM bm_webhook.failed_attempt});
$bmw->sql('UPDATE bm_webhook.endpoint SET enabled = false');
$bmw->sql(q{UPDATE bm_webhook.failed_attempt SET response = 'no Ana here'});
my $facts = q{SELECT md5(string_agg(s::text, ',' ORDER BY s::text)) FROM (SELECT e.id, e.type, e.application, e.message_id, e.occurred_at, e.created_at, d.status, d.attempts,
	d.last_attempt_at, d.http_status FROM bm_webhook.event e LEFT JOIN bm_webhook.delivery d ON d.event_id = e.id) s};
my $rates = q{SELECT md5(string_agg(r::text, ',' ORDER BY r::text)) FROM bm_webhook.message_rate() r};
my $states = q{SELECT md5(string_agg(r::text, ',' ORDER BY r::text)) FROM bm_webhook.message_state r};
my @before = map { $bmw->sql($_) } $facts, $rates, $states;

my $call = 'SELECT events, responses, set_aside, is_complete, operation IS NOT NULL FROM bm_webhook.erase';
is($bmw->sql("SET ROLE shop; $call('m1')"), '2|2|0|t|t', 'a message of the caller');
is($bmw->sql(q{SELECT application, count(*) FROM bm_webhook.event WHERE data->>'erased' = 'true' GROUP BY 1}), 'shop|2', 'of his application alone');
is($bmw->sql("SET ROLE shop; $call('m1')"), '0|0|0|t|f', 'there is nothing left');
is($bmw->sql("SET ROLE shop; $call(recipient => '$ana')"), '2|2|0|t|t', 'to and from an address');
is($bmw->sqlstate("SET ROLE shop; $call('m1', application => 'bank')"), '42704', 'the application of another');
is($bmw->sql("$call(recipient => '$ana', application => 'bank')"), '3|3|0|t|t', 'the administrator, of one application');
is($bmw->sql("$call('m1')"), '1|1|0|t|t', 'and of all');
is($bmw->sqlstate("$call()"), '22004', 'nobody is not everybody');
is($bmw->sql(q{SELECT data FROM bm_webhook.event WHERE application = 'shop' AND message_id = 'm1' AND type = 'message.delivered'}),
	'{"erased": true, "status": "delivered", "metadata": {"campaign": "spring"}, "direction": "outbound", "occurred_at": "2026-02-03T04:05:06Z"}', 'what is left');
is($bmw->sql(q{SELECT count(*), count(*) FILTER (WHERE data::text ~ 'Ana') FROM bm_webhook.event WHERE type <> 'test.settled' AND data::text ~ 'Ana|3369'}), '2|2', 'others keep theirs');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.failed_attempt f JOIN bm_webhook.event e ON e.id = f.event_id WHERE e.data->>'erased' = 'true' AND response IS NOT NULL}), '0', 'so do the responses');
is_deeply([ map { $bmw->sql($_) } $facts, $rates, $states ], \@before, 'ids, times, statuses and reports are the same');
is($bmw->sql(q{SELECT string_agg(concat_ws(' ', application, matched, done, acting_as, ended_at IS NOT NULL), ', ' ORDER BY id) FROM bm_webhook.operation WHERE kind = 'erase'}),
	'shop 2 2 shop t, shop 2 2 shop t, bank 3 3 ' . $bmw->sql('SELECT current_user') . ' t, bank 1 1 ' . $bmw->sql('SELECT current_user') . ' t', 'it is recorded');
unlike($bmw->sql('SELECT o FROM bm_webhook.operation o'), qr/3369|Ana/, 'without whom');

# Bounded.
$bmw->sql(q{SELECT count(bm_webhook.emit('order.paid', '{"name": "Ana"}', 'shop', message_id => 'many')) FROM generate_series(1, 10001)});
is($bmw->sql("$call('many')"), '10000|0|0|f|t', 'so many at once');
is($bmw->sql("$call('many')"), '1|0|0|t|t', 'and the rest');

$bmw->finish;

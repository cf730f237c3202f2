# explain_delivery() says for each endpoint whether it gets an event and which filter
# decided. It agrees with the rule that the dispatcher's matching is tested against, for
# thousands of random pairs; each reason occurs, also where each is the only one.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
$bmw->sql(q{CREATE ROLE shop; CREATE ROLE bank;
	INSERT INTO bm_webhook.application (name, owner, muted_event_types) VALUES ('shop', 'shop', '{message.read}'), ('bank', 'bank', '{}')});

# One endpoint for each reason, and one that gets it.
my $early = $bmw->sql(q{SELECT bm_webhook.emit('order.paid', '{}', 'shop', 'sms')});
my %for = (
	'' => $bmw->endpoint('/ok/gets', application => 'shop', channel => 'sms', event_types => '{order.*}'),
	'other application' => $bmw->endpoint('/ok/bank', application => 'bank'),
	'other channel' => $bmw->endpoint('/ok/rcs', channel => 'rcs'),
	'other event type' => $bmw->endpoint('/ok/type', event_types => '{message.*}'),
	'disabled' => $bmw->endpoint('/ok/disabled', enabled => 'false'),
	'no secret' => $bmw->endpoint('/ok/secret'),
	'deleted' => $bmw->endpoint('/ok/deleted'));
$bmw->sql("DELETE FROM bm_webhook.endpoint_secret WHERE endpoint_id = $for{'no secret'}");
my $event = $bmw->sql(q{SELECT bm_webhook.emit('order.paid', '{}', 'shop', 'sms')});
$bmw->wait_for_sql('it waits for the one without secret, too', qq{SELECT count(*) = 3 FROM bm_webhook.delivery WHERE event_id = '$event'});
$bmw->wait_for_sql('the others have it', qq{SELECT count(*) = 2 FROM bm_webhook.delivery WHERE event_id = '$event' AND status = 'delivered'});
$bmw->sql("SELECT bm_webhook.delete_endpoint($for{deleted})");

sub answer
{
	my ($of, $endpoint) = @_;
	return $bmw->sql("SELECT gets_it, reason, status FROM bm_webhook.explain_delivery('$of') WHERE endpoint_id = $endpoint");
}
is(answer($event, $for{''}), 't||delivered', 'an endpoint that gets it');
is(answer($event, $for{'no secret'}), 't|no secret|pending', 'one that gets it once it has a secret');
is(answer($event, $for{deleted}), 'f|deleted|delivered', 'one that got it and was deleted');
is(answer($event, $for{$_}), "f|$_|", $_) for 'other application', 'other channel', 'other event type', 'disabled';
is(answer($early, $for{''}), 'f|captured earlier|', 'an event from before');
my $read = $bmw->sql(q{SELECT bm_webhook.emit('message.read', '{}', 'shop', 'sms')});
is(answer($read, $for{'other event type'}), 'f|muted|', 'an event of a type that is muted');
my $ping = $bmw->sql("SELECT bm_webhook.ping($for{'other channel'})");
is(answer($ping, $for{''}), 'f|for another endpoint|', 'a ping of another');
$bmw->settle;
is(answer($ping, $for{'other channel'}), 't||delivered', 'a ping of this one');
$bmw->sql(qq{UPDATE bm_webhook.endpoint SET enabled = false WHERE id = $for{'no secret'}});
is(answer($event, $for{'no secret'}), 'f|disabled|pending', 'what waits for one that was disabled');
is($bmw->sql("SELECT count(*) FROM bm_webhook.explain_delivery('$event')"), $bmw->sql('SELECT count(*) FROM bm_webhook.endpoint'), 'every endpoint has a row');

$bmw->sql("SELECT bm_webhook.pause($for{''}, reason => 'a test')");
my $paused = $bmw->sql(q{SELECT bm_webhook.emit('order.paid', '{}', 'shop', 'sms')});
is(answer($paused, $for{''}) =~ s/pending//r, 't|paused|', 'one that waits while its endpoint is paused');
is(answer($event, $for{''}), 't||delivered', 'which is nothing to what was delivered');
$bmw->sql("SELECT bm_webhook.resume($for{''})");

# Who sees what.
$bmw->sql(q{CREATE ROLE operator BYPASSRLS; GRANT USAGE ON SCHEMA bm_webhook TO shop, bank, operator;
	GRANT EXECUTE ON FUNCTION bm_webhook.explain_delivery TO shop, bank, operator});
is($bmw->sql("SET ROLE shop; SELECT endpoint_id, gets_it FROM bm_webhook.explain_delivery('$event')"), "$for{''}|t", 'an owner sees his endpoints');
is($bmw->sqlstate("SET ROLE bank; SELECT * FROM bm_webhook.explain_delivery('$event')"), '42704', 'the event of another is unknown');
is($bmw->sqlstate("SET ROLE bank; SELECT * FROM bm_webhook.explain_delivery('$ping')"), '42704', 'so is a ping of an endpoint of nobody');
is($bmw->sqlstate("SET ROLE operator; SELECT * FROM bm_webhook.explain_delivery('$event')"), '', 'an operator sees all');
is($bmw->sqlstate(q{SELECT * FROM bm_webhook.explain_delivery(gen_random_uuid())}), '42704', 'an unknown event');
is($bmw->sqlstate(q{SELECT * FROM bm_webhook.explain_delivery(NULL)}), '22004', 'none');

# Random pairs.
$bmw->set('bm_webhook.enabled', 'off');
$bmw->sql(q{SELECT setseed(0.5); CREATE FUNCTION one(VARIADIC text[]) RETURNS text LANGUAGE sql VOLATILE
	AS 'SELECT $1[1 + floor(random() * cardinality($1))::int]'});
my $endpoints = q{INSERT INTO bm_webhook.endpoint (url, application, channel, event_types, enabled)
	SELECT 'https://example.com/' || n, one(NULL, 'shop', 'bank'), one(NULL, 'sms', 'rcs'),
		ARRAY[one('*', 'message.*', 'message.sent', 'message.replied', 'order.*', 'webhook.*'), one('order.paid', 'message.read')], random() < 0.8
	FROM generate_series(1, 30) n};
$bmw->sql("$endpoints; SELECT count(bm_webhook.emit(one('message.sent', 'message.received', 'message.read', 'order.paid', 'webhook.test'),
	CASE WHEN n % 2 = 0 THEN '{\"context\": {\"message_id\": \"m\"}}'::jsonb ELSE '{}' END, one(NULL, 'shop', 'bank'), one(NULL, 'sms', 'rcs'),
	endpoint => CASE WHEN n % 9 = 0 THEN (SELECT max(id) - n % 5 FROM bm_webhook.endpoint) END)) FROM generate_series(1, 120) n; $endpoints");
is($bmw->sql(q{SELECT count(*) > 5000, count(*) FILTER (WHERE x.gets_it <> w.wants OR (x.gets_it AND x.reason IS DISTINCT FROM NULL AND x.reason <> 'no secret')
		OR (NOT x.gets_it AND x.reason IS NULL)) FROM bm_webhook.event e
	CROSS JOIN LATERAL bm_webhook.explain_delivery(e.id) x JOIN bm_webhook.endpoint p ON p.id = x.endpoint_id
	CROSS JOIN LATERAL (SELECT bm_webhook_internal.wants(p, e, (SELECT a.muted_event_types FROM bm_webhook.application a WHERE a.name = e.application)) AS wants) w}),
	't|0', 'it agrees with the rule for every pair');
is($bmw->sql(q{SELECT string_agg(DISTINCT coalesce(reason, 'gets it'), ', ' ORDER BY coalesce(reason, 'gets it'))
	FROM bm_webhook.event e, bm_webhook.explain_delivery(e.id)}),
	'captured earlier, deleted, disabled, for another endpoint, gets it, muted, other application, other channel, other event type', 'and has every other reason');

# The log is read for the event, and not for each endpoint.
is($bmw->sql("BEGIN; SELECT count(*) > 60 FROM bm_webhook.explain_delivery('$event'); SELECT sum(seq_scan + coalesce(idx_scan, 0)) <= 30
	FROM pg_stat_xact_user_tables WHERE relname ~ '^(event_|delivery_|set_aside|application|paused|home)'; COMMIT"), "t\nt", 'with few reads');

$bmw->finish;

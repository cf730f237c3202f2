# message_day and delivery_day say of each day what message_rate() and delivery_rate() say: of today and yesterday again and
# again, as late statuses come, of what is long past once; the keeper counts by itself; nobody sees what is another's; and
# what the log has no more, they have no more.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

# Not across midnight.
sleep 1 while time % 86400 >= 86400 - 120;
my $bmw = BmWebhook->new(conf => "bm_webhook.count_days = off\n");
$bmw->sql(q{CREATE ROLE shop; CREATE ROLE bank; CREATE ROLE operator; INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('bank');
	SELECT bm_webhook.grant_owner('shop', 'shop'), bm_webhook.grant_owner('bank', 'bank'), bm_webhook.grant_operator('operator')});
my %endpoint = map { $_ => $bmw->endpoint("/ok/$_", application => $_, event_types => '{message.*}') } qw(shop bank);

# Messages of three days of two applications, by campaign; so many ids that some have statuses on two days.
$bmw->sql("SELECT bm_webhook_internal.create_partition(p, (clock_timestamp() AT TIME ZONE 'UTC')::date - n)
	FROM unnest('{event,delivery,failed_attempt}'::text[]) p, generate_series(1, 3) n");
$bmw->sql(q{WITH e AS (INSERT INTO bm_webhook.event (id, xid, type, application, channel, message_id, occurred_at, created_at, data)
		SELECT overlay(bm_webhook.uuid_floor(at)::text PLACING lpad(to_hex(n), 12, '0') FROM 25)::uuid, '3', ('{message.sent,message.delivered,message.read,message.failed}'::text[])[1 + n % 4],
			(ARRAY['shop', 'bank'])[1 + n % 2], 'sms', 'm' || n / 4, at, at, json_build_object('metadata', json_build_object('campaign', 'c' || n % 16 / 8))
		FROM generate_series(1, 3000) n, LATERAL (SELECT date_trunc('day', now(), 'UTC') - interval '72 hours' + n * interval '86 s' AS at) t RETURNING id, application)
	INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts, first_attempt_at, last_attempt_at, duration)
		SELECT e.id, p.id, CASE WHEN e.id::text ~ '7$' THEN 'failed' ELSE 'delivered' END, 2, now(), now(), '20 ms' FROM e JOIN bm_webhook.endpoint p USING (application)});

my %same = (
	message_day => q{SELECT r.day, r.application, r.channel, r.campaign, r.messages, r.sent, r.delivered, r.read, r.failed, r.canceled, r.median_time_to_deliver,
		r.p95_time_to_deliver, r.median_time_to_read, r.p95_time_to_read FROM bm_webhook.message_rate r},
	delivery_day => q{SELECT endpoint_id, (hour AT TIME ZONE 'UTC')::date, sum(events), sum(delivered), sum(failed), sum(canceled), sum(pending), sum(retries), max(p95_latency)
		FROM bm_webhook.delivery_rate GROUP BY 1, 2});

my $session;
sub ask { return $session ? $session->query_safe($_[0]) : $bmw->sql($_[0]) }

sub differ
{
	my ($table) = @_;
	return ask("(($same{$table}) EXCEPT ALL TABLE bm_webhook.$table) UNION ALL (TABLE bm_webhook.$table EXCEPT ALL ($same{$table}))");
}

is($bmw->sql('SELECT bm_webhook_internal.count_day()'), 'f', 'nothing is counted while the setting is off');
$bmw->set('bm_webhook.count_days', 'on');
$bmw->wait_for_sql('the keeper has counted 32 days', 'SELECT count(*) = 32 FROM bm_webhook_internal.counted_day');
is($bmw->sql("SELECT count(DISTINCT day) FROM bm_webhook.$_"), 3, "$_ has those of the log") for sort keys %same;
is(differ($_), '', "$_ is what reading the log says") for sort keys %same;
is($bmw->sql('SELECT bm_webhook_internal.day_to_count() IS NULL'), 't', 'and that is all for now');
is($bmw->sql("SET ROLE $_; SELECT string_agg(DISTINCT application, ',') FROM bm_webhook.message_day"), $_ eq 'operator' ? 'bank,shop' : $_, "$_ sees messages") for qw(shop bank operator);
is($bmw->sql("SET ROLE $_; SELECT string_agg(DISTINCT endpoint_id::text, ',') FROM bm_webhook.delivery_day"), $endpoint{$_}, "$_ sees deliveries") for qw(shop bank);

# Late statuses, and what is sent today.
$bmw->sql(q{SELECT bm_webhook.message_status('read', a, 'sms', 'm' || n, '+33612345678', '+33123456789') FROM generate_series(1, 400, 7) n, unnest('{shop,bank}'::text[]) a});
$bmw->settle;
isnt(differ('message_day'), '', 'what comes later is not in it');
# In a transaction that the keeper cannot count beside.
$session = $bmw->session;
$session->query_safe('BEGIN; LOCK TABLE bm_webhook_internal.counted_day IN SHARE ROW EXCLUSIVE MODE');
my $all_were_counted = sub { ask("UPDATE bm_webhook_internal.counted_day SET counted_at = clock_timestamp() - interval '$_[0]'") };
$all_were_counted->('4 min');
# not on the day before: that would not be all of it
ask(q{UPDATE bm_webhook_internal.counted_day SET counted_at = greatest(counted_at, date_trunc('day', clock_timestamp(), 'UTC'))});
is(ask('SELECT bm_webhook_internal.day_to_count() IS NULL'), 't', 'nothing is counted again within five minutes');
$all_were_counted->('6 hours 4 min');
my $today = q{(clock_timestamp() AT TIME ZONE 'UTC')::date};
# and one more while that is the day before
my $due = 4 + (ask(q{SELECT (clock_timestamp() - interval '6 hours 4 min') AT TIME ZONE 'UTC' < (clock_timestamp() AT TIME ZONE 'UTC')::date}) eq 't');
is(ask("SELECT string_agg(bm_webhook_internal.count_day()::text, ',') FROM generate_series(1, $due + 1)"), 'true,' x $due . 'false', "after six hours $due days are, and no more");
is(ask("SELECT min(day) = $today - $due + 1 FROM bm_webhook_internal.counted_day WHERE counted_at > now() - interval '5 hours'"), 't', 'the newest ones');
is(differ($_), '', "$_ has what came later") for sort keys %same;

# Counting takes a hundredth of the time at most, a tenth where something never was counted.
$all_were_counted->('10 hours');
ask("UPDATE bm_webhook_internal.counted_day SET counted_at = clock_timestamp() - interval '1 hour', took = '1 min' WHERE day = $today - 1");
is(ask('SELECT bm_webhook_internal.day_to_count() IS NULL'), 't', 'after a long count there is a long pause');
ask("DELETE FROM bm_webhook_internal.counted_day WHERE day = $today - 9");
is(ask("SELECT bm_webhook_internal.day_to_count() = $today - 9"), 't', 'a shorter one before what never was counted');
ask('COMMIT');
$session->quit;
$session = undef;

# What the log has no more.
my $oldest = $bmw->sql('SELECT min(day) FROM bm_webhook.message_day');
$bmw->sql(q{SELECT * FROM bm_webhook.drop_before(date_trunc('day', now(), 'UTC') - interval '2 days', with_waiting => true)});
$bmw->wait_for_sql('it is dropped', q{SELECT count(*) = 0 FROM bm_webhook.operation WHERE kind = 'drop_before' AND ended_at IS NULL});
$bmw->sql("UPDATE bm_webhook_internal.counted_day SET took = '0'; SELECT bm_webhook_internal.count_day()");
is($bmw->sql("SELECT count(*) FROM bm_webhook.$_ WHERE day <= '$oldest'"), 0, "$_: is not counted any more") for sort keys %same;
$bmw->finish;

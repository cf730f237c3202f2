# An endpoint with ordering = 'by_message' gets everything, whatever happens to
# what is held back: many messages in one transaction, a receiver so slow that
# the lane is parked, a table that somebody locks, and an endpoint that is
# disabled and enabled in the middle.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

sub all_delivered
{
	my ($type) = @_;
	$bmw->wait_for_sql("all of $type are delivered", qq{
		SELECT count(*) = (SELECT count(*) FROM bm_webhook.event WHERE type = '$type')
		FROM bm_webhook.delivery d JOIN bm_webhook.event e ON e.id = d.event_id
		WHERE e.type = '$type' AND d.status = 'delivered'});
	is($bmw->sql(q{SELECT count(*) FROM bm_webhook.delivery WHERE next_attempt_at = 'infinity'}), 0,
		"$type: nothing is held back any more");
	return;
}

sub in_order
{
	my ($name) = @_;
	my %message = map { split /\|/ } split /\n/, $bmw->sql('SELECT id, message_id FROM bm_webhook.event WHERE message_id IS NOT NULL');
	my (%last, $turned);
	for my $arrival (sort { $a->{at_us} <=> $b->{at_us} } $receiver->arrivals($name))
	{
		my $message = $message{ $arrival->{id} };
		$turned++ if ($last{$message} // '') gt $arrival->{id};
		$last{$message} = $arrival->{id};
	}
	is($turned // 0, 0, "$name: in order");
	return;
}

# More than is kept in memory until the end of a pass, each message twice.
$bmw->endpoint('/ok/bulk', ordering => 'by_message', event_types => '{test.bulk}');
$bmw->sql(q{SELECT count(bm_webhook.emit('test.bulk', '{}', message_id => 'm' || n)) FROM generate_series(1, 6200) n});
$bmw->sql(q{SELECT count(bm_webhook.emit('test.bulk', '{}', message_id => 'm' || n % 3000)) FROM generate_series(1, 6000) n});
all_delivered('test.bulk');
in_order('bulk');

# So slow that what is queued for longer than 5 s is parked.
$bmw->endpoint('/slow/600/slow', ordering => 'by_message', event_types => '{test.slow}', max_in_flight => 1);
$bmw->sql(q{SELECT count(bm_webhook.emit('test.slow', '{}', message_id => 'm' || n % 8)) FROM generate_series(1, 16) n});
all_delivered('test.slow');
in_order('slow');

# The table of events is locked when the next one is to be fetched.
$bmw->endpoint('/slow/500/locked', ordering => 'by_message', event_types => '{test.locked}');
$bmw->sql(q{SELECT count(bm_webhook.emit('test.locked', '{}', message_id => 'one')) FROM generate_series(1, 3) n});
$bmw->wait_for_requests('locked', 1);
my $locker = $bmw->session;
$locker->query_safe('BEGIN; LOCK TABLE bm_webhook.event');
$bmw->wait_for_sql('the dispatcher meets the lock',
	q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'bm_webhook dispatcher' AND wait_event_type = 'Lock')});
$locker->query_safe('COMMIT');
$locker->quit;
all_delivered('test.locked');
in_order('locked');

# Disabled and enabled again in the middle.
my $id = $bmw->endpoint('/slow/100/paused', ordering => 'by_message', event_types => '{test.paused}');
$bmw->sql(q{SELECT count(bm_webhook.emit('test.paused', '{}', message_id => 'm' || n % 5)) FROM generate_series(1, 30) n});
$bmw->wait_for_requests('paused', 5);
$bmw->sql("UPDATE bm_webhook.endpoint SET enabled = false WHERE id = $id");
$bmw->wait_for_sql('nothing is in flight', 'SELECT sum(in_flight) = 0 FROM bm_webhook.status()');
$bmw->sql("UPDATE bm_webhook.endpoint SET enabled = true WHERE id = $id");
all_delivered('test.paused');
in_order('paused');

# The endpoint begins to keep the order while the later event is in flight and has no row.
my $late = $bmw->endpoint('/status/500/late', event_types => '{test.late}', timeout => '1 s',
	retry_delays => '{2 s,2 s,2 s,2 s,2 s,2 s,2 s}');
my $first = $bmw->emit('test.late', message_id => 'one');
$bmw->wait_for_sql('the first waits for its next attempt',
	"SELECT EXISTS (SELECT FROM bm_webhook.delivery WHERE event_id = '$first' AND attempts = 1)");
$receiver->behave('late', 'hang');
my $second = $bmw->emit('test.late', message_id => 'one');
$bmw->wait_for_sql('the second is in flight', 'SELECT sum(in_flight) = 1 FROM bm_webhook.status()');
$bmw->sql("UPDATE bm_webhook.endpoint SET ordering = 'by_message' WHERE id = $late");
$bmw->wait_for_sql('it has timed out', "SELECT EXISTS (SELECT FROM bm_webhook.failed_attempt WHERE event_id = '$second')");
$receiver->behave('late', 'ok');
all_delivered('test.late');

$bmw->finish(expected => qr/lock timeout|could not work on its tables/);

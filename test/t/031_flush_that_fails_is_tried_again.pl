# When outcomes cannot be recorded, the dispatcher keeps them, says so in
# status(), and tries again: nothing is lost and nothing is sent twice. Nobody
# else waits for it: capture goes on. The same when somebody has locked the
# tables of the log.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my $all = q{SELECT id FROM bm_webhook.event WHERE type = 'test.event'};
my $endpoint = $bmw->endpoint('/ok/ok', event_types => '{test.event}');

sub all_are_recorded
{
	my ($count, $description) = @_;
	$bmw->wait_for_sql("$count are recorded", "SELECT count(*) = $count FROM bm_webhook.delivery
		WHERE endpoint_id = $endpoint AND status = 'delivered' AND attempts = 1");
	$bmw->settle;
	is($bmw->status(q{state || ' ' || unrecorded}), 'running 0', "$description: status() is content again");
	$bmw->arrived_exactly_once('ok', $all, "$description: everything arrives once, and is recorded");
	return;
}

# Every insert fails, as if the disk were full.
$bmw->sql(q{CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE 'there is no room for it' USING ERRCODE = 'disk_full';
END
$$;
CREATE TRIGGER refuse BEFORE INSERT ON bm_webhook.delivery FOR EACH ROW EXECUTE FUNCTION refuse()});
$bmw->emit_many(300, 'test.event');
$bmw->wait_for_requests('ok', 300);
wait_until('status() says why, and how many wait', sub {
	$bmw->status(q{last_error LIKE '%no room%' AND state = 'not recording' AND unrecorded = 300 AND reason LIKE '%300 outcomes wait%'}) eq 't';
});
is($bmw->status(q{since > now() - interval '5 min' AND last_error_at > now() - interval '5 min'}), 't', 'and since when');
$bmw->emit_many(100, 'test.event');
$bmw->wait_for_requests('ok', 400);
pass('the dispatcher goes on sending');
is($bmw->sql('SELECT count(*) FROM bm_webhook.set_aside'), 0, 'nothing is set aside: it is no fault of the rows');
$bmw->sql('DROP TRIGGER refuse ON bm_webhook.delivery');
all_are_recorded(400, 'a flush that failed');
is($bmw->lines_logged('bm_webhook could not work on its tables: there is no room'), 1, 'the log says once that it could not be written');
is($bmw->lines_logged('bm_webhook works on its tables again'), 1, 'and once that it can be');

# The tables cannot be written for a while.
my $session = $bmw->session;
$session->query_safe('BEGIN; LOCK TABLE bm_webhook.delivery, bm_webhook.failed_attempt IN SHARE MODE');
$bmw->emit_many(100, 'test.event');
$bmw->wait_for_requests('ok', 500);
$bmw->emit('test.event');
pass('capture does not wait for a lock on the log');
wait_until('the log tells of a lock that lasts', sub { $bmw->lines_logged('bm_webhook cannot write to its log: another session has locked tables of the log') == 1 });
$session->query_safe('COMMIT');
all_are_recorded(501, 'a lock');
is($bmw->lines_logged('bm_webhook works on its tables again'), 2, 'and of its end');

# A user has locked a row of an endpoint and of the cursor.
$session->query_safe('BEGIN; SELECT FROM bm_webhook.endpoint FOR UPDATE; SELECT FROM bm_webhook.cursor FOR UPDATE');
$bmw->emit_many(100, 'test.event');
$bmw->wait_for_requests('ok', 601);
$session->query_safe('COMMIT');
all_are_recorded(601, 'a locked row');

$session->quit;
$bmw->finish;

# What concerns all endpoints is done in steps, between which everything else goes on: their backlog
# is counted anew by a few of them in each transaction, and those of very many that are gone are found.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $many = 100;

$bmw->sql("INSERT INTO bm_webhook.endpoint (url, event_types, retry_delays)
	SELECT '" . $bmw->receiver->url('/status/500/down') . "', '{down.*}', '{1h}' FROM generate_series(1, $many)");
$bmw->emit('down.x');
$bmw->wait_for_sql('all is tried', "SELECT count(*) = $many FROM bm_webhook.delivery WHERE attempts = 1");
$bmw->wait_for_sql('and counted', 'SELECT sum(pending) = ' . $many . ' FROM bm_webhook_internal.pending_count');

# Nobody notes what is changed by hand.
$bmw->sql("UPDATE bm_webhook.delivery SET status = 'canceled', next_attempt_at = NULL;
	CREATE TABLE noted (xid xid8);
	CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN INSERT INTO public.noted VALUES (pg_current_xact_id()); RETURN NULL; END';
	CREATE TRIGGER note AFTER INSERT ON bm_webhook_internal.pending_change FOR EACH ROW EXECUTE FUNCTION note()");
is($bmw->sql('SELECT sum(pending) FROM bm_webhook.backlog'), $many, 'the numbers are wrong');
$bmw->sql('SELECT pg_terminate_backend(' . $bmw->dispatcher . ')');
$bmw->wait_for_sql('a new dispatcher counts anew', 'SELECT sum(pending) = 0 FROM bm_webhook.backlog');
is($bmw->sql('SELECT count(*) FROM noted'), $many, 'each endpoint once');
cmp_ok($bmw->sql('SELECT max(n) FROM (SELECT count(*) AS n FROM noted GROUP BY xid) x'), '<=', 20, 'a few in a transaction');

# More than are noted one by one.
my $more = 1_500;
my $stays = $bmw->endpoint('/ok/stays', event_types => '{gone.*}');
$bmw->sql("INSERT INTO bm_webhook.endpoint (url, event_types, retry_delays)
	SELECT '" . $bmw->receiver->url('/status/500/gone') . "', '{gone.*}', '{1h}' FROM generate_series(1, $more)");
$bmw->emit('gone.x');
$bmw->wait_for_sql('all is tried', "SELECT count(*) = $more FROM bm_webhook.delivery WHERE attempts = 1 AND status = 'pending'");
$bmw->sql("DELETE FROM bm_webhook.endpoint WHERE event_types = '{gone.*}' AND id <> $stays");
$bmw->wait_for_sql('what waited for those that are gone is canceled', "SELECT count(*) = $more FROM bm_webhook.delivery WHERE endpoint_id > $stays AND status = 'canceled'");
my $event = $bmw->emit('gone.y');
$bmw->wait_for_delivery($event);
$bmw->settle;
is($bmw->sql("SELECT string_agg(endpoint_id::text, ',') FROM bm_webhook.delivery WHERE event_id = '$event'"), $stays, 'the one that is left gets what comes after');

$bmw->finish(expected => qr/exit code|terminating background worker/);

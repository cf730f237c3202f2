# When the id of a deleted endpoint comes back with another owner, what waited for
# the one before is canceled, in memory, in the table and when it is sent again:
# nothing of it reaches the other.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my $n = 5000;

$bmw->sql(q{INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('bank')});

# Takes the id over within the transaction that deletes it, as only who owns the tables can.
sub take_over
{
	my ($id, $application, $path, %options) = @_;
	my $ordering = $options{ordering} // 'none';
	my $url = BmWebhook::quote($receiver->url($path));
	$application = BmWebhook::quote($application);
	$bmw->sql(qq{BEGIN;
		DELETE FROM bm_webhook.endpoint WHERE id = $id;
		INSERT INTO bm_webhook.endpoint (id, url, application, ordering) OVERRIDING SYSTEM VALUE VALUES ($id, $url, $application, '$ordering');
		COMMIT});
	$bmw->share_secrets($id, $path =~ s{.*/}{}r);
}

# A receiver that does not answer: some are in flight, some in memory, some in the table.
for my $ordering (qw(none by_message))
{
	my $id = $bmw->endpoint("/hang/bank_$ordering", application => 'bank', max_in_flight => 2, timeout => '5 min', ordering => $ordering);
	$bmw->sql(qq{SELECT count(bm_webhook.emit('card.charged', '{}', application => 'bank', message_id => 'm_' || n % 1000))
		FROM generate_series(1, $n) n});
	$bmw->wait_for_requests("bank_$ordering", 2);
	$bmw->settle(in_flight => 2);
	take_over($id, 'shop', "/ok/shop_$ordering", ordering => $ordering);
	my $own = $bmw->emit('order.paid', application => 'shop', message_id => 'm_1');
	$receiver->behave("bank_$ordering", 'status/500');
	$receiver->release("bank_$ordering");
	$bmw->wait_for_delivery($own);
	# But for what was in flight, which ends as it ends.
	$bmw->wait_for_sql("what waited is canceled ($ordering)", qq{SELECT count(*) >= $n - 2 AND bool_and(error <> '') AND
			NOT EXISTS (SELECT FROM bm_webhook.delivery WHERE endpoint_id = $id AND status = 'pending')
		FROM bm_webhook.delivery WHERE endpoint_id = $id AND status = 'canceled'});
	is($receiver->count("shop_$ordering", 'requests'), 1, "the new one gets its own event alone ($ordering)");
	is($bmw->sql("SELECT enabled FROM bm_webhook.endpoint WHERE id = $id"), 't', 'and goes on');
	$bmw->sql("DELETE FROM bm_webhook.endpoint WHERE id = $id");
}

# Events that name the endpoint, and an endpoint for all applications: it has to have been there.
my $id = $bmw->endpoint('/status/500/before', application => 'bank', retry_delays => '{1 h}');
my $ping = $bmw->sql("SELECT bm_webhook.ping($id)");
my $event = $bmw->emit('card.charged', application => 'bank');
$bmw->wait_for_sql('both have failed once', "SELECT count(*) = 2 FROM bm_webhook.delivery WHERE endpoint_id = $id AND attempts = 1");
take_over($id, undef, '/ok/after');
is($bmw->sqlstate("SELECT bm_webhook.redeliver('$_')"), '42704', 'an event from before is not sent again to it') for $ping, $event;
$bmw->sql("UPDATE bm_webhook.delivery SET next_attempt_at = now(), status = 'pending' WHERE endpoint_id = $id; SELECT bm_webhook_internal.look($id)");
$bmw->wait_for_sql('but canceled', "SELECT count(*) = 2 FROM bm_webhook.delivery WHERE endpoint_id = $id AND status = 'canceled'");
is($bmw->sqlstate("SELECT bm_webhook.redeliver('$event')"), '42704', 'then neither');
$bmw->wait_for_delivery($bmw->sql("SELECT bm_webhook.ping($id)"));
$bmw->sql("DELETE FROM bm_webhook.endpoint WHERE id = $id");

# The same endpoint, given to another application.
$id = $bmw->endpoint('/status/500/moved', application => 'bank', retry_delays => '{1 h,1 h}');
$event = $bmw->emit('card.charged', application => 'bank');
$bmw->wait_for_sql('it has failed once', "SELECT count(*) = 1 FROM bm_webhook.delivery WHERE endpoint_id = $id AND attempts = 1");
$bmw->sql("UPDATE bm_webhook.endpoint SET application = 'shop' WHERE id = $id");
is($bmw->sqlstate("SELECT bm_webhook.redeliver('$event')"), '42704', 'what was for the one is not for the other');
$bmw->sql("UPDATE bm_webhook.endpoint SET application = 'bank' WHERE id = $id");
$receiver->behave('moved', 'ok');
is($bmw->sql("SELECT bm_webhook.redeliver('$event')"), 1, 'until it is given back');
$bmw->wait_for_delivery($event);

is($receiver->count('after', 'requests'), 1, 'nothing but its ping arrived there');
$bmw->finish;

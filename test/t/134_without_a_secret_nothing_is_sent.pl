# An endpoint without a usable secret gets nothing, rather than unsigned requests;
# what is for it waits, says why, and flows as soon as there is a secret.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils ();
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

# The receiver knows it first: it refuses what it cannot verify.
sub give_secret
{
	my ($id, $name) = @_;
	my $secret = 'whsec_' . encode_base64(pack('N8', map { rand 2**32 } 1 .. 8), '');
	$receiver->set_secrets($name, $secret);
	$bmw->sql("INSERT INTO bm_webhook.endpoint_secret (endpoint_id, secret) VALUES ($id, '$secret')");
}

for my $ordering (qw(none by_message))
{
	my $name = "shop_$ordering";
	my $id = $bmw->endpoint("/ok/$name", ordering => $ordering, event_types => '{test.event}');
	my $call = $bmw->emit_call('test.event', message_id => 'm_1');

	$bmw->wait_for_delivery($bmw->sql("SELECT $call"));

	# The last secret is deleted.
	$bmw->sql("SELECT bm_webhook.delete_secret(s.id) FROM bm_webhook.endpoint_secret s WHERE endpoint_id = $id");
	$bmw->sql("SELECT $call FROM generate_series(1, 20)");
	$bmw->wait_for_sql('what comes waits, and says why', qq{SELECT count(*) = 20 FROM bm_webhook.delivery
		WHERE endpoint_id = $id AND status = 'pending' AND attempts = 0 AND error_class = 'no_secret' AND error <> ''})
	  if $ordering eq 'none';
	$bmw->wait_for_sql('what comes waits, and the first of its message says why', qq{SELECT count(*) = 20 AND count(error_class) > 0
		FROM bm_webhook.delivery WHERE endpoint_id = $id AND status = 'pending' AND attempts = 0}) if $ordering ne 'none';
	$bmw->settle;

	# One that is not usable, which only came past the triggers.
	$bmw->sql("SET session_replication_role = replica; INSERT INTO bm_webhook.endpoint_secret (endpoint_id, secret) VALUES ($id, 'x')");
	$bmw->sql("UPDATE bm_webhook.endpoint SET description = 'read again' WHERE id = $id");
	$bmw->sql("SELECT bm_webhook.redeliver(event_id) FROM bm_webhook.delivery WHERE endpoint_id = $id AND status = 'pending' AND next_attempt_at < 'infinity' LIMIT 1");
	$bmw->settle;
	is($receiver->count($name, 'requests'), 1, "nothing is sent ($ordering)");

	# A new one.
	give_secret($id, $name);
	$bmw->wait_for_requests($name, 21, 'delivered');
	$bmw->wait_for_sql('all is recorded', qq{SELECT count(*) = 21 FROM bm_webhook.delivery
		WHERE endpoint_id = $id AND status = 'delivered' AND error_class IS NULL AND error IS NULL});
	is($receiver->count($name, 'requests'), 21, "all flows, each once ($ordering)");
	is($receiver->count($name, 'verified'), 21, 'and signed');
	$bmw->sql("DELETE FROM bm_webhook.endpoint WHERE id = $id");
}

# Across a restart, and with retries that were planned before.
my $id = $bmw->endpoint('/fail/1/later', event_types => '{test.later}', retry_delays => '{1 h}');
my $event = $bmw->emit('test.later');
$bmw->wait_for_sql('it has failed', "SELECT attempts = 1 FROM bm_webhook.delivery WHERE event_id = '$event'");
$bmw->sql("DELETE FROM bm_webhook.endpoint_secret WHERE endpoint_id = $id");
$bmw->node->restart;
$bmw->sql("UPDATE bm_webhook.delivery SET next_attempt_at = now() WHERE event_id = '$event'; SELECT bm_webhook_internal.look($id)");
$bmw->settle;
is($receiver->count('later', 'requests'), 1, 'a retry waits as well');
give_secret($id, 'later');
$bmw->wait_for_delivery($event);
like(PostgreSQL::Test::Utils::slurp_file($bmw->node->logfile), qr/LOG:.*endpoint $id of bm_webhook has no usable secret/,
	'the log says so');

$bmw->finish;

# rotate_secret() gives an endpoint its next secret: until the overlap has passed,
# requests have a signature of each. A secret that has expired signs no more, from
# that moment on, and goes by itself; without any other, everything waits.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
$bmw->sql(q{INSERT INTO bm_webhook.application (name) VALUES ('shop')});
my $id = $bmw->endpoint('/ok/shop', application => 'shop', event_types => '{test.event}');
my $first = $bmw->sql("SELECT bm_webhook.secret($id)");

# The next request is signed so often, and verified by who knows these secrets.
sub next_request
{
	my ($description, $signatures, @secrets) = @_;
	$receiver->set_secrets('shop', @secrets);
	$receiver->reset;
	my $event = $bmw->emit('test.event', application => 'shop');
	$bmw->wait_for_requests('shop', 1);
	my ($request) = $receiver->requests('shop');
	is(scalar(split / /, $request->{headers}{'webhook-signature'}), $signatures, "$description: $signatures signatures");
	ok($request->{verified}, "$description: verified");
	$bmw->wait_for_delivery($event);
	return;
}

###############################################################################
# Rotation
###############################################################################

my $second = $bmw->sql("SELECT bm_webhook.rotate_secret($id)");
like($second, qr{^whsec_[A-Za-z0-9+/=]{44}$}, 'rotate_secret() returns a new secret');
isnt($second, $first, 'another one');
is($bmw->sql("SELECT bm_webhook.secret($id)"), $second, 'which is the newest');
is($bmw->sql("SELECT count(*) FROM bm_webhook.endpoint_secret WHERE endpoint_id = $id
	AND expires_at BETWEEN now() + '23 h' AND now() + '24 h'"), 1, 'the one before expires in a day');
next_request('during the overlap, a receiver with the old one', 2, $first);
next_request('during the overlap, a receiver with the new one', 2, $second);

my $third = $bmw->sql("SELECT bm_webhook.rotate_secret($id, overlap => '0')");
next_request('without overlap', 1, $third);
is($bmw->sql("SELECT string_agg(concat_ws(' ', kind, endpoint_id = $id, matched, done, asked_by = session_user, ended_at IS NOT NULL), ',' ORDER BY id)
	FROM bm_webhook.operation WHERE kind = 'rotate_secret'"), 'rotate_secret t 1 1 t t,rotate_secret t 2 2 t t', 'it is recorded');
$bmw->wait_for_sql('what has expired goes by itself', "SELECT count(*) = 1 FROM bm_webhook.endpoint_secret WHERE endpoint_id = $id");
next_request('once it is gone', 1, $third);

# A shorter expiry is not prolonged by a rotation.
$bmw->sql("INSERT INTO bm_webhook.endpoint_secret (endpoint_id, secret, expires_at)
	VALUES ($id, bm_webhook_internal.random_secret(), now() + '1 h')");
$bmw->sql("SELECT bm_webhook.rotate_secret($id, '2 h')");
is($bmw->sql("SELECT string_agg(round(extract(epoch FROM expires_at - now()) / 3600)::text, ',' ORDER BY id)
	FROM bm_webhook.endpoint_secret WHERE endpoint_id = $id"), '2,1', 'what expires earlier stays so');

###############################################################################
# Expiry
###############################################################################

# The dispatcher knows of both before one of them expires, and is told nothing then.
my $fourth = $bmw->sql("SELECT bm_webhook.secret($id)");
$bmw->sql("DELETE FROM bm_webhook.endpoint_secret WHERE endpoint_id = $id AND secret <> '$fourth'");
my $old = $bmw->sql("INSERT INTO bm_webhook.endpoint_secret (endpoint_id, secret, expires_at)
	VALUES ($id, bm_webhook_internal.random_secret(), clock_timestamp() + '1 h') RETURNING secret");
next_request('before it expires', 2, $old);
sub expire
{
	my ($secret) = @_;
	$bmw->sql("UPDATE bm_webhook.endpoint_secret SET expires_at = clock_timestamp() + '1 s' WHERE secret = '$secret'");
	$bmw->settle;    # it knows of that
	$bmw->wait_for_sql('it expires', "SELECT count(*) = 0 FROM bm_webhook.endpoint_secret WHERE secret = '$secret' AND expires_at >= clock_timestamp()");
	return;
}
expire($old);
next_request('after it has expired', 1, $fourth);

# The last one.
expire($fourth);
$receiver->reset;
my @events = map { $bmw->emit('test.event', application => 'shop') } 1 .. 3;
$bmw->wait_for_sql('what comes waits, and says why', "SELECT count(*) = 3 FROM bm_webhook.delivery
	WHERE endpoint_id = $id AND status = 'pending' AND error_class = 'no_secret'");
is($bmw->sql("SELECT reason FROM bm_webhook.explain_delivery('$events[0]') WHERE endpoint_id = $id"), 'no secret', 'explain_delivery() as well');
$bmw->settle;
is($receiver->count('shop', 'requests'), 0, 'nothing is sent');
$bmw->sql("SELECT bm_webhook.pause($id)");
$receiver->set_secrets('shop', $bmw->sql("SELECT bm_webhook.rotate_secret($id)"));
$bmw->sql("SELECT bm_webhook.redeliver(event_id) FROM bm_webhook.delivery WHERE endpoint_id = $id AND status = 'pending'");
$bmw->sql("SELECT bm_webhook.resume($id)");
$bmw->wait_for_delivery($_) for @events;

###############################################################################
# Who may, and what
###############################################################################

$bmw->sql(q{CREATE ROLE shop_admin; CREATE ROLE bank_admin; CREATE ROLE nobody_role;
	GRANT USAGE ON SCHEMA bm_webhook TO shop_admin, bank_admin, nobody_role;
	GRANT EXECUTE ON FUNCTION bm_webhook.rotate_secret TO shop_admin, bank_admin;
	UPDATE bm_webhook.application SET owner = 'shop_admin' WHERE name = 'shop'});

sub as
{
	my ($role, $call) = @_;
	return $bmw->sqlstate("SET ROLE $role; SELECT bm_webhook.rotate_secret($call)");
}

is(as('shop_admin', $id), '', 'the owner may rotate');
is($bmw->sql("SELECT acting_as FROM bm_webhook.operation ORDER BY id DESC LIMIT 1"), 'shop_admin', 'which is recorded as his');
is(as('bank_admin', $id), '42704', 'to another owner it is unknown');
is(as('nobody_role', $id), '42501', 'nobody else may call it');
is(as('postgres', 'NULL'), '22004', 'an endpoint has to be named');
is(as('postgres', "$id, NULL"), '22004', 'and an overlap');
is(as('postgres', '-1'), '42704', 'unknown endpoint');
is(as('postgres', "$id, '$_'"), '22023', "overlap $_") for '-1 s', '367 days';
is($bmw->sqlstate("UPDATE bm_webhook.endpoint_secret SET expires_at = '$_'"), '22023', "expires_at $_") for 'infinity', '-infinity';
is(as('postgres', "$id) FROM generate_series(1, 20"), '54000', 'not more than an endpoint may have');

$bmw->finish;

# Every secret of an endpoint signs every request, so that a receiver can move
# from one to the next: several secrets, several signatures, each of which a
# verifier that knows only that secret accepts. A deleted one signs no more.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my $id = $bmw->endpoint('/ok/shop');
my $first = $bmw->sql("SELECT bm_webhook.secret($id)");
my $second = 'whsec_c2Vjb25kIHNlY3JldCB0aGF0IGlzIGxvbmcgZW5vdWdo';

like($first, qr{^whsec_[A-Za-z0-9+/=]{32,88}$}, 'a secret is made');

# The number of signatures of the next request, verified with these secrets.
sub next_request
{
	my ($description, $signatures, $verified, @secrets) = @_;
	$receiver->set_secrets('shop', @secrets);
	$receiver->reset;
	my $event = $bmw->emit('test.event');
	$bmw->wait_for_requests('shop', 1);
	my ($request) = $receiver->requests('shop');
	is(scalar(split / /, $request->{headers}{'webhook-signature'}), $signatures, "$description: $signatures signatures");
	is($request->{verified} ? 1 : 0, $verified, "$description: " . ($verified ? 'verified' : 'not verified'));
	$bmw->wait_for_delivery($event) if $verified;
	return;
}

next_request('one secret', 1, 1, $first);
$bmw->sql("INSERT INTO bm_webhook.endpoint_secret (endpoint_id, secret) VALUES ($id, '$second')");
is($bmw->sql("SELECT bm_webhook.secret($id)"), $second, 'secret() is the newest');
next_request('two secrets, a receiver that knows both', 2, 1, $first, $second);
next_request('two secrets, a receiver that knows the old one', 2, 1, $first);
next_request('two secrets, a receiver that knows the new one', 2, 1, $second);
$bmw->sql("DELETE FROM bm_webhook.endpoint_secret WHERE endpoint_id = $id AND secret = '$first'");
next_request('the old one deleted', 1, 1, $second);

# The receiver's own verification fails when it should.
$bmw->sql("UPDATE bm_webhook.endpoint SET retry_delays = '{}' WHERE id = $id");
next_request('a receiver that knows only the deleted one', 1, 0, $first);
$receiver->reset;

is($bmw->sqlstate("INSERT INTO bm_webhook.endpoint_secret (endpoint_id, secret) VALUES ($id, '$_')"), '22023', "refused: $_")
  for ('', 'secret', 'whsec_', 'whsec_c2hvcnQ=', 'whsec_not base64!', 'whsec_' . 'QUFB' x 30);

$bmw->finish;

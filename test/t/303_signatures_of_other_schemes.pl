# Receivers that were written for GitHub, Meta or Stripe find the signature that they
# expect in a header of the endpoint's choice, beside those of Standard Webhooks. Each is
# verified by the public library of its vendor.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/../interop";
use BmWebhook;
use Interop;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my %header = (sha256 => 'x-hub-signature-256', stripe => 'Stripe-Signature', hex => 'x-shop-signature');
my %endpoint = map { $_ => $bmw->endpoint("/ok/$_", signature_scheme => $_, signature_header => $header{$_}) } keys %header;
my %secret = map { $_ => $bmw->sql("SELECT bm_webhook.secret($endpoint{$_})") } keys %header;

sub judge
{
	my ($scheme, $secret, $change, @requests) = @_;
	return @{ run_node('vendors.mjs', [ map { {
		header => $_->{headers}{ lc $header{$scheme} }, body => $_->{body} . $change, secret => $secret } } @requests ]) };
}

my @events = map { $bmw->emit('test.event', data => $_) } '{}', '{"text": "Größe ☎ \u2028 \\\\"}', '{"text": "' . ('long ' x 5000) . '"}';
$bmw->wait_for_delivery($_) for @events;
my %requests = map { $_ => [ $receiver->requests($_) ] } keys %header;
is(scalar @{ $requests{$_} }, 3, "$_: all have arrived") for sort keys %header;
is($receiver->count($_, 'verified'), 3, "$_: signed by Standard Webhooks as well") for sort keys %header;
my %judged = map { $_ => [ judge($_, $secret{$_}, '', @{ $requests{$_} }) ] } keys %header;

is(scalar(grep { $_->{octokit} && $_->{meta} } @{ $judged{sha256} }), 3, 'GitHub and Meta verify sha256');
is_deeply([ sort map { $_->{stripe} } @{ $judged{stripe} } ], [ sort @events ], 'Stripe verifies its form, and reads the event');
is(scalar(grep { $_->{hex} } @{ $judged{hex} }), 3, 'hexadecimal digits alone');
is($requests{stripe}[0]{headers}{'stripe-signature'} =~ /^t=(\d+),v1=[0-9a-f]{64}$/ ? $1 : '', $requests{stripe}[0]{headers}{'webhook-timestamp'},
	'with the time of the attempt');
for my $scheme (sort keys %header)
{
	for my $wrong ([ $secret{$scheme}, ' ', 'another body' ], [ 'whsec_' . 'QUFB' x 8, '', 'another secret' ])
	{
		my ($secret, $change, $what) = @$wrong;
		is(scalar(grep { $_->{octokit} || $_->{meta} || $_->{hex} || $_->{stripe} !~ /signature/ } judge($scheme, $secret, $change, @{ $requests{$scheme} })), 0,
			"$scheme: not $what");
	}
}
is($bmw->sql("SELECT headers->>'x-hub-signature-256' ~ '^sha256=[0-9a-f]{64}\$' FROM bm_webhook.preview('$events[0]', $endpoint{sha256})"), 't', 'preview() shows it');

# During a rotation Stripe's form has both; the others have one place.
my %next = map { $_ => $bmw->sql("SELECT bm_webhook.rotate_secret($endpoint{$_})") } keys %header;
$receiver->reset;
$receiver->set_secrets($_, $next{$_}) for keys %header;
$bmw->wait_for_delivery($bmw->emit('test.event'));
my %rotated = map { $_ => ($receiver->requests($_))[0] } keys %header;
like((judge('stripe', $_, '', $rotated{stripe}))[0]{stripe}, qr/^[0-9a-f-]{36}$/, 'stripe: both secrets verify') for $secret{stripe}, $next{stripe};
is((judge('sha256', $next{sha256}, '', $rotated{sha256}))[0]{octokit}, 1, 'sha256: the new one');
isnt((judge('sha256', $secret{sha256}, '', $rotated{sha256}))[0]{octokit}, 1, 'sha256: not the old one');

# Without a shared secret there is nothing to compute it from.
$bmw->sql("INSERT INTO bm_webhook.endpoint_secret (endpoint_id, kind) VALUES ($endpoint{hex}, 'ed25519');
	DELETE FROM bm_webhook.endpoint_secret WHERE endpoint_id = $endpoint{hex} AND kind = 'hmac_sha256'");
$receiver->reset;
$receiver->set_secrets('hex');
$bmw->wait_for_delivery($bmw->emit('test.event'));
my ($alone) = $receiver->requests('hex');
like($alone->{headers}{'webhook-signature'}, qr/^v1a,\S+$/, 'with a pair of keys alone: a signature of it');
ok(!exists $alone->{headers}{'x-shop-signature'}, 'and no other');

sub update { return $bmw->sqlstate("UPDATE bm_webhook.endpoint SET $_[0] WHERE id = $endpoint{sha256}") }
is(update($_), '22023', "refused: $_")
  for q{signature_scheme = 'md5'}, q{signature_scheme = NULL}, q{signature_header = NULL}, q{signature_header = ''}, q{signature_header = 'a b'},
  q{signature_header = 'Webhook-Signature'}, q{signature_header = 'content-type'}, q{signature_header = E'a\r\nb'}, q{signature_header = repeat('x', 65)},
  q{headers = '{"X-Hub-Signature-256": "mine"}'}, q{signature_header = 'X-A', headers = '{"x-a": "1"}'};
is(update(q{signature_scheme = NULL, signature_header = NULL}), '', 'both are taken away');
$receiver->reset;
$bmw->wait_for_delivery($bmw->emit('test.event'));
ok(!exists +($receiver->requests('sha256'))[0]{headers}{'x-hub-signature-256'}, 'then there is none');

$bmw->finish;

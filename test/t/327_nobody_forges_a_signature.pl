# What an attacker makes of a signed request that he has seen, of the public key, and of guesses is refused by verify().

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Digest::SHA qw(hmac_sha256);
use MIME::Base64 qw(decode_base64 encode_base64);
use Test::More;

my $bmw = BmWebhook->new;
my $key = join '', map { chr } 1 .. 32;
my $secret = 'whsec_' . encode_base64($key, '');
my $other = 'whsec_' . encode_base64('x' x 32, '');
my $now = time;
my $body = '{"id":"m1","type":"test.one"}';

sub v1
{
	my ($id, $timestamp, $text, $by) = @_;
	return 'v1,' . encode_base64(hmac_sha256("$id.$timestamp.$text", $by // $key), '');
}

sub is_taken
{
	my ($headers, $text, $by) = @_;
	my $pairs = join ', ', map { "'$_', " . (defined $headers->{$_} ? "'" . $headers->{$_} =~ s/'/''/gr . "'::text" : 'NULL::text') } sort keys %$headers;
	return $bmw->sql("SELECT bm_webhook.verify(jsonb_build_object($pairs), '" . $text =~ s/'/''/gr . "'::text, '" . ($by // $secret) . "')");
}

# Headers of a good request, but for what is given.
sub headers
{
	my (%with) = @_;
	return { 'webhook-id' => 'm1', 'webhook-timestamp' => $now, 'webhook-signature' => v1('m1', $now, $body), %with };
}

my $good = v1('m1', $now, $body);
is(is_taken(headers(), $body), 't', 'the request as it was sent');
is(is_taken(headers('webhook-signature' => "v1,AAAA $good"), $body), 't', 'one good signature among others');
is(is_taken({ map { uc, headers()->{$_} } keys %{ headers() } }, $body), 't', 'names in capitals');

my %forged = (
	'another body' => [ headers(), $body . ' ' ],
	'no body' => [ headers(), '' ],
	'another id' => [ headers('webhook-id' => 'm2'), $body ],
	'a later timestamp' => [ headers('webhook-timestamp' => $now + 1), $body ],
	'a request of an hour ago' => [ headers('webhook-timestamp' => $now - 3600, 'webhook-signature' => v1('m1', $now - 3600, $body)), $body ],
	'one of an hour ahead' => [ headers('webhook-timestamp' => $now + 3600, 'webhook-signature' => v1('m1', $now + 3600, $body)), $body ],
	'a part of the id moved to the timestamp' => [ headers('webhook-id' => '', 'webhook-timestamp' => "m1.$now"), $body ],
	'a part of the body moved to the timestamp' => [ headers('webhook-timestamp' => "$now.{", 'webhook-signature' => $good), substr($body, 1) ],
	'the timestamp moved to the id' => [ headers('webhook-id' => "m1.$now", 'webhook-timestamp' => $now, 'webhook-signature' => $good), $body ],
	'a timestamp with a sign' => [ headers('webhook-timestamp' => "+$now", 'webhook-signature' => v1('m1', "+$now", $body)), $body ],
	'one with a space' => [ headers('webhook-timestamp' => " $now", 'webhook-signature' => v1('m1', " $now", $body)), $body ],
	'one with a fraction' => [ headers('webhook-timestamp' => "$now.0", 'webhook-signature' => v1('m1', "$now.0", $body)), $body ],
	'one with an exponent' => [ headers('webhook-timestamp' => '1e9', 'webhook-signature' => v1('m1', '1e9', $body)), $body ],
	'one in hexadecimal' => [ headers('webhook-timestamp' => sprintf('0x%x', $now), 'webhook-signature' => v1('m1', sprintf('0x%x', $now), $body)), $body ],
	'one beyond 64 bits' => [ headers('webhook-timestamp' => '18446744073709551616' . $now, 'webhook-signature' => v1('m1', '18446744073709551616' . $now, $body)), $body ],
	'one of nothing' => [ headers('webhook-timestamp' => '', 'webhook-signature' => v1('m1', '', $body)), $body ],
	'one that is null' => [ headers('webhook-timestamp' => undef), $body ],
	'an id that is null' => [ headers('webhook-id' => undef), $body ],
	'a signature that is null' => [ headers('webhook-signature' => undef), $body ],
	'no signature' => [ headers('webhook-signature' => ''), $body ],
	'the scheme alone' => [ headers('webhook-signature' => 'v1'), $body ],
	'an empty one' => [ headers('webhook-signature' => 'v1,'), $body ],
	'padding alone' => [ headers('webhook-signature' => 'v1,===='), $body ],
	'its first half' => [ headers('webhook-signature' => substr($good, 0, 25)), $body ],
	'its first 31 bytes' => [ headers('webhook-signature' => 'v1,' . encode_base64(substr(decode_base64(substr $good, 3), 0, 31), '')), $body ],
	'one byte more' => [ headers('webhook-signature' => 'v1,' . encode_base64(decode_base64(substr $good, 3) . "\0", '')), $body ],
	'without its scheme' => [ headers('webhook-signature' => substr $good, 3), $body ],
	'of a scheme that nobody knows' => [ headers('webhook-signature' => 'v2,' . substr $good, 3), $body ],
	'of the scheme of pairs of keys' => [ headers('webhook-signature' => 'v1a,' . substr $good, 3), $body ],
	'of none' => [ headers('webhook-signature' => 'none,'), $body ],
	'of a scheme in capitals' => [ headers('webhook-signature' => 'V1,' . substr $good, 3), $body ],
	'in hexadecimal' => [ headers('webhook-signature' => 'v1,' . unpack('H*', decode_base64(substr $good, 3))), $body ],
	'with a zero key' => [ headers('webhook-signature' => v1('m1', $now, $body, "\0" x 32)), $body ],
	'with no key' => [ headers('webhook-signature' => v1('m1', $now, $body, '')), $body ],
	'with the text of the secret as key' => [ headers('webhook-signature' => v1('m1', $now, $body, $secret)), $body ],
	'with another secret' => [ headers(), $body, $other ],
	'a thousand guesses' => [ headers('webhook-signature' => join ' ', map { 'v1,' . encode_base64(pack('N8', ($_) x 8), '') } 1 .. 1000), $body ],
);
for my $what (sort keys %forged)
{
	is(is_taken(@{ $forged{$what} }), 'f', $what);
}

# Whoever has the public key can verify, and nothing more.
my $endpoint = $bmw->endpoint('/ok', event_types => '{test.*}');
my $public = $bmw->sql("SELECT bm_webhook.rotate_secret($endpoint, kind => 'ed25519')");
like($public, qr/^whpk_/, 'there is a pair of keys');
my $public_key = decode_base64(substr $public, 5);
for my $by ($public_key, $public, substr($public, 5), '')
{
	is(is_taken(headers('webhook-signature' => v1('m1', $now, $body, $by)), $body, $public), 'f', 'HMAC with what is public is refused');
}
for my $what ([ 'zeros', "\0" x 64 ], [ 'the key twice', $public_key x 2 ], [ 'a point of small order', "\1" . "\0" x 63 ], [ '63 bytes', "\1" x 63 ])
{
	is(is_taken(headers('webhook-signature' => 'v1a,' . encode_base64($what->[1], '')), $body, $public), 'f', "a signature of $what->[0]");
}
$bmw->finish;

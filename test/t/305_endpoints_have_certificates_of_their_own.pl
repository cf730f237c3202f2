# An endpoint may trust an authority of its own, and show a certificate of its own
# (mutual TLS), whose key is stored like a secret. Nobody else's connection is used
# for it, nor its own for anybody else; and nothing switches verification off.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use File::Spec;
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir('tls'));

# Authorities, and certificates that they have signed.
sub make_authority
{
	my ($name) = @_;
	system_or_bail('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', "/CN=$name",
		'-keyout', "$dir/$name.key", '-out', "$dir/$name.crt");
	return;
}
sub make_certificate
{
	my ($name, $authority, $subject) = @_;
	PostgreSQL::Test::Utils::append_to_file("$dir/$name.ext", "subjectAltName=$subject\n");
	system_or_bail('openssl', 'req', '-newkey', 'rsa:2048', '-nodes', '-subj', "/CN=$name", '-keyout', "$dir/$name.key", '-out', "$dir/$name.csr");
	system_or_bail('openssl', 'x509', '-req', '-in', "$dir/$name.csr", '-CA', "$dir/$authority.crt", '-CAkey', "$dir/$authority.key", '-CAcreateserial',
		'-days', '2', '-extfile', "$dir/$name.ext", '-out', "$dir/$name.crt");
	return;
}
sub pem { return join '', map { PostgreSQL::Test::Utils::slurp_file("$dir/$_") } @_ }

make_authority($_) for qw(servers clients others);
make_certificate('server', 'servers', 'IP:127.0.0.1');
make_certificate('elsewhere', 'servers', 'DNS:example.com');
make_certificate('client', 'clients', 'DNS:client.example.com');
make_certificate('stranger', 'others', 'DNS:client.example.com');
system_or_bail('openssl', 'rsa', '-aes256', '-passout', 'pass:x', '-in', "$dir/client.key", '-out', "$dir/locked.key");

my $bmw = BmWebhook->new(receiver => { tls_key => "$dir/server.key", tls_cert => "$dir/server.crt", tls_client_ca => "$dir/clients.crt" });
my $plain = BmWebhook::Receiver->new(tls_key => "$dir/server.key", tls_cert => "$dir/server.crt");
my $elsewhere = BmWebhook::Receiver->new(tls_key => "$dir/elsewhere.key", tls_cert => "$dir/elsewhere.crt");
my $receiver = $bmw->receiver;
my $count = 0;

sub register
{
	my ($receiver, $name, %columns) = @_;
	my $id = $bmw->endpoint($receiver->tls_url("/ok/$name"), event_types => "{test.$name}", retry_delays => '{}', %columns);
	$receiver->set_secrets($name, $bmw->sql("SELECT bm_webhook.secret($id)"));
	return $id;
}
sub show
{
	my ($id, @files) = @_;
	$bmw->sql("INSERT INTO bm_webhook.endpoint_secret (endpoint_id, kind, secret) VALUES ($id, 'client_certificate', " . quote(pem(@files)) . ')');
	return;
}
sub outcome
{
	my ($name) = @_;
	my $event = $bmw->emit("test.$name");
	$bmw->wait_for_sql("$name has ended", "SELECT count(*) = 1 FROM bm_webhook.delivery WHERE event_id = '$event' AND status <> 'pending'");
	return $bmw->sql("SELECT status FROM bm_webhook.delivery WHERE event_id = '$event'");
}

# Its own authority, instead of those that all trust.
register($plain, 'unknown');
is(outcome('unknown'), 'failed', 'an unknown authority is refused');
my $trusting = register($plain, 'trusting', ca_certificates => pem('others.crt', 'servers.crt'));
is(outcome('trusting'), 'delivered', 'the authority of the endpoint is accepted');
is(outcome('unknown'), 'failed', 'by it alone: its connection is not used for another endpoint');
register($plain, 'mistaken', ca_certificates => pem('others.crt'));
is(outcome('mistaken'), 'failed', 'another authority is not');
register($elsewhere, 'elsewhere', ca_certificates => pem('servers.crt'));
is(outcome('elsewhere'), 'failed', 'host names are verified all the same');
is($bmw->sql("SELECT bool_and(error_class = 'tls') FROM bm_webhook.delivery WHERE status = 'failed'"), 't', 'all of them with class tls');
$bmw->sql("UPDATE bm_webhook.endpoint SET ca_certificates = NULL WHERE id = $trusting");
is(outcome('trusting'), 'failed', 'nor once it is taken away, although a connection was open');

# Its own certificate.
my %mutual = map { $_ => register($receiver, $_, ca_certificates => pem('servers.crt')) } qw(right without wrong);
show($mutual{right}, 'client.crt', 'client.key');
show($mutual{wrong}, 'stranger.key', 'stranger.crt');
is(outcome('right'), 'delivered', 'a certificate that the receiver knows is accepted');
is(outcome('without'), 'failed', 'without one nothing is delivered, although a connection was open');
is(outcome('wrong'), 'failed', 'nor with one of an authority that the receiver does not know');
is($receiver->count($_, 'requests'), 0, "nothing was sent to $_") for qw(without wrong);
is(outcome('right'), 'delivered', 'and the first one goes on');
my ($event) = $bmw->sql(q{SELECT max(id::text) FROM bm_webhook.event});
is($bmw->sql("SELECT headers->>'webhook-signature' ~ '^v1,\\S+\$' FROM bm_webhook.preview('$event', $mutual{right})"), 't', 'it does not sign');

# Its key is a secret.
my $file = "$dir/keys";
PostgreSQL::Test::Utils::append_to_file($file, 'k1:' . encode_base64(pack('N8', map { rand 2**32 } 1 .. 8)));
chmod 0600, $file or die "chmod: $!";
$bmw->set('bm_webhook.secret_key_file', $file);
$bmw->wait_for_sql('there is a key', q{SELECT bm_webhook_internal.secret_key() = 'k1'});
my $operation = $bmw->sql('SELECT operation FROM bm_webhook.rekey()');
$bmw->wait_for_sql('all is encrypted', "SELECT ended_at IS NOT NULL AND error IS NULL FROM bm_webhook.operation WHERE id = $operation");
is($bmw->sql("SELECT count(*) FROM bm_webhook.endpoint_secret WHERE secret ~ 'PRIVATE|CERTIFICATE'"), 0, 'no key is readable');
is(outcome('right'), 'delivered', 'and it is shown as before');
show($mutual{without}, 'client.crt', 'client.key');
is(outcome('without'), 'delivered', 'so is one that is written now');
$bmw->sql("DELETE FROM bm_webhook.endpoint_secret WHERE endpoint_id = $mutual{right} AND kind = 'client_certificate'");
is(outcome('right'), 'failed', 'a deleted one is shown no more, although a connection was open');

# What is refused.
my $insert = "INSERT INTO bm_webhook.endpoint_secret (endpoint_id, kind, secret) VALUES ($mutual{right}, 'client_certificate', %s)";
is($bmw->sqlstate(sprintf $insert, quote($_)), '22023', 'no client certificate: ' . substr($_, 0, 40) =~ s/\s+/ /gr)
  for '', 'x', pem('client.crt'), pem('client.key'), pem('client.crt', 'stranger.key'), pem('client.crt', 'locked.key'), pem('client.crt', 'client.key') . 'x' x 70000;
is($bmw->sqlstate(sprintf $insert, 'NULL'), '23502', 'nor is one made');
is($bmw->sqlstate("UPDATE bm_webhook.endpoint SET ca_certificates = " . quote($_) . " WHERE id = $mutual{right}"), '22023', 'no authorities: ' . substr($_, 0, 40) =~ s/\s+/ /gr)
  for '', 'x', pem('client.key'), "-----BEGIN CERTIFICATE-----\nQUFB\n-----END CERTIFICATE-----\n";

$bmw->finish;

# The receiver, or who registers it, chooses numbers of a TLS handshake: large ones would keep the dispatcher busy for up to a
# second for each new connection, and with it everybody else. They are refused. So are messages of TLS without end, which
# OpenSSL reads before it returns: nobody else would be served any more. What a certificate says is quoted as text.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use File::Spec;
use IO::Socket::INET;
use IPC::Run ();
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir('tls'));
my $bmw = BmWebhook->new;

# In DER: its type, its length in two bytes, and what it has.
sub der { return pack('CCn', $_[0], 0x82, length $_[1]) . $_[1] }

# A server of HTTPS whose certificate is for this name; returns its URL.
my @servers;
sub start_server
{
	my ($name, $subject, @options) = @_;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	system_or_bail('openssl', 'req', '-x509', '-utf8', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', $subject, '-keyout', "$dir/$name.key", '-out', "$dir/$name.crt");
	push @servers, IPC::Run::start([ 'openssl', 's_server', '-accept', "127.0.0.1:$port", '-cert', "$dir/$name.crt", '-key', "$dir/$name.key", '-www', @options ], '>&', "$dir/$name.log");
	wait_until("$name listens", sub { slurp_file("$dir/$name.log") =~ /ACCEPT/ });
	return "https://127.0.0.1:$port/$name";
}
sub pem { return quote(join '', map { slurp_file("$dir/$_") } @_) }

###############################################################################
# A prime of 10,000 bits for DHE
###############################################################################

append_to_file("$dir/dh.pem", "-----BEGIN DH PARAMETERS-----\n" . encode_base64(der(0x30, der(0x02, "\x7F" . "\xFF" x 1249) . "\x02\x01\x02")) . "-----END DH PARAMETERS-----\n");
my $url = start_server('slow', '/CN=127.0.0.1', '-tls1_2', '-cipher', 'DHE-RSA-AES128-GCM-SHA256', '-dhparam', "$dir/dh.pem");
my $id = $bmw->endpoint($url, event_types => '{test.slow}', ca_certificates => slurp_file("$dir/slow.crt"), retry_delays => '{}', timeout => '5 s');
$bmw->emit('test.slow');
$bmw->wait_for_sql('it fails', "SELECT count(*) = 1 FROM bm_webhook.failed_attempt WHERE endpoint_id = $id");
like($bmw->sql("SELECT error_class || ': ' || error FROM bm_webhook.failed_attempt WHERE endpoint_id = $id"), qr/^tls: .*(handshake|cipher)/, 'there is no cipher in common');

###############################################################################
# A group of 8,192 bits for TLS 1.3
###############################################################################

$url = start_server('group', '/CN=127.0.0.1', '-tls1_3', '-groups', 'ffdhe8192');
my $group = $bmw->endpoint($url, event_types => '{test.group}', ca_certificates => slurp_file("$dir/group.crt"), retry_delays => '{}', timeout => '5 s');
$bmw->emit('test.group');
$bmw->wait_for_sql('it has ended', "SELECT count(*) = 1 FROM bm_webhook.delivery WHERE endpoint_id = $group AND status <> 'pending'");
like($bmw->sql("SELECT error_class || ': ' || error FROM bm_webhook.failed_attempt WHERE endpoint_id = $group"), qr/^tls: .*handshake/, 'there is no group in common');

###############################################################################
# A client's key of 5,120 bits
###############################################################################

system_or_bail('openssl', 'req', '-x509', '-newkey', 'rsa:5120', '-nodes', '-days', '2', '-subj', '/CN=client', '-keyout', "$dir/client.key", '-out', "$dir/client.crt");
system_or_bail('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-521', '-nodes', '-days', '2', '-subj', '/CN=client', '-keyout', "$dir/ec.key", '-out', "$dir/ec.crt");
my $insert = "INSERT INTO bm_webhook.endpoint_secret (endpoint_id, kind, secret) VALUES ($id, 'client_certificate', ";
is($bmw->sqlstate($insert . pem('client.crt', 'client.key') . ')'), '22023', 'it is refused');
is($bmw->sqlstate($insert . pem('ec.crt', 'ec.key') . ')'), '', 'one of P-521 is not');

###############################################################################
# A chain of ten authorities, and one of five
###############################################################################

sub openssl { return system_or_bail('openssl', @_) }
sub chain
{
	my ($name, $length) = @_;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my @key = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes');
	openssl('req', '-x509', @key, '-days', '2', '-subj', "/CN=$name 0", '-keyout', "$dir/$name.0.key", '-out', "$dir/$name.0.crt");
	for my $i (1 .. $length + 1)
	{
		my $before = $i - 1;
		my $extension = $i > $length ? 'subjectAltName=IP:127.0.0.1' : 'basicConstraints=critical,CA:TRUE';
		append_to_file("$dir/$name.$i.ext", "$extension\n");
		openssl('req', '-new', @key, '-subj', "/CN=$name $i", '-keyout', "$dir/$name.$i.key", '-out', "$dir/$name.$i.csr");
		openssl('x509', '-req', '-in', "$dir/$name.$i.csr", '-CA', "$dir/$name.$before.crt", '-CAkey', "$dir/$name.$before.key", '-set_serial', $i, '-days', '2',
			'-extfile', "$dir/$name.$i.ext", '-out', "$dir/$name.$i.crt");
		append_to_file("$dir/$name.chain", slurp_file("$dir/$name.$i.crt")) if $i <= $length;
	}
	my $last = $length + 1;
	push @servers, IPC::Run::start([ 'openssl', 's_server', '-accept', "127.0.0.1:$port", '-cert', "$dir/$name.$last.crt", '-key', "$dir/$name.$last.key",
		'-cert_chain', "$dir/$name.chain", '-www' ], '>&', "$dir/$name.log");
	wait_until("$name listens", sub { slurp_file("$dir/$name.log") =~ /ACCEPT/ });
	my $endpoint = $bmw->endpoint("https://127.0.0.1:$port/$name", event_types => "{test.$name}", ca_certificates => slurp_file("$dir/$name.0.crt"), retry_delays => '{}');
	my $event = $bmw->emit("test.$name");
	$bmw->wait_for_sql('it is tried', "SELECT count(*) = 1 FROM bm_webhook.delivery WHERE endpoint_id = $endpoint AND status <> 'pending'");
	return $bmw->sql("SELECT status || coalesce(': ' || error, '') FROM bm_webhook.delivery WHERE endpoint_id = $endpoint");
}
like(chain('long', 10), qr/^failed: .*chain too long/, 'a chain of ten is not verified');
like(chain('short', 5), qr/^(?!.*certificate)/, 'one of five is');

###############################################################################
# Messages without end
###############################################################################

# Tickets after the handshake: with the second server no more than other servers send.
sub tickets
{
	my ($count) = @_;
	my $url = start_server("tickets$count", '/CN=127.0.0.1', '-tls1_3', '-num_tickets', $count);
	my $endpoint = $bmw->endpoint($url, event_types => "{test.tickets$count}", ca_certificates => slurp_file("$dir/tickets$count.crt"), retry_delays => '{}');
	$bmw->emit("test.tickets$count");
	$bmw->wait_for_sql('it is tried', "SELECT count(*) = 1 FROM bm_webhook.delivery WHERE endpoint_id = $endpoint AND status <> 'pending'");
	return $bmw->sql("SELECT error_class FROM bm_webhook.delivery WHERE endpoint_id = $endpoint");
}
is(tickets(5000), 'reset', 'who sends thousands of tickets is not listened to');
isnt(tickets(10), 'reset', 'who sends ten is');

# In the handshake, requests for another one, which need no key: in each record 4,096 of them.
my $flood = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die "listen: $!";
my $flooding = fork;
if (!$flooding)
{
	local $SIG{PIPE} = 'IGNORE';
	while (my $client = $flood->accept)
	{
		sysread $client, my $hello, 16384;
		1 while syswrite $client, pack('Cnn', 22, 0x0303, 16384) . "\0" x 16384;
	}
}
$id = $bmw->endpoint('https://127.0.0.1:' . $flood->sockport . '/flood', event_types => '{test.flood}', retry_delays => '{}');
$bmw->endpoint('/ok/fine', event_types => '{test.fine}');
$bmw->emit('test.flood');
$bmw->wait_for_sql('it fails', "SELECT count(*) = 1 FROM bm_webhook.failed_attempt WHERE endpoint_id = $id");
is($bmw->sql("SELECT error_class FROM bm_webhook.failed_attempt WHERE endpoint_id = $id"), 'tls', 'who asks for handshakes without end is not listened to');
$bmw->wait_for_delivery($bmw->emit('test.fine'));
kill KILL => $flooding;
waitpid $flooding, 0;

###############################################################################
# A name that libcurl quotes
###############################################################################

$bmw->node->safe_psql('postgres', 'ALTER SYSTEM SET bm_webhook.verify_endpoints = on');
$bmw->node->reload;
$bmw->wait_for_sql('it is on', q{SELECT current_setting('bm_webhook.verify_endpoints') = 'on'});
$url = start_server('quoted', '/CN=x' . "\xF0\x9F\x98\x80" x 60);
$id = $bmw->endpoint($url, event_types => '{test.quoted}', ca_certificates => slurp_file("$dir/quoted.crt"));
$bmw->wait_for_sql('it fails', "SELECT verification_error IS NOT NULL FROM bm_webhook.endpoint_state WHERE endpoint_id = $id");
like($bmw->sql("SELECT convert_from(convert_to(verification_error, 'UTF8'), 'UTF8') FROM bm_webhook.endpoint_state WHERE endpoint_id = $id"), qr/certificate/, 'the error is text');

$_->kill_kill for @servers;
$bmw->finish;

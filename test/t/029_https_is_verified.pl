# https endpoints: a certificate of an authority that the administrator trusts is
# accepted, one of an unknown authority or for another host is refused with class
# tls, and nothing is sent. Connections are kept alive here too.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use File::Spec;
use PostgreSQL::Test::Utils;
use Test::More;

# The server's working directory is not the test's.
my $dir = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir('tls'));

# A certificate for this subject alternative name, by an authority of its own.
sub make_certificate
{
	my ($name, $subject) = @_;
	system_or_bail('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', "/CN=$name",
		'-addext', "subjectAltName=$subject", '-keyout', "$dir/$name.key", '-out', "$dir/$name.crt");
	return (tls_key => "$dir/$name.key", tls_cert => "$dir/$name.crt");
}

my $bmw = BmWebhook->new(receiver => { make_certificate('right', 'IP:127.0.0.1') });
my $other_host = BmWebhook::Receiver->new(make_certificate('wrong', 'DNS:example.com,IP:127.0.0.9'));
my $receiver = $bmw->receiver;

my $right = $bmw->endpoint($receiver->tls_url('/ok/right'), event_types => '{test.right}', retry_delays => '{}', max_in_flight => 2);
my $wrong = $bmw->endpoint($other_host->tls_url('/ok/wrong'), event_types => '{test.wrong}', retry_delays => '{}');

sub is_refused
{
	my ($name, $description) = @_;
	my $event = $bmw->emit("test.$name");
	is($bmw->sql("SELECT bm_webhook.wait_for_delivery('$event', '20 s')"), 'f', "$description: not delivered");
	is($bmw->sql("SELECT error_class, http_status IS NULL FROM bm_webhook.delivery WHERE event_id = '$event'"), 'tls|t',
		"$description: refused with class tls");
	return;
}

is_refused('right', 'an unknown authority');
is($receiver->count('right', 'requests'), 0, 'an unknown authority: nothing is sent');

PostgreSQL::Test::Utils::append_to_file("$dir/ca.pem",
	PostgreSQL::Test::Utils::slurp_file("$dir/right.crt") . PostgreSQL::Test::Utils::slurp_file("$dir/wrong.crt"));
$bmw->set('bm_webhook.ca_file', "$dir/ca.pem");
wait_until('the setting is in force', sub {
	my $event = $bmw->emit('test.right');
	$bmw->sql("SELECT bm_webhook.wait_for_delivery('$event', '5 s')") eq 't';
});
pass('a trusted authority is accepted');
is_refused('wrong', 'another host');
is($other_host->count('wrong', 'requests'), 0, 'another host: nothing is sent');

$receiver->reset;
$bmw->emit_many(200, 'test.right');
$bmw->wait_for_requests('right', 200);
$bmw->settle;
cmp_ok($receiver->count('right', 'connections'), '<=', 2, 'connections are kept alive');
$bmw->arrived_exactly_once('right', q{SELECT event_id FROM bm_webhook.delivery JOIN bm_webhook.event ON id = event_id
	WHERE type = 'test.right' AND data::jsonb ? 'n'}, 'all arrive once');

$bmw->finish;

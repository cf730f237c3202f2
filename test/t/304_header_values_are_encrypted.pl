# With a key file, the values of an endpoint's headers are encrypted as its secrets are:
# they are sent as they were written, and nobody can read them any more, but replace them
# one by one. Without one they stay as they are, until rekey() encrypts them.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils ();
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my $file = PostgreSQL::Test::Utils::tempdir('keys') . '/keys';
my %key = map { $_ => "$_:" . encode_base64(pack('N8', map { rand 2**32 } 1 .. 8), '') } qw(k1 k2);

sub write_keys
{
	unlink $file;
	PostgreSQL::Test::Utils::append_to_file($file, join '', map { "$_\n" } @_);
	chmod 0600, $file or die "chmod: $!";
	$bmw->node->reload;
	my ($first) = $_[0] =~ /^(.*?):/;
	$bmw->wait_for_sql("$first is the key", "SELECT bm_webhook_internal.secret_key() = '$first'") if $bmw->sql('SHOW bm_webhook.secret_key_file');
	return;
}

# What the receiver gets of these headers.
sub sent
{
	my ($name, @headers) = @_;
	$receiver->reset($name);
	$bmw->wait_for_delivery($bmw->emit("test.$name"));
	my ($request) = $receiver->requests($name);
	return join '|', map { $request->{headers}{$_} // '' } @headers;
}

sub rekey
{
	my ($operation, $matched) = split /\|/, $bmw->sql('SELECT operation, matched FROM bm_webhook.rekey()');
	$bmw->wait_for_sql('it ends', "SELECT ended_at IS NOT NULL FROM bm_webhook.operation WHERE id = $operation");
	return $bmw->sql("SELECT matched, done, coalesce(error, '') FROM bm_webhook.operation WHERE id = $operation");
}

# The row without what is not about headers.
sub stored
{
	my ($id) = @_;
	return $bmw->sql("SELECT headers, credentials IS NOT NULL, credentials_key_id FROM bm_webhook.endpoint WHERE id = $id");
}

my $early = $bmw->named_endpoint('early', headers => '{"authorization": "Bearer t0ken", "X-Tenant": "Größe 1"}');
is(stored($early), '{"X-Tenant": "Größe 1", "authorization": "Bearer t0ken"}|f|', 'without a key they are readable');

write_keys($key{k1});
$bmw->sql("ALTER SYSTEM SET bm_webhook.secret_key_file = '$file'");
write_keys($key{k1});
my $late = $bmw->named_endpoint('late', headers => '{"authorization": "Bearer second", "x-empty": "", "x-a": "a, b; c=\"d\""}');
is(stored($late), '{"x-a": "********", "x-empty": "********", "authorization": "********"}|t|k1', 'with one their names alone');
is(sent('late', qw(authorization x-empty x-a)), 'Bearer second||a, b; c="d"', 'and they are sent as they are');
is($bmw->sql("SELECT credentials ~ 'second|Bearer|authorization' FROM bm_webhook.endpoint WHERE id = $late"), 'f', 'nothing of it is in the table');
is($bmw->sql("SELECT headers->>'authorization' FROM bm_webhook.preview((SELECT max(id::text)::uuid FROM bm_webhook.event), $late)"), '********', 'preview() does not show them');
like(sent('early', qw(authorization)), qr/^Bearer t0ken$/, 'those in plain text are sent as well');

# What is written again as it is shown stays.
$bmw->sql(qq{UPDATE bm_webhook.endpoint SET headers = (headers - 'x-a' - 'x-empty') || '{"X-A": "new", "x-b": "more"}' WHERE id = $late});
is(sent('late', qw(authorization x-empty x-a x-b)), 'Bearer second||new|more', 'one is replaced, one added, one taken out');
$bmw->sql("UPDATE bm_webhook.endpoint SET description = 'other' WHERE id = $late");
is(sent('late', qw(authorization x-a)), 'Bearer second|new', 'a change of something else changes nothing');
is($bmw->sqlstate(qq{UPDATE bm_webhook.endpoint SET headers = headers || '{"x-c": "********"}' WHERE id = $late}), '22023', 'the mask is no value');
is($bmw->sqlstate(qq{UPDATE bm_webhook.endpoint SET headers = headers || '{"host": "x"}' WHERE id = $late}), '22023', 'headers are checked');
$bmw->sql("UPDATE bm_webhook.endpoint SET headers = '{}' WHERE id = $late");
is(stored($late), '{}|f|', 'none is none');
$bmw->sql(qq{UPDATE bm_webhook.endpoint SET headers = '{"authorization": "Bearer third"}' WHERE id = $late});

# rekey()
is(rekey(), '2|2|', 'rekey() is for what is in plain text: a secret and headers');
is(stored($early), '{"X-Tenant": "********", "authorization": "********"}|t|k1', 'which are encrypted then');
like(sent('early', qw(authorization x-tenant)), qr/^Bearer t0ken\|Gr.+e 1$/, 'and sent as before');
write_keys(@key{qw(k2 k1)});
is(rekey(), '4|4|', 'another key');
write_keys($key{k2});
is(sent('late', 'authorization'), 'Bearer third', 'the old one is not needed any more');

# What was encrypted for another endpoint does not decrypt.
$bmw->sql("UPDATE bm_webhook.endpoint t SET headers = s.headers, credentials = s.credentials, credentials_key_id = s.credentials_key_id
	FROM bm_webhook.endpoint s WHERE s.id = $early AND t.id = $late");
$receiver->reset('late');
my $waiting = $bmw->emit('test.late');
$bmw->wait_for_sql('what is for it waits', "SELECT count(*) = 1 FROM bm_webhook.delivery WHERE event_id = '$waiting' AND status = 'pending'");
$bmw->wait_for_sql('status() says so', q{SELECT bool_or(reason LIKE '1 endpoints wait%') FROM bm_webhook.status()});
is($bmw->sql("SELECT reason FROM bm_webhook.explain_delivery('$waiting') WHERE endpoint_id = $late"), 'secret not readable', 'explain_delivery() as well');
is($receiver->count('late', 'requests'), 0, 'nothing is sent');
is($bmw->sqlstate(qq{UPDATE bm_webhook.endpoint SET headers = headers || '{"x-d": "1"}' WHERE id = $late}), '55000', 'what is masked cannot be kept');
is(sent('early', 'authorization'), 'Bearer t0ken', 'others go on');
$bmw->sql(qq{UPDATE bm_webhook.endpoint SET headers = '{"authorization": "Bearer fourth"}' WHERE id = $late});
$bmw->wait_for_delivery($waiting);
is(($receiver->requests('late'))[0]{headers}{authorization}, 'Bearer fourth', 'all written anew: it is sent');

# A dump of the table, restored.
$bmw->sql("CREATE TABLE saved AS SELECT * FROM bm_webhook.endpoint WHERE id = $early");
$bmw->sql("DELETE FROM bm_webhook.endpoint WHERE id = $early; INSERT INTO bm_webhook.endpoint OVERRIDING SYSTEM VALUE SELECT * FROM saved");
$receiver->set_secrets('early', $bmw->sql("SELECT bm_webhook.secret($early)"));
is(sent('early', 'authorization'), 'Bearer t0ken', 'a row that is restored is as it was');

# Deleted; and back to plain text.
$bmw->sql("SELECT bm_webhook.delete_endpoint($early)");
is(stored($early), '{}|f|', 'nothing is left of a deleted one');
$bmw->sql('UPDATE bm_webhook.endpoint SET credentials_key_id = NULL; UPDATE bm_webhook.endpoint_secret SET key_id = NULL');
is(stored($late), '{"authorization": "Bearer fourth"}|f|', 'in plain text again, for who wants it');
is(sent('late', 'authorization'), 'Bearer fourth', 'and sent');

# An owner cannot choose what is encrypted.
$bmw->sql(q{INSERT INTO bm_webhook.application (name) VALUES ('shop'); CREATE ROLE shop_admin;
	UPDATE bm_webhook.application SET owner = 'shop_admin' WHERE name = 'shop'; GRANT USAGE ON SCHEMA bm_webhook, bm_webhook_internal TO shop_admin;
	GRANT SELECT ON bm_webhook.application TO shop_admin; GRANT SELECT, INSERT ON bm_webhook.endpoint TO shop_admin});
is($bmw->sqlstate("SET ROLE shop_admin; INSERT INTO bm_webhook.endpoint (url, application, credentials, credentials_key_id)
	VALUES ('" . $receiver->url('/ok/x') . "', 'shop', 'x', 'k2')"), '42501', 'credentials cannot be chosen');

$bmw->finish;

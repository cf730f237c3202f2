# With a key file, secrets are stored encrypted, and signed with all the same. What is in
# the table opens in its own row alone; what does not open keeps its endpoint from being
# sent anything, says so, and is nobody else's trouble. Keys are replaced without a pause.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils ();
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my $file = PostgreSQL::Test::Utils::tempdir('keys') . '/keys';
my %key = map { $_ => "$_:" . encode_base64(pack('N8', map { rand 2**32 } 1 .. 8), '') } qw(k1 k2 k3);

sub write_keys
{
	my ($text, $mode) = @_;
	unlink $file;
	PostgreSQL::Test::Utils::append_to_file($file, $text);
	chmod $mode // 0600, $file or die "chmod: $!";
	return;
}

# Sessions of now, and the dispatcher as it deals with what it is sent.
sub reload_until
{
	my ($storage) = @_;
	$bmw->node->reload;
	$bmw->wait_for_sql("secrets are $storage", "SELECT bool_and(secrets LIKE '$storage%') FROM bm_webhook.status()");
	return;
}

# An event for it arrives, signed as its receiver expects.
sub works
{
	my ($name, $description) = @_;
	my $before = $receiver->count($name, 'verified');
	$bmw->wait_for_delivery($bmw->emit("test.$name"));
	is($receiver->count($name, 'verified'), $before + 1, "$description: $name is sent to, and verifies");
	return;
}

sub keys_of
{
	return $bmw->sql(q{SELECT string_agg(DISTINCT coalesce(key_id, 'plain'), ' ' ORDER BY coalesce(key_id, 'plain')) FROM bm_webhook.endpoint_secret});
}

sub rekey
{
	my ($matched, $error) = @_;
	my ($operation, $count) = split /\|/, $bmw->sql('SELECT operation, matched FROM bm_webhook.rekey()');
	is($count, $matched, "rekey() is for $matched");
	$bmw->wait_for_sql('it ends', "SELECT ended_at IS NOT NULL FROM bm_webhook.operation WHERE id = $operation");
	is($bmw->sql("SELECT error IS NULL FROM bm_webhook.operation WHERE id = $operation"), $error ? 'f' : 't', $error ? 'with an error' : 'without error');
	return $operation;
}

###############################################################################
# Without a key, and files that are none
###############################################################################

$bmw->dispatcher;
my $first = $bmw->named_endpoint('first');
my $other = $bmw->named_endpoint('other');
is($bmw->status('secrets'), 'plain text: bm_webhook.secret_key_file is not set', 'status() says that they are in plain text');
is(keys_of(), 'plain', 'which they are');
is($bmw->sqlstate('SELECT bm_webhook.rekey()'), '55000', 'nothing to encrypt with');

my @wrong = (
	[ 'absolute path', 'keys', sub { } ],
	[ 'could not be opened', $file, sub { unlink $file } ],
	[ 'regular file', PostgreSQL::Test::Utils::tempdir('folder'), sub { } ],
	[ 'readable by nobody else', $file, sub { write_keys("$key{k1}\n", 0640) } ],
	[ 'readable by nobody else', $file, sub { write_keys("$key{k1}\n", 0604) } ],
	[ 'It has no key', $file, sub { write_keys("# none\n") } ],
	[ 'Line 2: .* 32 bytes', $file, sub { write_keys("$key{k1}\nk2:QUFB\n") } ],
	[ 'Line 3: .* same id', $file, sub { write_keys("$key{k1}\n\n$key{k1}\n") } ],
	[ 'Line 1: .* id of a key', $file, sub { write_keys("no key\n") } ],
	[ 'too large', $file, sub { write_keys('#' x 20000) } ]);
for my $case (@wrong)
{
	my ($detail, $path, $prepare) = @$case;
	my $error;
	$prepare->();
	$bmw->node->psql('postgres', "ALTER SYSTEM SET bm_webhook.secret_key_file = '$path'", stderr => \$error);
	like($error, qr/ERROR:.*DETAIL:.*$detail/s, "refused: $detail");
	unlike($error, qr/\Q@{[ substr $key{k1}, 3 ]}\E/, 'without a key in the message');
}

###############################################################################
# Encrypted
###############################################################################

write_keys("# made by the test\n$key{k1}\n");
$bmw->sql("ALTER SYSTEM SET bm_webhook.secret_key_file = '$file'");
reload_until('encrypted with key "k1"');
my $second = $bmw->named_endpoint('second');
my ($stored, $key_id) = split /\|/, $bmw->sql("SELECT secret, key_id FROM bm_webhook.endpoint_secret WHERE endpoint_id = $second");
unlike($stored, qr/whsec/, 'the text is not what is stored');
is($key_id, 'k1', 'but what it became with the first key');
like($bmw->sql("SELECT bm_webhook.secret($second)"), qr/^whsec_[A-Za-z0-9+\/]{43}=$/, 'secret() shows it');
is($bmw->sql("SELECT count(*) FROM bm_webhook.operation WHERE kind = 'show_secret' AND endpoint_id = $second AND asked_by = session_user AND ended_at IS NOT NULL"),
	2, 'each showing is recorded');
works($_, 'with a new key file') for qw(first second);

$bmw->sql("UPDATE bm_webhook.endpoint_secret SET secret = 'whsec_" . ('QUFB' x 8) . "' WHERE endpoint_id = $second");
$receiver->set_secrets('second', 'whsec_' . 'QUFB' x 8);
unlike($bmw->sql("SELECT secret FROM bm_webhook.endpoint_secret WHERE endpoint_id = $second"), qr/whsec|QUFBQUFB/, 'one that is written is encrypted as well');
works('second', 'written by hand');
like(my $rotated = $bmw->sql("SELECT bm_webhook.rotate_secret($second, '1 h')"), qr/^whsec_/, 'rotate_secret() returns the text');
$receiver->set_secrets('second', $rotated, 'whsec_' . 'QUFB' x 8);
works('second', 'during a rotation');
like(my $public = $bmw->sql("SELECT bm_webhook.rotate_secret($second, kind => 'ed25519')"), qr/^whpk_/, 'and of a pair the public key');
is($bmw->sql("SELECT bm_webhook.public_key($second)"), $public, 'which public_key() knows');
works('second', 'with a pair of keys');
my $event = $bmw->sql("SELECT id FROM bm_webhook.event WHERE type = 'test.second' ORDER BY id DESC LIMIT 1");
is($bmw->sql("SELECT bm_webhook.verify(headers, body, '$_') FROM bm_webhook.preview('$event', $second)"), 't', 'preview() signs with it') for $rotated, $public;

is($bmw->sql('SELECT operation IS NULL, matched FROM bm_webhook.rekey(dry_run => true)'), 't|2', 'two are in plain text');
is(keys_of(), 'k1 plain', 'and stay so in a dry run');
my $operation = rekey(2);
is($bmw->sql("SELECT done FROM bm_webhook.operation WHERE id = $operation"), 2, 'both are done');
is(keys_of(), 'k1', 'all are encrypted');
works($_, 'after rekey()') for qw(first second other);

###############################################################################
# Another key
###############################################################################

write_keys("$key{k2}\n$key{k1}\n");
reload_until('encrypted with key "k2"');
$bmw->named_endpoint('third');
works($_, 'with two keys') for qw(first second third);
is(keys_of(), 'k1 k2', 'new ones are encrypted with the first');
# many: in several steps, while events go on
$bmw->sql("INSERT INTO bm_webhook.endpoint (url, event_types) SELECT '" . $receiver->url('/ok/many') . "', '{test.none}' FROM generate_series(1, 700)");
write_keys("$key{k3}\n$key{k2}\n$key{k1}\n");
reload_until('encrypted with key "k3"');
rekey($bmw->sql('SELECT count(*) FROM bm_webhook.endpoint_secret'));
is(keys_of(), 'k3', 'all are under the newest');
write_keys("$key{k3}\n");
reload_until('encrypted with key "k3"');
works($_, 'without the old keys') for qw(first second third);

###############################################################################
# What does not open
###############################################################################

# Who can write into the table copies the secret of another endpoint, to sign as he does.
$bmw->sql("INSERT INTO bm_webhook.endpoint_secret (endpoint_id, secret, kind, key_id)
	SELECT $other, secret, kind, key_id FROM bm_webhook.endpoint_secret WHERE endpoint_id = $first");
my $waiting = $bmw->emit('test.other');
$bmw->wait_for_sql('what is for it waits', "SELECT count(*) = 1 FROM bm_webhook.delivery WHERE event_id = '$waiting' AND status = 'pending' AND error_class = 'no_secret'");
$bmw->wait_for_sql('status() says so', q{SELECT bool_or(reason = '1 endpoints wait: their secrets cannot be decrypted with the keys of bm_webhook.secret_key_file') FROM bm_webhook.status()});
is($bmw->sql("SELECT gets_it, reason FROM bm_webhook.explain_delivery('$waiting') WHERE endpoint_id = $other"), 't|secret not readable', 'explain_delivery() as well');
is($bmw->sqlstate("SELECT bm_webhook.secret($other)"), '55000', 'secret() cannot show it');
is($bmw->sqlstate("SELECT bm_webhook.preview('$waiting', $other)"), '55000', 'nor preview() sign with it');
like(PostgreSQL::Test::Utils::slurp_file($bmw->node->logfile), qr/LOG:.*endpoint $other of bm_webhook has no usable secret\n.*DETAIL:.*cannot be decrypted/, 'the log says so');
works('first', 'meanwhile');
is($receiver->count('other', 'requests'), 1, 'nothing was sent, not even with its own');
write_keys("$key{k2}\n$key{k3}\n");
reload_until('encrypted with key "k2"');
rekey($bmw->sql('SELECT count(*) FROM bm_webhook.endpoint_secret'), 1);
is(keys_of(), 'k2 k3', 'rekey() leaves it as it is');
is($bmw->sql("SELECT error FROM bm_webhook.operation ORDER BY id DESC LIMIT 1"), '1 secrets or headers cannot be decrypted', 'and says so');
$bmw->sql("DELETE FROM bm_webhook.endpoint_secret WHERE key_id = 'k3'");
$bmw->wait_for_delivery($waiting);
$bmw->wait_for_sql('status() is content', q{SELECT bool_and(reason IS NULL) FROM bm_webhook.status()});
is($bmw->sqlstate("UPDATE bm_webhook.endpoint_secret SET endpoint_id = $second WHERE endpoint_id = $first"), '42501', 'a secret cannot be moved');
is($bmw->sqlstate("UPDATE bm_webhook.endpoint_secret SET kind = 'ed25519' WHERE endpoint_id = $first"), '42501', 'nor become one of another kind');

# A file that cannot be used any more: whoever has its keys keeps them.
write_keys("nonsense\n");
$bmw->node->reload;
wait_until('the log says so', sub { PostgreSQL::Test::Utils::slurp_file($bmw->node->logfile) =~ /LOG:.*invalid value for parameter "bm_webhook.secret_key_file".*\n.*Line 1/ });
works('first', 'with a file that is broken after the start');
$bmw->named_endpoint('fourth');

# A start with it: nothing is sent, and nothing is written in plain text.
$bmw->node->restart;
$bmw->dispatcher;
like($bmw->status('secrets'), qr/^unusable: bm_webhook.secret_key_file: Line 1:/, 'status() says that it is unusable');
$waiting = $bmw->emit('test.first');
$bmw->wait_for_sql('what comes waits', "SELECT count(*) = 1 FROM bm_webhook.delivery WHERE event_id = '$waiting' AND status = 'pending'");
is($bmw->sqlstate("INSERT INTO bm_webhook.endpoint (url) VALUES ('" . $receiver->url('/ok/x') . "')"), '55000', 'no endpoint is registered');
is($bmw->sqlstate("SELECT bm_webhook.rotate_secret($first)"), '55000', 'no secret is made');
write_keys("$key{k2}\n");
reload_until('encrypted with key "k2"');
$bmw->wait_for_delivery($waiting);
works('fourth', 'with the file repaired');

# Back to plain text, for who wants it.
$bmw->sql('UPDATE bm_webhook.endpoint_secret SET key_id = NULL');
$bmw->sql('ALTER SYSTEM RESET bm_webhook.secret_key_file');
reload_until('plain text');
works('first', 'in plain text again');
is($bmw->sql("SELECT count(*) FROM bm_webhook.endpoint_secret WHERE secret !~ '^wh(sec|sk)_'"), 0, 'all are');

###############################################################################
# Who may
###############################################################################

$bmw->sql(q{INSERT INTO bm_webhook.application (name) VALUES ('shop'); CREATE ROLE shop_admin;
	UPDATE bm_webhook.application SET owner = 'shop_admin' WHERE name = 'shop'; GRANT USAGE ON SCHEMA bm_webhook TO shop_admin});
my $shop = $bmw->named_endpoint('shop', application => 'shop');
sub as { return $bmw->sqlstate("SET ROLE shop_admin; $_[0]") }
is(as("SELECT bm_webhook.secret($shop)"), '42501', 'secret() has to be granted');
is(as('SELECT bm_webhook.rekey()'), '42501', 'and rekey()');
$bmw->sql('GRANT EXECUTE ON FUNCTION bm_webhook.secret, bm_webhook.rekey TO shop_admin');
is(as("SELECT bm_webhook.secret($shop)"), '', 'the owner sees it, without any right to the table');
is(as("SELECT bm_webhook.secret($first)"), '42704', 'and not that of others');
is(as("BEGIN READ ONLY; SELECT bm_webhook.secret($shop)"), '25006', 'nor where it cannot be recorded');
is(as('SELECT bm_webhook.rekey()'), '42501', 'rekey() is for administrators');

$bmw->finish;

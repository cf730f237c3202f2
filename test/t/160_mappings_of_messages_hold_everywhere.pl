# What a watched table of messages needs is in its triggers and in status_map.
# A change of status_map counts in every session that has used it, also in one
# with an older snapshot, and not when it is rolled back. A writer needs no right
# of the extension, a table that comes from a dump makes the same messages, and
# DROP TABLE needs nothing else.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use PostgreSQL::Test::Utils;
use Test::More;

my $bmw = BmWebhook->new;

$bmw->sql(q{
	CREATE TABLE message (id bigserial PRIMARY KEY, channel text, status text, recipient text, provider text, error jsonb);
	CREATE ROLE writer;
	GRANT INSERT ON message TO writer;
	GRANT USAGE ON SEQUENCE message_id_seq TO writer;
	SELECT bm_webhook.watch_messages('message', message_id => 'm-{id}', sender => 'ACME');
	INSERT INTO bm_webhook.status_map VALUES ('acme', 'gone out', 'sent')});

my $insert = q{INSERT INTO message (channel, status, recipient, provider) VALUES ('sms', 'gone out', '+33698765432', 'acme')};
my $last = q{SELECT coalesce(data->>'error', type) FROM bm_webhook.event ORDER BY id DESC LIMIT 1};

# Inserts a message; what became of it.
sub insert
{
	my ($session) = @_;
	$session->query_safe($insert);
	return $session->query_safe($last);
}

my ($reader, $snapshot, $changer) = map { $bmw->session } 1 .. 3;

is(insert($reader), 'message.sent', 'a status of a provider');
is(insert($snapshot), 'message.sent', 'in another session, too');
$snapshot->query_safe(q{BEGIN ISOLATION LEVEL REPEATABLE READ});
$snapshot->query_safe('SELECT count(*) FROM message');
$changer->query_safe(q{BEGIN});
$changer->query_safe(q{UPDATE bm_webhook.status_map SET status = 'delivered' WHERE provider = 'acme'});
is(insert($changer), 'message.delivered', 'who changes the map sees it');
is(insert($reader), 'message.sent', 'nobody else before the commit');
$changer->query_safe('COMMIT');
is(insert($reader), 'message.delivered', 'everybody after it');
is(insert($snapshot), 'message.delivered', 'even with an older snapshot');
$snapshot->query_safe('COMMIT');

$changer->query_safe(q{BEGIN});
$changer->query_safe(q{DELETE FROM bm_webhook.status_map WHERE provider = 'acme'});
is(insert($changer), 'unknown "provider" "acme"', 'a provider that is gone');
$changer->query_safe('ROLLBACK');
is(insert($changer), 'message.delivered', 'comes back with a rollback');
$changer->query_safe(q{BEGIN});
$changer->query_safe(q{SAVEPOINT s});
$changer->query_safe(q{TRUNCATE bm_webhook.status_map});
is(insert($changer), 'unknown "provider" "acme"', 'so does a map that was emptied');
$changer->query_safe('ROLLBACK TO s');
is(insert($changer), 'message.delivered', 'with a rollback to a savepoint');
$changer->query_safe('COMMIT');

$bmw->sql("SET ROLE writer; $insert");
is($bmw->sql($last), 'message.delivered', 'a role that may only write into the table makes messages');

# A dump has the triggers, and the rows of status_map that are not shipped.
my $dump = PostgreSQL::Test::Utils::tempdir('dump') . '/dump.sql';
$bmw->sql('CREATE DATABASE restored');
$bmw->node->command_ok([ 'pg_dump', '--file', $dump, $bmw->node->connstr('postgres') ], 'a dump');
$bmw->node->command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $bmw->node->connstr('restored'), '-f', $dump ], 'restored');
$bmw->sql($insert, 'restored');
is($bmw->sql(q{SELECT type || ' ' || (data #>> '{from,address}') FROM bm_webhook.event}, 'restored'), 'message.delivered ACME', 'makes the same messages');
$bmw->sql('DROP TABLE message', 'restored');
pass('and the table can be dropped');
$bmw->sql('DROP DATABASE restored WITH (FORCE)');

$_->quit for $reader, $snapshot, $changer;
$bmw->finish;

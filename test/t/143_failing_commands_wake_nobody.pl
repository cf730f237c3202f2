# A command that fails, or may not be run, does nothing to dispatchers: COMMIT
# PREPARED of what is not there starts no dispatcher, and commands on databases stop nobody where they cannot succeed.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new(conf => "log_min_messages = debug1\n");
my $node = $bmw->node;

$bmw->endpoint('/ok/all');
$bmw->sql('CREATE DATABASE bare');
$bmw->sql('CREATE ROLE nobody LOGIN');
$bmw->sql('CREATE ROLE keeper LOGIN');
$bmw->sql('CREATE DATABASE kept OWNER keeper');
$bmw->sql('CREATE EXTENSION bm_webhook', 'kept');
my $pid = $bmw->dispatcher;
my $kept = $bmw->dispatcher('kept');
$bmw->settle;

# So many starts of a dispatcher are in the log.
sub starts
{
	my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
	return scalar(() = $log =~ /starting background worker process "bm_webhook dispatcher"/g);
}

# Fails so many times, as somebody without rights.
sub fail_often
{
	my ($command, $database) = @_;
	my $script = join '', map { "$command;\n" } 1 .. 300;
	my $errors = '';

	$node->psql($database, $script, on_error_stop => 0, stderr => \$errors, extra_params => [ '-U', 'nobody' ]);
	return scalar(() = $errors =~ /ERROR/g);
}

# The launcher has looked at all databases once.
wait_until('the launcher has been everywhere', sub {
	my $before = starts();
	$bmw->settle;
	return starts() == $before;
});
my $before = starts();
is(fail_often(q{COMMIT PREPARED 'nope'}, 'bare'), 300, 'fails in a database without the extension');
is(fail_often(q{COMMIT PREPARED 'nope'}, 'postgres'), 300, 'and in one with it');
$bmw->settle;
is(starts(), $before, 'no dispatcher is started for it');

# What may be ours is still seen: an endpoint and an event in one prepared transaction.
my $url = $bmw->receiver->url('/ok/prepared');
$bmw->sql("BEGIN; INSERT INTO bm_webhook.endpoint (url, event_types) VALUES ('$url', '{test.prepared}');"
	  . " SELECT bm_webhook.emit('test.prepared', '{}'); PREPARE TRANSACTION 'ours'");
$bmw->sql(q{COMMIT PREPARED 'ours'});
$bmw->wait_for_requests('prepared', 1);
ok(1, 'COMMIT PREPARED takes effect');

# Commands on a database that cannot succeed: its dispatcher stays.
sub refuse
{
	my ($description, $role, @commands) = @_;
	my $errors = '';

	$node->psql('postgres', join("\n", map { "$_;" } @commands), on_error_stop => 0, stderr => \$errors,
		extra_params => [ '-U', $role ]);
	like($errors, qr/ERROR/, "refused: $description");
	return is($bmw->dispatcher('kept'), $kept, 'its dispatcher stays');
}

my $superuser = $bmw->sql('SELECT current_user');
refuse('DROP DATABASE in a transaction', $superuser, 'BEGIN', 'DROP DATABASE kept', 'ROLLBACK');
refuse('CREATE DATABASE in a transaction', $superuser, 'BEGIN', 'CREATE DATABASE copy TEMPLATE kept', 'ROLLBACK');
refuse('ALTER DATABASE in a transaction', $superuser, 'BEGIN', 'ALTER DATABASE kept SET TABLESPACE pg_default', 'ROLLBACK');
refuse('CREATE DATABASE without the right', 'keeper', 'CREATE DATABASE copy TEMPLATE kept');
refuse('RENAME without the right', 'keeper', 'ALTER DATABASE kept RENAME TO mine');
refuse('DROP of another\'s database', 'nobody', 'DROP DATABASE kept');
is($bmw->dispatcher, $pid, 'nor was another one disturbed');

$bmw->sql('DROP DATABASE kept');
ok(1, 'what may succeed does');

$bmw->finish;

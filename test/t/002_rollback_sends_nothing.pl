# An event exists if and only if its transaction committed: ROLLBACK, savepoints,
# exceptions, a constraint that fails at COMMIT and a session that is killed send
# nothing; what was committed beside them is sent once. By emit() and by a
# watched table.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

$bmw->endpoint('/ok/all');
$bmw->sql(q{
	CREATE TABLE kept (event uuid);
	CREATE TABLE message (id int PRIMARY KEY, status text UNIQUE DEFERRABLE INITIALLY DEFERRED);
	SELECT bm_webhook.watch('message', 'message.{status}');
});

sub emit { return 'INSERT INTO kept SELECT ' . $bmw->emit_call($_[0]) . ';' }

$bmw->sql('BEGIN;' . emit('dropped.rollback') . q{INSERT INTO message VALUES (1, 'dropped'); ROLLBACK});
$bmw->sql('BEGIN;' . emit('kept.before')
	  . 'SAVEPOINT a;' . emit('dropped.savepoint') . q{INSERT INTO message VALUES (1, 'dropped');}
	  . 'SAVEPOINT b;' . emit('dropped.nested') . 'RELEASE b; ROLLBACK TO a;' . emit('kept.after')
	  . 'SAVEPOINT c;' . emit('kept.released') . q{INSERT INTO message VALUES (1, 'kept');} . 'RELEASE c; COMMIT');
$bmw->sql('DO $$ BEGIN ' . emit('kept.outside')
	  . 'BEGIN ' . emit('dropped.exception') . q{INSERT INTO message VALUES (2, 'dropped'); PERFORM 1 / 0;}
	  . 'EXCEPTION WHEN division_by_zero THEN ' . emit('kept.handler') . ' END; END $$');
is($bmw->sqlstate('BEGIN;' . emit('dropped.at_commit') . q{INSERT INTO message VALUES (3, 'kept'); COMMIT}),
	'23505', 'a deferred constraint fails at COMMIT');
is($bmw->sqlstate('SELECT ' . $bmw->emit_call('dropped.statement') . ', 1 / (SELECT 0 FROM pg_class LIMIT 1)'),
	'22012', 'a statement fails after emit()');

my $session = $bmw->session;
my $pid = $session->query_safe('SELECT pg_backend_pid()');
$session->query_safe('BEGIN;' . emit('dropped.killed') . q{INSERT INTO message VALUES (4, 'killed')});
$bmw->sql("SELECT pg_terminate_backend($pid, 10000)");
$session->quit;

$bmw->settle;
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.event WHERE type LIKE '%dropped%' OR type LIKE '%killed%'}), 0,
	'no event of what was rolled back');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.event WHERE type LIKE '%kept%'}), 6, 'all events of what was committed');
$bmw->arrived_exactly_once('all', q{SELECT id FROM bm_webhook.event WHERE type <> 'test.settled'},
	'the events that exist, and no others, were sent once');
is($receiver->count('all', 'requests'), 6, 'no request beside them');

$bmw->finish;

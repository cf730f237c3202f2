# After ALTER EXTENSION the next dispatcher starts, and not only a minute after the last one has found the extension
# outdated; also when the command has ended before the launcher saw that the last one is gone.
use strict;
use warnings;

use lib 'test/lib';
use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $dispatcher = $bmw->dispatcher;
my $launcher = $bmw->sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'bm_webhook launcher'});
my $version = $bmw->sql(q{SELECT extversion FROM pg_extension WHERE extname = 'bm_webhook'});

# It starts, and waits to read the version of the extension, which is another one.
my $session = $bmw->session;
$session->query_safe(q{BEGIN; LOCK pg_catalog.pg_extension IN ACCESS EXCLUSIVE MODE;
	UPDATE pg_extension SET extversion = '0.0.1' WHERE extname = 'bm_webhook'});
kill 'TERM', $dispatcher;
$bmw->wait_for_sql('the next dispatcher waits', qq{SELECT count(*) > 0 FROM pg_locks
	WHERE NOT granted AND relation = 'pg_catalog.pg_extension'::regclass AND pid IN (SELECT pid FROM pg_stat_activity
		WHERE backend_type = 'bm_webhook dispatcher' AND pid <> $dispatcher)});

# It ends, is updated and asked for while the launcher sees nothing.
kill 'STOP', $launcher;
$session->query_safe('COMMIT');
$session->quit;
$bmw->wait_for_sql('it has ended', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'bm_webhook dispatcher'});
is($bmw->status('state'), 'outdated', 'it has found the former version');
$bmw->sql("UPDATE pg_extension SET extversion = '$version' WHERE extname = 'bm_webhook'");
$bmw->sql('ALTER EXTENSION bm_webhook UPDATE');
kill 'CONT', $launcher;

# Half of what it would wait before it looks whether there has been an update.
ok(BmWebhook::wait_until('the next one runs', sub { $bmw->status('state') eq 'running' }, 30), 'the next one runs soon');

# And when it has seen it, which status() tells: the launcher waits until it is to look again.
$bmw->sql("UPDATE pg_extension SET extversion = '0.0.1' WHERE extname = 'bm_webhook'");
$bmw->sql('SELECT pg_terminate_backend(' . $bmw->dispatcher . ')');
$bmw->wait_for_sql('it is outdated', q{SELECT bool_and(state = 'outdated') FROM bm_webhook.status()});
$bmw->wait_for_sql('its process is gone', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'bm_webhook dispatcher'});
$bmw->sql("UPDATE pg_extension SET extversion = '$version' WHERE extname = 'bm_webhook'");
$bmw->sql('ALTER EXTENSION bm_webhook UPDATE');
ok(BmWebhook::wait_until('the next one runs', sub { $bmw->status('state') eq 'running' }, 30), 'and after an outdated one that was seen');
$bmw->finish(expected => qr/has version 0\.0\.1, its library/);

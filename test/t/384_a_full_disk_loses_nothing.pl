# The disk that has the log is full: what has been answered is kept in memory, status() says why, capture goes on where there
# is room, and when there is room again everything is recorded, and nothing was sent twice.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use File::Spec;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'users cannot mount here' unless BmWebhook::can_set_hosts();

my $bmw = BmWebhook->new(hosts => PostgreSQL::Test::Utils::slurp_file('/etc/hosts'));
my $receiver = $bmw->receiver;
my $endpoint = $bmw->endpoint('/ok/ok', event_types => '{test.event}');
my $dir = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir('disk'));

# The server is in a mount namespace of its own, and so is what it starts.
sub mount_disk { return $bmw->sql("COPY (SELECT) TO PROGRAM 'mount $_[0] $dir'") }

sub wait_until_recorded
{
	my ($count) = @_;
	return $bmw->wait_for_sql("$count are recorded", "SELECT count(*) = $count FROM bm_webhook.delivery
		WHERE endpoint_id = $endpoint AND status = 'delivered' AND attempts = 1");
}

mount_disk('-t tmpfs -o size=1m,mode=700 none');
$bmw->sql("CREATE TABLESPACE disk LOCATION '$dir'");
$bmw->sql($_) for split /\n/, $bmw->sql(q{SELECT format('ALTER TABLE %s SET TABLESPACE disk', inhrelid::regclass)
	FROM pg_inherits WHERE inhparent = 'bm_webhook.delivery'::regclass});

$bmw->emit_many(20_000, 'test.event');
wait_until('status() says so', sub { $bmw->status(q{state || ' ' || last_error}) =~ /^not recording .*No space left on device/ });
pass('status() says that the disk is full');
$bmw->emit_many(100, 'test.event');
is($bmw->sql('SELECT count(*) FROM bm_webhook.set_aside'), 0, 'nothing is set aside: it is no fault of the rows');
mount_disk('-o remount,size=20m');
wait_until_recorded(20_100);
$bmw->settle;
$bmw->arrived_exactly_once('ok', q{SELECT id FROM bm_webhook.event WHERE type = 'test.event'}, 'everything arrives once, and is recorded');
is($bmw->status('state'), 'running', 'status() is content again');

$bmw->finish(expected => qr/No space left/);

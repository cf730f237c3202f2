# BmWebhook::Soak::Server - what is done to a server under load: each fault by name, as a function of the BmWebhook.
# When it returns, the server takes connections again.

package BmWebhook::Soak::Server;

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Cwd ();
use PostgreSQL::Test::Utils ();
use Time::HiRes qw(usleep);

my %fault = (
	'dispatcher: SIGTERM' => sub { kill 'TERM', dispatchers($_[0]) },
	'dispatcher: SIGKILL' => sub { kill 'KILL', (dispatchers($_[0]))[0] // () },
	'reload, five in a second' => \&_reload_often,
	'fast restart' => sub { _restart($_[0], 'fast') },
	'immediate restart' => sub { _restart($_[0], 'immediate') },
	'postmaster: SIGKILL' => \&_kill_postmaster,
	'sessions terminated' => sub { _try($_[0], q{SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()}) },
	'rows locked for a second' => sub { _try($_[0], q{BEGIN; SELECT count(*) FROM (SELECT FROM bm_webhook.delivery
		WHERE status = 'pending' FOR UPDATE) d; SELECT count(*) FROM (SELECT FROM bm_webhook.endpoint FOR UPDATE) e;
		SELECT pg_sleep(1); COMMIT}) },
	'tables locked for a second' => sub { _try($_[0], q{BEGIN; LOCK TABLE bm_webhook.event, bm_webhook.delivery,
		bm_webhook.failed_attempt, bm_webhook.endpoint; SELECT pg_sleep(1); COMMIT}) },
	'number of dispatchers changed' => sub { _try($_[0],
		q{ALTER SYSTEM SET bm_webhook.shards = } . (3 - $_[0]->sql('SELECT count(*) FROM bm_webhook_internal.dispatchers()')), 'SELECT pg_reload_conf()') },
);

sub names { return sort keys %fault }

sub inject
{
	my ($bmw, $name) = @_;

	$fault{$name}->($bmw);
	$bmw->wait_until_up;
	return;
}

# The process ids of the dispatchers, also while nobody can ask the server.
sub dispatchers
{
	my ($bmw) = @_;
	return grep { _title($_) =~ /bm_webhook dispatcher/ } _processes($bmw);
}

sub _title
{
	my ($pid) = @_;
	open my $in, '<', "/proc/$pid/cmdline" or return '';
	return <$in> // '';
}

# All processes of the server: they work in its folder.
sub _processes
{
	my ($bmw) = @_;
	my $folder = Cwd::abs_path($bmw->node->data_dir);
	return map { m{(\d+)} } grep { (readlink // '') eq $folder } glob '/proc/[0-9]*/cwd';
}

# A statement that may fail when the server does what it is here for.
sub _try
{
	my ($bmw, @statements) = @_;
	$bmw->node->psql('postgres', $_, stdout => \my $out, stderr => \my $err) for @statements;
	return;
}

sub _reload_often
{
	my ($bmw) = @_;
	for my $interval (10, 20, 10, 20, 10)
	{
		$bmw->set('bm_webhook.flush_interval', "$interval ms");
		usleep(150_000);
	}
	return;
}

sub _restart
{
	my ($bmw, $mode) = @_;
	$bmw->node->stop($mode);
	$bmw->node->start;
	return;
}

sub _kill_postmaster
{
	my ($bmw) = @_;
	my ($pid) = split /\n/, PostgreSQL::Test::Utils::slurp_file($bmw->node->data_dir . '/postmaster.pid');

	$bmw->node->kill9;
	# before that, a new one does not start
	wait_until('its processes have ended', sub { !kill(0, $pid) && !_processes($bmw) });
	$bmw->node->start;
	return;
}

1;

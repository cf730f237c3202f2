# BmWebhook::Soak - a steady load, while receivers and the server do everything wrong now and then; for any time.
#
# Of the requests, 1 % each meet a fault of receivers (test/receiver/faults.mjs). For two thirds of the time the server has
# its own (BmWebhook::Soak::Server), each in about 1 % of the seconds, or once each if there are too few seconds. The last
# third is without those, so that the dispatchers live long enough for their memory to be compared.
# What must hold afterwards is in BmWebhook::Soak::Verdict.

package BmWebhook::Soak;

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use BmWebhook::Soak::Server;
use File::Spec;
use IPC::Run ();
use List::Util qw(min shuffle);
use PostgreSQL::Test::Utils ();
use Time::HiRes qw(time usleep);

my $rate = 30;    # transactions a second; each event goes to three endpoints
my $accounts = 40;

# A tenth is rolled back. Row locks give the changes of an account their order.
my $load = <<"SQL";
\\set id random(1, $accounts)
\\set end random(1, 10)
BEGIN;
WITH c AS (UPDATE account SET n = n + 1 WHERE id = :id RETURNING id, n) INSERT INTO change SELECT id, n FROM c;
\\if :end = 1
ROLLBACK;
\\else
COMMIT;
\\endif
SQL

my @endpoints = (
	[ 'free', application => 'shop' ],
	[ 'free_tls', application => 'bank' ],
	[ 'ordered', application => 'shop', ordering => 'by_message' ],
	[ 'ordered_tls', application => 'bank', ordering => 'by_message' ],
	[ 'well' ],
);

sub new
{
	my ($class, $seconds) = @_;
	my $dir = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir('soak'));
	PostgreSQL::Test::Utils::system_or_bail('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30', '-subj', '/CN=soak',
		'-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', "$dir/key", '-out', "$dir/crt");
	my $bmw = BmWebhook->new(
		receiver => { tls_key => "$dir/key", tls_cert => "$dir/crt", log => "$dir/requests" },
		conf => "bm_webhook.ca_file = '$dir/crt'\nbm_webhook.disable_after = 0\nwal_writer_delay = 10ms\nlog_checkpoints = off\n");
	my $self = bless { bmw => $bmw, seconds => $seconds, dir => $dir, log => "$dir/requests", faults => [], memory => [] }, $class;

	$self->_register;
	return $self;
}

sub _register
{
	my ($self) = @_;
	my $bmw = $self->{bmw};

	$bmw->sql("CREATE TABLE account (id int PRIMARY KEY, application text NOT NULL, n int NOT NULL DEFAULT 0);
		INSERT INTO account SELECT n, CASE n % 2 WHEN 0 THEN 'shop' ELSE 'bank' END FROM generate_series(1, $accounts) n;
		CREATE TABLE change (account int, n int, PRIMARY KEY (account, n));
		INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('bank');
		SELECT bm_webhook.watch('account', 'account.changed', application => '{application}', operations => '{UPDATE}', columns => '{id,n}')");
	for (@endpoints)
	{
		my ($name, %columns) = @$_;
		my $path = $name eq 'well' ? '/ok/well' : "/faulty/1/$name";
		$path = $bmw->receiver->tls_url($path) if $name =~ /tls/;
		$bmw->endpoint($path, %columns, timeout => '1 s', event_types => '{account.changed}',
			retry_delays => '{' . join(',', '100ms', '200ms', ('500ms') x 60) . '}');
	}
	return;
}

sub run
{
	my ($self) = @_;
	my $bmw = $self->{bmw};

	$self->{from} = time;
	$self->_sample('start');
	$bmw->receiver->set_faults(1);
	my $writers = $self->_start_writers;
	$self->_disturb($self->{seconds} * 2 / 3);
	$self->{quiet_from} = time;
	while (time < $self->{from} + $self->{seconds})
	{
		$self->_sample('quiet');
		usleep(500_000);
	}
	PostgreSQL::Test::Utils::append_to_file("$self->{dir}/stop", '');
	$writers->finish;
	$bmw->receiver->set_faults(0);
	$self->_wait_until_delivered;
	$self->{to} = time;
	return;
}

# Sessions that write, and connect again when they lose their connections.
sub _start_writers
{
	my ($self) = @_;
	my $node = $self->{bmw}->node;

	PostgreSQL::Test::Utils::append_to_file("$self->{dir}/script", $load);
	return IPC::Run::start([ 'sh', '-c', 'until [ -e "$0/stop" ]; do "$@" || sleep 0.1; done', $self->{dir},
		'pgbench', '-n', '-f', "$self->{dir}/script", '-c', 4, '-R', $rate, '-T', 2, '-h', $node->host, '-p', $node->port, 'postgres' ],
		'<', \undef, '>&', "$self->{dir}/writers");
}

sub _disturb
{
	my ($self, $seconds) = @_;
	my $bmw = $self->{bmw};
	my $end = time + $seconds;
	my @names = BmWebhook::Soak::Server::names();
	my $gap = min(100, $seconds) / @names;
	my @next;

	for (my $at = time + $gap / 2; $at < $end; $at += $gap)
	{
		usleep(100_000) while time < $at;
		@next = shuffle(@names) unless @next;
		my $fault = { name => shift @next, from => time };
		push @{ $self->{faults} }, $fault;
		BmWebhook::Soak::Server::inject($bmw, $fault->{name});
		$fault->{to} = time;
	}
	return;
}

# What all dispatchers together have in memory of their own.
sub _sample
{
	my ($self, $when) = @_;
	my $kb = 0;

	for my $pid (BmWebhook::Soak::Server::dispatchers($self->{bmw}))
	{
		my $status = eval { PostgreSQL::Test::Utils::slurp_file("/proc/$pid/status") } // '';
		$kb += $1 if $status =~ /^RssAnon:\s+(\d+) kB/m;
	}
	push @{ $self->{memory} }, { when => $when, at => time, kb => $kb } if $kb;
	return;
}

sub _wait_until_delivered
{
	my ($self) = @_;
	wait_until('everything is delivered', sub {
		$self->{bmw}->sql(q{SELECT count(*) FROM bm_webhook.event e JOIN bm_webhook.endpoint p
			ON p.application = e.application OR p.application IS NULL
			LEFT JOIN bm_webhook.delivery d ON d.event_id = e.id AND d.endpoint_id = p.id
			WHERE d.status IS DISTINCT FROM 'delivered'}) == 0;
	}, 120);
	return;
}

1;

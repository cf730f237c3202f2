# monitoring/: the queries through a real postgres_exporter, as a role with pg_monitor alone; the alert rules through promtool;
# the dashboard by Grafana's own types, and each of its queries, and each alert, over the real metrics through Prometheus' own API.

use strict;
use warnings FATAL => 'all';

use lib 'test/lib', 'test/interop';
use BmWebhook;
use HTTP::Tiny;
use Interop qw(run_node);
use IPC::Run ();
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils ();
use Test::More;

for my $program (qw(promtool prometheus prometheus-postgres-exporter))
{
	plan skip_all => "$program is not installed" unless grep { -x "$_/$program" } split /:/, $ENV{PATH};
}
PostgreSQL::Test::Utils::system_or_bail(qw(promtool check rules monitoring/alerts.yml));
PostgreSQL::Test::Utils::system_or_bail(qw(promtool test rules monitoring/alerts_test.yml));

my $bmw = BmWebhook->new(conf => "bm_webhook.shards = 2\n");
$bmw->sql('CREATE ROLE exporter LOGIN IN ROLE pg_monitor');
my $good = $bmw->endpoint('/ok/good', event_types => '{test.good}');
$bmw->sql(q{INSERT INTO bm_webhook.application (name, max_waiting) VALUES ('shop', 3)});
my $bad = $bmw->endpoint('/status/500/bad', event_types => '{test.bad}', retry_delays => '{1 h}', application => 'shop');
$bmw->emit_many(20, 'test.good');
$bmw->sql(q{SELECT count(bm_webhook.emit('test.bad', '{}', 'shop')) FROM generate_series(1, 3)});
$bmw->wait_for_requests('good', 20);
$bmw->wait_for_requests('bad', 3);
$bmw->wait_for_sql('its application is full', "SELECT application_full_since IS NOT NULL FROM bm_webhook.stat_endpoint WHERE endpoint_id = $bad");
$bmw->settle;
$bmw->node->restart;
$bmw->dispatcher;

my ($exporter_port, $prometheus_port) = map { PostgreSQL::Test::Cluster::get_free_port() } 1 .. 2;
my $directory = PostgreSQL::Test::Utils::tempdir('prometheus');
my @started;
sub start_program { my (@command) = @_; push @started, IPC::Run::start(\@command, '<', \undef, '>', "$directory/$#started.out", '2>&1'); return; }
END { $_->kill_kill(grace => 5) for @started }
sub get { my ($url) = @_; my $answer = HTTP::Tiny->new(timeout => 10)->get($url); return $answer->{success} ? $answer->{content} : ''; }

{
	local $ENV{DATA_SOURCE_NAME} = 'host=' . $bmw->node->host . ' port=' . $bmw->node->port . ' user=exporter dbname=postgres sslmode=disable';
	start_program(qw(prometheus-postgres-exporter --extend.query-path=monitoring/queries.yml --disable-settings-metrics --disable-default-metrics),
		"--web.listen-address=127.0.0.1:$exporter_port");
}
my $metrics = '';
wait_until('the exporter answers', sub { ($metrics = get("http://127.0.0.1:$exporter_port/metrics")) =~ /^bm_webhook_endpoint_pending/m });
sub metric { my ($pattern) = @_; my ($value) = $metrics =~ /^$pattern[^\n]* (\S+)$/m; return $value }
is(metric(qr/bm_webhook_endpoint_delivered_total\{[^}]*endpoint="$good"/), 20, 'delivered');
is(metric(qr/bm_webhook_endpoint_failed_attempts_total\{[^}]*endpoint="$bad"/), 3, 'failed attempts');
is(metric(qr/bm_webhook_endpoint_pending\{[^}]*endpoint="$bad"/), 3, 'pending');
is(metric(qr/bm_webhook_endpoint_failing\{[^}]*endpoint="$bad"/), 1, 'failing');
is(metric(qr/bm_webhook_endpoint_application_full\{[^}]*endpoint="$bad"/), 1, 'full is its application');
is(metric(qr/bm_webhook_endpoint_application_full\{[^}]*endpoint="$good"/), 0, 'and no other');
is(metric(qr/bm_webhook_dispatcher_up\{[^}]*shard="$_"/), 1, "dispatcher $_ runs") for 0, 1;
cmp_ok(metric(qr/bm_webhook_partition_days_ahead\{[^}]*table="$_"/), '>=', 2, "$_ has partitions") for qw(event delivery failed_attempt);

my $alerts = PostgreSQL::Test::Utils::slurp_file('monitoring/alerts.yml');
PostgreSQL::Test::Utils::append_to_file("$directory/prometheus.yml", "global: {scrape_interval: 1s}\n"
	. "scrape_configs:\n  - {job_name: bm_webhook, static_configs: [{targets: ['127.0.0.1:$exporter_port']}]}\n");
start_program('prometheus', "--config.file=$directory/prometheus.yml", "--storage.tsdb.path=$directory/data", "--web.listen-address=127.0.0.1:$prometheus_port");
sub query
{
	my ($expression) = @_;
	my $answer = get("http://127.0.0.1:$prometheus_port/api/v1/query?" . HTTP::Tiny->new->www_form_urlencode({ query => $expression }));
	return $answer eq '' ? undef : decode_json($answer)->{data}{result};
}
my $dashboard = decode_json(PostgreSQL::Test::Utils::slurp_file('monitoring/dashboard.json'));
# A copy of the dashboard in which one thing is another.
sub broken { my ($break) = @_; my $copy = decode_json(encode_json($dashboard)); $break->($copy); return $copy }
my @broken = map { broken($_) } sub { $_[0]{schemaVersion} = '38' }, sub { delete $_[0]{schemaVersion} }, sub { $_[0]{titel} = 'x' },
	sub { $_[0]{panels}[0]{gridPos}{height} = 8 }, sub { $_[0]{panels}[0]{options}{legend}{placement} = 'below' },
	sub { $_[0]{panels}[0]{fieldConfig}{defaults}{min} = '0' }, sub { delete $_[0]{panels}[0]{targets}[0]{refId} }, sub { $_[0]{panels}[0]{type} = 'timeserie' };
my ($wrong, @found) = @{ run_node('dashboard.mjs', [ $dashboard, @broken ]) };
is_deeply($wrong, [], q{the dashboard is one by Grafana's types});
is(scalar(grep { @$_ } @found), scalar(@broken), 'what is broken is not');
my %ids;
for my $panel (@{ $dashboard->{panels} })
{
	my @place = grep { defined } @{ $panel->{gridPos} }{qw(h w x y)};
	ok(!$ids{ $panel->{id} }++ && $panel->{type} && @place == 4, "$panel->{title}: has an id, a type and a place");
	for my $target (@{ $panel->{targets} })
	{
		# "> 0" leaves nothing when nothing is sent
		my $expression = $target->{expr} =~ s/ > 0\)/)/r;
		ok(wait_until("$panel->{title}: has values", sub { my $values = query($expression); $values && @$values }), "$panel->{title}: has values");
	}
}
my @named = $alerts =~ /\b(bm_webhook_\w+)\b/g;
ok(@{ query($_) // [] } > 0, "$_, which an alert uses, is there") for sort keys %{ { map { $_ => 1 } @named } };
$bmw->finish;

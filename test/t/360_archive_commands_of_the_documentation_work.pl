# The commands that docs/operations.md gives for an archive, as they stand there, but for the places: into a directory, and
# into an object store that checks the signature. Each partition that is dropped is there, with every row; one that the store
# refuses stays.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Cwd qw(abs_path);
use File::Copy qw(copy);
use IPC::Run ();
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;

my $folder = PostgreSQL::Test::Utils::tempdir('archive');
my ($section) = slurp_file('docs/operations.md') =~ /^### Archive\n(.*?)^##/ms;
my ($block) = $section =~ /^```ini\n(.*?)^```/ms;
my ($directory, $store) = my @lines = $block =~ /^(bm_webhook\.archive_command = .*)$/mg;
is(scalar @lines, 2, 'the documentation has two commands');

# The places of the documentation are others here.
mkdir "$folder/$_" or die "could not make $folder/$_: $!" for qw(directory store);
copy('examples/archive/to-object-store', "$folder/to-object-store") && chmod(0755, "$folder/to-object-store") or die "could not copy: $!";
ok($directory =~ s{/archive\b}{$folder/directory}, 'a directory');
ok($store =~ s{/etc/bm_webhook/to-object-store}{$folder/to-object-store}, 'an object store');

# What the script says of its configuration, with other values.
my %value = (REGION => 'eu-central-1', ACCESS_KEY => 'AKIAEXAMPLE', SECRET_KEY => 'wJalrXUtnFEMI/K7MDENG');
my $process = IPC::Run::start([ 'node', abs_path('test/archive/store.mjs'), "$folder/port", "$folder/store", @value{qw(REGION ACCESS_KEY SECRET_KEY)} ],
	'<', \my $input);
wait_until('the store listens', sub { -s "$folder/port" });
$value{BUCKET_URL} = 'http://127.0.0.1:' . slurp_file("$folder/port");

sub configure
{
	my (%other) = @_;
	my %is = (%value, %other);
	my $text = join '', map { s/^#\s*//r . "\n" } slurp_file('examples/archive/to-object-store') =~ /^(#\s+[A-Z_]+=\S.*)$/mg;
	$text =~ s/\b$_=\S+/$_='$is{$_}'/ or die "the script does not speak of $_" for keys %is;
	PostgreSQL::Test::Utils::append_to_file("$folder/archive.conf.new", $text);
	rename "$folder/archive.conf.new", "$folder/archive.conf" or die "could not rename: $!";
	return;
}
configure(SECRET_KEY => 'another');

my $bmw;
{
	local $ENV{ARCHIVE_CONF} = "$folder/archive.conf";
	$bmw = BmWebhook->new(conf => "$directory\n");
}

# What was captured so many days ago.
sub make_day
{
	my ($days) = @_;
	$bmw->sql("SELECT bm_webhook_internal.create_partition('event', (clock_timestamp() AT TIME ZONE 'UTC')::date - $days)");
	$bmw->sql("INSERT INTO bm_webhook.event (id, xid, type, occurred_at, created_at, data)
		SELECT bm_webhook.uuid_floor(at), '3', 'test.old', at, at, jsonb_build_object('text', E'a \"quote\"\\n \\u00fc', 'n', n)
		FROM generate_series(1, 1000) n, LATERAL (SELECT date_trunc('day', clock_timestamp(), 'UTC') - interval '$days days' + n * interval '1 s') t (at)");
	return $bmw->sql("SELECT format('event_%s', to_char((clock_timestamp() AT TIME ZONE 'UTC')::date - $days, 'YYYYMMDD'))");
}

sub is_there { my ($name) = @_; return $bmw->sql("SELECT count(*) FROM bm_webhook.partition_list WHERE name = '$name'") }

# All rows, once each, as JSON.
sub has_all
{
	my ($what, $text) = @_;
	my $quoted = quote($text);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($bmw->sql("SELECT concat_ws('|', count(*), count(DISTINCT line::json ->> 'id'), sum((line::json -> 'data' ->> 'n')::integer),
			min(line::json -> 'data' ->> 'text') = E'a \"quote\"\\n \\u00fc')
		FROM regexp_split_to_table(rtrim($quoted, E'\\n'), E'\\n') line"), '1000|1000|500500|t', $what);
}

my $first = make_day(40);
my $drop = q{SELECT bm_webhook.drop_before(now() - interval '30 days')};
$bmw->sql($drop);
wait_until('the partition is dropped', sub { !is_there($first) });
has_all('it is in the directory', slurp_file("$folder/directory/$first.jsonl"));
is_deeply([ map { s{.*/}{}r } glob "$folder/directory/*" ], ["$first.jsonl"], 'and nothing else');

$bmw->node->append_conf('postgresql.conf', $store);
$bmw->node->reload;
my $second = make_day(41);
$bmw->wait_for_sql('the command is another one', q{SELECT current_setting('bm_webhook.archive_command') LIKE '%store %'});
$bmw->sql($drop);
$bmw->wait_for_sql('with a wrong key the store refuses', q{SELECT reason LIKE '%could not archive event\_%' FROM bm_webhook.status()});
is(is_there($second), 1, 'the partition stays');
configure();
$bmw->sql($drop);
wait_until('with the right one the partition is dropped', sub { !is_there($second) });
my $object = "$folder/store/postgres/$second.jsonl.gz";
IPC::Run::run([ 'gzip', '-dc', $object ], '>', \my $text) or die 'gzip failed';
has_all('it is in the object store', $text);

$process->kill_kill;
$bmw->finish(expected => qr/program ".*to-object-store.*failed|could not archive/);

# "bm_webhook_console listen": what a login may see is forwarded to a receiver on this machine, signed with a secret of
# its own, once each: also what commits late or in bulk, and whatever ends meanwhile.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use BmWebhook::Console;
use IPC::Run ();
use Test::More;

plan skip_all => 'bm_webhook_console is not built: it needs libmicrohttpd' unless BmWebhook::Console::is_built();

my $bmw = BmWebhook->new(conf => $BmWebhook::Console::conf);
my $node = $bmw->node;
my $receiver = $bmw->receiver;
$bmw->sql(q{
	CREATE ROLE anna LOGIN PASSWORD 'anna''s';
	CREATE ROLE olga LOGIN PASSWORD 'olga';
	CREATE ROLE stranger LOGIN PASSWORD 'stranger';
	GRANT USAGE ON SCHEMA bm_webhook TO stranger;
	INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('bank');
	SELECT bm_webhook.grant_operator('olga'), bm_webhook.grant_owner('shop', 'anna')});
BmWebhook::Console::ask_for_passwords($bmw);

# Passwords are found as psql finds them.
my $passwords = PostgreSQL::Test::Utils::tempdir('passwords') . '/pgpass';
open my $file, '>', $passwords or die $!;
print $file '127.0.0.1:' . $node->port . ":postgres:$_\n" for "anna:anna's", 'olga:olga', 'stranger:stranger';
close $file;
chmod 0600, $passwords;
local $ENV{PGPASSFILE} = $passwords;
local $ENV{PGHOST} = '127.0.0.1';

sub listen_as
{
	my ($user, @options) = @_;
	my %self = (out => '', error => '');
	$self{harness} = IPC::Run::start([ 'bm_webhook_console', 'listen', '-d', "dbname=postgres user=$user port=" . $node->port, @options ],
		'<', \undef, '>', \$self{out}, '2>', \$self{error});
	return \%self;
}

# Until it has told its secret, which the receiver then verifies with.
sub listen_to
{
	my ($name, $user, @options) = @_;
	my $self = listen_as($user, '--forward-to', $receiver->url("/ok/$name"), @options);
	wait_until("$name listens", sub { $self->{harness}->pump_nb; $self->{out} =~ /signing with (whsec_\S+)/ });
	$receiver->set_secrets($name, $self->{out} =~ /signing with (whsec_\S+)/);
	return $self;
}

sub refused
{
	my $self = listen_as(@_);
	$self->{harness}->finish;
	return ($self->{harness}->result(0), $self->{error});
}

sub ids { return sort map { $_->{id} } $receiver->arrivals($_[0]) }

# What it has printed, once that matches.
sub wait_for_line
{
	my ($self, $pattern) = @_;
	wait_until("it prints $pattern", sub { $self->{harness}->pump_nb; "$self->{out}\n$self->{error}" =~ $pattern });
	return ok(1, "it prints $pattern");
}

###############################################################################
# What is refused
###############################################################################

is_deeply([ (refused('anna'))[0] ], [2], 'without a target');
my ($code, $error) = refused('anna', '--forward-to', 'http://192.0.2.1/hooks');
is($code, 2, 'another machine is refused');
like($error, qr/is not this machine: .*--allow-remote/, 'and what to do');
is((refused('anna', '--forward-to', $_))[0], 2, $_) for 'localhost:3000', 'ftp://localhost/', 'http://u:p@localhost/';
($code, $error) = refused('nobody', '--forward-to', $receiver->url('/ok/x'));
is($code, 1, 'who cannot sign in');
like($error, qr/no password supplied/, 'hears why');
($code, $error) = refused('stranger', '--forward-to', $receiver->url('/ok/x'));
is($code, 1, 'who has no right');
like($error, qr/permission denied for function console_listen/, 'hears why');
like((refused('anna', '--forward-to', $receiver->url('/ok/x'), '--endpoint', 4711))[1],
	qr/endpoint 4711 does not exist\. It may be another's/, 'an endpoint that is not there');

###############################################################################
# What is forwarded
###############################################################################

my $endpoint = $bmw->endpoint('/ok/shop', application => 'shop', event_types => '{order.*}', filter => '$.data.n >= 1',
	payload => 'thin');
my $of_bank = $bmw->endpoint('/ok/bank', application => 'bank', event_types => '{order.*}');
my $whole = $bmw->endpoint('/ok/whole', application => 'shop', event_types => '{order.*}', channel => 'sms');
like((refused('anna', '--forward-to', $receiver->url('/ok/x'), '--endpoint', $of_bank))[1],
	qr/endpoint $of_bank does not exist\. It may be another's/, 'as one of another');

my $laptop = listen_to('laptop', 'anna');
my $orders = listen_to('orders', 'olga', '--event-type', 'order.paid', '-e', 'order.refunded', '--application', 'shop');
my $thin = listen_to('thin', 'anna', '--endpoint', $endpoint);
like($laptop->{out}, qr/^listening as "anna" to database "postgres", forwarding to http:/, 'it says what it does');

my $paid = $bmw->emit('order.paid', application => 'shop', channel => 'sms', message_id => 'm-1', data => '{"n": 1, "text": "ä\n"}');
$bmw->emit('order.paid', application => 'bank');
my $shipped = $bmw->emit('order.shipped', application => 'shop', data => '{"n": 0}');
$bmw->wait_for_requests('laptop', 2);
$bmw->wait_for_requests($_, 1) for qw(orders thin whole shop);
my ($request) = $receiver->requests('laptop');
my ($sent) = $receiver->requests('whole');
is($request->{headers}{'webhook-id'}, $paid, 'a request for the event');
is($request->{body}, $sent->{body}, 'with the bytes that an endpoint gets');
is_deeply([ sort keys %{ $request->{headers} } ], [ sort keys %{ $sent->{headers} } ], 'and the same headers');
is_deeply([ ids('laptop') ], [ sort $paid, $shipped ], 'an owner gets what is his own');
is_deeply([ ids('orders') ], [$paid], 'of the types and the application that are asked for');
is_deeply([ ids('thin') ], [$paid], 'or what an endpoint gets');
is(($receiver->requests('thin'))[0]{body}, ($receiver->requests('shop'))[0]{body}, 'as it gets it');
is($receiver->count($_, 'verified'), $receiver->count($_, 'requests'), "signed with the secret of $_") for qw(laptop orders thin);
wait_for_line($laptop, qr/^\d\d:\d\d:\d\d  order\.paid +$paid  204  \d+ ms$/m);
$receiver->set_secrets('orders', 'whsec_' . 'A' x 43 . '=');
$bmw->emit('order.refunded', application => 'shop');
wait_for_line($orders, qr/^\S+  order\.refunded +\S+  401  \d+ ms$/m);
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.operation WHERE kind = 'show_secret'}), 0, 'no secret was shown');

###############################################################################
# Nothing is missed, nothing comes twice
###############################################################################

my $late = $bmw->session;
$late->query_safe(q{BEGIN; SELECT bm_webhook.emit('late.one', '{}', 'shop')});
$bmw->emit('early.one', application => 'shop');
$bmw->wait_for_requests('laptop', 4);
$late->query_safe('COMMIT');
$late->quit;
$bmw->wait_for_requests('laptop', 5);
my $before = $receiver->count('laptop', 'requests');
$bmw->sql(q{SELECT count(bm_webhook.emit('bulk.one', '{}', 'shop')) FROM generate_series(1, 250)});
$bmw->wait_for_requests('laptop', $before + 250);

$node->restart;
wait_for_line($laptop, qr/the database is back/);
$bmw->emit('after.restart', application => 'shop');
$bmw->wait_for_requests('laptop', $before + 251);

$receiver->behave('laptop', 'hang');
$bmw->emit('while.hanging', application => 'shop');
$bmw->wait_for_requests('laptop', $before + 252);
$bmw->sql(q{SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'bm_webhook_console'});
$receiver->behave('laptop');
$receiver->release('laptop');
$bmw->emit('after.kill', application => 'shop');
$bmw->wait_for_requests('laptop', $before + 253);
is_deeply([ ids('laptop') ],
	[ sort split /\n/, $bmw->sql("SELECT id FROM bm_webhook.event WHERE application = 'shop' AND type !~ '^webhook'") ],
	'all events of the log have arrived, each once');

$receiver->stop;
$bmw->emit('while.away', application => 'shop');
wait_for_line($laptop, qr/^\S+  while\.away +\S+  .*[cC]ould not connect|^\S+  while\.away +\S+  .*Failed to connect/m);
$receiver->start;
$bmw->emit('and.back', application => 'shop');
$bmw->wait_for_requests('laptop', 1);

$receiver->behave('laptop', 'hang');
$bmw->emit('at.the.end', application => 'shop');
$bmw->wait_for_requests('laptop', 2);
for my $listener ($laptop, $orders, $thin)
{
	$listener->{harness}->signal('INT');
	$listener->{harness}->finish;
	is($listener->{harness}->result(0), 0, 'Ctrl-C ends it, also while it waits for an answer');
}
like($laptop->{out}, qr/^forwarded \d+ events: \d+ accepted \(2xx\), 0 refused, 1 not answered$/m, 'with a summary');
like($orders->{out}, qr/^forwarded 2 events: 1 accepted \(2xx\), 1 refused, 0 not answered$/m, 'of what came');
unlike($laptop->{error}, qr/anna's/, 'no password is printed');
$receiver->behave('laptop');


$bmw->finish;

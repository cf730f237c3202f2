# bm_webhook.verify_endpoints: before an endpoint has given back a challenge, nothing else is sent to it, and what is for it
# waits. The value is in the request alone; another URL needs another proof.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use PostgreSQL::Test::Utils qw(run_command);
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

sub set_verify
{
	my ($value) = @_;
	$bmw->node->safe_psql('postgres', "ALTER SYSTEM SET bm_webhook.verify_endpoints = $value");
	$bmw->node->reload;
	$bmw->wait_for_sql("verify_endpoints is $value", "SELECT current_setting('bm_webhook.verify_endpoints') = '$value'");
	return;
}

sub health { return $bmw->sql("SELECT state FROM bm_webhook.endpoint_health WHERE endpoint_id = $_[0]") }
sub state { return $bmw->sql("SELECT concat_ws(' ', unverified_since IS NOT NULL, verified_at IS NOT NULL, verification_error) FROM bm_webhook.endpoint_state WHERE endpoint_id = $_[0]") }
sub types { return join ' ', map { $_->{body} =~ /"type":"([\w.]+)"/ } $receiver->requests($_[0]) }
sub wait_for_error { $bmw->wait_for_sql("an error: $_[1]", "SELECT verification_error LIKE '%$_[1]%' FROM bm_webhook.endpoint_state WHERE endpoint_id = $_[0]"); return }

###############################################################################
# What is there when it is turned on need not prove anything
###############################################################################

$bmw->sql(q{CREATE ROLE shop_admin LOGIN; CREATE ROLE bank_admin LOGIN; INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('bank');
	SELECT bm_webhook.grant_owner('shop', 'shop_admin'), bm_webhook.grant_owner('bank', 'bank_admin')});
my $old = $bmw->endpoint('/challenge/wrong/old', event_types => '{test.*}');
is($bmw->sqlstate("SELECT bm_webhook.verify_endpoint($old)"), '55000', 'while it is off nobody is asked');
$bmw->settle;    # registers what it needs
set_verify('on');
my $event = $bmw->emit('test.one');
$bmw->wait_for_requests('old', 1);
is(types('old'), 'test.one', 'one that was there goes on');
is(health($old), 'healthy', 'and is healthy');

###############################################################################
# Until the value comes back there is nothing but challenges
###############################################################################

my $new = $bmw->endpoint('/challenge/wrong/new', event_types => '{test.*}', application => 'shop', payload => 'thin');
$bmw->wait_for_requests('new', 1);
my @events = map { $bmw->emit('test.two', application => 'shop') } 1 .. 3;
wait_for_error($new, 'not the value');
$bmw->settle;
unlike(types('new'), qr/test/, 'it gets no event');
is(health($new), 'unverified', 'it is unverified');
like($bmw->sql("SELECT reason FROM bm_webhook.endpoint_health WHERE endpoint_id = $new"), qr/: the answer is not the value/, 'why');
is($bmw->sql("SELECT reason FROM bm_webhook.explain_delivery('$events[0]') WHERE endpoint_id = $new"), 'not verified yet', 'explain_delivery()');
is($bmw->sql("SELECT pending + not_taken FROM bm_webhook.backlog WHERE endpoint_id = $new"), '3', 'what is for it waits');
my ($first) = $receiver->requests('new');
my ($value) = $first->{body} =~ /"challenge":"([0-9a-f]{64})"/;
is($first->{body} =~ s/"id":"[^"]+"|"timestamp":"[^"]+"//gr, qq({,"type":"webhook.verification",,"application":"shop","data":{"endpoint_id":$new,"challenge":"$value"}}),
	'what it consists of, whatever the payload is');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.event WHERE type = 'webhook.verification'}), '0', 'it is no event of the log');
my ($dump) = run_command([ 'pg_dump', '-d', $bmw->node->connstr('postgres') ]);
unlike($dump, qr/$_/, 'its value is in no table') for map { $_->{body} =~ /"challenge":"(\w+)"/ } $receiver->requests('new');
$bmw->sql("SELECT bm_webhook.ping($new)");
$bmw->node->restart;
$bmw->dispatcher;
$bmw->settle;
unlike(types('new'), qr/test|ping/, 'nor after a restart');
$receiver->behave('new', 'challenge/json');
$bmw->sql("SELECT bm_webhook.verify_endpoint($new)");
$bmw->wait_for_delivery($_) for @events;
is(state($new), 'f t', 'it has proved it');
ok((grep { /verification/ } map { $_->{verified} ? $_->{body} : () } $receiver->requests('new')) > 0, 'challenges are signed');
is(health($new), 'healthy', 'and is healthy');
my @values = map { $_->{body} =~ /"challenge":"(\w+)"/ } $receiver->requests('new');
my %values = map { $_ => 1 } @values;
is(keys %values, @values, 'each challenge has another value');

# by itself, in time
my $itself = $bmw->endpoint('/challenge/500/itself', event_types => '{itself.*}');
wait_for_error($itself, 'HTTP status 500');
$event = $bmw->emit('itself.one');
$receiver->behave('itself', 'challenge/plain');
$bmw->wait_for_delivery($event);

# what is no answer
for (([ 'challenge/echo', 'not the value' ], [ 'redirect/307', 'HTTP status 307' ], [ 'ok', 'not the value' ], [ 'gone', 'HTTP status 410' ], [ 'reset', '' ]))
{
	my ($path, $error) = @$_;
	my $name = $path =~ s/\W/-/gr;
	my $id = $bmw->endpoint("/$path/$name", event_types => '{none.*}');
	wait_for_error($id, $error);
	is($bmw->sql("SELECT enabled AND s.unverified_since IS NOT NULL FROM bm_webhook.endpoint p JOIN bm_webhook.endpoint_state s ON s.endpoint_id = p.id WHERE p.id = $id"), 't', "$path is none");
	is($receiver->count("$name-redirected", 'requests'), 0, 'it is not followed') if $path =~ /redirect/;
	$bmw->sql("SELECT bm_webhook.delete_endpoint($id)");
}

###############################################################################
# Another URL
###############################################################################

$bmw->sql("UPDATE bm_webhook.endpoint SET description = 'x', headers = '{\"x-a\": \"b\"}' WHERE id = $new");
is(state($new), 'f t', 'another change asks for nothing');
$bmw->sql("UPDATE bm_webhook.endpoint SET url = " . quote($receiver->url('/challenge/late/late')) . " WHERE id = $new");
$bmw->wait_for_requests('late', 1);
$event = $bmw->emit('test.late', application => 'shop');
is(state($new), 't f', 'another URL has to prove itself');
$bmw->sql("UPDATE bm_webhook.endpoint SET url = " . quote($receiver->url('/challenge/wrong/third')) . " WHERE id = $new");
$receiver->release('late');
wait_for_error($new, 'not the value');
$bmw->settle;
is(health($new), 'unverified', 'an answer to the challenge of the URL before is none');
unlike(types($_), qr/test.late/, "$_ gets nothing") for qw(late third);
$bmw->sql("UPDATE bm_webhook.endpoint SET url = " . quote($receiver->url('/challenge/plain/fourth')) . " WHERE id = $new");
$bmw->wait_for_delivery($event);
like(types('fourth'), qr/^(webhook.verification )+test.late$/, 'the next one answers and gets what waited');

# paused or disabled: not even a challenge
for my $set ('paused_at = now()', 'enabled = false')
{
	my $name = $set =~ s/\W.*//r;
	$bmw->sql("BEGIN; INSERT INTO bm_webhook.endpoint (url, event_types) VALUES (" . quote($receiver->url("/challenge/plain/$name")) . ", '{none.*}'); UPDATE bm_webhook.endpoint SET $set WHERE url LIKE '%/$name'; COMMIT");
	$bmw->settle;
	is($receiver->count($name, 'requests'), 0, "$name: it is not asked");
}
$bmw->sql("UPDATE bm_webhook.endpoint SET paused_at = NULL, enabled = true");
$bmw->wait_for_requests($_, 1) for qw(paused_at enabled);

###############################################################################
# Rights, and by hand
###############################################################################

my $bank = $bmw->endpoint('/challenge/wrong/bank', event_types => '{test.*}', application => 'bank');
$bmw->wait_for_requests('bank', 1);
is($bmw->sqlstate("SET ROLE bank_admin; SELECT bm_webhook.verify_endpoint($bank)"), '', 'an owner has his own asked');
is($bmw->sqlstate("SET ROLE shop_admin; SELECT bm_webhook.verify_endpoint($bank)"), '42704', 'and no other');
is($bmw->sqlstate('SELECT bm_webhook.verify_endpoint(NULL)'), '22004', 'of no endpoint');
is($bmw->sqlstate("SET ROLE bank_admin; SELECT bm_webhook.mark_verified($bank)"), '42501', 'he does not take it for proved');
is($bmw->sqlstate("SET ROLE bank_admin; UPDATE bm_webhook.endpoint_state SET unverified_since = NULL"), '42501', 'nor writes that it is');
is($bmw->sql("SET ROLE bank_admin; SELECT unverified_since IS NOT NULL FROM bm_webhook.endpoint_state WHERE endpoint_id = $bank"), 't', 'he sees it');
is($bmw->sqlstate('SET ROLE bank_admin; SET bm_webhook.verify_endpoints = off'), '55P02', 'and cannot turn it off');
$event = $bmw->emit('test.bank', application => 'bank');
$bmw->sql("SELECT bm_webhook.mark_verified($bank)");
$bmw->wait_for_delivery($event);
is(state($bank), 'f t', 'an administrator can');
is($bmw->sql(q{SELECT string_agg(concat_ws(' ', kind, application, acting_as), ', ' ORDER BY id) FROM bm_webhook.operation WHERE kind ~ 'verif' AND application = 'bank'}),
	'verify_endpoint bank bank_admin, mark_verified bank ' . $bmw->sql('SELECT current_user'), 'who did it is recorded');
is($bmw->sqlstate('SELECT bm_webhook.mark_verified(-1)'), '42704', 'an unknown one');

###############################################################################
# Several dispatchers; and off
###############################################################################

$bmw->node->safe_psql('postgres', 'ALTER SYSTEM SET bm_webhook.shards = 2');
$bmw->node->restart;
my @many = map { $bmw->endpoint("/challenge/plain/many$_", event_types => '{many.*}', application => 'shop') } 1 .. 10;
$event = $bmw->emit('many.one', application => 'shop');
$bmw->wait_for_delivery($event);
$bmw->wait_for_sql('ten of one application are verified', "SELECT count(*) = 10 FROM bm_webhook.endpoint_state WHERE endpoint_id = ANY ('{" . join(',', @many) . "}') AND verified_at IS NOT NULL");
my $last = $bmw->endpoint('/challenge/wrong/last', event_types => '{last.*}');
$bmw->wait_for_requests('last', 1);
$event = $bmw->emit('last.one');
set_verify('off');
$bmw->wait_for_delivery($event);
is(health($last), 'healthy', 'off: nobody has to prove anything, and what has waited is sent');
my $unasked = $bmw->endpoint('/ok/unasked', event_types => '{unasked.*}');
set_verify('on');
$bmw->wait_for_delivery($bmw->emit('unasked.one'));
is(health($unasked), 'healthy', 'what was registered meanwhile need not');
is(health($last), 'unverified', 'but who had to still has to');
$bmw->finish;

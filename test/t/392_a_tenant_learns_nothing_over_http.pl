# Each path of the console is asked by a tenant about what is another's and about what does not exist: the answers are
# the same, have nothing of the other, and change nothing of it.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use BmWebhook::Console;
use IO::Socket::INET;
use JSON::PP;
use Test::More;

plan skip_all => 'bm_webhook_console is not built: it needs libmicrohttpd' unless BmWebhook::Console::is_built();

my $bmw = BmWebhook->new(conf => $BmWebhook::Console::conf);
$bmw->sql(q{
	CREATE ROLE shop LOGIN PASSWORD 'shop';
	CREATE ROLE xbankx LOGIN PASSWORD 'bank';
	INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('xbankx');
	SELECT bm_webhook.grant_owner('shop', 'shop'), bm_webhook.grant_owner('xbankx', 'xbankx')});
BmWebhook::Console::ask_for_passwords($bmw);
my $console = BmWebhook::Console->new($bmw);
my $shop = $console->session('shop', 'shop');
my $bank = $console->session('xbankx', 'bank');

###############################################################################
# What there is: all that is the other's says so
###############################################################################

$bmw->sql(q{ALTER TABLE bm_webhook.endpoint ALTER id RESTART WITH 81234567;
	ALTER TABLE bm_webhook.endpoint_secret ALTER id RESTART WITH 91234567});
my $own = $bmw->endpoint('/ok/shop', application => 'shop');
my %his = (application => 'xbankx', message_id => 'xbankx-message');
$his{endpoint} = $bmw->endpoint('/status/500/xbankx', application => 'xbankx', description => 'xbankx', channel => 'xbankx',
	retry_delays => '{}', headers => '{"x-of": "xbankx"}');
$his{secret} = $bmw->sql("SELECT id FROM bm_webhook.endpoint_secret WHERE endpoint_id = $his{endpoint}");
my $secret = $bmw->sql("SELECT secret FROM bm_webhook.endpoint_secret WHERE endpoint_id = $his{endpoint}");
$bmw->emit('shop.paid', application => 'shop', message_id => 'm-1');
$his{event} = $bmw->emit('xbankx.paid', application => 'xbankx', channel => 'xbankx', message_id => 'xbankx-message',
	data => '{"of": "xbankx"}');
$bmw->wait_for_sql('it failed', "SELECT status = 'failed' FROM bm_webhook.delivery WHERE event_id = '$his{event}'");
is(($bank->post('ping', { endpoint => $his{endpoint} }))[0], 200, 'the other may ping his endpoint');
is(($bank->post('secret', { endpoint => $his{endpoint} }))[1]{secret}, $secret, 'and see its secret');
$bmw->settle;
my %none = (application => 'nobodys', message_id => 'nobodys-message', endpoint => 81111111, secret => 91111111,
	event => '01a217c5-0000-7000-8000-000000000001');

# All rows of the other, as they are.
sub rows_of_other
{
	my @tables = (endpoint => 'id', endpoint_secret => 'endpoint_id', endpoint_state => 'endpoint_id', delivery => 'endpoint_id',
		failed_attempt => 'endpoint_id', redelivery => 'endpoint_id', set_aside => 'endpoint_id', operation => 'endpoint_id');
	my @rows = $bmw->sql(q{SELECT json_agg(to_json(e) ORDER BY e.id) FROM bm_webhook.event e WHERE application = 'xbankx'});
	while (my ($table, $column) = splice @tables, 0, 2)
	{
		push @rows, $bmw->sql("SELECT json_agg(t ORDER BY t) FROM (SELECT to_json(r)::text t FROM bm_webhook.$table r WHERE $column = $his{endpoint}) x");
	}
	return @rows;
}
my @before = rows_of_other();

###############################################################################
# Every path
###############################################################################

# One for each function but those that are followed; what is no question is an action.
my @paths = map { [ ($console->ask('GET', "/api/$_"))[0] == 405 ? 'post' : 'get', $_ ] } split /\n/,
  $bmw->sql(q{SELECT DISTINCT substr(proname, 9) FROM pg_proc WHERE pronamespace = 'bm_webhook'::regnamespace
	AND proname ~ '^console_' AND proname NOT IN ('console_tail', 'console_listen') ORDER BY 1});
cmp_ok(scalar @paths, '>=', 29, 'paths, all of them');

# What is asked beside the ids, so that the function has all that it needs.
my %beside = (
	set_aside => [ { reason => 'x' } ], pause => [ {}, { reason => 'x' } ], resume => [ {} ],
	redeliver_since => [ map { { since => '-infinity', dry_run => $_ } } JSON::PP::true, JSON::PP::false ],
	recover => [ map { { since => '-infinity', dry_run => $_ } } JSON::PP::true, JSON::PP::false ],
	redeliver => [ map { { dry_run => $_ } } JSON::PP::true, JSON::PP::false ],
	cancel => [ map { { dry_run => $_ } } JSON::PP::true, JSON::PP::false ],
	delete_endpoint => [ map { { dry_run => $_ } } JSON::PP::true, JSON::PP::false ],
	deliveries => [ {}, { status => 'failed' }, { type => 'xbankx.*' }, { before_endpoint => 1, before => 'ffffffff-ffff-ffff-ffff-ffffffffffff' } ],
	count_deliveries => [ {}, { status => 'failed' }, { type => 'xbankx.*' } ], endpoints => [ {}, { q => 'xbankx' } ], save_endpoint => [ { description => 'x' }, { url => 'https://example.com/' } ],
	export => [ map { { what => $_ } } qw(deliveries message delivery_rates message_rates) ]);
# What is asked about: each id alone, those that belong together, all.
my @about = ([qw(endpoint)], [qw(event)], [qw(event endpoint)], [qw(message_id)], [qw(message_id application)], [qw(application)],
	[qw(secret)], [ sort keys %his ], []);

# Without the ids that were asked about and the times that pass.
sub plain
{
	my ($content, $ids) = @_;
	my @texts = sort { length $b <=> length $a } map { $ids->{$_} } grep { !/^(endpoint|secret)$/ } keys %$ids;
	$content =~ s/\Q$_\E/ID/g for @texts;
	$content =~ s/\b(?:$ids->{endpoint}|$ids->{secret})\b/N/g;
	$content =~ s/"\d{4}-\d\d-\d\dT[^"]*"/"T"/g;
	$content =~ s/"csrf":"\w+"//g;
	return $content;
}

my ($asked, $successes) = (0, 0);
for (@paths)
{
	my ($method, $name) = @$_;
	my (@different, @leaks);
	for my $about (@about)
	{
		for my $beside (@{ $beside{$name} // [ {} ] })
		{
			my @answers = map {
				my $ids = $_;
				my %a = ((map { $_ => $ids->{$_} } @$about), %$beside);
				$a{id} = delete $a{endpoint} if $name eq 'save_endpoint' && exists $a{endpoint};
				$a{deliveries} = [ [ delete @a{qw(event endpoint)} ] ] if $name =~ /^(?:redeliver|cancel)$/ && exists $a{event} && exists $a{endpoint};
				$a{matching} = { map { $_ => delete $a{$_} } @$about } if $name =~ /^(?:redeliver|cancel)$/ && !exists $a{deliveries};
				my ($status, undef, $content) = $shop->$method($name, \%a);
				$asked++;
				$successes++ if $status == 200;
				push @leaks, $content if plain($content, $ids) =~ /xbankx|\Q$secret\E/ || $content =~ /whsec_/;
				"$status " . plain($content, $ids);
			} \%his, \%none;
			push @different, @answers if $answers[0] ne $answers[1] && @$about;
		}
	}
	is_deeply(\@different, [], "$method $name: the same for what is another's and for what is not there");
	is_deeply(\@leaks, [], 'with nothing of the other');
}
cmp_ok($asked, '>', 400, 'so many questions');
cmp_ok($successes, '>', 100, 'of which many were answered');
is_deeply([ rows_of_other() ], \@before, 'nothing of the other has changed');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.operation WHERE asked_by = 'shop' AND application IS DISTINCT FROM 'shop'}), 0,
	'and nothing is under way');

###############################################################################
# What comes by itself
###############################################################################

my $stream = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $console->port);
print $stream "GET /api/live?a={} HTTP/1.1\r\nHost: 127.0.0.1:" . $console->port . "\r\nCookie: " . $shop->cookie . "\r\n\r\n";
$stream->blocking(0);
my $seen = '';
wait_until('his own events are told of', sub {
	$bmw->emit('xbankx.live', application => 'xbankx', message_id => 'xbankx');
	$bmw->emit('shop.live', application => 'shop');
	sysread $stream, $seen, 65536, length $seen;
	return $seen =~ /shop\.live/;
});
unlike($seen, qr/xbankx/, 'and none of the other');
close $stream;

is($console->stop, 0, 'the console ends');
$bmw->finish;

# The console's functions: what each answers to an operator, to a tenant and to another tenant, who learns nothing;
# lists that go on by key, and a tail that misses nothing that commits late.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use JSON::PP;
use Test::More;

my $bmw = BmWebhook->new;
my $node = $bmw->node;
my $json = JSON::PP->new->allow_nonref;
$bmw->sql(q{CREATE ROLE operator LOGIN; CREATE ROLE shop LOGIN; CREATE ROLE bank LOGIN; CREATE ROLE stranger LOGIN;
	INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('bank');
	SELECT bm_webhook.grant_operator('operator'), bm_webhook.grant_owner('shop', 'shop'), bm_webhook.grant_owner('bank', 'bank');
	GRANT USAGE ON SCHEMA bm_webhook TO stranger});

# What the function answers, in a transaction that is read only for what only reads; or the SQLSTATE and the message.
sub ask
{
	my ($role, $name, $a, $mode) = @_;
	my $stderr = '';
	my $call = $name eq 'export' ? "SELECT FROM bm_webhook.console_export(%s) c WHERE c IS NULL; FETCH ALL FROM console_export" : $name eq 'tail' ? 'SELECT to_jsonb(t) FROM bm_webhook.console_tail(%s) t' : "SELECT bm_webhook.console_$name(%s)";
	my $stdout = '';
	$node->psql('postgres', sprintf("SET SESSION AUTHORIZATION %s; BEGIN %s; $call; COMMIT", $role, $mode // 'READ ONLY', quote($json->encode($a // {})) . '::jsonb'),
		stdout => \$stdout, stderr => \$stderr, extra_params => [ '-v', 'VERBOSITY=verbose', '-v', 'ON_ERROR_STOP=1' ]);
	return "$1 $2" if $stderr =~ /ERROR:\s+(\w{5}): (.*)/;
	return $name eq 'export' ? $stdout : $stdout eq '' ? '' : $json->decode($stdout);
}

sub change { return ask(@_[ 0 .. 2 ], 'READ WRITE') }

###############################################################################
# A tenant registers an endpoint, and sees what becomes of its events
###############################################################################

my $receiver = $bmw->receiver;
my $saved = change('shop', 'save_endpoint', { url => $receiver->url('/status/500/shop'), application => 'shop', event_types => ['order.*'], retry_delays => [], timeout => '3 s', filter => '$.data.n < 1000' });
my $endpoint = $saved->{id};
ok($endpoint, 'a tenant registers an endpoint');
like(change('shop', 'save_endpoint', { url => 'ftp://x', application => 'shop' }), qr/^22023 /, 'what is wrong is refused');
like(change('shop', 'save_endpoint', { url => $receiver->url('/ok/x'), application => 'bank' }), qr/^42501 /, 'so is an endpoint of another');
like(change('shop', 'save_endpoint', { id => $endpoint, deleted_at => 'now' }), qr/^22023 /, 'so is a column that is not his to set');
like(change('operator', 'save_endpoint', { id => $endpoint, enabled => JSON::PP::false }), qr/^42501 /, 'an operator changes nothing');
my $of_bank = $bmw->endpoint('/ok/bank', application => 'bank', event_types => '{order.*}');
my $hooks = $bmw->sql("SELECT string_agg(bm_webhook.emit('order.paid', jsonb_build_object('n', n), a, 'sms', 'm-' || a)::text, ',') FROM generate_series(1, 60) n, unnest('{shop,bank}'::text[]) a");
my $all = q{SELECT count(*) = 120 AND bool_and(status <> 'pending') FROM bm_webhook.delivery};
$bmw->wait_for_sql('all was tried', $all);
wait_until('and is in the figures, when the minute has ended',
	sub { $bmw->sql('SELECT sum(delivered) = 60 AND sum(given_up) = 60 FROM bm_webhook.endpoint_minute') eq 't' }, 150);
my $event = $bmw->sql("SELECT event_id FROM bm_webhook.delivery WHERE endpoint_id = $endpoint ORDER BY 1 LIMIT 1");
my $other = $bmw->sql("SELECT event_id FROM bm_webhook.delivery WHERE endpoint_id = $of_bank ORDER BY 1 LIMIT 1");

my $first = ask('shop', 'deliveries', { status => 'failed' });
is(scalar @{ $first->{rows} }, 50, 'a list has 50 rows');
my $next = ask('shop', 'deliveries', { status => 'failed', before => $first->{rows}[49]{event}, before_endpoint => $first->{rows}[49]{endpoint} });
is_deeply([ scalar @{ $next->{rows} }, $first->{has_more}, $next->{has_more} ], [ 10, JSON::PP::true, JSON::PP::false ], 'and goes on by key');
my %seen = map { $_->{event} => $_ } @{ $first->{rows} }, @{ $next->{rows} };
is(scalar keys %seen, 60, 'with none twice');
is(join(',', sort { $a cmp $b } map { $_->{application} } values %seen), join(',', ('shop') x 60), 'and only his own');
is(scalar @{ ask('shop', 'deliveries', { $_->%* })->{rows} }, 50, 'by ' . join(' ', %$_)) for { type => 'order.*' }, { endpoint => $endpoint }, { application => 'shop' }, { http_status => 500 }, { error_class => "http_status" };
is(scalar @{ ask('shop', 'deliveries', { $_->%* })->{rows} }, 0, 'none by ' . join(' ', %$_)) for { type => 'message.*' }, { endpoint => $of_bank }, { application => 'bank' }, { status => 'delivered' }, { until => '2020-01-02', since => '2020-01-01' };
is(scalar @{ ask('operator', 'deliveries', { status => 'delivered' })->{rows} }, 50, 'an operator sees all');

my $delivery = ask('shop', 'delivery', { event => $event, endpoint => $endpoint });
is_deeply([ $delivery->{delivery}{status}, scalar @{ $delivery->{failed_attempts} }, $delivery->{failed_attempts}[0]{http_status}, $delivery->{event}{type} ], [ 'failed', 1, 500, 'order.paid' ], 'a delivery with its attempts');
like($delivery->{event}{data}, qr/^\{"n"/, 'and the content of the event');
is(ask('shop', 'causes', { endpoint => $endpoint })->[0]{deliveries}, 60, 'why they failed');
my ($why) = grep { $_->{endpoint} == $endpoint } @{ ask('shop', 'event', { event => $event })->{endpoints} };
is_deeply([ @$why{qw(gets_it status filter)} ], [ JSON::PP::true, 'failed', '($."data"."n" < 1000)' ], 'who gets it, and the filter that lets it through');
is(scalar @{ ask('operator', 'event', { event => $event })->{endpoints} }, 2, 'for an operator, and who does not');
is(ask('shop', 'preview', { event => $event, endpoint => $endpoint })->{headers}{'webhook-id'}, $event, 'the request as it would be sent');
is(scalar(grep { $_->{what} eq 'attempt' } @{ ask('shop', 'message', { message_id => 'm-shop' })->{history} }), 60, 'the history of a message');
my $seen_endpoint = ask('shop', 'endpoint', { endpoint => $endpoint });
is_deeply([ $seen_endpoint->{timeout}, $seen_endpoint->{may_change}, scalar @{ $seen_endpoint->{secrets} }, $seen_endpoint->{hour}{given_up} ], [ '00:00:03', JSON::PP::true, 1, 60 ], 'an endpoint');
is(ask('operator', 'endpoint', { endpoint => $endpoint })->{may_change}, JSON::PP::false, 'which an operator cannot change');
unlike($json->encode($seen_endpoint), qr/whsec_/, 'without its secrets');
my $hour = ask('operator', 'hour');
is_deeply([ @$hour{qw(delivered given_up failed_attempts is_partial)} ], [ 60, 60, 60, JSON::PP::false ], 'the last hour');
my $by_minute = { delivered => 0, failed => 0 };
$by_minute->{delivered} += $_->[1], $by_minute->{failed} += $_->[2] for @{ $hour->{minutes} };
is_deeply($by_minute, { delivered => 60, failed => 60 }, 'by minute');
is(ask('operator', 'overview')->{dispatchers}[0]{state}, 'running', 'and the dispatchers');
is(ask('shop', 'overview')->{dispatchers}, undef, 'which a tenant does not see');
my $overview = ask('operator', 'overview');
is_deeply([ map { @$_{qw(endpoint state given_up)} } @{ $overview->{attention} } ], [ $endpoint, 'failing', 60 ], 'and who needs somebody');
is_deeply([ @$overview{qw(endpoints unhealthy waiting)} ], [ 2, 1, 0 ], 'of how many');
is($overview->{attention}[0]{"$_"}, $bmw->sql("SELECT $_ FROM bm_webhook.endpoint_health WHERE endpoint_id = $endpoint"), "with the $_ of endpoint_health") for qw(reason advice);
is_deeply([ @{ ask('shop', 'hour') }{qw(delivered given_up p95_ms)} ], [ 0, 60, undef ], 'his figures are his own');
cmp_ok(ask('bank', 'hour')->{p95_ms}, '>', 0, 'how long most take at most');
is_deeply([ map { $_->{id} } @{ ask('shop', 'endpoints')->{rows} } ], [$endpoint], 'so are his endpoints');
is(scalar @{ ask('operator', 'endpoints', { q => 'OK/b' })->{rows} }, 1, 'an operator looks for one by its URL');
is_deeply([ map { $_->{id} } @{ ask('operator', 'endpoints', { state => $_->[0] })->{rows} } ], $_->[1], "or by its state: $_->[0]") for [ failing => [$endpoint] ], [ healthy => [$of_bank] ], [ unverified => [] ];
my ($row) = @{ ask('shop', 'endpoints')->{rows} };
is_deeply([ @$row{qw(failed_24h state reason)} ], [ 60, split /\|/, $bmw->sql("SELECT state, reason FROM bm_webhook.endpoint_health WHERE endpoint_id = $endpoint") ], 'with what endpoint_health says');
is(ask('shop', 'endpoint', { endpoint => $endpoint })->{health}{"$_"}, $bmw->sql("SELECT $_ FROM bm_webhook.endpoint_health WHERE endpoint_id = $endpoint"), "so is its page: $_") for qw(state reason advice);
ok((grep { $_->{name} eq 'message.sent' && $_->{example} } @{ ask('shop', 'event_types') }), 'event types');
is_deeply(ask('shop', 'session')->{applications}, ['shop'], 'who he is');
is_deeply(ask('operator', 'session')->{applications}, [], 'an operator may act for none');
is_deeply(ask($bmw->sql('SELECT current_user'), 'session')->{applications}, [ 'bank', 'shop' ], 'a superuser for all');
my $calls = q{pg_stat_get_xact_function_calls('bm_webhook_internal.console_may_change(text)'::regprocedure)};
is($bmw->sql("SET track_functions = 'all'; BEGIN; SET LOCAL ROLE operator; DO \$\$BEGIN PERFORM bm_webhook.console_session('{}'); END\$\$; RESET ROLE; SELECT coalesce($calls, 0); COMMIT"),
	0, 'without a query for each application');
like(ask('shop', 'system'), qr/^42501 /, 'the system is for operators');
ok(ask('operator', 'system')->{$_}, "with $_") for qw(dispatchers settings partitions cursors oldest_event);
$bmw->sql(q{DELETE FROM bm_webhook_internal.counted_day; SELECT bm_webhook_internal.count_day() FROM generate_series(1, 2)});
my $failed = 0;
$failed += $_->{failed} for @{ ask('shop', 'delivery_rates')->{rows} };
is($failed, 60, 'rates of delivery, today and yesterday');
is_deeply(ask('shop', 'message_rates')->{rows}, [], 'rates of messages: it has none');
is(ask('shop', 'message_rates', { key => 'template' })->{rows}, undef, 'nothing is counted by another key');
ok(ask('shop', $_)->{as_of}, "$_: as of when") for qw(message_rates delivery_rates);
like(ask('shop', 'message_rates', { since => '2020-01-01' }), qr/^22023 /, 'a period that is too long');
like(ask('stranger', $_), qr/^42501 /, "a stranger: $_") for qw(session overview hour deliveries export tail);

###############################################################################
# What is another's does not exist
###############################################################################

my $none = '01990f3c-5d1a-7c3e-8f00-0242ac120002';
for ([ endpoint => 'endpoint' ], [ causes => 'endpoint' ], [ delivery => 'event', 'endpoint' ], [ event => 'event' ], [ preview => 'event', 'endpoint' ])
{
	my ($name, @keys) = @$_;
	my %his = (event => $other, endpoint => $of_bank);
	my %no = (event => $none, endpoint => 99999);
	my ($foreign, $unknown) = map { my $of = $_; ask('shop', $name, { map { $_ => $of->{$_} } @keys }) } \%his, \%no;
	like($foreign, qr/^42704 /, "$name of another");
	s/$none|$other/E/g, s/\b(?:$of_bank|99999)\b/N/g for $foreign, $unknown;
	is($foreign, $unknown, 'as what does not exist');
}
sub verify
{
	my ($value) = @_;
	$node->safe_psql('postgres', "ALTER SYSTEM SET bm_webhook.verify_endpoints = $value");
	$node->reload;
	$bmw->wait_for_sql("verify_endpoints is $value", "SELECT current_setting('bm_webhook.verify_endpoints') = '$value'");
	return;
}
verify('on');
for (qw(ping redeliver_since recover secret rotate_secret pause resume delete_endpoint set_aside put_back verify_endpoint))
{
	my %a = (event => $other, endpoint => $of_bank, since => '-infinity', reason => 'x');
	my $name = $_;
	my ($foreign, $unknown) = map { change('shop', $name, $_) } \%a, { %a, event => $none, endpoint => 99999 };
	like($foreign, qr/^42704 /, "$name of another");
	s/$none|$other/E/g, s/\b(?:$of_bank|99999)\b/N/g for $foreign, $unknown;
	is($foreign, $unknown, 'as what does not exist');
}
verify('off');
for my $name (qw(redeliver cancel))
{
	is_deeply(change('shop', $name, { deliveries => [$_] }), { matched => 0, problems => [ { problem => 'there is no such delivery', n => 1 } ] }, "$name: @$_") for [ $other, $of_bank ], [ $none, 99999 ];
}
is(ask('shop', 'message', { message_id => 'm-bank' }) =~ s/m-bank/M/r, ask('shop', 'message', { message_id => 'm-none' }) =~ s/m-none/M/r, 'so is a message');
unlike(ask('shop', 'export', { what => 'deliveries' }), qr/$other/, 'and an export');

###############################################################################
# The buttons
###############################################################################

my $count = change('shop', 'redeliver_since', { endpoint => $endpoint, since => '-infinity', dry_run => JSON::PP::true });
is($count->{matched}, 60, 'how many failed');
is($bmw->sql("SELECT '$count->{until}'::timestamptz BETWEEN now() - interval '1 min' AND now()"), 't', 'until when');
is(change('shop', $_, { endpoint => $endpoint, since => '2020-01-01', until => '2020-01-02', dry_run => JSON::PP::true })->{until} =~ s/T.*//r, '2020-01-02', "or as asked: $_") for qw(redeliver_since recover);
ok(change('shop', 'save_endpoint', { id => $endpoint, url => $receiver->url('/ok/shop') })->{id}, 'the endpoint is repaired');
$bmw->share_secrets($endpoint, 'shop');
is(change('shop', 'redeliver', { deliveries => [ [ $event, $endpoint ] ] })->{matched}, 1, 'a tenant sends one again');
$bmw->wait_for_sql('it arrived', "SELECT status = 'delivered' FROM bm_webhook.delivery WHERE event_id = '$event' AND endpoint_id = $endpoint");
is($bmw->sql("SELECT asked_by FROM bm_webhook.redelivery WHERE event_id = '$event'"), 'shop', 'and it is known who');
ok(change('shop', 'redeliver_since', { endpoint => $endpoint, since => '-infinity' })->{operation}, 'and all others');
$bmw->wait_for_sql('they arrived', "SELECT count(*) = 60 FROM bm_webhook.delivery WHERE endpoint_id = $endpoint AND status = 'delivered'");
is(scalar @{ ask('shop', 'delivery', { event => $event, endpoint => $endpoint })->{redeliveries} }, 1, 'the delivery says so');
like(change('shop', 'secret', { endpoint => $endpoint })->{secret}, qr/^whsec_/, 'the secret');
like(change('shop', 'rotate_secret', { endpoint => $endpoint })->{secret}, qr/^whsec_/, 'the next one');
$bmw->share_secrets($endpoint, 'shop');
my $ping = change('shop', 'ping', { endpoint => $endpoint })->{event};
$bmw->wait_for_sql('the ping arrived', "SELECT status = 'delivered' FROM bm_webhook.delivery WHERE event_id = '$ping'");
is(change('shop', 'pause', { endpoint => $endpoint, reason => 'tea' })->{changed}, 1, 'a pause');
like(change('shop', 'pause', { everything => JSON::PP::true }), qr/^42501 /, 'but not of everything');
$bmw->endpoint("/ok/off$_", application => 'shop', event_types => '{none.*}', enabled => 'off') for 1 .. 21;
my @worst = @{ ask('shop', 'overview')->{attention} };
is_deeply([ scalar @worst, scalar(grep { $_->{state} eq 'disabled' } @worst), ask('shop', 'overview')->{unhealthy} ], [ 20, 20, 22 ], 'the worst 20 come first');
$bmw->sql("DELETE FROM bm_webhook.endpoint WHERE url LIKE '%/ok/off%'");
my ($paused) = @{ ask('shop', 'overview')->{attention} };
is_deeply([ @$paused{qw(endpoint state is_paused)} ], [ $endpoint, 'paused', JSON::PP::true ], 'it is paused');
is(change('shop', 'resume', { endpoint => $endpoint })->{changed}, 1, 'and its end');
my @recorded = grep { $_->{asked_by} eq 'shop' } @{ ask('shop', 'operations')->{rows} };
is_deeply([ map { $_->{kind} } @recorded ], [qw(resume pause rotate_secret show_secret redeliver redeliver change_endpoint create_endpoint)], 'all of it is recorded');
is_deeply([ @{ $recorded[-2] }{qw(endpoint changed)} ], [ $endpoint, ['url'] ], 'and what was changed');
is_deeply([ map { $_->{application} } @{ ask('bank', 'operations')->{rows} } ], [qw(bank bank bank)], 'for who may see it');
is(change('shop', 'delete_secret', { secret => $seen_endpoint->{secrets}[0]{id} })->%*, 0, 'an old secret is deleted');
$bmw->share_secrets($endpoint, 'shop');

# Cells that a spreadsheet would compute are text.
$bmw->sql(qq{SELECT bm_webhook.emit('order.paid', '{"n": 1}', 'shop', 'sms', '=1+1"')});
$bmw->wait_for_sql('it arrived', "SELECT count(*) = 61 FROM bm_webhook.delivery d JOIN bm_webhook.event e ON e.id = event_id WHERE d.endpoint_id = $endpoint AND type = 'order.paid' AND status = 'delivered'");
my @csv = split /\n/, ask('shop', 'export', { what => 'deliveries' });
like($csv[0], qr/^"event_id","endpoint_id",/, 'CSV begins with its columns');
is(scalar @csv, 63, 'and has a line for each delivery');
like($csv[-1], qr/,"'=1\+1""",/, 'and computes nothing');
is($json->decode((split /\n/, ask('shop', 'export', { what => 'deliveries', format => 'jsonl' }))[-1])->{message_id}, '=1+1"', 'JSON Lines has what there is');
for my $wanted ([ { type => 'order.paid' }, "e.type = 'order.paid'" ], [ { type => 'order.*' }, "e.type LIKE 'order.%'" ],
	[ { application => 'bank' }, "e.application = 'bank'" ], [ { error_class => 'http_status' }, "d.error_class = 'http_status'" ],
	[ { http_status => 500 }, 'd.http_status = 500' ], [ { type => 'order.*', status => 'delivered' }, "e.type LIKE 'order.%' AND d.status = 'delivered'" ])
{
	my ($arguments, $condition) = @$wanted;
	my @lines = split /\n/, ask('operator', 'export', { what => 'deliveries', format => 'jsonl', %$arguments });
	is(scalar @lines, $bmw->sql("SELECT count(*) FROM bm_webhook.delivery d LEFT JOIN bm_webhook.event e ON e.id = d.event_id WHERE $condition"),
		'exported by ' . join ' ', sort keys %$arguments);
}
like(ask('shop', 'export', { what => 'secrets' }), qr/^22023 /, 'nothing else is exported');

###############################################################################
# The tail
###############################################################################

my $cursor = ask('shop', 'tail')->{cursor};
my $late = $bmw->session;
$late->query_safe(q{BEGIN; SELECT bm_webhook.emit('order.late', '{}', 'shop')});
$bmw->emit('order.early', application => $_) for qw(shop bank);
my $tail = ask('shop', 'tail', { cursor => $cursor });
is_deeply([ map { $_->{type} } @{ $tail->{data}{events} } ], ['order.early'], 'the tail has what is committed, and is his');
$late->query_safe('COMMIT');
$late->quit;
my $more = ask('shop', 'tail', { cursor => $tail->{cursor} });
is_deeply([ map { $_->{type} } @{ $more->{data}{events} } ], ['order.late'], 'and later what has committed late');
is(ask('shop', 'tail', { cursor => $more->{cursor} })->{data}, undef, 'each once');
like(ask('shop', 'tail', { cursor => 'x' }), qr/^22P02 /, 'a cursor that is none');

###############################################################################
# What is rare is looked for in pieces of the log
###############################################################################

# So many deliveries of one event after another in the last hour, and before them one of another type.
my $rare = $bmw->sql("SELECT bm_webhook.uuid_floor(now() - interval '2 hours')");
$bmw->sql("INSERT INTO bm_webhook.event (id, xid, type, application, occurred_at, created_at, data)
	SELECT id, '3', type, 'bank', now(), now(), '{}' FROM (SELECT '$rare'::uuid AS id, 'rare.order' AS type
		UNION ALL SELECT bm_webhook.uuid_floor(now() - interval '1 hour' - n * interval '20 ms'), 'order.bulk' FROM generate_series(1, 41000) n) x");
$bmw->sql("INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts) SELECT id, $of_bank, CASE type WHEN 'rare.order' THEN 'failed' ELSE 'delivered' END, 1
	FROM bm_webhook.event WHERE type IN ('rare.order', 'order.bulk')");
$bmw->sql('ANALYZE bm_webhook.event, bm_webhook.delivery');
for my $role (qw(operator bank))
{
	for my $filter ({ type => 'rare.order' }, { type => 'rare.*' }, { endpoint => $of_bank, type => 'rare.order' }, { error_class => 'none' })
	{
		my ($pieces, $found, $list) = (0, 0, { next => {} });
		while ($list->{next} && $pieces++ < 9)
		{
			$list = ask($role, 'deliveries', { %$filter, %{ $list->{next} } });
			$found += @{ $list->{rows} };
			ok($list->{looked_back_to}, 'it says how far it has looked') if $list->{next};
		}
		is_deeply([ $pieces, $found ], [ 3, $filter->{type} ? 1 : 0 ], "$role: in three pieces, by " . join ' ', %$filter);
	}
	is(ask($role, 'deliveries', { status => 'failed', $_ ? ($_ => 'rare.order') : () })->{rows}[-1]{event}, $rare, "$role: the few that failed are found at once") for '', 'type';
	is(scalar @{ ask($role, 'deliveries', { status => 'pending' })->{rows} }, 0, 'so is that none waits');
}

is(change('shop', 'delete_endpoint', { endpoint => $endpoint, dry_run => JSON::PP::true })->{waiting}, 0, 'what deleting would cancel');
change('shop', 'delete_endpoint', { endpoint => $endpoint });
is_deeply(ask('shop', 'endpoints')->{rows}, [], 'it is deleted');

$bmw->finish;

# An endpoint's filter is an SQL/JSON path predicate over the whole body: what is sent, what
# explain_delivery() says, what recover() finds and what the operator @@ says are the same. A
# filter that fails, or takes long, costs its own endpoint only, and is told once.
use strict;
use warnings FATAL => 'all';

use lib 'test/lib';
use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new(conf => "bm_webhook.max_payload = '2MB'\n");
my $receiver = $bmw->receiver;

###############################################################################
# What may be a filter
###############################################################################

sub refused
{
	my ($filter) = @_;
	return $bmw->sqlstate('INSERT INTO bm_webhook.endpoint (url, enabled, filter) VALUES (\'https://example.com/\', false, ' . quote($filter) . ')');
}
my @refused = (
	'$.data', '$.data ? (@.n == 1)', '1 + 1', 'true', '($.data.n == 1).type()',
	'$.data.s like_regex "^(a+)+$"', '$.** == 1', 'exists($.data.**{2 to 3})', '$.data.n == $limit', '$.data.s starts with $prefix',
	'exists($.data ? (@.s like_regex "a"))', '$.data[*] == $.data[*]', '$.a == $.b', 'exists($.data.a[*] ? (@ == $.data.b[*]))',
	'strict $.data.a[*] == $.data.b.*', 'strict $.data.a[0, 1] == $.data.b[0 to 1]', '"x"[0,0,0] == "x"[0,0,0]',
	'$.data.a * $.data.b > 1', '$.data.a / ($.data.b + 1) > 1', '$.data.a % $.data.b > 1', '$.data.n == 1e101');
is(refused($_), '22023', "refused: $_") for @refused;
is(refused('$.data.n == "' . 'x' x 1024 . '"'), '54000', 'a predicate of more than a kilobyte');
is(refused('$.data.n == '), '42601', 'what is no path at all');
is(refused('!(' x 300 . '$.a == 1' . ')' x 300), '', 'one that is deep');

###############################################################################
# What is sent is what @@ says
###############################################################################

my @filters = (
	'$.type == "test.a"', '$.data.n > 10', '$.data.n > 10 && $.channel == "sms"', '!($.data.n > 10)', 'exists($.data.list[*] ? (@ > 2))',
	'$.data.list[*] == 3', 'strict $.data.list[*] == 3', 'strict $.data.from == $.data.to', '($.data.n / 0 > 1) is unknown', '$.data.n / 0 > 1',
	'$.data.s.double() > 1', 'exists($.data.s.double())', '$.data.s starts with "gr"', '$.data.nothing == null', '$.data.*.size() > 1',
	'$.data.at.datetime() > "2026-01-01".datetime()', '$.data.n * 2 - 1 == 21', '-$.data.n < 0', '$.data.s == "grüße \"☎\""',
	'$.application == "shop" || $.message_id starts with "m"', 'exists($.data.o.keyvalue() ? (@.key == "k"))', '$.data.list.size() == 3',
	'strict $.data.list.size() == 3', '$.data.flag == true', '$.data.big > 1', 'exists($.data.deep[*][*][*])', '1 == 1', '1 == 2');
my @data = (
	'{"n": 11}', '{"n": 10}', '{"n": "11"}', '{"n": null}', '{"list": [1, 2, 3]}', '{"list": 3}', '{"list": [[3]]}', '{"from": "a", "to": "a"}',
	'{"from": "a", "to": "b"}', '{"s": "2.5"}', '{"s": "x"}', '{"s": "grüße \"☎\""}', '{"nothing": null}', '{"at": "2026-02-03"}', '{"at": "soon"}',
	'{"o": {"k": 1}}', '{"flag": true}', '{"big": 1e300}', '{"deep": [[[1], [2]], [[3]]]}', '{}', '{"n": 11, "list": [], "s": ""}');

my %filter;
for my $i (0 .. $#filters)
{
	$filter{ $bmw->endpoint("/ok/f$i", event_types => '{test.*}', filter => $filters[$i]) } = $filters[$i];
}
my $all = $bmw->endpoint('/ok/all', event_types => '{test.*}');
my $other = $bmw->endpoint('/ok/other', event_types => '{order.*}', filter => '1 == 1');
for my $i (0 .. $#data)
{
	$bmw->sql(sprintf q{SELECT bm_webhook.emit('test.%s', %s, channel => %s, message_id => %s)}, ('a', 'b')[ $i % 2 ],
		quote($data[$i]), ('NULL', q{'sms'})[ $i % 3 == 0 ], ('NULL', q{'m1'})[ $i % 4 == 0 ]);
}
$bmw->settle;
my $bodies = q{(SELECT e.id, p.body::jsonb AS body FROM bm_webhook.event e, bm_webhook.preview(e.id, } . $all . q{) p WHERE e.type IN ('test.a', 'test.b')) b};
my $pairs = 0;
for my $id (sort { $a <=> $b } keys %filter)
{
	my $expected = $bmw->sql("SELECT id FROM $bodies WHERE coalesce(body @\@ " . quote($filter{$id}) . ', false) ORDER BY id');
	$pairs += () = $expected =~ /-7/g;
	is($bmw->sql("SELECT event_id FROM bm_webhook.delivery WHERE endpoint_id = $id ORDER BY event_id"), $expected, "sent is what \@\@ says: $filter{$id}");
	is($bmw->sql("SELECT e.id FROM bm_webhook.event e, bm_webhook.explain_delivery(e.id) x WHERE e.type IN ('test.a', 'test.b') AND x.endpoint_id = $id AND x.gets_it ORDER BY 1"),
		$expected, 'and what explain_delivery() says');
}
cmp_ok($pairs, '>', 50, 'many of the pairs match');
is($bmw->sql("SELECT count(*) FROM bm_webhook.delivery WHERE endpoint_id = $all AND status = 'delivered'"), scalar(@data), 'one without filter gets all');
is($bmw->sql(q{SELECT string_agg(DISTINCT x.reason, ', ') FROM bm_webhook.event e, bm_webhook.explain_delivery(e.id) x
	WHERE e.type IN ('test.a', 'test.b') AND x.reason LIKE 'filter%'}), 'filter', 'which names the filter');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.event WHERE type = 'webhook.filter_failed'}), 0, 'none has failed: what is missing or of another type is no error');

my $never = (sort { $a <=> $b } keys %filter)[-1];
my $ping = $bmw->sql("SELECT bm_webhook.ping($never)");
$bmw->wait_for_delivery($ping);
pass('an event for this endpoint alone is not asked');
my $first = $bmw->sql(q{SELECT min(id::text) FROM bm_webhook.event WHERE type = 'test.a'});
is($bmw->sql(qq{UPDATE bm_webhook.endpoint SET filter = '\$.data.n == 11' WHERE id = $never;
	SELECT matched FROM bm_webhook.recover($never, '2000-01-01')}), 2, 'recover() finds what a new filter lets through');
$bmw->wait_for_sql('and sends it', "SELECT count(*) = 3 FROM bm_webhook.delivery WHERE endpoint_id = $never AND status = 'delivered'");
is($bmw->sql("SELECT bool_and(data->>'n' = '11') FROM bm_webhook.delivery d JOIN bm_webhook.event e ON e.id = d.event_id WHERE d.endpoint_id = $never AND e.type LIKE 'test.%'"), 't', 'nothing else');
$bmw->sql("UPDATE bm_webhook.endpoint SET filter = NULL WHERE id = $never");
$bmw->emit('test.unfiltered');
$bmw->wait_for_sql('without filter it gets all again', "SELECT EXISTS (SELECT FROM bm_webhook.delivery d JOIN bm_webhook.event e ON e.id = d.event_id
	WHERE d.endpoint_id = $never AND e.type = 'test.unfiltered' AND status = 'delivered')");
$bmw->sql("SELECT bm_webhook.delete_endpoint($never)");
is($bmw->sql("SELECT filter IS NULL FROM bm_webhook.endpoint WHERE id = $never"), 't', 'a deleted one has no filter any more');
$bmw->sql("DELETE FROM bm_webhook.endpoint WHERE id IN (" . join(',', keys %filter) . ')');

###############################################################################
# What fails, and what takes long
###############################################################################

my %hostile = (
	zone => '$.data.at.datetime() < "2026-01-01T00:00:00+01:00".datetime()',
	twice => '$.data.list' . '[0,0]' x 40 . ' == -1',
	nested => 'exists($.data.list[*] ? (exists($.data.list[*] ? (exists($.data.list[*] ? (@ == -1))))))',
	chain => '$.data.list[*]' . '.abs()' x 100 . ' == -1');
my %of = map { $_ => $bmw->endpoint("/ok/$_", event_types => '{hostile.*}', filter => $hostile{$_}, application => undef) } sort keys %hostile;
my $calm = $bmw->endpoint('/ok/calm', event_types => '{hostile.*}', filter => '$.data.list.size() > 1');
my $told = $bmw->endpoint('/ok/told', event_types => '{webhook.filter_failed}');
my $big = q{jsonb_build_object('at', '2026-02-03', 'list', (SELECT jsonb_agg(n) FROM generate_series(1, 150000) n))};
my $events = $bmw->sql("SELECT bm_webhook.emit('hostile.big', $big) FROM generate_series(1, 3); ") =~ tr/\n// + 1;
$bmw->settle;
is($bmw->sql("SELECT count(*) FROM bm_webhook.delivery WHERE endpoint_id = $calm AND status = 'delivered'"), $events, 'one with a good filter gets what it is for, of a megabyte');
is($bmw->sql("SELECT count(*) FROM bm_webhook.delivery WHERE endpoint_id IN (" . join(',', values %of) . ')'), 0, 'the others get nothing');
$bmw->wait_for_sql('each is told of', q{SELECT count(DISTINCT data->>'endpoint_id') = } . keys(%of) . q{ FROM bm_webhook.event WHERE type = 'webhook.filter_failed'});
$bmw->sql("SELECT bm_webhook.emit('hostile.big', $big) FROM generate_series(1, 3)");
$bmw->settle;
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.event WHERE type = 'webhook.filter_failed'}), scalar(keys %of), 'once a minute');
like($bmw->sql("SELECT data->>'error' FROM bm_webhook.event WHERE type = 'webhook.filter_failed' AND (data->>'endpoint_id')::bigint = $of{twice}"), qr/longer than 5 ms/, 'with the reason');
like($bmw->sql("SELECT data->>'error' FROM bm_webhook.event WHERE type = 'webhook.filter_failed' AND (data->>'endpoint_id')::bigint = $of{zone}"), qr/time zone/, 'of each');
my $event = $bmw->sql(q{SELECT id FROM bm_webhook.event WHERE type = 'hostile.big' LIMIT 1});
like($bmw->sql("SELECT string_agg(reason, '|') FROM bm_webhook.explain_delivery('$event') WHERE endpoint_id IN ($of{twice}, $of{zone})"), qr/filter failed: .*\|filter failed: /,
	'explain_delivery() says that they fail, and why');
is($bmw->sql("SELECT count(*) FROM bm_webhook.explain_delivery('$event'), bm_webhook.explain_delivery('$event') y"), $bmw->sql('SELECT count(*) * count(*) FROM bm_webhook.endpoint'),
	'what broke off a filter breaks off nothing else');
$bmw->wait_for_requests('told', scalar(keys %of));

# Very many filters of one application, each of which has its time: together they have a tenth of the dispatcher's.
$bmw->sql(q{INSERT INTO bm_webhook.application (name) VALUES ('greedy'), ('modest')});
$bmw->sql(sprintf q{INSERT INTO bm_webhook.endpoint (url, application, event_types, filter) SELECT '%s', 'greedy', '{hostile.*}', '%s' FROM generate_series(1, 500)},
	$bmw->receiver->url('/ok/greedy'), $hostile{nested});
my $modest = $bmw->endpoint('/ok/modest', application => 'modest', event_types => '{hostile.*}', filter => '$.data.list.size() > 1');
my $of_greedy = $bmw->sql("SELECT bm_webhook.emit('hostile.big', $big, 'greedy')");
my $of_modest = $bmw->sql("SELECT bm_webhook.emit('hostile.big', $big, 'modest')");
$bmw->settle;
my $reasons = $bmw->sql(q{SELECT string_agg(DISTINCT data->>'error', '|' ORDER BY data->>'error') FROM bm_webhook.event WHERE type = 'webhook.filter_failed' AND application = 'greedy'});
is($reasons, 'it takes longer than 5 ms|the filters of its application have taken too much time lately', 'filters of an application fail when all of them have taken too much');
is($bmw->sql("SELECT status FROM bm_webhook.delivery WHERE event_id = '$of_modest' AND endpoint_id = $modest"), 'delivered', 'those of others do not');

# What JSON can have and jsonb cannot: only filters notice.
$bmw->sql(q{CREATE TABLE note (id int PRIMARY KEY, body json); SELECT bm_webhook.watch('note', 'hostile.note')});
my $plain = $bmw->endpoint('/ok/plain', event_types => '{hostile.*}');
my $zero = $bmw->sql(q{INSERT INTO note VALUES (1, '"a\u0000b"'); SELECT max(id::text) FROM bm_webhook.event WHERE type = 'hostile.note'});
$bmw->settle;
is($bmw->sql("SELECT endpoint_id FROM bm_webhook.delivery WHERE event_id = '$zero'"), $plain, 'one without filter gets what cannot be judged');
like($bmw->sql("SELECT reason FROM bm_webhook.explain_delivery('$zero') WHERE endpoint_id = $calm"), qr/filter failed: .*Unicode/, 'the others do not, which is said');

# A session's own limits hold.
is($bmw->sqlstate("SET statement_timeout = '50ms'; SELECT count(*) FROM generate_series(1, 100000) g, bm_webhook.explain_delivery('$event')"), '57014', 'a statement can be canceled');
$bmw->finish;

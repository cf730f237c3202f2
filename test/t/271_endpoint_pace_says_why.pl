# endpoint_pace says how each endpoint is sent to and why not more: one that limits its rate, one that refuses a part,
# one that hangs, one that asks to wait, one that is well; to an owner of its own alone. What is over is no longer said.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new(conf => "bm_webhook.shards = 2\n");
my $receiver = $bmw->receiver;
my $delays = '{' . join(',', ('100ms') x 100) . '}';
my %path = (limits => '/partly/50/429/limits', refuses => '/partly/40/503/refuses', hangs => '/hang/hangs', fine => '/ok/fine',
	waits => '/retry-after/100/waits');
my %id;

$bmw->sql(q{CREATE ROLE shop; CREATE ROLE bank; CREATE ROLE monitor IN ROLE pg_monitor; INSERT INTO bm_webhook.application (name, owner) VALUES ('shop', 'shop'), ('bank', 'bank');
	GRANT USAGE ON SCHEMA bm_webhook, bm_webhook_internal TO shop, bank; GRANT SELECT (name, owner) ON bm_webhook.application TO shop, bank;
	GRANT SELECT (id, application, deleted_at) ON bm_webhook.endpoint TO shop, bank; GRANT SELECT ON bm_webhook.endpoint_pace TO shop, bank});
for my $name (sort keys %path)
{
	$id{$name} = $bmw->endpoint($path{$name}, application => $name eq 'fine' ? 'bank' : 'shop', event_types => "{test.$name}",
		retry_delays => $delays, timeout => '1 min');
}

sub pace { return $bmw->sql("SELECT $_[1] FROM bm_webhook.endpoint_pace WHERE endpoint_id = $id{$_[0]}") }

sub wait_for_reason
{
	my ($name, $reason, $condition) = @_;
	my $quoted = defined $reason ? "= '$reason'" : 'IS NULL';
	$bmw->wait_for_sql("$name: " . ($reason // 'nothing is wrong') . ", $condition",
		"SELECT count(*) = 1 FROM bm_webhook.endpoint_pace WHERE endpoint_id = $id{$name} AND reason $quoted AND $condition");
	return pass("$name: " . ($reason // 'nothing is wrong'));
}

is($bmw->sql('SELECT count(*) FROM bm_webhook.endpoint_pace'), 0, 'nothing was sent');
$bmw->sql(qq{SELECT count(bm_webhook.emit('test.$_', '{}', application => '${\($_ eq 'fine' ? 'bank' : 'shop')}'))
	FROM generate_series(1, ${\($_ =~ /waits|fine/ ? 5 : 3000)})}) for sort keys %path;

wait_for_reason('limits', 'limits its rate (429)', 'rate > 0');    # it is sent so many a second
wait_for_reason('refuses', 'refuses (503)', 'true');
wait_for_reason('hangs', 'nothing answers', 'allowed_in_flight = 1 AND rate IS NULL');    # single questions,
wait_for_reason('hangs', 'nothing answers', 'held_until > as_of');    # at intervals
wait_for_reason('waits', 'limits its rate (429)', q{held_until - as_of > '50 s'});    # as it has asked for
wait_for_reason('fine', undef, 'allowed_in_flight > 1');

is($bmw->sql("SET ROLE bank; SELECT string_agg(endpoint_id::text, ',') FROM bm_webhook.endpoint_pace"), $id{fine}, 'an owner sees its own');
is($bmw->sql('SET ROLE bank; SELECT count(*) FROM bm_webhook_internal.endpoint_paces()'), 1, 'by the function, too');
is($bmw->sql('SET ROLE shop; SELECT count(*) FROM bm_webhook.endpoint_pace'), 4, 'and another one, what is its');

$receiver->behave('hangs', 'ok');
$receiver->release('hangs');
$bmw->wait_for_sql('it is said no more, and it is not held', qq{SELECT reason IS DISTINCT FROM 'nothing answers' AND held_until IS NULL
	FROM bm_webhook.endpoint_pace WHERE endpoint_id = $id{hangs}});
$bmw->sql("SELECT bm_webhook.delete_endpoint($id{hangs})");
is(pace('hangs', 'count(*)'), 0, 'what was deleted is not shown');
is($bmw->sql("SET ROLE monitor; SELECT count(*) FROM bm_webhook_internal.endpoint_paces() WHERE endpoint_id = $id{hangs}"), 0,
	'nor to who monitors');
is($bmw->sql("SET ROLE monitor; SELECT count(*) > 0 FROM bm_webhook_internal.endpoint_paces()"), 't', 'who sees the others');

$bmw->node->restart;
is($bmw->sql("SELECT count(*) FROM bm_webhook.endpoint_pace WHERE endpoint_id = $id{fine}"), 0, 'after a restart nothing is known');
$bmw->finish;

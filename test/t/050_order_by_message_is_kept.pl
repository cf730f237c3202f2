# Endpoints with ordering = 'by_message' get the events of a message one after
# the other: none arrives before the earlier ones of its message have been
# answered well, across failures, 429s, an immediate shutdown in the middle, and
# three endpoints; other messages are not held up by it.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $messages = 40;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my %path = (failing => '/fail/1/failing', limiting => '/retry-after/1/limiting', slow => '/slow/20/slow');

# The limited endpoint gets one message only: each of its events costs a second.
$bmw->endpoint($path{$_}, ordering => 'by_message', max_in_flight => 8, retry_delays => '{200ms,200ms,200ms,200ms,200ms,200ms}',
	event_types => $_ eq 'limiting' ? '{message.limited}' : '{message.*}')
	for sort keys %path;
$bmw->endpoint('/ok/unordered');

$bmw->sql(q{CREATE TABLE message (id int PRIMARY KEY, kind text NOT NULL, status int NOT NULL);
SELECT bm_webhook.watch('message', 'message.{kind}', message_id => 'm{id}', columns => '{id,status}')});

# Four sessions change the same rows, each in an order of its own: row locks
# order the events of a message, transaction ids do not.
$bmw->sql("INSERT INTO message SELECT id, CASE id WHEN 1 THEN 'limited' ELSE 'normal' END, 1 FROM generate_series(1, $messages) id");
my $script = <<"SQL";
\\set a random(1, $messages)
\\set b random(1, $messages)
BEGIN;
SELECT pg_current_xact_id();
UPDATE message SET status = status + 1 WHERE id = least(:a, :b);
UPDATE message SET status = status + 1 WHERE id = greatest(:a, :b) AND :a <> :b;
COMMIT;
SQL
$bmw->pgbench($script, '-c', 4, '-t', 10)->finish;
wait_until('some have arrived', sub { $receiver->count('slow', 'requests') > 20 });
$bmw->node->stop('immediate');
$bmw->start;
$bmw->pgbench($script, '-c', 4, '-t', 10)->finish;

$bmw->wait_for_sql('everything is delivered to everybody', q{
	SELECT count(*) = (SELECT 3 * count(*) + count(*) FILTER (WHERE type = 'message.limited') FROM bm_webhook.event)
	FROM bm_webhook.delivery WHERE status = 'delivered'});

my %message = map { split /\|/ } split /\n/, $bmw->sql('SELECT id, message_id FROM bm_webhook.event WHERE message_id IS NOT NULL');
my %earlier;    # id => ids of the same message before it
my %before;
for my $id (sort keys %message)
{
	$earlier{$id} = [ @{ $before{ $message{$id} } //= [] } ];
	push @{ $before{ $message{$id} } }, $id;
}
cmp_ok(scalar(grep { @$_ > 2 } values %before), '>', 5, 'several messages have several events');

for my $name (sort keys %path)
{
	my (%done, $early, $last_us);
	$early = 0;
	for my $arrival (sort { $a->{at_us} <=> $b->{at_us} } $receiver->arrivals($name))
	{
		$early++ if grep { !$done{$_} } @{ $earlier{ $arrival->{id} } };
		$done{ $arrival->{id} } = 1 if $arrival->{status} == 204;
	}
	is($early, 0, "$name: nothing arrived before its predecessors were answered");
	is(scalar keys %done, $name eq 'limiting' ? scalar @{ $before{m1} } : scalar keys %message, "$name: everything arrived");
}

# One message whose events fail does not hold up the others.
$bmw->endpoint('/status/500/stuck', ordering => 'by_message', event_types => '{stuck.*}', retry_delays => '{1 h}');
$receiver->behave('stuck', 'status/500');
$bmw->emit('stuck.first', message_id => 'one');
$bmw->wait_for_requests('stuck', 1);
$receiver->behave('stuck', 'ok');
$bmw->emit('stuck.second', message_id => 'one');
my $other = $bmw->emit('stuck.other', message_id => 'two');
$bmw->wait_for_requests('stuck', 2);
$bmw->settle;
is(join(' ', map { $_->{id} } ($receiver->arrivals('stuck'))[1]), $other, 'another message goes first');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.delivery WHERE next_attempt_at = 'infinity'}), '1',
	'the later event of the stuck message is held back');

# It gets what was held back, at once, when it no longer wants the order.
$bmw->sql(q{UPDATE bm_webhook.endpoint SET ordering = 'none' WHERE url LIKE '%/stuck'});
$bmw->wait_for_requests('stuck', 3);
is($receiver->count('stuck', 'requests'), 3, 'without ordering it is sent');

$bmw->finish(expected => qr/immediate shutdown/);

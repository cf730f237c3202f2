# A campaign of 100,000 messages on two channels, whose statuses are captured in
# a shuffled order, some of them twice or more, some missing: the states, rates
# and times that the views say equal a count made here, message by message.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use File::Spec;
use List::Util qw(min shuffle);
use PostgreSQL::Test::Utils ();
use Test::More;

my $count = 100_000;
my $bmw = BmWebhook->new(conf => "bm_webhook.enabled = off\n");

# What happened: for each message the statuses, each at one or more times (ms).
srand(42);
my (%message, @events);
for my $n (1 .. $count)
{
	my %at = (sent => [ int(rand(3_600_000)) ]);
	my $start = $at{sent}[0];
	my $fate = rand;

	$at{accepted} = [ $start - int(rand(2_000)) ] if rand() < 0.5;
	$at{delivered} = [ $start + 100 + int(rand(20_000)) ] if $fate < 0.93;
	$at{failed} = [ $start + 100 + int(rand(20_000)) ] if $fate >= 0.92 && $fate < 0.97;    # 1 % are delivered after all
	$at{read} = [ $start + 30_000 + int(rand(7_200_000)) ] if $fate < 0.93 && rand() < 0.4;
	$at{expired} = [ $start + 86_400_000 ] if $fate >= 0.97 && $fate < 0.98;
	$at{canceled} = [ $start + 50 ] if $fate >= 0.98 && $fate < 0.985;
	delete $at{sent} if rand() < 0.05 && keys %at > 1;    # some statuses never came
	delete $at{delivered} if $at{read} && rand() < 0.1;
	for my $status (sort keys %at)
	{
		push @{ $at{$status} }, $at{$status}[0] + int(rand(5_000)) while rand() < 0.15;
	}

	my $key = join '|', 'shop', $n % 3 ? 'whatsapp' : 'sms', $n % 7 ? 'spring' : '';
	$message{"m$n"} = { key => $key, at => \%at };
	for my $status (keys %at)
	{
		push @events, [ "m$n", $status, $_, $key ] for @{ $at{$status} };
	}
}

# By hand: first times, highest rank, then sums and sorted lists of each group.
my (%expected, %state);
for my $m (values %message)
{
	my %first = map { $_ => min(@{ $m->{at}{$_} }) } keys %{ $m->{at} };
	my ($state) = grep { defined $first{$_} } qw(read delivered failed expired canceled sent accepted);
	my $group = $expected{ $m->{key} } //= { map { $_ => 0 } qw(messages sent delivered read failed canceled) };
	my $start = $first{sent} // $first{accepted};

	$state{$state}++;
	$group->{messages}++;
	$group->{delivered}++ if $state =~ /^(read|delivered)$/;
	$group->{read}++ if $state eq 'read';
	$group->{failed}++ if $state =~ /^(failed|expired)$/;
	$group->{canceled}++ if $state eq 'canceled';
	$group->{sent}++ if $state =~ /^(read|delivered)$/ || defined $first{sent};
	for my $status (qw(delivered read))
	{
		push @{ $group->{"times_$status"} }, ($first{$status} - $start) / 1000 if defined $start && defined $first{$status};
	}
}

# The value at this fraction of the sorted list, between two by interpolation.
sub continuous
{
	my ($fraction, @values) = @_;
	@values = sort { $a <=> $b } @values;
	my $position = $fraction * $#values;
	my $below = int($position);
	return $values[$below] if $below == $#values;
	return $values[$below] + ($position - $below) * ($values[ $below + 1 ] - $values[$below]);
}

# In the order of a shuffle, as one statement; again if it ran past midnight,
# because the day is that of capture.
my $file = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir('campaign')) . '/events';
open my $out, '>', $file or die "could not write $file: $!";
my $n = 0;
printf {$out} "%d\t%s\t%s\t%s\t%s\t%s\n", ++$n, $_->[0], $_->[1], $_->[2], (split /\|/, $_->[3], -1)[ 1, 2 ] for shuffle(@events);
close $out;
chmod 0644, $file;
$bmw->sql(qq{
	CREATE TABLE captured (n int, message_id text, status text, ms bigint, channel text, campaign text);
	COPY captured FROM '$file';
});
do
{
	$bmw->sql(q{
		TRUNCATE bm_webhook.event;
		SELECT count(bm_webhook.emit('message.' || status,
			jsonb_build_object('direction', 'outbound', 'status', status)
				|| CASE WHEN campaign <> '' THEN jsonb_build_object('metadata', jsonb_build_object('campaign', campaign)) ELSE '{}' END
				|| CASE WHEN status IN ('failed', 'expired') THEN '{"error": {"code": "undeliverable"}}'::jsonb ELSE '{}' END,
			'shop', channel, message_id, '2026-01-05 00:00+00'::timestamptz + ms * interval '1 ms'))
		FROM (SELECT * FROM captured ORDER BY n) c;
	});
} until $bmw->sql(q{SELECT count(DISTINCT (created_at AT TIME ZONE 'UTC')::date) FROM bm_webhook.event}) == 1;

is($bmw->sql('SELECT count(*) FROM bm_webhook.event'), scalar @events, 'captured: ' . @events . ' events');
cmp_ok(scalar @events, '>', $count * 2.5, 'with many statuses a message');
cmp_ok($bmw->sql(q{SELECT count(*) FROM bm_webhook.event s JOIN bm_webhook.event d USING (message_id)
		WHERE s.type = 'message.sent' AND d.type = 'message.delivered' AND d.id < s.id}), '>', $count / 4, 'and many out of order');

my %seen = map { split /\|/ } split /\n/, $bmw->sql('SELECT state, count(*) FROM bm_webhook.message_state GROUP BY state');
is_deeply(\%seen, \%state, 'states');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.message_state
		WHERE (error_code IS NOT NULL) <> (failed_at IS NOT NULL OR expired_at IS NOT NULL) OR first_event_at > last_event_at}), '0',
	'error codes of failures');

# From a view or function with its columns: the groups as above.
my @counts = qw(messages sent delivered read failed canceled);
my @times = qw(median_time_to_deliver p95_time_to_deliver median_time_to_read p95_time_to_read);

sub rates_of
{
	my ($from) = @_;
	my %rates;
	for my $row (split /\n/, $bmw->sql("SELECT concat_ws('|', application, channel, coalesce(campaign, '')), "
			  . join(', ', @counts, 'delivered_rate', 'read_rate', map { "extract(epoch FROM $_)" } @times) . " FROM $from"))
	{
		my @values = split /\|/, $row;
		my $key = join '|', splice @values, 0, 3;
		my %group;
		@group{ @counts, 'delivered_rate', 'read_rate', @times } = @values;
		$rates{$key} = \%group;
	}
	return \%rates;
}

my $day = $bmw->sql(q{SELECT (min(created_at) AT TIME ZONE 'UTC')::date FROM bm_webhook.event});
for my $from ('bm_webhook.message_rate', "bm_webhook.message_rate('$day 00:00+00', '$day 24:00+00')")
{
	my $rates = rates_of($from);
	is_deeply([ sort keys %$rates ], [ sort keys %expected ], "$from: the groups");
	for my $key (sort keys %expected)
	{
		my ($got, $group) = ($rates->{$key}, $expected{$key});
		is_deeply({ map { $_ => $got->{$_} } @counts }, { map { $_ => $group->{$_} } @counts }, "$key: counts");
		is($got->{delivered_rate}, sprintf('%.4f', $group->{delivered} / $group->{messages}), "$key: delivered rate");
		is($got->{read_rate}, sprintf('%.4f', $group->{read} / $group->{delivered}), "$key: read rate");
		my @by_hand = map { my $t = $group->{"times_$_"}; (continuous(0.5, @$t), continuous(0.95, @$t)) } qw(delivered read);
		my @wrong = grep { abs($got->{ $times[$_] } - $by_hand[$_]) > 0.000_01 } 0 .. 3;
		is_deeply([ map { "$times[$_]: $got->{ $times[$_] } not $by_hand[$_]" } @wrong ], [], "$key: times");
	}
}

# And a second time in SQL, naively, from the list of what was captured.
is($bmw->sql(q{
	WITH naive AS (
		SELECT channel, nullif(campaign, '') AS campaign, count(DISTINCT message_id) AS messages,
			count(DISTINCT message_id) FILTER (WHERE status IN ('delivered', 'read')) AS delivered,
			count(DISTINCT message_id) FILTER (WHERE status = 'read') AS read
		FROM captured GROUP BY 1, 2)
	SELECT count(*) FROM naive n FULL JOIN bm_webhook.message_rate r
		ON r.channel = n.channel AND coalesce(r.campaign, '') = coalesce(n.campaign, '')
	WHERE (n.messages, n.delivered, n.read) IS DISTINCT FROM (r.messages, r.delivered, r.read)}), '0', 'a naive query agrees');

$bmw->finish;

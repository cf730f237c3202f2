# What the dispatcher delivers, what SQL says that an endpoint gets, and what a model
# written here says are the same, for thousands of pairs of endpoints and events.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my @applications = ('shop', 'bank', 'gym');
my @channels = ('sms', 'rcs');
my @types = ('message.sent', 'message.received', 'message.a.b', 'order.paid', 'order_paid.x', 'webhook.test');
my @patterns = ('*', 'message.*', 'message.sent', 'message.replied', 'order.*', 'message.a.*', 'webhook.*', 'order.paid');
my %muted = (shop => ['message.sent'], bank => ['message.replied', 'order.*'], gym => []);

srand 20261125;
sub one { return $_[ int rand @_ ] }
sub maybe { return rand() < 0.4 ? undef : one(@_) }
sub array { return '{' . join(',', @_) . '}' }

$bmw->sql(sprintf q{INSERT INTO bm_webhook.application (name, muted_event_types) VALUES ('%s', '%s')}, $_, array(@{ $muted{$_} }))
  for @applications;

my @endpoints;
for my $n (1 .. 60)
{
	my %endpoint = (application => maybe(@applications), channel => maybe(@channels), event_types => [ map { one(@patterns) } 1 .. 1 + rand 3 ],
		enabled => rand() < 0.9 ? 1 : 0);
	$endpoint{id} = $bmw->endpoint("/ok/to$n", enabled => $endpoint{enabled} ? 'true' : 'false', event_types => array(@{ $endpoint{event_types} }),
		map { defined $endpoint{$_} ? ($_ => $endpoint{$_}) : () } qw(application channel));
	push @endpoints, \%endpoint;
}

my @events;
for my $n (1 .. 150)
{
	my %event = (application => maybe(@applications), channel => maybe(@channels), type => one(@types), endpoint => rand() < 0.1 ? one(@endpoints) : undef);
	$event{is_reply} = $event{type} eq 'message.received' && rand() < 0.5;
	$event{endpoint} = undef if $event{is_reply};
	push @events, \%event;
}
my $literal = sub { return defined $_[0] ? "'$_[0]'" : 'NULL' };
my $n = 0;
$bmw->sql(join ';', map {
	my $event = $_;
	sprintf q{SELECT bm_webhook.emit('%s', '%s', %s, %s, endpoint => %s)}, $event->{type},
	  '{"n": ' . $n++ . ($event->{is_reply} ? ', "context": {"message_id": "m"}' : '') . '}',
	  $literal->($event->{application}), $literal->($event->{channel}), $event->{endpoint} ? $event->{endpoint}{id} : 'NULL'
} @events);
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.event WHERE reply_to IS NOT NULL}), scalar(grep { $_->{is_reply} } @events), 'replies are replies');

# the model: patterns become regular expressions
sub fits
{
	my ($patterns, $type) = @_;
	my $is_operational = $type =~ /^(webhook|endpoint|delivery)\./;
	for my $pattern (@$patterns)
	{
		return 1 if $pattern eq $type || $pattern eq '*' && !$is_operational;
		return 1 if $pattern =~ /^(.+\.)\*$/ && index($type, $1) == 0;
	}
	return 0;
}

sub gets
{
	my ($endpoint, $event) = @_;
	return 0 unless $endpoint->{enabled};
	return $event->{endpoint}{id} == $endpoint->{id} ? 1 : 0 if $event->{endpoint};
	my @event_types = ($event->{type}, $event->{is_reply} ? 'message.replied' : ());
	return 0 if defined $event->{application} && grep { fits($muted{ $event->{application} }, $_) } @event_types;
	for my $column (qw(application channel))
	{
		return 0 if defined $endpoint->{$column} && $endpoint->{$column} ne ($event->{$column} // '');
	}
	return (grep { fits($endpoint->{event_types}, $_) } @event_types) ? 1 : 0;
}

my @expected;
for my $i (0 .. $#events)
{
	push @expected, map { "$i|$_->{id}" } grep { gets($_, $events[$i]) } @endpoints;
}
my $expected = join "\n", sort @expected;
cmp_ok(scalar @expected, '>', 500, 'the model says that many pairs match');
$bmw->settle;
is(join("\n", sort split /\n/, $bmw->sql(q{SELECT (e.data->>'n') || '|' || d.endpoint_id
	FROM bm_webhook.delivery d JOIN bm_webhook.event e ON e.id = d.event_id
	WHERE d.status = 'delivered' AND e.type <> 'test.settled'})), $expected, 'the dispatcher delivers what the model says');
is(join("\n", sort split /\n/, $bmw->sql(q{SELECT (e.data->>'n') || '|' || p.id FROM bm_webhook.event e, bm_webhook.endpoint p
	WHERE e.type <> 'test.settled' AND bm_webhook_internal.wants(p, e, (SELECT muted_event_types FROM bm_webhook.application WHERE name = e.application))})),
	$expected, 'and SQL says the same');
$bmw->finish;

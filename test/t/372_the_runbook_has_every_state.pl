# docs/runbook.md has a row for each state of status() and endpoint_health and for each alert, and none that does not exist; its
# statements run.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;

my $bmw = BmWebhook->new;
my $runbook = slurp_file('docs/runbook.md');
my ($health) = slurp_file('sql/parts/92_statistics.sql') =~ /(.*)/s;
my ($operations) = slurp_file('docs/operations.md') =~ /(.*)/s;

# The first column of the table in a section.
sub rows
{
	my ($heading) = @_;
	my ($section) = $runbook =~ /^## \Q$heading\E\n(.*?)(?=^## |\z)/ms;
	return sort { $a cmp $b } $section =~ /^\| `(\w[\w ]*)` \|/mg;
}
sub unique { my %is = map { $_ => 1 } @_; return sort { $a cmp $b } keys %is }

# What is documented of status(), and the slot of a database without the extension.
my ($states) = $operations =~ /^\| `state` \| meaning \|\n(.*?)\n\n/ms;
is_deeply([ rows('States of a dispatcher') ], [ unique('absent', $states =~ /^\| `([\w ]+)` \|/mg) ], 'states of status()');
is_deeply([ rows('States of an endpoint') ], [ unique($bmw->sql(q{SELECT pg_get_viewdef('bm_webhook.endpoint_health') || pg_get_viewdef('bm_webhook_internal.endpoint_now')})
	=~ /'(healthy|failing|disabled|paused|unverified|full|held|slowed|behind)'/g) ], 'states of endpoint_health');
my ($rule) = $health =~ /CASE WHEN NOT p\.enabled(.*?)END AS cause/s;
is(scalar(my @cases = $rule =~ /\b(?:THEN|ELSE) '/g), 12, 'that are all');
is_deeply([ rows('Alerts') ], [ unique(slurp_file('monitoring/alerts.yml') =~ /- alert: (\w+)/g) ], 'alerts');

$bmw->endpoint('/ok/first');
my $count = 0;
for my $statement (map { split /;\n/ } $runbook =~ /^```sql\n(.*?)^```/msg)
{
	is($bmw->sqlstate($statement), '', ($statement =~ /\A\s*(.*)/)[0]);
	$count++;
}
cmp_ok($count, '>=', 7, 'statements were run');
$bmw->finish;

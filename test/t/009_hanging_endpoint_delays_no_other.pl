# An endpoint that never answers does not delay another: the other's 99th
# percentile stays within a small factor of what it was before. The same with so
# many hanging endpoints that together they could take all requests that the
# dispatcher may have open.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;

sub p99_under_load
{
	my ($type) = @_;
	my $pgbench = $bmw->pgbench("SELECT bm_webhook.emit('test.$type', '{}');", '-c', 2, '-R', 300, '-t', 250);

	ok($pgbench->finish, "$type: load");
	wait_until("$type: all arrive", sub { $bmw->latencies('good', "test.$type") == 500 });
	my @latencies = $bmw->latencies('good', "test.$type");
	my $p99 = percentile(99, @latencies);
	note(sprintf '%s: median %.1f ms, 99th percentile %.1f ms', $type, percentile(50, @latencies), $p99);
	return $p99;
}

# What the machine itself costs passes, and what an endpoint that hangs costs does not.
sub is_as_quick
{
	my ($type, $limit, $description) = @_;
	my $p99;

	for (1 .. 3)
	{
		last if ($p99 = p99_under_load("$type$_")) < $limit;
	}
	return cmp_ok($p99, '<', $limit, $description);
}

$bmw->endpoint('/ok/good');
p99_under_load('warm');
my $alone = p99_under_load('alone');
# A busy machine alone can cost this much; waiting for the other costs seconds.
my $limit = 5 * $alone + 50;

my @hanging = ($bmw->endpoint('/hang/hang1', timeout => '60 s'));
is_as_quick('one', $limit, 'beside one endpoint that hangs');
cmp_ok($bmw->receiver->count('hang1', 'in_flight'), '>', 0, 'which had requests open all the time');

push @hanging, map { $bmw->endpoint("/hang/hang$_", timeout => '60 s') } 2 .. 8;
is_as_quick('many', $limit, 'beside eight that hang');

# Neither does one that fails at once, again and again, for 2,000 events.
$bmw->sql('DELETE FROM bm_webhook.endpoint WHERE id IN (' . join(',', @hanging) . ')');
$bmw->endpoint('/status/500/dead', retry_delays => '{' . join(',', ('2 s') x 100) . '}');
$bmw->emit_many(2000, 'test.waiting');
$bmw->wait_for_requests('dead', 2000);
is_as_quick('dead', $limit, 'beside one that is dead, with 2,000 waiting for it');

$bmw->finish;

# While requests hang, the dispatcher is in no transaction and holds no snapshot:
# VACUUM removes what was deleted after they were sent, and a command that waits
# for all snapshots ends.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;
use Time::HiRes qw(time);

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

$bmw->endpoint('/hang/hang', timeout => '60 s', max_in_flight => 2);
$bmw->endpoint('/ok/ok', event_types => '{test.other}');
$bmw->sql('CREATE TABLE thing AS SELECT n FROM generate_series(1, 1000) n');
$bmw->emit_many(10, 'test.hanging');
$bmw->wait_for_requests('hang', 2);
$bmw->settle(in_flight => 2);

# Many looks, in one session, while other events come and go.
my $pid = $bmw->dispatcher;
my $session = $bmw->session;
my $looks = 0;
my %idle = (xmin => 0, xid => 0, xact => 0);
for (1 .. 200)
{
	my ($xmin, $xid, $xact) = split /\|/, $session->query_safe("SELECT pg_sleep(0.002); SELECT backend_xmin IS NULL, "
		  . "backend_xid IS NULL, xact_start IS NULL FROM pg_stat_activity WHERE pid = $pid") =~ s/^\s+//r;
	$looks++;
	$idle{xmin}++ if $xmin eq 't';
	$idle{xid}++ if $xid eq 't';
	$idle{xact}++ if $xact eq 't';
}
is($receiver->count('hang', 'in_flight'), 2, 'the requests hung all the time');
# It may look for due deliveries now and then; holding on would show every time.
cmp_ok($idle{$_}, '>=', 0.9 * $looks, "no $_ in 9 of 10 looks") for sort keys %idle;

like($bmw->sql('DELETE FROM thing; VACUUM (VERBOSE) thing; SELECT pg_stat_force_next_flush()')
	  . $bmw->sql(q{SELECT n_live_tup + n_dead_tup FROM pg_stat_all_tables WHERE relname = 'thing'}),
	qr/0$/, 'VACUUM removes what was deleted meanwhile');
is($bmw->sql(q{SELECT pg_relation_size('thing')}), 0, 'and gives the space back');

my $before = time;
$bmw->sql('CREATE INDEX CONCURRENTLY ON thing (n)');
cmp_ok(time - $before, '<', 20, 'CREATE INDEX CONCURRENTLY does not wait for the hanging requests');

$before = time;
$bmw->sql('CREATE DATABASE other');
$bmw->sql('DROP DATABASE other');
cmp_ok(time - $before, '<', 20, 'nor does DROP DATABASE of another database');

$session->quit;
$bmw->finish;

# The server's log has one line for each jump of the clock, and one when a
# partition could not be made and one when it was, however often it is tried, and
# by however many dispatchers.
# What was planned by a clock that was ahead is done in time when it has gone back.
# The server gets its time from a library of this test.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $folder = PostgreSQL::Test::Utils::tempdir('clock');
my $library = "$folder/clock.so";
my $offset = "$folder/offset";

PostgreSQL::Test::Utils::append_to_file("$folder/clock.c", <<'C');
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

/* seconds that this clock is ahead */
static volatile long *ahead;

__attribute__((constructor)) static void
begin(void)
{
	int fd = open(getenv("CLOCK_AHEAD"), O_RDONLY);

	ahead = fd < 0 ? NULL : mmap(NULL, sizeof(*ahead), PROT_READ, MAP_SHARED, fd, 0);
}

int
gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec precise;

	clock_gettime(CLOCK_REALTIME, &precise);
	now->tv_sec = precise.tv_sec + (ahead != NULL && ahead != MAP_FAILED ? *ahead : 0);
	now->tv_usec = precise.tv_nsec / 1000;
	return 0;
}
C
plan skip_all => 'there is no compiler'
  unless PostgreSQL::Test::Utils::run_log([ 'cc', '-shared', '-fPIC', '-o', $library, "$folder/clock.c" ]);

sub set_ahead
{
	my ($seconds) = @_;
	open my $file, '+>', $offset or die "could not write $offset: $!" unless -e $offset;
	open $file, '+<', $offset or die "could not write $offset: $!";
	syswrite $file, pack('l!', $seconds);
	close $file;
	return;
}

set_ahead(0);
$ENV{CLOCK_AHEAD} = $offset;
$ENV{LD_PRELOAD} = $library;
my $bmw = BmWebhook->new(conf => "bm_webhook.shards = 2\n");
delete $ENV{LD_PRELOAD};

# A jump ahead, which the dispatcher sees when it does something.
my $ahead = 0;
sub jump
{
	my ($seconds) = @_;
	my $before = $bmw->lines_logged('the clock has');

	set_ahead($ahead += $seconds);
	$bmw->emit('test.jump');
	wait_until("the log tells of the jump by $seconds s", sub { $bmw->lines_logged('the clock has') > $before });
	$bmw->settle;
	return is($bmw->lines_logged('the clock has'), $before + 1, "the jump by $seconds s is one line");
}

$bmw->wait_for_sql('both run', q{SELECT count(*) = 2 FROM bm_webhook.status() WHERE state = 'running'});
$bmw->settle;
jump(61);
is($bmw->lines_logged('the clock has jumped ahead by 6[01] s'), 1, 'ahead');
jump(-40);
is($bmw->lines_logged('the clock has gone back by (39|40) s'), 1, 'back');

# What is planned while the clock is a day ahead does not wait for that day.
$bmw->endpoint('/fail/1/retried', event_types => '{test.retried}', retry_delays => '{10s,10s}');
jump(86400);
$bmw->emit('test.retried');
$bmw->wait_for_requests('retried', 1);
jump(-86400);
$bmw->wait_for_requests('retried', 1, 'delivered');
$bmw->settle;

# The last day's partition is not there, and a new dispatcher cannot make it.
my $session = $bmw->session;
my $day = $bmw->sql(q{SELECT to_char((clock_timestamp() AT TIME ZONE 'UTC')::date + 4, 'YYYYMMDD')});
$bmw->sql("ALTER EXTENSION bm_webhook DROP TABLE bm_webhook_internal.event_$day; DROP TABLE bm_webhook_internal.event_$day");
$session->query_safe('BEGIN; LOCK TABLE bm_webhook.event IN SHARE UPDATE EXCLUSIVE MODE');
$bmw->sql('SELECT pg_terminate_backend(pid) FROM bm_webhook.status()');
wait_until('the log says that it could not make it', sub { $bmw->lines_logged("bm_webhook could not make partitions: event_$day\n") });

# Every ten minutes it tries again: after that time it is still said once, later made.
jump(61) for 1 .. 11;
is($bmw->lines_logged('bm_webhook could not make partitions'), 1, 'it says so once');
is($bmw->lines_logged('bm_webhook has made all partitions'), 0, 'it has not been made');
$session->query_safe('COMMIT');
$session->quit;
jump(61) for 1 .. 11;
wait_until('the log says that they are made', sub { $bmw->lines_logged('bm_webhook has made all partitions') });
is($bmw->sql("SELECT to_regclass('bm_webhook_internal.event_$day') IS NOT NULL"), 't', 'it has been made');
is($bmw->lines_logged('bm_webhook has made all partitions'), 1, 'the log says so once');

$bmw->finish;

# A load of committed changes for half a minute, while receivers and the server do everything wrong now and then: nothing
# is lost, what arrives twice is explained, the order holds and memory does not grow. "make soak MINUTES=60" is the same for
# longer; BMW_SOAK_SECONDS says how long.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use BmWebhook::Soak;
use BmWebhook::Soak::Verdict;
use Test::More;

my $soak = BmWebhook::Soak->new($ENV{BMW_SOAK_SECONDS} // 30);

$soak->run;
BmWebhook::Soak::Verdict::judge($soak, sub { note($_[0]) });
$soak->{bmw}->finish(expected => qr/crash|was terminated by signal|exited|immediate shutdown|lock|deadlock/);

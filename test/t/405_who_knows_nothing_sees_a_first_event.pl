# "make console" for who knows nothing of it: with what it prints and what the pages show, and nothing else, an endpoint is registered in a
# browser, and its first event is seen. How long that takes is noted; a person reads and types as well.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use BmWebhook::Console;
use Test::More;
use Time::HiRes qw(time);

plan skip_all => 'bm_webhook_console is not built: it needs libmicrohttpd' unless BmWebhook::Console::is_built();

my $began = time;
my ($demo, $printed) = BmWebhook::Console::start_demo();
note(sprintf '%.1f s until it says what to do', time - $began);
my $missing = BmWebhook::Console::run_in_browser(undef, 'walk.mjs', printed => $printed);
my $status = BmWebhook::Console::stop_demo($demo);
plan skip_all => $missing if $missing;
is($status, 0, 'it ends cleanly');
done_testing();

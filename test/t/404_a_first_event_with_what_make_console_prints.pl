# "make console": what it prints is enough to register an endpoint and to see its first event.

use strict;
use warnings FATAL => 'all';

use BmWebhook qw(wait_until);
use BmWebhook::Console;
use Test::More;

plan skip_all => 'bm_webhook_console is not built: it needs libmicrohttpd' unless BmWebhook::Console::is_built();

my ($demo, $printed) = BmWebhook::Console::start_demo();
my ($address) = $printed =~ m{(http://127\.0\.0\.1:\d+)};
my ($user, $password) = $printed =~ /Sign in as (\w+), with the password (\w+)/;
my ($url) = $printed =~ m{this URL: (http://\S+)};
ok($address && $password && $url, 'an address, a login and a URL to register') or diag($printed);

my $cinema = BmWebhook::Console->at($address)->session($user, $password);
my ($status, $seen) = $cinema->get('overview');
is_deeply([ $status, $seen->{endpoints} ], [ 200, 0 ], 'a tenant without endpoints');
($status, my $saved) = $cinema->post('save_endpoint', { url => $url, application => $user, event_types => ['*'] });
is($status, 200, 'who registers one');
wait_until('an event is delivered', sub { (undef, $seen) = $cinema->get('deliveries', { endpoint => $saved->{id}, status => 'delivered' }); @{ $seen->{rows} } > 0 });
is($seen->{rows}[0]{type}, 'ticket.sold', 'sees events without doing more');

my @others = $printed =~ /^  (\w+) +(\w+)  \w/mg;
is(@others / 2, 4, 'there are others to look around as');
while (my ($name, $its) = splice @others, 0, 2)
{
	is((BmWebhook::Console->at($address)->session($name, $its)->get('session'))[0], 200, "$name signs in");
}

is(BmWebhook::Console::stop_demo($demo), 0, 'it ends cleanly');
done_testing();

# "make console": what it prints is enough to register an endpoint and to see its first event.

use strict;
use warnings FATAL => 'all';

use BmWebhook qw(wait_until);
use BmWebhook::Console;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use Test::More;

plan skip_all => 'bm_webhook_console is not built: it needs libmicrohttpd' unless BmWebhook::Console::is_built();

local $ENV{CONSOLE_PORT} = PostgreSQL::Test::Cluster::get_free_port();
my ($out, $err) = ('', '');
my $demo = IPC::Run::start(['examples/console/run'], '<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(300));
wait_until('it listens', sub { $demo->pump_nb; $err =~ /listening/ || !$demo->pumpable });
my ($address) = $out =~ m{(http://127\.0\.0\.1:$ENV{CONSOLE_PORT})\b};
my ($password) = $out =~ /^  cinema +(\S+)$/m;
my ($url) = $out =~ m{(http://\S+/ok/mine)\b};
ok($address && $password && $url, 'an address, a login and a URL to register') or diag("$out$err");

my $cinema = BmWebhook::Console->at($address)->session('cinema', $password);
my ($status, $seen) = $cinema->get('overview');
is_deeply([ $status, $seen->{endpoints} ], [ 200, 0 ], 'a tenant without endpoints');
($status, my $saved) = $cinema->post('save_endpoint', { url => $url, application => 'cinema', event_types => ['*'] });
is($status, 200, 'who registers one');
wait_until('an event is delivered', sub { (undef, $seen) = $cinema->get('deliveries', { endpoint => $saved->{id}, status => 'delivered' }); @{ $seen->{rows} } > 0 });
is($seen->{rows}[0]{type}, 'ticket.sold', 'sees events without doing more');

$demo->signal('INT');
$demo->finish;
is($demo->result(0), 0, 'it ends cleanly');
done_testing();

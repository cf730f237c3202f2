# What somebody asks for in an operation is not so large that a step of it, in which nothing is sent, takes long.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $asking = $bmw->endpoint('/ok/asking', max_in_flight => 1);
$bmw->emit_many(10, 'test.asked');
$bmw->wait_for_requests('asking', 10);
$bmw->settle;

my $redeliver = "SELECT operation FROM bm_webhook.redeliver($asking, '-infinity', status => '{delivered}', error_class =>";
is($bmw->sqlstate("$redeliver (SELECT array_agg(repeat(md5(g::text), 30)) FROM generate_series(1, 100000) g))"), '54000',
	'millions of bytes of classes of errors are refused');
is($bmw->sqlstate("$redeliver '{timeout,connect,refused}')"), '', 'those that there are can all be named');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.operation WHERE kind = 'redeliver'}), 0, 'nothing is left to be done');

$bmw->finish;

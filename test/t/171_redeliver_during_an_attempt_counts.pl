# redeliver() while an attempt is under way sends the event once more, whatever
# becomes of that attempt, and no attempt is lost from the history.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

$bmw->endpoint('/hang-after/1/again', retry_delays => '{200ms,1h}', timeout => '60 s');
my $event = $bmw->emit('test.again');
$bmw->wait_for_requests('again', 2);    # the first fails, the second hangs
is($bmw->sql("SELECT bm_webhook.redeliver('$event')"), 1, 'one is to be sent again');
$receiver->behave('again', 'ok/again');
is($receiver->release('again'), 1, 'the second attempt succeeds');
$bmw->wait_for_requests('again', 3);
$bmw->wait_for_sql('and so does the third', "SELECT (status, attempts) = ('delivered', 3) FROM bm_webhook.delivery");
is($receiver->count('again', 'distinct'), 1, 'all with the same id');
$bmw->settle;
is($receiver->count('again', 'requests'), 3, 'and there are no more');
$bmw->finish;

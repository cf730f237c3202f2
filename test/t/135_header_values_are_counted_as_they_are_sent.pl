# In a database of another encoding a header value grows when it is sent, in UTF-8:
# its size there is what the limit is for, and nothing of it is cut off.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Encode ();
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;
my $insert = q{INSERT INTO bm_webhook.endpoint (url, headers) VALUES ('%s', jsonb_build_object('x-long', repeat(U&'\00e9', %d)))};

$bmw->sql(q{CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0});
$bmw->sql('CREATE EXTENSION bm_webhook', 'latin');
is($bmw->sqlstate(sprintf($insert, $receiver->url('/ok/long'), $_), 'latin'), '54000', "$_ characters are too many") for 8000, 4100;

$bmw->sql(sprintf($insert, $receiver->url('/ok/long'), 4000), 'latin');
my $id = $bmw->sql('SELECT max(id) FROM bm_webhook.endpoint', 'latin');
$bmw->share_secrets($id, 'long', 'latin');
$bmw->wait_for_delivery($bmw->emit('test.event', database => 'latin'), 'latin');
my ($request) = $receiver->requests('long');
my $value = Encode::decode('UTF-8', Encode::encode('latin1', $request->{headers}{'x-long'}));
is(length $value, 4000, 'a value that fits arrives whole');

$bmw->finish;

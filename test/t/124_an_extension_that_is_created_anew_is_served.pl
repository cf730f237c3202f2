# An extension that goes without DROP EXTENSION, with its schema, and is created
# anew at once: the dispatcher of the former ends, and the new one gets its own.
use strict;
use warnings;

use lib 'test/lib';
use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new(extension => 0);

$bmw->sql('CREATE SCHEMA apart; CREATE EXTENSION bm_webhook SCHEMA apart');

for my $round (1 .. 3)
{
	$bmw->dispatcher;
	my $url = $bmw->receiver->url("/ok/round$round");
	$bmw->sql(qq{
		BEGIN;
		SET LOCAL client_min_messages = warning;
		DROP SCHEMA apart CASCADE;
		CREATE SCHEMA apart;
		CREATE EXTENSION bm_webhook SCHEMA apart;
		INSERT INTO bm_webhook.endpoint (url) VALUES ('$url');
		SELECT bm_webhook.emit('created.anew', '{}', endpoint => 1);
		COMMIT;});
	$bmw->wait_for_requests("round$round", 1);
	pass("round $round: what came with the new one is sent");
}

# A dispatcher that is just starting may find the tables gone.
$bmw->finish(expected => qr/could not read bm_webhook's tables/);

# After a crash of the server a receiver may get events of a message again, but
# never one that comes before the last that it had got: the next one goes out
# when the end of the one before is on disk. The server does nothing else here,
# and writes its log late.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $events = 4;
my $bmw = BmWebhook->new(conf => "wal_writer_delay = '10s'\nwal_writer_flush_after = '1GB'\n");
my $receiver = $bmw->receiver;

$bmw->endpoint('/ok/ordered', ordering => 'by_message', max_in_flight => 8);
for my $round (1 .. 3)
{
	my $from = $receiver->count('ordered', 'requests');

	# In one transaction, so that all but the first wait for another.
	$bmw->sql("SELECT bm_webhook.emit('test.ordered', jsonb_build_object('n', n), message_id => 'm$round') "
		  . "FROM generate_series(1, $events) n");
	wait_until("round $round: the last but one has arrived",
		sub { $receiver->count('ordered', 'requests') >= $from + $events - 1 });
	$bmw->node->stop('immediate');
	$bmw->start;
	$bmw->wait_for_sql("round $round: all are delivered",
		"SELECT count(*) = $round * $events FROM bm_webhook.delivery WHERE status = 'delivered'");
}

my %message = map { split /\|/ } split /\n/, $bmw->sql('SELECT id, message_id FROM bm_webhook.event WHERE message_id IS NOT NULL');
my %last;
my @back;
for my $arrival ($receiver->arrivals('ordered'))
{
	my $message = $message{ $arrival->{id} };

	push @back, $arrival->{id} if ($last{$message} // '') gt $arrival->{id};
	$last{$message} = $arrival->{id};
}
is("@back", '', 'no event arrived after a later one of its message');
cmp_ok($receiver->count('ordered', 'duplicates'), '<=', 6, 'and only the last ones came again');
$bmw->finish(expected => qr/immediate shutdown|crash/);

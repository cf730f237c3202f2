# pause() of an endpoint, an application or everything: events are taken and wait, also
# through a restart; resume() sends them, and nothing was missed. Others go on.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $receiver = $bmw->receiver;

$bmw->sql(q{INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('bank')});
my $shop = $bmw->endpoint('/ok/shop', application => 'shop', event_types => '{test.*}');
my $till = $bmw->endpoint('/ok/till', application => 'shop', event_types => '{test.*}', ordering => 'by_message');
my $bank = $bmw->endpoint('/ok/bank', application => 'bank', event_types => '{test.*}');
sub emit
{
	my ($n) = @_;
	$bmw->sql(qq{SELECT count(bm_webhook.emit('test.paid', '{}', a, message_id => 'm' || n % 3)) FROM generate_series(1, $n) n, unnest('{shop,bank}'::text[]) a});
	return;
}
my %sent = map { $_ => 0 } qw(shop till bank);
sub arrived
{
	my ($name, %more) = @_;
	$sent{$_} += $more{$_} for keys %more;
	$bmw->wait_for_requests($_, $sent{$_}) for sort keys %sent;
	$bmw->settle;
	is(join(' ', map { $receiver->count($_, 'requests') } sort keys %sent), join(' ', map { $sent{$_} } sort keys %sent), $name);
	return;
}

emit(5);
arrived('before, all get everything', shop => 5, till => 5, bank => 5);

is($bmw->sqlstate('SELECT bm_webhook.pause()'), '22004', 'nothing is not everything');
is($bmw->sqlstate('SELECT bm_webhook.resume()'), '22004', 'nor for resume()');
is($bmw->sqlstate("SELECT bm_webhook.pause($shop, 'shop')"), '22023', 'one at a time');
is($bmw->sqlstate('SELECT bm_webhook.pause(-1)'), '42704', 'an endpoint that does not exist');
is($bmw->sqlstate(q{SELECT bm_webhook.pause(application => 'gym')}), '42704', 'an application that does not exist');

is($bmw->sql("SELECT bm_webhook.pause($shop, reason => 'their release')"), '1', 'an endpoint is paused');
is($bmw->sql("SELECT bm_webhook.pause($shop)"), '0', 'once');
emit(7);
arrived('the others go on', till => 7, bank => 7);
is($bmw->sql("SELECT pending + not_taken FROM bm_webhook.backlog WHERE endpoint_id = $shop"), '7', 'what is for it waits');
is($bmw->sql("SELECT bm_webhook.pause(application => 'shop')"), '1', 'its application');
is($bmw->sql("SELECT bm_webhook.resume($shop)"), '1', 'the endpoint is resumed');
emit(2);
arrived('and waits for its application', bank => 2);
$bmw->node->restart;
$bmw->dispatcher;
emit(1);
arrived('a restart changes nothing', bank => 1);
is($bmw->sql("SELECT bm_webhook.resume(application => 'shop')"), '1', 'the application is resumed');
arrived('and everything arrives', shop => 10, till => 3);

is($bmw->sql(q{SELECT bm_webhook.pause(everything => true)}), '1', 'everything is paused');
emit(100);
$bmw->wait_for_sql('what comes is taken', q{SELECT sum(queued) > 0 FROM bm_webhook.status()});
is($bmw->sql(q{SELECT sum(pending + not_taken) FROM bm_webhook.backlog}), '300', 'and waits');
is(join(' ', map { $receiver->count($_, 'requests') } sort keys %sent), join(' ', map { $sent{$_} } sort keys %sent), 'nothing is sent');
is($bmw->sql(q{SELECT bm_webhook.resume(everything => true)}), '1', 'everything is resumed');
arrived('and everything arrives', shop => 100, till => 100, bank => 100);
is($bmw->sql(q{SELECT string_agg(concat_ws(' ', kind, application, reason), ', ' ORDER BY id) FROM bm_webhook.operation WHERE kind !~ '^create_'}),
	'pause their release, pause shop, resume, resume shop, pause, resume', 'who did it is recorded');

# what is in flight ends as it would have
my $slow = $bmw->endpoint('/slow/4000/slow', event_types => '{slow.*}');
$bmw->sql(q{SELECT bm_webhook.emit('slow.one', '{}')});
$bmw->wait_for_requests('slow', 1);
$bmw->sql("SELECT bm_webhook.pause($slow)");
$bmw->wait_for_sql('it is delivered', "SELECT status = 'delivered' FROM bm_webhook.delivery WHERE endpoint_id = $slow");
is($receiver->count('slow', 'requests'), 1, 'by the one request that was under way');

# rights
$bmw->sql(q{CREATE ROLE shop_admin LOGIN; GRANT USAGE ON SCHEMA bm_webhook TO shop_admin;
	GRANT EXECUTE ON FUNCTION bm_webhook.pause, bm_webhook.resume TO shop_admin;
	UPDATE bm_webhook.application SET owner = 'shop_admin' WHERE name = 'shop'});
is($bmw->sql("SET ROLE shop_admin; SELECT bm_webhook.pause($shop), bm_webhook.resume($shop), bm_webhook.pause(application => 'shop'), bm_webhook.resume(application => 'shop')"),
	'1|1|1|1', 'an owner pauses what is his');
is($bmw->sqlstate("SET ROLE shop_admin; SELECT bm_webhook.pause($bank)"), '42704', 'nothing else');
is($bmw->sqlstate(q{SET ROLE shop_admin; SELECT bm_webhook.pause(application => 'bank')}), '42704', 'no other application');
is($bmw->sqlstate('SET ROLE shop_admin; SELECT bm_webhook.pause(everything => true)'), '42501', 'and not everything');
$bmw->finish;

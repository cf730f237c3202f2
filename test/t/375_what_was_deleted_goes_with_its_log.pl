# An endpoint and an application that were deleted stay while the log goes back to their time, and go when retention or
# drop_before() has dropped that; with what is set aside, or pending, or deleted since, they stay. Ids do not come back.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;

# What was captured so many days ago, and delivered to this endpoint.
sub make_day
{
	my ($days, $endpoint, $application) = @_;
	$bmw->sql("SELECT bm_webhook_internal.create_partition(p, (clock_timestamp() AT TIME ZONE 'UTC')::date - $days)
			FROM unnest('{event,delivery,failed_attempt}'::text[]) p;
		WITH e AS (INSERT INTO bm_webhook.event (id, xid, type, application, occurred_at, created_at, data)
			SELECT bm_webhook.uuid_floor(at), '3', 'test.old', '$application', at, at, '{}'
			FROM (SELECT date_trunc('day', clock_timestamp() - interval '$days days', 'UTC') + interval '1 hour') t (at) RETURNING id)
		INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts) SELECT id, $endpoint, 'delivered', 1 FROM e");
	return;
}

my @names = qw(old aside middle new);
my %days = (old => 30, aside => 30, middle => 20, new => 5);    # ago they were deleted
my %id;

# What there still is of them.
sub left
{
	my %is = map { $_ => 1 } split /\n/, $bmw->sql('SELECT id FROM bm_webhook.endpoint');
	return join ' ', (grep { $is{ $id{$_} } } @names), split /\n/, $bmw->sql('SELECT name FROM bm_webhook.application ORDER BY name');
}

$bmw->sql("INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('bank'), ('named'), ('late')");
$id{$_} = $bmw->endpoint("/ok/$_", application => $_ eq 'middle' ? 'bank' : 'shop', event_types => '{test.never}') for @names;
make_day(31, $id{old}, 'shop');
make_day(21, $id{middle}, 'bank');
make_day(10, 0, 'named');
make_day(6, $id{new}, 'shop');
make_day(3, 0, 'late');
$bmw->sql(q{SELECT bm_webhook.emit('test.other', '{}') FROM generate_series(1, 11000)});    # more than are looked at when one is deleted
$bmw->sql("INSERT INTO bm_webhook.set_aside (event_id, endpoint_id, cause, sqlstate, status, attempts, is_failed_attempt, is_exhausted)
	VALUES (bm_webhook.uuid_floor(now()), $id{aside}, '', '00000', 'delivered', 1, false, false)");

# What the triggers would refuse.
sub set_times
{
	my ($sql) = @_;
	$bmw->sql("ALTER TABLE bm_webhook.$_ DISABLE TRIGGER USER") for qw(endpoint application);
	$bmw->sql($sql);
	$bmw->sql("ALTER TABLE bm_webhook.$_ ENABLE TRIGGER USER") for qw(endpoint application);
	return;
}
set_times(q{UPDATE bm_webhook.endpoint SET created_at = now() - interval '40 days'});
$bmw->sql(q{SELECT bm_webhook.delete_application(a) FROM unnest('{shop,bank,named,late}'::text[]) a});
set_times(join('; ', map({ "UPDATE bm_webhook.endpoint SET deleted_at = now() - interval '$days{$_} days' WHERE id = $id{$_}" } @names),
	q{UPDATE bm_webhook.application SET deleted_at = now() - CASE name WHEN 'bank' THEN 20 ELSE 30 END * interval '1 day'}));
is(left(), 'old aside middle new bank late named shop', 'all are marked');

# Until what it was before is gone. The keeper is done when it has said so in the operation.
sub drop_before
{
	my ($days) = @_;
	my $operation = $bmw->sql("SELECT operation FROM bm_webhook.drop_before(now() - interval '$days days')");
	$bmw->wait_for_sql('it is dropped', "SELECT ended_at IS NOT NULL FROM bm_webhook.operation WHERE id = $operation");
	return;
}
drop_before(25);
is(left(), 'aside middle new bank late named shop', 'the one that was deleted before the log begins is gone');

$bmw->set('bm_webhook.retention', '9 d');
wait_until('retention takes the next and its application', sub { left() eq 'aside new late shop' });
$bmw->sql('DELETE FROM bm_webhook.set_aside');
drop_before(5);
is(left(), 'late', 'one that is named by later events stays as long as these');
drop_before(2);
is(left(), '', 'at the end nothing is left');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.operation WHERE kind = 'change_application'}), 0, 'nobody has changed them');

my $last = (sort { $a <=> $b } values %id)[-1];
cmp_ok($bmw->endpoint('/ok/next'), '>', $last, 'no id comes back');
$bmw->finish;

# An application that asks for many long operations keeps nobody else's waiting: applications take turns.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
$bmw->sql(q{INSERT INTO bm_webhook.application (name) VALUES ('busy'), ('other')});
my %columns = (event_types => "{test.*}", enabled => 'false');
my @busy = map { $bmw->endpoint("/ok/busy$_", application => 'busy', %columns) } 1 .. 3;
my $other = $bmw->endpoint('/ok/other', application => 'other', %columns);
$bmw->sql(q{SELECT count(bm_webhook.emit('test.missed', '{}', application => a))
	FROM generate_series(1, 4000) g, unnest('{busy,other}'::text[]) a WHERE a = 'busy' OR g <= 300});
$bmw->settle;

# Each of them goes through all that was missed.
my $asked = $bmw->sql(qq{SELECT count(r.operation) FROM generate_series(1, 60) g, unnest('{@{[ join ',', @busy ]}}'::bigint[]) e,
	LATERAL bm_webhook.recover(e, to_timestamp(g)) r});
is($asked, 180, 'very many are asked for');
my $operation = $bmw->sql("SELECT operation FROM bm_webhook.recover($other, '-infinity')");
$bmw->wait_for_sql('that of another application ends',
	"SELECT ended_at IS NOT NULL FROM bm_webhook.operation WHERE id = $operation");
my $not_before = "ended_at IS NULL OR ended_at > (SELECT ended_at FROM bm_webhook.operation WHERE id = $operation)";
cmp_ok($bmw->sql("SELECT count(*) FROM bm_webhook.operation WHERE $not_before"), '>', 64, 'before most of the others');
is($bmw->sql("SELECT done FROM bm_webhook.operation WHERE id = $operation"), 300, 'with all of it');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.operation WHERE error IS NOT NULL}), 0, 'none has failed');

$bmw->finish;

# What EXPLAIN estimates and counts for an owner is the same for what others have and for what nobody has.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
$bmw->sql(q{CREATE ROLE shop; CREATE ROLE bank; CREATE ROLE bonk; CREATE ROLE chain; INSERT INTO bm_webhook.application (name) VALUES ('shop'), ('bank');
	INSERT INTO bm_webhook.application (name) SELECT 'bank' || g FROM generate_series(1, 20) g;
	SELECT bm_webhook.grant_owner('shop', 'shop'), bm_webhook.grant_owner('bank', 'bank'), bm_webhook.grant_owner('bank1', 'chain'), bm_webhook.grant_owner('bank2', 'chain')});
my %id = map { $_ => $bmw->endpoint("/ok/$_", application => $_, channel => $_) } qw(shop bank);
$bmw->sql(qq{SELECT count(bm_webhook.emit(a || '.paid', '{}', a, channel => a, message_id => a || g)) FROM unnest('{shop,bank}'::text[]) a, generate_series(1, 20) g});
$bmw->sql(qq{INSERT INTO bm_webhook.failed_attempt (event_id, endpoint_id, attempt, attempted_at, error_class, error, response)
	SELECT id, CASE application WHEN 'shop' THEN $id{shop} ELSE $id{bank} END, 1, now(), 'timeout', application, application FROM bm_webhook.event});
$bmw->sql("SET ROLE $_; SELECT bm_webhook.pause(id, reason => '$_') FROM bm_webhook.endpoint, generate_series(1, 5)") for qw(shop bank);
$bmw->sql('ANALYZE');

sub plan_of
{
	my ($query, $analyze, $role) = @_;
	$role //= 'shop';
	my $options = $analyze ? '(ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)' : '';
	return $bmw->sql("SET enable_seqscan = off; SET ROLE $role; EXPLAIN $options $query") =~ s/b[ao]nk|(?<=')\d+(?='::oid)/NAME/gr;
}

# Each with what somebody has, and with what nobody has.
for my $query (
	(map { ("SELECT FROM bm_webhook.application WHERE name $_ 'bank'", "SELECT FROM bm_webhook.application WHERE owner $_ 'bank'::regrole", "SELECT FROM bm_webhook.endpoint WHERE application $_ 'bank'",
			"SELECT FROM bm_webhook.endpoint WHERE channel $_ 'bank'", "SELECT FROM bm_webhook.event WHERE application $_ 'bank'",
			"SELECT FROM bm_webhook.event WHERE channel $_ 'bank'", "SELECT FROM bm_webhook.event WHERE message_id $_ 'bank1'",
			"SELECT FROM bm_webhook.event WHERE type $_ 'bank.paid'", "SELECT FROM bm_webhook.failed_attempt WHERE response $_ 'bank'",
			"SELECT FROM bm_webhook.failed_attempt WHERE error $_ 'bank'", "SELECT FROM bm_webhook.operation WHERE application $_ 'bank'",
			"SELECT FROM bm_webhook.operation WHERE reason $_ 'bank'", "SELECT FROM bm_webhook.operation WHERE acting_as $_ 'bank'") } '=', '<'))
{
	my $other = $query =~ s/'bank/'bonk/r;
	is(plan_of($query), plan_of($other), "$query: what is estimated");
	is(plan_of($query, 1), plan_of($other, 1), 'and what is counted') if $query =~ /webhook\.(?:application|endpoint) WHERE (?:name|application) =|event WHERE message_id/;
}

# No index finds a message of another's, not even to leave it out: for who owns one application, and from PostgreSQL 17 on for who owns several.
my $of_message = q{SELECT FROM bm_webhook.event WHERE message_id = 'bank1'};
for my $role ('shop', $bmw->sql('SHOW server_version_num') < 170000 ? () : 'chain')
{
	my ($theirs, $nobodys) = map { plan_of($_, 1, $role) } $of_message, $of_message =~ s/bank/bonk/r;
	is($theirs, $nobodys, "what is counted of a message for $role");
	like($theirs, qr/Index Cond: \(\(message_id = 'NAME1'::text\) AND \(application = /, 'the index has both');
	my ($fetched, $of_none) = map { $bmw->sql("SET enable_seqscan = off; SET ROLE $role; BEGIN; $_; SELECT sum(idx_tup_fetch) FROM pg_stat_xact_all_tables WHERE relname LIKE 'event%'") }
	  $of_message, $of_message =~ s/bank/bonk/r;
	is($fetched, $of_none, 'and in the statistics of the transaction');
}
is($bmw->sql(q{SET ROLE shop; SELECT count(*) FROM bm_webhook.event WHERE message_id = 'shop1'}), 1, 'his own he finds');

# So events for one endpoint are of its application.
my $pings = join ',', map { $bmw->sql("SELECT bm_webhook.$_") } "ping($id{shop})", "emit('order.paid', '{}', endpoint => $id{shop})", "emit('order.paid', '{}', 'shop', endpoint => $id{shop})";
is($bmw->sql("SET ROLE shop; SELECT count(*) FROM bm_webhook.event WHERE id = ANY ('{$pings}') AND application = 'shop' AND endpoint_id = $id{shop}"), 3, 'an event for one endpoint is of its application');
my $other = $bmw->sql("SELECT bm_webhook.emit('order.paid', '{}', 'bank', endpoint => $id{shop})");
is($bmw->sql("SELECT application FROM bm_webhook.event WHERE id = '$other'"), 'bank', 'unless another is named');

# Of every text that an owner may read, but for the words that are the extension's own.
my $columns = $bmw->sql(q{SET ROLE shop; SELECT string_agg(format('%s.%s %s', c.oid::regclass, quote_ident(a.attname), a.atttypid::regtype), ',' ORDER BY c.relname, a.attname)
	FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	WHERE c.relnamespace = 'bm_webhook'::regnamespace AND c.relrowsecurity AND has_column_privilege(c.oid, a.attnum, 'SELECT')
		AND a.atttypid IN ('text'::regtype, 'name'::regtype, 'regrole'::regtype)
		AND a.attname NOT IN ('status', 'error_class', 'sqlstate', 'kind', 'ordering', 'payload', 'signature_scheme')});
my $rows = 0;
for (split /,/, $columns)
{
	my ($table, $column, $type) = /^(.*)[.](\S+) (.*)$/;
	my $nobodys = $type eq 'regrole' ? 'bonk' : 'nothing';
	my @values = split /\n/, $bmw->sql("SELECT DISTINCT quote_literal($column) FROM $table WHERE $column\::text !~ 'shop|\n'");
	next unless @values;
	my @plans = map { $bmw->sql("SET ROLE shop; EXPLAIN SELECT FROM $table WHERE $column = $_\::$type") =~ s/'[^']*'//gr } @values, "'$nobodys'";
	is(scalar(grep { $_ ne $plans[0] } @plans), 0, "$table.$column: every value is estimated alike");
	$rows++;
}
cmp_ok($rows, '>', 10, 'many columns');

# Whoever sees all has the plans of all statistics.
$bmw->sql(q{CREATE ROLE operator; SELECT bm_webhook.grant_operator('operator')});
my %rows = map { $_ => ($bmw->sql("SET ROLE operator; EXPLAIN SELECT FROM bm_webhook.event WHERE type = '$_'") =~ /rows=(\d+)/)[0] } qw(bank.paid bonk.paid);
cmp_ok($rows{'bank.paid'}, '>=', 20 + $rows{'bonk.paid'} - 1, 'an operator is told what there is');

$bmw->finish;

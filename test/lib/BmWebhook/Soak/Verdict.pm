# BmWebhook::Soak::Verdict - what a soak has shown: a table of its faults, and tests of what must hold.
#
# The log of the receiver is put beside the tables: a delivery is lost if it was never answered with success, and arrived
# twice if it was more than once. That is explained by a fault of the server if the first answer was given at most
# $unrecorded_s before it, or while it lasted, because what is answered is recorded within milliseconds; or if it was given
# after the timeout of its attempt, as happens where the receiver does not get a processor in time.

package BmWebhook::Soak::Verdict;

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use PostgreSQL::Test::Utils ();
use Test::More;

my $unrecorded_s = 2;
my $memory_kb = 4096;    # what a dispatcher's memory may vary by, beside a tenth

my $tables = q{
	CREATE SCHEMA soak;
	SET search_path = soak, public;
	CREATE UNLOGGED TABLE line (line text);
	\copy line FROM '%s' WITH (FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')
	CREATE TABLE request AS
		SELECT (j->>'at_us')::float8 / 1e6 AS at, (j->>'id')::uuid AS event_id, p.id AS endpoint_id, (j->>'status')::int AS status,
			j->>'fault' AS fault, (j->>'attempt')::int AS attempt, j->>'name' AS name
		FROM (SELECT line::jsonb AS j FROM line) l LEFT JOIN bm_webhook.endpoint p ON p.url LIKE '%%/' || (j->>'name');
	CREATE INDEX ON request (event_id, endpoint_id, at);
	CREATE TABLE expected AS
		SELECT e.id AS event_id, p.id AS endpoint_id, extract(epoch FROM e.created_at)::float8 AS at, e.message_id
		FROM bm_webhook.event e JOIN bm_webhook.endpoint p ON p.application = e.application OR p.application IS NULL;
	CREATE TABLE answered AS
		SELECT event_id, endpoint_id, at, lag(at) OVER w AS before, lag(attempt) OVER w AS attempt_before
		FROM request WHERE status BETWEEN 200 AND 299 WINDOW w AS (PARTITION BY event_id, endpoint_id ORDER BY at);
	CREATE INDEX ON answered (event_id, endpoint_id, at);
	CREATE INDEX ON answered (at);
	ANALYZE request, expected, answered;
	CREATE TABLE server_fault (fault text, started float8, ended float8, back float8);
	CREATE TABLE hit (fault text, event_id uuid, endpoint_id bigint, at float8);
};

# `back`: when something had arrived at the endpoint without faults that was captured afterwards.
my $evaluation = qq{
	UPDATE server_fault SET back = (SELECT min(a.at) FROM answered a JOIN expected USING (event_id, endpoint_id)
		JOIN bm_webhook.endpoint p ON p.id = endpoint_id WHERE p.application IS NULL AND expected.at > started);
	INSERT INTO hit SELECT fault, event_id, endpoint_id, at FROM request WHERE fault IS NOT NULL AND event_id IS NOT NULL;
	INSERT INTO hit SELECT CASE error_class WHEN 'connect' THEN 'refused' WHEN 'tls' THEN 'no TLS' ELSE 'reset before the request' END,
		event_id, endpoint_id, extract(epoch FROM attempted_at) FROM bm_webhook.failed_attempt f
		WHERE error_class IN ('connect', 'tls', 'reset') AND NOT EXISTS (SELECT FROM request r
			WHERE r.event_id = f.event_id AND r.endpoint_id = f.endpoint_id AND r.attempt = f.attempt);
	INSERT INTO hit SELECT fault, event_id, endpoint_id, started FROM server_fault JOIN expected ON at BETWEEN started - 1 AND back;
	ANALYZE hit;
	CREATE TABLE twice AS
		SELECT a.*, (SELECT fault FROM server_fault WHERE started < a.at AND before BETWEEN started - $unrecorded_s AND ended + $unrecorded_s
			ORDER BY started DESC LIMIT 1) AS fault,
			EXISTS (SELECT FROM bm_webhook.failed_attempt f WHERE f.event_id = a.event_id AND f.endpoint_id = a.endpoint_id
				AND f.attempt = a.attempt_before AND f.error_class = 'timeout') AS was_late
		FROM answered a WHERE before IS NOT NULL;
};

my $report = qq{
	WITH delivery AS (SELECT DISTINCT fault, event_id, endpoint_id FROM hit),
	of_delivery AS (
		SELECT fault, (SELECT count(*) FROM request r WHERE r.event_id = d.event_id AND r.endpoint_id = d.endpoint_id) AS requests,
			(SELECT count(*) FROM bm_webhook.failed_attempt f WHERE f.event_id = d.event_id AND f.endpoint_id = d.endpoint_id)
			+ (SELECT count(*) FROM bm_webhook.delivery b WHERE b.event_id = d.event_id AND b.endpoint_id = d.endpoint_id AND status = 'delivered') AS rows,
			NOT EXISTS (SELECT FROM answered a WHERE a.event_id = d.event_id AND a.endpoint_id = d.endpoint_id) AS is_lost
		FROM delivery d),
	by_fault AS (SELECT fault, count(*) AS deliveries, sum(requests) AS requests, sum(rows) AS rows,
		count(*) FILTER (WHERE is_lost) AS lost FROM of_delivery GROUP BY fault),
	injected AS (
		SELECT fault, count(*) AS injected, false AS is_server, 0 AS bound FROM request WHERE fault IS NOT NULL GROUP BY fault
		UNION ALL SELECT fault, count(*), true, sum((SELECT count(*) FROM answered
			WHERE at BETWEEN started - $unrecorded_s AND ended + $unrecorded_s)) FROM server_fault GROUP BY fault),
	took AS (
		SELECT h.fault, (SELECT min(a.at) FROM answered a WHERE a.event_id = h.event_id AND a.endpoint_id = h.endpoint_id AND a.at >= h.at) - h.at AS s
		FROM hit h WHERE fault NOT IN (SELECT fault FROM server_fault)
		UNION ALL SELECT fault, back - started FROM server_fault),
	back AS (SELECT fault, percentile_cont(0.5) WITHIN GROUP (ORDER BY s) AS median, max(s) AS most FROM took GROUP BY fault)
	SELECT fault, injected, coalesce(deliveries, 0), coalesce(requests, 0), coalesce(rows, 0), coalesce(lost, 0),
		(SELECT count(*) FROM twice t WHERE t.fault = i.fault), bound,
		coalesce(round(median::numeric, 1)::text, '-'), coalesce(round(most::numeric, 1)::text, '-')
	FROM injected i LEFT JOIN by_fault USING (fault) LEFT JOIN back USING (fault) ORDER BY is_server, fault
};

my @head = ('fault', 'injected', 'deliveries', 'requests', 'rows', 'lost', 'twice', 'at most', 'back after s', 'at the latest');

# Judges what the soak has done, and prints it with $say->(line).
sub judge
{
	my ($soak, $say) = @_;
	my $bmw = $soak->{bmw};

	$bmw->sql(sprintf($tables, $soak->{log})
		  . join('', map { sprintf("INSERT INTO server_fault VALUES (%s, %f, %f);\n", quote($_->{name}), $_->{from}, $_->{to}) } @{ $soak->{faults} })
		  . $evaluation);
	_print_table($bmw, $say);
	_print_totals($soak, $say);
	_is_nothing_lost($bmw);
	_is_order_kept($bmw);
	_is_memory_steady($soak, $say);
	return;
}

sub _ask
{
	my ($bmw, $query) = @_;
	return $bmw->sql("SET search_path = soak, public; $query");
}

sub _print_table
{
	my ($bmw, $say) = @_;
	my @rows = map { [ split /\|/ ] } split /\n/, _ask($bmw, $report);

	$say->('| ' . join(' | ', @$_) . ' |') for \@head, [ '---', ('---:') x $#head ], @rows;
	cmp_ok(scalar @rows, '>=', 24, 'every fault has occurred');
	is(join(', ', map { $_->[0] } grep { $_->[5] > 0 || $_->[6] > $_->[7] } @rows), '', 'none of them loses anything, or repeats more than was open');
	return;
}

sub _print_totals
{
	my ($soak, $say) = @_;
	my $bmw = $soak->{bmw};
	my $minutes = ($soak->{to} - $soak->{from}) / 60;
	my @log = split /\n/, PostgreSQL::Test::Utils::slurp_file($bmw->node->logfile);
	# lines of sessions have the application's name before the level; what belongs to a line begins with a tab
	my @ours = grep { /^\S+ \S+ \S+ \[\d+\] \w+:/ && /bm_webhook|webhook|endpoint/ } @log;

	$say->(sprintf '%.1f minutes: %s committed changes, %s deliveries, %s requests, %s answered with success, %s of them again, %s of these because the answer came after its timeout',
		$minutes, map { _ask($bmw, "SELECT count(*) FROM $_") } qw(change expected), 'request WHERE event_id IS NOT NULL', 'answered', 'twice', 'twice WHERE was_late');
	$say->(sprintf 'lines of the server\'s log a minute: %.1f, %.1f of them of bm_webhook', @log / $minutes, @ours / $minutes);
	return;
}

sub _is_nothing_lost
{
	my ($bmw) = @_;

	is(_ask($bmw, q{SELECT count(*) FROM (SELECT account, n FROM change EXCEPT
		SELECT (data->>'id')::int, (data->>'n')::int FROM bm_webhook.event) c}), 0, 'every committed change has its event');
	is(_ask($bmw, q{SELECT count(*) FROM (SELECT (data->>'id')::int, (data->>'n')::int FROM bm_webhook.event EXCEPT ALL
		SELECT account, n FROM change) e}), 0, 'one, and no other change has one');
	is(_ask($bmw, q{SELECT count(*) FROM (SELECT event_id, endpoint_id FROM expected EXCEPT SELECT event_id, endpoint_id FROM answered) e}),
		0, 'every event has arrived everywhere');
	is(_ask($bmw, q{SELECT count(*) FROM (SELECT event_id, endpoint_id FROM answered EXCEPT SELECT event_id, endpoint_id FROM expected) a}),
		0, 'nothing else has');
	is(_ask($bmw, q{SELECT count(*) FROM twice WHERE fault IS NULL AND NOT was_late}), 0,
		'what arrived twice had been answered just before a fault of the server, or after its time was over');
	return;
}

# The numbers of an account are the order in which its changes were committed.
sub _is_order_kept
{
	my ($bmw) = @_;

	is(_ask($bmw, q{WITH arrived AS (
			SELECT p.id AS endpoint_id, e.message_id, min((e.data->>'n')::int) AS n, min(r.at) AS first, min(r.at) FILTER (WHERE r.status BETWEEN 200 AND 299) AS done
			FROM request r JOIN bm_webhook.event e ON e.id = r.event_id JOIN bm_webhook.endpoint p ON p.id = r.endpoint_id
			WHERE p.ordering = 'by_message' GROUP BY p.id, e.id, e.message_id),
		pair AS (SELECT first, lag(done) OVER (PARTITION BY endpoint_id, message_id ORDER BY n) AS done_before FROM arrived)
		SELECT count(*) FROM pair WHERE done_before > first}), 0, 'no event came before the earlier ones of its message were answered');
	return;
}

# In the last third, when the dispatchers have lived for a while, and at its end.
sub _is_memory_steady
{
	my ($soak, $say) = @_;
	my @quiet = map { $_->{kb} } grep { $_->{when} eq 'quiet' } @{ $soak->{memory} };
	my $part = int(@quiet / 5) || 1;
	my $before = percentile(50, @quiet[ $part .. 2 * $part ]);
	my $after = percentile(50, @quiet[ -$part .. -1 ]);

	$say->(sprintf 'memory of the dispatchers: %d kB at the start; in the last third %d kB at first, %d kB at the end',
		$soak->{memory}[0]{kb}, $before, $after);
	cmp_ok($after, '<=', 1.1 * $before + $memory_kb, 'memory does not grow');
	return;
}

1;

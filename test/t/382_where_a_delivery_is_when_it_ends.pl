# Wherever a delivery is when the dispatcher is killed or told to end, or the server stops or crashes: what was not
# committed is never sent, what was is sent, and again only if it was answered, or on its way, and not yet recorded.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new(conf => "wal_writer_delay = 10ms\n");
my $receiver = $bmw->receiver;

# Those that leave time to record what has been answered, and those that do not.
my %end = (
	'the dispatcher is told to end' => { is_gentle => 1, do => sub { $bmw->sql("SELECT pg_terminate_backend($_[0], 30000)") } },
	'the server is shut down' => { is_gentle => 1, do => sub { $bmw->node->restart } },
	'the dispatcher is killed' => { do => sub { $bmw->kill_and_recover($_[0]) } },
	'the server is shut down at once' => { do => sub { $bmw->node->stop('immediate'); $bmw->start } },
);

# at: brings a delivery there; then: undoes what it needed for it; requests: how many there are after a gentle end, and
# after another one. A last event shows that the one before, which is recorded with it, is on disk.
my %point = (
	'before the commit' => {
		at => sub { $bmw->{open} = $bmw->session; $bmw->{open}->query_safe('BEGIN; SELECT ' . $bmw->emit_call("test.$_[0]")) },
		then => sub { eval { $bmw->{open}->quit }; delete $bmw->{open} },
		requests => [ 0, 0 ] },
	'committed, and not taken' => {
		at => sub { $bmw->set('bm_webhook.enabled', 'off'); $bmw->wait_for_sql('it is off', q{SELECT reason LIKE '%enabled%' FROM bm_webhook.status()});
			$bmw->emit("test.$_[0]") },
		then => sub { $bmw->set('bm_webhook.enabled', 'on') },
		requests => [ 1, 1 ] },
	'taken, and not sent' => {
		path => 'hang',
		at => sub { $bmw->emit_many(2, "test.$_[0]"); $bmw->wait_for_requests($_[0], 1);
			$bmw->wait_for_sql('one is queued', 'SELECT sum(queued) = 1 FROM bm_webhook.status()') },
		requests => [ 3, 3 ] },
	'on its way' => {
		path => 'hang',
		at => sub { $bmw->emit("test.$_[0]"); $bmw->wait_for_requests($_[0], 1) },
		requests => [ 2, 2 ] },
	'answered, and not recorded' => {
		at => sub { $bmw->set('bm_webhook.flush_interval', '10 s'); $bmw->emit("test.$_[0]");
			$bmw->wait_for_sql('it is in memory', 'SELECT sum(unrecorded) = 1 FROM bm_webhook.status()') },
		then => sub { $bmw->set('bm_webhook.flush_interval', '10 ms') },
		requests => [ 1, 2 ] },
	'being recorded' => {
		at => sub { $bmw->sql('CREATE TRIGGER slow BEFORE INSERT ON bm_webhook.delivery FOR EACH ROW EXECUTE FUNCTION slow()');
			$bmw->emit("test.$_[0]");
			$bmw->wait_for_sql('it is', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'bm_webhook dispatcher' AND wait_event = 'PgSleep'}) },
		then => sub { $bmw->sql('DROP TRIGGER slow ON bm_webhook.delivery') },
		requests => [ 1, 2 ] },
	'recorded' => {
		at => sub { $bmw->wait_for_delivery($bmw->emit("test.$_[0]")); $bmw->settle },
		requests => [ 1, 1 ] },
);
$bmw->sql('CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN NEW; END $$');

my $nth = 0;
for my $point (sort keys %point)
{
	for my $end (sort keys %end)
	{
		my ($p, $e) = ($point{$point}, $end{$end});
		my $name = 'e' . ++$nth;
		my $id = $bmw->endpoint('/' . ($p->{path} // 'ok') . "/$name", event_types => "{test.$name}", max_in_flight => 1, timeout => '60 s');

		my $pid = $bmw->dispatcher;
		$p->{at}->($name);
		$receiver->behave($name, 'ok');    # what comes from now on
		$e->{do}->($pid);
		$bmw->wait_until_up;
		$p->{then}->($name) if $p->{then};
		$bmw->dispatcher;
		$bmw->settle;
		my $requests = $p->{requests}[ $e->{is_gentle} ? 0 : 1 ];
		is($receiver->count($name, 'requests'), $requests, "$point, when $end: $requests requests");
		is($bmw->sql("SELECT count(*) FILTER (WHERE d.status = 'delivered' AND d.attempts = 1 AND d.http_status = 204) || ' ' || count(*)
			FROM bm_webhook.event e LEFT JOIN bm_webhook.delivery d ON d.event_id = e.id AND d.endpoint_id = $id WHERE e.type = 'test.$name'"),
			join(' ', ($receiver->count($name, 'distinct')) x 2), 'and each event has a record that says how it ended');
		is($bmw->sql("SELECT count(*) FROM bm_webhook.failed_attempt WHERE endpoint_id = $id"), 0, 'and no attempt is said to have failed');
	}
}
$bmw->finish(expected => qr/crash|was terminated by signal|exited|immediate shutdown/);

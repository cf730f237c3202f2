# So many events a second of an application may be emitted, whoever emits them and in however many sessions. What its watched
# tables capture is recorded all the same, and other applications are not held up.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
$bmw->sql(q{CREATE ROLE shop; CREATE ROLE platform;
	INSERT INTO bm_webhook.application (name, max_emit_rate) VALUES ('shop', 1), ('bank', NULL), ('many', 1000);
	SELECT bm_webhook.grant_owner('shop', 'shop'), bm_webhook.grant_writer('platform');
	CREATE TABLE ticket (id int PRIMARY KEY, state text);
	SELECT bm_webhook.watch('ticket', 'ticket.opened', application => 'shop')});
my $id = $bmw->sql(q{INSERT INTO bm_webhook.endpoint (url, application, enabled) VALUES ('https://hooks.example.com/', 'shop', true) RETURNING id});

sub events { return $bmw->sql("SELECT count(*) FROM bm_webhook.event WHERE $_[0]") }

# One a second.
my $emit = q{SELECT bm_webhook.emit('ticket.noted', '{}', 'shop')};
my $five = q{DO $$ BEGIN FOR i IN 1..5 LOOP PERFORM bm_webhook.emit('ticket.noted', '{}', 'shop'); END LOOP; END $$};
is($bmw->sqlstate($five), '53400', 'five at once are too many');
is(events(q{type = 'ticket.noted'}), 0, 'and none of them is there');

my ($stdout, $stderr);
$bmw->node->psql('postgres', $five, stderr => \$stderr);
like($stderr, qr/ERROR:  too many events of the application are emitted\nHINT:  At most 1 a second are accepted: its max_emit_rate/, 'with a hint');

# The bucket is emptied by one session; then the next finds it empty, unless a second has passed: again.
sub refused
{
	my ($sql) = @_;
	for (1 .. 20)
	{
		$bmw->sqlstate($emit);
		my $state = $bmw->sqlstate($sql);
		return $state if $state ne '';
	}
	return '';
}

is(refused("SET ROLE platform; $emit"), '53400', 'a writer');
is(refused("SET ROLE shop; SELECT bm_webhook.ping($id)"), '53400', 'a ping by the owner');
is(refused("SELECT bm_webhook.emit('ticket.noted', '{}', endpoint => $id)"), '53400', 'an event for an endpoint of its own');
is(refused(q{SELECT bm_webhook.message_status('sent', 'shop', 'sms', 'm-1', '+33123456789', '+33698765432')}), '53400', 'a message');

# Who pings needs no right to emit: a hundred a second of a role, whatever its application has for a limit.
$bmw->sql(q{CREATE ROLE bank; SELECT bm_webhook.grant_owner('bank', 'bank')});
my $of_bank = $bmw->sql(q{INSERT INTO bm_webhook.endpoint (url, application) VALUES ('https://hooks.example.com/', 'bank') RETURNING id});
my $pings = "SELECT count(bm_webhook.ping($of_bank)) FROM generate_series(1, %s)";
is($bmw->sqlstate('SET ROLE bank; ' . sprintf $pings, 100), '', 'a hundred pings');
is($bmw->sqlstate('SET ROLE bank; ' . sprintf $pings, 10_000), '53400', 'ten thousand are too many');
is($bmw->sqlstate(sprintf $pings, 1000), '', 'but not of an administrator');
$bmw->sql("DELETE FROM bm_webhook.endpoint WHERE id = $of_bank");

# What is watched.
is($bmw->sqlstate(q{INSERT INTO ticket SELECT i, 'open' FROM generate_series(1, 500) i}), '', 'a watched table is written');
is(events(q{type = 'ticket.opened' AND application = 'shop'}), 500, 'and each row is an event');

# Others, and those that have no limit.
is($bmw->sqlstate(q{SELECT bm_webhook.emit('ticket.noted', '{}', 'bank') FROM generate_series(1, 500)}), '', 'another application');
is($bmw->sqlstate(q{SELECT bm_webhook.emit('ticket.noted', '{}') FROM generate_series(1, 500)}), '', 'events of none');
is($bmw->sqlstate(q{SELECT bm_webhook.emit('ticket.noted', '{}', 'many') FROM generate_series(1, 1000)}), '', 'a second of them at once');

# It goes on by itself, and a change is in force within a second, in a session that knew the old one too.
my $session = $bmw->session;
my $until_accepted = q{DO $$ BEGIN
	LOOP
		BEGIN
			PERFORM bm_webhook.emit('ticket.free', '{}', 'shop') FROM generate_series(1, 500);
			RETURN;
		EXCEPTION WHEN configuration_limit_exceeded THEN
			PERFORM pg_sleep(0.05);
		END;
	END LOOP;
END $$};
$session->query_safe(q{DO $$ BEGIN PERFORM bm_webhook.emit('ticket.noted', '{}', 'shop'); EXCEPTION WHEN configuration_limit_exceeded THEN END $$});
$bmw->sql(q{UPDATE bm_webhook.application SET max_emit_rate = NULL WHERE name = 'shop'});
$session->query_safe($until_accepted);
is(events(q{type = 'ticket.free'}), 500, 'without a limit it is accepted again');
$session->quit;

is($bmw->sqlstate(q{SET ROLE shop; UPDATE bm_webhook.application SET max_emit_rate = NULL}), '42501', 'its owner cannot change it');
is($bmw->sqlstate("UPDATE bm_webhook.application SET max_emit_rate = $_ WHERE name = 'shop'"), '22023', "$_ is refused") for 0, -1, 100001;
$bmw->finish;

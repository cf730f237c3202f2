# PostgreSQL keeps the privileges on a table in one row of a catalog, which 2,440 owners fill. Of more, each is a member
# of a group that has the privileges, and sees its own alone; and no member can take them from the others.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $many = 3000;

# As one who has signed in with it: only then does SET ROLE lead to no more than the role may.
sub as
{
	my ($role, $query) = @_;
	return "SET SESSION AUTHORIZATION $role; $query";
}

$bmw->sql(q{CREATE ROLE tenants; SELECT bm_webhook.grant_owner_group('tenants')});
$bmw->sql("DO 'BEGIN FOR n IN 1 .. $many LOOP EXECUTE format(''CREATE ROLE t%s LOGIN IN ROLE tenants'', n); END LOOP; END'");
$bmw->sql("INSERT INTO bm_webhook.application (name) SELECT 't' || n FROM generate_series(1, $many) n");
is($bmw->sql(q{SELECT count(bm_webhook.grant_owner(name, name::regrole)) FROM bm_webhook.application}), $many, 'each is given an application');
is($bmw->sql(q{SELECT string_agg(g::text, ',') FROM bm_webhook_internal.granted('owner') g}), 'tenants', 'the group alone has privileges');

my $own = 'SELECT string_agg(name, chr(44)) FROM bm_webhook.application; SELECT count(*) FROM bm_webhook.endpoint';
my $url = $bmw->receiver->url('/ok/own');
for my $n (1, $many)
{
	is($bmw->sql(as("t$n", "INSERT INTO bm_webhook.endpoint (url, application) VALUES ('$url', 't$n'); $own")), "t$n\n1", "t$n registers an endpoint, and sees its own");
}
is($bmw->sqlstate(as('t1', "INSERT INTO bm_webhook.endpoint (url, application) VALUES ('$url', 't2')")), '42501', 'none for another');

# After each change of an endpoint or an application, sessions read anew what is whose.
my $session = $bmw->session;
$session->query_safe("SET SESSION AUTHORIZATION t$many");
$bmw->sql("INSERT INTO bm_webhook.endpoint (url, application) VALUES ('$url', 't2')");
is($session->query_safe("BEGIN; $own"), "t$many\n1", 'when another has registered an endpoint');
my $read = join ' + ', map { "pg_stat_get_xact_tuples_$_('bm_webhook.application'::regclass)" } qw(returned fetched);
cmp_ok($session->query_safe("SELECT $read; COMMIT"), '<', 100, 'no application is looked at but its own');
$session->quit;

for my $drop ('DROP OWNED BY tenants', 'SET ROLE tenants; DROP OWNED BY CURRENT_USER', 'DROP OWNED BY t1, tenants CASCADE')
{
	is($bmw->sqlstate(as('t1', $drop)), '42501', "$drop: refused");
}
is($bmw->sqlstate(as('t1', 'DROP OWNED BY t1')), '', 'its own it may drop');
is($bmw->sql(as("t$many", $own)), "t$many\n1", 'all have their privileges still');

# The group may own something itself: its members see that, too.
$bmw->sql(q{INSERT INTO bm_webhook.application (name) VALUES ('of_all'); SELECT bm_webhook.grant_owner('of_all', 'tenants')});
is($bmw->sql(as('t1', $own)), "t1,of_all\n1", 'and what is the group\'s');
$bmw->sql(q{SELECT bm_webhook.revoke_owner('of_all')});
is($bmw->sql(as('t1', $own)), "t1\n1", 'until it is nobody\'s');

# Who inherits nothing has privileges of its own.
$bmw->sql(q{CREATE ROLE apart LOGIN NOINHERIT IN ROLE tenants; SELECT bm_webhook.grant_owner('of_all', 'apart')});
is($bmw->sql(as('apart', $own)), "of_all\n0", 'one who does not inherit');
$bmw->sql(q{SELECT bm_webhook.revoke_owner('of_all'); DROP ROLE apart});

$bmw->sql(q{SELECT bm_webhook.revoke_owner('t1')});
is($bmw->sql(as('t1', $own)), "\n0", 'whose application is taken away sees nothing');
$bmw->sql('DROP ROLE t1');
is($bmw->sql(as("t$many", $own)), "t$many\n1", 'and the others see theirs');
$bmw->sql(q{SELECT bm_webhook.revoke_owner_group('tenants')});
is($bmw->sqlstate(as("t$many", $own)), '42501', 'without the group nobody does');
$bmw->sql('DROP ROLE tenants');

$bmw->finish;

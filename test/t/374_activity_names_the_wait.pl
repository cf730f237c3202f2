# pg_stat_activity says what a dispatcher waits for, by a name of its own where PostgreSQL can (17 and later).

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $expected = $bmw->sql(q{SELECT CASE WHEN current_setting('server_version_num')::integer >= 170000 THEN 'BmWebhookDispatch' ELSE 'Extension' END});
my $pid = $bmw->dispatcher;

$bmw->wait_for_sql("it waits for $expected", "SELECT count(*) = 1 FROM pg_stat_activity WHERE pid = $pid AND wait_event_type = 'Extension' AND wait_event = '$expected'");
pass('the wait has a name');
$bmw->finish;

# A row as large as rows can be does not become an event, and its transaction does not fail; neither does the server, nor
# does anybody take memory for it that is not given back. emit() refuses what is that large.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

my $bmw = BmWebhook->new;
my $endpoint = $bmw->endpoint('/ok/ok');
my $bytes = 1_000_000_000;

sub memory_kb
{
	my ($pid) = @_;
	my ($kb) = PostgreSQL::Test::Utils::slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+)/m;
	return $kb;
}

$bmw->sql(q{CREATE UNLOGGED TABLE document (id int PRIMARY KEY, body text);
	ALTER TABLE document ALTER body SET STORAGE EXTERNAL;
	SELECT bm_webhook.watch('document', 'document.new')});
$bmw->wait_for_delivery($bmw->emit('test.before'));
my $pid = $bmw->dispatcher;
my $before = memory_kb($pid);
my $session = $bmw->session;
$session->query_safe('SELECT 1');

$session->query_safe("SET client_min_messages = error; INSERT INTO document SELECT 1, repeat('x', $bytes - 100)");
is($bmw->sql('SELECT octet_length(body) FROM document'), $bytes - 100, 'the row is there');
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.event WHERE type = 'document.new'}), 0, 'and has no event');
is($bmw->sql(q{SELECT data->>'relation' FROM bm_webhook.event WHERE type = 'webhook.capture_failed'}), 'public.document', 'which is told');
is($bmw->sqlstate("SELECT bm_webhook.emit('test.large', jsonb_build_object('body', repeat('x', 200000000)))"), '54000', 'emit() refuses it');
$session->query_safe("UPDATE document SET body = 'small'");
$bmw->settle;
is($bmw->sql(q{SELECT count(*) FROM bm_webhook.delivery d JOIN bm_webhook.event e ON e.id = event_id WHERE type = 'document.new' AND status = 'delivered'}), 1,
	'the next change is sent');
is($bmw->dispatcher, $pid, 'the dispatcher is the same process');
cmp_ok(memory_kb($pid), '<', $before + 10_000, 'and has taken no memory for it');
my $backend = $session->query('SELECT pg_backend_pid()') =~ s/\D//gr;
cmp_ok(memory_kb($backend), '<', 100_000, 'the session has given back what it took');
$session->quit;
$bmw->finish;

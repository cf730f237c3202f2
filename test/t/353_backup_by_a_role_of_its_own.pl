# pg_dump by a role that may read all data, and is not bound by row-level security, has the registration and
# neither secrets nor the log; what it has can be restored.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use PostgreSQL::Test::Utils qw(run_command);
use Test::More;

my $bmw = BmWebhook->new;
my $node = $bmw->node;

$bmw->sql(q{CREATE ROLE backup LOGIN BYPASSRLS IN ROLE pg_read_all_data; CREATE ROLE bound LOGIN IN ROLE pg_read_all_data; CREATE ROLE shop;
	INSERT INTO bm_webhook.application (name, owner) VALUES ('shop', 'shop')});
my $endpoint = $bmw->endpoint('/ok/shop', application => 'shop');
$bmw->wait_for_delivery($bmw->emit('order.paid', application => 'shop', data => '{"number": "of an order"}'));
my $secret = $bmw->sql("SELECT secret FROM bm_webhook.endpoint_secret WHERE endpoint_id = $endpoint");

my (undef, $bound) = run_command([ 'pg_dump', '-U', 'bound', '-h', $node->host, '-p', $node->port, 'postgres' ]);
like($bound, qr/row-level security/, 'a role that is bound by row-level security is told so');
my ($dump, $stderr) = run_command([ 'pg_dump', '-U', 'backup', '-h', $node->host, '-p', $node->port, 'postgres' ]);
is($stderr, '', 'one that is not can dump');
like($dump, qr{/ok/shop}, 'the endpoint is in the dump');
unlike($dump, qr/\Q$secret\E|whsec_/, 'its secret is not');
unlike($dump, qr/of an order/, 'nor the log');

my $file = PostgreSQL::Test::Utils::tempdir('dump') . '/dump.sql';
PostgreSQL::Test::Utils::append_to_file($file, $dump);
$bmw->set('bm_webhook.enabled', 'off');
$bmw->sql('CREATE DATABASE restored TEMPLATE template0');
(undef, $stderr) = run_command([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-h', $node->host, '-p', $node->port, '-f', $file, 'restored' ]);
unlike($stderr, qr/ERROR|WARNING/, 'it can be restored');
is($bmw->sql("SELECT id FROM bm_webhook.endpoint WHERE url LIKE '%/ok/shop'", 'restored'), $endpoint, 'the endpoint is there');
$bmw->finish;

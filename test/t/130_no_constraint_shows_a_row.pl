# Whatever constraint of a registration table is violated: neither the client nor
# the server's log gets to see a header, the query of a URL, or a secret. Every
# constraint of these tables is tried; one that is added and not tried fails here.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use PostgreSQL::Test::Utils ();
use Test::More;

my $bmw = BmWebhook->new;
my $node = $bmw->node;

# What must not be seen. The statements are logged when they fail, so they have no such value: it is in the table.
my @hidden = qw(HEADERMARK QUERYMARK bWFya21hcmttYXJrbWFya21hcms);
$bmw->sql(q{
	CREATE ROLE owner_of_shop;
	INSERT INTO bm_webhook.application (name, owner, description) VALUES ('shop', 'owner_of_shop', 'd');
	INSERT INTO bm_webhook.endpoint (url, application, headers)
		VALUES ('https://shop.example.com/?key=QUERYMARK', 'shop', '{"authorization": "Bearer HEADERMARK"}');
	INSERT INTO bm_webhook.endpoint_secret (endpoint_id, secret)
		SELECT id, 'whsec_bWFya21hcmttYXJrbWFya21hcmttYXJr' FROM bm_webhook.endpoint;
	CREATE TABLE row_of_endpoint AS SELECT * FROM bm_webhook.endpoint;
	CREATE TABLE row_of_secret AS SELECT * FROM bm_webhook.endpoint_secret WHERE secret LIKE '%bWFya%'});

my $endpoint = 'INSERT INTO bm_webhook.endpoint (id, url, application, headers, %s) OVERRIDING SYSTEM VALUE '
  . 'SELECT coalesce(max(id) OVER (), 0) + 1000, url, application, headers, %s FROM row_of_endpoint';
my $secret = 'INSERT INTO bm_webhook.endpoint_secret (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM row_of_secret';

# Constraint, or column that is NOT NULL, of a table; the statement that violates it; the SQLSTATE.
my @violations = (
	[ 'application.name', q{INSERT INTO bm_webhook.application (name) VALUES (NULL)}, '23502' ],
	[ 'application.name', q{UPDATE bm_webhook.application SET name = 'other'}, '42501' ],
	[ 'application.application_name_check', q{INSERT INTO bm_webhook.application (name) VALUES ('')}, '22023' ],
	[ 'application.application_name_check', q{INSERT INTO bm_webhook.application (name) VALUES (repeat('x', 129))}, '22023' ],
	[ 'application.application_name_check', q{INSERT INTO bm_webhook.application (name) VALUES (repeat('é', 65))}, '22023' ],
	[ 'application.application_name_check', q{INSERT INTO bm_webhook.application (name) VALUES (E'a\nb')}, '22023' ],
	[ 'application.application_pkey', q{INSERT INTO bm_webhook.application (name) VALUES ('shop')}, '23505' ],
	[ 'application.owner', q{UPDATE bm_webhook.application SET owner = NULL}, '23502' ],
	[ 'application.owner', q{UPDATE bm_webhook.application SET owner = 'no_such_role'}, '42704' ],
	[ 'application.muted_event_types', q{UPDATE bm_webhook.application SET muted_event_types = NULL}, '23502' ],
	[ 'application.muted_event_types', q{UPDATE bm_webhook.application SET muted_event_types = array_fill('a.b'::text, '{101}')}, '54000' ],
	[ 'application.created_at', q{UPDATE bm_webhook.application SET created_at = NULL}, '' ],
	(map { [ "endpoint.$_", "UPDATE bm_webhook.endpoint SET $_ = NULL", '23502' ] }
		  qw(event_types url enabled headers timeout max_in_flight ordering retry_delays metadata payload)),
	(map { [ "endpoint.$_", "UPDATE bm_webhook.endpoint SET $_ = NULL", '' ] } qw(created_at updated_at)),
	[ 'endpoint.id', q{INSERT INTO bm_webhook.endpoint (id, url, headers) OVERRIDING SYSTEM VALUE
		SELECT NULL, url, headers FROM row_of_endpoint}, '23502' ],
	[ 'endpoint.id', q{UPDATE bm_webhook.endpoint SET id = DEFAULT}, '42501' ],
	[ 'endpoint.endpoint_pkey', q{INSERT INTO bm_webhook.endpoint OVERRIDING SYSTEM VALUE SELECT * FROM row_of_endpoint}, '23505' ],
	[ 'endpoint.endpoint_application_fkey', q{UPDATE bm_webhook.endpoint SET application = 'nobody'}, '23503' ],
	[ 'endpoint.endpoint_check', q{UPDATE bm_webhook.endpoint SET url = NULL}, '23502' ],
	[ 'endpoint.endpoint_channel_check', q{UPDATE bm_webhook.endpoint SET channel = 'SMS'}, '22023' ],
	[ 'endpoint.endpoint_ordering_check', q{UPDATE bm_webhook.endpoint SET ordering = 'x'}, '22023' ],
	[ 'endpoint.endpoint_ordering_check', sprintf($endpoint, 'ordering', q{'x'}), '22023' ],
	[ 'endpoint.endpoint_payload_check', q{UPDATE bm_webhook.endpoint SET payload = 'x'}, '22023' ],
	[ 'endpoint.endpoint_payload_check', sprintf($endpoint, 'payload', q{'x'}), '22023' ],
	[ 'endpoint.event_types', q{UPDATE bm_webhook.endpoint SET event_types = array_fill('a.b'::text, '{101}')}, '54000' ],
	[ 'endpoint_secret.id', sprintf($secret, 'id, endpoint_id, secret', 'NULL, endpoint_id, secret'), '23502' ],
	[ 'endpoint_secret.endpoint_id', sprintf($secret, 'endpoint_id, secret', 'NULL, secret'), '23502' ],
	[ 'endpoint_secret.secret', q{UPDATE bm_webhook.endpoint_secret SET secret = NULL}, '23502' ],
	[ 'endpoint_secret.secret', q{UPDATE bm_webhook.endpoint_secret SET secret = secret || '#'}, '22023' ],
	[ 'endpoint_secret.kind', q{UPDATE bm_webhook.endpoint_secret SET kind = NULL}, '23502' ],
	[ 'endpoint_secret.endpoint_secret_kind_check', q{UPDATE bm_webhook.endpoint_secret SET kind = 'rsa'}, '22023' ],
	[ 'endpoint_secret.created_at', sprintf($secret, 'endpoint_id, secret, created_at', 'endpoint_id, secret, NULL'), '' ],
	[ 'endpoint_secret.endpoint_secret_pkey', sprintf($secret, 'id, endpoint_id, secret', 'id, endpoint_id, secret'), '23505' ],
	[ 'endpoint_secret.endpoint_secret_endpoint_id_fkey', sprintf($secret, 'endpoint_id, secret', '-1, secret'), '23503' ],
	[ 'event_type.name', q{INSERT INTO bm_webhook.event_type (name, description) VALUES (NULL, 'x')}, '23502' ],
	[ 'event_type.description', q{INSERT INTO bm_webhook.event_type (name) VALUES ('a.b')}, '23502' ],
	[ 'event_type.shipped', q{UPDATE bm_webhook.event_type SET shipped = NULL}, '23502' ],
	[ 'event_type.event_type_pkey', undef, '' ],
	[ 'status_map.provider', q{INSERT INTO bm_webhook.status_map VALUES (NULL, 'x', 'sent')}, '23502' ],
	[ 'status_map.provider_status', q{INSERT INTO bm_webhook.status_map VALUES ('x', NULL, 'sent')}, '23502' ],
	[ 'status_map.status', q{INSERT INTO bm_webhook.status_map VALUES ('x', 'x', NULL)}, '23502' ],
	[ 'status_map.shipped', q{UPDATE bm_webhook.status_map SET shipped = NULL}, '' ],
	[ 'status_map.status_map_provider_check', q{INSERT INTO bm_webhook.status_map VALUES ('X', 'x', 'sent')}, '23514' ],
	[ 'status_map.provider_status_in_lower_case', q{INSERT INTO bm_webhook.status_map VALUES ('x', 'X', 'sent')}, '23514' ],
	[ 'status_map.status_map_status_check', q{INSERT INTO bm_webhook.status_map VALUES ('x', 'x', 'x')}, '23514' ],
	[ 'status_map.status_map_pkey', undef, '' ]);

my %tried = map { $_->[0] => 1 } @violations;
is_deeply([ grep { !$tried{$_} } split /\n/, $bmw->sql(q{
	WITH ours AS (SELECT oid, relname FROM pg_class WHERE relnamespace::regnamespace::text ~ '^bm_webhook'
		AND relname IN ('application', 'endpoint', 'endpoint_secret', 'event_type', 'status_map'))
	SELECT relname || '.' || conname FROM ours JOIN pg_constraint ON conrelid = ours.oid WHERE contype <> 'n'
	UNION SELECT relname || '.' || attname FROM ours JOIN pg_attribute ON attrelid = ours.oid WHERE attnum > 0 AND attnotnull}) ],
	[], 'every constraint is tried');

for my $violation (@violations)
{
	my ($constraint, $sql, $expected) = @$violation;
	next unless defined $sql;
	my $sent = '';
	$node->psql('postgres', "BEGIN; $sql; ROLLBACK", stderr => \$sent,
		extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	my ($state) = $sent =~ /ERROR:\s+(\w{5})/;
	my @seen = grep { $sent =~ /\Q$_\E/ } @hidden;
	my $says_row = $constraint !~ /^(event_type|status_map)/ && $sent =~ /Failing row/;
	ok(($state // '') eq $expected && !@seen && !$says_row, "$constraint: " . ($expected || 'no error')) or diag($sent);
}
my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
my @lines = grep { /$hidden[0]|$hidden[1]|$hidden[2]/ && !/^\S+ \S+ \S+ \[\d+\] \S+ STATEMENT|LOG:  statement/ } split /\n/, $log;
is_deeply(\@lines, [], 'and nothing of it is in the log');

$bmw->finish(expected => qr/./);

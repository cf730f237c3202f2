# An endpoint whose URL is not allowed is refused when it is written, by INSERT
# and by UPDATE, with an SQLSTATE: addresses, however they are spelled, ports,
# schemes, and whatever else is no public HTTP(S) URL. What is written is the
# normal form.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use Test::More;

# No network is opened: what a new installation does, but for http.
my $bmw = BmWebhook->new(conf => "bm_webhook.allowed_networks = ''\n");

sub insert { return $bmw->sqlstate('INSERT INTO bm_webhook.endpoint (url) VALUES (' . quote($_[0]) . ')') }

is(insert($_), '42501', "address refused: $_") for (
	'http://127.0.0.1/', 'http://127.255.255.254:8080/hook', 'http://0.0.0.0/', 'http://10.1.2.3/',
	'http://172.31.255.255/', 'http://192.168.1.1/', 'http://169.254.169.254/latest/meta-data/',
	'http://100.64.0.1/', 'http://168.63.129.16/', 'http://192.0.2.1/', 'http://198.18.0.1/', 'http://224.0.0.1/',
	'http://255.255.255.255/', 'http://[::1]/', 'http://[::]/', 'http://[::ffff:127.0.0.1]/',
	'http://[::ffff:8.8.8.8]/', 'http://[::127.0.0.1]/', 'http://[64:ff9b::7f00:1]/', 'http://[fe80::1]/',
	'http://[fd00::1]/', 'http://[ff02::1]/', 'http://[2001:db8::1]/', 'http://[2002:7f00:1::]/');
is(insert($_), '42501', "port refused: $_") for ('http://example.com:22/', 'http://example.com:25/', 'http://8.8.8.8:1023/');

# Spellings of an address that a resolver or libcurl would understand.
is(insert($_), '22023', "address refused however it is spelled: $_") for (
	'http://127.1/', 'http://2130706433/', 'http://0x7f000001/', 'http://0x7f.1/', 'http://0177.0.0.1/',
	'http://127.0.0.01/', 'http://127.0.0.1./', 'http://%31%32%37.0.0.1/', "http://\x{e2}\x{91}\x{a0}27.0.0.1/",
	'http:///127.0.0.1/', 'http:/127.0.0.1/', 'http://1.2.3.4.5/', 'http://256.1.1.1/', 'http://1e3/',
	'http://[::1%25lo]/', 'http://[fe80::1%25eth0]/');

is(insert($_), '22023', "URL refused: $_") for (
	'', 'example.com', 'ftp://example.com/', 'file:///etc/passwd', 'gopher://example.com/', 'javascript:alert(1)',
	'http://', 'http:///path', 'http://localhost/', 'http://LOCALHOST:8080/', 'http://a.localhost/',
	'http://localhost./', 'http://intranet/', 'http://user@example.com/', 'http://user:secret@example.com/',
	'http://example.com/#fragment', 'http://example.com/a b', "http://example.com/\t", "http://example.com/\r\nX-A: b",
	'http://example.com\\@10.0.0.1/', "http://ex\x{c3}\x{a4}mple.com/", 'http://example.com:99999/',
	'http://example.com:port/', 'http://example.com/' . 'a' x 2048);
is(insert('http://example.com:0/'), '22023', 'port 0 refused');
is($bmw->sqlstate('INSERT INTO bm_webhook.endpoint (url) VALUES (NULL)'), '23502', 'NULL refused');
is($bmw->sql('SELECT count(*) FROM bm_webhook.endpoint'), 0, 'nothing of it was written');

my %normal = (
	'http://Example.COM' => 'http://example.com/',
	'HTTP://example.com:80/Path?q=A' => 'http://example.com/Path?q=A',
	'https://example.com:443/' => 'https://example.com/',
	'https://example.com:8443/a%20b' => 'https://example.com:8443/a%20b',
	'http://8.8.8.8/' => 'http://8.8.8.8/',
	'http://[2606:4700::1111]/' => 'http://[2606:4700::1111]/');
for my $url (sort keys %normal)
{
	is($bmw->sql('INSERT INTO bm_webhook.endpoint (enabled, url) VALUES (false, ' . quote($url) . ') RETURNING url'),
		$normal{$url}, "accepted: $url");
}

is($bmw->sqlstate(q{UPDATE bm_webhook.endpoint SET url = 'http://127.0.0.1/'}), '42501', 'refused by UPDATE as well');

# The administrator opens a network, and only that one, and can close more.
$bmw->set('bm_webhook.allowed_networks', '10.1.0.0/16, ::1');
$bmw->set('bm_webhook.denied_networks', '8.8.8.0/24');
is(insert('http://10.1.2.3/'), '', 'an opened network is accepted');
is(insert('http://[::1]/'), '', 'an opened address is accepted');
is(insert('http://10.2.2.3/'), '42501', 'its neighbour is not');
is(insert('http://8.8.8.8/'), '42501', 'a closed network is refused');
is($bmw->sqlstate(q{SET bm_webhook.allowed_networks = '127.0.0.0/8'}), '55P02', 'a session cannot open one');

# https only, as it is by default.
$bmw->set('bm_webhook.require_https', 'on');
is(insert('http://example.com/'), '22023', 'http is refused where https is required');
is(insert('https://example.com/'), '', 'https is not');

$bmw->finish;

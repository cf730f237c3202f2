# A package manager replaces bm_webhook.so, libcurl and OpenSSL under a server that runs: everything goes on with what was
# loaded when it started, also in dispatchers that start anew and after a crash, whatever the new files are. A restart takes
# the new ones. What docs/runbook.md looks for in the maps of the process is there.

use strict;
use warnings FATAL => 'all';

use BmWebhook;
use File::Spec;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir('files'));

# An installation of our own, with libraries of its own.
my %path = map { my $what = $_; chomp(my $path = qx($ENV{PG_CONFIG} --$what)); $what => $path } qw(bindir pkglibdir sharedir);
for (values %path)
{
	my $to = $dir . s/^\Q$ENV{BMW_STAGE}\E//r;
	system_or_bail('mkdir', '-p', $to);
	system_or_bail('cp', '-R', '--preserve=mode,links', "$_/.", $to);
}
my ($bindir, $pkglibdir) = map { $dir . s/^\Q$ENV{BMW_STAGE}\E//r } @path{qw(bindir pkglibdir)};
my %loaded = map { m{(lib(?:curl|ssl|crypto)\.so\.\d+) => (\S+)} ? ($1 => $2) : () } split /\n/, qx(ldd $pkglibdir/bm_webhook.so);
my %file = ('bm_webhook.so' => "$pkglibdir/bm_webhook.so", map { $_ => "$dir/$_" } keys %loaded);
system_or_bail('cp', '-L', $loaded{$_}, $file{$_}) for keys %loaded;
system_or_bail('cp', $file{$_}, "$file{$_}.old") for keys %file;
cmp_ok(scalar keys %loaded, '>=', 2, 'libcurl and OpenSSL are files of ours');

system_or_bail('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=here', '-addext', 'subjectAltName=IP:127.0.0.1',
	'-keyout', "$dir/key", '-out', "$dir/crt");
my %new = (install_path => $bindir =~ s{/bin$}{}r, receiver => { tls_key => "$dir/key", tls_cert => "$dir/crt" }, conf => "bm_webhook.ca_file = '$dir/crt'\n");
my $bmw;
{
	local $ENV{LD_LIBRARY_PATH} = join ':', $dir, $ENV{LD_LIBRARY_PATH} // ();
	$bmw = BmWebhook->new(%new);
}
my $receiver = $bmw->receiver;
$bmw->endpoint('/ok/plain');
$bmw->endpoint($receiver->tls_url('/ok/tls'));

# A new session, with functions of the library, and a request over each of the others.
sub works
{
	my ($description) = @_;
	note($description);
	$bmw->wait_for_delivery($bmw->emit('test.event'));
	return;
}
sub replaced { return grep { PostgreSQL::Test::Utils::slurp_file('/proc/' . $bmw->dispatcher . '/maps') =~ m{\Q$file{$_}\E \(deleted\)} } sort keys %file }

works('before');
is_deeply([ replaced() ], [], 'its files are those on the disk');

# As dpkg does it: another file, under the same name.
for my $name (keys %file)
{
	append_to_file("$file{$name}.new", 'not a library');
	rename "$file{$name}.new", $file{$name} or die "rename: $!";
}
works('replaced');
is_deeply([ replaced() ], [ sort keys %file ], 'the maps say that its files are gone');

my $pid = $bmw->dispatcher;
kill 'TERM', $pid;
wait_until('another dispatcher runs', sub { $bmw->dispatcher != $pid });
works('a dispatcher that starts anew');
is_deeply([ replaced() ], [ sort keys %file ], 'it has the old ones, too');

$pid = $bmw->dispatcher;
$bmw->kill_and_recover($pid);
wait_until('another dispatcher runs', sub { $bmw->dispatcher != $pid });
works('after a crash');

my $event = $bmw->emit('test.event');
$bmw->node->stop('fast');
rename "$file{$_}.old", $file{$_} or die "rename: $!" for keys %file;
{
	local $ENV{LD_LIBRARY_PATH} = join ':', $dir, $ENV{LD_LIBRARY_PATH} // ();
	$bmw->start;
}
$bmw->wait_for_delivery($event);
works('restarted');
is_deeply([ replaced() ], [], 'it has the new files');

$bmw->finish(expected => qr/crash|was terminated by signal|exited/);

# BmWebhook::Release - a release of before, built from its sources in test/upgrade
# into a PostgreSQL of its own, and replaced by the version of this checkout.
#
#   my $release = BmWebhook::Release->new('0.2.0');
#   my $bmw = BmWebhook->new(install_path => $release->install_path);
#   $release->replace;

package BmWebhook::Release;

use strict;
use warnings FATAL => 'all';

use File::Basename qw(dirname);
use PostgreSQL::Test::Utils qw(system_or_bail);

sub new
{
	my ($class, $version) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $source = "$dir/bm_webhook-$version";

	system_or_bail('tar', '-xzf', "test/upgrade/bm_webhook-$version.tar.gz", '-C', $dir);
	mkdir "$source/tools" or die "mkdir: $!";
	system_or_bail('cp', 'tools/stage', "$source/tools/");
	# Of the staged server here are no headers: those of the system's.
	local $ENV{PG_CONFIG} = _unstaged($ENV{PG_CONFIG});
	delete local $ENV{BMW_INSTRUMENT}; # it is this version that is examined
	my $bindir = qx($source/tools/stage $dir/root);
	die "release $version could not be built" if $? != 0;
	chomp $bindir;
	return bless { root => "$dir/root", install_path => dirname($bindir) }, $class;
}

sub install_path { return $_[0]->{install_path} }

# As make install does it: other files under the same names, whoever has the old ones open.
sub replace
{
	my ($self) = @_;
	for my $option (qw(--pkglibdir --sharedir))
	{
		chomp(my $dir = qx($ENV{PG_CONFIG} $option));
		my $to = $self->{root} . _unstaged($dir);
		my @files = map { s{^\Q$dir/\E}{}r } grep { -f } glob("$dir/bm_webhook.so $dir/extension/bm_webhook*");
		system_or_bail('cp', '--remove-destination', "$dir/$_", "$to/$_") for @files;
	}
	return;
}

sub _unstaged
{
	my ($path) = @_;
	return $path =~ s/^\Q$ENV{BMW_STAGE}\E//r;
}

1;

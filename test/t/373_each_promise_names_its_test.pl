# docs/promises.md: each guarantee of README is in its table, and each test that it names exists; as do those of docs/faults.md.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;

my $page = slurp_file('docs/promises.md');
my ($guarantees) = slurp_file('README.md') =~ /^## Guarantees\n(.*?)^## /ms;
my @promises = map { s/[.,]\z//r } $guarantees =~ /^- \*\*(.*?)\*\*/msg;

cmp_ok(scalar @promises, '>=', 7, 'there are promises');
like($page, qr/^\| \Q$_\E[^|]* \| `/m, "promised: $_") for map { s/\s+/ /gr } @promises;
ok(-s "test/t/$_.pl", "$_ exists") for ($page . slurp_file('docs/faults.md')) =~ /`(\d{3}_\w+)`/g;
is(scalar(my @without = grep { !/`\d{3}_/ } $page =~ /^\| (?!promise|---)(.*)/mg), 0, 'no promise without a test');
done_testing();

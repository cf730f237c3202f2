# make               build the extension; needs pg_config, curl-config and OpenSSL's headers
# make install       install it into that server
# make installcheck  SQL tests against a running server that preloads the extension
# make demo          a private server, a receiver and a few webhooks, in a minute
# make console      a private server with four tenants, traffic and trouble, and the console on it
# make test          everything: unit, SQL and TAP tests in a private server, never as root
# make test-versions the same with PostgreSQL 17 and 18, in Debian chroots; slow, as root
# make test-sanitizers  SQL and TAP tests with the undefined-behaviour sanitizer, and the console with that of addresses
#                    as well; BMW_TAP='test/t/00*.pl' chooses
# make test-valgrind the same with the server run by valgrind; slow, and tests that measure time fail
# make unit          the unit tests of src/core alone
# make fuzz          its parsers under arbitrary input, FUZZ_SECONDS=60 for each; needs clang
# make simulate      its scheduler against simulated crashes, clocks and receivers, SECONDS=60 or SEED=n
# make soak        load while receivers and the server do everything wrong now and then, MINUTES=60; a table of what it did
# make window        the table of its window that tunes itself, against receivers on virtual time
# make bench         measure in a private server, ROWS="drain tls", QUICK=1; also as build/bench.json
# make bench-peers   the same work done by graphile-worker and pg-boss, in Node.js
# make lint          formatting, warnings of two compilers, static analysis, the rules of the rooms
# make format        rewrite the sources in our format
# make clean         remove what was built
#
# PG_CONFIG=/path/to/pg_config chooses the server; WERROR= lets warnings pass.
# test, demo, bench, fuzz and lint install missing Debian packages first (tools/install-deps).

PG_CONFIG ?= pg_config
WERROR ?= -Werror

all:

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' $(firstword $(MAKEFILE_LIST))

test:
	tools/run-tests

demo:
	tools/install-deps build demo
	tools/node-modules
	tools/private examples/demo/run

console:
	tools/install-deps build demo
	tools/node-modules
	tools/private examples/console/run

bench:
	tools/install-deps build bench
	$(MAKE) --silent -C test/bench
	@mkdir -p build
	tools/private test/bench/run 3>"$${BMW_BENCH_JSON:-build/bench.json}"

bench-peers:
	tools/install-deps build bench
	tools/node-modules test/bench/peers
	@mkdir -p build
	tools/private test/bench/peers/run 3>"$${BMW_BENCH_JSON:-build/bench-peers.json}"

test-versions:
	tools/other-versions

test-fresh:
	tools/fresh-machines

test-upgrade:
	BMW_COMMAND='tools/test-upgrade 15 17' tools/fresh-machines two-servers
	BMW_COMMAND='tools/test-upgrade 15 18' tools/fresh-machines next-server

# Leaks are looked for by a process that may read the memory of the console, which nobody may.
test-sanitizers:
	tools/install-deps build test
	tools/node-modules
	BMW_REGRESS="$${BMW_REGRESS-$$($(MAKE) -s --no-print-directory list-regress)}" \
		ASAN_OPTIONS=detect_leaks=0 BMW_INSTRUMENT=sanitizers PG_TEST_TIMEOUT_DEFAULT=180 tools/private tools/run-tests staged

test-valgrind:
	tools/install-deps build test valgrind
	tools/node-modules
	BMW_INSTRUMENT=valgrind PG_TEST_TIMEOUT_DEFAULT=600 tools/private tools/run-tests staged

unit:
	$(MAKE) -C test/unit
	$(MAKE) -C test/fuzz replay

fuzz:
	tools/install-deps build fuzz
	$(MAKE) --silent --no-print-directory -j"$$(nproc)" -C test/fuzz

simulate:
	@$(MAKE) --silent --no-print-directory -C test/simulation build
	@$(MAKE) --silent --no-print-directory -C test/simulation run

window:
	@$(MAKE) --silent --no-print-directory -C test/unit SANITIZE= BUILD=../../build/window ../../build/window/test_window
	@build/window/test_window table

soak:
	tools/install-deps build test
	tools/node-modules
	BMW_SOAK_SECONDS=$$((60 * $(or $(MINUTES),10))) tools/private perl test/t/380_soak.pl

lint:
	tools/install-deps build test lint
	tools/lint

format:
	tools/install-deps lint
	tools/format

.PHONY: all help test test-versions test-fresh test-upgrade test-sanitizers test-valgrind demo console bench bench-peers unit fuzz simulate window soak lint format

# The targets above must work before a server is installed, the ones below need its PGXS.
no_server_goals := help test test-versions test-fresh test-upgrade test-sanitizers test-valgrind demo console bench bench-peers unit fuzz simulate window soak lint format
ifneq (,$(filter-out $(no_server_goals),$(or $(MAKECMDGOALS),all)))

PGXS := $(shell $(PG_CONFIG) --pgxs)
ifeq (,$(wildcard $(PGXS)))
$(error no PostgreSQL to build for: run "tools/install-deps build", or set PG_CONFIG)
endif

# With "make -f elsewhere/Makefile" the sources lie there and the results here.
here := $(patsubst %/,%,$(dir $(firstword $(MAKEFILE_LIST))))
version := $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" $(here)/bm_webhook.control)

EXTENSION = bm_webhook
MODULE_big = bm_webhook
OBJS = $(patsubst $(here)/%.c,%.o,$(wildcard $(here)/src/core/*.c $(here)/src/pg/*/*.c))
DATA = $(patsubst $(here)/%,%,$(wildcard $(here)/sql/bm_webhook--*.sql))
DATA_built = build/bm_webhook--$(version).sql
REGRESS = $(sort $(filter-out bm_webhook--%,$(patsubst $(here)/sql/%.sql,%,$(wildcard $(here)/sql/*.sql))))
EXTRA_CLEAN = build $(OBJS:.o=.d)

# Asserts of src/core hold in its tests; in a server one that fails would take all sessions with it.
PG_CPPFLAGS = -DNDEBUG -I$(srcdir)/src -DBMW_VERSION='"$(version)"' $(shell curl-config --cflags)
# PostgreSQL's own flags warn of declarations at first use, which is how we write.
PG_CFLAGS = -std=gnu11 -Wall -Wextra -Wno-declaration-after-statement $(WERROR) -MMD -MP
PG_LDFLAGS = -Wl,--version-script=$(srcdir)/src/exports.map
SHLIB_LINK = $(shell curl-config --libs) -lssl -lcrypto -lm

# Nobody inlines these functions into a query: no bitcode, hence no clang, unless asked for.
ifneq ($(origin with_llvm),command line)
override with_llvm = no
endif

include $(PGXS)

# Not rules: a folder that exists beside the sources counts as made when the results go elsewhere.
$(shell mkdir -p $(sort build $(dir $(OBJS))))

# PostgreSQL, built with gcc, names flags and an attribute that only gcc knows.
ifneq (,$(findstring clang,$(CC)))
override CFLAGS += -Wno-unknown-warning-option -Wno-ignored-optimization-argument -Wno-ignored-attributes
endif
# PostgreSQL's headers and calling convention do not pass these two.
$(filter src/pg/%,$(OBJS)): override CFLAGS += -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers

# Another server's headers make other objects.
$(shell $(PG_CONFIG) --version | cmp -s - build/server || $(PG_CONFIG) --version >build/server)
$(OBJS): bm_webhook.control Makefile build/server
$(shlib): src/exports.map
-include $(OBJS:.o=.d)

# The one script of the current version, joined in the order of the parts' numbers.
parts := $(sort $(wildcard $(here)/sql/parts/*.sql))
build/bm_webhook--$(version).sql: $(parts) bm_webhook.control
	cat $(parts) >$@

# The console is a program of its own, built where its two libraries are. It signs and sends with src/core.
ifeq (yes,$(shell pkg-config --exists libmicrohttpd libpq 2>/dev/null && echo yes))
console_program := build/bm_webhook_console
else
$(info bm_webhook_console is not built: it needs libmicrohttpd-dev and libpq-dev)
endif
console_sources := $(wildcard $(here)/src/console/*.c)
web_files := $(shell find $(here)/console/web -type f 2>/dev/null)

all: $(console_program)

build/console_web.c: $(here)/console/embed $(web_files)
	$(here)/console/embed $(here)/console/web >$@

core_objects := $(filter src/core/%,$(OBJS))

build/bm_webhook_console: $(console_sources) $(wildcard $(here)/src/console/*.h) build/console_web.c $(core_objects) Makefile
	$(CC) -std=gnu11 -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -Wall -Wextra $(WERROR) $(COPT) $(CONSOLE_FLAGS) \
		-DBMW_VERSION='"$(version)"' -I$(here)/src $(shell pkg-config --cflags libmicrohttpd libpq) -o $@ \
		$(console_sources) build/console_web.c $(core_objects) \
		-Wl,-z,relro,-z,now $(shell pkg-config --libs libmicrohttpd libpq) $(shell curl-config --libs) -lssl -lcrypto -lm

ifneq (,$(console_program))
install: install-console
install-console: $(console_program)
	$(MKDIR_P) '$(DESTDIR)$(bindir)'
	$(INSTALL_PROGRAM) $(console_program) '$(DESTDIR)$(bindir)/bm_webhook_console'

uninstall: uninstall-console
uninstall-console:
	rm -f '$(DESTDIR)$(bindir)/bm_webhook_console'
endif

list-regress:
	@echo $(REGRESS)

.PHONY: list-regress install-console uninstall-console
endif

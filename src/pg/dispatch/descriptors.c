/*
 * pg/dispatch/descriptors.c - how many sockets a dispatcher may have.
 *
 * PostgreSQL plans for max_safe_fds files in each process (storage/file/fd.c), and
 * lends a third of them to others. Sockets by the thousand take nothing from these:
 * they lie on top. The process raises its own soft limit by what they need, and
 * counts them itself; PostgreSQL's own files never notice. Where the hard limit
 * leaves no more than the third, sockets are borrowed from PostgreSQL instead.
 *
 * A request needs two descriptors at most: the pair by which libcurl's name
 * resolver tells that it is done, then a socket, or two while an IPv4 and an IPv6
 * address of the host are tried side by side. With twice max_in_flight
 * requests, and the idle connections, that is what is claimed.
 */
#include "postgres.h"

#include "pg/dispatch/descriptors.h"

#include <sys/resource.h>

#include "pg/server/settings.h"
#include "storage/fd.h"
#include "utils/timestamp.h"

#define FOR_REQUEST 2
#define MAX_REQUESTS (2 * BMW_MAX_IN_FLIGHT)
#define MAX_IDLE 2000 /* with TLS they take 40 KB each */
#define MAX_DESCRIPTORS (FOR_REQUEST * MAX_REQUESTS + MAX_IDLE)
#define POOLS 16
#define IDLE_OF_POOL 32 /* with fewer for each, one pool uses them better */
#define OTHERS 74		/* PostgreSQL's NUM_RESERVED_FDS, and what it had open when it counted */
#define LACK_IS_OVER_MS 60000
#define LENT_LESS 8 /* of PostgreSQL's third: epoll sets, and some to spare */

typedef struct Budget
{
	bool is_lent; /* by PostgreSQL, which then counts them */
	int requests;
	int idle;
	int connections;
	int sockets;
} Budget;

static Budget budget;
static int sockets = 0; /* that are open */

static Budget lent_budget(void);
static Budget own_budget(int descriptors);
static int raisable(struct rlimit *limit);

void
bmw_descriptors_init(void)
{
	struct rlimit limit;
	const Budget own = own_budget(raisable(&limit));

	budget = lent_budget();
	if (own.requests > budget.requests && setrlimit(RLIMIT_NOFILE, &limit) == 0)
		budget = own;
}

int
bmw_descriptors_max_in_flight(void)
{
	return Min(bmw_max_in_flight, budget.requests / 2);
}

int
bmw_descriptors_connections(void)
{
	return budget.connections;
}

int
bmw_descriptors_idle(void)
{
	return budget.idle;
}

int
bmw_descriptors_pools(void)
{
	return budget.is_lent || budget.idle < POOLS * IDLE_OF_POOL ? 1 : POOLS;
}

bool
bmw_descriptors_take(void)
{
	if (budget.is_lent)
		return AcquireExternalFD();
	if (sockets >= budget.sockets)
		return false;
	sockets++;
	return true;
}

void
bmw_descriptors_give_back(void)
{
	if (budget.is_lent)
		ReleaseExternalFD();
	else
		sockets--;
}

void
bmw_descriptors_tell_lack(BmwSlot *slot, const char *what)
{
	static TimestampTz last_at = 0;
	const TimestampTz now = GetCurrentTimestamp();

	bmw_shmem_error(slot, what);
	if (TimestampDifferenceExceeds(last_at, now, LACK_IS_OVER_MS))
		ereport(LOG, errmsg("dispatcher %d of bm_webhook cannot connect: %s", slot->shard, what),
				errhint("It tries again every second; for no delivery that is an attempt."));
	last_at = now;
}

static Budget
lent_budget(void)
{
	const int lent = Max(max_safe_fds / 3 - LENT_LESS, 16);

	return (Budget){.is_lent = true,
					.requests = lent,
					.idle = lent,
					.connections = lent,
					.sockets = lent};
}

static Budget
own_budget(int descriptors)
{
	const int idle = Min(MAX_IDLE, descriptors / 3);
	const int requests = (descriptors - idle) / FOR_REQUEST;

	return (Budget){.requests = requests,
					.idle = idle,
					.connections = requests + idle,
					.sockets = descriptors};
}

/* Descriptors beyond PostgreSQL's when the soft limit is raised to what is then in *limit. */
static int
raisable(struct rlimit *limit)
{
	const rlim_t others = (rlim_t) max_safe_fds + OTHERS;
	rlim_t wanted = others + MAX_DESCRIPTORS;

	if (getrlimit(RLIMIT_NOFILE, limit) != 0)
		return 0;
	if (limit->rlim_max != RLIM_INFINITY)
		wanted = Min(wanted, limit->rlim_max);
	if (wanted <= others)
		return 0;
	if (limit->rlim_cur != RLIM_INFINITY)
		limit->rlim_cur = Max(limit->rlim_cur, wanted);
	return (int) (wanted - others);
}

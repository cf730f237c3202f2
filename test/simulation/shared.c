/*
 * shared.c - what all dispatchers share: the rate limits of applications.
 */
#include <string.h>

#include "core/tokens.h"

#include "check.h"
#include "dispatcher.h"
#include "trace.h"

static BmwTokenSet set;

static int64_t take(void *context, const char *application, int rate, int burst, int64_t now_us);

void
shared_begin(void)
{
	memset(&set, 0, sizeof(set));
	check_rates_begin();
}

void
shared_use(Dispatcher *dispatcher)
{
	BmwTokenPort tokens = {.take = take, .context = dispatcher};

	bmw_scheduler_set_tokens(dispatcher->scheduler, &tokens);
}

static int64_t
take(void *context, const char *application, int rate, int burst, int64_t now_us)
{
	const Dispatcher *dispatcher = context;
	BmwTokenRequest request = {.by = dispatcher->shard,
							   .rate = rate,
							   .burst = burst,
							   .now_us = now_us};
	int64_t again;

	for (int i = 0; i < APPLICATIONS; i++)
		if (strcmp(application, registry_application(i)) == 0)
			request.key = (uint64_t) i + 1;
	again = bmw_tokens_take(&set, &request);
	if (again != 0)
		MET(MET_NO_TOKEN);
	return again;
}

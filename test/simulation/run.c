/*
 * run.c - one run: a time of trouble, then a calm in which all must end.
 */
#include "run.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

#include "check.h"
#include "dispatcher.h"
#include "receivers.h"
#include "support.h"
#include "trace.h"
#include "users.h"
#include "world.h"

#define HANGS 20	 /* seconds of the processor: a run takes less than one */
#define LONGEST 1200 /* seconds: the longest delay, twice, and what clocks and patience add */

static void trouble(void);
static void calm(void);
static void unlock(void);
static void look_once(void);
static void check_paused(void);
static void check_quiet(void);
static void on_signal(int signal);

void
run_begin(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_NODEFER};

	sigaction(SIGABRT, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGVTALRM, &action, NULL);
}

bool
run_plan(const Plan *plan)
{
	const struct itimerval limit = {.it_value = {.tv_sec = HANGS}};
	volatile bool is_good = false;

	trace_begin();
	setitimer(ITIMER_VIRTUAL, &limit, NULL);
	if (setjmp(trace_end) == 0)
	{
		world_begin(plan);
		random_seed(plan->seed ^ UINT64_C(0xB3EB));
		tables_begin();
		registry_begin();
		check_begin();
		dispatchers_begin();
		receivers_begin();
		users_begin();
		trouble();
		calm();
		is_good = true;
	}
	memory_end();
	if (is_good)
		dispatchers_end();
	return is_good;
}

static void
trouble(void)
{
	while (world.now < world.plan.seconds * SECOND)
		world_run_until(world.now + SECOND);
}

static void
calm(void)
{
	world.is_calm = true;
	trace("it is calm from now on");
	users_calm();
	receivers_calm();
	unlock();
	world_run_until(world.now + 30 * SECOND);
	if (!dispatchers_are_up())
		world_run_until(world.now + 30 * SECOND);
	check_paused();
	support_resume_all();
	world_run_until(world.now + SECOND);
	look_once();
	world_run_until(world.now + 10 * SECOND);
	check_plans();
	for (int i = 0; i < LONGEST / 10 && !check_is_done(false); i++)
		world_run_until(world.now + 10 * SECOND);
	check_is_done(true);
	check_operations();
	check_quiet();
}

static void
unlock(void)
{
	tables.log_locked_until = tables.endpoints_locked_until = 0;
	tables.cursor_locked_until = tables.full_until = 0;
	dispatchers_hold(0);
	for (int i = 0; i < tables.events_length; i++)
		for (int e = 0; e < registry.length; e++)
		{
			pair_of(i, e)->is_refused = false;
			if (pair_of(i, e)->locked_until != INT64_MAX)
				pair_of(i, e)->locked_until = 0;
		}
}

/* From then on nothing is found by looking at all that waits: it must be known. */
static void
look_once(void)
{
	for (int i = 0; i < dispatchers_length; i++)
	{
		if (dispatchers[i].is_running)
			check_plan_look(&dispatchers[i], 1);
		dispatcher_wake(i);
	}
}

/* While everything is paused, nobody runs in circles. */
static void
check_paused(void)
{
	unsigned long cycles = 0;

	if (!registry.is_paused)
		return;
	MET(MET_ALL_PAUSED);
	for (int i = 0; i < dispatchers_length; i++)
		cycles += dispatchers[i].cycles;
	world_run_until(world.now + 10 * SECOND);
	for (int i = 0; i < dispatchers_length; i++)
		cycles -= dispatchers[i].cycles;
	if (-(long) cycles > 200 * dispatchers_length)
		violation("%ld cycles in 10 s while everything is paused", -(long) cycles);
}

/* When there is nothing to do, nothing is done. */
static void
check_quiet(void)
{
	unsigned long cycles = 0;
	unsigned long deeds = 0;

	world_run_until(world.now + 10 * SECOND);
	for (int i = 0; i < dispatchers_length; i++)
	{
		cycles += dispatchers[i].cycles;
		deeds += dispatchers[i].deeds;
		check_is_empty(&dispatchers[i]);
	}
	world_run_until(world.now + 50 * SECOND);
	for (int i = 0; i < dispatchers_length; i++)
	{
		cycles -= dispatchers[i].cycles;
		deeds -= dispatchers[i].deeds;
	}
	if (-(long) deeds > 2 * dispatchers_length)
		violation("%ld things are done when there is nothing to do", -(long) deeds);
	if (-(long) cycles > 60 * dispatchers_length)
		violation("%ld cycles in 50 s when there is nothing to do", -(long) cycles);
}

static void
on_signal(int number)
{
	violation("%s", number == SIGABRT	  ? "an assertion of the core"
					: number == SIGVTALRM ? "it hangs"
										  : "a memory fault");
}

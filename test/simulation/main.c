/*
 * main.c - runs seeds: a campaign, one seed with its story, or the fixed ones.
 *
 *   simulate [-s SECONDS] [-n SEEDS] [-f FIRST]   a campaign; stops at the first failure
 *   simulate -r SEED [-x FEATURES] [-e ENDPOINTS] [-w WRITERS] [-t SECONDS]   one, with its story
 *   simulate -c SEEDS                             the fixed ones, each situation must be met
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "run.h"
#include "shrink.h"
#include "trace.h"
#include "world.h"

typedef struct Options
{
	double seconds; /* of real time; 0: no limit */
	uint64_t seeds; /* 0: no limit */
	uint64_t first;
	bool is_check; /* all situations must be met, and runs repeat */
	bool is_one;
	bool is_quiet; /* neither shrink nor tell */
	Plan plan;
} Options;

static Options read_options(int argc, char **argv);
static int run_one(const Options *options);
static int run_campaign(const Options *options);
static bool repeats(uint64_t seed);
static int missed(void);
static double elapsed(void);

int
main(int argc, char **argv)
{
	Options options = read_options(argc, argv);

	run_begin();
	return options.is_one ? run_one(&options) : run_campaign(&options);
}

static Options
read_options(int argc, char **argv)
{
	Options options = {.first = 1, .plan = {.endpoints = -1, .writers = -1, .seconds = -1}};
	bool has_features = false;
	int option;

	while ((option = getopt(argc, argv, "s:n:f:r:x:e:w:t:c:q")) != -1)
	{
		if (option == 's')
			options.seconds = strtod(optarg, NULL);
		else if (option == 'n' || option == 'c')
			options.seeds = strtoull(optarg, NULL, 10);
		else if (option == 'f' || option == 'r')
			options.first = strtoull(optarg, NULL, 10);
		else if (option == 'x')
			options.plan.features = strtoull(optarg, NULL, 16);
		else if (option == 'e')
			options.plan.endpoints = (int) strtol(optarg, NULL, 10);
		else if (option == 'w')
			options.plan.writers = (int) strtol(optarg, NULL, 10);
		else if (option == 't')
			options.plan.seconds = (int) strtol(optarg, NULL, 10);
		else if (option != 'q')
			exit(2);
		has_features |= option == 'x';
		options.is_check |= option == 'c';
		options.is_one |= option == 'r';
		options.is_quiet |= option == 'q';
	}
	if (!has_features)
		options.plan.features = UINT64_MAX;
	return options;
}

/* With its story. */
static int
run_one(const Options *options)
{
	Plan plan = plan_of(options->first);
	bool is_good;

	if (options->plan.features != UINT64_MAX)
		plan.features = options->plan.features;
	if (options->plan.endpoints >= 0)
		plan.endpoints = options->plan.endpoints;
	if (options->plan.writers >= 0)
		plan.writers = options->plan.writers;
	if (options->plan.seconds >= 0)
		plan.seconds = options->plan.seconds;
	trace_is_on = true;
	is_good = run_plan(&plan);
	trace_print(options->is_quiet ? 0 : 65536);
	printf("%s\nseed %" PRIu64 ": %" PRIu64 " steps, %.1f s, hash %016" PRIx64 "\n",
		   is_good ? "all holds" : trace_violation, plan.seed, world.steps,
		   (double) world.now / 1e6, world.hash);
	return is_good ? 0 : 1;
}

static int
run_campaign(const Options *options)
{
	uint64_t steps = 0;
	uint64_t runs = 0;
	int failed = 0;

	(void) elapsed();

	while ((options->seeds == 0 || runs < options->seeds) &&
		   (options->seconds <= 0 || elapsed() < options->seconds))
	{
		Plan plan = plan_of(options->first + runs++);
		bool is_good = run_plan(&plan);

		steps += world.steps;
		if (is_good && options->is_check && runs % 10 == 1 && !repeats(plan.seed))
		{
			printf("seed %" PRIu64 " is not the same twice\n", plan.seed);
			failed++;
		}
		if (is_good)
			continue;
		failed++;
		printf("seed %" PRIu64 " fails after %" PRIu64 " steps: %s\n", plan.seed, steps,
			   trace_violation);
		fflush(stdout);
		if (!options->is_quiet)
			shrink(&plan);
		if (!options->is_check)
			break;
	}
	printf("%" PRIu64 " seeds, %" PRIu64 " steps, %.1f s, %.0f steps a second\n", runs, steps,
		   elapsed(), (double) steps / elapsed());
	if (!options->is_quiet)
		failed += missed() > 0 && options->is_check;
	if (options->is_check)
		printf("simulation: %" PRIu64 " passed, %d failed\n",
			   runs - (uint64_t) (failed < (int) runs ? failed : (int) runs), failed);
	return failed > 0 ? 1 : 0;
}

static bool
repeats(uint64_t seed)
{
	Plan plan = plan_of(seed);
	uint64_t hash = world.hash;

	return run_plan(&plan) && world.hash == hash;
}

/* What no run has met: then nothing was shown about it. */
static int
missed(void)
{
	int count = 0;

	for (int i = 0; i < SITUATIONS; i++)
		if (situations[i] == 0)
		{
			printf("never met: %s\n", situation_name((Situation) i));
			count++;
		}
	return count;
}

static double
elapsed(void)
{
	static struct timespec start;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (start.tv_sec == 0)
		start = now;
	return (double) (now.tv_sec - start.tv_sec) + (double) (now.tv_nsec - start.tv_nsec) / 1e9;
}

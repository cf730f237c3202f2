/*
 * test_window.c - the window that tunes itself, against receivers on virtual time.
 *
 *   test_window          checks, with wide margins
 *   test_window table    prints what is reached (make window)
 *
 * The seeds are others than those with which the constants were chosen.
 */
#include "window_model.h"

#define ALONE .dispatchers = 1, .max_in_flight = 128
#define USUAL ALONE, .length_us = 120 * S, .warm_us = 10 * S
#define FOUR .dispatchers = 4, .max_in_flight = 128, .length_us = 120 * S, .warm_us = 10 * S
#define TROUBLED ALONE, .length_us = 180 * S, .warm_us = 10 * S, .from_us = 60 * S, .to_us = 120 * S
#define WORKERS(n, ms) .workers = (n), .service_us = (ms) *MS
#define SERVICE(ms) .service_us = (ms) *MS, .law = NEARLY_EVEN
#define LIMIT(rate, most) .limit = (rate), .burst = (most)

#define SEEDS 3
#define TABLE_SEEDS 20
#define FIRST_SEED 77000

/* Always more to be sent than can be, but for those with a demand. */
static const Receiver steady[] = {
	{USUAL, .name = "50 workers of 100 ms", WORKERS(50, 100), .possible = 500, .idle_us = 100 * MS,
	 .least = 0.92, .slowest = 1.4},
	{USUAL, .name = "the same, even service times", WORKERS(50, 100), .law = NEARLY_EVEN,
	 .possible = 500, .idle_us = 100 * MS, .least = 0.92, .slowest = 1.4},
	{USUAL, .name = "10 workers of 300 ms", WORKERS(10, 300), .possible = 33.3, .idle_us = 300 * MS,
	 .least = 0.85, .slowest = 2},
	{USUAL, .name = "4 workers of 20 ms, 50 ms away", WORKERS(4, 20), .distance_us = 50 * MS,
	 .possible = 200, .idle_us = 70 * MS, .least = 0.8, .slowest = 1.6},
	{USUAL, .name = "1 worker of 100 ms", WORKERS(1, 100), .possible = 10, .idle_us = 100 * MS,
	 .least = 0.85, .slowest = 6},
	{USUAL, .name = "1 worker of 10 ms, 50/s wanted", WORKERS(1, 10), .demand = 50, .possible = 50,
	 .idle_us = 20 * MS, .least = 0.9, .slowest = 2},
	{USUAL, .name = "50 workers, 450/s wanted", WORKERS(50, 100), .demand = 450, .possible = 450,
	 .idle_us = 100 * MS, .least = 0.95, .slowest = 1.4},
	{USUAL, .name = "50 workers, 100/s wanted", WORKERS(50, 100), .demand = 100, .possible = 100,
	 .idle_us = 100 * MS, .least = 0.95, .slowest = 1.2},
	{USUAL, .name = "unlimited, 100 ms", SERVICE(100), .possible = 1200, .idle_us = 100 * MS,
	 .least = 0.95, .slowest = 1.1},
	{USUAL, .name = "unlimited, lognormal", .service_us = 100 * MS, .law = LOGNORMAL,
	 .possible = 1200, .idle_us = 100 * MS, .least = 0.85, .slowest = 1.3},
	{USUAL, .name = "503 for half, from the 20th second on", WORKERS(25, 100), .share = 0.5,
	 .share_from_us = 20 * S, .possible = 250, .idle_us = 100 * MS, .least = 0.8, .slowest = 1.6},
	{USUAL, .name = "503 for a third", WORKERS(33, 100), .share = 1.0 / 3, .possible = 330,
	 .idle_us = 100 * MS, .least = 0.75, .slowest = 1.6},
	{USUAL, .name = "503 for half", WORKERS(25, 100), .share = 0.5, .possible = 250,
	 .idle_us = 100 * MS, .least = 0.8, .slowest = 1.6},
	{USUAL, .name = "503 for 80 %", WORKERS(25, 100), .share = 0.8, .possible = 250,
	 .idle_us = 100 * MS, .least = 0.8, .slowest = 1.8},
	{USUAL, .name = "429 above 100/s, 50 ms", LIMIT(100, 10), SERVICE(50), .possible = 100,
	 .idle_us = 50 * MS, .least = 0.95, .slowest = 1.1, .most_refused = 0.02},
	{USUAL, .name = "429 above 100/s, 500 ms", LIMIT(100, 10), SERVICE(500), .possible = 100,
	 .idle_us = 500 * MS, .least = 0.85, .slowest = 1.1, .most_refused = 0.06},
	{USUAL, .name = "429 above 5/s", LIMIT(5, 5), SERVICE(50), .possible = 5, .idle_us = 50 * MS,
	 .least = 0.9, .slowest = 1.1, .most_refused = 0.1},
	{ALONE, .length_us = 120 * S, .warm_us = 30 * S, .name = "429 above 5/s instead of 2400/s",
	 LIMIT(5, 5), SERVICE(50), .limit_from_us = 20 * S, .possible = 5, .idle_us = 50 * MS,
	 .least = 0.9, .slowest = 1.1, .most_refused = 0.15},
	{USUAL, .name = "503 above 100/s, 50 ms", LIMIT(100, 10), SERVICE(50), .is_limit_503 = true,
	 .possible = 100, .idle_us = 50 * MS, .least = 0.9, .slowest = 1.1, .most_refused = 0.1},
	{USUAL, .name = "503 above 100/s, 500 ms", LIMIT(100, 10), SERVICE(500), .is_limit_503 = true,
	 .possible = 100, .idle_us = 500 * MS, .least = 0.85, .slowest = 1.1, .most_refused = 0.4},
	{USUAL, .name = "503 above 5/s", LIMIT(5, 5), SERVICE(50), .is_limit_503 = true, .possible = 5,
	 .idle_us = 50 * MS, .least = 0.8, .slowest = 1.1, .most_refused = 0.95},
	{USUAL, .name = "503 above 50 at work", WORKERS(50, 100), .queue = -1, .possible = 500,
	 .idle_us = 100 * MS, .least = 0.6, .slowest = 1.2},
	{USUAL, .name = "503 above 5 at work", WORKERS(5, 100), .queue = -1, .possible = 50,
	 .idle_us = 100 * MS, .least = 0.4, .slowest = 1.2},
	{USUAL, .name = "429 for 1 %, whatever is sent", SERVICE(100), .chance_429 = 0.01,
	 .possible = 1188, .idle_us = 100 * MS, .least = 0.75, .slowest = 1.1},
	{USUAL, .name = "429 for 3 %, whatever is sent", SERVICE(100), .chance_429 = 0.03,
	 .possible = 1164, .idle_us = 100 * MS, .least = 0.45, .slowest = 1.1},
	{USUAL, .name = "429 for 1 %, 20/s wanted", SERVICE(100), .chance_429 = 0.01, .demand = 20,
	 .possible = 19.8, .idle_us = 100 * MS, .least = 0.9, .slowest = 1.1},
	{FOUR, .name = "429 for 1 %, 4 dispatchers", SERVICE(100), .chance_429 = 0.01, .possible = 4752,
	 .idle_us = 100 * MS, .least = 0.75, .slowest = 1.1},
	{USUAL, .name = "429 for 1 % and above 100/s", LIMIT(100, 10), SERVICE(50), .chance_429 = 0.01,
	 .possible = 100, .idle_us = 50 * MS, .least = 0.9, .slowest = 1.1, .most_refused = 0.1},
	{FOUR, .name = "50 workers of 100 ms, 4 dispatchers", WORKERS(50, 100), .possible = 500,
	 .idle_us = 100 * MS, .least = 0.95, .slowest = 8},
	{FOUR, .name = "429 above 100/s, 4 dispatchers", LIMIT(100, 10), SERVICE(50), .possible = 100,
	 .idle_us = 50 * MS, .least = 0.9, .slowest = 1.1, .most_refused = 0.15},
	{FOUR, .name = "503 for half, 4 dispatchers", WORKERS(25, 100), .share = 0.5, .possible = 250,
	 .idle_us = 100 * MS, .least = 0.9, .slowest = 20},
};

/* From the 60th to the 120th second; least: of what was before, after at most so many seconds. */
static const Receiver troubled[] = {
	{TROUBLED, .name = "10 ms, then 1 s, then 10 ms", SERVICE(10), .trouble = IS_SLOW,
	 .possible = 12000, .slowest = 2},
	{TROUBLED, .name = "hangs, and never answers", SERVICE(50), .trouble = HANGS, .possible = 2400,
	 .slowest = 4},
	{TROUBLED, .name = "hangs, and answers at the end", SERVICE(50), .trouble = HANGS_TILL_END,
	 .possible = 2400, .slowest = 4},
	{TROUBLED, .name = "refuses connections", SERVICE(50), .trouble = IS_AWAY, .possible = 2400,
	 .slowest = 4},
	{TROUBLED, .name = "429 for all", SERVICE(50), .trouble = REFUSES, .possible = 2400,
	 .slowest = 4},
	{TROUBLED, .name = "half of 50 workers", WORKERS(50, 100), .trouble = IS_HALVED,
	 .possible = 500, .slowest = 30},
};

#define LENGTH(array) (int) (sizeof(array) / sizeof((array)[0]))

static double
mean_of(const Results *r, int from, int to)
{
	double sum = 0;

	for (int second = from; second < to; second++)
		sum += r->goods[second];
	return sum / (to - from);
}

/* Seconds until it is at nine tenths of what it was before the trouble. */
static int
recovery_of(const Results *r)
{
	const double before = mean_of(r, 40, 60);
	int second = 120;

	while (second < 179 && r->goods[second] < 0.9 * before)
		second++;
	return second - 119;
}

/* Why it is sent no more: what the receiver does, is what is said. */
static BmwWindowReason
reason_of(const Receiver *which)
{
	if (which->limit > 0)
		return which->is_limit_503 ? BMW_WINDOW_REFUSING : BMW_WINDOW_LIMITING;
	if (which->share > 0 || which->queue < 0)
		return BMW_WINDOW_REFUSING;
	return which->workers > 0 ? BMW_WINDOW_LATE : BMW_WINDOW_FREE;
}

static void
check_steady(const Receiver *which)
{
	for (uint64_t seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++)
	{
		const int failures = unit_failures;
		const Results *r = run_model(which, seed);

		CHECK(r->good >= which->least * which->possible);
		CHECK(r->latency_us <= which->slowest * (double) which->idle_us);
		if (which->dispatchers == 1 && which->demand == 0 && which->chance_429 == 0)
			CHECK_INT(r->reason, reason_of(which));
		if (which->most_refused > 0)
			CHECK(r->refused <= which->most_refused);
		if (unit_failures > failures)
			printf("  %s, seed %d: %.1f/s, %.1f ms, %.1f %% refused\n", which->name, (int) seed,
				   r->good, r->latency_us / 1000, 100 * r->refused);
	}
}

static void
check_troubled(const Receiver *which)
{
	for (uint64_t seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++)
	{
		const int failures = unit_failures;
		const Results *r = run_model(which, seed);

		CHECK(mean_of(r, 40, 60) >= 0.8 * which->possible);
		CHECK(recovery_of(r) <= which->slowest);
		/* an attempt is not spent for nothing while nobody answers */
		if (which->trouble == HANGS || which->trouble == IS_AWAY)
			CHECK(r->starts_in_trouble < 400);
		if (unit_failures > failures)
			printf("  %s, seed %d: %.0f/s before, %ld sent meanwhile, back after %d s\n",
				   which->name, (int) seed, mean_of(r, 40, 60), r->starts_in_trouble,
				   recovery_of(r));
	}
}

static int
by_value(const void *a, const void *b)
{
	const double difference = *(const double *) a - *(const double *) b;

	return (difference > 0) - (difference < 0);
}

static void
print_steady(const Receiver *which)
{
	double good[TABLE_SEEDS];
	double latency = 0;
	double refused = 0;

	for (int i = 0; i < TABLE_SEEDS; i++)
	{
		const Results *r = run_model(which, FIRST_SEED + (uint64_t) i);

		good[i] = r->good / which->possible;
		latency += r->latency_us / (double) which->idle_us / TABLE_SEEDS;
		refused += 100 * r->refused / TABLE_SEEDS;
	}
	qsort(good, TABLE_SEEDS, sizeof(good[0]), by_value);
	printf("| %s | %.0f/s | %.2f | %.2f | %.2f | %.1f %% |\n", which->name, which->possible,
		   good[TABLE_SEEDS / 2], good[0], latency, refused);
}

static void
print_troubled(const Receiver *which)
{
	double before = 0;
	double meanwhile = 0;
	double recovery[TABLE_SEEDS];

	for (int i = 0; i < TABLE_SEEDS; i++)
	{
		const Results *r = run_model(which, FIRST_SEED + (uint64_t) i);

		before += mean_of(r, 40, 60) / TABLE_SEEDS;
		meanwhile += (double) r->starts_in_trouble / TABLE_SEEDS;
		recovery[i] = recovery_of(r);
	}
	qsort(recovery, TABLE_SEEDS, sizeof(recovery[0]), by_value);
	printf("| %s | %.0f/s | %.0f | %.0f s | %.0f s |\n", which->name, before, meanwhile,
		   recovery[TABLE_SEEDS / 2], recovery[TABLE_SEEDS - 1]);
}

static void
print_table(void)
{
	printf("| receiver | possible | reached | worst of %d | latency | refused |\n"
		   "|---|---|---|---|---|---|\n",
		   TABLE_SEEDS);
	for (int i = 0; i < LENGTH(steady); i++)
		print_steady(&steady[i]);
	printf("\n| trouble of a minute | before | requests meanwhile | back in | at worst |\n"
		   "|---|---|---|---|---|\n");
	for (int i = 0; i < LENGTH(troubled); i++)
		print_troubled(&troubled[i]);
}

/* Without answers an endpoint has few places, and its probes keep coming. */
static void
test_probes(void)
{
	BmwWindow window = {0};
	int64_t now = S;
	int open = 0;

	bmw_window_begin(&window, 128, now);
	for (const int64_t until = now + 30 * S; now < until; now += S / 100)
		while (bmw_window_next_us(&window, open) <= now)
			bmw_window_started(&window, open++, now);
	CHECK(open >= 8 && open <= 20);
	CHECK(bmw_breaker_is_open(&window.breaker));
	/* the first answer opens it again, also an old one */
	bmw_window_finished(&window, BMW_WINDOW_SUCCESS, --open, S, now);
	CHECK(!bmw_breaker_is_open(&window.breaker));
	CHECK(bmw_window_next_us(&window, open) <= now);
}

static void
test_limit(void)
{
	BmwWindow window = {0};

	bmw_window_begin(&window, 1, S);
	bmw_window_started(&window, 0, S);
	CHECK_INT(bmw_window_next_us(&window, 1), INT64_MAX);
	bmw_window_set_max(&window, 3);
	CHECK(bmw_window_next_us(&window, 2) <= S);
	CHECK_INT(bmw_window_next_us(&window, 3), INT64_MAX);
	bmw_window_set_max(&window, 2);
	CHECK_INT(bmw_window_next_us(&window, 2), INT64_MAX);
}

/* How many are allowed at last where all answers come together, after 0.5 ms and each_us for each. */
static double
size_after(int64_t each_us)
{
	BmwWindow window = {0};
	int64_t now = S;

	bmw_window_begin(&window, 128, now);
	for (int round = 0; round < 2000; round++)
	{
		const int64_t started_us = now;
		int open = 0;

		while (bmw_window_next_us(&window, open) <= now)
			bmw_window_started(&window, open++, now);
		now += 500 + open * each_us;
		while (open > 0)
			bmw_window_finished(&window, BMW_WINDOW_SUCCESS, --open, started_us, now);
	}
	return window.size;
}

/* The milliseconds that a busy dispatcher itself adds to an answer are not the receiver's. */
static void
test_own_delay(void)
{
	CHECK(size_after(30) > 100);
	CHECK(size_after(300) < 32);
}

int
main(int argc, char **argv)
{
	(void) argv;
	if (argc > 1)
	{
		print_table();
		return 0;
	}
	test_probes();
	test_limit();
	test_own_delay();
	for (int i = 0; i < LENGTH(steady); i++)
		check_steady(&steady[i]);
	for (int i = 0; i < LENGTH(troubled); i++)
		check_troubled(&troubled[i]);
	free(events);
	free(waiting);
	return unit_finish("window");
}

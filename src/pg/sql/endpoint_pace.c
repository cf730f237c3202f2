/*
 * pg/sql/endpoint_pace.c - how many requests an endpoint or an application may get: what may be in these columns.
 */
#include "postgres.h"

#include "pg/sql/endpoint_pace.h"

#define MAX_IN_FLIGHT 5000
#define MAX_RATE 10000

void
bmw_endpoint_pace_check_max_in_flight(BmwRow *row, const char *column)
{
	int32 max_in_flight = DatumGetInt32(bmw_row_value(row, column));

	if (max_in_flight < 1 || max_in_flight > MAX_IN_FLIGHT)
		bmw_row_refuse("\"max_in_flight\" is out of range", "It must be between 1 and 5000.",
					   "The default is 128.");
}

void
bmw_endpoint_pace_check_rate_limit(BmwRow *row, const char *column)
{
	int32 rate;

	if (bmw_row_is_null(row, column))
		return;
	rate = DatumGetInt32(bmw_row_value(row, column));
	if (rate < 1 || rate > MAX_RATE)
		bmw_row_refuse("\"rate_limit\" is out of range", "It must be between 1 and 10000.",
					   "It is the number of requests a second; null is no limit.");
}

void
bmw_endpoint_pace_check_rate_burst(BmwRow *row, const char *column)
{
	int32 burst;

	if (bmw_row_is_null(row, column))
		return;
	if (bmw_row_is_null(row, "rate_limit"))
		bmw_row_refuse("\"rate_burst\" needs \"rate_limit\"",
					   "Without a limit there is nothing that a burst could exceed.",
					   "Set both, or neither.");
	burst = DatumGetInt32(bmw_row_value(row, column));
	if (burst < 1 || burst > MAX_RATE)
		bmw_row_refuse("\"rate_burst\" is out of range", "It must be between 1 and 10000.",
					   "It is the number of requests that may start at once after a pause.");
}

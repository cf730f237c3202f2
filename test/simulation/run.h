/*
 * run.h - one run, from its plan to its end.
 */
#ifndef SIM_RUN_H
#define SIM_RUN_H

#include <stdbool.h>

#include "plan.h"

/* False: something did not hold (trace_violation), or the core has given up. */
extern bool run_plan(const Plan *plan);
extern void run_begin(void);

#endif

/*
 * operators.h - what operators do, and what goes wrong around the server.
 */
#ifndef SIM_OPERATORS_H
#define SIM_OPERATORS_H

#include <stdint.h>

/* Arguments of ACTOR_OPERATOR: only that. */
#define CRASH_SOMETHING 1
#define CORRECT_CLOCK 2
#define CRASH_SERVER 3

extern void operators_begin(void);
extern void operators_lock_endpoints(int64_t until);

#endif

/*
 * shrink.h - the least plan that still fails.
 */
#ifndef SIM_SHRINK_H
#define SIM_SHRINK_H

#include "plan.h"

/* Prints it, with the end of its story. */
extern void shrink(const Plan *plan);

#endif

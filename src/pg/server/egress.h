/*
 * pg/server/egress.h - the settings that say by which way requests leave.
 */
#ifndef BMW_PG_SERVER_EGRESS_H
#define BMW_PG_SERVER_EGRESS_H

#include "postgres.h"

#include "core/egress.h"
#include "utils/guc.h"

extern char *bmw_proxy;					 /* '': none */
extern char *bmw_proxy_credentials_file; /* '': none */
extern char *bmw_source_address;		 /* '': the system chooses */

extern bool bmw_egress_check_proxy(char **newval, void **extra, GucSource source);
extern bool bmw_egress_check_credentials(char **newval, void **extra, GucSource source);
extern bool bmw_egress_check_source(char **newval, void **extra, GucSource source);

/*
 * What the settings and the file say now. Bytes that are not used are 0, so that it can be
 * compared. A file that cannot be read is told in the log: then false, and without credentials.
 */
extern bool bmw_egress_read(BmwEgress *egress);

#endif

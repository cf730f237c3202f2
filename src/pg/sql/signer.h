/*
 * pg/sql/signer.h - the signer of a session.
 */
#ifndef BMW_PG_SQL_SIGNER_H
#define BMW_PG_SQL_SIGNER_H

#include "core/sign.h"

/* Kept for the life of the backend. */
extern BmwSigner *bmw_signer_of_session(void);

#endif

/*
 * pg/sql/signer.c - the signer of a session.
 */
#include "postgres.h"

#include "pg/sql/signer.h"

BmwSigner *
bmw_signer_of_session(void)
{
	static BmwSigner *kept = NULL;

	if (kept == NULL)
		kept = bmw_signer_create();
	if (kept == NULL)
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("could not set up signing"));
	return kept;
}

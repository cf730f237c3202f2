/*
 * pg/server/shards.h - how many dispatchers serve a database.
 */
#ifndef BMW_PG_SERVER_SHARDS_H
#define BMW_PG_SERVER_SHARDS_H

/* By bm_webhook.shards; where that is 0, two if the server has processors and workers for them. */
extern int bmw_shards_each(void);
/* The launcher looks now and then whether there are still workers for two of each. */
extern void bmw_shards_review(void);

#endif

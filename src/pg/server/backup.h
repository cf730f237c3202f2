/*
 * pg/server/backup.h - whether the server was started from a backup.
 */
#ifndef BMW_PG_SERVER_BACKUP_H
#define BMW_PG_SERVER_BACKUP_H

/* Notes when this start is one from a backup; by the postmaster, before anything is recovered. */
extern void bmw_backup_note_start(void);
/* The time of the last such start, palloc'd; NULL: none is known. */
extern const char *bmw_backup_start(void);

#endif

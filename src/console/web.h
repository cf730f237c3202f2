/*
 * console/web.h - the front end: the files of console/web, compiled in (console/embed).
 */
#ifndef BMW_CONSOLE_WEB_H
#define BMW_CONSOLE_WEB_H

typedef struct BmwWebFile
{
	const char *path; /* begins with "/"; NULL ends the list */
	const unsigned char *begin, *end;
} BmwWebFile;

extern const BmwWebFile bmw_web_files[];

/* Every path without an ending is a screen's, which /index.html shows. NULL: there is none. */
extern const BmwWebFile *bmw_web_find(const char *path);
/* Its media type. */
extern const char *bmw_web_type(const BmwWebFile *file);

#endif

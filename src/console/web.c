/*
 * console/web.c - the front end: the files of console/web, compiled in (console/embed).
 */
#include "console/web.h"

#include <stddef.h>
#include <string.h>

const BmwWebFile *
bmw_web_find(const char *path)
{
	const char *last = strrchr(path, '/');

	if (last == NULL || strchr(last, '.') == NULL)
		path = "/index.html";
	for (const BmwWebFile *file = bmw_web_files; file->path != NULL; file++)
		if (strcmp(file->path, path) == 0)
			return file;
	return NULL;
}

const char *
bmw_web_type(const BmwWebFile *file)
{
	static const char *const types[][2] = {
		{".html", "text/html; charset=utf-8"},
		{".css", "text/css; charset=utf-8"},
		{".js", "text/javascript; charset=utf-8"},
		{".mjs", "text/javascript; charset=utf-8"},
		{".svg", "image/svg+xml"},
		{".png", "image/png"},
	};
	const char *ending = strrchr(file->path, '.');

	for (size_t i = 0; ending != NULL && i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(ending, types[i][0]) == 0)
			return types[i][1];
	return "text/plain; charset=utf-8";
}

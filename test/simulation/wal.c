/*
 * wal.c - what a crash of the server may take back.
 *
 * Each change of a dispatcher leaves what was there before; a flush forgets
 * that, a crash puts it back, the newest first.
 */
#include <stdlib.h>
#include <string.h>

#include "operations.h"
#include "registry.h"
#include "tables.h"
#include "trace.h"

#define MOST 32768

typedef enum UndoKind
{
	UNDO_ROW,
	UNDO_CURSOR,
	UNDO_ENDPOINT,
	UNDO_OPERATION
} UndoKind;

typedef struct Undo
{
	UndoKind kind;
	uint64_t lsn;
	int event; /* or the shard, or the operation */
	int endpoint;
	Row row;
	void *before; /* of a cursor, of an endpoint, of an operation */
} Undo;

static Undo undos[MOST];
static int length;
static uint64_t end;
static uint64_t flushed;

static Undo *add(UndoKind kind);
static void take_back(const Undo *undo);

void
wal_begin(void)
{
	for (int i = 0; i < length; i++)
		free(undos[i].before);
	length = 0;
	end = flushed = 1;
	rows_begin();
}

uint64_t
wal_end(void)
{
	return end;
}

uint64_t
wal_flushed(void)
{
	return flushed;
}

void
wal_flush(uint64_t position)
{
	int kept = 0;

	if (position > end)
		violation("the WAL is to be flushed further than it reaches");
	if (position > flushed)
		flushed = position;
	for (int i = 0; i < length; i++)
		if (undos[i].lsn <= flushed)
			free(undos[i].before);
		else
			undos[kept++] = undos[i];
	length = kept;
}

uint64_t
wal_commit(void)
{
	return ++end;
}

void
wal_commit_durably(void)
{
	end++;
	wal_flush(end);
}

void
wal_lose(void)
{
	if (length > 0)
		MET(MET_LOST_SUFFIX);
	while (length > 0)
	{
		take_back(&undos[--length]);
		free(undos[length].before);
	}
	/* positions are not given twice: whoever remembers one from before is told nothing wrong */
	flushed = end;
}

void
wal_note_row(int event, int endpoint)
{
	Undo *undo = add(UNDO_ROW);

	undo->event = event;
	undo->endpoint = endpoint;
	undo->row = pair_of(event, endpoint)->row;
}

void
wal_note_endpoint(int endpoint)
{
	Undo *undo = add(UNDO_ENDPOINT);

	undo->endpoint = endpoint;
	undo->before = malloc(sizeof(Version));
	memcpy(undo->before, &registry.endpoints[endpoint].now, sizeof(Version));
}

void
wal_note_operation(int number)
{
	Undo *undo = add(UNDO_OPERATION);

	undo->event = number;
	undo->before = malloc(sizeof(OperationRow));
	memcpy(undo->before, &operations[number].row, sizeof(OperationRow));
}

void
cursor_write(int shard, const BmwSnapshot *snapshot, int64_t since)
{
	Undo *undo = add(UNDO_CURSOR);
	Cursor *cursor = &tables.cursors[shard];

	undo->event = shard;
	undo->before = malloc(sizeof(Cursor));
	memcpy(undo->before, cursor, sizeof(Cursor));
	cursor->xmin = snapshot->xmin;
	cursor->xmax = snapshot->xmax;
	cursor->xip_length = snapshot->xip_length;
	cursor->since = since;
	if (snapshot->xip_length > 0)
		memcpy(cursor->xip, snapshot->xip, sizeof(uint64_t) * (size_t) snapshot->xip_length);
}

static Undo *
add(UndoKind kind)
{
	if (length == MOST)
		wal_flush(end);
	undos[length] = (Undo){.kind = kind, .lsn = end + 1};
	return &undos[length++];
}

static void
take_back(const Undo *undo)
{
	switch (undo->kind)
	{
		case UNDO_ROW:
			if (pair_of(undo->event, undo->endpoint)->row.status == ROW_DELIVERED)
				MET(MET_LOST_DELIVERED);
			row_restore(undo->event, undo->endpoint, &undo->row);
			break;
		case UNDO_CURSOR:
			MET(MET_LOST_CURSOR);
			memcpy(&tables.cursors[undo->event], undo->before, sizeof(Cursor));
			break;
		case UNDO_ENDPOINT:
			if (((const Version *) undo->before)->unverified !=
				registry.endpoints[undo->endpoint].now.unverified)
				MET(MET_LOST_PROOF);
			registry_restore(undo->endpoint, undo->before);
			break;
		case UNDO_OPERATION:
			if (operations[undo->event].row.has_ended)
				MET(MET_LOST_OPERATION);
			memcpy(&operations[undo->event].row, undo->before, sizeof(OperationRow));
			break;
	}
}

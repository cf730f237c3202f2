/*
 * replay.c - runs a driver over its corpus, for compilers without libFuzzer:
 * replay FILE...
 */
#include "fuzz.h"

static void
replay(const char *path)
{
	static uint8_t data[1 << 20];
	FILE *file = fopen(path, "rb");

	REQUIRE(file != NULL);
	LLVMFuzzerTestOneInput(data, fread(data, 1, sizeof(data), file));
	fclose(file);
}

int
main(int argc, char **argv)
{
	REQUIRE(argc > 1);
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	return 0;
}

# test/core.mk - src/core as one archive with sanitizers, for test/unit and test/fuzz.
#
# Set before: ROOT, BUILD. A new module needs no line here. The compiler and its
# flags are remembered in $(BUILD)/flags: objects of two compilers with
# sanitizers cannot be linked together.

SANITIZE ?= -fsanitize=address,undefined
CURL_CFLAGS := $(shell pkg-config --cflags libcurl 2>/dev/null || curl-config --cflags)
CURL_LIBS := $(shell pkg-config --libs libcurl 2>/dev/null || curl-config --libs)
CFLAGS := -std=gnu11 -g -O1 -Wall -Wextra -Werror $(SANITIZE) -fno-sanitize-recover=all \
	-fno-omit-frame-pointer -I$(ROOT)/src -I. $(CURL_CFLAGS)
LDLIBS := $(CURL_LIBS) -lssl -lcrypto -lpthread -lm

CORE_OBJECTS := $(patsubst $(ROOT)/src/core/%.c,$(BUILD)/core/%.o,$(wildcard $(ROOT)/src/core/*.c))
FLAGS_NOW := $(CC) $(shell $(CC) -dumpversion) $(CFLAGS)

$(BUILD)/libcore.a: $(CORE_OBJECTS)
	rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/core/%.o: $(ROOT)/src/core/%.c $(BUILD)/flags
	$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/%.o: %.c $(BUILD)/flags
	$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

# Rewritten only when it would change, so that it rebuilds only then.
$(BUILD)/flags: FORCE
	@mkdir -p $(BUILD)/core
	@echo '$(FLAGS_NOW)' | cmp -s - $@ || echo '$(FLAGS_NOW)' > $@

clean:
	rm -rf $(BUILD)

-include $(wildcard $(BUILD)/*.d $(BUILD)/core/*.d)

.PHONY: clean FORCE
.SECONDARY:

# make            build the library and the tideway command into build/
# make run        install what is missing, build, run the main example
# make test       install what the tests need, build, pass them
# make check      everything CI runs
# make bench      side-by-side measurements (see bench/README.md)

CC      ?= cc
CFLAGS  ?= -O2 -g
WARN     = -std=gnu11 -Wall -Wextra -Wshadow -Wconversion -Werror
LUAJIT  ?= luajit
B        = build

LUA_CFLAGS = $(shell pkg-config --cflags luajit 2>/dev/null || echo -I/usr/include/luajit-2.1)
LUA_LIBS   = $(shell pkg-config --libs luajit 2>/dev/null || echo -lluajit-5.1)
LIBS       = -luv -lz -lzstd -lm -lpthread

SRC  := $(wildcard runtime/*/*.c)
OBJ  := $(SRC:%.c=$(B)/%.o)
LIB   = $(B)/tideway/libtideway.so
CDEF  = $(B)/tideway/cdef.lua

.PHONY: all run test check bench clean deps deps-test
all: $(LIB) $(CDEF) $(B)/bin/tideway

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(WARN) -fPIC -fvisibility=hidden -MMD -Iruntime -c $< -o $@

$(LIB): $(OBJ)
	@mkdir -p $(@D)
	$(CC) -shared -Wl,-soname,libtideway.so.0 -Wl,--no-undefined $(OBJ) -o $@ $(LIBS)

# The text between the markers of tideway.h, as a Lua module.
$(CDEF): runtime/tideway.h
	@mkdir -p $(@D)
	@{ echo '-- generated from runtime/tideway.h'; echo 'return [==['; \
	  awk '/^.. cdef: end/{p=0} p{print} /^.. cdef: begin/{p=1}' $<; echo ']==]'; } > $@

$(B)/bin/tideway: bindings/cli/main.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(WARN) $(LUA_CFLAGS) -Wl,-E $< -o $@ $(LUA_LIBS) -lm -ldl

clean:
	rm -rf $(B)

-include $(OBJ:.o=.d)

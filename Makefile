# make                build the library and the tideway command into build/
# make run            install what is missing, build, run the main example
# make test           install what the tests need, build, pass them
# make check          everything CI runs: tests, sanitizers, style, docs, layers
# make test-broker    the specs that need a real Apache Kafka, which it gets and runs; CI, too
# make docs           the reference pages, written anew from the descriptors
# make bench          side-by-side measurements (see bench/README.md)
# make install        into DESTDIR and PREFIX (default /usr/local); make uninstall
# make deb            a Debian package; make dist: an archive of the sources
#
# B=DIR builds elsewhere, V=1 shows the commands. Nothing missing, nothing installed.

CC      ?= cc
CFLAGS  ?= -O2 -g
WARN     = -std=gnu11 -Wall -Wextra -Wshadow -Wconversion -Werror
LUAJIT  ?= luajit
INSTALL ?= install
Q        = $(if $(V),,@)
JOBS    ?= $(shell nproc 2>/dev/null || echo 2)
B        = build

PREFIX      ?= /usr/local
BINDIR      ?= $(PREFIX)/bin
LIBDIR      ?= $(PREFIX)/lib
INCLUDEDIR  ?= $(PREFIX)/include
LUADIR      ?= $(PREFIX)/share/lua/5.1
LUA_LIBDIR  ?= $(LIBDIR)/lua/5.1

# Asked only when something is compiled or linked, so that `make run` can install them first.
LUA_CFLAGS ?= $(shell pkg-config --cflags luajit 2>/dev/null || echo -I/usr/include/luajit-2.1)
LUA_LIBS   ?= $(shell pkg-config --libs luajit 2>/dev/null || echo -lluajit-5.1)
UV_CFLAGS  ?=
UV_LIBS    ?= -luv
LIBS        = $(UV_LIBS) -lz -lzstd $(LUA_LIBS) -lm -lpthread -ldl

# Libraries beside the core, built where what they need is there; loaded when they are used.
has = $(shell echo '\#include <$(1)>' | $(CC) $(CPPFLAGS) $(2) -E - > /dev/null 2>&1 && echo yes)
CURL_LIBS     ?= -lcurl
# Debian has llhttp as sources (node-llhttp), from Debian 13 on also as a library.
LLHTTP        ?= /usr/share/llhttp
LLHTTP_CFLAGS ?= $(if $(wildcard $(LLHTTP)/llhttp.c),-I/usr/share/include/llhttp)
LLHTTP_LIBS   ?= $(if $(wildcard $(LLHTTP)/llhttp.c),,-lllhttp)
SSL_LIBS      ?= -lssl -lcrypto
LLHTTP_OBJ     = $(patsubst $(LLHTTP)/%.c,$(B)/llhttp/%.o,$(wildcard $(LLHTTP)/*.c))
HTTP_OBJ       = $(B)/runtime/http/client.o
HTTPD          = $(patsubst %,$(B)/runtime/http/%.o,server request answer)
HTTPD_OBJ      = $(HTTPD) $(LLHTTP_OBJ)
WS_LIBS       ?= -lwslay $(SSL_LIBS)
WS_OBJ         = $(patsubst %.c,$(B)/%.o,$(wildcard runtime/ws/*.c)) $(LLHTTP_OBJ)
TLS_OBJ        = $(B)/runtime/http/tls.o
KAFKA_LIBS    ?= -lrdkafka
KAFKA_OBJ      = $(patsubst %.c,$(B)/%.o,$(wildcard runtime/kafka/*.c))
MQTT_OBJ       = $(patsubst %.c,$(B)/%.o,$(wildcard runtime/mqtt/*.c))
EXTRA_NAMES   := $(if $(call has,curl/curl.h),http) $(if $(call has,llhttp.h,$(LLHTTP_CFLAGS)),httpd) \
                 $(if $(call has,openssl/ssl.h),tls) $(if $(call has,librdkafka/rdkafka.h),kafka) \
                 $(if $(call has,openssl/ssl.h),mqtt) \
                 $(if $(and $(call has,wslay/wslay.h),$(call has,openssl/ssl.h),$(call has,llhttp.h,$(LLHTTP_CFLAGS))),ws)
EXTRA          = $(EXTRA_NAMES:%=$(B)/tideway/libtideway-%.so)

SONAME = libtideway.so.0
SRC   := $(filter-out runtime/http/% runtime/kafka/% runtime/mqtt/% runtime/ws/%,$(wildcard runtime/*/*.c))
OBJ   := $(SRC:%.c=$(B)/%.o)
LIB    = $(B)/tideway/libtideway.so
STATIC = $(B)/tideway/libtideway.a
VERSION = $(shell sed -n 's/.*version = "\(.*\)".*/\1/p' lua/tideway.lua)
CDEF   = $(B)/tideway/cdef.lua
BIN    = $(B)/bin/tideway
CODE   = $(B)/tideway/bytecode
LUA   := $(shell find lua bindings/ffi -name '*.lua')

.PHONY: extra-specs all run test test-broker check docs bench clean install uninstall rock-install deb dist deps deps-test deps-check
all: $(LIB) $(EXTRA) $(CDEF) $(BIN) $(CODE)

$(B)/runtime/%.o: runtime/%.c
	@mkdir -p $(@D)
	@echo "cc $<"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(WARN) $(UV_CFLAGS) -fPIC -fvisibility=hidden -fno-semantic-interposition -MMD -MP -Iruntime -c $< -o $@

# gcc 12 would keep the two halves of a compensated sum in one vector, and so make each
# addition wait for the rounding error of the one before it: 7 ns instead of 1.3.
$(B)/runtime/frame/%.o: WARN += -fno-tree-slp-vectorize

# Nothing but loops to be made vectors of, which gcc 12 hardly does at -O2.
$(B)/runtime/frame/block.o: WARN += -O3

# Only luajit's own state holds Lua values: the engine alone sees its headers.
$(B)/runtime/engine/%.o: WARN += $(LUA_CFLAGS)

# Linked anew also when a source file has gone.
$(LIB): $(OBJ) $(B)/objects runtime/tideway.map
	@mkdir -p $(@D)
	@echo "ld $@"
	$(Q)$(CC) $(CFLAGS) -shared -Wl,-soname,$(SONAME) -Wl,-Bsymbolic-functions -Wl,--no-undefined \
	  -Wl,--version-script=runtime/tideway.map $(OBJ) -o $@.new $(LDFLAGS) $(LIBS)
	@mv -f $@.new $@
	@ln -sf $(@F) $(@D)/$(SONAME)

# For programs that want one file: linked whole, and with -rdynamic, as Lua looks for the functions.
# What is made by `install` has a name of its own until it is whole: there may be two at once.
$(STATIC): $(OBJ) $(B)/objects
	@echo "ar $@"
	$(Q)$(AR) rcs $@.$$$$ $(OBJ) && mv -f $@.$$$$ $@

# The core is loaded before them, and found by its soname. They stay loaded: the loop may be
# closed after Lua has let go of them.
define extra-library
	@mkdir -p $(@D)
	@echo "ld $@"
	$(Q)$(CC) $(CFLAGS) -shared -Wl,-soname,$(@F).0 -Wl,--no-undefined $(filter %.o,$^) $(LIB) \
	  -Wl,-z,nodelete -Wl,-rpath,'$$ORIGIN' -o $@.new $(LDFLAGS) $(1) $(UV_LIBS) -lpthread
	@mv -f $@.new $@
endef
$(B)/tideway/libtideway-http.so: $(HTTP_OBJ) $(LIB)
	$(call extra-library,$(CURL_LIBS))
$(B)/tideway/libtideway-httpd.so: $(HTTPD_OBJ) $(LIB)
	$(call extra-library,$(LLHTTP_LIBS))
$(B)/tideway/libtideway-tls.so: $(TLS_OBJ) $(LIB)
	$(call extra-library,$(SSL_LIBS))
$(B)/tideway/libtideway-kafka.so: $(KAFKA_OBJ) $(LIB)
	$(call extra-library,$(KAFKA_LIBS))
$(B)/tideway/libtideway-ws.so: $(WS_OBJ) $(LIB)
	$(call extra-library,$(WS_LIBS) $(LLHTTP_LIBS))
$(B)/tideway/libtideway-mqtt.so: $(MQTT_OBJ) $(LIB)
	$(call extra-library,$(SSL_LIBS))
$(HTTPD): CPPFLAGS += $(LLHTTP_CFLAGS)
$(B)/runtime/ws/%.o: CPPFLAGS += $(LLHTTP_CFLAGS)
$(B)/llhttp/%.o: $(LLHTTP)/%.c
	@mkdir -p $(@D)
	@echo "cc $<"
	$(Q)$(CC) $(CPPFLAGS) $(LLHTTP_CFLAGS) -DLLHTTP_STRICT_MODE=1 $(CFLAGS) -w -fPIC -fvisibility=hidden -c $< -o $@

# For spec/c/run.sh: what the specs of these parts link besides the core.
extra-specs:
	@echo $(if $(filter http,$(EXTRA_NAMES)),$(HTTP_OBJ) $(CURL_LIBS)) \
	  $(if $(filter httpd,$(EXTRA_NAMES)),$(HTTPD_OBJ) $(LLHTTP_LIBS)) \
	  $(if $(filter tls,$(EXTRA_NAMES)),$(TLS_OBJ) $(SSL_LIBS)) \
	  $(if $(filter kafka,$(EXTRA_NAMES)),$(KAFKA_OBJ) $(KAFKA_LIBS)) \
	  $(if $(filter mqtt,$(EXTRA_NAMES)),$(MQTT_OBJ) $(SSL_LIBS)) \
	  $(if $(filter ws,$(EXTRA_NAMES)),$(WS_OBJ) $(WS_LIBS) $(LLHTTP_CFLAGS))

$(B)/objects: FORCE
	@mkdir -p $(@D)
	@echo '$(OBJ)' | cmp -s - $@ || echo '$(OBJ)' > $@
FORCE:

# The text between the markers of tideway.h, as a Lua module that gives it by its parts; without
# comments, which would be half of it.
$(CDEF): runtime/tideway.h
	@mkdir -p $(@D)
	@awk '/^.. cdef: end/{p=0} sub(/^.. cdef: part /,"tw_part "){sub(/ .\/$$/,"")} p{print} /^.. cdef: begin/{p=1}' $< | \
	  $(CC) -fpreprocessed -x c -E -P - | \
	  awk '/^tw_part /{part=$$2; if (!(part in text)) names[++n]=part; next} {text[part]=text[part] $$0 "\n"} \
	    END{print "-- generated from runtime/tideway.h\nreturn {"; \
	      for (i=1; i<=n; i++) printf "%s = [==[\n%s]==],\n", names[i], text[names[i]]; print "}"}' > $@.new
	@mv -f $@.new $@

$(BIN): bindings/cli/main.c $(B)/runtime/engine/place.o $(B)/runtime/engine/bytecode.o
	@mkdir -p $(@D)
	@echo "cc $<"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(WARN) $(LUA_CFLAGS) -Iruntime -Wl,-E $^ -o $@ $(LDFLAGS) $(LUA_LIBS) -lm -ldl

# The bytecode of the Lua modules: half the time of a short run.
$(CODE): $(BIN) $(LUA) $(CDEF) bindings/cli/precompile.lua
	@TIDEWAY_ROOT=. $(BIN) run bindings/cli/precompile.lua $(realpath .) $@ $(LUA) $(CDEF)

# What an installation has besides code: the man page, completion, what editors read.
SHARE = $(addprefix $(B)/share/,man annotations bash zsh fish)
$(SHARE): $(B)/share/%: bindings/cli/generate.lua $(LUA) | $(CODE) $(LIB) $(CDEF)
	@mkdir -p $(@D)
	@TIDEWAY_ROOT=. $(BIN) run $< $* > $@.$$$$ && mv -f $@.$$$$ $@

deps:
	@sh .ci/deps run
deps-test:
	@sh .ci/deps test
deps-check:
	@sh .ci/deps check

# The second make sees what deps has just installed.
run: deps
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@$(BIN) run examples/flights.lua

test: deps-test
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@sh .ci/steps cspecs specs examples

test-broker: deps-test
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@B=$(B) sh .ci/broker test

check: deps-check
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@sh .ci/steps lint format docs cspecs sanitizers threads specs examples

docs: all
	@TIDEWAY_LIB=$(abspath $(LIB)) $(LUAJIT) lua/tideway/docs.lua

bench: all
	@B=$(B) bench/run

LUA_FILES = $(filter-out bindings/%,$(LUA))

SHAREDIR ?= $(PREFIX)/share
install: all $(STATIC) $(SHARE)
	$(INSTALL) -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR) $(DESTDIR)$(INCLUDEDIR) \
	  $(DESTDIR)$(LUADIR)/tideway $(DESTDIR)$(LUA_LIBDIR)/tideway
	$(INSTALL) -m 755 $(BIN) $(DESTDIR)$(BINDIR)/tideway
	$(INSTALL) -m 644 $(LIB) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libtideway.so
	ln -srf $(DESTDIR)$(LIBDIR)/$(SONAME) $(DESTDIR)$(LUA_LIBDIR)/tideway/libtideway.so
	$(INSTALL) -m 644 $(STATIC) $(DESTDIR)$(LIBDIR)/
	$(INSTALL) -d $(DESTDIR)$(LIBDIR)/pkgconfig
	@sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' \
	  -e 's|@VERSION@|$(VERSION)|' -e 's|@LIBS@|$(LIBS)|' bindings/c/tideway.pc.in \
	  > $(DESTDIR)$(LIBDIR)/pkgconfig/tideway.pc
	@chmod 644 $(DESTDIR)$(LIBDIR)/pkgconfig/tideway.pc
	$(INSTALL) -m 644 runtime/tideway.h $(DESTDIR)$(INCLUDEDIR)/tideway.h
	@for f in $(EXTRA); do n=$${f##*/}; \
	  $(INSTALL) -m 644 $$f $(DESTDIR)$(LIBDIR)/$$n.0 && ln -sf $$n.0 $(DESTDIR)$(LIBDIR)/$$n && \
	  ln -srf $(DESTDIR)$(LIBDIR)/$$n.0 $(DESTDIR)$(LUA_LIBDIR)/tideway/$$n || exit 1; done
	@for f in $(LUA_FILES:lua/%=%); do $(INSTALL) -D -m 644 lua/$$f $(DESTDIR)$(LUADIR)/$$f || exit 1; done
	$(INSTALL) -m 644 bindings/ffi/tideway/*.lua bindings/nginx/tideway/*.lua $(CDEF) $(DESTDIR)$(LUADIR)/tideway/
	$(INSTALL) -d $(DESTDIR)$(PREFIX)/lib/tideway
	@TIDEWAY_ROOT=. $(BIN) run bindings/cli/precompile.lua --installed $(LUADIR) \
	  $(DESTDIR)$(PREFIX)/lib/tideway/bytecode $(LUA) $(CDEF)
	$(INSTALL) -D -m 644 $(B)/share/man $(DESTDIR)$(SHAREDIR)/man/man1/tideway.1
	$(INSTALL) -D -m 644 $(B)/share/annotations $(DESTDIR)$(SHAREDIR)/tideway/library/tideway.lua
	$(INSTALL) -D -m 644 $(B)/share/bash $(DESTDIR)$(SHAREDIR)/bash-completion/completions/tideway
	$(INSTALL) -D -m 644 $(B)/share/zsh $(DESTDIR)$(SHAREDIR)/zsh/vendor-completions/_tideway
	$(INSTALL) -D -m 644 $(B)/share/fish $(DESTDIR)$(SHAREDIR)/fish/vendor_completions.d/tideway.fish

uninstall:
	rm -f $(DESTDIR)$(BINDIR)/tideway $(DESTDIR)$(LIBDIR)/$(SONAME) $(DESTDIR)$(LIBDIR)/libtideway.so \
	  $(DESTDIR)$(LIBDIR)/libtideway-*.so $(DESTDIR)$(LIBDIR)/libtideway-*.so.0 \
	  $(DESTDIR)$(INCLUDEDIR)/tideway.h $(DESTDIR)$(LUADIR)/tideway.lua $(DESTDIR)$(LIBDIR)/libtideway.a \
	  $(DESTDIR)$(LIBDIR)/pkgconfig/tideway.pc $(DESTDIR)$(SHAREDIR)/man/man1/tideway.1 \
	  $(DESTDIR)$(SHAREDIR)/bash-completion/completions/tideway \
	  $(DESTDIR)$(SHAREDIR)/zsh/vendor-completions/_tideway \
	  $(DESTDIR)$(SHAREDIR)/fish/vendor_completions.d/tideway.fish
	rm -rf $(DESTDIR)$(SHAREDIR)/tideway $(DESTDIR)$(PREFIX)/lib/tideway $(DESTDIR)$(LUADIR)/tideway $(DESTDIR)$(LUA_LIBDIR)/tideway

# A Debian package of this tree, build/tideway_VERSION_ARCH.deb; its sources as an archive.
deb: all
	@sh bindings/deb/build.sh $(B)
dist:
	@git archive --format=tar.gz --prefix=tideway-$(VERSION)/ -o tideway-$(VERSION).tar.gz HEAD
	@echo tideway-$(VERSION).tar.gz

# For luarocks: its own folders; the library stands among the Lua C modules.
rock-install: all
	@mkdir -p $(BINDIR) $(LUADIR)/tideway $(LUA_LIBDIR)/tideway
	$(INSTALL) -m 755 $(BIN) $(BINDIR)/tideway
	$(INSTALL) -m 755 $(LIB) $(EXTRA) $(LUA_LIBDIR)/tideway/
	@for f in $(LUA_FILES:lua/%=%); do $(INSTALL) -D -m 644 lua/$$f $(LUADIR)/$$f || exit 1; done
	$(INSTALL) -m 644 bindings/ffi/tideway/*.lua bindings/nginx/tideway/*.lua $(CDEF) $(LUADIR)/tideway/

clean:
	rm -rf $(B)

-include $(OBJ:.o=.d) $(wildcard $(B)/runtime/http/*.d $(B)/runtime/kafka/*.d $(B)/runtime/mqtt/*.d $(B)/runtime/ws/*.d)

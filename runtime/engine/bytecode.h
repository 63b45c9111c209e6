/* bytecode.h -- Lua modules as bytecode, for who makes a Lua state. */
#ifndef TIDEWAY_ENGINE_BYTECODE_H
#define TIDEWAY_ENGINE_BYTECODE_H

#include <lua.h>

/* Puts a searcher into package.loaders, before those that look for files, that takes modules of
 * tideway from
 * file     what bindings/cli/precompile.lua has written for
 * root     this tree, else it is left alone; so is a file that is not there
 * folders  where the sources are, up to NULL: a module whose source is newer than the file, or
 *          gone, is not taken, nor is bytecode that this LuaJIT refuses
 * Once in a state. Raises errors of Lua's memory. */
void tw__bytecode_use(lua_State *L, const char *file, const char *root,
                      const char *const folders[]);

/* For a while no module will be loaded: do not count what is mapped as memory of this process
 * meanwhile. */
void tw__bytecode_rest(lua_State *L);

#endif

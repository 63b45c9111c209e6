/* place.h -- where tideway's Lua modules are, for who makes a Lua state. */
#ifndef TIDEWAY_ENGINE_PLACE_H
#define TIDEWAY_ENGINE_PLACE_H

#include <lua.h>

/* Puts the folders of tideway's modules before package.path and package.cpath of a state with
 * its libraries open, so that `require "tideway"` finds those that belong to
 * folder  where the library, or the command, is: build/tideway of a source tree,
 *         PREFIX/lib of an installation, lib/lua/5.1/tideway of a rock's tree
 * root    a source tree, or the prefix of an installation, to be taken instead; NULL or "":
 *         none. It is package.loaded["tideway.root"] from now on.
 * Bytecode that make has left is used, while it is not older than the source. Leaves them
 * alone when there is nothing near folder. Raises errors of Lua's memory. */
void tw__place_modules(lua_State *L, const char *folder, const char *root);

#endif

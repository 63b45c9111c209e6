/* watch.h -- what the parts of follow need of watch.c. */
#ifndef TIDEWAY_SOURCE_WATCH_H
#define TIDEWAY_SOURCE_WATCH_H

#include "loop/loop.h"

/* Has seen() called for each event of the watch instead of reporting its handle.
 * wd    what tw__watch_add returned, -1: events were lost.
 * name  the file in a watched directory, "" for what was watched itself. */
void tw__watch_seen(tw_watch *watch, void (*seen)(void *data, int wd, const char *name),
                    void *data);

/* Watches a directory for names that come and go, or a file for what is written to it
 * and done to it. Returns a number from 0, the same for the same directory or file, or
 * TW_EIO: it is not there or cannot be watched. */
int tw__watch_dir(tw_watch *watch, const char *path);
int tw__watch_file(tw_watch *watch, int fd, const char *path);

void tw__watch_remove(tw_watch *watch, int wd);

#endif

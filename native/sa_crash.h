/* Crash points: SA_CP("name") may SIGKILL the process, in the test build only
 * (STEM_CP=1).  Elsewhere it is nothing at all. */
#ifndef SA_CRASH_H
#define SA_CRASH_H

/* cdef begin */
void sa_crash_arm(void *shared);
int sa_crash_built(void);
/* cdef end */

#ifdef STEM_CP
void sa_crash_point(const char *name);
#define SA_CP(name) sa_crash_point(name)
#else
#define SA_CP(name) ((void)0)
#endif

#endif

/* The last words of a worker are written by the interpreter's faulthandler, whose dump
 * of all threads ends after 100 of them, the main one last.  So its dump of the thread
 * that the signal has come to goes first, and calls what was installed before it: this,
 * which has the dump of all threads follow. */
#ifndef SA_WORDS_H
#define SA_WORDS_H

/* cdef begin */
/* Worker: after `signo`, `then` comes to the same thread.  SA_OK or SA_INVALID. */
int sa_words_follow(int signo, int then);
/* cdef end */

#endif

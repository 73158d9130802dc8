/* Scratch memory: one arena per calling thread, kept between ops. */
#ifndef FNN_WORKSPACE_H
#define FNN_WORKSPACE_H

#include <stddef.h>

/* At least `size` bytes aligned to FNN_ALIGN, valid until this thread's next call; NULL when the
 * system has none. */
void *fnn_workspace(size_t size);

#endif

#include "core/workspace.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/op.h"

/* An arena above this size is given back when its thread next needs less. */
static const size_t KEEP = (size_t)32 << 20;

typedef struct arena {
    void *memory;
    size_t size;
} arena;

static _Thread_local arena mine;
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void release(void *memory)
{
    free(memory);
}

static void make_key(void)
{
    pthread_key_create(&key, release); /* frees a thread's arena when the thread ends */
}

void *fnn_workspace(size_t size)
{
    if (size <= mine.size && (mine.size <= KEEP || size > KEEP)) return mine.memory;
    pthread_once(&once, make_key);
    free(mine.memory);
    mine = (arena){0};
    pthread_setspecific(key, NULL);
    if (size > SIZE_MAX - FNN_ALIGN) return NULL;
    const size_t rounded = (size + FNN_ALIGN - 1) / FNN_ALIGN * FNN_ALIGN;
    void *memory = aligned_alloc(FNN_ALIGN, rounded);
    if (!memory) return NULL;
    mine = (arena){.memory = memory, .size = rounded};
    pthread_setspecific(key, memory);
    return memory;
}

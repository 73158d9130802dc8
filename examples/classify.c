/* Classifies an image without Python: a program that `python examples/export_lenet5.py` wrote, run by
 * the C library alone.
 *
 *     cmake -S . -B build/c -DFASTNN_PYTHON=OFF && cmake --build build/c
 *     cc -I csrc examples/classify.c build/c/libfnn.a -lm -lpthread -o classify
 *     ./classify lenet5.fnn digit.raw
 *
 * The image is raw: the floats of the program's input. */
#include <stdio.h>
#include <stdlib.h>

#include "fastnn.h"

static int fail(const char *what)
{
    fprintf(stderr, "classify: %s\n", what);
    return 1;
}

static bool read_floats(const char *path, float *to, size_t count)
{
    FILE *file = fopen(path, "rb");
    if (!file) return false;
    const bool whole = fread(to, sizeof *to, count, file) == count && fgetc(file) == EOF;
    fclose(file);
    return whole;
}

int main(int argc, char **argv)
{
    if (argc != 3) return fail("usage: classify PROGRAM IMAGE");
    char message[256];
    fnn_model *model = fnn_model_load(argv[1], message, sizeof message);
    if (!model) return fail(message);
    if (fnn_model_inputs(model) != 1 || fnn_model_outputs(model) != 1)
        return fail("the program is no classifier of images");
    const fnn_array_type *in = fnn_model_input(model, 0), *out = fnn_model_output(model, 0);
    if (in->type != FNN_TYPE_F32 || out->type != FNN_TYPE_F32 || out->dims != 2)
        return fail("the program is no classifier of images");
    float *image = malloc(in->bytes), *scores = malloc(out->bytes);
    if (!image || !scores) return fail("no memory");
    if (!read_floats(argv[2], image, in->bytes / sizeof *image))
        return fail("the image is not what the program expects");

    const void *inputs[] = {image};
    void *outputs[] = {scores};
    if (fnn_model_run(model, inputs, outputs) != FNN_OK) return fail("no memory");

    for (int64_t n = 0; n < out->shape[0]; n++) {
        const float *row = scores + n * out->shape[1];
        int64_t best = 0;
        for (int64_t c = 1; c < out->shape[1]; c++)
            if (row[c] > row[best]) best = c;
        printf("%lld\n", (long long)best);
    }
    free(image);
    free(scores);
    fnn_model_free(model);
    return 0;
}

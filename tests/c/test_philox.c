/* The known answers of Philox 4x32-10: Random123's kat_vectors, in every lane. */
#define FNN_DOUBLE 0
#define FNN_ISA_NAME test
#include "ops/philox.h"

#include "check.h"

static const struct {
    uint64_t counter[4], key;
    uint32_t expected[4];
} ANSWERS[] = {
    {{0, 0, 0, 0}, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     0xffffffffffffffff,
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     0x299f31d0a4093822,
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

int main(void)
{
    for (size_t i = 0; i < sizeof ANSWERS / sizeof ANSWERS[0]; i++) {
        const words zero = {0};
        words at[4];
        for (int j = 0; j < 4; j++) at[j] = zero + ANSWERS[i].counter[j];
        philox(at, ANSWERS[i].key);
        for (int j = 0; j < 4; j++)
            for (int lane = 0; lane < COUNTERS; lane++)
                CHECK((uint32_t)at[j][lane] == ANSWERS[i].expected[j], "answer %d, word %d", (int)i,
                      j);
    }
    return 0;
}

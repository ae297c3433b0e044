/* x86.h: what an x86 processor and its operating system have. */
#ifndef FBP_X86_H
#define FBP_X86_H

#include <cpuid.h>

enum { YMM_STATE = 0x06, ZMM_STATE = 0xE6 }; /* of XCR0 */

/* Does the operating system save these registers? */
static inline int x86_saves(unsigned state)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return 0;
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return (a & state) == state;
}

/* Has it the FMA instructions? */
static inline int x86_has_fma(void)
{
    unsigned a, b, c, d;
    return x86_saves(YMM_STATE) && __get_cpuid(1, &a, &b, &c, &d) && (c & bit_FMA);
}

/* Has it FMA, and these features of leaf 7? Read here because not every compiler's library does it: that of zig reports none.
 */
static inline int x86_has(unsigned features)
{
    unsigned a, b, c, d;
    return x86_has_fma() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & features) == features;
}

#endif

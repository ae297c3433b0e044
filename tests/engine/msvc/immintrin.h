/* immintrin.h: the intrinsics of x86 that threads.c uses; Clang's own header needs the attributes that Microsoft's lacks. */
#define _mm_pause __builtin_ia32_pause
#define _mm_getcsr __builtin_ia32_stmxcsr
#define _mm_setcsr __builtin_ia32_ldmxcsr

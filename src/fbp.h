/* fbp.h: the C core of fastbp as its callers see it.
 *
 * It is pure functions on pointers: no Python, NumPy, stdio or hidden allocation, and OpenMP in team.c alone. A kernel set is a
 * table of functions for one dtype and one ISA; dispatch.c finds it by name.
 */
#ifndef FBP_H
#define FBP_H

#include "fbp_codes.h"
#include "fbp_dropout.h"
#include "fbp_fma.h"
#include "fbp_layout.h"
#include "fbp_memory.h"
#include "fbp_msvc.h"
#include "fbp_norm.h"
#include "fbp_rows.h"
#include "fbp_table.h"
#include "fbp_team.h"
#include "fbp_threads.h"
#include "fbp_update.h"

#endif

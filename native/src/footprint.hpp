// Which bytes a view touches: bounds, density, overlap and the shadow walk.
#pragma once
#include <cstdint>

#include "plan.hpp"

namespace opentrn {

Footprint footprint_of(int rank, const int64_t* shape, const int64_t* step, int64_t size);

// Whether two views at these addresses may share a byte; exact for views cut from a common row pitch, else cautious.
bool may_overlap(const Footprint& a, int64_t a_address, const Footprint& b, int64_t b_address);

// Calls body(first_byte, byte_count) for each dense run, offsets from the start of the Block; stops when it returns
// false.
template <class Body> bool for_each_run(const Footprint& footprint, int64_t offset, Body&& body) {
    int64_t index[max_axes] = {};
    int64_t at = offset + footprint.low;
    for (;;) {
        if (!body(at, footprint.run_bytes)) return false;
        int i = footprint.rank - 1;
        for (; i >= 0; i--) {
            at += footprint.axis[i].step;
            if (++index[i] < footprint.axis[i].count) break;
            at -= footprint.axis[i].count * footprint.axis[i].step;
            index[i] = 0;
        }
        if (i < 0) return true;
    }
}

}  // namespace opentrn

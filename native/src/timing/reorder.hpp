// A legal order in which stores are triggered later. See src/opentrn/timing/reorder.py, which states the rule.
#pragma once

#include "dependencies.hpp"

namespace opentrn::timing {

// Old rows in their new order. `store` and `fence`, by row: may be held back; what nothing is held back over.
std::vector<int64_t> reorder(const Program& program, Regions& regions, const uint8_t* store, const uint8_t* fence,
                             int64_t window);

}  // namespace opentrn::timing

// Executes one planned instruction on Blocks.
#pragma once
#include "block.hpp"
#include "plan.hpp"

namespace opentrn {

struct Location {
    Block* block;
    int64_t offset;  // elements of the operand's dtype
};

// False, with nothing written, when an operand lies outside its Block or an input has never been written.
bool execute(const Plan& plan, const Location* locations);

}  // namespace opentrn

#include "run.hpp"

#include <cstring>
#include <vector>

namespace opentrn {

namespace {

bool inside(const Footprint& footprint, int64_t offset, const Block& block) {
    return offset + footprint.low >= 0 && offset + footprint.high <= block.nbytes;
}

bool must_be_written(const Plan& plan, int k) {
    return plan.operand[k].reads && !(k == 0 && plan.accumulates_by_shadow);
}

// An input that shares bytes with dst in another layout is read from a copy of its byte range.
bool needs_copy(const Plan& plan, const Arguments& arguments, int k) {
    const uint8_t *dst = arguments.data[0], *source = arguments.data[k];
    bool in_place = plan.instruction->elementwise && plan.operand[k].like_dst && source == dst;
    return !in_place && may_overlap(plan.operand[0].footprint, reinterpret_cast<intptr_t>(dst),
                                    plan.operand[k].footprint, reinterpret_cast<intptr_t>(source));
}

uint8_t* copy_of(const Footprint& footprint, const uint8_t* at, std::vector<uint8_t>& storage) {
    storage.resize(static_cast<size_t>(footprint.high - footprint.low));
    std::memcpy(storage.data(), at + footprint.low, storage.size());
    return storage.data() - footprint.low;
}

}  // namespace

bool execute(const Plan& plan, const Location* locations) {
    int64_t offsets[max_operands];
    Arguments arguments{};
    for (int k = 0; k < plan.operand_count; k++) {
        const OperandPlan& operand = plan.operand[k];
        Block& block = *locations[k].block;
        offsets[k] = locations[k].offset * operand.size;
        if (!inside(operand.footprint, offsets[k], block)) return false;
        if (must_be_written(plan, k) && !block.all_written(operand.footprint, offsets[k])) return false;
        arguments.data[k] = block.data() + offsets[k];
    }
    std::vector<uint8_t> copies[max_operands];
    for (int k = 1; k < plan.operand_count; k++) {
        if (needs_copy(plan, arguments, k)) {
            arguments.data[k] = copy_of(plan.operand[k].footprint, arguments.data[k], copies[k]);
        }
    }
    Block& dst = *locations[0].block;
    if (plan.accumulates_by_shadow) {
        arguments.dst_coverage = dst.coverage(plan.operand[0].footprint, offsets[0]);
        arguments.dst_shadow = dst.shadow ? dst.shadow->data : nullptr;
        arguments.dst_offset = offsets[0];
        arguments.dst_unit = dst.unit;
    }
    plan.instruction->execute(plan, arguments);
    dst.mark_written(plan.operand[0].footprint, offsets[0], plan.operand[0].size);
    return true;
}

}  // namespace opentrn

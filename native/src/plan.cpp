#include <algorithm>
#include <stdexcept>
#include <string>

#include "compile.hpp"
#include "footprint.hpp"

namespace opentrn {

#define OPENTRN_DECLARE(level)    \
    namespace level {             \
    extern const Kernels kernels; \
    }
#ifdef OPENTRN_HAS_v2
OPENTRN_DECLARE(v2)
OPENTRN_DECLARE(v3)
OPENTRN_DECLARE(v4)
#else
OPENTRN_DECLARE(base)
#endif

static std::vector<const Kernels*> find_usable() {
#ifdef OPENTRN_HAS_v2
    std::vector<const Kernels*> usable;
    __builtin_cpu_init();
    if (__builtin_cpu_supports("x86-64-v4")) usable.push_back(&v4::kernels);
    if (__builtin_cpu_supports("x86-64-v3")) usable.push_back(&v3::kernels);
    usable.push_back(&v2::kernels);
    return usable;
#else
    return {&base::kernels};
#endif
}

const std::vector<const Kernels*>& usable_kernels() {
    static const std::vector<const Kernels*> usable = find_usable();
    return usable;
}

namespace {

// Neighbouring axes that one loop can walk become one; axes of length 1 vanish.
Axes merged(int rank, const int64_t* shape, const int64_t* step, int64_t size) {
    Axes result{};
    result.count = 1;
    for (int i = 0; i < rank; i++) {
        result.count *= shape[i];
        if (shape[i] == 1) continue;
        Axis* last = result.rank ? &result.axis[result.rank - 1] : nullptr;
        if (last && last->step == step[i] * shape[i]) *last = {last->count * shape[i], step[i]};
        else result.axis[result.rank++] = {shape[i], step[i]};
    }
    if (!result.rank) result.axis[result.rank++] = {1, size};
    const Axis& inner = result.axis[result.rank - 1];
    result.run = inner.step == size ? inner.count : 1;
    return result;
}

bool same_addresses(const OperandPlan& a, const OperandPlan& b) {
    if (a.size != b.size || a.flat.rank != b.flat.rank) return false;
    return std::equal(a.flat.axis, a.flat.axis + a.flat.rank, b.flat.axis,
                      [](const Axis& x, const Axis& y) { return x.count == y.count && x.step == y.step; });
}

bool repeats_elements(const OperandPlan& operand) {
    return std::any_of(operand.flat.axis, operand.flat.axis + operand.flat.rank,
                       [](const Axis& axis) { return axis.count > 1 && axis.step == 0; });
}

OperandPlan compile_operand(const OperandSpec& spec) {
    if (spec.dtype < 0 || spec.dtype >= dtype_count) throw std::invalid_argument("plan: unknown dtype code");
    if (spec.shape.size() != spec.strides.size()) throw std::invalid_argument("plan: shape and strides differ in rank");
    if (spec.role != "in" && spec.role != "out" && spec.role != "inout") {
        throw std::invalid_argument("plan: role must be in, out or inout");
    }
    OperandPlan operand{};
    operand.dtype = static_cast<DType>(spec.dtype);
    operand.size = item_size(operand.dtype);
    operand.reads = spec.role != "out";
    operand.writes = spec.role != "in";
    operand.rank = static_cast<int>(spec.shape.size());
    for (int i = 0; i < operand.rank; i++) {
        operand.shape[i] = spec.shape[i];
        operand.step[i] = spec.strides[i] * operand.size;
    }
    operand.rows = operand.rank ? operand.shape[0] : 1;
    operand.row_step = operand.rank ? operand.step[0] : operand.size;
    operand.flat = merged(operand.rank, operand.shape, operand.step, operand.size);
    int inner = operand.rank ? operand.rank - 1 : 0;
    operand.row = merged(inner, operand.shape + 1, operand.step + 1, operand.size);
    operand.cols = operand.row.count;
    operand.footprint = footprint_of(operand.rank, operand.shape, operand.step, operand.size);
    return operand;
}

void relate_to_dst(OperandPlan& operand, const OperandPlan& dst) {
    operand.like_dst = same_addresses(operand, dst);
    const int64_t shape[] = {operand.rows, dst.cols}, step[] = {operand.row_step, 0};
    operand.spread = merged(2, shape, step, operand.size);
}

const Instruction* find(std::string_view opcode, const Kernels& table) {
    auto* end = table.instructions + table.count;
    auto* found = std::find_if(table.instructions, end, [&](const Instruction& i) { return opcode == i.name; });
    return found == end ? nullptr : found;
}

bool is_too_large(const Signature& signature) {
    bool deep = std::any_of(signature.operands.begin(), signature.operands.end(),
                            [](const OperandSpec& spec) { return spec.shape.size() > max_axes; });
    return deep || signature.operands.empty() || signature.operands.size() > max_operands ||
           signature.ints.size() > max_ints || signature.floats.size() > max_floats;
}

bool has_elements(const OperandSpec& spec) {
    return std::all_of(spec.shape.begin(), spec.shape.end(), [](int64_t n) { return n > 0; });
}

}  // namespace

std::optional<Plan> compile(const Signature& signature, const Kernels& kernels) {
    const Instruction* instruction = find(signature.opcode, kernels);
    if (!instruction || is_too_large(signature)) return std::nullopt;
    if (!std::all_of(signature.operands.begin(), signature.operands.end(), has_elements)) return std::nullopt;
    Plan plan{};
    plan.instruction = instruction;
    for (const OperandSpec& spec : signature.operands) plan.operand[plan.operand_count++] = compile_operand(spec);
    for (int k = 0; k < plan.operand_count; k++) {
        OperandPlan& operand = plan.operand[k];
        relate_to_dst(operand, plan.operand[0]);
        if (operand.writes != (k == 0) || (operand.writes && repeats_elements(operand))) return std::nullopt;
    }
    plan.int_count = static_cast<int>(signature.ints.size());
    plan.float_count = static_cast<int>(signature.floats.size());
    std::copy(signature.ints.begin(), signature.ints.end(), plan.ints);
    std::copy(signature.floats.begin(), signature.floats.end(), plan.floats);
    if (!instruction->accept(plan)) return std::nullopt;
    return plan;
}

}  // namespace opentrn

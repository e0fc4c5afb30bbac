// tensor_reduce(dst, data), ints = [alu, n, negate]: every n trailing elements of data become one element of dst.
//
// The order is fixed: element i of a group goes to lane i % 16; each lane combines its elements from first to last;
// then lanes are halved, lane j with lane j + 8, then j + 4, j + 2, j + 1. Missing elements are the operator's identity.
namespace tensor_reduce {

constexpr int lane_count = 16;

using Fold = void (*)(float* lanes, const float* values, int64_t count);  // lane = lane op value, lanes in turn

// Sixteen lanes as one value, so that they stay in registers on every level.
typedef float Wide __attribute__((vector_size(lane_count * sizeof(float))));

template <Alu op> OPENTRN_INLINE Wide combine(Wide a, Wide b) {
    if constexpr (op == Alu::add) return a + b;
    else if constexpr (op == Alu::multiply) return a * b;
    else if constexpr (op == Alu::maximum) return (a > b) | (a != a) ? a : b;
    else return (a < b) | (a != a) ? a : b;
}

template <Alu op> void fold(float* lanes, const float* values, int64_t count) {
    Wide sum, next;
    memcpy(&sum, lanes, sizeof(sum));
    int64_t i = 0;
    for (; i + lane_count <= count; i += lane_count) {
        memcpy(&next, values + i, sizeof(next));
        sum = combine<op>(sum, next);
    }
    memcpy(lanes, &sum, sizeof(sum));
    for (int j = 0; i < count; i++, j++) lanes[j] = OPENTRN_LEVEL::apply<op>(lanes[j], values[i]);
}

struct Operator {
    Fold fold;
    float identity;
};

static const Operator* operator_of(int64_t code) {
    static const Operator add{fold<Alu::add>, -0.0f}, multiply{fold<Alu::multiply>, 1.0f},
        maximum{fold<Alu::maximum>, -__builtin_inff()}, minimum{fold<Alu::minimum>, __builtin_inff()};
    switch (code) {
        case static_cast<int>(Alu::add): return &add;
        case static_cast<int>(Alu::multiply): return &multiply;
        case static_cast<int>(Alu::maximum): return &maximum;
        case static_cast<int>(Alu::minimum): return &minimum;
        default: return nullptr;
    }
}

static bool accept(Plan& plan) {
    if (plan.operand_count != 2 || plan.int_count < 3 || !all_have_values(plan)) return false;
    const OperandPlan &dst = plan.operand[0], &data = plan.operand[1];
    if (plan.ints[1] < 1 || dst.rows != data.rows || data.cols != dst.cols * plan.ints[1]) return false;
    plan.kernel[0] = operator_of(plan.ints[0]);
    return plan.kernel[0] != nullptr;
}

static float reduce_group(const Operator& op, Cursor& cursor, const OperandPlan& data, int64_t count) {
    alignas(64) float lanes[lane_count], scratch[block_size];
    for (float& lane : lanes) lane = op.identity;
    for (int64_t i = 0; i < count; i += block_size) {
        int64_t n = smaller(block_size, count - i);
        op.fold(lanes, next_values(cursor, data, scratch, n), n);
    }
    for (int width = lane_count / 2; width > 0; width /= 2) op.fold(lanes, lanes + width, width);
    return lanes[0];
}

static void execute(const Plan& plan, const Arguments& arguments) {
    const Operator& op = *static_cast<const Operator*>(plan.kernel[0]);
    const OperandPlan& data = plan.operand[1];
    Cursor cursor(data.flat, arguments.data[1]);
    DType to = plan.operand[0].dtype;
    Store store = store_of(to);
    Stream streams[] = {flat_stream(plan, arguments, 0)};
    float sign = plan.ints[2] ? -1.0f : 1.0f;
    walk_streams(streams, [&](int64_t count, uint8_t** at) {
        for (int64_t i = 0; i < count; i++) {
            float value = reduce_group(op, cursor, data, plan.ints[1]) * sign;
            store(&value, at[0] + i * plan.operand[0].size, 1);
        }
    });
}

}  // namespace tensor_reduce

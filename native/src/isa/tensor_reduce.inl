// tensor_reduce(dst, data), ints = [alu, n, negate]: every n trailing elements of data become one element of dst.
//
// The order is fixed: element i of a group goes to lane i % 16; each lane combines its elements from first to last;
// then lanes are halved, lane j with lane j + 8, then j + 4, j + 2, j + 1. Missing elements are the operator's
// identity.
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
    int64_t i = 0;
    if (count >= lane_count) {
        Wide sum, next;
        memcpy(&sum, lanes, sizeof(sum));
        for (; i + lane_count <= count; i += lane_count) {
            memcpy(&next, values + i, sizeof(next));
            sum = combine<op>(sum, next);
        }
        memcpy(lanes, &sum, sizeof(sum));
    }
    for (int j = 0; i < count; i++, j++) lanes[j] = OPENTRN_LEVEL::apply<op>(lanes[j], values[i]);
}

template <Alu op, int width> OPENTRN_INLINE float halve(const float* lanes) {
    if constexpr (width == 1) {
        return lanes[0];
    } else {
        float half[width / 2];
        for (int j = 0; j < width / 2; j++) half[j] = OPENTRN_LEVEL::apply<op>(lanes[j], lanes[j + width / 2]);
        return halve<op, width / 2>(half);
    }
}
template <Alu op> float halve_all(const float* lanes) { return halve<op, lane_count>(lanes); }

struct Operator {
    Fold fold;
    float (*halve)(const float* lanes);
    float identity;
};

template <Alu op>
constexpr float identity = op == Alu::add        ? -0.0f
                           : op == Alu::multiply ? 1.0f
                           : op == Alu::maximum  ? -__builtin_inff()
                                                 : __builtin_inff();
template <Alu op> constexpr Operator reducing = {fold<op>, halve_all<op>, identity<op>};

static const Operator* operator_of(int64_t code) {
    switch (code) {
        case static_cast<int>(Alu::add): return &reducing<Alu::add>;
        case static_cast<int>(Alu::multiply): return &reducing<Alu::multiply>;
        case static_cast<int>(Alu::maximum): return &reducing<Alu::maximum>;
        case static_cast<int>(Alu::minimum): return &reducing<Alu::minimum>;
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

// The lanes of one group of dense values, halved until one is left.
inline float reduce_values(const Operator& op, float* lanes, const float* values, int64_t count) {
    op.fold(lanes, values, count);
    return op.halve(lanes);
}

inline void reset(const Operator& op, float* lanes) {
    for (int j = 0; j < lane_count; j++) lanes[j] = op.identity;
}

// A group longer than a block comes in pieces; block_size is a multiple of the lanes, so the order is the same.
static void reduce_long_groups(const Operator& op, Cursor& cursor, const Plan& plan, float* results, int64_t groups) {
    alignas(64) float lanes[lane_count], scratch[block_size];
    for (int64_t g = 0; g < groups; g++) {
        reset(op, lanes);
        int64_t left = plan.ints[1];
        for (; left > block_size; left -= block_size) {
            op.fold(lanes, next_values(cursor, plan.operand[1], scratch, block_size), block_size);
        }
        results[g] = reduce_values(op, lanes, next_values(cursor, plan.operand[1], scratch, left), left);
    }
}

// Short groups: as many as fit a block are read at once.
static void reduce_short_groups(const Operator& op, Cursor& cursor, const Plan& plan, float* results, int64_t groups) {
    alignas(64) float lanes[lane_count], scratch[block_size];
    int64_t length = plan.ints[1], together = block_size / length;
    for (int64_t first = 0; first < groups; first += together) {
        int64_t n = smaller(together, groups - first);
        const float* values = next_values(cursor, plan.operand[1], scratch, n * length);
        for (int64_t g = 0; g < n; g++) {
            reset(op, lanes);
            results[first + g] = reduce_values(op, lanes, values + g * length, length);
        }
    }
}

static void execute(const Plan& plan, const Arguments& arguments) {
    const Operator& op = *static_cast<const Operator*>(plan.kernel[0]);
    Cursor cursor(plan.operand[1].flat, arguments.data[1]);
    auto reduce = plan.ints[1] > block_size ? reduce_long_groups : reduce_short_groups;
    Store store = store_of(plan.operand[0].dtype);
    float sign = plan.ints[2] ? -1.0f : 1.0f;
    Stream streams[] = {flat_stream(plan, arguments, 0)};
    walk_streams(streams, [&](int64_t count, uint8_t** at) {
        alignas(64) float results[block_size];
        for (int64_t i = 0; i < count; i += block_size) {
            int64_t n = smaller(block_size, count - i);
            reduce(op, cursor, plan, results, n);
            for (int64_t j = 0; j < n; j++) results[j] *= sign;
            store(results, at[0] + i * plan.operand[0].size, n);
        }
    });
}

}  // namespace tensor_reduce

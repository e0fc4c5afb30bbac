// iota(dst), ints = [offset, channel multiplier, n, n pairs of step and count]: dst[p, i...] = offset + p * multiplier
// + sum(i * step). 32-bit wraparound integers; other types than int32 and uint32 are reached through float32.
namespace iota {

constexpr int64_t max_pattern = 4;

inline bool is_well_formed(const Plan& plan, int64_t extra) {
    int64_t n = plan.int_count > 3 ? plan.ints[2] : 0;
    if (n < 1 || n > max_pattern || plan.int_count != 3 + 2 * n + extra) return false;
    int64_t count = 1;
    for (int64_t i = 0; i < n; i++) count *= plan.ints[4 + 2 * i];
    return count == plan.operand[0].cols;
}

// The affine values of one row, in order.
struct Pattern {
    const Plan& plan;
    int64_t n, start;
    int64_t index[max_pattern] = {};

    Pattern(const Plan& plan, int64_t row) : plan(plan), n(plan.ints[2]), start(plan.ints[0] + row * plan.ints[1]) {}
    int64_t step(int64_t i) const { return plan.ints[3 + 2 * i]; }
    int64_t length(int64_t i) const { return plan.ints[4 + 2 * i]; }

    void next(int32_t* to, int64_t count) {
        while (count > 0) {
            int64_t run = smaller(count, length(n - 1) - index[n - 1]), value = start;
            for (int64_t i = 0; i < n; i++) value += index[i] * step(i);
            uint32_t first = static_cast<uint32_t>(value), stride = static_cast<uint32_t>(step(n - 1));
            for (int64_t j = 0; j < run; j++) to[j] = static_cast<int32_t>(first + static_cast<uint32_t>(j) * stride);
            to += run;
            count -= run;
            index[n - 1] += run;
            for (int64_t i = n - 1; i > 0 && index[i] == length(i); i--) {
                index[i] = 0;
                index[i - 1]++;
            }
        }
    }
};

static bool accept(Plan& plan) {
    return plan.operand_count == 1 && has_value(plan.operand[0].dtype) && is_well_formed(plan, 0);
}

static void execute(const Plan& plan, const Arguments& arguments) {
    const OperandPlan& dst = plan.operand[0];
    bool integer = dst.dtype == DType::int32 || dst.dtype == DType::uint32;
    for (int64_t row = 0; row < dst.rows; row++) {
        Pattern pattern(plan, row);
        Stream streams[] = {row_stream(plan, arguments, 0, row)};
        walk_streams(streams, [&](int64_t count, uint8_t** at) {
            alignas(64) int32_t values[block_size];
            alignas(64) float floats[block_size];
            for (int64_t i = 0; i < count; i += block_size) {
                int64_t n = smaller(block_size, count - i);
                pattern.next(values, n);
                if (integer) {
                    memcpy(at[0] + i * 4, values, static_cast<size_t>(n) * 4);
                    continue;
                }
                load_of(DType::int32)(values, floats, n);
                store_of(dst.dtype)(floats, at[0] + i * dst.size, n);
            }
        });
    }
}

}  // namespace iota

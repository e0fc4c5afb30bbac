// scalar_tensor_tensor(dst, data[, operand0], operand1): dst = (data op0 operand0) op1 operand1, operand0 constant or (P,
// 1). ints = [op0, reverse0, is a vector, op1, reverse1], floats = [operand0].
namespace scalar_tensor_tensor {

// The operand that holds operand1.
inline int other_of(const Plan& plan) { return plan.ints[2] ? 3 : 2; }

static bool accept(Plan& plan) {
    if (plan.int_count < 5 || plan.float_count < 1 || !all_have_values(plan)) return false;
    if (plan.operand_count != 3 + (plan.ints[2] ? 1 : 0)) return false;
    if (!same_rows_and_cols(plan, 0, 1) || !same_rows_and_cols(plan, 0, other_of(plan))) return false;
    if (plan.ints[2] && !is_vector_of(plan, 2, 1)) return false;
    plan.kernel[0] = reinterpret_cast<const void*>(binary_of(plan.ints[0]));
    plan.kernel[1] = reinterpret_cast<const void*>(binary_of(plan.ints[3]));
    return plan.kernel[0] && plan.kernel[1];
}

inline void apply_operator(const Plan& plan, int which, const float* data, const float* operand, float* target,
                           int64_t count) {
    int64_t op = plan.ints[which == 0 ? 0 : 3];
    bool swap = plan.ints[which == 0 ? 1 : 4] && op < static_cast<int>(Alu::invert);
    reinterpret_cast<Binary>(plan.kernel[which])(swap ? operand : data, swap ? data : operand, target, count);
}

// `first` holds operand0, one per element.
inline void apply_block(const Plan& plan, uint8_t** at, int64_t i, int64_t n, const float* first) {
    alignas(64) float a[block_size], b[block_size];
    const OperandPlan &dst = plan.operand[0], &data = plan.operand[1], &other = plan.operand[other_of(plan)];
    const float* x = as_float(data.dtype, at[1] + i * data.size, a, n);
    const float* y = as_float(other.dtype, at[2] + i * other.size, b, n);
    apply_operator(plan, 0, x, first, a, n);
    apply_operator(plan, 1, a, y, a, n);
    store_of(dst.dtype)(a, at[0] + i * dst.size, n);
}

static void execute_rows(const Plan& plan, const Arguments& arguments) {
    alignas(64) float first[block_size];
    bool vector = plan.ints[2] != 0;
    int64_t rows = vector ? plan.operand[0].rows : 1;
    for (int64_t row = 0; row < rows; row++) {
        float value = vector ? vector_value(plan, arguments, 2, row) : static_cast<float>(plan.floats[0]);
        int64_t used = vector ? plan.operand[0].cols : plan.operand[0].flat.count;
        tensor_scalar::repeat_value(first, value, smaller(block_size, used));
        Stream streams[3];
        for (int k = 0; k < 3; k++) {
            int operand = k == 2 ? other_of(plan) : k;
            streams[k] = vector ? row_stream(plan, arguments, operand, row) : flat_stream(plan, arguments, operand);
        }
        walk_streams(streams, [&](int64_t count, uint8_t** at) {
            for (int64_t i = 0; i < count; i += block_size)
                apply_block(plan, at, i, smaller(block_size, count - i), first);
        });
    }
}

static void execute_narrow(const Plan& plan, const Arguments& arguments) {
    Stream streams[4];
    const int order[4] = {0, 1, 3, 2};  // the vector last: it is spread over the columns
    for (int k = 0; k < 4; k++) streams[k] = flat_stream(plan, arguments, order[k]);
    const OperandPlan& vector = plan.operand[2];
    streams[3].axes = &vector.spread;
    walk_streams(streams, [&](int64_t count, uint8_t** at) {
        alignas(64) float scratch[block_size];
        for (int64_t i = 0; i < count; i += block_size) {
            int64_t n = smaller(block_size, count - i);
            apply_block(plan, at, i, n, as_float(vector.dtype, at[3] + i * vector.size, scratch, n));
        }
    });
}

static void execute(const Plan& plan, const Arguments& arguments) {
    bool narrow = plan.ints[2] && plan.operand[0].cols < tensor_scalar::narrow;
    if (narrow) execute_narrow(plan, arguments);
    else execute_rows(plan, arguments);
}

}  // namespace scalar_tensor_tensor

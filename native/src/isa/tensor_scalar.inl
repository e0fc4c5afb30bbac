// tensor_scalar(dst, data[, vector 0][, vector 1]): dst = (data op0 operand0) op1 operand1, operands constant or (P,
// 1). ints = [op0, reverse0, has vector 0, op1 or -1, reverse1, has vector 1, integer mode], floats = [operand0,
// operand1].
namespace tensor_scalar {

constexpr int64_t narrow = 32;  // below this many columns the vectors are walked like full operands

inline int vector_of(const Plan& plan, int which) { return which == 0 || !plan.ints[2] ? 2 : 3; }
inline bool has_vector(const Plan& plan, int which) { return plan.ints[which == 0 ? 2 : 5] != 0; }
inline int64_t op_of(const Plan& plan, int which) { return plan.ints[which == 0 ? 0 : 3]; }
inline bool is_reversed(const Plan& plan, int which) { return plan.ints[which == 0 ? 1 : 4] != 0; }

inline bool is_integral(double value) {
    return value >= -9.0e15 && value <= 9.0e15 && value == static_cast<double>(static_cast<int64_t>(value));
}

static bool accept_operator(Plan& plan, int which) {
    bool absent = which == 1 && op_of(plan, 1) < 0;
    if (absent) return !has_vector(plan, 1);
    if (has_vector(plan, which) && !is_vector_of(plan, vector_of(plan, which), 1)) return false;
    if (plan.ints[6]) {
        if (!has_vector(plan, which) && !is_integral(plan.floats[which])) return false;
        plan.kernel[which] =
            reinterpret_cast<const void*>(integer_binary_of(op_of(plan, which), plan.operand[0].dtype));
    } else {
        plan.kernel[which] = reinterpret_cast<const void*>(binary_of(op_of(plan, which)));
    }
    return plan.kernel[which] != nullptr;
}

static bool accept(Plan& plan) {
    if (plan.int_count < 7 || plan.float_count < 2) return false;
    if (plan.operand_count != 2 + (has_vector(plan, 0) ? 1 : 0) + (has_vector(plan, 1) ? 1 : 0)) return false;
    if (!same_rows_and_cols(plan, 0, 1)) return false;
    if (plan.ints[6] ? !same_integers(plan) : !all_have_values(plan)) return false;
    return accept_operator(plan, 0) && accept_operator(plan, 1);
}

// One operator on a row of floats. Unary operators look at the data whatever the order.
inline void apply_operator(const Plan& plan, int which, const float* data, const float* operand, float* target,
                           int64_t count) {
    auto kernel = reinterpret_cast<Binary>(plan.kernel[which]);
    bool swap = is_reversed(plan, which) && op_of(plan, which) < static_cast<int>(Alu::invert);
    kernel(swap ? operand : data, swap ? data : operand, target, count);
}

// (data op0 first) op1 second on `count` <= block_size elements.
inline void apply_both(const Plan& plan, const uint8_t* data, const float* first, const float* second, uint8_t* target,
                       int64_t count) {
    alignas(64) float scratch[block_size], result[block_size];
    DType to = plan.operand[0].dtype;
    float* out = to == DType::float32 ? reinterpret_cast<float*>(target) : result;
    const float* x = as_float(plan.operand[1].dtype, data, scratch, count);
    if (plan.kernel[1]) {
        apply_operator(plan, 0, x, first, scratch, count);
        apply_operator(plan, 1, scratch, second, out, count);
    } else {
        apply_operator(plan, 0, x, first, out, count);
    }
    if (out == result) store_of(to)(result, target, count);
}

inline void repeat_value(float* to, float value, int64_t count) {
    for (int64_t i = 0; i < count; i++) to[i] = value;
}

struct Constants {
    alignas(64) float row[2][block_size];
    int64_t used;

    explicit Constants(const Plan& plan) : used(smaller(block_size, plan.operand[0].flat.count)) {
        for (int which = 0; which < 2; which++) repeat_value(row[which], static_cast<float>(plan.floats[which]), used);
    }
};

static auto blockwise(const Plan& plan, const Constants& constants) {
    return [&](int64_t count, uint8_t** at) {
        for (int64_t i = 0; i < count; i += block_size) {
            apply_both(plan, at[1] + i * plan.operand[1].size, constants.row[0], constants.row[1],
                       at[0] + i * plan.operand[0].size, smaller(block_size, count - i));
        }
    };
}

static void execute_rows(const Plan& plan, const Arguments& arguments, Constants& constants) {
    constants.used = smaller(block_size, plan.operand[0].cols);
    for (int64_t row = 0; row < plan.operand[0].rows; row++) {
        for (int which = 0; which < 2; which++) {
            if (!has_vector(plan, which)) continue;
            repeat_value(constants.row[which], vector_value(plan, arguments, vector_of(plan, which), row),
                         constants.used);
        }
        Stream streams[] = {row_stream(plan, arguments, 0, row), row_stream(plan, arguments, 1, row)};
        walk_streams(streams, blockwise(plan, constants));
    }
}

static void execute_narrow(const Plan& plan, const Arguments& arguments, const Constants& constants) {
    Stream streams[4] = {flat_stream(plan, arguments, 0), flat_stream(plan, arguments, 1)};
    for (int which = 0; which < 2; which++) {
        int k = has_vector(plan, which) ? vector_of(plan, which) : 1;
        streams[2 + which] = flat_stream(plan, arguments, k);
        if (k != 1) streams[2 + which].axes = &plan.operand[k].spread;
    }
    walk_streams(streams, [&](int64_t count, uint8_t** at) {
        alignas(64) float values[2][block_size];
        for (int64_t i = 0; i < count; i += block_size) {
            int64_t n = smaller(block_size, count - i);
            const float* operand[2] = {constants.row[0], constants.row[1]};
            for (int which = 0; which < 2; which++) {
                if (!has_vector(plan, which)) continue;
                const OperandPlan& vector = plan.operand[vector_of(plan, which)];
                operand[which] = as_float(vector.dtype, at[2 + which] + i * vector.size, values[which], n);
            }
            apply_both(plan, at[1] + i * plan.operand[1].size, operand[0], operand[1], at[0] + i * plan.operand[0].size,
                       n);
        }
    });
}

// ---- integers

template <class T> static void repeat_bits(uint8_t* row, uint32_t value) {
    for (int64_t i = 0; i < block_size; i++) {
        T narrowed = static_cast<T>(value);
        memcpy(row + i * static_cast<int64_t>(sizeof(T)), &narrowed, sizeof(T));
    }
}

static void fill_integers(const Plan& plan, const Arguments& arguments, int which, int64_t row, uint8_t* to) {
    int size = plan.operand[0].size;
    uint32_t value = 0;
    if (has_vector(plan, which)) memcpy(&value, vector_element(plan, arguments, vector_of(plan, which), row), size);
    else value = static_cast<uint32_t>(static_cast<int64_t>(plan.floats[which]));
    if (size == 4) repeat_bits<uint32_t>(to, value);
    else if (size == 2) repeat_bits<uint16_t>(to, value);
    else repeat_bits<uint8_t>(to, value);
}

inline void apply_integer_operator(const Plan& plan, int which, const uint8_t* data, const uint8_t* operand,
                                   uint8_t* target, int64_t count) {
    auto kernel = reinterpret_cast<IntegerBinary>(plan.kernel[which]);
    bool unary =
        op_of(plan, which) == static_cast<int>(Alu::invert) || op_of(plan, which) >= static_cast<int>(Alu::abs);
    bool swap = is_reversed(plan, which) && !unary;
    kernel(swap ? operand : data, swap ? data : operand, target, count);
}

static void execute_integers(const Plan& plan, const Arguments& arguments) {
    alignas(64) uint8_t constants[2][block_size * 4], middle[block_size * 4];
    int64_t size = plan.operand[0].size;
    bool any_vector = has_vector(plan, 0) || has_vector(plan, 1);
    for (int64_t row = 0; row < (any_vector ? plan.operand[0].rows : 1); row++) {
        for (int which = 0; which < 2; which++) fill_integers(plan, arguments, which, row, constants[which]);
        Stream whole[] = {flat_stream(plan, arguments, 0), flat_stream(plan, arguments, 1)};
        Stream one[] = {row_stream(plan, arguments, 0, row), row_stream(plan, arguments, 1, row)};
        walk_streams(any_vector ? one : whole, [&](int64_t count, uint8_t** at) {
            for (int64_t i = 0; i < count; i += block_size) {
                int64_t n = smaller(block_size, count - i);
                uint8_t* target = at[0] + i * size;
                apply_integer_operator(plan, 0, at[1] + i * size, constants[0], plan.kernel[1] ? middle : target, n);
                if (plan.kernel[1]) apply_integer_operator(plan, 1, middle, constants[1], target, n);
            }
        });
    }
}

static void execute(const Plan& plan, const Arguments& arguments) {
    if (plan.ints[6]) return execute_integers(plan, arguments);
    Constants constants(plan);
    if (!has_vector(plan, 0) && !has_vector(plan, 1)) {
        Stream streams[] = {flat_stream(plan, arguments, 0), flat_stream(plan, arguments, 1)};
        walk_streams(streams, blockwise(plan, constants));
    } else if (plan.operand[0].cols < narrow) {
        execute_narrow(plan, arguments, constants);
    } else {
        execute_rows(plan, arguments, constants);
    }
}

}  // namespace tensor_scalar

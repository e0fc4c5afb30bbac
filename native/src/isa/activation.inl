// activation(dst, data[, bias][, scale]): dst = f(data * scale + bias); scale and bias constants or (P, 1) vectors.
// Two roundings before f, one to dst. ints = [f, has bias vector, has scale vector], floats = [scale, bias].
namespace activation {

// clang-format off
enum class Function : int {
    copy = 0, square, sigmoid, relu, prelu, gelu, gelu_dx, gelu_tanh, gelu_sigmoid, gelu_sigmoid_dx, silu, silu_dx,
    tanh, softplus, mish, erf, erf_dx, exp, log, sin, arctan, sqrt, rsqrt, reciprocal, sign, abs,
};
// clang-format on
constexpr int function_count = 26;

template <Function f> OPENTRN_INLINE float apply(float x) {
    if constexpr (f == Function::copy) return x;
    else if constexpr (f == Function::square) return x * x;
    else if constexpr (f == Function::sigmoid) return sigmoid_of(x);
    else if constexpr (f == Function::relu) return maximum_of(x, 0.0f);
    else if constexpr (f == Function::gelu) return gelu_of(x);
    else if constexpr (f == Function::gelu_tanh) return gelu_tanh_of(x);
    else if constexpr (f == Function::gelu_sigmoid) return gelu_sigmoid_of(x);
    else if constexpr (f == Function::silu) return silu_of(x);
    else if constexpr (f == Function::tanh) return tanh_of(x);
    else if constexpr (f == Function::erf) return erf_of(x);
    else if constexpr (f == Function::exp) return exp_of(x);
    else if constexpr (f == Function::log) return log_of(x);
    else if constexpr (f == Function::sin) return sin_of(x);
    else if constexpr (f == Function::sqrt) return __builtin_sqrtf(x);
    else if constexpr (f == Function::rsqrt) return rsqrt_of(x);
    else if constexpr (f == Function::reciprocal) return 1.0f / x;
    else if constexpr (f == Function::sign) return sign_of(x);
    else return magnitude_of(x);
}

using Row = void (*)(float* values, int64_t count);  // in place

template <Function f> void apply_row(float* values, int64_t count) {
    for (int64_t i = 0; i < count; i++) values[i] = apply<f>(values[i]);
}

static Row row_of(int64_t code) {
    // clang-format off
#define OPENTRN_CASE(name) case Function::name: return apply_row<Function::name>;
    if (code < 0 || code >= function_count) return nullptr;
    switch (static_cast<Function>(code)) {
        OPENTRN_CASE(copy) OPENTRN_CASE(square) OPENTRN_CASE(sigmoid) OPENTRN_CASE(relu) OPENTRN_CASE(gelu)
        OPENTRN_CASE(gelu_tanh) OPENTRN_CASE(gelu_sigmoid) OPENTRN_CASE(silu) OPENTRN_CASE(tanh) OPENTRN_CASE(erf)
        OPENTRN_CASE(exp) OPENTRN_CASE(log) OPENTRN_CASE(sin) OPENTRN_CASE(sqrt) OPENTRN_CASE(rsqrt)
        OPENTRN_CASE(reciprocal) OPENTRN_CASE(sign) OPENTRN_CASE(abs)
        default: return nullptr;
    }
#undef OPENTRN_CASE
    // clang-format on
}

inline int bias_operand(const Plan& plan) { return plan.ints[1] ? 2 : -1; }
inline int scale_operand(const Plan& plan) { return plan.ints[2] ? (plan.ints[1] ? 3 : 2) : -1; }

static bool accept(Plan& plan) {
    if (plan.int_count < 3 || plan.float_count < 2 || !all_have_values(plan)) return false;
    if (plan.operand_count != 2 + (plan.ints[1] ? 1 : 0) + (plan.ints[2] ? 1 : 0)) return false;
    if (!same_rows_and_cols(plan, 0, 1)) return false;
    for (int k = 2; k < plan.operand_count; k++) {
        if (!is_vector_of(plan, k, 1)) return false;
    }
    plan.kernel[0] = reinterpret_cast<const void*>(row_of(plan.ints[0]));
    return plan.kernel[0] != nullptr;
}

struct Affine {
    float scale, bias;
};

// One block: `prepare(values, data, i, n)` leaves data * scale + bias in values.
template <class Prepare> void apply_blocks(const Plan& plan, int64_t count, uint8_t** at, Prepare&& prepare) {
    auto row = reinterpret_cast<Row>(plan.kernel[0]);
    const OperandPlan &dst = plan.operand[0], &data = plan.operand[1];
    Store store = store_of(dst.dtype);
    alignas(64) float values[block_size], scratch[block_size];
    for (int64_t i = 0; i < count; i += block_size) {
        int64_t n = smaller(block_size, count - i);
        prepare(values, as_float(data.dtype, at[1] + i * data.size, scratch, n), i, n);
        row(values, n);
        store(values, at[0] + i * dst.size, n);
    }
}

template <int streams> void walk_affine(const Plan& plan, const Stream (&views)[streams], Affine affine) {
    walk_streams(views, [&](int64_t count, uint8_t** at) {
        apply_blocks(plan, count, at, [affine](float* values, const float* x, int64_t, int64_t n) {
            for (int64_t j = 0; j < n; j++) values[j] = x[j] * affine.scale + affine.bias;
        });
    });
}

static void execute_rows(const Plan& plan, const Arguments& arguments, Affine affine) {
    for (int64_t row = 0; row < plan.operand[0].rows; row++) {
        if (plan.ints[1]) affine.bias = vector_value(plan, arguments, bias_operand(plan), row);
        if (plan.ints[2]) affine.scale = vector_value(plan, arguments, scale_operand(plan), row);
        Stream views[] = {row_stream(plan, arguments, 0, row), row_stream(plan, arguments, 1, row)};
        walk_affine(plan, views, affine);
    }
}

// Few columns: the vectors are walked like full operands. A missing vector is the data, not looked at.
static void execute_narrow(const Plan& plan, const Arguments& arguments, Affine affine) {
    const int operand[2] = {bias_operand(plan), scale_operand(plan)};
    Stream views[4] = {flat_stream(plan, arguments, 0), flat_stream(plan, arguments, 1)};
    for (int v = 0; v < 2; v++) {
        views[2 + v] = flat_stream(plan, arguments, operand[v] < 0 ? 1 : operand[v]);
        if (operand[v] >= 0) views[2 + v].axes = &plan.operand[operand[v]].spread;
    }
    auto value = [&](int v, const uint8_t* at, int64_t i, float* scratch, int64_t n, float constant) -> const float* {
        if (operand[v] >= 0) {
            const OperandPlan& vector = plan.operand[operand[v]];
            return as_float(vector.dtype, at + i * vector.size, scratch, n);
        }
        tensor_scalar::repeat_value(scratch, constant, n);
        return scratch;
    };
    walk_streams(views, [&](int64_t count, uint8_t** at) {
        apply_blocks(plan, count, at, [&](float* values, const float* x, int64_t i, int64_t n) {
            alignas(64) float biases[block_size], scales[block_size];
            const float* bias = value(0, at[2], i, biases, n, affine.bias);
            const float* scale = value(1, at[3], i, scales, n, affine.scale);
            for (int64_t j = 0; j < n; j++) values[j] = x[j] * scale[j] + bias[j];
        });
    });
}

static void execute(const Plan& plan, const Arguments& arguments) {
    Affine affine{static_cast<float>(plan.floats[0]), static_cast<float>(plan.floats[1])};
    bool vectors = plan.ints[1] || plan.ints[2];
    if (!vectors) {
        Stream views[] = {flat_stream(plan, arguments, 0), flat_stream(plan, arguments, 1)};
        walk_affine(plan, views, affine);
    } else if (plan.operand[0].cols < tensor_scalar::narrow) {
        execute_narrow(plan, arguments, affine);
    } else {
        execute_rows(plan, arguments, affine);
    }
}

}  // namespace activation

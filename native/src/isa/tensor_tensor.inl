// tensor_tensor(dst, a, b), ints = [alu, integer mode]: dst = a op b, in float32 or in 32-bit wraparound integers.
namespace tensor_tensor {

static bool accept(Plan& plan) {
    if (plan.operand_count != 3 || plan.int_count < 2) return false;
    if (!same_rows_and_cols(plan, 0, 1) || !same_rows_and_cols(plan, 0, 2)) return false;
    if (plan.ints[1]) {
        if (!same_integers(plan)) return false;
        plan.kernel[0] = reinterpret_cast<const void*>(integer_binary_of(plan.ints[0], plan.operand[0].dtype));
    } else {
        if (!all_have_values(plan)) return false;
        plan.kernel[0] = reinterpret_cast<const void*>(binary_of(plan.ints[0]));
    }
    return plan.kernel[0] != nullptr;
}

static void execute_integers(const Plan& plan, const Stream (&streams)[3]) {
    auto kernel = reinterpret_cast<IntegerBinary>(plan.kernel[0]);
    walk_streams(streams, [kernel](int64_t count, uint8_t** at) { kernel(at[1], at[2], at[0], count); });
}

static void execute_floats(const Plan& plan, const Stream (&streams)[3]) {
    auto kernel = reinterpret_cast<Binary>(plan.kernel[0]);
    DType to = plan.operand[0].dtype, left = plan.operand[1].dtype, right = plan.operand[2].dtype;
    Store store = store_of(to);
    bool direct = to == DType::float32;
    int64_t to_size = streams[0].size, left_size = streams[1].size, right_size = streams[2].size;
    walk_streams(streams, [=](int64_t count, uint8_t** at) {
        alignas(64) float a[block_size], b[block_size], result[block_size];
        for (int64_t i = 0; i < count; i += block_size) {
            int64_t n = smaller(block_size, count - i);
            const float* x = as_float(left, at[1] + i * left_size, a, n);
            const float* y = as_float(right, at[2] + i * right_size, b, n);
            uint8_t* target = at[0] + i * to_size;
            kernel(x, y, direct ? reinterpret_cast<float*>(target) : result, n);
            if (!direct) store(result, target, n);
        }
    });
}

static void execute(const Plan& plan, const Arguments& arguments) {
    Stream streams[] = {flat_stream(plan, arguments, 0), flat_stream(plan, arguments, 1),
                        flat_stream(plan, arguments, 2)};
    if (plan.ints[1]) execute_integers(plan, streams);
    else execute_floats(plan, streams);
}

}  // namespace tensor_tensor

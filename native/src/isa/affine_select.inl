// affine_select(dst, on_true), ints = those of iota and a comparison, floats = [on_false]:
// dst = on_true where (affine value compared with 0) holds, else on_false. on_true is cast as by copy.
namespace affine_select {

inline int64_t comparison(const Plan& plan) { return plan.ints[plan.int_count - 1]; }

static bool accept(Plan& plan) {
    if (plan.operand_count != 2 || plan.float_count != 1 || !all_have_values(plan)) return false;
    if (!same_rows_and_cols(plan, 0, 1) || !iota::is_well_formed(plan, 1)) return false;
    bool comparing =
        comparison(plan) >= static_cast<int>(Alu::equal) && comparison(plan) <= static_cast<int>(Alu::less);
    if (comparing) plan.kernel[0] = reinterpret_cast<const void*>(integer_binary_of(comparison(plan), DType::int32));
    return comparing;
}

template <class T> void replace_unless(const int32_t* holds, T other, T* values, int64_t count) {
    for (int64_t i = 0; i < count; i++) values[i] = holds[i] ? values[i] : other;
}

inline void replace_unless(const int32_t* holds, const OperandPlan& dst, float other, uint8_t* values, int64_t count) {
    uint32_t bits = 0;
    store_of(dst.dtype)(&other, &bits, 1);
    if (dst.size == 4) replace_unless(holds, bits, reinterpret_cast<uint32_t*>(values), count);
    else if (dst.size == 2)
        replace_unless(holds, static_cast<uint16_t>(bits), reinterpret_cast<uint16_t*>(values), count);
    else replace_unless(holds, static_cast<uint8_t>(bits), values, count);
}

static void select_block(const Plan& plan, iota::Pattern& pattern, uint8_t* target, const uint8_t* source,
                         int64_t count) {
    const OperandPlan &dst = plan.operand[0], &data = plan.operand[1];
    static const int32_t zeros[block_size] = {};
    alignas(64) int32_t holds[block_size];
    pattern.next(holds, count);
    reinterpret_cast<IntegerBinary>(plan.kernel[0])(holds, zeros, holds, count);
    if (copy::bits_agree(dst.dtype, data.dtype)) {
        memmove(target, source, static_cast<size_t>(count * dst.size));
    } else {
        alignas(64) float scratch[block_size], values[block_size];
        const float* x = as_float(data.dtype, source, scratch, count);
        memcpy(values, x, static_cast<size_t>(count) * sizeof(float));
        store_of(dst.dtype)(values, target, count);
    }
    replace_unless(holds, dst, static_cast<float>(plan.floats[0]), target, count);
}

static void execute(const Plan& plan, const Arguments& arguments) {
    const OperandPlan &dst = plan.operand[0], &data = plan.operand[1];
    for (int64_t row = 0; row < dst.rows; row++) {
        iota::Pattern pattern(plan, row);
        Stream streams[] = {row_stream(plan, arguments, 0, row), row_stream(plan, arguments, 1, row)};
        walk_streams(streams, [&](int64_t count, uint8_t** at) {
            for (int64_t i = 0; i < count; i += block_size) {
                select_block(plan, pattern, at[0] + i * dst.size, at[1] + i * data.size,
                             smaller(block_size, count - i));
            }
        });
    }
}

}  // namespace affine_select

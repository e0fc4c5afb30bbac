// tensor_copy_predicated(dst, src, predicate), ints = [reverse]: the bits of src where the predicate is nonzero (or
// zero, when reversed); elsewhere dst keeps what it had.
namespace tensor_copy_predicated {

static bool accept(Plan& plan) {
    if (plan.operand_count != 3 || plan.int_count < 1 || !plan.operand[0].reads) return false;
    if (!same_rows_and_cols(plan, 0, 1) || !same_rows_and_cols(plan, 0, 2)) return false;
    return plan.operand[0].dtype == plan.operand[1].dtype && has_value(plan.operand[2].dtype);
}

template <class T>
void select(const float* predicate, bool reverse, const uint8_t* yes, const uint8_t* no, uint8_t* target,
            int64_t count) {
    auto *a = reinterpret_cast<const T*>(yes), *b = reinterpret_cast<const T*>(no);
    T* to = reinterpret_cast<T*>(target);
#pragma GCC ivdep
    for (int64_t i = 0; i < count; i++) to[i] = (predicate[i] != 0.0f) != reverse ? a[i] : b[i];
}

static void execute(const Plan& plan, const Arguments& arguments) {
    const OperandPlan& predicate = plan.operand[2];
    int64_t size = plan.operand[0].size;
    bool reverse = plan.ints[0] != 0;
    auto kernel = size == 4 ? select<uint32_t> : size == 2 ? select<uint16_t> : select<uint8_t>;
    // dst takes part twice: as what is written and as what it held before.
    Stream streams[] = {flat_stream(plan, arguments, 0), flat_stream(plan, arguments, 1),
                        flat_stream(plan, arguments, 2), flat_stream(plan, arguments, 0)};
    walk_streams(streams, [&](int64_t count, uint8_t** at) {
        alignas(64) float scratch[block_size];
        for (int64_t i = 0; i < count; i += block_size) {
            int64_t n = smaller(block_size, count - i);
            const float* flags = as_float(predicate.dtype, at[2] + i * predicate.size, scratch, n);
            kernel(flags, reverse, at[1] + i * size, at[3] + i * size, at[0] + i * size, n);
        }
    });
}

}  // namespace tensor_copy_predicated

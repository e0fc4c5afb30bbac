// nc_transpose(dst, src): dst (F, P) = src (P, F) transposed. Same type: the bits; else src -> float32 -> dst.
namespace nc_transpose {

static bool accept(Plan& plan) {
    if (plan.operand_count != 2) return false;
    const OperandPlan &dst = plan.operand[0], &src = plan.operand[1];
    if (dst.rows != src.cols || dst.cols != src.rows) return false;
    return copy::bits_agree(dst.dtype, src.dtype) || all_have_values(plan);
}

constexpr int64_t tile = 32;

// One tile through L1; `from` and `to` have any row and element steps.
template <class T>
void transpose_tile(const uint8_t* from, int64_t from_row, int64_t from_step, uint8_t* to, int64_t to_row,
                    int64_t to_step, int64_t rows, int64_t cols) {
    for (int64_t c = 0; c < cols; c++) {
        for (int64_t r = 0; r < rows; r++)
            memcpy(to + c * to_row + r * to_step, from + r * from_row + c * from_step, sizeof(T));
    }
}

template <class T>
static void transpose(const OperandPlan& src, const uint8_t* from, const OperandPlan& dst, uint8_t* to) {
    int64_t from_step = src.row.axis[0].step, to_step = dst.row.axis[0].step;
    for (int64_t r = 0; r < src.rows; r += tile) {
        for (int64_t c = 0; c < src.cols; c += tile) {
            transpose_tile<T>(from + r * src.row_step + c * from_step, src.row_step, from_step,
                              to + c * dst.row_step + r * to_step, dst.row_step, to_step, smaller(tile, src.rows - r),
                              smaller(tile, src.cols - c));
        }
    }
}

// Any layout, any types: column by column of src.
static void transpose_elements(const Plan& plan, const Arguments& arguments) {
    const OperandPlan &dst = plan.operand[0], &src = plan.operand[1];
    bool same = copy::bits_agree(dst.dtype, src.dtype);
    for (int64_t r = 0; r < src.rows; r++) {
        Cursor from(src.row, arguments.data[1] + r * src.row_step);
        for (int64_t c = 0; c < src.cols; c++) {
            Cursor to(dst.row, arguments.data[0] + c * dst.row_step);
            skip(to, r);
            if (same) {
                memcpy(to.at, from.at, static_cast<size_t>(src.size));
            } else {
                float value = one_as_float(src.dtype, from.at);
                store_of(dst.dtype)(&value, to.at, 1);
            }
            from.advance(1);
        }
    }
}

static void execute(const Plan& plan, const Arguments& arguments) {
    const OperandPlan &dst = plan.operand[0], &src = plan.operand[1];
    bool simple = dst.row.rank == 1 && src.row.rank == 1 && copy::bits_agree(dst.dtype, src.dtype);
    if (!simple) transpose_elements(plan, arguments);
    else if (src.size == 4) transpose<uint32_t>(src, arguments.data[1], dst, arguments.data[0]);
    else if (src.size == 2) transpose<uint16_t>(src, arguments.data[1], dst, arguments.data[0]);
    else transpose<uint8_t>(src, arguments.data[1], dst, arguments.data[0]);
}

}  // namespace nc_transpose

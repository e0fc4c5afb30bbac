// C[M, N] = stationary[K, M]^T * moving[K, N]: float32, one chain of fused multiply-adds per element in the order of k.

#if defined(__AVX512F__)
struct Lanes {
    static constexpr int width = 16;
    __m512 v;
    static Lanes load(const float* p) { return {_mm512_loadu_ps(p)}; }
    static Lanes all(float x) { return {_mm512_set1_ps(x)}; }
    void store(float* p) const { _mm512_storeu_ps(p, v); }
    static Lanes sum(Lanes a, Lanes b) { return {_mm512_add_ps(a.v, b.v)}; }
    static Lanes fma(Lanes a, Lanes b, Lanes c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
};
constexpr int tile_rows = 8, tile_lanes = 2;
#elif defined(__FMA__)
struct Lanes {
    static constexpr int width = 8;
    __m256 v;
    static Lanes load(const float* p) { return {_mm256_loadu_ps(p)}; }
    static Lanes all(float x) { return {_mm256_set1_ps(x)}; }
    void store(float* p) const { _mm256_storeu_ps(p, v); }
    static Lanes sum(Lanes a, Lanes b) { return {_mm256_add_ps(a.v, b.v)}; }
    static Lanes fma(Lanes a, Lanes b, Lanes c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
};
constexpr int tile_rows = 6, tile_lanes = 2;
#else
struct Lanes {
    static constexpr int width = 4;
    float v[4];
    static Lanes load(const float* p) { return {{p[0], p[1], p[2], p[3]}}; }
    static Lanes all(float x) { return {{x, x, x, x}}; }
    void store(float* p) const {
        for (int i = 0; i < 4; i++) p[i] = v[i];
    }
    static Lanes sum(Lanes a, Lanes b) {
        Lanes d;
        for (int i = 0; i < 4; i++) d.v[i] = a.v[i] + b.v[i];
        return d;
    }
    static Lanes fma(Lanes a, Lanes b, Lanes c) {
        Lanes d;
        for (int i = 0; i < 4; i++) d.v[i] = OPENTRN_LEVEL::fma(a.v[i], b.v[i], c.v[i]);
        return d;
    }
};
constexpr int tile_rows = 4, tile_lanes = 4;
#endif
constexpr int tile_cols = tile_lanes * Lanes::width;

// One tile of products: packed stationary [K][tile_rows] and packed moving [K][tile_cols]. The sums are stored to
// `target`, or added to what is there.
inline void multiply_tile(const float* stationary, const float* moving, int64_t depth, float* target,
                          int64_t target_step, bool add) {
    Lanes sum[tile_rows][tile_lanes];
    for (int r = 0; r < tile_rows; r++) {
        for (int c = 0; c < tile_lanes; c++) sum[r][c] = Lanes::all(0.0f);
    }
    for (int64_t k = 0; k < depth; k++) {
        Lanes row[tile_lanes];
        for (int c = 0; c < tile_lanes; c++) row[c] = Lanes::load(moving + k * tile_cols + c * Lanes::width);
#pragma GCC unroll 16
        for (int r = 0; r < tile_rows; r++) {
            Lanes factor = Lanes::all(stationary[k * tile_rows + r]);
#pragma GCC unroll 16
            for (int c = 0; c < tile_lanes; c++) sum[r][c] = Lanes::fma(factor, row[c], sum[r][c]);
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < tile_rows; r++) {
#pragma GCC unroll 16
        for (int c = 0; c < tile_lanes; c++) {
            float* at = target + r * target_step + c * Lanes::width;
            (add ? Lanes::sum(Lanes::load(at), sum[r][c]) : sum[r][c]).store(at);
        }
    }
}

// `count` columns of `depth` dense rows to a packed panel of `panel` columns per row.
template <DType dtype, int panel>
void pack_rows(const uint8_t* base, int64_t row_step, int64_t depth, int64_t count, float* to, int64_t to_step) {
    for (int64_t k = 0; k < depth; k++) {
        auto* from = reinterpret_cast<const typename Codec<dtype>::Store*>(base + k * row_step);
        float* row = to + k * to_step;
        if (count == panel) {
            for (int i = 0; i < panel; i++) row[i] = Codec<dtype>::decode(from[i]);
        } else {
            for (int i = 0; i < panel; i++) row[i] = i < count ? Codec<dtype>::decode(from[i]) : 0.0f;
        }
    }
}
template <DType dtype> constexpr auto pack_stationary = pack_rows<dtype, tile_rows>;
template <DType dtype> constexpr auto pack_moving = pack_rows<dtype, tile_cols>;
using Pack = void (*)(const uint8_t* base, int64_t row_step, int64_t depth, int64_t count, float* to, int64_t to_step);
static const Pack pack_stationary_table[] = OPENTRN_BY_DTYPE(pack_stationary);
static const Pack pack_moving_table[] = OPENTRN_BY_DTYPE(pack_moving);

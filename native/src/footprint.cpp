#include "footprint.hpp"

#include <cstdlib>
#include <numeric>

namespace opentrn {

Footprint footprint_of(int rank, const int64_t* shape, const int64_t* step, int64_t size) {
    Footprint result{};
    result.run_bytes = size;
    result.high = size;
    Axis axes[max_axes];
    int count = 0;
    for (int i = 0; i < rank; i++) {
        if (shape[i] == 1 || step[i] == 0) continue;
        (step[i] < 0 ? result.low : result.high) += (shape[i] - 1) * step[i];
        Axis next{shape[i], std::abs(step[i])};
        int place = count++;
        for (; place > 0 && axes[place - 1].step < next.step; place--) axes[place] = axes[place - 1];
        axes[place] = next;
    }
    while (count > 0 && axes[count - 1].step == result.run_bytes) result.run_bytes *= axes[--count].count;
    for (int i = 0; i < count; i++) {
        bool joins = result.rank > 0 && result.axis[result.rank - 1].step == axes[i].step * axes[i].count;
        if (joins) {
            Axis& last = result.axis[result.rank - 1];
            last = {last.count * axes[i].count, axes[i].step};
        } else {
            result.axis[result.rank++] = axes[i];
        }
    }
    result.dense = result.rank == 0;
    return result;
}

namespace {

// Bytes from the first to past the last touched, looking only at axes with steps below `limit`.
int64_t inner_extent(const Footprint& f, int64_t limit) {
    int64_t extent = f.run_bytes;
    for (int i = 0; i < f.rank; i++) {
        if (f.axis[i].step < limit) extent += (f.axis[i].count - 1) * f.axis[i].step;
    }
    return extent;
}

int64_t outer_gcd(const Footprint& f, int64_t limit, int64_t gcd) {
    for (int i = 0; i < f.rank; i++) {
        if (f.axis[i].step >= limit) gcd = std::gcd(gcd, f.axis[i].step);
    }
    return gcd;
}

// Modulo the common pitch of all outer axes, each view occupies one window: apart windows cannot meet.
bool windows_apart(const Footprint& a, const Footprint& b, int64_t distance, int64_t limit) {
    int64_t pitch = outer_gcd(b, limit, outer_gcd(a, limit, 0));
    int64_t ahead = ((distance % pitch) + pitch) % pitch;
    return ahead >= inner_extent(a, limit) && ahead + inner_extent(b, limit) <= pitch;
}

}  // namespace

bool may_overlap(const Footprint& a, int64_t a_address, const Footprint& b, int64_t b_address) {
    int64_t a_low = a_address + a.low, b_low = b_address + b.low;
    if (a_address + a.high <= b_low || b_address + b.high <= a_low) return false;
    for (int i = 0; i < a.rank; i++) {
        if (windows_apart(a, b, b_low - a_low, a.axis[i].step)) return false;
    }
    for (int i = 0; i < b.rank; i++) {
        if (windows_apart(a, b, b_low - a_low, b.axis[i].step)) return false;
    }
    return true;
}

}  // namespace opentrn

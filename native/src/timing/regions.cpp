#include "regions.hpp"

#include <algorithm>

namespace opentrn::timing {

namespace {

constexpr int32_t whole = -1;  // the pattern of a region that is all of its tensor
constexpr int64_t longest_comparison = 4096;  // runs; longer ones are compared by their boxes

int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

bool hits_level(const Pattern& pattern, size_t level, int64_t extent, int64_t base, int64_t low, int64_t high) {
    if (base >= high || base + extent <= low) return false;
    if (level == pattern.levels.size()) return true;
    auto [stride, count] = pattern.levels[level];
    int64_t inner = extent - (count - 1) * stride;
    int64_t first = std::max<int64_t>(0, floor_div(low - base - inner, stride) + 1);
    int64_t last = std::min(count - 1, floor_div(high - 1 - base, stride));
    if (first > last) return false;
    if (last - first >= 2) return true;  // the one in the middle lies inside
    for (int64_t i = first; i <= last; i++) {
        if (hits_level(pattern, level + 1, inner, base + i * stride, low, high)) return true;
    }
    return false;
}

}  // namespace

int64_t Pattern::runs() const {
    int64_t total = 1;
    for (auto [stride, count] : levels) total *= count;
    return total;
}

int64_t Pattern::extent() const {
    int64_t total = run;
    for (auto [stride, count] : levels) total += stride * (count - 1);
    return total;
}

bool Pattern::hits(int64_t base, int64_t low, int64_t high) const {
    if (!nested) return base < high && base + extent() > low;
    return hits_level(*this, 0, extent(), base, low, high);
}

Pattern make_pattern(std::vector<std::pair<int64_t, int64_t>> dimensions, int64_t itemsize) {
    Pattern result;
    result.run = itemsize;
    std::erase_if(dimensions, [](const auto& d) { return d.second == 1 || d.first == 0; });
    std::sort(dimensions.begin(), dimensions.end());
    std::vector<std::pair<int64_t, int64_t>> levels;  // narrowest first
    for (auto [stride, count] : dimensions) {
        if (levels.empty() && stride == result.run) {
            result.run *= count;
        } else if (!levels.empty() && stride == levels.back().first * levels.back().second) {
            levels.back().second *= count;
        } else {
            levels.emplace_back(stride, count);
        }
    }
    int64_t inner = result.run;
    for (auto [stride, count] : levels) {
        result.nested = result.nested && stride >= inner;
        inner += stride * (count - 1);
    }
    result.levels.assign(levels.rbegin(), levels.rend());
    return result;
}

namespace {

struct Shaping {
    const Tables& tables;
    int64_t bank_bytes;
    int32_t psum_space;

    Region on_chip(int64_t a, int64_t offset, int64_t g, const Pattern& pattern) const {
        int64_t width = tables.allocation_width[a], item = tables.geometry_itemsize[g];
        int64_t start = offset * item, first = tables.geometry_first[g];
        bool row_step = tables.geometry_stride[first] != 0;
        Region region{};
        region.space = tables.allocation_space[a];
        region.box.row0 = static_cast<int32_t>(tables.allocation_row[a] + start / width);
        region.box.row1 = region.box.row0 + static_cast<int32_t>(row_step ? tables.geometry_shape[first] : 1);
        region.base = tables.allocation_byte[a] + start % width;
        region.box.column0 = region.base;
        region.box.column1 = region.base + pattern.extent();
        region.dense = pattern.levels.empty();
        if (region.space == psum_space) {
            for (int64_t bank = region.box.column0 / bank_bytes; bank <= (region.box.column1 - 1) / bank_bytes; bank++)
                region.banks |= static_cast<uint8_t>(1u << (bank & 7));
        }
        return region;
    }

    Region in_hbm(int64_t a, int64_t offset, int64_t g, const Pattern& pattern) const {
        int64_t width = tables.allocation_width[a];
        int64_t start = offset * tables.geometry_itemsize[g], end = start + pattern.extent();
        Region region{};
        region.space = tables.allocation_space[a];
        region.base = start;
        region.box.row0 = static_cast<int32_t>(start / width);
        region.box.row1 = static_cast<int32_t>((end - 1) / width + 1);
        int64_t within = pattern.run, bytes = pattern.run;
        bool rows_apart = true;
        for (auto [stride, count] : pattern.levels) {
            bytes *= count;
            if (stride % width != 0) {
                rows_apart = rows_apart && stride < width;
                within += stride * (count - 1);
            }
        }
        bool fits = rows_apart && start % width + within <= width;
        region.box.column0 = fits ? start % width : 0;
        region.box.column1 = fits ? start % width + within : width;
        int64_t area = (region.box.row1 - region.box.row0) * (region.box.column1 - region.box.column0);
        region.dense = pattern.nested && bytes == area;
        return region;
    }
};

}  // namespace

Regions::Regions(const Tables& tables, const int32_t* allocation, const int64_t* offset, const int32_t* geometry,
                 int64_t count, int64_t bank_bytes, int32_t psum_space) {
    // a geometry's bytes: of one partition on chip (index 2g), of all dimensions in HBM (2g + 1)
    for (int64_t g = 0; g < tables.geometries; g++) {
        std::vector<std::pair<int64_t, int64_t>> dimensions;
        int64_t item = tables.geometry_itemsize[g];
        for (int64_t d = tables.geometry_first[g]; d < tables.geometry_first[g + 1]; d++)
            dimensions.emplace_back(tables.geometry_stride[d] * item, tables.geometry_shape[d]);
        auto all = dimensions;
        if (!dimensions.empty()) dimensions.erase(dimensions.begin());
        patterns_.push_back(make_pattern(std::move(dimensions), item));
        patterns_.push_back(make_pattern(std::move(all), item));
    }
    Shaping shaping{tables, bank_bytes, psum_space};
    regions_.reserve(static_cast<size_t>(count));
    for (int64_t r = 0; r < count; r++) {
        int64_t a = allocation[r], g = geometry[r];
        bool on_chip = tables.allocation_on_chip[a];
        int32_t pattern = static_cast<int32_t>(2 * g + (on_chip ? 0 : 1));
        Region region;
        if (tables.geometry_whole[g]) {
            int64_t width = tables.allocation_width[a], rows = tables.allocation_bytes[a] / width;
            int64_t column = tables.allocation_byte[a];
            int32_t row = tables.allocation_row[a];
            region = Region{tables.allocation_space[a], {row, static_cast<int32_t>(row + rows), column, column + width},
                            true, whole, column, 0};
            if (region.space == psum_space) region.banks = 0xff;
        } else {
            const Pattern& bytes = patterns_[static_cast<size_t>(pattern)];
            region = on_chip ? shaping.on_chip(a, offset[r], g, bytes) : shaping.in_hbm(a, offset[r], g, bytes);
            region.pattern = pattern;
        }
        regions_.push_back(region);
    }
}

namespace {

// Two patterns of runs at one stride, over enough bytes that both pass through every position of it.
bool in_step(const Pattern& a, int64_t a_base, const Pattern& b, int64_t b_base) {
    int64_t stride = a.levels[0].first, apart = (b_base - a_base) % stride;
    if (apart < 0) apart += stride;
    return apart < a.run || apart + b.run > stride;
}

bool one_stride(const Pattern& a, const Pattern& b) {
    return a.levels.size() == 1 && b.levels.size() == 1 && a.levels[0].first == b.levels[0].first;
}

}  // namespace

bool Regions::share(int32_t left, int32_t right) {
    if (left == right) return true;
    const Region &a = regions_[static_cast<size_t>(left)], &b = regions_[static_cast<size_t>(right)];
    if ((a.dense && b.dense) || a.pattern == whole || b.pattern == whole) return true;
    const Pattern &p = patterns_[static_cast<size_t>(a.pattern)], &q = patterns_[static_cast<size_t>(b.pattern)];
    if (!p.nested || !q.nested) return true;
    int64_t low = std::max(a.base, b.base), high = std::min(a.base + p.extent(), b.base + q.extent());
    if (low >= high) return false;
    if (one_stride(p, q) && high - low >= 2 * p.levels[0].first) return in_step(p, a.base, q, b.base);
    if (std::min(p.runs(), q.runs()) <= 4) return compare(a, b);  // sooner done than looked up
    uint64_t key = (static_cast<uint64_t>(static_cast<uint32_t>(std::min(left, right))) << 32) |
                   static_cast<uint32_t>(std::max(left, right));
    if (auto found = known_.find(key); found != known_.end()) return found->second;
    if (known_.size() > (1u << 18)) known_.clear();
    return known_[key] = compare(a, b);
}

// Both nested: looks for each run of the one with fewer in the other.
bool Regions::compare(const Region& left, const Region& right) const {
    const Pattern &a = patterns_[static_cast<size_t>(left.pattern)], &b = patterns_[static_cast<size_t>(right.pattern)];
    bool swap = b.runs() < a.runs();
    const Pattern &few = swap ? b : a, &many = swap ? a : b;
    int64_t few_base = swap ? right.base : left.base, many_base = swap ? left.base : right.base;
    if (few.runs() > longest_comparison) return true;
    std::vector<int64_t> index(few.levels.size(), 0);
    for (;;) {
        int64_t at = few_base;
        for (size_t k = 0; k < index.size(); k++) at += index[k] * few.levels[k].first;
        if (many.hits(many_base, at, at + few.run)) return true;
        size_t k = index.size();
        while (k > 0 && ++index[k - 1] == few.levels[k - 1].second) index[--k] = 0;
        if (k == 0) return false;
    }
}

}  // namespace opentrn::timing

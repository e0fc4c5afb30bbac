// What an instruction touches: regions of a memory, and whether two of them share a byte.
//
// A space is one memory seen as rows of columns (bytes): SBUF and PSUM with their partitions as rows, each tensor in HBM
// with the rows of its last dimension. A region is a box of a space plus, where it does not fill its box, a pattern.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

namespace opentrn::timing {

struct Box {
    int32_t row0, row1;
    int64_t column0, column1;
    bool meets(const Box& other) const {
        return row0 < other.row1 && other.row0 < row1 && column0 < other.column1 && other.column0 < column1;
    }
    bool holds(const Box& other) const {
        return row0 <= other.row0 && other.row1 <= row1 && column0 <= other.column0 && other.column1 <= column1;
    }
};

// Nested strides over bytes, widest first, above runs of `run` bytes.
struct Pattern {
    std::vector<std::pair<int64_t, int64_t>> levels;  // (stride, count)
    int64_t run = 1;
    bool nested = true;
    int64_t runs() const;
    int64_t extent() const;
    // True when any of its bytes, started at `base`, lies in [low, high). Exact while the levels are nested.
    bool hits(int64_t base, int64_t low, int64_t high) const;
};

Pattern make_pattern(std::vector<std::pair<int64_t, int64_t>> dimensions, int64_t itemsize);

struct Region {
    int32_t space;
    Box box;
    bool dense;        // fills its box
    int32_t pattern;   // of its bytes; on chip of one row; -1: all of its tensor
    int64_t base;      // first byte of the pattern
    uint8_t banks;     // PSUM banks
};

// Facts of the caller, all in columns.
struct Tables {
    const int32_t *allocation_space, *allocation_row;  // the space, and the first partition
    const int64_t *allocation_byte, *allocation_width;  // first byte of a row; bytes of a row
    const uint8_t* allocation_on_chip;
    const int64_t* allocation_bytes;
    const int64_t *geometry_first, *geometry_shape, *geometry_stride;  // dimensions of geometry g: [first[g], first[g + 1])
    const int64_t* geometry_itemsize;
    const uint8_t* geometry_whole;
    int64_t geometries;
};

class Regions {
  public:
    Regions(const Tables& tables, const int32_t* allocation, const int64_t* offset, const int32_t* geometry,
            int64_t count, int64_t bank_bytes, int32_t psum_space);
    const Region& operator[](int64_t index) const { return regions_[static_cast<size_t>(index)]; }
    int64_t size() const { return static_cast<int64_t>(regions_.size()); }
    // True when the two share a byte; their boxes do already.
    bool share(int32_t left, int32_t right);

  private:
    bool compare(const Region& left, const Region& right) const;
    std::vector<Region> regions_;
    std::vector<Pattern> patterns_;
    std::unordered_map<uint64_t, bool> known_;
};

}  // namespace opentrn::timing

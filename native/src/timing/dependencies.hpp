// Which earlier instructions each instruction has to wait for, and which of these waits need a semaphore.
//
// Engines and DMA queues work in order, so of each only the latest conflicting instruction counts; and a wait that an
// earlier wait implies is left out (vector clocks). What stays are the semaphores that a compiler has to emit.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "regions.hpp"

namespace opentrn::timing {

constexpr int sequencers = 5;               // tensor, vector, scalar, gpsimd, sync
constexpr int slots = 2 * sequencers;       // each has a DMA queue: slot 5 + e completes what sequencer e triggered
constexpr uint8_t reads = 1, writes = 2;

// The columns of one core's program, already by class of instruction.
struct Program {
    const int32_t* kind;            // class of each instruction
    const int64_t* first_operand;   // operands of i: [first_operand[i], first_operand[i + 1])
    const int32_t* region;
    const uint8_t* access;
    int64_t count;
    const uint8_t* engine;          // by class
    const uint8_t* is_dma;          // by class
    const int64_t* edges;           // (producer, consumer) pairs, by consumer
    int64_t edge_count;
    uint8_t slot(int64_t i) const {
        int32_t k = kind[i];
        return static_cast<uint8_t>(engine[k] + (is_dma[k] ? sequencers : 0));
    }
};

struct Dependencies {
    std::vector<int64_t> first;      // waits of i: [first[i], first[i + 1])
    std::vector<int32_t> producer;   // semaphores
    std::vector<int32_t> local;      // result of the same engine that i reads (-1: none)
    std::vector<int32_t> clock;      // row of `clocks` that holds when i issues
    std::vector<std::array<int32_t, slots>> clocks;  // by slot, the latest instruction known to be complete (-1: none)
    int64_t found = 0;               // conflicts before pruning
    int64_t merged = 0;              // entries joined into one box, so that crowded places stay quick (0: all exact)
};

// The accesses to one memory that a later one may conflict with.
class Space {
  public:
    using Latest = std::array<int32_t, slots>;
    struct Entry {
        Box box;
        int32_t region, instruction;
        uint8_t slot;
    };
    void find(Regions& regions, int32_t region, uint8_t access, Latest& written, Latest& read);
    // `settled`: by slot, the latest instruction that every engine knows to be complete; nobody waits for those again.
    void add(const Regions& regions, int32_t region, uint8_t access, uint8_t slot, int32_t instruction,
             const Latest& settled);
    int64_t merged() const { return merged_; }

    struct Entries {
        std::vector<Entry> written, read;
        size_t size() const { return written.size() + read.size(); }
    };

  private:
    struct Cell {
        Entries entries;
        std::unique_ptr<Entries[]> finer;  // a crowded cell's entries, by finer cell
    };
    Cell* cell_at(int64_t row, int64_t column, bool make);
    void add_finer(Cell& cell, const Regions& regions, const Box& bounds, const Entry& entry, uint8_t access,
                   const Latest& settled);
    std::vector<Cell> near_;                   // the first row of cells, all there is on chip
    std::unordered_map<uint64_t, Cell> far_;   // the other rows
    int64_t merged_ = 0;
};

Dependencies discover(const Program& program, Regions& regions, int32_t spaces, const uint8_t* skip);

}  // namespace opentrn::timing

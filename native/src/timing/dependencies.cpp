#include "dependencies.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace opentrn::timing {

namespace {

constexpr int64_t cell_rows = 128, cell_columns = 2048;  // a PSUM bank, or as much of SBUF
constexpr int64_t fine_rows = 32, fine_columns = 256;    // a quadrant
constexpr size_t crowded = 48, full = 64;
constexpr int64_t settling = 16;  // instructions between two looks at what is settled
constexpr int32_t joined = -1;  // the region of an entry that stands for several

Box cut(const Box& a, const Box& b) {
    return {std::max(a.row0, b.row0), std::min(a.row1, b.row1), std::max(a.column0, b.column0),
            std::min(a.column1, b.column1)};
}

Box around(const Box& a, const Box& b) {
    return {std::min(a.row0, b.row0), std::max(a.row1, b.row1), std::min(a.column0, b.column0),
            std::max(a.column1, b.column1)};
}

Box cell_box(int64_t row, int64_t column, int64_t rows, int64_t columns) {
    return {static_cast<int32_t>(row * rows), static_cast<int32_t>((row + 1) * rows), column * columns,
            (column + 1) * columns};
}

uint64_t key_of(int64_t row, int64_t column) { return (static_cast<uint64_t>(row) << 32) | static_cast<uint64_t>(column); }

template <class Go> void each_cell(const Box& box, int64_t rows, int64_t columns, const Go& go) {
    for (int64_t r = box.row0 / rows; r <= (box.row1 - 1) / rows; r++)
        for (int64_t c = box.column0 / columns; c <= (box.column1 - 1) / columns; c++) go(r, c);
}

constexpr int64_t finer_across = cell_columns / fine_columns, finer_cells = cell_rows / fine_rows * finer_across;

size_t finer_index(int64_t row, int64_t column) {
    return static_cast<size_t>(row % (cell_rows / fine_rows) * finer_across + column % finer_across);
}

void look(const std::vector<Space::Entry>& entries, Regions& regions, int32_t region, Space::Latest& latest) {
    const Box& box = regions[region].box;
    for (const Space::Entry& entry : entries) {
        if (entry.instruction <= latest[entry.slot] || !entry.box.meets(box)) continue;
        if (entry.region == joined || regions.share(entry.region, region)) latest[entry.slot] = entry.instruction;
    }
}

// A read conflicts with writes, a write with everything.
void look(const Space::Entries& entries, Regions& regions, int32_t region, uint8_t access, Space::Latest& written,
          Space::Latest& read) {
    look(entries.written, regions, region, written);
    if (access & writes) look(entries.read, regions, region, read);
}

// Takes out what is settled, and what the new entry hides: a later conflict with it implies the older ones.
template <class Replaces>
void hide(std::vector<Space::Entry>& entries, const Box& bounds, const Space::Entry& entry, bool dense,
          const Space::Latest& settled, const Replaces& replaces) {
    size_t kept = 0;
    for (size_t k = 0; k < entries.size(); k++) {
        const Space::Entry& old = entries[k];
        bool hidden = old.instruction <= settled[old.slot];
        hidden = hidden || (replaces(old) && (old.region == entry.region || (dense && entry.box.holds(cut(old.box, bounds)))));
        if (!hidden && kept++ != k) entries[kept - 1] = old;
    }
    entries.resize(kept);
}

void insert(Space::Entries& entries, const Box& bounds, const Space::Entry& entry, uint8_t access, bool dense,
            const Space::Latest& settled) {
    auto any = [](const Space::Entry&) { return true; };
    auto own = [&](const Space::Entry& old) { return old.slot == entry.slot; };
    if (access & writes) {
        hide(entries.written, bounds, entry, dense, settled, any);
        hide(entries.read, bounds, entry, dense, settled, any);
        entries.written.push_back(entry);
    } else {
        hide(entries.read, bounds, entry, dense, settled, own);
        entries.read.push_back(entry);
    }
}

// The two oldest of one slot become one box: more is waited for than needed, never less.
bool join(std::vector<Space::Entry>& entries) {
    for (size_t a = 0; a < entries.size(); a++) {
        for (size_t b = a + 1; b < entries.size(); b++) {
            if (entries[a].slot != entries[b].slot) continue;
            entries[b].box = around(entries[a].box, entries[b].box);
            entries[b].region = joined;
            entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(a));
            return true;
        }
    }
    return false;
}

}  // namespace

Space::Cell* Space::cell_at(int64_t row, int64_t column, bool make) {
    if (row == 0 && column < static_cast<int64_t>(near_.size())) return &near_[static_cast<size_t>(column)];
    if (make && row == 0 && column < 256) {
        near_.resize(static_cast<size_t>(column + 1));
        return &near_.back();
    }
    if (make) return &far_[key_of(row, column)];
    auto found = far_.find(key_of(row, column));
    return found == far_.end() ? nullptr : &found->second;
}

void Space::find(Regions& regions, int32_t region, uint8_t access, Latest& written, Latest& read) {
    const Box& box = regions[region].box;
    each_cell(box, cell_rows, cell_columns, [&](int64_t r, int64_t c) {
        Cell* cell = cell_at(r, c, false);
        if (!cell) return;
        if (!cell->finer) return look(cell->entries, regions, region, access, written, read);
        each_cell(cut(box, cell_box(r, c, cell_rows, cell_columns)), fine_rows, fine_columns, [&](int64_t fr, int64_t fc) {
            look(cell->finer[finer_index(fr, fc)], regions, region, access, written, read);
        });
    });
}

void Space::add_finer(Cell& cell, const Regions& regions, const Box& bounds, const Entry& entry, uint8_t access,
                      const Latest& settled) {
    bool dense = entry.region != joined && regions[entry.region].dense;
    each_cell(cut(entry.box, bounds), fine_rows, fine_columns, [&](int64_t r, int64_t c) {
        Entries& entries = cell.finer[finer_index(r, c)];
        insert(entries, cell_box(r, c, fine_rows, fine_columns), entry, access, dense, settled);
        if (entries.size() > full) merged_ += join(entries.written) || join(entries.read);
    });
}

void Space::add(const Regions& regions, int32_t region, uint8_t access, uint8_t slot, int32_t instruction,
                const Latest& settled) {
    const Region& facts = regions[region];
    Entry entry{facts.box, region, instruction, slot};
    each_cell(facts.box, cell_rows, cell_columns, [&](int64_t r, int64_t c) {
        Cell& cell = *cell_at(r, c, true);
        Box bounds = cell_box(r, c, cell_rows, cell_columns);
        if (cell.finer) return add_finer(cell, regions, bounds, entry, access, settled);
        insert(cell.entries, bounds, entry, access, facts.dense, settled);
        if (cell.entries.size() <= crowded) return;
        cell.finer = std::make_unique<Entries[]>(finer_cells);
        Entries entries = std::exchange(cell.entries, {});
        for (const Entry& old : entries.written) add_finer(cell, regions, bounds, old, writes, settled);
        for (const Entry& old : entries.read) add_finer(cell, regions, bounds, old, reads, settled);
    });
}

namespace {

// What is known to be complete, by slot, when an instruction issues. Equal clocks share a row.
class Clocks {
  public:
    explicit Clocks(int64_t count) : row_(static_cast<size_t>(count)) {
        rows_.emplace_back().fill(-1);
        for (auto& current : current_) current.fill(-1);
        current_row_.fill(0);
    }

    bool knows(uint8_t engine, uint8_t slot, int32_t instruction) const { return current_[engine][slot] >= instruction; }

    void wait(uint8_t engine, uint8_t slot, int32_t producer) {
        Clock& clock = current_[engine];
        const Clock& theirs = rows_[static_cast<size_t>(row_[static_cast<size_t>(producer)])];
        for (int k = 0; k < slots; k++) clock[k] = std::max(clock[k], theirs[k]);
        clock[slot] = std::max(clock[slot], producer);
        current_row_[engine] = -1;
    }

    void issue(uint8_t engine, int32_t instruction) {
        if (current_row_[engine] < 0) {
            current_row_[engine] = static_cast<int32_t>(rows_.size());
            rows_.push_back(current_[engine]);
        }
        row_[static_cast<size_t>(instruction)] = current_row_[engine];
    }

    // By slot, what all engines that have instructions left know to be complete. `ends`: after the last of each engine.
    Space::Latest settled(const std::array<int64_t, sequencers>& ends, int64_t now) const {
        Space::Latest result;
        result.fill(std::numeric_limits<int32_t>::max());
        for (int e = 0; e < sequencers; e++)
            for (int s = 0; s < slots && ends[e] > now; s++) result[s] = std::min(result[s], current_[e][s]);
        return result;
    }

    void give(Dependencies& result) {
        result.clock = std::move(row_);
        result.clocks = std::move(rows_);
    }

  private:
    using Clock = std::array<int32_t, slots>;
    std::vector<Clock> rows_;
    std::vector<int32_t> row_;
    std::array<Clock, sequencers> current_;
    std::array<int32_t, sequencers> current_row_;
};

struct Candidate {
    int32_t instruction;
    uint8_t slot;
};

}  // namespace

Dependencies discover(const Program& program, Regions& regions, int32_t spaces, const uint8_t* skip) {
    Dependencies result;
    result.first.reserve(static_cast<size_t>(program.count + 1));
    result.local.assign(static_cast<size_t>(program.count), -1);
    std::vector<Space> memory(static_cast<size_t>(spaces));
    Clocks clocks(program.count);
    int64_t edge = 0;
    std::array<int64_t, sequencers> ends{};
    for (int64_t i = 0; i < program.count; i++) ends[program.engine[program.kind[i]]] = i + 1;
    Space::Latest settled;
    for (int64_t i = 0; i < program.count; i++) {
        if (i % settling == 0) settled = clocks.settled(ends, i);
        result.first.push_back(static_cast<int64_t>(result.producer.size()));
        uint8_t own = program.slot(i), engine = program.engine[program.kind[i]];
        int64_t begin = program.first_operand[i], end = program.first_operand[i + 1];
        Space::Latest written, read;
        written.fill(-1);
        read.fill(-1);
        for (int64_t k = begin; k < end; k++) {
            int32_t space = regions[program.region[k]].space;
            if (skip[space] || !(program.access[k] & reads)) continue;
            memory[static_cast<size_t>(space)].find(regions, program.region[k], reads, written, read);
        }
        // TensorE reads SBUF only, and its sums in PSUM are pipelined: it never waits for itself
        if (own < sequencers && engine != 0) result.local[static_cast<size_t>(i)] = written[own];
        for (int64_t k = begin; k < end; k++) {
            int32_t space = regions[program.region[k]].space;
            if (skip[space] || !(program.access[k] & writes)) continue;
            memory[static_cast<size_t>(space)].find(regions, program.region[k], writes, written, read);
        }
        for (; edge < program.edge_count && program.edges[2 * edge + 1] == i; edge++) {
            int64_t producer = program.edges[2 * edge];
            int32_t& latest = written[program.slot(producer)];
            latest = std::max(latest, static_cast<int32_t>(producer));
        }
        Candidate candidates[16];  // at most `slots`; the rest quiets the compiler about the sort
        int count = 0;
        for (uint8_t s = 0; s < slots; s++) {
            int32_t latest = std::max(written[s], read[s]);
            if (latest >= 0 && s != engine) candidates[count++] = {latest, s};
        }
        result.found += count;
        std::sort(candidates, candidates + count,
                  [](const Candidate& a, const Candidate& b) { return a.instruction > b.instruction; });
        for (int k = 0; k < count; k++) {
            auto [producer, slot] = candidates[k];
            if (clocks.knows(engine, slot, producer)) continue;
            result.producer.push_back(producer);
            clocks.wait(engine, slot, producer);
        }
        int32_t& local = result.local[static_cast<size_t>(i)];
        if (local >= 0 && clocks.knows(engine, own, local)) local = -1;
        clocks.issue(engine, static_cast<int32_t>(i));
        for (int64_t k = begin; k < end; k++) {
            int32_t region = program.region[k], space = regions[region].space;
            if (skip[space]) continue;
            memory[static_cast<size_t>(space)].add(regions, region, program.access[k] & writes ? writes : reads, own,
                                                   static_cast<int32_t>(i), settled);
        }
    }
    result.first.push_back(static_cast<int64_t>(result.producer.size()));
    for (const Space& space : memory) result.merged += space.merged();
    clocks.give(result);
    return result;
}

}  // namespace opentrn::timing

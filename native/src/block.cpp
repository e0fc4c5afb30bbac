#include "block.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>

namespace opentrn {

namespace {

std::shared_ptr<Storage> allocate(int64_t nbytes) {
    constexpr size_t alignment = 64;
    size_t rounded = (static_cast<size_t>(nbytes) + alignment - 1) / alignment * alignment;
    auto storage = std::make_shared<Storage>();
    storage->data = static_cast<uint8_t*>(std::aligned_alloc(alignment, rounded ? rounded : alignment));
    if (!storage->data) throw std::bad_alloc();
    storage->free = [](Storage& self) { std::free(self.data); };
    return storage;
}

// Entries equal to 1, eight at a time: of the values 0, 1 and 2 only 1 has its lowest bit set.
int64_t count_written(const uint8_t* shadow, int64_t count) {
    constexpr uint64_t lowest_bits = 0x0101010101010101u, even_bytes = 0x00ff00ff00ff00ffu,
                       sum_words = 0x0001000100010001u;
    constexpr int64_t words_per_flush = 255;  // each byte counter stays below 256
    int64_t written = 0, i = 0;
    while (i + 8 <= count) {
        uint64_t counters = 0;
        int64_t words = std::min(words_per_flush, (count - i) / 8);
        for (int64_t w = 0; w < words; w++) {
            uint64_t word;
            std::memcpy(&word, shadow + i + w * 8, 8);
            counters += word & lowest_bits;
        }
        written += static_cast<int64_t>((((counters & even_bytes) + ((counters >> 8) & even_bytes)) * sum_words) >> 48);
        i += words * 8;
    }
    for (; i < count; i++) written += shadow[i] & 1;
    return written;
}

}  // namespace

Block::Block(int64_t nbytes, int64_t unit) : Block(nullptr, nbytes, unit) {}

Block::Block(std::shared_ptr<Storage> lent, int64_t nbytes, int64_t unit)
    : nbytes(nbytes), unit(unit), bytes(std::move(lent)) {
    if (nbytes < 0) throw std::invalid_argument("Block: nbytes must not be negative");
    if (unit < 1 || nbytes % unit) throw std::invalid_argument("Block: unit must be positive and divide nbytes");
}

void Block::need_bytes() {
    if (!bytes) bytes = allocate(nbytes);
}

void Block::need_shadow() {
    if (shadow) return;
    shadow = allocate(units());
    bool full = state == State::written;
    std::memset(shadow->data, full ? written_unit : unwritten_unit, static_cast<size_t>(units()));
    written_units = full ? units() : 0;
}

void Block::set_state(State next) {
    if (next == State::partial) need_shadow();
    else shadow.reset();
    state = next;
}

void Block::mark_all() { set_state(State::written); }

void Block::count_units() { written_units = count_written(shadow->data, units()); }

void Block::refine(int64_t smaller_unit) {
    if (smaller_unit < 1 || unit % smaller_unit)
        throw std::invalid_argument("refine: the new unit must divide the old");
    if (smaller_unit == unit) return;
    int64_t factor = unit / smaller_unit, old_units = units();
    auto coarse = std::move(shadow);
    unit = smaller_unit;
    if (!coarse) return;
    shadow = allocate(old_units * factor);
    for (int64_t i = 0; i < old_units; i++) {
        std::memset(shadow->data + i * factor, coarse->data[i], static_cast<size_t>(factor));
    }
    forget_count();
}

void Block::discard() {
    bytes.reset();
    set_state(State::untouched);
}

bool Block::all_written(const Footprint& footprint, int64_t offset) const {
    if (state == State::written) return true;
    if (state == State::untouched) return false;
    return for_each_run(footprint, offset, [this](int64_t first, int64_t count) {
        const uint8_t* entry = shadow->data + first / unit;
        int64_t entries = (first + count - 1) / unit - first / unit + 1;
        return count_written(entry, entries) == entries;
    });
}

Coverage Block::coverage(const Footprint& footprint, int64_t offset) const {
    if (state == State::written) return Coverage::all;
    if (state == State::untouched) return Coverage::none;
    bool some = false, gaps = false;
    for_each_run(footprint, offset, [&](int64_t first, int64_t count) {
        int64_t entries = (first + count - 1) / unit - first / unit + 1;
        int64_t written = count_written(shadow->data + first / unit, entries);
        some |= written > 0;
        gaps |= written < entries;
        return !(some && gaps);
    });
    return !some ? Coverage::none : gaps ? Coverage::mixed : Coverage::all;
}

void Block::mark_written(const Footprint& footprint, int64_t offset, int64_t item_size) {
    if (state == State::written) return;
    if (footprint.dense && footprint.run_bytes == nbytes) return mark_all();
    if (item_size % unit || (offset + footprint.low) % unit) refine(unit % item_size ? 1 : item_size);
    set_state(State::partial);
    if (written_units == unknown) count_units();
    for_each_run(footprint, offset, [this](int64_t first, int64_t count) {
        uint8_t* entry = shadow->data + first / unit;
        int64_t entries = count / unit;
        written_units += entries - count_written(entry, entries);
        std::memset(entry, written_unit, static_cast<size_t>(entries));
        return true;
    });
    if (written_units < units()) return;
    count_units();  // Python may have changed entries through a shadow view it kept
    if (written_units == units()) mark_all();
}

}  // namespace opentrn

#include "words.hpp"

#include <algorithm>

namespace opentrn {

namespace {

constexpr size_t first_slots = 64;  // a power of two

uint32_t hash_of(const int64_t* words, size_t count) {
    uint64_t hash = count;
    for (size_t i = 0; i < count; i++) {
        hash = (hash ^ static_cast<uint64_t>(words[i])) * 0x9E3779B97F4A7C15u;
        hash ^= hash >> 29;
    }
    return static_cast<uint32_t>(hash ^ (hash >> 32));
}

}  // namespace

WordTable::WordTable() : begins_{0}, slots_(first_slots, -1) {}

size_t WordTable::slot_of(uint32_t hash, const int64_t* words, size_t count) const {
    size_t mask = slots_.size() - 1, slot = hash & mask;
    for (;; slot = (slot + 1) & mask) {
        int32_t number = slots_[slot];
        if (number < 0) return slot;
        size_t n = static_cast<size_t>(number), begin = begins_[n];
        bool alike = hashes_[n] == hash && begins_[n + 1] - begin == count;
        if (alike && std::equal(words, words + count, words_.data() + begin)) return slot;
    }
}

int32_t WordTable::find(const int64_t* words, size_t count) const {
    return slots_[slot_of(hash_of(words, count), words, count)];
}

int32_t WordTable::number(const int64_t* words, size_t count) {
    uint32_t hash = hash_of(words, count);
    size_t slot = slot_of(hash, words, count);
    if (slots_[slot] >= 0) return slots_[slot];
    int32_t made = size();
    slots_[slot] = made;
    words_.insert(words_.end(), words, words + count);
    begins_.push_back(static_cast<uint32_t>(words_.size()));
    hashes_.push_back(hash);
    if (2 * hashes_.size() > slots_.size()) grow();
    return made;
}

void WordTable::grow() {
    std::vector<int32_t> larger(2 * slots_.size(), -1);
    size_t mask = larger.size() - 1;
    for (int32_t number = 0; number < size(); number++) {
        size_t slot = hashes_[static_cast<size_t>(number)] & mask;
        while (larger[slot] >= 0) slot = (slot + 1) & mask;
        larger[slot] = number;
    }
    slots_ = std::move(larger);
}

}  // namespace opentrn

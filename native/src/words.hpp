// Numbers for distinct sequences of words: the first one seen gets 0, the next one 1, equal ones the same.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace opentrn {

class WordTable {
public:
    WordTable();

    // The number of the sequence; `size()` grows by one when it is new.
    int32_t number(const int64_t* words, size_t count);
    // The number of a sequence that has one, else -1.
    int32_t find(const int64_t* words, size_t count) const;

    int32_t size() const { return static_cast<int32_t>(hashes_.size()); }
    const int64_t* words(int32_t number) const { return words_.data() + begins_[static_cast<size_t>(number)]; }
    size_t count(int32_t number) const {
        return begins_[static_cast<size_t>(number) + 1] - begins_[static_cast<size_t>(number)];
    }

private:
    std::vector<int64_t> words_;
    std::vector<uint32_t> begins_;  // one more than there are sequences
    std::vector<uint32_t> hashes_;
    std::vector<int32_t> slots_;  // open addressing; -1 is free

    size_t slot_of(uint32_t hash, const int64_t* words, size_t count) const;
    void grow();
};

}  // namespace opentrn

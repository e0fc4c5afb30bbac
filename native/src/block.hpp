// A Block: the bytes of one tensor, and a shadow that remembers which of them have been written.
#pragma once
#include <cstdint>
#include <memory>

#include "footprint.hpp"

namespace opentrn {

// Bytes with one owner among many readers: numpy views keep it alive after the Block has let go.
struct Storage {
    uint8_t* data = nullptr;
    void* owner = nullptr;  // a Python object that lends the bytes, or
    void (*free)(Storage& storage) = nullptr;
    ~Storage() {
        if (free) free(*this);
    }
};

enum class State : int { untouched = 0, partial = 1, written = 2 };

class Block {
public:
    static constexpr uint8_t unwritten_unit = 0, written_unit = 1;

    Block(int64_t nbytes, int64_t unit);
    Block(std::shared_ptr<Storage> bytes, int64_t nbytes, int64_t unit);

    int64_t nbytes, unit;  // unit: bytes per entry of the shadow
    State state = State::untouched;
    std::shared_ptr<Storage> bytes;   // nullptr until asked for
    std::shared_ptr<Storage> shadow;  // nullptr unless partial or asked for

    uint8_t* data() {
        need_bytes();
        return bytes->data;
    }
    int64_t units() const { return nbytes / unit; }
    void need_bytes();
    void need_shadow();  // creates it from the state
    void forget_count() { written_units = unknown; }
    void set_state(State state);
    void refine(int64_t smaller_unit);
    void discard();  // gives back the memory; nothing is written then

    bool all_written(const Footprint& footprint, int64_t offset) const;
    Coverage coverage(const Footprint& footprint, int64_t offset) const;
    void mark_written(const Footprint& footprint, int64_t offset, int64_t item_size);

private:
    static constexpr int64_t unknown = -1;
    int64_t written_units = 0;  // entries equal to 1; unknown after Python has had the shadow in hand
    void count_units();
    void mark_all();
};

}  // namespace opentrn

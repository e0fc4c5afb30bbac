// A Python function as a custom call of XLA: the handler that compiled JAX programs call, with the addresses it is given.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <cstdint>
#include <string>

namespace nb = nanobind;
using namespace nb::literals;

namespace opentrn::bridges {

namespace {

// The structures of xla/ffi/api/c_api.h (API 0.x, jaxlib 0.4.31 and later) up to the last field that is used here. Each
// carries its size, and newer ones only add fields at the end. No header of jaxlib: the core is built without JAX.
enum : int { metadata_extension = 1, internal_error = 13 };

struct Base {
    size_t size;
    void* extension;
};

struct Version : Base {
    int major, minor;
};

struct Metadata {
    size_t size;
    Version version;
    uint32_t traits;
};

struct Extension {
    size_t size;
    int type;
    void* next;
    Metadata* metadata;  // only of the type above
};

struct ErrorArguments : Base {
    const char* message;
    int code;
};

struct Api : Base {
    Version version;
    void* internal;
    void* (*error)(ErrorArguments* arguments);
};

struct Buffer : Base {
    int dtype;
    void* data;
};

struct Buffers : Base {
    int64_t count;
    void* types;
    Buffer** each;
};

struct Text {
    const char* start;
    size_t length;
};

struct Attributes : Base {
    int64_t count;
    void *types, *names;
    Text** each;
};

struct Frame {
    size_t size;
    Extension* extension;
    Api* api;
    void* context;
    int stage;
    Buffers arguments, results;
    Attributes attributes;
};

PyObject* python_function = nullptr;  // lives as long as the process, like the programs that call it

// XLA asks for which version of its interface the handler was made: any, since it uses none but the oldest fields.
void describe(const Frame& frame) {
    Metadata& metadata = *frame.extension->metadata;
    if (frame.api) {
        metadata.version.major = frame.api->version.major;
        metadata.version.minor = frame.api->version.minor;
    }
    metadata.traits = 0;
}

nb::list addresses(const Buffers& buffers) {
    nb::list result;
    for (int64_t n = 0; n < buffers.count; n++) {
        result.append(nb::int_(reinterpret_cast<uintptr_t>(buffers.each[n]->data)));
    }
    return result;
}

// The message of what went wrong; empty when nothing did. Nothing may unwind into XLA.
std::string call(const Frame& frame) noexcept {
    nb::gil_scoped_acquire gil;
    try {
        const Text& name = *frame.attributes.each[0];
        nb::object message = nb::handle(python_function)(nb::bytes(name.start, name.length),
                                                         addresses(frame.arguments), addresses(frame.results));
        return nb::cast<std::string>(message);
    } catch (const std::exception& error) {
        return error.what();
    }
}

void* handle(Frame* frame) {
    if (frame->extension && frame->extension->type == metadata_extension) {
        describe(*frame);
        return nullptr;
    }
    std::string message = call(*frame);
    if (message.empty()) return nullptr;
    ErrorArguments error{{sizeof(ErrorArguments), nullptr}, message.c_str(), internal_error};
    return frame->api->error(&error);
}

nb::capsule handler(nb::callable function) {
    Py_XDECREF(python_function);
    python_function = function.release().ptr();
    return nb::capsule(reinterpret_cast<void*>(&handle));
}

}  // namespace

void bind(nb::module_& m) {
    m.def("xla_handler", &handler, "function"_a,
          "The handler of a custom call, which calls function(attribute, addresses of arguments, addresses of results); a "
          "text that this gives back, other than '', is the message of an error. There is one function in a process.");
}

}  // namespace opentrn::bridges

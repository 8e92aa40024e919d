// What the ops of a decoder share: tensors of one call, memory for it, and ONNX Runtime's threads.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "api.h"
#include "parallel.h"

namespace redvillm::ort {

using Shape = std::vector<std::int64_t>;

inline std::string words_of(const Shape& shape) {
    std::string words = "[";
    for (std::size_t i = 0; i < shape.size(); ++i) words += (i ? ", " : "") + std::to_string(shape[i]);
    return words + "]";
}

// An error that names the op.
inline Ort::Exception decoder_refusal(const char* op, const std::string& words) {
    return {"redvillm::" + std::string(op) + ": " + words, ORT_INVALID_ARGUMENT};
}

inline std::size_t size_of(std::int64_t value) {
    return static_cast<std::size_t>(value);
}

// ONNX Runtime's threads, for the time of one call.
class ContextLoop : public ParallelLoop {
  public:
    explicit ContextLoop(const Ort::KernelContext& context) : context_(context) {}
    void run(std::size_t count, void (*body)(void*, std::size_t), void* data) const override {
        context_.ParallelFor(body, count, 0, data);
    }

  private:
    const Ort::KernelContext& context_;
};

// ONNX Runtime's memory arena, as one kernel sees it.
class Arena {
  public:
    explicit Arena(const OrtKernelInfo* info) {
        OrtAllocator* allocator = nullptr;
        Ort::ThrowOnError(Ort::GetApi().KernelInfoGetAllocator(info, OrtMemTypeDefault, &allocator));
        allocator_.reset(allocator);
    }

    struct Free {
        OrtAllocator* allocator;
        void operator()(void* memory) const { allocator->Free(allocator, memory); }
    };
    using Memory = std::unique_ptr<void, Free>;

    // Aligned to 64 bytes or more.
    Memory allocate(std::size_t bytes) const {
        void* memory = nullptr;
        Ort::ThrowOnError(Ort::GetApi().AllocatorAlloc(allocator_.get(), bytes, &memory));
        return {memory, Free{allocator_.get()}};
    }

  private:
    struct Release {
        void operator()(OrtAllocator* allocator) const { Ort::GetApi().ReleaseAllocator(allocator); }
    };
    std::unique_ptr<OrtAllocator, Release> allocator_;
};

// Memory of one call: its own for one token, the arena's for many.
class Scratch {
  public:
    Scratch(const Arena& arena, std::size_t bytes) {
        if (bytes > sizeof own_) from_arena_ = arena.allocate(bytes);
    }
    void* get() const { return from_arena_ ? from_arena_.get() : own_; }

  private:
    alignas(64) mutable std::byte own_[8192];
    Arena::Memory from_arena_{nullptr, {nullptr}};
};

}  // namespace redvillm::ort

// The border between exceptions, inside, and ONNX Runtime's statuses, outside.
#pragma once

#include <exception>

#include "api.h"

namespace redvillm::ort {

// Calls body() and returns what it throws as the status that ONNX Runtime expects, which is nullptr for success.
template <class Body>
OrtStatusPtr guarded(Body body) noexcept {
    try {
        body();
        return nullptr;
    } catch (const Ort::Exception& error) {
        return Ort::GetApi().CreateStatus(error.GetOrtErrorCode(), error.what());
    } catch (const std::exception& error) {
        return Ort::GetApi().CreateStatus(ORT_FAIL, error.what());
    }
}

}  // namespace redvillm::ort

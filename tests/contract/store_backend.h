// StoreBackend: what the suites of tests/contract and tests/model need of a kind of store.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>

#include "queue/store.h"

namespace spool {

// One set of data, empty at first. Every open() is a further handle on it, as another process would have.
class StoreBackend {
 public:
  virtual ~StoreBackend() = default;
  virtual std::unique_ptr<Store> open() = 0;
};
using MakeBackend = std::unique_ptr<StoreBackend> (*)();

template <class T>
T must(Result<T> result) {
  if (!result)
    throw std::runtime_error(std::string(name(result.error().code)) + ": " + result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace spool

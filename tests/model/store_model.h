// Random histories of a store, held against the reference. A second store runs them with one line, as in
// sqlite_model_test.cpp.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "contract/store_backend.h"
#include "model/history.h"

namespace spool::model {

class StoreModel : public testing::TestWithParam<MakeBackend> {};

// Of a few histories with a store that is broken by `make` or by `wrap`; empty: nobody noticed.
std::string first_difference(const std::function<std::unique_ptr<StoreBackend>()>& make,
                             const std::function<std::unique_ptr<Store>(std::unique_ptr<Store>)>& wrap);

}  // namespace spool::model

#include "queue/prune_all.h"

namespace spool {
namespace {

constexpr int kPiece = 500;

}  // namespace

Result<std::int64_t> prune_all(Store& store, const PruneRules& rules, const std::function<bool()>& stop) {
  std::int64_t gone = 0;
  for (int piece = 1; piece > 0 && !(stop && stop()); gone += piece) {
    SPOOL_ASSIGN(piece, store.prune(rules, kPiece));
  }
  return gone;
}

}  // namespace spool

#include "chain.h"

#include <utility>

#include "plugin.h"

namespace tenon::core {

ChainPass::ChainPass(std::shared_ptr<const Chain> way)
    : chain(std::move(way)), kept(chain ? chain->links.size() : 0), visited(kept.size()) {}

void ChainPass::leave() {
  for (size_t index = 0; index < leases.size(); index++) {
    if (leases[index] != nullptr) chain->links[index].plugin->leave(*leases[index]);
  }
  leases.clear();
}

}  // namespace tenon::core

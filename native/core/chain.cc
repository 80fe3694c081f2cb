#include "chain.h"

#include <algorithm>
#include <utility>

#include "generation.h"
#include "lease.h"
#include "plugin.h"

namespace tenon::core {

ChainPass::ChainPass(std::shared_ptr<const Chain> way)
    : chain(std::move(way)), kept(chain ? chain->links.size() : 0), visited(kept.size()) {}

bool is_isolated(const Chain& chain) {
  return std::any_of(chain.links.begin(), chain.links.end(), [](const ChainLink& link) {
    const Lease* const live = link.plugin->live();
    return live != nullptr && live->generation->is_isolated();
  });
}

void ChainPass::leave() {
  for (size_t index = 0; index < leases.size(); index++) {
    if (leases[index] != nullptr) chain->links[index].plugin->leave(*leases[index]);
  }
  leases.clear();
}

}  // namespace tenon::core

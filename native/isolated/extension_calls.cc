#include "plugin_functions.h"

namespace tenon::isolated {

tenon_status PluginFunctions::authenticate(tenon_plugin_t*, uint32_t, tenon_request_t*, tenon_bytes_t,
                                           const tenon_auth_answer_t*) {
  return TENON_ERROR_UNSUPPORTED;
}

tenon_status PluginFunctions::resolve_roles(tenon_plugin_t*, tenon_request_t*, const tenon_identity_t*,
                                            const tenon_auth_answer_t*) {
  return TENON_ERROR_UNSUPPORTED;
}

tenon_status PluginFunctions::authorize(tenon_plugin_t*, tenon_request_t*, const tenon_identity_t*,
                                        const tenon_auth_answer_t*) {
  return TENON_ERROR_UNSUPPORTED;
}

tenon_status PluginFunctions::before(tenon_plugin_t*, tenon_request_t*, tenon_response_t*, bool*) {
  return TENON_ERROR_UNSUPPORTED;
}

void PluginFunctions::after(tenon_plugin_t*, tenon_request_t*, tenon_response_t*) {}

tenon_status PluginFunctions::call(tenon_plugin_t*, uint32_t, tenon_bytes_t, const tenon_hook_output_t*) {
  return TENON_ERROR_UNSUPPORTED;
}

}  // namespace tenon::isolated

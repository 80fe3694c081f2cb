{
  "variables": {
    "tenon_warnings": ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"],
  },
  "target_defaults": {
    "include_dirs": ["native/include", "native/core", "native"],
    "cflags": ["<@(tenon_warnings)", "-fvisibility=hidden"],
    "cflags!": ["-Wno-unused-parameter"],
    "cflags_cc": ["<@(tenon_warnings)", "-std=c++17", "-fno-exceptions", "-fno-rtti", "-fvisibility-inlines-hidden"],
    "cflags_cc!": ["-std=gnu++14", "-std=gnu++17", "-std=gnu++20", "-frtti"],
    "xcode_settings": {
      "CLANG_CXX_LANGUAGE_STANDARD": "c++17",
      "GCC_ENABLE_CPP_EXCEPTIONS": "NO",
      "GCC_ENABLE_CPP_RTTI": "NO",
      "GCC_SYMBOLS_PRIVATE_EXTERN": "YES",
      "MACOSX_DEPLOYMENT_TARGET": "12.0",
      "WARNING_CFLAGS": ["<@(tenon_warnings)"],
    },
  },
  "targets": [
    {
      "target_name": "tenon",
      "sources": ["<!@(node -p \"['core', 'wire', 'isolated', 'node'].flatMap((room) => fs.readdirSync('native/' + room).filter((file) => file.endsWith('.cc')).map((file) => 'native/' + room + '/' + file)).join(' ')\")"],
      # Swallow: an error that a Worker can no longer be told of, because it is being terminated, is nobody's fault.
      "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS", "NAPI_DISABLE_CPP_EXCEPTIONS", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
      "cflags_cc": ["-isystem", "<!(node -p \"path.resolve(require('node-addon-api').include_dir)\")"],
      "xcode_settings": { "OTHER_CFLAGS": ["-isystem", "<!(node -p \"path.resolve(require('node-addon-api').include_dir)\")"] },
      "conditions": [
        # nodelete: its threads outlive the environment that loaded it, and a Worker that ends would unmap it under them.
        ["OS=='linux'", { "ldflags": ["-Wl,--build-id", "-Wl,-z,relro,-z,now,-z,nodelete", "-Wl,--exclude-libs,ALL"] }],
      ],
    },
    {
      "target_name": "tenon-runner",
      "type": "executable",
      "sources": ["native/core/route.cc", "native/core/stack_bounds.cc", "native/core/json.cc", "native/core/request.cc", "native/core/response.cc", "native/core/lent_memory.cc", "native/core/identity.cc", "<!@(node -p \"['wire', 'runner'].flatMap((room) => fs.readdirSync('native/' + room).filter((file) => file.endsWith('.cc')).map((file) => 'native/' + room + '/' + file)).join(' ')\")"],
      "conditions": [
        ["OS=='linux'", { "libraries": ["-ldl"], "ldflags": ["-Wl,--build-id", "-Wl,-z,relro,-z,now"], "ldflags!": ["-rdynamic"] }],
      ],
    },
  ],
}

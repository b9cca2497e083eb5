# The build without CMake, CPU only: `node scripts/install.mjs` falls back on it. Flags mirror CMakeLists.txt.
{
  "targets": [
    {
      "target_name": "nasp",
      "variables": {
        "warnings_and_arithmetic": [
          "-Wall", "-Wextra", "-Wno-psabi", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"
        ]
      },
      "sources": ["<!@(node scripts/native-sources.mjs)"],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": [
        "NAPI_VERSION=8",
        "NODE_ADDON_API_CPP_EXCEPTIONS",
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS",
        "NASP_VERSION=\"<!(node -p \"require('./package.json').version\")\"",
        "NDEBUG"
      ],
      "cflags!": ["-fno-exceptions", "-O2"],
      "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-O2", "-std=gnu++17", "-std=gnu++20"],
      "cflags_cc": [
        "-std=c++20", "-O3", "-fexceptions", "-frtti", "-fvisibility=hidden", "-fvisibility-inlines-hidden",
        "-pthread", "<@(warnings_and_arithmetic)"
      ],
      "ldflags": ["-pthread"],
      "conditions": [["OS=='linux'", {"libraries": ["-ldl"]}]],
      "xcode_settings": {
        "CLANG_CXX_LANGUAGE_STANDARD": "c++20",
        "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
        "GCC_ENABLE_CPP_RTTI": "YES",
        "GCC_OPTIMIZATION_LEVEL": "3",
        "GCC_SYMBOLS_PRIVATE_EXTERN": "YES",
        "MACOSX_DEPLOYMENT_TARGET": "11.0",
        "OTHER_CPLUSPLUSFLAGS": ["<@(warnings_and_arithmetic)"]  # cflags_cc is not read on macOS
      }
    }
  ]
}

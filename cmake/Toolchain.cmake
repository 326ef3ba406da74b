# Compiler-wide settings: cache, linker, warnings, sanitizers.
find_program(CCACHE ccache)
if(CCACHE)
  # Precompiled headers need the sloppiness; the base folder lets checkouts share results.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros
    CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

add_compile_options(-Wall -Wextra -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Werror)
# At -O3 GCC 12 warns of ghosts in its own std::string (its bugs 105329, 105651); the other builds have these warnings.
add_compile_options($<$<AND:$<CXX_COMPILER_ID:GNU>,$<CONFIG:Release>>:-Wno-restrict$<SEMICOLON>-Wno-stringop-overflow$<SEMICOLON>-Wno-array-bounds$<SEMICOLON>-Wno-maybe-uninitialized>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  add_compile_options(-Wno-unused-command-line-argument)
endif()

if(SPOOL_SANITIZE)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-maybe-uninitialized)   # false where code is instrumented
  endif()
  add_compile_options(-fsanitize=${SPOOL_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${SPOOL_SANITIZE})
endif()
if(SPOOL_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
endif()
